// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What was read of a file ahead of the guests' requests, and to whom it goes: each byte to one guest only.
//!
//! 1. What is read while no guest waits is free: a request that it is enough for is answered at once.
//! 2. Guests that wait take turns of one [`CHUNK`] each, until their requests can be answered in full.
//! 3. What was read for a guest that is reset or gone, and not handed out, is free again.

use std::collections::VecDeque;
use std::sync::Arc;

use virtio_backend::Waker;

/// Reading stops when no guest waits and so many bytes are free: a slow source is not drained without need. As many as
/// the start-up test takes, since they have been read anyway.
const AHEAD: usize = 1024;

/// Longest read, and a guest's turn. `/dev/hwrng` returns when it has all that was asked for, and a TPM makes a few
/// hundred bytes a second.
pub(super) const CHUNK: usize = 256;

/// What was read and is not handed out.
#[derive(Default)]
pub(super) struct Ahead {
    /// There are none while a guest waits for more.
    free: VecDeque<u8>,
    /// In the order of their turns, and with those that have all.
    waits: VecDeque<Wait>,
    /// No guest is going to ask any more.
    pub(super) closed: bool,
}

/// A request that could not be answered at once.
struct Wait {
    /// Of the guest's device.
    waker: Arc<Waker>,
    /// What was read for it.
    bytes: Vec<u8>,
    length: usize,
}

impl Wait {
    fn missing(&self) -> usize {
        self.length - self.bytes.len()
    }
}

impl Ahead {
    /// Takes `length` bytes for the guest of `waker`. If there are not so many, the guest waits, and is woken for them.
    pub(super) fn ask(&mut self, waker: &Arc<Waker>, length: usize) -> Option<Vec<u8>> {
        let place = self.place(waker).unwrap_or(self.waits.len());
        let mut wait = self.waits.remove(place).unwrap_or_else(|| Wait {
            waker: Arc::clone(waker),
            bytes: Vec::with_capacity(length),
            length,
        });
        let taken = wait.missing().min(self.free.len());
        wait.bytes.extend(self.free.drain(..taken));
        if wait.missing() == 0 {
            return Some(wait.bytes);
        }
        self.waits.insert(place, wait);
        None
    }

    /// The guest of `waker` does not wait any more.
    pub(super) fn forget(&mut self, waker: &Arc<Waker>) {
        let place = self.place(waker);
        if let Some(wait) = place.and_then(|place| self.waits.remove(place)) {
            self.put(wait.bytes);
        }
    }

    fn place(&self, waker: &Arc<Waker>) -> Option<usize> {
        let mut waits = self.waits.iter();
        waits.position(|wait| Arc::ptr_eq(&wait.waker, waker))
    }

    /// Hands `bytes` to the guests that wait, in turns.
    pub(super) fn put(&mut self, bytes: impl IntoIterator<Item = u8>) {
        self.free.extend(bytes);
        while !self.free.is_empty() {
            let Some(place) = self.next() else { return };
            let Some(wait) = self.waits.get_mut(place) else {
                return;
            };
            // However little a read brings, a turn ends with a whole chunk.
            let turn = CHUNK - wait.bytes.len() % CHUNK;
            let taken = turn.min(wait.missing()).min(self.free.len());
            wait.bytes.extend(self.free.drain(..taken));
            if wait.missing() == 0 {
                wait.waker.wake();
            }
            if taken == turn {
                let last = self.waits.remove(place);
                self.waits.extend(last);
            }
        }
    }

    /// Where the guest is whose turn it is.
    fn next(&self) -> Option<usize> {
        self.waits.iter().position(|wait| wait.missing() > 0)
    }

    /// Forgets what was read: the source is not healthy.
    pub(super) fn discard(&mut self) {
        self.free.clear();
        for wait in &mut self.waits {
            wait.bytes.clear();
        }
    }

    /// Whether the source is to be read.
    pub(super) fn is_wanted(&self) -> bool {
        self.free.len() < AHEAD || self.next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use virtio_backend::{Token, Watch};

    use super::*;

    #[test]
    fn a_turn_is_a_chunk_however_little_is_read_at_a_time() {
        let watch = Watch::new().unwrap();
        let [first, second] = [0, 1].map(|guest| Arc::new(watch.waker(Token(guest))));
        let mut ahead = Ahead::default();
        assert_eq!(ahead.ask(&first, 512), None);
        assert_eq!(ahead.ask(&second, 300), None);
        let bytes: Vec<_> = (0..812_u32).map(|it| it.to_le_bytes()[0]).collect();
        for piece in bytes.chunks(10) {
            ahead.put(piece.iter().copied());
        }
        let expected = [&bytes[..256], &bytes[512..768]].concat();
        assert_eq!(ahead.ask(&first, 512), Some(expected));
        let expected = [&bytes[256..512], &bytes[768..]].concat();
        assert_eq!(ahead.ask(&second, 300), Some(expected));
    }
}
