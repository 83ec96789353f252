// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device's queues while a front end is connected: what happens to them, and what the device hears
//! of it.

use std::fs::File;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, debug};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use vm_memory::GuestMemoryMmap;

use super::dirty::Log;
use super::feature::{EVENT_IDX, LOG_ALL};
use super::inflight::Area;
use super::lost::Guarded;
use super::notice::Notices;
use super::place::Place;
use super::ring::{Next, Pause, Start, Vring};
use crate::reactor::{Key, Reactor, Trigger, Waker};
use crate::{Device, Queue, Stopped, Token};

/// Requests that a ring may make in its turn. Then the worker sees to what else there is.
const TURN: usize = 64;

/// How much a turn may take of the worker: what a device answers counts by its length, so that a
/// driver which asks for much does not have the worker for longer than others.
const TURN_BYTES: usize = 256 << 10;

/// What has happened to a guest's device, and what it happens with.
pub(super) struct Host<'a> {
    pub(super) name: &'a str,
    pub(super) device: &'a mut dyn Device,
    /// The driver's request, in a buffer of the worker's.
    pub(super) request: &'a mut Vec<u8>,
    /// The worker looks for the driver's next request by itself, without a kick.
    pub(super) polls: bool,
    pub(super) reactor: &'a Arc<Reactor>,
    pub(super) comings: &'a Notices,
    pub(super) warnings: &'a Notices,
}

impl Host<'_> {
    /// Logs that the guest came, went or was reset.
    pub(super) fn notice(&self, level: Level, what: std::fmt::Arguments<'_>) {
        self.comings.log(self.name, level, what);
    }

    /// Logs what the guest's administrator has to mend.
    pub(super) fn warn(&self, what: std::fmt::Arguments<'_>) {
        self.warnings.log(self.name, Level::Warn, what);
    }
}

pub(super) struct Queues {
    rings: Vec<Own>,
    idle: Waker,
    /// The memory that the rings are in.
    memory: Arc<Guarded>,
    /// Where the front end has written pages noted.
    log: Option<Arc<Log>>,
    /// Where the front end has noted what the device has.
    area: Option<Arc<Area>>,
    /// The features that the driver accepted.
    accepted: u64,
    /// The device is still to hear of them.
    negotiated: bool,
    /// Nothing has happened to the device since it was reset.
    clean: bool,
    /// A ring was stopped, and none went on since.
    stopped: bool,
}

/// A ring and its file descriptor.
struct Own {
    kind: Queue,
    ring: Vring,
    kick: Option<Kick>,
    /// The device has finished what it worked on when the queue stopped last.
    has_stopped: Arc<AtomicBool>,
    /// The driver has set it up since it started.
    is_new: bool,
}

struct Kick {
    fd: OwnedFd,
    /// What the reactor reports.
    key: Key,
}

impl Queues {
    /// The device's queues. `idle` is woken when one that stops has [stopped](Self::has_stopped).
    pub(super) fn new(device: &dyn Device, idle: Waker) -> Result<Self, virtio_queue::Error> {
        let ring = |kind: &Queue| {
            Ok(Own {
                kind: *kind,
                ring: Vring::new()?,
                kick: None,
                has_stopped: Arc::default(),
                is_new: false,
            })
        };
        Ok(Self {
            rings: device.queues().iter().map(ring).collect::<Result<_, _>>()?,
            idle,
            memory: Arc::default(),
            log: None,
            area: None,
            accepted: 0,
            negotiated: false,
            clean: true,
            stopped: false,
        })
    }

    /// The driver accepted these features.
    pub(super) fn set_features(&mut self, features: u64) {
        self.accepted = features;
        self.negotiated = true;
        for own in &self.rings {
            own.ring.set_event_idx(features & EVENT_IDX != 0);
        }
        self.update_log();
    }

    /// Written pages are noted in `log`, as long as the features say so.
    pub(super) fn set_log(&mut self, log: Arc<Log>) {
        self.log = Some(log);
        self.update_log();
    }

    /// What the device has of each queue is noted in `area`.
    pub(super) fn set_inflight(&mut self, area: Arc<Area>) {
        for (queue, own) in (0..).zip(&self.rings) {
            own.ring.set_inflight(area.queue(queue));
        }
        self.area = Some(area);
    }

    pub(super) fn has_area(&self) -> bool {
        self.area.is_some()
    }

    fn update_log(&self) {
        let log = self.log.as_ref().filter(|_| self.accepted & LOG_ALL != 0);
        for own in &self.rings {
            own.ring.set_log(log.cloned());
        }
    }

    /// The guest's memory is this from now on. `false` if some of what it was is lost.
    pub(super) fn set_memory(&mut self, memory: GuestMemoryMmap, reactor: &Reactor) -> bool {
        let guarded = Arc::new(Guarded::new(memory, reactor.interrupt()));
        for own in &self.rings {
            own.ring.move_to(&guarded);
        }
        !mem::replace(&mut self.memory, guarded).is_lost()
    }

    /// Whether some of the memory is lost that the front end shares: the guest's, or one about it.
    pub(super) fn is_lost(&self) -> bool {
        self.memory.is_lost()
            || self.log.as_ref().is_some_and(|log| log.is_lost())
            || self.area.as_ref().is_some_and(|area| area.is_lost())
    }

    /// What tells of the driver's kicks, from now on. `None` is a driver that is only polled, which
    /// nothing here does.
    pub(super) fn set_kick(&mut self, queue: u16, fd: Option<OwnedFd>, key: Key, host: &Host<'_>) {
        if let Some(own) = self.rings.get_mut(usize::from(queue)) {
            own.drop_kick(host.reactor);
            own.kick = fd.filter(is_nonblocking).map(|fd| Kick { fd, key });
        }
    }

    /// The driver has set the queue up: what follows starts it, even if it runs.
    pub(super) fn set_up(&mut self, queue: u16) {
        if let Some(own) = self.rings.get_mut(usize::from(queue)) {
            own.is_new = true;
        }
    }

    /// The driver sets a queue up to start at index `base`. Front ends say so of all queues before one
    /// runs, and nothing else tells of a guest's reset.
    pub(super) fn set_base(&mut self, queue: u16, base: u16, host: &mut Host<'_>) {
        self.set_up(queue);
        let own = self.rings.get(usize::from(queue));
        if own.is_some_and(|own| own.ring.is_anew_at(base)) {
            self.reset(host);
        }
    }

    /// The queue starts at `place` with index `base`, or goes on. An error is a place that cannot be:
    /// the ring is broken.
    pub(super) fn start(
        &mut self,
        queue: u16,
        place: Place,
        base: u16,
        host: &mut Host<'_>,
    ) -> Result<(), &'static str> {
        let Some(own) = self.rings.get_mut(usize::from(queue)) else {
            return Err("no such queue");
        };
        if mem::take(&mut own.is_new) || !own.ring.is_started() {
            let event_idx = self.accepted & EVENT_IDX != 0;
            if own.ring.start(place, base, event_idx)? == Start::Reset {
                self.reset(host);
            }
        }
        if let Some(Kick { fd, key }) = self
            .rings
            .get(usize::from(queue))
            .and_then(|own| own.kick.as_ref())
        {
            // It stays unread: that saves a system call for each request.
            if let Err(error) = host.reactor.add(fd, *key, Trigger::Edge) {
                host.warn(format_args!(
                    "queue {queue}: its kicks cannot be heard: {error}"
                ));
            }
        }
        self.serve(queue, host);
        Ok(())
    }

    /// The queue cannot be used as the front end has it: it is not served until it is set up again.
    pub(super) fn refuse(&mut self, queue: u16, fault: &'static str) {
        if let Some(own) = self.rings.get(usize::from(queue)) {
            own.ring.refuse(fault);
        }
    }

    /// Whether there is something that tells of the driver's kicks.
    pub(super) fn has_kick(&self, queue: u16) -> bool {
        let own = self.rings.get(usize::from(queue));
        own.is_some_and(|own| own.kick.is_some())
    }

    /// The session ends: nothing tells of the driver any more.
    pub(super) fn close(&mut self, reactor: &Reactor) {
        for own in &mut self.rings {
            own.drop_kick(reactor);
        }
    }

    /// A guest that was reset: the driver knows nothing of before.
    fn reset(&mut self, host: &mut Host<'_>) {
        if mem::replace(&mut self.clean, true) {
            return;
        }
        host.notice(Level::Info, format_args!("reset"));
        // Before the device, whose replies are not to answer the new driver.
        self.rings.iter().for_each(|own| own.ring.forget());
        host.device.reset();
        self.stopped = false;
        // The features of a new life arrive before the base that tells of it: they are told again.
        self.negotiated = true;
    }

    /// The front end resets the device: all is as when it connected, but for its memory.
    pub(super) fn clear(&mut self, host: &mut Host<'_>) {
        for own in &mut self.rings {
            own.drop_kick(host.reactor);
            own.ring.set_call(None);
            own.ring.clear();
        }
        host.device.reset();
        self.clean = true;
        (self.accepted, self.negotiated, self.stopped) = (0, false, false);
        self.update_log();
    }

    /// Whether something of the driver's has run since the front end connected, or cleared it.
    pub(super) fn is_used(&self) -> bool {
        self.rings.iter().any(|own| own.ring.is_started()) || !self.clean
    }

    /// The queue takes nothing more. Its front end is answered when it [has
    /// stopped](Self::has_stopped).
    pub(super) fn stop(&mut self, queue: u16, host: &mut Host<'_>) {
        let Some(own) = self.rings.get_mut(usize::from(queue)) else {
            return;
        };
        own.drop_kick(host.reactor);
        own.ring.stop();
        let (has_stopped, idle) = (Arc::default(), self.idle.clone());
        own.has_stopped = Arc::clone(&has_stopped);
        let stopped = Stopped::new(move || {
            has_stopped.store(true, Ordering::Release);
            idle.wake();
        });
        host.device.stop(queue, stopped);
        self.stopped = true;
    }

    pub(super) fn has_stopped(&self, queue: u16) -> bool {
        let own = self.rings.get(usize::from(queue));
        own.is_none_or(|own| own.has_stopped.load(Ordering::Acquire))
    }

    /// Nothing is written to the queue from now on. Returns the index at which it would go on.
    pub(super) fn end(&mut self, queue: u16) -> u16 {
        self.rings.get(usize::from(queue)).map_or(0, |own| {
            own.ring.set_call(None);
            own.ring.end()
        })
    }

    pub(super) fn set_enabled(&mut self, queue: u16, enabled: bool, host: &mut Host<'_>) {
        if let Some(own) = self.rings.get(usize::from(queue)) {
            own.ring.set_enabled(enabled);
            self.serve(queue, host);
        }
    }

    pub(super) fn set_call(&mut self, queue: u16, fd: Option<OwnedFd>) {
        if let Some(own) = self.rings.get(usize::from(queue)) {
            own.ring.set_call(fd.filter(is_nonblocking).map(File::from));
        }
    }

    pub(super) fn set_error(&mut self, queue: u16, fd: Option<OwnedFd>) {
        if let Some(own) = self.rings.get(usize::from(queue)) {
            own.ring
                .set_error(fd.filter(is_nonblocking).map(File::from));
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rings.len()
    }

    /// Whether guest memory looks shared, by the rings whose driver has kicked. `None` if there are
    /// none.
    pub(super) fn is_shared(&self) -> Option<bool> {
        let rings = self.rings.iter().filter_map(Own::is_shared);
        rings.reduce(|one, other| one | other)
    }

    /// Sees to what the driver put into a queue. `true` if there is more, for which it was not its
    /// turn any more.
    pub(super) fn serve(&mut self, queue: u16, host: &mut Host<'_>) -> bool {
        let Some(own) = self.rings.get(usize::from(queue)) else {
            return false;
        };
        // What the device hears before the first request. A ring that does not run has none.
        if self.negotiated || self.clean || self.stopped {
            if !own.ring.runs() {
                return false;
            }
            if mem::take(&mut self.negotiated) {
                host.device.negotiated(self.accepted);
            }
            self.clean = false;
            if mem::take(&mut self.stopped) {
                host.notice(Level::Info, format_args!("resumed"));
            }
        }
        let pause = match own.kind {
            Queue::Requests => take_turn(queue, &own.ring, host),
            Queue::Events => {
                let (events, pause) = own.ring.go_on();
                if let Some(events) = events {
                    host.device.events(queue, events);
                }
                if pause.running {
                    host.device.lent(queue);
                }
                Some(pause)
            }
        };
        if let Some(fault) = pause.as_ref().and_then(|pause| pause.fault) {
            debug!("{}: queue {queue}: {fault}", host.name);
        }
        pause.is_none()
    }

    /// Sees to all queues. `true` if there is more.
    pub(super) fn serve_all(&mut self, host: &mut Host<'_>) -> bool {
        (0..)
            .zip(0..self.rings.len())
            .fold(false, |more, (queue, _)| more | self.serve(queue, host))
    }

    /// Sees to the driver's requests, if there are any, with or without a kick. `None` if there are
    /// none, and else whether there is more.
    pub(super) fn look_for_requests(&mut self, host: &mut Host<'_>) -> Option<bool> {
        let mut found = None;
        for (queue, index) in (0..).zip(0..self.rings.len()) {
            let asks = self
                .rings
                .get(index)
                .is_some_and(|own| own.kind == Queue::Requests && own.ring.has_next());
            if asks {
                let more = self.serve(queue, host);
                found = Some(found.unwrap_or(false) | more);
            }
        }
        found
    }

    /// Something is ready that the device watches. What the driver asked for before comes before: its
    /// kick may be still under way.
    pub(super) fn ready(&mut self, token: Token, host: &mut Host<'_>) -> bool {
        let more = self.look_for_requests(host);
        host.device.ready(token);
        more.unwrap_or(false)
    }
}

/// Hands requests to the device until there are no more, or it is somebody else's turn: then this
/// is `None`.
fn take_turn(queue: u16, ring: &Vring, host: &mut Host<'_>) -> Option<Pause> {
    let limit = host.device.max_request();
    let mut bytes = 0;
    for _ in 0..TURN {
        match ring.next_request(host.request, limit, host.polls) {
            Next::Request(reply) => {
                // A driver may say that there is room for more than any answer has.
                bytes += reply.room().min(TURN_BYTES / 4);
                host.device.handle(queue, host.request, reply);
                if bytes >= TURN_BYTES {
                    break;
                }
            }
            Next::More => {}
            Next::Nothing(pause) => {
                if pause.running {
                    host.device.drained(queue);
                }
                return Some(pause);
            }
        }
    }
    None
}

impl Own {
    fn drop_kick(&mut self, reactor: &Reactor) {
        if let Some(kick) = self.kick.take() {
            // Its front end has it as well: closing it would not be enough. Fails if the ring has not
            // started.
            reactor.remove(&kick.fd).ok();
        }
    }

    fn is_shared(&self) -> Option<bool> {
        // It is read nowhere else: what is there tells whether the driver ever kicked.
        let kicked = rustix::io::read(self.kick.as_ref()?.fd.as_fd(), &mut [0; 8]).is_ok();
        kicked.then(|| self.ring.is_shared()).flatten()
    }
}

/// Whether `fd`, which the front end has as well, is made never to have us wait for it, nor to be a
/// command's that the device runs.
fn is_nonblocking(fd: &OwnedFd) -> bool {
    fcntl_getfl(fd)
        .and_then(|flags| fcntl_setfl(fd, flags | OFlags::NONBLOCK))
        .and_then(|()| fcntl_setfd(fd, FdFlags::CLOEXEC))
        .is_ok()
}
