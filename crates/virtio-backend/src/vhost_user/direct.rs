// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device and its rings without a socket and without a thread, for fuzzing.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails"
)]

use std::sync::Arc;

use super::notice::Notices;
use super::place::Place;
use super::queues::{Host, Queues};
use crate::reactor::Reactor;
use crate::testing::{Layout, Memory};
use crate::{Device, Watch};

/// A device and its rings, as a session has them: what a worker does happens here on the caller's
/// thread, when it is asked for.
pub struct Direct<D: Device> {
    device: D,
    watch: Watch,
    queues: Queues,
    reactor: Arc<Reactor>,
    request: Vec<u8>,
    notices: Notices,
}

impl<D: Device> Direct<D> {
    /// The device that `make` makes, in a guest with this `memory`.
    pub fn new(memory: &Memory, make: impl FnOnce(&Watch) -> D) -> Self {
        let watch = Watch::new().unwrap();
        let device = make(&watch);
        let reactor = Reactor::new().unwrap();
        let idle = reactor.waker(0);
        let mut queues = Queues::new(&device, idle).unwrap();
        queues.set_memory(memory.map().clone(), &reactor);
        Self {
            device,
            watch,
            queues,
            reactor,
            request: Vec::new(),
            notices: Notices::new(1),
        }
    }

    /// The driver accepts `features`.
    pub fn set_features(&mut self, features: u64) {
        self.queues.set_features(features);
    }

    /// The driver sets a queue up at `layout`, from index `base` on. `false` if that is refused.
    pub fn start(&mut self, queue: usize, layout: &Layout, base: u16) -> bool {
        let (queues, mut host) = self.parts();
        let queue = queue as u16;
        let place = Place {
            size: layout.size,
            descriptors: layout.descriptors,
            available: layout.available,
            used: layout.used,
        };
        queues.set_enabled(queue, false, &mut host);
        queues.set_base(queue, base, &mut host);
        let started = queues.start(queue, place, base, &mut host).is_ok();
        if started {
            queues.set_enabled(queue, true, &mut host);
        }
        started
    }

    /// The front end stops a queue. Returns the base at which it would go on.
    pub fn stop(&mut self, queue: usize) -> u16 {
        let (queues, mut host) = self.parts();
        queues.stop(queue as u16, &mut host);
        queues.end(queue as u16)
    }

    /// The driver kicks a queue.
    pub fn kick(&mut self, queue: usize) {
        let (queues, mut host) = self.parts();
        queues.serve(queue as u16, &mut host);
    }

    /// The worker looks after what the device watches, and takes up what it left for later.
    pub fn poll(&mut self) {
        let mut tokens = Vec::new();
        self.watch.poll(|token| tokens.push(token));
        let (queues, mut host) = self.parts();
        for token in tokens {
            queues.ready(token, &mut host);
        }
        queues.serve_all(&mut host);
    }

    fn parts(&mut self) -> (&mut Queues, Host<'_>) {
        let host = Host {
            name: "direct",
            device: &mut self.device,
            request: &mut self.request,
            polls: false,
            reactor: &self.reactor,
            comings: &self.notices,
            warnings: &self.notices,
        };
        (&mut self.queues, host)
    }
}
