// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device's rings without a socket and without a thread: for fuzzing.

use std::sync::Arc;

use vhost_user_backend::{VhostUserBackend, VringT};
use vm_memory::GuestMemoryMmap;
use vmm_sys_util::epoll::EventSet;

use super::Guest;
use super::ring::{Memory, Vring};
use super::session::{MAX_QUEUE_SIZE, Session};
use crate::testing::Layout;
use crate::{Device, Watch};

/// A device and its rings, driven by method calls: what a session does on its threads happens when it is asked for, on
/// the caller's.
pub struct Direct<D: Device> {
    guest: Arc<Guest<D>>,
    session: Session<D>,
    vrings: Vec<Vring>,
}

impl<D: Device> Direct<D> {
    /// The rings of `device` in guest `memory`, none of them started.
    pub(crate) fn new(memory: GuestMemoryMmap, device: D, watch: Watch) -> Self {
        let guest = Guest::new("direct", device, watch).unwrap();
        let memory = Memory::new(memory);
        let vring = |_| Vring::new(memory.clone(), MAX_QUEUE_SIZE as u16).unwrap();
        Self {
            session: Session::new(guest.clone()).unwrap(),
            guest,
            vrings: D::QUEUES.iter().map(vring).collect(),
        }
    }
}
