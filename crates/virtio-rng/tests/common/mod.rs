// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device and the loop around it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use virtio_backend::testing::{Answer, LIMIT, reply};
use virtio_backend::{Device, Watch};
use virtio_rng::{Limit, Rng, Source};

pub(crate) struct Guest {
    pub(crate) rng: Rng,
    watch: Watch,
}

impl Guest {
    /// A guest with the source that `open` opens.
    pub(crate) fn new<S: Source + 'static>(
        limit: Option<Limit>,
        open: impl FnOnce(&Watch) -> S,
    ) -> Self {
        let watch = Watch::new().unwrap();
        let rng = Rng::new("guest", Box::new(open(&watch)), limit, &watch).unwrap();
        Self { rng, watch }
    }

    /// Asks for `room` bytes.
    pub(crate) fn ask(&mut self, room: usize) -> Answer {
        let (reply, answer) = reply(room);
        self.rng.handle(0, &[], reply);
        answer
    }

    /// Runs the guest's loop until there is the answer.
    pub(crate) fn wait(&mut self, answer: &Answer) -> Vec<u8> {
        let start = Instant::now();
        loop {
            if let Some(bytes) = answer.now() {
                return bytes;
            }
            assert!(start.elapsed() < LIMIT, "no answer");
            self.turn();
        }
    }

    /// Runs the guest's loop once.
    pub(crate) fn turn(&mut self) {
        wait_for(&self.watch);
        self.watch.poll(|token| self.rng.ready(token));
    }
}

/// Waits until something is ready.
pub(crate) fn wait_for(watch: &Watch) {
    let limit = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    assert_ne!(
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&limit)),
        Ok(0),
        "no answer"
    );
}
