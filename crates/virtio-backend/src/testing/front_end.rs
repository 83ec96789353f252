// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The front end of vhost-user: what a VMM says to a back end.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use vhost::vhost_user::message::{
    VhostUserConfigFlags, VhostUserHeaderFlag, VhostUserInflight, VhostUserProtocolFeatures,
};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VringConfigData};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::memory::user_address;
use super::{LIMIT, Memory, Ring, feature, protocol};
use crate::lock;

/// Where a back end notes what it has.
pub struct Area {
    extent: VhostUserInflight,
    file: File,
}

impl fmt::Debug for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Area").field(&self.file).finish()
    }
}

/// A front end that is connected to a back end.
///
/// Every message is acknowledged if REPLY_ACK was negotiated: when a method returns, the back end
/// has done it. An error is a back end that refused, hung up, or was silent.
pub struct FrontEnd {
    frontend: Frontend,
    patience: Patience,
    backend_channel: Option<UnixStream>,
}

impl FrontEnd {
    /// Connects, and negotiates those of `protocol_features` that the back end offers.
    ///
    /// # Errors
    /// When nobody listens at `socket`, or the back end refuses.
    pub fn connect(socket: &Path, protocol_features: u64) -> io::Result<Self> {
        let socket = UnixStream::connect(socket)?;
        // A queue number that no back end has is the back end's to refuse.
        let frontend = Frontend::from_stream(socket.try_clone()?, u64::MAX);
        let mut front_end = Self {
            frontend,
            patience: Patience::new(socket)?,
            backend_channel: None,
        };
        if front_end.features()? & feature::PROTOCOL_FEATURES != 0 {
            front_end.negotiate(protocol_features)?;
        }
        front_end.call(|frontend| frontend.set_owner())?;
        Ok(front_end)
    }

    fn negotiate(&mut self, protocol_features: u64) -> io::Result<()> {
        let offered = self.call(VhostUserFrontend::get_protocol_features)?;
        let accepted = offered.intersection(VhostUserProtocolFeatures::from_bits_retain(
            protocol_features,
        ));
        self.call(|frontend| frontend.set_protocol_features(accepted))?;
        if accepted.bits() & protocol::REPLY_ACK != 0 {
            self.frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        }
        if accepted.bits() & protocol::BACKEND_REQ != 0 {
            let (ours, theirs) = UnixStream::pair()?;
            self.call(|frontend| frontend.set_backend_request_fd(&theirs))?;
            self.backend_channel = Some(ours);
        }
        Ok(())
    }

    /// The feature bits that the back end offers. Whatever was said before is done when this
    /// returns.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn features(&self) -> io::Result<u64> {
        self.call(|frontend| frontend.get_features())
    }

    /// The protocol feature bits that the back end offers.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn protocol_features(&self) -> io::Result<u64> {
        self.call(VhostUserFrontend::get_protocol_features)
            .map(|features| features.bits())
    }

    /// How many queues the back end has, if MQ was negotiated.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn queues(&self) -> io::Result<u64> {
        self.call(VhostUserFrontend::get_queue_num)
    }

    /// Accepts feature bits. Those of a guest are told to the rings, too: see [`Ring::event_idx`].
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn set_features(&self, features: u64) -> io::Result<()> {
        self.call(|frontend| frontend.set_features(features))
    }

    /// Shares all of `memory` at once, in place of what was shared before.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn set_memory(&self, memory: &Memory) -> io::Result<()> {
        self.call(|frontend| frontend.set_mem_table(&memory.regions()))
            .map(drop)
    }

    /// A new area in which the back end notes what it has of so many `queues` of this `size`.
    ///
    /// # Errors
    /// When the back end has none, or the session has ended.
    pub fn area(&self, queues: u16, size: u16) -> io::Result<Area> {
        let wanted = VhostUserInflight::new(0, 0, queues, size);
        let (extent, file) = self.call(|frontend| frontend.clone().get_inflight_fd(&wanted))?;
        Ok(Area { extent, file })
    }

    /// The back end notes it in `area` from now on, and takes up what it finds there.
    ///
    /// # Errors
    /// When the back end refuses.
    pub fn set_area(&self, area: &Area) -> io::Result<()> {
        let file = area.file.as_raw_fd();
        self.call(|frontend| frontend.clone().set_inflight_fd(&area.extent, file))
    }

    /// Tells the back end of `ring`, which goes on at index `base`. It is not enabled yet.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn set_up(&self, queue: usize, ring: &Ring, base: u16) -> io::Result<()> {
        let addresses = VringConfigData {
            queue_max_size: ring.layout.size,
            queue_size: ring.layout.size,
            desc_table_addr: user_address(ring.layout.descriptors),
            avail_ring_addr: user_address(ring.layout.available),
            used_ring_addr: user_address(ring.layout.used),
            ..VringConfigData::default()
        };
        self.call(|frontend| frontend.set_vring_num(queue, ring.layout.size))?;
        self.call(|frontend| frontend.set_vring_base(queue, base))?;
        self.call(|frontend| frontend.set_vring_addr(queue, &addresses))?;
        self.call(|frontend| frontend.set_vring_kick(queue, &ring.kick))?;
        self.call(|frontend| frontend.set_vring_call(queue, &ring.call))
    }

    /// What the back end writes to when the queue breaks.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn errors(&self, queue: usize) -> io::Result<EventFd> {
        let errors = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        self.call(|frontend| frontend.set_vring_err(queue, &errors))?;
        Ok(errors)
    }

    /// Enables a queue: it runs.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn enable(&self, queue: usize) -> io::Result<()> {
        self.call(|frontend| frontend.set_vring_enable(queue, true))
    }

    /// Disables a queue. User-Mode Linux and cloud-hypervisor do no more to stop one.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn disable(&self, queue: usize) -> io::Result<()> {
        self.call(|frontend| frontend.set_vring_enable(queue, false))
    }

    /// Stops a queue (GET_VRING_BASE). Returns the base at which it would go on.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn stop(&self, queue: usize) -> io::Result<u16> {
        let base = self.call(|frontend| frontend.get_vring_base(queue))?;
        base.try_into().map_err(io::Error::other)
    }

    /// Resets the device (RESET_DEVICE). Features have to be accepted again.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn reset_device(&self) -> io::Result<()> {
        self.call(VhostUserFrontend::reset_device)
    }

    /// Reads the configuration space.
    ///
    /// # Errors
    /// When the back end refuses, or answers with another size.
    pub fn config(&self, offset: u32, size: u32) -> io::Result<Vec<u8>> {
        let asked = vec![0; size.try_into().map_err(io::Error::other)?];
        let (_, bytes) = self.call(|frontend| {
            frontend.get_config(offset, size, VhostUserConfigFlags::empty(), &asked)
        })?;
        Ok(bytes)
    }

    /// Our end of the back end's own channel, if BACKEND_REQ was negotiated.
    pub fn backend_channel(&self) -> Option<&UnixStream> {
        self.backend_channel.as_ref()
    }

    fn call<T>(&self, say: impl FnOnce(&mut Frontend) -> vhost::Result<T>) -> io::Result<T> {
        *lock(&self.patience.asked) = Some(Instant::now());
        let answer = say(&mut self.frontend.clone());
        *lock(&self.patience.asked) = None;
        answer.map_err(io::Error::other)
    }
}

impl fmt::Debug for FrontEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontEnd").finish_non_exhaustive()
    }
}

/// Hangs up on a back end that is silent for [`LIMIT`], for which vhost would wait for ever.
struct Patience {
    /// When the back end was asked what it has not answered yet.
    asked: Arc<Mutex<Option<Instant>>>,
    /// Ends the thread when dropped.
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Patience {
    fn new(socket: UnixStream) -> io::Result<Self> {
        let (over, goes_on) = mpsc::channel();
        let asked = Arc::default();
        let watched = Arc::clone(&asked);
        let watch = move || hang_up(&socket, &watched, &goes_on);
        let thread = thread::Builder::new()
            .name("patience".into())
            .spawn(watch)?;
        Ok(Self {
            asked,
            over: Some(over),
            thread: Some(thread),
        })
    }
}

fn hang_up(socket: &UnixStream, asked: &Mutex<Option<Instant>>, goes_on: &Receiver<()>) {
    while goes_on.recv_timeout(LIMIT / 10) == Err(RecvTimeoutError::Timeout) {
        if lock(asked).is_some_and(|asked| asked.elapsed() > LIMIT) {
            // Fails when the back end was faster.
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
