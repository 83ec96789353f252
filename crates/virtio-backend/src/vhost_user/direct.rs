// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device and its rings without a socket and without a thread, for fuzzing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails"
)]

use std::sync::Arc;

use vhost_user_backend::{VhostUserBackend, VringT};
use vmm_sys_util::epoll::EventSet;

use super::Guest;
use super::ring::{Memory as SharedMemory, Vring};
use super::session::{MAX_QUEUE_SIZE, Session};
use crate::testing::{Layout, Memory, feature};
use crate::{Device, Watch};

/// A device and its rings, as a session has them: what a session does on its threads happens here
/// on the caller's, when it is asked for.
pub struct Direct<D: Device> {
    session: Arc<Session<D>>,
    vrings: Vec<Vring>,
}

impl<D: Device> Direct<D> {
    /// The device that `make` makes, in a guest with this `memory`.
    pub fn new(memory: &Memory, make: impl FnOnce(&Watch) -> D) -> Self {
        let watch = Watch::new().unwrap();
        let guest = Guest::new("direct", make(&watch), watch).unwrap();
        let shared = SharedMemory::new(memory.map().clone());
        let vring = |_| Vring::new(shared.clone(), MAX_QUEUE_SIZE).unwrap();
        let vrings = D::QUEUES.iter().map(vring).collect();
        let session = Arc::new(Session::new(guest).unwrap());
        session.update_memory(shared).unwrap();
        Self { session, vrings }
    }

    /// The driver accepts `features`.
    pub fn set_features(&self, features: u64) {
        self.session.acked_features(features);
        for vring in &self.vrings {
            vring.set_queue_event_idx(features & feature::EVENT_IDX != 0);
        }
    }

    /// The driver sets a queue up at `layout`, from index `base` on. `false` if that is refused.
    pub fn start(&self, queue: usize, layout: &Layout, base: u16) -> bool {
        let vring = &self.vrings[queue];
        vring.set_enabled(false);
        vring.set_queue_size(layout.size);
        vring.set_queue_next_avail(base);
        if vring
            .set_queue_info(layout.descriptors, layout.available, layout.used)
            .is_err()
        {
            return false;
        }
        vring.set_queue_next_used(vring.queue_used_idx().unwrap());
        vring.set_queue_ready(true);
        vring.set_enabled(true);
        true
    }

    /// The front end stops a queue. Returns the base at which it would go on.
    pub fn stop(&self, queue: usize) -> u16 {
        self.vrings[queue].set_queue_ready(false);
        self.session.stop_vring(queue as u32).unwrap();
        self.vrings[queue].queue_next_avail()
    }

    /// The driver kicks a queue.
    pub fn kick(&self, queue: usize) {
        self.event(queue as u16);
    }

    /// The worker looks after what the device watches, and takes up what it left for later.
    pub fn poll(&self) {
        self.event(Session::<D>::WATCH);
        self.event(Session::<D>::WAKE);
    }

    fn event(&self, event: u16) {
        self.session
            .handle_event(event, EventSet::IN, &self.vrings, 0)
            .unwrap();
    }
}
