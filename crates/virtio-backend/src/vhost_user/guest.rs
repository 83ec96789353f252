// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest on its worker: its device, its socket, and the session that there is.

use std::error::Error;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use super::lost::REASON;
use super::notice::Notices;
use super::peer;
use super::queues::Host;
use super::session::{End, Session};
use super::source::Source;
use crate::panic::{Panic, caught, reason};
use crate::reactor::{Key, Reactor, Timer, Trigger};
use crate::{Device, Watch};

/// How long to wait before a front end is tried again that could not be served for want of
/// resources, and before a second one is turned away: a child of the first, which may have just ended,
/// can hold its socket for a moment.
const RETRY: Duration = Duration::from_secs(1);

/// How many lines the log has in a minute of a guest's coming and going, and how many of what its
/// administrator has to mend: the former must not keep out the latter.
const COMINGS: u32 = 100;
const WARNINGS: u32 = 10;

/// One guest: its device, behind its socket.
///
/// Front ends come and go, one at a time; the device stays, and is reset whenever one goes.
pub(crate) struct Guest {
    name: String,
    device: Box<dyn Device>,
    watch: Watch,
    listener: UnixListener,
    service: Service,
    session: Option<Session>,
    /// Until when the worker looks for the driver's next request, without a kick.
    polled_until: Option<Instant>,
    retry: Timer,
    /// A front end could not be served, and the log says so.
    failing: bool,
    comings: Notices,
    warnings: Notices,
    reactor: Arc<Reactor>,
    key: Key,
}

/// What a guest is given at its start.
pub(crate) struct Settings {
    /// What the log calls it.
    pub(crate) name: String,
    pub(crate) device: Box<dyn Device>,
    /// The watch that was made for the device.
    pub(crate) watch: Watch,
    pub(crate) listener: UnixListener,
    pub(crate) service: Service,
}

/// How the guests of a daemon are served.
#[derive(Clone, Copy, Default)]
pub(crate) struct Service {
    /// A second front end waits for the first to go, and is not turned away.
    pub(crate) wait: bool,
    /// For how long the worker looks for the driver's next request after one, without a kick. That
    /// takes its processor.
    pub(crate) poll: Duration,
    /// `VIRTIO_F_ACCESS_PLATFORM` is offered.
    pub(crate) access_platform: bool,
}

impl Guest {
    /// A guest of `reactor`'s, whose keys begin with `key`, which front ends may connect to from now
    /// on.
    pub(super) fn new(settings: Settings, reactor: &Arc<Reactor>, key: Key) -> io::Result<Self> {
        let listener = settings.listener;
        listener.set_nonblocking(true)?;
        reactor.add(&listener, Source::Listener.key(key), Trigger::Edge)?;
        Ok(Self {
            name: settings.name,
            device: settings.device,
            watch: settings.watch,
            listener,
            service: settings.service,
            session: None,
            polled_until: None,
            retry: reactor.timer(Source::Retry.key(key)),
            failing: false,
            comings: Notices::new(COMINGS),
            warnings: Notices::new(WARNINGS),
            reactor: Arc::clone(reactor),
            key,
        })
    }

    /// Something happened. `true` if there is more to do, for which it was not the guest's turn any
    /// more: then this is to be called for [`everything`](Self::everything).
    pub(super) fn happened(&mut self, source: Source, request: &mut Vec<u8>) -> bool {
        match source {
            Source::Listener | Source::Retry => {
                self.meet(source == Source::Retry, request);
                return false;
            }
            Source::Watch(token) => {
                let Some((session, mut host)) = self.parts(request) else {
                    self.device.ready(token);
                    return false;
                };
                return session.queues().ready(token, &mut host);
            }
            _ => {}
        }
        if !self.service.poll.is_zero() && matches!(source, Source::Kick(_)) {
            self.polled_until = Some(Instant::now() + self.service.poll);
        }
        let Some((session, mut host)) = self.parts(request) else {
            return false;
        };
        let happened = match source {
            Source::Kick(queue) => return session.kicked(queue, &mut host),
            Source::Look => return session.look(&mut host),
            Source::Idle => session.idle(&mut host),
            Source::Overdue => session.overdue(&mut host),
            _ => session.converse(&mut host),
        };
        self.after(happened, request)
    }

    /// Looks for the driver's next request, if there was one a while ago. `None` if that is not to be
    /// done again, and else whether there is more.
    pub(super) fn poll(&mut self, request: &mut Vec<u8>) -> Option<bool> {
        let until = self.polled_until?;
        let now = Instant::now();
        if now >= until {
            self.polled_until = None;
        }
        let again = now + self.service.poll;
        let polls = self.polled_until.is_some();
        let (session, mut host) = self.parts(request)?;
        if !polls {
            // From now on the driver kicks again.
            let more = session.queues().serve_all(&mut host);
            return more.then_some(true);
        }
        let found = session.queues().look_for_requests(&mut host);
        if found.is_some() {
            self.polled_until = Some(again);
        }
        Some(found.unwrap_or(false))
    }

    /// Whether the worker is to [poll](Self::poll).
    pub(super) fn polls(&self) -> bool {
        self.polled_until.is_some()
    }

    /// Sees to all that there may be.
    pub(super) fn everything(&mut self, request: &mut Vec<u8>) -> bool {
        let Some((session, mut host)) = self.parts(request) else {
            return false;
        };
        let more = session.queues().serve_all(&mut host);
        let happened = session.converse(&mut host);
        self.after(happened, request) | more
    }

    /// Ends the session if the guest has lost its memory.
    pub(super) fn look_for_loss(&mut self) {
        let lost = |session: &mut Session| session.queues().is_lost();
        if self.session.as_mut().is_some_and(lost) {
            self.end(Some(REASON));
        }
    }

    fn parts<'a>(&'a mut self, request: &'a mut Vec<u8>) -> Option<(&'a mut Session, Host<'a>)> {
        let host = Host {
            name: &self.name,
            device: &mut *self.device,
            request,
            polls: self.polled_until.is_some(),
            reactor: &self.reactor,
            comings: &self.comings,
            warnings: &self.warnings,
        };
        Some((self.session.as_mut()?, host))
    }

    fn after(&mut self, happened: Result<bool, End>, request: &mut Vec<u8>) -> bool {
        happened.unwrap_or_else(|End(reason)| {
            self.end(reason);
            self.meet(false, request);
            false
        })
    }

    /// Serves the front end that waits at the socket, if there is none, and one waits. A second one
    /// that `has_waited` is turned away.
    fn meet(&mut self, has_waited: bool, request: &mut Vec<u8>) {
        loop {
            if self.session.is_some() && !(self.is_wanted() && self.make_room(has_waited, request))
            {
                return;
            }
            match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) if self.session.is_some() => self.turn_away(socket),
                Ok(socket) => self.begin(socket, request),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => {
                    self.fail(&error);
                    return;
                }
            }
        }
    }

    /// Whether a front end waits at the socket.
    fn is_wanted(&self) -> bool {
        let now = Timespec::default();
        poll(
            &mut [PollFd::new(&self.listener, PollFlags::IN)],
            Some(&now),
        )
        .is_ok_and(|ready| ready > 0)
    }

    /// Whether who waits at the socket may be accepted: to be served, or to be turned away.
    fn make_room(&mut self, has_waited: bool, request: &mut Vec<u8>) -> bool {
        // It may have gone, and this event have come first.
        let wait = self.service.wait;
        let Some((session, mut host)) = self.parts(request) else {
            return true;
        };
        if let Err(End(reason)) = session.converse(&mut host) {
            self.end(reason);
            return true;
        }
        if wait || !session.has_spoken() {
            session.contend(&host);
            return false;
        }
        if !has_waited {
            self.retry.arm(RETRY);
        }
        has_waited
    }

    fn turn_away(&self, socket: OwnedFd) {
        drop(socket);
        let age = self.session.as_ref().map_or(0, |s| s.age().as_secs());
        self.warnings.log(
            &self.name,
            Level::Warn,
            format_args!(
                "another front end is turned away: one has been connected for {age} s (to have it \
                 wait: --wait)"
            ),
        );
    }

    fn begin(&mut self, socket: OwnedFd, request: &mut Vec<u8>) {
        self.watch.set_peer(peer::process(socket.as_fd()));
        // Nothing happens to the device before it knows that somebody is there.
        self.device.connected();
        match Session::new(
            socket,
            &*self.device,
            self.service.access_platform,
            &self.reactor,
            self.key,
        ) {
            Ok(session) => {
                self.session = Some(session);
                self.failing = false;
                self.comings
                    .log(&self.name, Level::Info, format_args!("connected"));
                if self.everything(request) {
                    // Its socket is an edge, which has been seen.
                    self.reactor.waker(Source::Socket.key(self.key)).wake();
                }
            }
            Err(error) => {
                self.fail(&*error);
                self.device.disconnected();
            }
        }
    }

    /// A front end could not be served: out of file descriptors, as a rule.
    fn fail(&mut self, error: &(dyn Error + 'static)) {
        let level = match std::mem::replace(&mut self.failing, true) {
            false => Level::Error,
            true => Level::Trace,
        };
        self.comings.log(&self.name, level, format_args!("{error}"));
        self.retry.arm(RETRY);
    }

    /// Ends the session that there is.
    fn end(&mut self, reason: Option<&str>) {
        let Some(mut session) = self.session.take() else {
            return;
        };
        self.polled_until = None;
        // The rings go first, so that the device speaks to nobody.
        session.queues().close(&self.reactor);
        drop(session);
        self.watch.set_peer(None);
        self.device.disconnected();
        match reason {
            None => self
                .comings
                .log(&self.name, Level::Info, format_args!("disconnected")),
            Some(reason) => self.comings.log(
                &self.name,
                Level::Warn,
                format_args!("disconnected: {reason}"),
            ),
        }
    }

    /// The daemon ends.
    pub(super) fn stop(&mut self) {
        self.end(None);
    }

    /// Serves the guest no more: its device, or what is around it, has panicked.
    pub(super) fn give_up(mut self, panic: &Panic) {
        log::error!(
            "{}: its device is served no more until the daemon is started again, for it panicked: {}",
            self.name,
            reason(panic)
        );
        // What a second panic says is on standard error.
        drop(caught(|| self.end(None)));
        drop(caught(move || drop(self)));
    }
}
