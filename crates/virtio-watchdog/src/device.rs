// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device: what the driver asks, what time and the host say, and what comes of it.

use std::io;
use std::time::{Duration, Instant};

use log::debug;
use virtio_backend::{Device, Events, Queue, Reply, Stopped, Timer, Token, Watch};
use virtio_rng::{MAX_ANSWER, Source};

use crate::timers::{Event, Timers};
use crate::wire::{
    self, BootStatus, Config, F_CONTROL, F_PRETIMEOUT, F_RESTART, PONG, REQUEST, Request, Response,
    Status,
};
use crate::{Cause, Failure, Host, Report, Settings, Verdict};

/// The host has a [`Verdict`].
pub const VERDICT: Token = Token(0);

/// A timer may have something to say.
const TIME: Token = Token(1);

const REQUESTQ: u16 = 0;

/// When the clock is this late, it is not only the guest that was kept from running.
const PUNCTUAL: Duration = Duration::from_millis(100);

/// The watchdog of one guest.
pub struct Watchdog {
    guest: String,
    timers: Timers,
    host: Box<dyn Host>,
    /// What answers a plain ping, if the device is carried by an entropy device.
    carrier: Option<Box<dyn Source>>,
    begin: Instant,
    timer: Timer,
    /// Knows the process of the front end.
    watch: Watch,
    /// For when it is armed.
    armed: Option<Duration>,
    events: Option<Events>,
    features: u64,
    /// There is a front end.
    connected: bool,
    /// The machine is paused; the queues are stopped. Either way time stands still.
    paused: bool,
    stopped: bool,
    boot_status: Option<BootStatus>,
    reset_count: u32,
}

impl Watchdog {
    /// Longest request that the device accepts, in bytes.
    pub const MAX_REQUEST: usize = REQUEST;

    /// The watchdog of the guest that the log calls `guest`. With a `carrier` it is carried by an
    /// entropy device (SPEC.md 6).
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new(
        guest: impl Into<String>,
        settings: Settings,
        host: Box<dyn Host>,
        carrier: Option<Box<dyn Source>>,
        watch: &Watch,
    ) -> io::Result<Self> {
        Ok(Self {
            guest: guest.into(),
            timers: Timers::new(settings),
            host,
            carrier,
            begin: Instant::now(),
            timer: watch.timer(TIME),
            watch: watch.clone(),
            armed: None,
            events: None,
            features: 0,
            connected: false,
            paused: false,
            stopped: false,
            boot_status: None,
            reset_count: 0,
        })
    }

    /// Now, on the timers' clock. It stands still while the host is suspended.
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Answers a request, and says what state its channel is in.
    fn request(&mut self, request: Request) -> Response {
        let done = self.perform(request);
        let (channel, now) = (request.channel(), self.now());
        Response {
            status: done.err().unwrap_or(Status::Ok),
            state: self.timers.state(channel, now),
            flags: self.timers.flags(),
            times: self.timers.times(channel),
            time_left: self.timers.time_left(channel, now),
        }
    }

    /// The answer to what is no request.
    fn refuse(&mut self, status: Status) -> Response {
        Response {
            status,
            ..self.request(Request::Status(0))
        }
    }

    fn perform(&mut self, request: Request) -> Result<(), Status> {
        let now = self.now();
        let has_pretimeout = request
            .times()
            .is_some_and(|times| !times.pretimeout.is_zero());
        if has_pretimeout && !self.accepted(F_PRETIMEOUT)
            || request == Request::Restart && !self.accepted(F_RESTART)
        {
            return Err(Status::Unsupported);
        }
        match request {
            Request::Ping(channel) => self.timers.ping(channel, now),
            Request::Start {
                channel,
                times,
                lock,
            } => self.timers.start(channel, times, lock, now),
            Request::Stop(channel) => self.timers.stop(channel),
            Request::SetTimeout(channel, times) => self.timers.set_timeout(channel, times, now),
            Request::Status(channel) => self.timers.status(channel),
            Request::Suspend => self.timers.suspend(now),
            Request::Resume => self.timers.resume(now),
            Request::BootDone => self.timers.boot_done(),
            Request::Restart => self.restart(),
        }
    }

    fn restart(&mut self) -> Result<(), Status> {
        self.timers.watching()?;
        if self.host.may_restart() != Some(true) {
            return Err(Status::Busy);
        }
        self.fail(Cause::Restart);
        Ok(())
    }

    /// Whether the driver accepted this bit, and the one that it requires.
    fn accepted(&self, feature: u64) -> bool {
        self.features & F_CONTROL != 0 && self.features & feature != 0
    }

    /// The guest has failed, whatever its timers say.
    fn fail(&mut self, cause: Cause) {
        if self.timers.fail(cause) {
            let failure = self.failure(cause);
            self.host.report(Report::Failed(failure));
        }
    }

    fn failure(&self, cause: Cause) -> Failure {
        let now = self.now();
        Failure {
            cause,
            silence: self.timers.silence(cause, now),
            excused: self.timers.excused(cause),
        }
    }

    /// Sees to what has happened as time passed, and to when to look again.
    fn tick(&mut self) {
        while let Some(event) = self.timers.poll(self.now()) {
            match event {
                Event::Late => self.host.report(Report::Late),
                Event::Pretimeout(channel, left) => {
                    debug!("{}: channel {channel} expires in {left:?}", self.guest);
                    self.tell(wire::Event::Pretimeout(channel, left));
                }
                Event::Due(cause) => self.look(cause),
            }
        }
        let now = self.now();
        let next = self.timers.next(now);
        let next = next.map(|after| now.saturating_add(after));
        // A ping puts off what is next. The timer is left to find that out, which is a system call less
        // for each ping.
        if let Some(next) = next.filter(|next| self.armed.is_none_or(|armed| armed > *next)) {
            self.timer.arm(next.saturating_sub(now));
            self.armed = Some(next);
        }
    }

    /// A timer has run out. If we come late to it, so may have a ping.
    fn look(&mut self, cause: Cause) {
        let now = self.now();
        let lateness = self.timers.lateness(now);
        if lateness < PUNCTUAL || !self.timers.excuse(now, lateness, true) {
            let failure = self.failure(cause);
            self.host.report(Report::Due(failure));
        }
    }

    fn verdict(&mut self, verdict: Verdict) {
        let now = self.now();
        match verdict {
            Verdict::Reset => self.machine_reset(),
            Verdict::Paused => {
                self.paused = true;
                self.set_clock();
            }
            Verdict::Resumed => {
                self.paused = false;
                self.set_clock();
            }
            Verdict::Failed(Cause::Relayed) => self.fail(Cause::Relayed),
            Verdict::Settled => self.timers.settle(),
            // Of a machine that went away.
            _ if !self.connected => {}
            // A driver that lets its device go, or is about to start anew.
            Verdict::NotPaused if self.stopped => {
                self.stopped = false;
                self.set_clock();
                if self.timers.expired().is_none() {
                    self.timers.reset(now);
                }
            }
            Verdict::NotPaused => {}
            Verdict::Excused { time, limited } => {
                if !self.timers.excuse(now, time, limited) {
                    self.expire();
                }
            }
            Verdict::Act => self.expire(),
            Verdict::Tell => {
                let channel = match self.timers.expired() {
                    Some(Cause::Channel(channel)) => Some(channel),
                    _ => None,
                };
                self.tell(wire::Event::Expired(channel));
            }
            Verdict::Failed(cause) => self.fail(cause),
            Verdict::Dumping(time) => self.timers.await_reset(now, time),
        }
    }

    /// Acts, unless there has been a ping.
    fn expire(&mut self) {
        let now = self.now();
        // What it is about, before it has expired.
        if let Some(cause) = self.timers.expire(now) {
            let failure = self.failure(cause);
            self.host.report(Report::Failed(failure));
        }
    }

    /// The machine was reset. If that was our doing, the guest is told why. Without a front end nobody
    /// would ever tell that it has booted, and what is no doing of ours may be of a machine before.
    fn machine_reset(&mut self) {
        if self.connected {
            self.account();
            self.timers.guest_reset(self.now());
        } else if self.timers.expired().is_some() {
            self.account();
            self.timers.settle();
        }
    }

    /// Remembers why the guest was reset, or that it was not our doing.
    fn account(&mut self) {
        self.boot_status = self.timers.expired().map(|cause| match cause {
            Cause::Channel(_) | Cause::Relayed => BootStatus::Expired,
            Cause::Boot => BootStatus::Boot,
            Cause::Restart => BootStatus::Restart,
            Cause::Panic => BootStatus::Panic,
        });
        if self.boot_status.is_some() {
            self.reset_count = self.reset_count.saturating_add(1);
        }
    }

    /// Stops or starts the clock.
    fn set_clock(&mut self) {
        let now = self.now();
        if self.paused || self.stopped {
            self.timers.freeze(now);
        } else {
            self.timers.thaw(now);
        }
    }

    /// Says something to the driver, if it listens.
    fn tell(&self, event: wire::Event) {
        if let (Some(events), true) = (&self.events, self.accepted(F_PRETIMEOUT)) {
            events.offer(&event.emit());
        }
    }

    /// Answers a plain ping.
    fn pong(&mut self, reply: Reply) {
        let length = reply.room().min(MAX_ANSWER);
        let Some(carrier) = &mut self.carrier else {
            return reply.send(&[PONG]);
        };
        if let Err(reply) = carrier.answer(reply, length) {
            // A generator always has something to give.
            debug!("{}: no entropy", self.guest);
            reply.send(&[]);
        }
    }
}

impl Device for Watchdog {
    fn device_type(&self) -> u32 {
        if self.carrier.is_some() {
            return 4;
        }
        35
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests, Queue::Events]
    }

    fn max_request(&self) -> usize {
        Self::MAX_REQUEST
    }

    fn features(&self) -> u64 {
        let restart = self.host.may_restart().map_or(0, |_| F_RESTART);
        if self.carrier.is_some() {
            return 0;
        }
        F_CONTROL | F_PRETIMEOUT | restart
    }

    fn connected(&mut self) {
        (self.connected, self.paused, self.stopped) = (true, false, false);
        let now = self.now();
        self.timers.begin(now);
        self.host.report(Report::Connected(self.watch.peer()));
        self.tick();
    }

    /// Comes also before the queues go on after a pause: the machine runs, whatever was said of it by
    /// somebody who may say no more.
    fn negotiated(&mut self, features: u64) {
        self.features = features;
        (self.paused, self.stopped) = (false, false);
        self.host.report(Report::Ready);
        self.set_clock();
        self.tick();
    }

    fn config(&self) -> Vec<u8> {
        if self.carrier.is_some() {
            return Vec::new();
        }
        let settings = self.timers.settings();
        let config = Config {
            min_timeout: settings.min_timeout,
            max_timeout: settings.max_timeout,
            default: settings.times(),
            max_suspend: settings.max_suspend,
            num_channels: settings.channels,
            flags: self.timers.flags(),
            boot_status: self.boot_status,
            reset_count: self.reset_count,
            time_left: self.timers.least_time_left(self.now()),
        };
        config.emit()
    }

    fn handle(&mut self, queue: u16, request: &[u8], reply: Reply) {
        if queue != REQUESTQ || reply.room() == 0 {
            return reply.send(&[]);
        }
        if request.is_empty() || self.carrier.is_some() {
            self.timers.plain_ping(self.now());
            self.pong(reply);
        } else {
            let response = match Request::parse(request) {
                Ok(_) if !self.accepted(F_CONTROL) => self.refuse(Status::Unsupported),
                Ok(request) => self.request(request),
                Err(status) => self.refuse(status),
            };
            if response.status != Status::Ok {
                debug!("{}: a request is {:?}", self.guest, response.status);
            }
            reply.send(&response.emit());
        }
        self.tick();
    }

    fn events(&mut self, _queue: u16, events: Events) {
        self.events = Some(events);
    }

    fn ready(&mut self, token: Token) {
        if token == VERDICT {
            while let Some(verdict) = self.host.verdict() {
                self.verdict(verdict);
            }
        } else {
            self.armed = None;
        }
        self.tick();
    }

    fn stop(&mut self, queue: u16, _stopped: Stopped) {
        if queue == REQUESTQ {
            self.stopped = true;
            self.set_clock();
            self.host.report(Report::Stopped);
            self.tick();
        }
    }

    fn reset(&mut self) {
        self.events = None;
        self.features = 0;
        self.host.report(Report::Reset);
        // A guest on which we act does not get away by a reset of its device, if we can tell.
        if !self.host.tells_resets() {
            self.account();
        }
        if !self.host.tells_resets() || self.timers.expired().is_none() {
            self.timers.reset(self.now());
        }
        self.stopped = false;
        self.set_clock();
        self.tick();
    }

    /// A machine that went away may have been reset like that.
    fn disconnected(&mut self) {
        self.connected = false;
        self.events = None;
        self.features = 0;
        self.account();
        self.timers.end();
        self.host.report(Report::Disconnected);
        self.tick();
    }
}
