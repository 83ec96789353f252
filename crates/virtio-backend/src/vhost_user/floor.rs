// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The least that a back end can do, to measure devices against.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on fails"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fs::{OFlags, fcntl_setfl};
use vhost::vhost_user::Listener;
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::{VhostUserBackend, VhostUserDaemon, VringMutex, VringState, VringT};
use virtio_queue::QueueT;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

use super::MAX_QUEUE_SIZE;
use crate::testing::feature;

/// Whatever the device offers that it stands for (virtio 2.2).
const DEVICE_BITS: u64 = (1 << 24) - 1;

/// How a [`Floor`] waits for a kick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Reads it, and blocks in that.
    Read,
    /// Waits with epoll until it is written to: what can wait for more than one ring.
    Epoll,
}

/// The least that serves a ring: it waits for a kick, takes the chain, returns it and interrupts.
/// vhost-user-backend sets the ring up, and lends its worker for good.
pub struct Floor {
    memory: GuestMemoryAtomic<GuestMemoryMmap>,
    /// Used length of each chain.
    length: u32,
    waits: Waits,
    /// What the worker of vhost-user-backend waits with, once there is one.
    worker: AtomicI32,
}

impl Floor {
    /// Serves one guest, on a thread that ends with the process. Each answer is of `length` bytes,
    /// and nothing is written.
    pub fn serve(socket: &Path, length: u32, waits: Waits) {
        let mut listener = Listener::new(socket, false).unwrap();
        let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        let floor = Arc::new(Self {
            memory: memory.clone(),
            length,
            waits,
            worker: AtomicI32::new(-1),
        });
        let mut daemon = VhostUserDaemon::new("floor".into(), Arc::clone(&floor), memory).unwrap();
        let worker = daemon.get_epoll_handlers()[0].as_raw_fd();
        floor.worker.store(worker, Ordering::Relaxed);
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
        let worker = self.worker.load(Ordering::Relaxed);
        // SAFETY: all three are open for longer than this is used: the ring keeps its kick, and the
        // worker, on which this runs, its epoll.
        #[expect(unsafe_code, reason = "vmm-sys-util's events are not AsFd")]
        let [fd, own, worker] = [
            kick.as_raw_fd(),
            vring.get_kick().as_ref().unwrap().as_raw_fd(),
            worker,
        ]
        .map(|fd| unsafe { BorrowedFd::borrow_raw(fd) });
        // Or each kick would be noted there, too, and cost more than the least.
        epoll::delete(worker, own)?;
        if self.waits == Waits::Read {
            // The driver made it not to block, and does not mind: it only writes.
            fcntl_setfl(fd, OFlags::empty())?;
            return Err(self.serve_ring(&memory, &mut vring, || kick.consume()));
        }
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // Each write is an edge: it never needs to be read.
        let edges = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, fd, EventData::new_u64(0), edges)?;
        // The kick for which we are here is still in it.
        let wait = || {
            let mut events = [const { MaybeUninit::uninit() }; 1];
            epoll::wait(&epoll, &mut events, None)?;
            Ok(())
        };
        Err(self.serve_ring(&memory, &mut vring, wait))
    }
}

impl Floor {
    /// Serves the ring until something fails.
    fn serve_ring(
        &self,
        memory: &GuestMemoryMmap,
        vring: &mut VringState,
        mut wait: impl FnMut() -> io::Result<()>,
    ) -> io::Error {
        loop {
            match wait() {
                // A tracer that attaches interrupts: what there is stays there.
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return error,
                _ => {}
            }
            // There is none when the driver starts, and more than one if it was faster than
            // `enable_notification`.
            while let Some(chain) = vring.get_queue_mut().pop_descriptor_chain(memory) {
                let (queue, head) = (vring.get_queue_mut(), chain.head_index());
                queue.add_used(memory, head, self.length).unwrap();
                // With EVENT_IDX the driver kicks only if it was asked to since the last time.
                queue.enable_notification(memory).unwrap();
                vring.signal_used_queue().unwrap();
            }
        }
    }
}
