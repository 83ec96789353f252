// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The state machine (SPEC.md 5.4), on a clock that whoever asks brings along.
//!
//! Times are on that clock, from a beginning that does not matter. Inside, all is on a clock that
//! stands still while the guest cannot run.

mod clock;
mod run;
mod sleep;

use std::time::Duration;

use clock::Clock;
use run::{Channel, Run};
use sleep::{Sleep, Wake};

use crate::settings::{Cause, Settings};
use crate::wire::{Flags, State, Status, Times};

/// What a timer has left at least when the guest goes on after it could not run.
const GRACE: Duration = Duration::from_secs(10);

/// What happens as time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Half of a timer's time has passed.
    Late,
    /// This channel expires in this time.
    Pretimeout(u16, Duration),
    /// This timer has run out. It has not expired: that is for [`Timers::expire`] to say.
    Due(Cause),
}

pub(crate) struct Timers {
    settings: Settings,
    clock: Clock,
    /// The boot timer, if it runs.
    boot: Option<Run>,
    channels: Vec<Channel>,
    locked: bool,
    sleep: Sleep,
    /// A timer ran out, and whoever asks has been told.
    told_due: bool,
    expired: Option<Cause>,
}

impl Timers {
    /// Nothing runs.
    pub(crate) fn new(settings: Settings) -> Self {
        let times = settings.times();
        let channel = Channel { times, run: None };
        Self {
            channels: vec![channel; settings.channels.into()],
            clock: Clock::default(),
            boot: None,
            locked: settings.lock,
            sleep: Sleep::default(),
            told_due: false,
            expired: None,
            settings,
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The guest begins: everything is as at first, and the boot timer runs.
    pub(crate) fn begin(&mut self, now: Duration) {
        *self = Self::new(self.settings.clone());
        self.guest_reset(now);
    }

    /// There is no guest.
    pub(crate) fn end(&mut self) {
        *self = Self::new(self.settings.clone());
    }

    /// The device was reset, and the guest with it if that was our doing. Else a suspension goes on:
    /// there are transports that reset a device whose guest goes to sleep, and when it wakes.
    pub(crate) fn reset(&mut self, now: Duration) {
        if !self.sleep.is_on() || self.expired.is_some() {
            return self.guest_reset(now);
        }
        let sleep = self.sleep;
        self.halt();
        self.sleep = sleep;
        if self.boot.is_none() {
            self.sleep.wakes_to(Wake::Boot);
        }
    }

    /// The guest was reset. A boot timer that runs has no more time than it had, but if that was our
    /// doing.
    pub(crate) fn guest_reset(&mut self, now: Duration) {
        let fresh = self.fresh_boot(self.clock.at(now));
        self.halt();
        self.boot = match self.expired.take() {
            None => self.boot.or(fresh),
            Some(_) => fresh,
        };
    }

    /// The guest panicked, and has so long to be reset.
    pub(crate) fn await_reset(&mut self, now: Duration, time: Duration) {
        if self.expired.is_none() {
            self.halt();
            self.boot = Some(Run::new(self.clock.at(now), time));
        }
    }

    /// All that could be done about a guest that failed is done.
    pub(crate) fn settle(&mut self) {
        self.halt();
        self.boot = None;
        self.expired = None;
    }

    /// The channels are as they were before any driver.
    fn halt(&mut self) {
        let Self { channels, .. } = Self::new(self.settings.clone());
        self.channels = channels;
        self.locked = self.settings.lock;
        self.sleep = Sleep::default();
        self.told_due = false;
    }

    /// A plain ping (5.1).
    pub(crate) fn plain_ping(&mut self, now: Duration) {
        let now = self.clock.at(now);
        if self.expired.is_some() {
            return;
        }
        self.hear(now);
        let boot = self.boot.take();
        if let Some(channel) = self.channels.first_mut() {
            let mut run = Run::new(now, channel.times.timeout);
            run.deadline = boot.map_or(run.deadline, |boot| run.deadline.max(boot.deadline));
            channel.run = Some(run);
        }
    }

    pub(crate) fn ping(&mut self, channel: u16, now: Duration) -> Result<(), Status> {
        let now = self.clock.at(now);
        let channel = self.channel_mut(channel)?;
        channel.run.ok_or(Status::Invalid)?;
        channel.run = Some(Run::new(now, channel.times.timeout));
        self.hear(now);
        Ok(())
    }

    pub(crate) fn start(
        &mut self,
        channel: u16,
        times: Option<Times>,
        lock: bool,
        now: Duration,
    ) -> Result<(), Status> {
        let now = self.clock.at(now);
        let checked = self.settings.check(times);
        let channel = self.channel_mut(channel)?;
        let times = checked?;
        channel.times = times;
        channel.run = Some(Run::new(now, times.timeout));
        self.locked |= lock;
        self.hear(now);
        self.boot = None;
        Ok(())
    }

    pub(crate) fn stop(&mut self, channel: u16) -> Result<(), Status> {
        let locked = self.locked;
        let channel = self.channel_mut(channel)?;
        if locked && channel.run.is_some() {
            return Err(Status::Locked);
        }
        channel.run = None;
        Ok(())
    }

    pub(crate) fn set_timeout(
        &mut self,
        channel: u16,
        times: Option<Times>,
        now: Duration,
    ) -> Result<(), Status> {
        let now = self.clock.at(now);
        let checked = self.settings.check(times);
        let channel = self.channel_mut(channel)?;
        let times = checked?;
        channel.times = times;
        channel.run = channel.run.map(|_| Run::new(now, times.timeout));
        Ok(())
    }

    /// Also when it is too late.
    pub(crate) fn status(&self, channel: u16) -> Result<(), Status> {
        let channel = self.channels.get(usize::from(channel));
        channel.map(|_| ()).ok_or(Status::Invalid)
    }

    /// A second one is no more than the first, unless there was a sign of life in between, or nothing
    /// to give one for.
    pub(crate) fn suspend(&mut self, now: Duration) -> Result<(), Status> {
        let now = self.clock.at(now);
        self.watching()?;
        if !self.runs() && self.boot.is_none() && !self.sleep.is_on() {
            self.sleep.renew();
        }
        self.sleep.begin(now, self.settings.max_suspend);
        Ok(())
    }

    pub(crate) fn resume(&mut self, now: Duration) -> Result<(), Status> {
        let now = self.clock.at(now);
        self.watching()?;
        self.wake(now);
        Ok(())
    }

    pub(crate) fn boot_done(&mut self) -> Result<(), Status> {
        self.watching()?;
        if self.settings.lock && !self.runs() {
            return Err(Status::Locked);
        }
        self.boot = None;
        self.sleep.wakes_to(Wake::GoOn);
        Ok(())
    }

    /// The guest cannot run.
    pub(crate) fn freeze(&mut self, now: Duration) {
        self.clock.stop(now);
    }

    /// The guest can run.
    pub(crate) fn thaw(&mut self, now: Duration) {
        if !self.clock.go_on(now) {
            return;
        }
        let now = self.clock.at(now);
        for channel in &mut self.channels {
            if let Some(run) = &mut channel.run {
                run.go_on(now, channel.times.timeout.min(GRACE));
            }
        }
        if let Some(boot) = &mut self.boot {
            let timeout = self.settings.boot_timeout.unwrap_or_default();
            boot.go_on(now, timeout.min(GRACE));
        }
    }

    /// What has happened up to now, one thing each time.
    pub(crate) fn poll(&mut self, now: Duration) -> Option<Event> {
        let now = self.clock.at(now);
        if self.expired.is_some() || self.clock.is_stopped() {
            return None;
        }
        if self.sleep.end().is_some_and(|end| end <= now) {
            self.wake(now);
        }
        if let (Some(cause), false) = (self.due(now), self.told_due) {
            self.told_due = true;
            return Some(Event::Due(cause));
        }
        let channels = self.channels.iter_mut().filter(|_| !self.sleep.is_on());
        let runs = channels.filter_map(|channel| channel.run.as_mut());
        for run in runs.chain(&mut self.boot) {
            if run.late_at().is_some_and(|at| at <= now) {
                run.told_late = true;
                return Some(Event::Late);
            }
        }
        let channels = self.channels.iter_mut().filter(|_| !self.sleep.is_on());
        for (number, channel) in (0..).zip(channels) {
            let (times, Some(run)) = (channel.times, &mut channel.run) else {
                continue;
            };
            if run.pretimeout_at(times, now).is_some_and(|at| at <= now) {
                run.told_pretimeout = true;
                return Some(Event::Pretimeout(number, run.deadline - now));
            }
        }
        None
    }

    /// How long until [`poll`](Self::poll) has something to say.
    pub(crate) fn next(&self, now: Duration) -> Option<Duration> {
        let now = self.clock.at(now);
        if self.expired.is_some() || self.clock.is_stopped() {
            return None;
        }
        let channels = self.channels.iter().filter(|_| !self.sleep.is_on());
        let runs = channels.filter_map(|channel| Some((channel.times, channel.run?)));
        let told = runs.flat_map(|(times, run)| [run.late_at(), run.pretimeout_at(times, now)]);
        let boot_is_late = self.boot.and_then(|boot| boot.late_at());
        let told = told.chain([boot_is_late, self.sleep.end()]);
        let due = self.deadlines().filter(|_| !self.told_due);
        let next = due.map(|(_, at)| at).chain(told.flatten()).min()?;
        Some(next.saturating_sub(now))
    }

    /// If a timer has still run out, the guest has failed.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<Cause> {
        let now = self.clock.at(now);
        self.told_due = false;
        if self.expired.is_some() || self.clock.is_stopped() {
            return None;
        }
        self.expired = self.due(now);
        self.expired
    }

    /// Timers that have run out have so long again. If that is `limited`, only as long as it does not
    /// add up to too much. `false` if a timer has run out all the same.
    pub(crate) fn excuse(&mut self, now: Duration, time: Duration, limited: bool) -> bool {
        let now = self.clock.at(now);
        let channels = self.channels.iter_mut();
        let runs = channels.filter_map(|channel| channel.run.as_mut());
        for run in runs.chain(&mut self.boot) {
            if run.deadline > now {
                continue;
            }
            if !limited {
                run.deadline = now + time;
                continue;
            }
            let allowed = time.min(run.excuses.saturating_sub(run.excused));
            if !allowed.is_zero() {
                run.excused += allowed;
                run.deadline = now + allowed;
            }
        }
        let helped = self.due(now).is_none();
        // Or it would be told again at once, and for ever.
        self.told_due &= !helped;
        helped
    }

    /// How long the timer that this is about has been excused.
    pub(crate) fn excused(&self, cause: Cause) -> Duration {
        self.run(cause).map_or(Duration::ZERO, |run| run.excused)
    }

    /// The guest has failed, whatever its timers say. `false` if that is known.
    pub(crate) fn fail(&mut self, cause: Cause) -> bool {
        let news = self.expired.is_none();
        self.expired.get_or_insert(cause);
        news
    }

    /// How long ago the timer that this is about was heard of last, not counting when the guest could
    /// not run.
    pub(crate) fn silence(&self, cause: Cause, now: Duration) -> Duration {
        let now = self.clock.at(now);
        let run = self.run(cause);
        run.map_or(Duration::ZERO, |run| now.saturating_sub(run.since))
    }

    /// How much later than the first that has run out it is.
    pub(crate) fn lateness(&self, now: Duration) -> Duration {
        let now = self.clock.at(now);
        self.deadlines()
            .map(|(_, deadline)| now.saturating_sub(deadline))
            .max()
            .unwrap_or_default()
    }

    pub(crate) fn times(&self, channel: u16) -> Times {
        let Some(channel) = self.channels.get(usize::from(channel)) else {
            return Times {
                timeout: Duration::ZERO,
                pretimeout: Duration::ZERO,
            };
        };
        channel.times
    }

    pub(crate) fn state(&self, channel: u16, now: Duration) -> State {
        let now = self.clock.at(now);
        let channel = self.channels.get(usize::from(channel));
        match channel.and_then(|channel| Some((channel.times, channel.run?))) {
            _ if self.expired.is_some() => State::Expired,
            None => State::Stopped,
            Some((times, run)) if times.pretimeout > self.left(times, run, now) => {
                State::Pretimeout
            }
            Some(_) => State::Running,
        }
    }

    /// How long until a channel expires, if it runs.
    pub(crate) fn time_left(&self, channel: u16, now: Duration) -> Option<Duration> {
        let now = self.clock.at(now);
        let channel = self.channels.get(usize::from(channel))?;
        Some(self.left(channel.times, channel.run?, now))
    }

    /// How long until the first timer expires, if one runs.
    pub(crate) fn least_time_left(&self, now: Duration) -> Option<Duration> {
        let now = self.clock.at(now);
        let deadlines = self.deadlines().map(|(_, deadline)| deadline);
        Some(deadlines.min()?.saturating_sub(now))
    }

    pub(crate) fn flags(&self) -> Flags {
        Flags {
            locked: self.locked,
            running: self.runs(),
            boot: self.boot.is_some(),
            suspended: self.sleep.is_on(),
            expired: self.expired.is_some(),
        }
    }

    pub(crate) fn expired(&self) -> Option<Cause> {
        self.expired
    }

    fn run(&self, cause: Cause) -> Option<Run> {
        match cause {
            Cause::Channel(channel) => self.channels.get(usize::from(channel))?.run,
            Cause::Boot => self.boot,
            Cause::Restart | Cause::Panic | Cause::Relayed => None,
        }
    }

    fn runs(&self) -> bool {
        self.channels.iter().any(|channel| channel.run.is_some())
    }

    /// Too late, or not.
    pub(crate) fn watching(&self) -> Result<(), Status> {
        self.expired.map_or(Ok(()), |_| Err(Status::Expired))
    }

    fn channel_mut(&mut self, channel: u16) -> Result<&mut Channel, Status> {
        let watching = self.watching();
        let channel = self.channels.get_mut(usize::from(channel));
        let channel = channel.ok_or(Status::Invalid)?;
        watching.map(|()| channel)
    }

    /// A sign of life.
    fn hear(&mut self, now: Duration) {
        self.wake(now);
        self.sleep.renew();
    }

    /// Ends a suspension, if there is one: all that runs has all of its time again.
    fn wake(&mut self, now: Duration) {
        let Some(wake) = self.sleep.wake() else {
            return;
        };
        for channel in &mut self.channels {
            channel.run = channel.run.map(|_| Run::new(now, channel.times.timeout));
        }
        if wake == Wake::Boot {
            self.boot = self.fresh_boot(now);
        }
    }

    fn fresh_boot(&self, now: Duration) -> Option<Run> {
        let timeout = self.settings.boot_timeout?;
        Some(Run::new(now, timeout))
    }

    /// How long until a channel expires that runs. One that is suspended has all of its time again when
    /// it goes on.
    fn left(&self, times: Times, run: Run, now: Duration) -> Duration {
        if self.sleep.is_on() {
            times.timeout
        } else {
            run.deadline.saturating_sub(now)
        }
    }

    /// When each timer that runs and does not stand still runs out.
    fn deadlines(&self) -> impl Iterator<Item = (Cause, Duration)> + '_ {
        let awake = !self.sleep.is_on();
        let channels = self
            .channels
            .iter()
            .zip(0..)
            .filter(move |_| awake)
            .filter_map(|(channel, number)| Some((Cause::Channel(number), channel.run?.deadline)));
        let boot = self.boot.map(|run| (Cause::Boot, run.deadline));
        boot.into_iter().chain(channels)
    }

    /// The timer that has run out first.
    fn due(&self, now: Duration) -> Option<Cause> {
        let due = self.deadlines().filter(|(_, deadline)| *deadline <= now);
        Some(due.min_by_key(|(_, deadline)| *deadline)?.0)
    }
}

#[cfg(test)]
mod tests;
