// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A ring, and what the device has of it.
//!
//! Two promises are kept here: nothing is written to a stopped ring, and what belongs to a ring's
//! former life is never written at all.
//!
//! ```text
//!          start             stop             the device has
//!  Fresh ────────▶ Started ────────▶ Stopping ────────▶ Stopped(base)
//!    ▲                ▲                                          │
//!    │                ├── start at `base`, same life ────────────┤
//!    │ forget         └── start at another, a new life ──────────┘
//! ```

use std::collections::VecDeque;
use std::fs::File;
use std::mem;
use std::num::Wrapping;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};

use vhost_user_backend::{VringMutex, VringT};
use virtio_queue::{Error, Queue as VirtQueue, QueueT};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::MAX_QUEUE_SIZE;
use super::chains::Chains;
use super::dirty::Log;
use super::inflight::Inflight;
use super::locked::{Locked, Taken};
use super::lost::Guarded;
use super::place::Place;
use super::sharing::is_blank;
use crate::{Events, Reply, Ring, Urgency, lock};

/// What vhost-user-backend's ring wants for its guest's memory. Ours is [guarded](Guarded).
pub(super) type NoMemory = Arc<GuestMemoryMmap>;

/// A ring of the device.
#[derive(Clone)]
pub(super) struct Vring(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Locked after `state`.
    vring: VringMutex<NoMemory>,
}

pub(super) struct State {
    pub(super) memory: Arc<Guarded>,
    /// Where written pages are noted, while the front end wants to know of them.
    pub(super) log: Option<Arc<Log>>,
    pub(super) phase: Phase,
    /// Tells replies and events of this life from those of former ones.
    pub(super) life: u32,
    /// The device has [`Events`] for this life.
    pub(super) introduced: bool,
    /// The device was reset while the ring was started, and has had nothing of it since: to start it
    /// anew is no reason to reset the device again.
    pub(super) forgotten: bool,
    /// The ring's own words are nonsense: it is left alone until the driver sets it up again.
    pub(super) broken: bool,
    /// The driver is to kick for its next request.
    pub(super) listening: bool,
    /// The driver's index says that there is a chain, which was not taken yet.
    pub(super) seen: bool,
    /// What the driver did wrong last, for the log.
    pub(super) fault: Option<&'static str>,
    pub(super) chains: Chains,
    /// Says outside this process what the device has.
    pub(super) inflight: Option<Inflight>,
    /// The heads of what an earlier back end had and did not return, to be taken before anything else.
    pub(super) again: VecDeque<u16>,
    /// Answers that came while nothing may be written, until the ring goes on: the chain, where the
    /// answer begins, and its bytes.
    pub(super) parked: Vec<(u16, usize, Vec<u8>)>,
    /// The driver is to be interrupted, as soon as there is a way to.
    pub(super) owed: bool,
    /// Says to the front end that the ring is broken.
    pub(super) error: Option<File>,
    /// Events that wait for a buffer.
    pub(super) events: VecDeque<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started in this life.
    Fresh,
    /// Started. User-Mode Linux never says that it stops.
    Started,
    /// GET_VRING_BASE came, and is not answered yet.
    Stopping,
    /// GET_VRING_BASE was answered with this base.
    Stopped(u16),
}

/// How a ring starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// It is new to the device, which knows nothing of before.
    Fresh,
    /// It goes on where it was stopped.
    Resumed,
    /// The driver knows nothing of before, and the device does: it has to be reset.
    Reset,
}

/// What a ring has next.
pub(super) enum Next {
    Request(Reply),
    /// Something that came after it was looked at.
    More,
    /// Nothing until the driver kicks.
    Nothing(Pause),
}

/// How a ring is left.
pub(super) struct Pause {
    /// It is served, and goes on with the driver's next kick.
    pub(super) running: bool,
    /// What the driver did wrong since the pause before.
    pub(super) fault: Option<&'static str>,
}

impl Vring {
    /// A ring that is not started.
    pub(super) fn new() -> Result<Self, Error> {
        let state = State {
            memory: Arc::default(),
            log: None,
            phase: Phase::Fresh,
            life: 0,
            introduced: false,
            forgotten: false,
            broken: false,
            listening: true,
            seen: false,
            fault: None,
            chains: Chains::default(),
            inflight: None,
            again: VecDeque::new(),
            parked: Vec::new(),
            owed: false,
            error: None,
            events: VecDeque::new(),
        };
        Ok(Self(Arc::new(Inner {
            state: Mutex::new(state),
            vring: VringMutex::new(NoMemory::default(), MAX_QUEUE_SIZE)?,
        })))
    }

    /// The ring is to start at index `base`. Whether that tells of a driver which knows nothing of
    /// before: another base than the one at which the ring was stopped, or any if it was not.
    pub(super) fn is_anew_at(&self, base: u16) -> bool {
        let mut ring = self.0.lock();
        let is_anew = match ring.state.phase {
            Phase::Fresh => false,
            Phase::Stopped(stopped) => stopped != base,
            // User-Mode Linux only disables its rings.
            Phase::Started | Phase::Stopping => true,
        };
        if is_anew {
            ring.vring.get_queue_mut().set_ready(false);
            ring.state.new_life();
            ring.state.phase = Phase::Fresh;
        }
        is_anew && !mem::take(&mut ring.state.forgotten)
    }

    /// The driver's ring is at `place`, and goes on at index `base`. An error is a place that cannot
    /// be: the ring is broken until it is started at another.
    pub(super) fn start(
        &self,
        place: Place,
        base: u16,
        event_idx: bool,
    ) -> Result<Start, &'static str> {
        let mut ring = self.0.lock();
        let was_broken = mem::take(&mut ring.state.broken);
        let queue = ring.vring.get_queue_mut();
        let begun = place.put(queue, base, event_idx);
        let memory = Arc::clone(&ring.state.memory);
        let used = begun.and_then(|()| {
            let used = queue.used_idx(&*memory, Ordering::Relaxed);
            used.map_err(|_| "used ring outside memory")
        });
        let used = match used {
            Ok(used) => used.0,
            Err(fault) => {
                ring.state.breaks(fault);
                return Err(fault);
            }
        };
        queue.set_next_used(used);
        queue.set_ready(true);
        if ring.state.phase == Phase::Fresh {
            ring.state.take_up(queue, used);
        }
        // A ring that goes on has returned all chains but those that the device has. One that has
        // not is new, and only happens to begin at the base where the former one stopped: indices
        // have 16 bits.
        let missing = usize::from(base.wrapping_sub(used));
        let goes_on = ring.state.phase == Phase::Stopped(base)
            && !was_broken
            && ring.state.chains.len() + ring.state.again.len() == missing;
        let forgotten = mem::take(&mut ring.state.forgotten);
        let start = match ring.state.phase {
            Phase::Fresh => Start::Fresh,
            _ if goes_on => Start::Resumed,
            _ => {
                ring.state.new_life();
                match forgotten {
                    true => Start::Fresh,
                    false => Start::Reset,
                }
            }
        };
        ring.state.phase = Phase::Started;
        ring.state.listening = true;
        Ok(start)
    }

    /// The ring takes nothing more. What is in work is finished, and written, until its
    /// [end](Self::end).
    pub(super) fn stop(&self) {
        let mut ring = self.0.lock();
        ring.vring.get_queue_mut().set_ready(false);
        if ring.state.phase == Phase::Started {
            ring.state.phase = Phase::Stopping;
            ring.go_on();
        }
    }

    /// From now on nothing is written. Returns the base at which the ring would go on.
    pub(super) fn end(&self) -> u16 {
        let mut ring = self.0.lock();
        let base = ring.vring.get_queue().next_avail();
        ring.vring.get_queue_mut().set_ready(false);
        if ring.state.phase == Phase::Stopping {
            ring.state.phase = Phase::Stopped(base);
        }
        base
    }

    /// The device was reset: what it holds of this ring is of a former life. Whether the ring runs
    /// does not change, as its driver may be the new one.
    pub(super) fn forget(&self) {
        let mut state = lock(&self.0.state);
        state.new_life();
        match state.phase {
            Phase::Stopped(_) => state.phase = Phase::Fresh,
            _ => state.forgotten = true,
        }
    }

    /// As it was before it ever started.
    pub(super) fn clear(&self) {
        let mut ring = self.0.lock();
        ring.vring.get_queue_mut().set_ready(false);
        ring.vring.set_enabled(false);
        ring.state.new_life();
        ring.state.broken = false;
        ring.state.forgotten = false;
        ring.state.phase = Phase::Fresh;
    }

    /// It cannot be used as its front end has it.
    pub(super) fn refuse(&self, fault: &'static str) {
        lock(&self.0.state).breaks(fault);
    }

    pub(super) fn set_enabled(&self, enabled: bool) {
        // Under the lock: when a ring is disabled, nobody is still writing.
        self.0.lock().vring.set_enabled(enabled);
    }

    pub(super) fn set_event_idx(&self, enabled: bool) {
        self.0.vring.set_queue_event_idx(enabled);
    }

    /// With KICK before CALL, as QEMU has it, an interrupt may have come too early.
    pub(super) fn set_call(&self, file: Option<File>) {
        let mut state = lock(&self.0.state);
        self.0.vring.set_call(file);
        let vring = self.0.vring.get_ref();
        if vring.get_call().is_some() && mem::take(&mut state.owed) {
            vring.signal_used_queue().ok();
        }
    }

    pub(super) fn set_error(&self, file: Option<File>) {
        lock(&self.0.state).error = file;
    }

    /// Whether it is served.
    pub(super) fn runs(&self) -> bool {
        self.0.lock().running()
    }

    /// Whether it was started, and not stopped since.
    pub(super) fn is_started(&self) -> bool {
        matches!(lock(&self.0.state).phase, Phase::Started | Phase::Stopping)
    }

    /// Writes what was held back while the ring was stopped, and takes the driver's next request
    /// into `request`, at most `limit` + 1 bytes of it.
    ///
    /// The driver is asked for no kicks from the first request on until there is nothing, and if `polls`
    /// not even then: the caller looks again by itself, in the end without that.
    pub(super) fn next_request(&self, request: &mut Vec<u8>, limit: usize, polls: bool) -> Next {
        let mut ring = self.0.lock();
        ring.go_on();
        match ring.take(request, limit) {
            Some(Taken {
                chain,
                room,
                is_repeated,
            }) => {
                if mem::take(&mut ring.state.listening) && ring.ask_for_no_kicks().is_err() {
                    ring.state.breaks("used ring outside memory");
                }
                let weak: Weak<Inner> = Arc::downgrade(&self.0);
                let reply = Reply::new(weak, ring.state.life, chain, room);
                Next::Request(reply.repeated(is_repeated))
            }
            None if !polls && ring.listen() => Next::More,
            None => Next::Nothing(ring.pause()),
        }
    }

    /// Whether the driver made something available that was not taken yet, be it kicked or not.
    pub(super) fn has_next(&self) -> bool {
        let ring = self.0.lock();
        let queue = ring.vring.get_queue();
        let next = queue.next_avail();
        // What cannot be read is for whoever takes it.
        let is_next = |index: Wrapping<u16>| index.0 != next;
        ring.running()
            && queue
                .avail_idx(&*ring.state.memory, Ordering::Acquire)
                .map_or(true, is_next)
    }

    /// Whether what the driver writes arrives, as far as memory tells. `None` while the ring does not
    /// run.
    pub(super) fn is_shared(&self) -> Option<bool> {
        let ring = self.0.lock();
        let available = ring.vring.get_queue().avail_ring();
        ring.running()
            .then(|| !is_blank(&ring.state.memory.memory, available))
    }

    /// Writes what was held back while the ring was stopped, and events that waited for buffers.
    /// Comes with the device's [`Events`], once for each life of the ring.
    pub(super) fn go_on(&self) -> (Option<Events>, Pause) {
        let mut ring = self.0.lock();
        ring.go_on();
        let pause = ring.pause();
        let introduced = !pause.running || mem::replace(&mut ring.state.introduced, true);
        let weak: Weak<Inner> = Arc::downgrade(&self.0);
        let events = (!introduced).then(|| Events::new(weak, ring.state.life));
        ring.state.forgotten &= events.is_none();
        (events, pause)
    }

    /// What the device has is noted in `inflight`, or not.
    pub(super) fn set_inflight(&self, inflight: Option<Inflight>) {
        lock(&self.0.state).inflight = inflight;
    }

    /// What is written is noted in `log`, or not.
    pub(super) fn set_log(&self, log: Option<Arc<Log>>) {
        lock(&self.0.state).log = log;
    }

    /// The ring is in this memory from now on. Waits for who is at the ring.
    pub(super) fn move_to(&self, memory: &Arc<Guarded>) {
        lock(&self.0.state).memory = Arc::clone(memory);
    }
}

impl Inner {
    fn lock(&self) -> Locked<'_> {
        Locked {
            state: lock(&self.state),
            vring: self.vring.get_mut(),
        }
    }
}

impl State {
    /// What the ring says of itself cannot be. It stops alone, until the driver sets it up again.
    pub(super) fn breaks(&mut self, fault: &'static str) {
        self.broken = true;
        self.fault = Some(fault);
        if let Some(error) = &self.error {
            // Fails if so many are unread that one more makes no difference.
            rustix::io::write(error, &1u64.to_ne_bytes()).ok();
        }
    }

    /// Takes up what an earlier back end had of the ring, if the area says so: then the ring goes on after
    /// that, whatever base the front end sets.
    fn take_up(&mut self, queue: &mut VirtQueue, used: u16) {
        let Some(inflight) = &mut self.inflight else {
            return;
        };
        let Some(again) = inflight.recover(queue.size(), used) else {
            return;
        };
        let available = queue.avail_idx(&*self.memory, Ordering::Acquire);
        let there = available.map_or(0, |index| index.0.wrapping_sub(used));
        // No more than a ring has entries.
        let count = u16::try_from(again.len()).unwrap_or(u16::MAX);
        if count > there {
            self.fault = Some("what is in flight was never made available");
            inflight.forget();
            return;
        }
        queue.set_next_avail(used.wrapping_add(count));
        self.again = again.into();
    }

    /// The used ring was written.
    pub(super) fn note_used(&self, queue: &VirtQueue) {
        if let Some(log) = &self.log {
            // Flags, index, 8 bytes for each entry, and the index at which the driver is to kick (2.7.8).
            let length = 6 + 8 * usize::from(queue.size());
            log.note(GuestAddress(queue.used_ring()), length);
        }
    }

    /// The driver sets the ring up anew, or the device: nothing of before is ever written.
    fn new_life(&mut self) {
        self.life = self.life.wrapping_add(1);
        self.chains = Chains::default();
        self.again.clear();
        if let Some(inflight) = &self.inflight {
            inflight.forget();
        }
        self.parked.clear();
        self.owed = false;
        self.introduced = false;
        self.listening = true;
        self.seen = false;
        self.events.clear();
    }
}

impl Ring for Inner {
    fn answer(
        &self,
        life: u32,
        chain: u16,
        range: Range<usize>,
        source: &mut dyn FnMut(&mut [u8]),
    ) {
        let mut ring = self.lock();
        if ring.state.life != life || ring.state.broken {
            return;
        }
        if ring.writable() {
            ring.complete(chain, range, source);
        } else {
            let mut bytes = vec![0; range.len()];
            source(&mut bytes);
            ring.state.parked.push((chain, range.start, bytes));
        }
    }

    fn emit(&self, life: u32, message: &[u8], urgency: Urgency) -> bool {
        let mut ring = self.lock();
        let full = ring.state.events.len() >= usize::from(ring.vring.get_queue().size());
        if ring.state.life != life || ring.state.broken || full {
            return false;
        }
        ring.state.events.push_back(message.to_vec());
        ring.go_on();
        // Events wait in order: if one does, this one does.
        urgency == Urgency::Keep || ring.state.events.pop_back().is_none()
    }
}
