// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One front end's connection: what vhost-user-backend asks, answered by the guest's device.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use log::{Level, debug};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{FdFlags, fcntl_setfd};
use vhost::vhost_user::Backend;
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackend, VringEpollHandler};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};
use vm_memory::{GuestAddressSpace, GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::epoll::EventSet;

use super::lost::{Guarded, REASON};
use super::ring::{Memory, Next, Pause, Vring};
use super::{Guest, State, raise};
use crate::{Device, Queue, lock};

/// QEMU's virtio-mmio lets the guest choose this many entries.
pub(super) const MAX_QUEUE_SIZE: u16 = 1024;

/// Requests that a ring may make in its turn. Then the worker sees to what else there is: a guest
/// that never stops asking gets neither around its timers nor around its own end.
const TURN: usize = 64;

/// The connection of one front end.
///
/// What happens to the device happens on the connection's worker, but for `stop`, `config`, and the
/// reset of RESET_DEVICE, which the thread that reads the socket sees through. The rest of what
/// that thread hears it notes, and the worker catches up before it does anything else.
pub(super) struct Session<D: Device> {
    guest: Arc<Guest<D>>,
    has_config: bool,
    features: u64,
    /// The features that the driver accepted, and whether the device is still to hear of them.
    accepted: AtomicU64,
    negotiated: AtomicBool,
    /// A ring was stopped, and none went on since.
    stopped: AtomicBool,
    /// The rings, which vhost-user-backend shows with each event, but not for RESET_DEVICE.
    vrings: OnceLock<Vec<Vring>>,
    /// The memory that the rings are in. Locked before them.
    memory: Mutex<Arc<Guarded>>,
    /// The worker, which has the session.
    worker: OnceLock<Weak<VringEpollHandler<Arc<Self>>>>,
    /// Kept open: User-Mode Linux takes its end for the end of the device.
    channel: Mutex<Option<Backend>>,
    /// Wakes the worker: for another turn, because the memory is lost, or because the session is
    /// over. vhost-user-backend has an event of its own for the latter, and leaks it.
    wake: Arc<OwnedFd>,
    over: AtomicBool,
}

impl<D: Device> Session<D> {
    #[expect(clippy::cast_possible_truncation, reason = "a device has a few queues")]
    const QUEUES: u16 = D::QUEUES.len() as u16;

    // The worker's events are numbers: a queue's that it runs, one of vhost-user-backend's own, and
    // from there on ours. The last are a queue's that it was kicked.
    pub(super) const WATCH: u16 = Self::QUEUES + 1;
    pub(super) const WAKE: u16 = Self::WATCH + 1;
    const KICKED: u16 = Self::WAKE + 1;

    pub(super) fn new(guest: Arc<Guest<D>>) -> io::Result<Self> {
        let ring_features = 1 << VIRTIO_F_VERSION_1
            | 1 << VIRTIO_RING_F_INDIRECT_DESC
            | 1 << VIRTIO_RING_F_EVENT_IDX;
        let (has_config, features) = {
            let device = &lock(&guest.state).device;
            (
                !device.config().is_empty(),
                device.features()
                    | ring_features
                    | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits(),
            )
        };
        Ok(Self {
            guest,
            has_config,
            features,
            accepted: AtomicU64::new(0),
            negotiated: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            vrings: OnceLock::new(),
            memory: Mutex::default(),
            worker: OnceLock::new(),
            channel: Mutex::new(None),
            wake: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?),
            over: AtomicBool::new(false),
        })
    }

    /// Has `worker` wait also for what the device watches, and to be woken.
    pub(super) fn attach(&self, worker: &Arc<VringEpollHandler<Arc<Self>>>) -> io::Result<()> {
        self.worker.get_or_init(|| Arc::downgrade(worker));
        let watch = self.guest.watch.as_fd().as_raw_fd();
        // First what ends the worker.
        worker.register_listener(self.wake.as_raw_fd(), EventSet::IN, Self::WAKE.into())?;
        worker.register_listener(watch, EventSet::IN, Self::WATCH.into())
    }

    /// Ends the worker. Without this, dropping the daemon would wait for it for ever.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        raise(&self.wake);
    }

    /// Whether the guest has lost its memory, and the session is to end.
    pub(super) fn is_lost(&self) -> bool {
        lock(&self.memory).is_lost()
    }

    /// Tells the device what the front end did since the last event.
    fn catch_up(&self, device: &mut D, vrings: &[Vring]) {
        // Each ring is to forget, so no short cut.
        let reset = vrings
            .iter()
            .fold(false, |reset, vring| reset | vring.was_reset());
        if reset {
            self.guest.notice(Level::Info, format_args!("reset"));
            device.reset();
            for (vring, queue) in vrings.iter().zip(D::QUEUES) {
                // One on which nothing was said yet looks as if it went on.
                if *queue == Queue::Events {
                    vring.forget();
                }
            }
            self.stopped.store(false, Ordering::Release);
        }
        // The features of a new life arrive before the base that tells of it: they are told again.
        if self.negotiated.swap(false, Ordering::AcqRel) || reset {
            device.negotiated(self.accepted.load(Ordering::Acquire));
        }
    }

    /// Sees to what the driver put into a ring.
    fn serve(&self, queue: u16, vring: &Vring, device: &mut D, request: &mut Vec<u8>) {
        let pause = match D::QUEUES.get(usize::from(queue)) {
            Some(Queue::Requests) => self.take_turn(queue, vring, device, request),
            Some(Queue::Events) => {
                let (events, pause) = vring.go_on();
                self.resume(pause.running);
                if let Some(events) = events {
                    device.events(queue, events);
                }
                if pause.running {
                    device.lent(queue);
                }
                Some(pause)
            }
            None => None,
        };
        if let Some(fault) = pause.and_then(|pause| pause.fault) {
            debug!("{}: queue {queue}: {fault}", self.guest.name);
        }
    }

    /// Hands requests to the device until there are no more, or it is somebody else's turn.
    fn take_turn(
        &self,
        queue: u16,
        vring: &Vring,
        device: &mut D,
        request: &mut Vec<u8>,
    ) -> Option<Pause> {
        for _ in 0..TURN {
            match vring.next_request(request, D::MAX_REQUEST) {
                Next::Request(reply) => {
                    self.resume(true);
                    device.handle(queue, request, reply);
                }
                Next::More => {}
                Next::Nothing(pause) => {
                    self.resume(pause.running);
                    if pause.running {
                        device.drained(queue);
                    }
                    return Some(pause);
                }
            }
        }
        raise(&self.wake);
        None
    }

    /// A ring is served. Told if it was stopped before.
    fn resume(&self, running: bool) {
        if running
            && self.stopped.load(Ordering::Acquire)
            && self.stopped.swap(false, Ordering::AcqRel)
        {
            self.guest.notice(Level::Info, format_args!("resumed"));
        }
    }
}

impl<D: Device> VhostUserBackend for Session<D> {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        D::QUEUES.len()
    }

    fn max_queue_size(&self) -> usize {
        MAX_QUEUE_SIZE.into()
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn acked_features(&self, features: u64) {
        self.accepted.store(features, Ordering::Release);
        self.negotiated.store(true, Ordering::Release);
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        let mut features = VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::BACKEND_REQ
            | VhostUserProtocolFeatures::RESET_DEVICE
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS;
        features.set(VhostUserProtocolFeatures::CONFIG, self.has_config);
        features
    }

    fn reset_device(&self) {
        let mut state = lock(&self.guest.state);
        self.vrings
            .get()
            .into_iter()
            .flatten()
            .for_each(Vring::forget);
        state.device.reset();
    }

    fn set_event_idx(&self, _enabled: bool) {}

    /// Any part of the configuration space: front ends abort a VM over an error.
    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = lock(&self.guest.state).device.config();
        let mut bytes: Vec<u8> = config
            .into_iter()
            .skip(offset as usize)
            .take(size as usize)
            .collect();
        bytes.resize(size as usize, 0);
        bytes
    }

    /// The memory was replaced: what is being written goes to the former one, so that has to end.
    /// A command that a device runs is not to have it.
    ///
    /// Nobody uses it before it is guarded: a ring is moved to it after that, and what
    /// vhost-user-backend reads itself comes later on this thread.
    fn update_memory(&self, memory: Memory) -> io::Result<()> {
        let memory = memory.memory();
        for region in memory.iter() {
            if let Some(file) = region.file_offset() {
                fcntl_setfd(file.file(), FdFlags::CLOEXEC)?;
            }
        }
        let guarded = Arc::new(Guarded::new((*memory).clone(), &self.wake));
        let mut current = lock(&self.memory);
        for vring in self.vrings.get().into_iter().flatten() {
            vring.move_to(&guarded);
        }
        let former = mem::replace(&mut *current, guarded);
        if former.is_lost() {
            // What was lost may be in the new one as well, where it looks as if it were there.
            return Err(io::Error::other(REASON));
        }
        Ok(())
    }

    fn set_backend_req_fd(&self, channel: Backend) {
        *lock(&self.channel) = Some(channel);
    }

    /// The ring takes nothing more. Waits for the request that the worker is in, then lets the
    /// device finish.
    fn stop_vring(&self, queue: u32) -> io::Result<()> {
        let mut state = lock(&self.guest.state);
        if let Ok(queue) = u16::try_from(queue) {
            state.device.stop(queue);
        }
        self.stopped.store(true, Ordering::Release);
        Ok(())
    }

    fn handle_event(
        &self,
        event: u16,
        _events: EventSet,
        vrings: &[Vring],
        _thread: usize,
    ) -> io::Result<()> {
        if self.vrings.get().is_none() {
            // Locked until they are known, so that they miss no other memory.
            let memory = lock(&self.memory);
            for vring in vrings {
                vring.move_to(&memory);
            }
            self.vrings.get_or_init(|| vrings.to_vec());
        }
        let mut state = lock(&self.guest.state);
        let State { device, request } = &mut *state;
        self.catch_up(device, vrings);
        let queue = event.checked_sub(Self::KICKED).unwrap_or(event);
        match vrings.get(usize::from(queue)) {
            Some(vring) => {
                if let (true, Some(worker)) = (event == queue, self.worker.get()) {
                    vring.wait_for_edges(worker, Self::KICKED + queue);
                }
                self.serve(queue, vring, device, request);
            }
            None if event == Self::WATCH => {
                // Its kick may be still under way.
                for ((queue, vring), kind) in (0..).zip(vrings).zip(D::QUEUES) {
                    if *kind == Queue::Requests && vring.has_next() {
                        self.serve(queue, vring, device, request);
                    }
                }
                self.guest.watch.poll(|token| device.ready(token));
            }
            // The one way to end the worker.
            None if self.over.load(Ordering::Acquire) => {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            None => {
                rustix::io::read(&*self.wake, &mut [0; 8]).ok();
                if self.is_lost() {
                    self.guest.hang_up();
                }
                for (queue, vring) in (0..).zip(vrings) {
                    self.serve(queue, vring, device, request);
                }
            }
        }
        Ok(())
    }
}
