// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A ring, and what the device has of it.
//!
//! Two promises are kept here: nothing is written to a stopped ring, and what belongs to a ring's
//! former life is never written at all. [`vring`](super::vring) tells when a ring stops, and when a
//! life ends.

use std::collections::VecDeque;
use std::fs::File;
use std::mem;
use std::num::Wrapping;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use vhost_user_backend::{VhostUserBackend, VringEpollHandler, VringMutex, VringState, VringT};
use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{DescriptorChain, Error, Queue as VirtQueue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

use super::chain::{PIECE, Writable};
use super::lost::{Guarded, REASON};
use crate::reply::pieces_of;
use crate::{Events, Reply, Ring, Urgency, lock};

/// A guest's memory, which the front end may replace at any time. A ring uses what it is
/// [moved to](Vring::move_to), which is guarded.
pub(super) type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// The ring type that vhost-user-backend works with.
#[derive(Clone)]
pub(super) struct Vring(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) state: Mutex<State>,
    /// Locked after `state`, by whoever needs both.
    pub(super) vring: VringMutex<Memory>,
    /// A life of the ring has ended, and the device does not know yet.
    pub(super) reset: AtomicBool,
}

pub(super) struct State {
    memory: Arc<Guarded>,
    pub(super) phase: Phase,
    /// Tells replies and events of this life from those of former ones.
    life: u32,
    /// The device has [`Events`] for this life.
    introduced: bool,
    /// The ring's own words are nonsense: it is left alone until the driver sets it up again.
    pub(super) broken: bool,
    /// The driver is to kick for its next request.
    listening: bool,
    /// What the driver did wrong last, for the log.
    fault: Option<&'static str>,
    /// The chains, by head.
    pub(super) chains: Vec<Chain>,
    /// Answers that came while nothing may be written, until the ring goes on: the head, where the
    /// answer begins, and its bytes.
    parked: Vec<(u16, usize, Vec<u8>)>,
    /// The driver is to be interrupted, as soon as there is a way to.
    pub(super) owed: bool,
    /// Says to the front end that the ring is broken.
    pub(super) error: Option<File>,
    /// Events that wait for a buffer.
    events: VecDeque<Vec<u8>>,
    /// What an answer passes through.
    piece: Box<[u8; PIECE]>,
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

/// What is known of a head: where its answer goes, if the device has it.
#[derive(Default)]
pub(super) struct Chain {
    pub(super) taken: bool,
    writable: Writable,
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
    /// Writes what was held back while the ring was stopped, and takes the driver's next request
    /// into `request`, at most `limit` + 1 bytes of it.
    ///
    /// The driver is asked for no kicks from the first request on until there is nothing.
    pub(super) fn next_request(&self, request: &mut Vec<u8>, limit: usize) -> Next {
        let mut ring = self.0.lock();
        ring.go_on();
        match ring.take(request, limit) {
            Some((head, room)) => {
                if mem::take(&mut ring.state.listening) && ring.ask_for_no_kicks().is_err() {
                    ring.state.breaks("used ring outside memory");
                }
                let weak: Weak<Inner> = Arc::downgrade(&self.0);
                Next::Request(Reply::new(weak, ring.state.life, head, room))
            }
            None if ring.listen() => Next::More,
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
                .avail_idx(&**ring.state.memory, Ordering::Acquire)
                .map_or(true, is_next)
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
        (events, pause)
    }

    /// Has `worker` say, as `event`, each time that the driver kicks, in place of saying that a
    /// kick is unread: it stays unread, which saves a system call for each request.
    ///
    /// vhost-user-backend removes by file descriptor, so it removes this when the ring stops as it
    /// would its own. It holds the ring's lock meanwhile, and so does this.
    pub(super) fn wait_for_edges<T: VhostUserBackend>(
        &self,
        worker: &Weak<VringEpollHandler<T>>,
        event: u16,
    ) {
        let ring = self.0.lock();
        let (Some(kick), Some(worker), true) =
            (ring.vring.get_kick(), worker.upgrade(), ring.running())
        else {
            return;
        };
        let (kick, event) = (kick.as_raw_fd(), event.into());
        let edges = EventSet::IN | EventSet::EDGE_TRIGGERED;
        if worker
            .unregister_listener(kick, EventSet::IN, event)
            .is_ok()
        {
            // What was there before was just taken out: there is room.
            worker.register_listener(kick, edges, event).ok();
        }
    }

    /// The ring is in this memory from now on. Waits for who is at the ring.
    pub(super) fn move_to(&self, memory: &Arc<Guarded>) {
        lock(&self.0.state).memory = Arc::clone(memory);
    }

    /// Whether a life of this ring has ended since this was asked last.
    pub(super) fn was_reset(&self) -> bool {
        self.0.reset.swap(false, Ordering::AcqRel)
    }

    /// The device was reset: what it holds of this ring is of a former life.
    pub(super) fn forget(&self) {
        lock(&self.0.state).new_life();
    }
}

impl Inner {
    pub(super) fn new(memory: Memory, max_queue_size: u16) -> Result<Self, Error> {
        let state = State {
            memory: Arc::default(),
            phase: Phase::Fresh,
            life: 0,
            introduced: false,
            broken: false,
            listening: true,
            fault: None,
            chains: Vec::new(),
            parked: Vec::new(),
            owed: false,
            error: None,
            events: VecDeque::new(),
            piece: Box::new([0; PIECE]),
        };
        Ok(Self {
            vring: VringMutex::new(memory, max_queue_size)?,
            state: Mutex::new(state),
            reset: AtomicBool::new(false),
        })
    }

    pub(super) fn lock(&self) -> Locked<'_> {
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

    /// The driver sets the ring up anew, or the device: nothing of before is ever written.
    pub(super) fn new_life(&mut self) {
        self.life = self.life.wrapping_add(1);
        self.chains.iter_mut().for_each(|chain| chain.taken = false);
        self.parked.clear();
        self.owed = false;
        self.introduced = false;
        self.listening = true;
        self.events.clear();
    }
}

/// A ring, for as long as nobody else touches it.
pub(super) struct Locked<'a> {
    pub(super) state: MutexGuard<'a, State>,
    pub(super) vring: MutexGuard<'a, VringState<Memory>>,
}

impl Locked<'_> {
    /// Whether the driver's buffers may be taken.
    fn running(&self) -> bool {
        !self.state.broken && self.vring.get_queue().ready() && self.vring.is_enabled()
    }

    fn pause(&mut self) -> Pause {
        Pause {
            running: self.running(),
            fault: self.state.fault.take(),
        }
    }

    /// Whether guest memory may be written: while the ring runs, and to finish what was begun
    /// before it stops.
    fn writable(&self) -> bool {
        self.running() || !self.state.broken && self.state.phase == Phase::Stopping
    }

    /// Takes the next chain: its head, and the room for an answer. A broken chain has none, and
    /// says nothing.
    fn take(&mut self, request: &mut Vec<u8>, limit: usize) -> Option<(u16, usize)> {
        if !self.running() {
            return None;
        }
        let state = &mut *self.state;
        let Ok(chain) = next_chain(self.vring.get_queue_mut(), &state.memory) else {
            state.breaks("available ring outside memory, or its index jumped");
            return None;
        };
        let chain = chain?;
        let head = chain.head_index();
        match state.chains.get_mut(usize::from(head)) {
            Some(Chain {
                taken: taken @ false,
                writable,
            }) => {
                *taken = true;
                let room = writable.walk(chain, &state.memory, request, limit);
                if state.memory.is_lost() {
                    // That may not be what the driver wrote.
                    state.breaks(REASON);
                    return None;
                }
                if room.is_none() {
                    state.fault = Some("broken descriptor chain");
                    request.clear();
                }
                Some((head, room.unwrap_or(0)))
            }
            _ => {
                state.breaks("head out of range, or in use");
                None
            }
        }
    }

    /// Answers the chain at `head`, and returns it to the driver.
    fn complete(&mut self, head: u16, range: Range<usize>, source: &mut dyn FnMut(&mut [u8])) {
        let state = &mut *self.state;
        let Some(chain) = state.chains.get_mut(usize::from(head)) else {
            return;
        };
        chain.taken = false;
        let written = chain
            .writable
            .write(&state.memory, range, &mut state.piece, source);
        if state.memory.is_lost() {
            // The driver shall not take what is there for the answer.
            state.breaks(REASON);
            return;
        }
        let written = u32::try_from(written).unwrap_or(u32::MAX);
        let queue = self.vring.get_queue_mut();
        if queue.add_used(&**state.memory, head, written).is_err() {
            state.breaks("used ring outside memory");
        } else if wants_interrupt(queue, &state.memory) {
            match self.vring.get_call() {
                // Fails if so many interrupts are pending that one more makes no difference.
                Some(call) => call.notify().unwrap_or_default(),
                None => state.owed = true,
            }
        }
    }

    /// Asks the driver for kicks. `true` if it made chains available meanwhile.
    fn listen(&mut self) -> bool {
        if !self.running() {
            return false;
        }
        self.state.listening = true;
        let queue = self.vring.get_queue_mut();
        let more = queue.enable_notification(&**self.state.memory);
        more.unwrap_or_else(|_| {
            self.state.breaks("used ring outside memory");
            false
        })
    }

    fn ask_for_no_kicks(&mut self) -> Result<(), Error> {
        let queue = self.vring.get_queue_mut();
        queue.disable_notification(&**self.state.memory)
    }

    pub(super) fn go_on(&mut self) {
        if !self.writable() {
            return;
        }
        for (head, start, bytes) in mem::take(&mut self.state.parked) {
            self.complete(head, start..start + bytes.len(), &mut pieces_of(&bytes));
        }
        // As often as there can be buffers: a driver that lends broken ones for ever is left alone.
        for _ in 0..self.vring.get_queue().size() {
            if self.state.events.is_empty() {
                break;
            }
            match self.take(&mut Vec::new(), 0) {
                // Nor would the message get through a broken one.
                Some((head, 0)) => self.complete(head, 0..0, &mut |_| {}),
                Some((head, room)) => {
                    let event = self.state.events.pop_front().unwrap_or_default();
                    self.complete(head, 0..event.len().min(room), &mut pieces_of(&event));
                }
                None if self.listen() => {}
                None => break,
            }
        }
    }
}

/// The next chain that the driver made available. An error is a ring that cannot be read, or whose
/// index cannot be right.
fn next_chain<'m>(
    queue: &mut VirtQueue,
    memory: &'m GuestMemoryMmap,
) -> Result<Option<DescriptorChain<&'m GuestMemoryMmap>>, Error> {
    if queue.avail_idx(memory, Ordering::Acquire)?.0 == queue.next_avail() {
        return Ok(None);
    }
    let chain = queue.iter(memory)?.next();
    chain.map(Some).ok_or(Error::InvalidAvailRingIndex)
}

/// Whether the driver wants to be interrupted for what was returned to it since this was asked last
/// (2.7.7.2).
fn wants_interrupt(queue: &mut VirtQueue, memory: &GuestMemoryMmap) -> bool {
    if queue.event_idx_enabled() {
        return queue.needs_notification(memory).unwrap_or(false);
    }
    // virtio-queue leaves the flag to us. The used index must be visible before the flag is read.
    fence(Ordering::SeqCst);
    let flags = memory
        .load(GuestAddress(queue.avail_ring()), Ordering::Relaxed)
        .map(u16::from_le);
    flags.is_ok_and(|flags| u32::from(flags) & VRING_AVAIL_F_NO_INTERRUPT == 0)
}

impl Ring for Inner {
    fn answer(&self, life: u32, head: u16, range: Range<usize>, source: &mut dyn FnMut(&mut [u8])) {
        let mut ring = self.lock();
        if ring.state.life != life || ring.state.broken {
            return;
        }
        if ring.writable() {
            ring.complete(head, range, source);
        } else {
            let mut bytes = vec![0; range.len()];
            source(&mut bytes);
            ring.state.parked.push((head, range.start, bytes));
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
