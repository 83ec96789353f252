// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The least that a back end can do, to measure devices against.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on fails"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rustix::fs::{OFlags, fcntl_setfl};
use vhost::vhost_user::Listener;
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::{VhostUserBackend, VhostUserDaemon, VringMutex, VringT};
use virtio_queue::QueueT;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

use super::session::MAX_QUEUE_SIZE;
use crate::testing::feature;

/// Whatever the device offers that it stands for (virtio 2.2).
const DEVICE_BITS: u64 = (1 << 24) - 1;

/// The least that serves a ring: it waits for a kick, takes the chain, returns it and interrupts.
/// vhost-user-backend sets the ring up, and lends its worker for good.
pub(crate) struct Floor {
    memory: GuestMemoryAtomic<GuestMemoryMmap>,
    /// Used length of each chain.
    length: u32,
}

impl Floor {
    /// Serves one guest, on a thread that ends with the process.
    pub(crate) fn serve(socket: &Path, length: u32) {
        let mut listener = Listener::new(socket, false).unwrap();
        let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        let floor = Arc::new(Self {
            memory: memory.clone(),
            length,
        });
        let mut daemon = VhostUserDaemon::new("floor".into(), floor, memory).unwrap();
        thread::spawn(move || {
            daemon.start(&mut listener).unwrap();
            daemon.wait()
        });
    }
}

impl VhostUserBackend for Floor {
    type Bitmap = ();
    type Vring = VringMutex;

    fn num_queues(&self) -> usize {
        1
    }

    fn max_queue_size(&self) -> usize {
        MAX_QUEUE_SIZE.into()
    }

    fn features(&self) -> u64 {
        feature::ALL | DEVICE_BITS
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::REPLY_ACK
    }

    fn set_event_idx(&self, _enabled: bool) {}

    fn update_memory(&self, _memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        Ok(())
    }

    fn handle_event(
        &self,
        _event: u16,
        _events: EventSet,
        vrings: &[VringMutex],
        _thread: usize,
    ) -> io::Result<()> {
        let memory = self.memory.memory();
        let mut vring = vrings[0].get_mut();
        let kick = vring.get_kick().as_ref().unwrap().try_clone()?;
        // SAFETY: `kick` is open for longer than this is used.
        #[expect(unsafe_code, reason = "vmm-sys-util's events are not AsFd")]
        let fd = unsafe { BorrowedFd::borrow_raw(kick.as_raw_fd()) };
        // The driver made it not to block, and does not mind: it only writes.
        fcntl_setfl(fd, OFlags::empty())?;
        loop {
            kick.consume()?;
            // There is none when the driver starts, and more than one if it was faster than
            // `enable_notification`.
            while let Some(chain) = vring.get_queue_mut().pop_descriptor_chain(&*memory) {
                let (queue, head) = (vring.get_queue_mut(), chain.head_index());
                queue.add_used(&*memory, head, self.length).unwrap();
                // With EVENT_IDX the driver kicks only if it was asked to since the last time.
                queue.enable_notification(&*memory).unwrap();
                vring.signal_used_queue()?;
            }
        }
    }
}
