// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The vhost-user transport: a guest's socket, its sessions, its rings.
//!
//! All that the core knows of vhost, virtio-queue and vm-memory is in this folder.

mod chain;
#[cfg(feature = "testing")]
mod direct;
#[cfg(feature = "testing")]
mod floor;
mod lost;
mod peer;
mod ring;
mod session;
mod vring;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use log::{Level, debug, error, trace};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use vhost::vhost_user::{Error as VhostUserError, Listener};
use vhost_user_backend::{Error, ShutdownHandle, VhostUserDaemon};
use vm_memory::GuestMemoryMmap;

#[cfg(feature = "testing")]
pub use self::direct::Direct;
#[cfg(feature = "testing")]
pub(crate) use self::floor::Floor;
pub(crate) use self::lost::survive;
use self::ring::Memory;
use self::session::Session;
use crate::{Device, Watch, lock};

/// How long to wait before a front end is tried again that could not be served for want of
/// resources.
const RETRY: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// How many lines the log has of a guest's coming and going in that time.
const NOTICES: u32 = 100;
const NOTICES_TIME: Duration = Duration::from_secs(60);

/// One guest: its device, behind its socket.
///
/// Front ends come and go, one at a time; the device stays, and is reset whenever one goes.
pub struct Guest<D> {
    name: String,
    state: Mutex<State<D>>,
    watch: Watch,
    /// Readable once the guest is to be served no more.
    quit: OwnedFd,
    /// Ends the session there is.
    session: Mutex<Option<ShutdownHandle>>,
    /// How much was logged of the guest's coming and going, since when.
    notices: Mutex<(u32, Instant)>,
}

/// What the guest's threads work with, one event at a time.
struct State<D> {
    device: D,
    /// The driver's request, in a buffer that stays.
    request: Vec<u8>,
}

impl<D: Device> Guest<D> {
    /// A guest called `name` in the log, and its `device`, with the `watch` that was made for it.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new(name: impl Into<String>, device: D, watch: Watch) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            name: name.into(),
            state: Mutex::new(State {
                device,
                request: Vec::new(),
            }),
            watch,
            quit: eventfd(0, EventfdFlags::CLOEXEC)?,
            session: Mutex::new(None),
            notices: Mutex::new((0, Instant::now())),
        }))
    }

    /// What the log calls the guest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Serves the front ends that connect to `listener`, one after another, until
    /// [`stop`](Self::stop).
    ///
    /// The listener stays open from one to the next: a front end that comes early waits, and is not
    /// refused.
    pub fn serve(self: &Arc<Self>, listener: &UnixListener) {
        let mut failing = false;
        while self.wait(listener) {
            let served = self.session(listener);
            if let Err(error) = &served {
                // Out of threads, or of file descriptors: the front end waits as well.
                if failing {
                    trace!("{}: {error}", self.name);
                } else {
                    self.notice(Level::Error, format_args!("{error}"));
                }
                self.stopped_within(RETRY);
            }
            failing = served.is_err();
        }
    }

    /// Ends [`serve`](Self::serve), and the session that it is in.
    pub fn stop(&self) {
        raise(&self.quit);
        self.hang_up();
    }

    /// Ends the session there is.
    fn hang_up(&self) {
        if let Some(session) = &*lock(&self.session) {
            session.shutdown();
        }
    }

    /// Waits for a front end, and meanwhile looks after what the device watches. `false` when the
    /// guest is stopped.
    fn wait(&self, listener: &UnixListener) -> bool {
        loop {
            let mut fds = [&self.quit.as_fd(), &self.watch.as_fd(), &listener.as_fd()]
                .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
            // An interrupted wait found nothing.
            if poll(&mut fds, None).is_err() {
                continue;
            }
            match fds.map(|fd| !fd.revents().is_empty()) {
                [true, _, _] => return false,
                [_, _, true] => return true,
                [_, true, _] => {
                    let device = &mut lock(&self.state).device;
                    self.watch.poll(|token| device.ready(token));
                }
                _ => {}
            }
        }
    }

    /// Serves the front end that waits at `listener`, until it goes. An error is a want of
    /// resources.
    fn session(self: &Arc<Self>, listener: &UnixListener) -> io::Result<()> {
        let session = Arc::new(Session::new(Arc::clone(self))?);
        // A daemon, in vhost-user-backend's words, serves once: it refuses a second SET_OWNER.
        let memory = Memory::new(GuestMemoryMmap::new());
        let mut daemon =
            VhostUserDaemon::new(self.name.clone(), Arc::clone(&session), memory).map_err(other)?;
        let served = self.converse(&mut daemon, &session, listener);
        session.end();
        // The rings go with these two. Only then is the device told, so that it speaks to nobody.
        drop(daemon);
        drop(session);
        lock(&self.state).device.disconnected();
        served
    }

    fn converse(
        &self,
        daemon: &mut VhostUserDaemon<Arc<Session<D>>>,
        session: &Session<D>,
        listener: &UnixListener,
    ) -> io::Result<()> {
        for worker in daemon.get_epoll_handlers() {
            session.attach(&worker)?;
        }
        {
            // Nothing happens to the device before it knows who is there.
            let device = &mut lock(&self.state).device;
            daemon
                .start(&mut Listener::from(listener.try_clone()?))
                .map_err(other)?;
            device.connected(|| {
                let process = peer::process(listener).inspect_err(|error| {
                    debug!("{}: the front end's process is unknown: {error}", self.name);
                });
                process.ok()
            });
        }
        self.notice(Level::Info, format_args!("connected"));
        *lock(&self.session) = daemon.shutdown_handle();
        // Either may have come before there was something to end.
        if self.stopped_within(Timespec::default()) || session.is_lost() {
            daemon.request_shutdown();
        }
        let ended = daemon.wait();
        lock(&self.session).take();
        match ended {
            _ if session.is_lost() => {
                self.notice(Level::Warn, format_args!("disconnected: {}", lost::REASON));
            }
            Ok(())
            | Err(Error::HandleRequest(
                VhostUserError::Disconnected | VhostUserError::PartialMessage,
            )) => {
                self.notice(Level::Info, format_args!("disconnected"));
            }
            Err(error) => self.notice(Level::Error, format_args!("disconnected: {error}")),
        }
        Ok(())
    }

    /// Logs that the guest came, went or was reset: as often as it likes to do that, but not as
    /// often as it likes to the log.
    fn notice(&self, level: Level, what: fmt::Arguments<'_>) {
        let mut notices = lock(&self.notices);
        let (count, since) = &mut *notices;
        if since.elapsed() >= NOTICES_TIME {
            (*count, *since) = (0, Instant::now());
        }
        *count = count.saturating_add(1);
        match *count {
            0..NOTICES => log::log!(level, "{}: {what}", self.name),
            NOTICES => log::warn!("{}: {what}, and so on: not logged for a minute", self.name),
            _ => log::trace!("{}: {what}", self.name),
        }
    }

    /// Whether the guest is stopped, after waiting for that for up to `time`.
    fn stopped_within(&self, time: Timespec) -> bool {
        poll(&mut [PollFd::new(&self.quit, PollFlags::IN)], Some(&time))
            .is_ok_and(|ready| ready > 0)
    }
}

/// Makes an eventfd readable, for good.
fn raise(event: &OwnedFd) {
    // Fails when it was done 2^64 times before.
    if let Err(error) = rustix::io::write(event, &1u64.to_ne_bytes()) {
        error!("eventfd: {error}");
    }
}

/// vhost-user-backend's errors are not `std::error::Error`s.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn other(error: Error) -> io::Error {
    io::Error::other(error.to_string())
}
