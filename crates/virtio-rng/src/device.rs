// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device: each request waits its turn, for its source and its limit, and is answered.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use virtio_backend::{Device, Queue, Reply, Timer, Token, Watch};

use crate::{Limit, Source};

/// Longest answer. It bounds how long one request, which may claim 4 GiB, keeps the guest's loop; a device may use less
/// than the whole buffer (virtio 1.4, Entropy Device, Device Operation).
pub const MAX_ANSWER: usize = 64 << 10;

/// When to ask a source again that had nothing to give, if it does not wake the guest's loop before.
const RETRY: Duration = Duration::from_secs(1);

/// The entropy device of one guest.
pub struct Rng {
    source: Box<dyn Source>,
    limit: Option<Limit>,
    /// In the order of the driver. While there are any, a timer is going to say [`ready`](Device::ready).
    waiting: VecDeque<Reply>,
    timer: Timer,
}

impl Rng {
    /// A device that hands out what `source` gives, at most as fast as `limit` allows.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new(source: Box<dyn Source>, limit: Option<Limit>, watch: &Watch) -> io::Result<Self> {
        Ok(Self {
            source,
            limit,
            waiting: VecDeque::new(),
            timer: watch.timer(Token(0))?,
        })
    }

    /// Answers requests as long as there is something to answer them with.
    fn serve(&mut self) {
        while let Some(reply) = self.waiting.pop_front() {
            if let Err((reply, after)) = self.answer(reply) {
                self.waiting.push_front(reply);
                return self.timer.arm(after);
            }
        }
    }

    /// Answers one request, or gives it back with the time to try again.
    fn answer(&mut self, reply: Reply) -> Result<(), (Reply, Duration)> {
        let mut length = reply.room().min(MAX_ANSWER);
        if let Some(limit) = &mut self.limit {
            match limit.allowed(length, Instant::now()) {
                Ok(allowed) => length = allowed,
                Err(after) => return Err((reply, after)),
            }
        }
        let given = match self.source.answer(reply, length) {
            Ok(given) => given,
            Err(reply) => return Err((reply, RETRY)),
        };
        if let Some(limit) = &mut self.limit {
            limit.spend(given);
        }
        Ok(())
    }
}

impl Device for Rng {
    const QUEUES: &'static [Queue] = &[Queue::Requests];
    /// The driver has nothing to say. What it says all the same is ignored.
    const MAX_REQUEST: usize = 0;

    fn handle(&mut self, _queue: u16, _request: &[u8], reply: Reply) {
        if reply.room() == 0 {
            return reply.send(&[]); // Nothing can be put there, however long it waits.
        }
        self.waiting.push_back(reply);
        if self.waiting.len() == 1 {
            self.serve(); // Otherwise the first of them waits for the timer already.
        }
    }

    fn ready(&mut self, _token: Token) {
        self.serve(); // Ours or the source's: something may have changed.
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.timer.disarm();
        // The limit stays as it is: a guest does not escape it by a reset.
    }
}
