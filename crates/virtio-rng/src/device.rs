// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device: each request waits its turn, for its source and its limit, and is answered in full.
//!
//! A device may use less than the whole buffer (virtio 1.4, Entropy Device, Device Operation), but
//! drivers do not bear it. Linux's (6.12 to 7.3, `copy_data()` in `virtio-rng.c`) confuses how much of
//! an answer was read with how much is left: it loses bytes of some shorter answers, and after others
//! it waits for ever. Zephyr's takes any other length than what it asked for as an error.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::time::{Duration, Instant};

use virtio_backend::{Device, Queue, Reply, Stopped, Timer, Token, Watch};

use crate::{Limit, Source};

/// Longest answer: as much as a driver gets that asks for more. It bounds what one request, which may claim 4 GiB, takes
/// of the guest's loop and of the daemon's memory. Linux asks for 64 bytes, Zephyr for 64 KiB less 1 at most.
pub const MAX_ANSWER: usize = 64 << 10;

/// When to ask a source again that had too little to give, if it does not wake the guest's loop before.
const RETRY: Duration = Duration::from_secs(1);

/// A wait that is longer is said in the log: a guest's programs hang meanwhile, and do not say why.
const PATIENCE: Duration = Duration::from_secs(10);

/// The entropy device of one guest.
pub struct Rng {
    /// What the log calls the guest.
    guest: String,
    source: Box<dyn Source>,
    limit: Option<Limit>,
    /// In the order of the driver. While there are any, a timer is going to say [`ready`](Device::ready).
    waiting: VecDeque<Reply>,
    timer: Timer,
    /// The queue has stopped: what waits goes on waiting, so that no answers pile up in memory.
    stopped: bool,
    /// Since when the source has had too little for the first that waits.
    dry: Option<Instant>,
    /// What the log has about long waits: the rate does not change, and a source that is slow remains so.
    said: Said,
}

#[derive(Default)]
struct Said {
    rate: bool,
    source: bool,
}

impl Rng {
    /// A device that hands out what `source` gives, at most as fast as `limit` allows, to the guest that the log calls
    /// `guest`.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new(
        guest: &str,
        source: Box<dyn Source>,
        limit: Option<Limit>,
        watch: &Watch,
    ) -> io::Result<Self> {
        Ok(Self {
            guest: guest.to_owned(),
            source,
            limit,
            waiting: VecDeque::new(),
            timer: watch.timer(Token(0)),
            stopped: false,
            dry: None,
            said: Said::default(),
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

    /// Answers one request in full, or gives it back with the time to try again.
    fn answer(&mut self, reply: Reply) -> Result<(), (Reply, Duration)> {
        let length = reply.room().min(MAX_ANSWER);
        if let Some(limit) = &mut self.limit {
            if let Err(after) = limit.allows(length, Instant::now()) {
                let rate = limit.rate();
                self.wait_for_limit(length, rate, after);
                return Err((reply, after));
            }
        }
        if let Err(reply) = self.source.answer(reply, length) {
            self.wait_for_source(length);
            return Err((reply, RETRY));
        }
        self.dry = None;
        if let Some(limit) = &mut self.limit {
            limit.spend(length);
        }
        Ok(())
    }

    /// How long that will be is known at once.
    fn wait_for_limit(&mut self, length: usize, rate: u64, after: Duration) {
        if after > PATIENCE && !mem::replace(&mut self.said.rate, true) {
            log::warn!(
                "{}: a request of {length} bytes waits for {} s, as the rate is {rate} bytes/s: raise the rate, or have the \
                 guest use less",
                self.guest,
                after.as_secs()
            );
        }
    }

    fn wait_for_source(&mut self, length: usize) {
        let since = *self.dry.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE && !mem::replace(&mut self.said.source, true) {
            log::warn!(
                "{}: a request of {length} bytes has waited for more than {} s, as the source gives too little: choose a \
                 faster one, or have the guest use less",
                self.guest,
                PATIENCE.as_secs()
            );
        }
    }
}

impl Device for Rng {
    fn device_type(&self) -> u32 {
        4
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests]
    }

    /// The driver has nothing to say. What it says all the same is ignored.
    fn max_request(&self) -> usize {
        0
    }

    fn negotiated(&mut self, _features: u64) {
        self.stopped = false; // The queue is about to start, and the timer runs.
    }

    fn handle(&mut self, _queue: u16, _request: &[u8], reply: Reply) {
        if reply.room() == 0 {
            return reply.send(&[]); // Nothing can be put there, however long it waits.
        }
        self.waiting.push_back(reply);
        if mem::take(&mut self.stopped) || self.waiting.len() == 1 {
            self.serve(); // Otherwise the first of them waits for the timer already.
        }
    }

    fn drained(&mut self, _queue: u16) {
        if mem::take(&mut self.stopped) {
            self.serve();
        }
    }

    fn ready(&mut self, _token: Token) {
        if self.stopped {
            return self.timer.arm(RETRY); // In case that nothing else tells that the queue goes on.
        }
        self.serve(); // Ours or the source's: something may have changed.
    }

    fn stop(&mut self, _queue: u16, _stopped: Stopped) {
        self.stopped = true;
        self.dry = None; // The time that the guest is stopped is no wait of its.
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.source.forget();
        self.timer.disarm();
        self.stopped = false;
        self.dry = None;
        if let Some(limit) = &mut self.limit {
            limit.forget(); // All else of the limit stays as it is: a guest does not escape it by a reset.
        }
    }
}
