// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A ring while one thread has it: chains are taken from it, answered and returned.

use std::mem;
use std::ops::Range;
use std::sync::MutexGuard;
use std::sync::atomic::{Ordering, fence};

use vhost_user_backend::VringState;
use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{Error, Queue as VirtQueue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::chain::Descriptors;
use super::lost::{Guarded, REASON};
use super::ring::{NoMemory, Pause, Phase, State};
use crate::reply::pieces_of;

/// A ring, for as long as nobody else touches it.
pub(super) struct Locked<'a> {
    pub(super) state: MutexGuard<'a, State>,
    pub(super) vring: MutexGuard<'a, VringState<NoMemory>>,
}

/// A chain that the device has from now on.
pub(super) struct Taken {
    /// Its number in [`Chains`](super::chains::Chains).
    pub(super) chain: u16,
    /// For the answer.
    pub(super) room: usize,
    /// An earlier back end had it.
    pub(super) is_repeated: bool,
}

impl Locked<'_> {
    /// Whether the driver's buffers may be taken.
    pub(super) fn running(&self) -> bool {
        !self.state.broken && self.vring.get_queue().ready() && self.vring.is_enabled()
    }

    pub(super) fn pause(&mut self) -> Pause {
        Pause {
            running: self.running(),
            fault: self.state.fault.take(),
        }
    }

    /// Whether guest memory may be written: while the ring runs, and to finish what was begun
    /// before it stops.
    pub(super) fn writable(&self) -> bool {
        self.running() || !self.state.broken && self.state.phase == Phase::Stopping
    }

    /// Takes the next chain. A broken one has no room, and says nothing.
    pub(super) fn take(&mut self, request: &mut Vec<u8>, limit: usize) -> Option<Taken> {
        if !self.running() {
            return None;
        }
        let state = &mut *self.state;
        let queue = self.vring.get_queue_mut();
        let again = state.again.pop_front();
        // An entry that cannot be read is none: what was seen before tells.
        let next = |queue: &mut VirtQueue| -> Result<_, Error> {
            let chain = queue.iter(&*state.memory)?.next();
            Ok(chain.map(|chain| chain.head_index()))
        };
        let head = match again {
            Some(head) => head,
            None => match (next(queue), mem::take(&mut state.seen)) {
                (Ok(Some(head)), _) => head,
                (Ok(None), false) => return None,
                (Ok(None), true) | (Err(_), _) => {
                    state.breaks("available ring outside memory, or its index jumped");
                    return None;
                }
            },
        };
        state.forgotten = false;
        let entries = queue.size();
        let index = state.chains.take(head).filter(|_| head < entries);
        let Some((index, own)) =
            index.and_then(|index| Some((index, state.chains.get_mut(index)?)))
        else {
            state.breaks("head out of range, or in use");
            return None;
        };
        if let (Some(inflight), None) = (&mut state.inflight, again) {
            inflight.taken(head);
        }
        let chain = Descriptors::new(&state.memory, queue.desc_table(), entries, head);
        let room = own.writable.walk(chain, request, limit);
        if state.memory.is_lost() {
            // That may not be what the driver wrote.
            state.breaks(REASON);
            return None;
        }
        if room.is_none() {
            state.fault = Some("broken descriptor chain");
            request.clear();
        }
        Some(Taken {
            chain: index,
            room: room.unwrap_or(0),
            is_repeated: again.is_some(),
        })
    }

    /// Answers a chain, and returns it to the driver.
    pub(super) fn complete(
        &mut self,
        index: u16,
        range: Range<usize>,
        source: &mut dyn FnMut(&mut [u8]),
    ) {
        let state = &mut *self.state;
        let Some(chain) = state.chains.get(index) else {
            return;
        };
        let head = chain.head;
        let log = state.log.as_deref();
        let written = chain.writable.write(&state.memory, log, range, source);
        state.chains.release(index, head);
        if state.memory.is_lost() {
            // The driver shall not take what is there for the answer.
            state.breaks(REASON);
            return;
        }
        let written = u32::try_from(written).unwrap_or(u32::MAX);
        let queue = self.vring.get_queue_mut();
        if let Some(inflight) = &state.inflight {
            inflight.returning(head);
        }
        let returned = queue.add_used(&*state.memory, head, written);
        if let Some(inflight) = &state.inflight {
            inflight.returned(head, queue.next_used());
        }
        state.note_used(queue);
        if returned.is_err() {
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
    pub(super) fn listen(&mut self) -> bool {
        if !self.running() {
            return false;
        }
        self.state.listening = true;
        let queue = self.vring.get_queue_mut();
        let more = queue.enable_notification(&*self.state.memory);
        self.state.note_used(queue);
        match more {
            Ok(more) => self.state.seen = more,
            Err(_) => self.state.breaks("used ring outside memory"),
        }
        self.state.seen
    }

    pub(super) fn ask_for_no_kicks(&mut self) -> Result<(), Error> {
        let queue = self.vring.get_queue_mut();
        queue.disable_notification(&*self.state.memory)?;
        self.state.note_used(queue);
        Ok(())
    }

    pub(super) fn go_on(&mut self) {
        let nothing_waits = self.state.parked.is_empty() && self.state.events.is_empty();
        if nothing_waits || !self.writable() {
            return;
        }
        for (chain, start, bytes) in mem::take(&mut self.state.parked) {
            self.complete(chain, start..start + bytes.len(), &mut pieces_of(&bytes));
        }
        // As often as there can be buffers: a driver that lends broken ones for ever is left alone.
        for _ in 0..self.vring.get_queue().size() {
            if self.state.events.is_empty() {
                break;
            }
            match self.take(&mut Vec::new(), 0) {
                // Nor would the message get through a broken one.
                Some(Taken { chain, room: 0, .. }) => self.complete(chain, 0..0, &mut |_| {}),
                Some(Taken { chain, room, .. }) => {
                    let event = self.state.events.pop_front().unwrap_or_default();
                    self.complete(chain, 0..event.len().min(room), &mut pieces_of(&event));
                }
                None if self.listen() => {}
                None => break,
            }
        }
    }
}

/// Whether the driver wants to be interrupted for what was returned to it since this was asked last
/// (2.7.7.2).
fn wants_interrupt(queue: &mut VirtQueue, memory: &Guarded) -> bool {
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
