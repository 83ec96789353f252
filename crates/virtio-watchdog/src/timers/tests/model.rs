// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The state machine against one that counts down, second by second.

use proptest::prelude::*;

use super::SECOND;
use super::step::{Step, settings, step};
use crate::timers::*;

/// A timer that counts down, in seconds.
#[derive(Clone, Copy, Debug)]
struct Count {
    left: u32,
    excuses: u32,
    grace: u32,
    told: bool,
}

impl Count {
    fn new(left: u32) -> Self {
        Self {
            left,
            excuses: 4 * left,
            grace: 4 * left,
            told: false,
        }
    }

    fn go_on(&mut self, least: u32) {
        let more = least.saturating_sub(self.left).min(self.grace);
        self.left += more;
        self.grace -= more;
    }
}

#[derive(Debug)]
struct Model {
    settings: Settings,
    boot: Option<Count>,
    /// Timeout and pretimeout of each channel, and its timer if it runs.
    channels: Vec<((u32, u32), Option<Count>)>,
    locked: bool,
    /// Whether the guest boots when it wakes, if it is suspended.
    suspended: Option<bool>,
    /// Seconds that are left to be suspended in, from the first time on since a sign of life.
    sleep: Option<u32>,
    frozen: bool,
    asked: bool,
    expired: bool,
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap()
}

impl Model {
    fn new(settings: &Settings) -> Self {
        let times = (seconds(settings.timeout), seconds(settings.pretimeout));
        Self {
            boot: None,
            channels: vec![(times, None); settings.channels.into()],
            locked: settings.lock,
            suspended: None,
            sleep: None,
            frozen: false,
            asked: false,
            expired: false,
            settings: settings.clone(),
        }
    }

    fn halt(&mut self) {
        let new = Self::new(&self.settings);
        (self.channels, self.locked) = (new.channels, new.locked);
        (self.suspended, self.sleep, self.asked) = (None, None, false);
    }

    fn reset(&mut self) {
        let slept = (self.suspended, self.sleep);
        if slept.0.is_none() || self.expired {
            return self.guest_reset();
        }
        self.halt();
        (self.suspended, self.sleep) = slept;
        if self.boot.is_none() {
            self.suspended = Some(true);
        }
    }

    fn guest_reset(&mut self) {
        self.halt();
        if std::mem::take(&mut self.expired) || self.boot.is_none() {
            self.begin_boot();
        }
    }

    fn begin_boot(&mut self) {
        let timeout = self.settings.boot_timeout;
        self.boot = timeout.map(|timeout| Count::new(seconds(timeout)));
    }

    fn hear(&mut self) {
        self.wake();
        self.sleep = None;
    }

    fn wake(&mut self) {
        let Some(boots) = self.suspended.take() else {
            return;
        };
        for (times, count) in &mut self.channels {
            *count = count.map(|_| Count::new(times.0));
        }
        if boots {
            self.begin_boot();
        }
    }

    fn runs(&self) -> bool {
        self.channels.iter().any(|(_, count)| count.is_some())
    }

    fn times(&self, timeout: u32, pretimeout: u32) -> Result<(u32, u32), Status> {
        let settings = &self.settings;
        match timeout {
            0 => Ok((seconds(settings.timeout), seconds(settings.pretimeout))),
            2..=12 if pretimeout < timeout => Ok((timeout, pretimeout)),
            _ => Err(Status::Range),
        }
    }

    /// The channel, in a guest that has not failed.
    fn at(&mut self, channel: u16) -> Result<&mut ((u32, u32), Option<Count>), Status> {
        let channel = self.channels.get_mut(usize::from(channel));
        let channel = channel.ok_or(Status::Invalid)?;
        if self.expired {
            return Err(Status::Expired);
        }
        Ok(channel)
    }

    fn plain_ping(&mut self) {
        if self.expired {
            return;
        }
        self.hear();
        let boot = self.boot.take().map_or(0, |boot| boot.left);
        let (times, count) = &mut self.channels[0];
        *count = Some(Count {
            left: times.0.max(boot),
            ..Count::new(times.0)
        });
    }

    fn ask(&mut self, step: Step) -> Result<(), Status> {
        match step {
            Step::Plain => self.plain_ping(),
            Step::Ping(channel) => {
                let (times, count) = self.at(channel)?;
                *count.as_mut().ok_or(Status::Invalid)? = Count::new(times.0);
                self.hear();
            }
            Step::Start(channel, timeout, pretimeout, lock) => {
                self.at(channel)?;
                let times = self.times(timeout, pretimeout)?;
                *self.at(channel)? = (times, Some(Count::new(times.0)));
                self.locked |= lock;
                self.hear();
                self.boot = None;
            }
            Step::Set(channel, timeout, pretimeout) => {
                self.at(channel)?;
                let times = self.times(timeout, pretimeout)?;
                let channel = self.at(channel)?;
                *channel = (times, channel.1.map(|_| Count::new(times.0)));
            }
            Step::Stop(channel) => {
                let locked = self.locked;
                let (_, count) = self.at(channel)?;
                if locked && count.is_some() {
                    return Err(Status::Locked);
                }
                *count = None;
            }
            Step::Suspend => {
                self.at(0)?;
                if self.suspended.is_none() && self.boot.is_none() && !self.runs() {
                    self.sleep = None;
                }
                let max = self.settings.max_suspend.map_or(u32::MAX, seconds);
                if *self.sleep.get_or_insert(max) > 0 {
                    self.suspended = self.suspended.or(Some(false));
                }
            }
            Step::Resume => {
                self.at(0)?;
                self.wake();
            }
            Step::BootDone => {
                self.at(0)?;
                if self.settings.lock && !self.runs() {
                    return Err(Status::Locked);
                }
                self.boot = None;
                self.suspended = self.suspended.map(|_| false);
            }
            _ => unreachable!(),
        }
        Ok(())
    }

    fn thaw(&mut self) {
        if !std::mem::take(&mut self.frozen) {
            return;
        }
        for (times, count) in &mut self.channels {
            if let Some(count) = count {
                count.go_on(times.0.min(10));
            }
        }
        if let (Some(boot), Some(timeout)) = (&mut self.boot, self.settings.boot_timeout) {
            boot.go_on(seconds(timeout).min(10));
        }
    }

    /// What counts down.
    fn counts(&mut self) -> impl Iterator<Item = &mut Count> {
        let awake = self.suspended.is_none();
        let counts = self
            .channels
            .iter_mut()
            .filter_map(|(_, count)| count.as_mut());
        counts.filter(move |_| awake).chain(&mut self.boot)
    }

    fn is_due(&mut self) -> bool {
        self.counts().any(|count| count.left == 0)
    }

    /// Whether a timer has run out, and that is news, and which channels' pretimeouts have come.
    fn look(&mut self) -> (bool, Vec<u16>) {
        if self.frozen || self.expired {
            return (false, Vec::new());
        }
        if self.sleep == Some(0) {
            self.wake();
        }
        let due = self.is_due() && !self.asked;
        self.asked |= due;
        let mut told = Vec::new();
        for (number, (times, count)) in (0..).zip(&mut self.channels) {
            let (None, Some(count)) = (self.suspended, count) else {
                continue;
            };
            if (1..=times.1).contains(&count.left) && !count.told {
                count.told = true;
                told.push(number);
            }
        }
        (due, told)
    }

    fn tick(&mut self) {
        if self.frozen {
            return;
        }
        for count in self.counts() {
            count.left = count.left.saturating_sub(1);
        }
        self.sleep = self.sleep.map(|left| left.saturating_sub(1));
    }

    fn excuse(&mut self, time: u32, limited: bool) -> bool {
        let counts = self
            .channels
            .iter_mut()
            .filter_map(|(_, count)| count.as_mut());
        for count in counts.chain(&mut self.boot) {
            if count.left == 0 && limited {
                count.left = time.min(count.excuses);
                count.excuses -= count.left;
            } else if count.left == 0 {
                count.left = time;
            }
        }
        let helped = !self.is_due();
        self.asked &= !helped;
        helped
    }
}

/// After how many seconds a timer ran out, or pretimeouts came.
type Happened = Vec<(u32, bool, Vec<u16>)>;

fn pass(timers: &mut Timers, now: &mut Duration, time: u32) -> Happened {
    let (start, end) = (*now, *now + time * SECOND);
    let mut happened = Vec::new();
    loop {
        let (mut due, mut told) = (false, Vec::new());
        while let Some(event) = timers.poll(*now) {
            match event {
                Event::Late => {}
                Event::Due(_) => due = true,
                Event::Pretimeout(channel, _) => told.push(channel),
            }
        }
        if due || !told.is_empty() {
            happened.push((seconds(*now - start), due, told));
        }
        match timers.next(*now) {
            Some(after) if after <= end - *now => *now += after,
            _ => break,
        }
    }
    *now = end;
    happened
}

fn count_down(model: &mut Model, time: u32) -> Happened {
    let mut happened = Vec::new();
    for second in 0..=time {
        if second > 0 {
            model.tick();
        }
        let (due, told) = model.look();
        if due || !told.is_empty() {
            happened.push((second, due, told));
        }
    }
    happened
}

fn ask(timers: &mut Timers, step: Step, now: Duration) -> Result<(), Status> {
    let times = |timeout, pretimeout| {
        (timeout > 0).then_some(Times {
            timeout: timeout * SECOND,
            pretimeout: pretimeout * SECOND,
        })
    };
    match step {
        Step::Plain => {
            timers.plain_ping(now);
            Ok(())
        }
        Step::Ping(channel) => timers.ping(channel, now),
        Step::Start(channel, timeout, pretimeout, lock) => {
            timers.start(channel, times(timeout, pretimeout), lock, now)
        }
        Step::Stop(channel) => timers.stop(channel),
        Step::Set(channel, timeout, pretimeout) => {
            timers.set_timeout(channel, times(timeout, pretimeout), now)
        }
        Step::Suspend => timers.suspend(now),
        Step::Resume => timers.resume(now),
        Step::BootDone => timers.boot_done(),
        _ => unreachable!(),
    }
}

/// What the host does or says. What comes of it is the same for both.
fn rule(timers: &mut Timers, model: &mut Model, step: Step, now: Duration) -> bool {
    match step {
        Step::Freeze => {
            timers.freeze(now);
            model.frozen = true;
        }
        Step::Thaw => {
            timers.thaw(now);
            model.thaw();
        }
        Step::Reset => {
            timers.reset(now);
            model.reset();
        }
        Step::GuestReset => {
            timers.guest_reset(now);
            model.guest_reset();
        }
        Step::Excuse(time, limited) => {
            let excused = timers.excuse(now, time * SECOND, limited);
            return excused == model.excuse(time, limited);
        }
        Step::Expire => {
            let expires = !model.expired && !model.frozen && model.is_due();
            model.expired |= expires;
            model.asked = false;
            return timers.expire(now).is_some() == expires;
        }
        Step::Settle => {
            timers.settle();
            model.halt();
            (model.boot, model.expired) = (None, false);
        }
        Step::Dump(time) => {
            timers.await_reset(now, time * SECOND);
            if !model.expired {
                model.halt();
                model.boot = Some(Count::new(time));
            }
        }
        Step::Begin => {
            timers.begin(now);
            *model = Model::new(&model.settings);
            model.guest_reset();
        }
        _ => {
            timers.end();
            *model = Model::new(&model.settings);
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn timers_are_what_counts_down(
        settings in settings(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut now = 1000 * SECOND;
        let (mut timers, mut model) = (Timers::new(settings.clone()), Model::new(&settings));
        rule(&mut timers, &mut model, Step::Begin, now);
        for step in steps {
            match step {
                Step::Pass(time) => {
                    let happened = pass(&mut timers, &mut now, time);
                    prop_assert_eq!(happened, count_down(&mut model, time));
                }
                Step::Plain | Step::Ping(_) | Step::Start(..) | Step::Stop(_) | Step::Set(..)
                | Step::Suspend | Step::Resume | Step::BootDone => {
                    prop_assert_eq!(ask(&mut timers, step, now), model.ask(step));
                }
                _ => prop_assert!(rule(&mut timers, &mut model, step, now), "{:?}", step),
            }
            let expected = Flags {
                locked: model.locked,
                running: model.runs(),
                boot: model.boot.is_some(),
                suspended: model.suspended.is_some(),
                expired: model.expired,
            };
            prop_assert_eq!(timers.flags(), expected);
            for (channel, (times, count)) in (0..).zip(&model.channels) {
                let asleep = model.suspended.map(|_| times.0);
                let left = count.map(|count| asleep.unwrap_or(count.left));
                prop_assert_eq!(timers.time_left(channel, now).map(seconds), left);
                let state = match left {
                    _ if model.expired => State::Expired,
                    None => State::Stopped,
                    Some(left) if left < times.1 => State::Pretimeout,
                    Some(_) => State::Running,
                };
                prop_assert_eq!(timers.state(channel, now), state);
            }
        }
    }
}
