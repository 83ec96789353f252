// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What vhost-user-backend does to a ring.
//!
//! It tells a back end when a ring stops, but not where it starts again, nor that it was disabled.
//! Its ring type sees each of these, so this is ours. It works on vhost-user-backend's own, and
//! adds what follows from it for the device.

use std::fs::File;
use std::io;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use vhost_user_backend::{VringState, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::{Error, QueueT};
use vmm_sys_util::event::EventConsumer;

use super::ring::{Chain, Inner, Memory, Phase, Vring};
use crate::lock;

impl<'a> VringStateGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState<Memory>>;
}

impl<'a> VringStateMutGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState<Memory>>;
}

impl VringT<Memory> for Vring {
    fn new(memory: Memory, max_queue_size: u16) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner::new(memory, max_queue_size)?)))
    }

    /// SET_VRING_BASE, the only sign of a guest's reset that most front ends give: a guest that was
    /// merely stopped goes on where it was.
    fn set_queue_next_avail(&self, base: u16) {
        let mut state = lock(&self.0.state);
        match state.phase {
            Phase::Fresh => {}
            Phase::Stopped(stopped) if stopped == base => {}
            Phase::Started | Phase::Stopping | Phase::Stopped(_) => {
                state.new_life();
                self.0.reset.store(true, Ordering::Release);
            }
        }
        self.0.vring.set_queue_next_avail(base);
    }

    /// A ring becomes ready with its kick, and unready when GET_VRING_BASE arrives.
    fn set_queue_ready(&self, ready: bool) {
        let mut ring = self.0.lock();
        ring.vring.get_queue_mut().set_ready(ready);
        if ready {
            ring.state.phase = Phase::Started;
        } else if ring.state.phase == Phase::Started {
            ring.state.phase = Phase::Stopping;
            ring.go_on();
        }
    }

    /// Asked for GET_VRING_BASE alone, when what was begun is finished: from now on nothing is
    /// written.
    fn queue_next_avail(&self) -> u16 {
        let mut state = lock(&self.0.state);
        let base = self.0.vring.queue_next_avail();
        state.phase = Phase::Stopped(base);
        base
    }

    fn set_enabled(&self, enabled: bool) {
        // Under the lock: when a ring is disabled, nobody is still writing.
        let _state = lock(&self.0.state);
        self.0.vring.set_enabled(enabled);
    }

    /// A used ring outside memory is the guest's fault: it breaks the ring, not the session.
    fn queue_used_idx(&self) -> Result<u16, Error> {
        let mut state = lock(&self.0.state);
        Ok(self.0.vring.queue_used_idx().unwrap_or_else(|_| {
            state.breaks("used ring outside memory");
            0
        }))
    }

    /// A kick that another event has read already is not worth the worker's life, which an error
    /// would end.
    fn read_kick(&self) -> io::Result<bool> {
        let kick = self
            .0
            .vring
            .get_ref()
            .get_kick()
            .as_ref()
            .map(EventConsumer::consume);
        if kick
            .is_some_and(|kick| kick.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock))
        {
            // The other end is gone, which epoll would report for ever.
            self.0.vring.set_kick(None);
        }
        Ok(self.0.vring.get_ref().is_enabled())
    }

    /// The used index, which vhost-user-backend reads from memory when the ring starts. A ring that
    /// goes on has returned all chains but those that the device has. One that does not is new, and
    /// only happens to begin at the base where the former one stopped: indices have 16 bits.
    fn set_queue_next_used(&self, used: u16) {
        let mut ring = self.0.lock();
        let queue = ring.vring.get_queue_mut();
        queue.set_next_used(used);
        let missing = usize::from(queue.next_avail().wrapping_sub(used));
        let taken = ring.state.chains.iter().filter(|chain| chain.taken).count();
        if matches!(ring.state.phase, Phase::Stopped(_)) && taken != missing {
            ring.state.new_life();
            self.0.reset.store(true, Ordering::Release);
        }
    }

    fn get_ref(&self) -> MutexGuard<'_, VringState<Memory>> {
        self.0.vring.get_ref()
    }

    fn get_mut(&self) -> MutexGuard<'_, VringState<Memory>> {
        self.0.vring.get_mut()
    }

    fn add_used(&self, desc_index: u16, len: u32) -> Result<(), Error> {
        self.0.vring.add_used(desc_index, len)
    }

    fn signal_used_queue(&self) -> io::Result<()> {
        self.0.vring.signal_used_queue()
    }

    fn enable_notification(&self) -> Result<bool, Error> {
        self.0.vring.enable_notification()
    }

    fn disable_notification(&self) -> Result<(), Error> {
        self.0.vring.disable_notification()
    }

    fn needs_notification(&self) -> Result<bool, Error> {
        self.0.vring.needs_notification()
    }

    fn set_queue_info(
        &self,
        desc_table: u64,
        avail_ring: u64,
        used_ring: u64,
    ) -> Result<(), Error> {
        self.0
            .vring
            .set_queue_info(desc_table, avail_ring, used_ring)
    }

    /// The first that a front end says of a ring that it sets up, so that one that broke gets
    /// another chance. What was taken from it then is lost: the device is told that.
    fn set_queue_size(&self, num: u16) {
        let mut ring = self.0.lock();
        if mem::take(&mut ring.state.broken) {
            ring.state.new_life();
            self.0.reset.store(true, Ordering::Release);
        }
        ring.vring.get_queue_mut().set_size(num);
        let size = ring.vring.get_queue().size();
        ring.state.chains.resize_with(size.into(), Chain::default);
        if size != num {
            ring.state.breaks("queue size is not a power of 2");
        }
    }

    fn set_queue_event_idx(&self, enabled: bool) {
        self.0.vring.set_queue_event_idx(enabled);
    }

    fn set_kick(&self, file: Option<File>) {
        self.0.vring.set_kick(file.filter(is_tamed));
    }

    /// With KICK before CALL, as QEMU has it, an interrupt may have come too early.
    fn set_call(&self, file: Option<File>) {
        let mut state = lock(&self.0.state);
        self.0.vring.set_call(file.filter(is_tamed));
        let vring = self.0.vring.get_ref();
        if vring.get_call().is_some() && mem::take(&mut state.owed) {
            vring.signal_used_queue().ok();
        }
    }

    /// vhost-user-backend would keep it, and never use it.
    fn set_err(&self, file: Option<File>) {
        lock(&self.0.state).error = file.filter(is_tamed);
    }
}

/// Whether `file`, which the front end has as well, is made never to have us wait for it, nor to be
/// a command's that the device runs.
fn is_tamed(file: &File) -> bool {
    fcntl_getfl(file)
        .and_then(|flags| fcntl_setfl(file, flags | OFlags::NONBLOCK))
        .and_then(|()| fcntl_setfd(file, FdFlags::CLOEXEC))
        .is_ok()
}
