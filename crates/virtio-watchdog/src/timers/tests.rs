// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The state machine, edge by edge.

mod limit;
mod model;
mod sleep;
mod step;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> Settings {
    Settings {
        channels: 2,
        timeout: 20 * SECOND,
        pretimeout: 4 * SECOND,
        min_timeout: SECOND,
        max_timeout: 100 * SECOND,
        boot_timeout: Some(60 * SECOND),
        lock: false,
        max_suspend: Some(50 * SECOND),
    }
}

fn times(timeout: u32, pretimeout: u32) -> Option<Times> {
    Some(Times {
        timeout: timeout * SECOND,
        pretimeout: pretimeout * SECOND,
    })
}

/// Timers, and the clock that they are asked with.
struct Guest {
    timers: Timers,
    now: Duration,
}

impl Guest {
    fn new(settings: Settings) -> Self {
        // A clock has to begin somewhere.
        let now = 1000 * SECOND;
        let mut timers = Timers::new(settings);
        timers.begin(now);
        Self { timers, now }
    }

    /// A guest whose channel 0 runs from now on.
    fn running() -> Self {
        let mut guest = Self::new(settings());
        assert_eq!(guest.timers.start(0, None, false, guest.now), Ok(()));
        guest
    }

    /// Lets time pass as the device does, and returns what happened, and after how many seconds.
    fn pass(&mut self, seconds: u32) -> Vec<(f64, Event)> {
        let (start, end) = (self.now, self.now + seconds * SECOND);
        let mut happened = Vec::new();
        loop {
            while let Some(event) = self.timers.poll(self.now) {
                happened.push(((self.now - start).as_secs_f64(), event));
            }
            match self.timers.next(self.now) {
                Some(after) if after <= end - self.now => self.now += after,
                _ => break,
            }
        }
        self.now = end;
        happened
    }

    /// The same, but for timers that are late.
    fn passes(&mut self, seconds: u32) -> Vec<(f64, Event)> {
        let mut happened = self.pass(seconds);
        happened.retain(|(_, event)| *event != Event::Late);
        happened
    }
}

const DUE: Event = Event::Due(Cause::Channel(0));

#[test]
fn nothing_runs_before_there_is_a_guest() {
    let timers = Timers::new(settings());
    assert_eq!(timers.next(SECOND), None);
    assert_eq!(timers.flags(), Flags::default());
    assert_eq!(timers.least_time_left(SECOND), None);
}

#[test]
fn a_guest_that_never_boots_is_due_when_the_boot_timeout_has_passed() {
    let mut guest = Guest::new(settings());
    assert!(guest.timers.flags().boot);
    assert_eq!(guest.passes(100), [(60.0, Event::Due(Cause::Boot))]);
    assert_eq!(guest.timers.expire(guest.now), Some(Cause::Boot));
}

#[test]
fn a_reset_gives_no_more_time_to_boot_but_when_it_was_our_doing() {
    let mut guest = Guest::new(settings());
    for _ in 0..5 {
        assert_eq!(guest.passes(10), []);
        guest.timers.reset(guest.now);
    }
    assert_eq!(guest.passes(10), [(10.0, Event::Due(Cause::Boot))]);
    guest.timers.expire(guest.now);
    guest.timers.reset(guest.now);
    assert_eq!(guest.passes(60), [(60.0, Event::Due(Cause::Boot))]);
}

#[test]
fn a_guest_that_resets_its_device_to_get_away_has_to_boot() {
    let mut guest = Guest::running();
    guest.passes(5);
    guest.timers.reset(guest.now);
    assert!(guest.timers.flags().boot && !guest.timers.flags().running);
    assert_eq!(guest.passes(60), [(60.0, Event::Due(Cause::Boot))]);
}

#[test]
fn start_boot_done_and_a_plain_ping_end_the_boot() {
    for end in [
        |guest: &mut Guest| guest.timers.start(1, None, false, guest.now),
        |guest: &mut Guest| guest.timers.boot_done(),
        |guest: &mut Guest| {
            guest.timers.plain_ping(guest.now);
            Ok(())
        },
    ] {
        let mut guest = Guest::new(settings());
        assert_eq!(end(&mut guest), Ok(()));
        assert!(!guest.timers.flags().boot);
    }
}

#[test]
fn after_a_plain_ping_a_guest_has_no_less_time_than_to_boot() {
    let mut guest = Guest::new(settings());
    guest.pass(10);
    guest.timers.plain_ping(guest.now);
    let (pre, due) = (Event::Pretimeout(0, 4 * SECOND), DUE);
    assert_eq!(guest.passes(50), [(46.0, pre), (50.0, due)]);
    guest.timers.plain_ping(guest.now);
    assert_eq!(guest.passes(20), [(16.0, pre)]);
}

#[test]
fn a_channel_that_is_not_pinged_is_late_tells_and_is_due() {
    let mut guest = Guest::running();
    let expected = [
        (10.0, Event::Late),
        (16.0, Event::Pretimeout(0, 4 * SECOND)),
        (20.0, DUE),
    ];
    assert_eq!(guest.pass(30), expected);
    assert_eq!(guest.timers.state(0, guest.now), State::Pretimeout);
    assert_eq!(guest.timers.expire(guest.now), Some(Cause::Channel(0)));
    assert_eq!(guest.timers.state(0, guest.now), State::Expired);
    assert_eq!(guest.pass(1000), []);
}

#[test]
fn a_guest_that_boots_is_late_when_half_of_its_time_has_passed() {
    let mut guest = Guest::new(settings());
    let boot = Event::Due(Cause::Boot);
    assert_eq!(guest.pass(60), [(30.0, Event::Late), (60.0, boot)]);
}

/// Whoever looks at the guest then is to look at what comes after the pause.
#[test]
fn who_is_late_is_so_again_after_a_pause() {
    let mut guest = Guest::running();
    guest.timers.freeze(guest.now);
    guest.timers.thaw(guest.now);
    assert_eq!(guest.pass(12), [(10.0, Event::Late)]);
    guest.timers.freeze(guest.now);
    assert_eq!(guest.pass(100), []);
    guest.timers.thaw(guest.now);
    assert_eq!(guest.pass(3), [(0.0, Event::Late)]);
    let mut guest = Guest::new(settings());
    assert_eq!(guest.pass(40), [(30.0, Event::Late)]);
    guest.timers.freeze(guest.now);
    guest.timers.thaw(guest.now);
    assert_eq!(guest.pass(3), [(0.0, Event::Late)]);
}

#[test]
fn a_ping_gives_all_of_its_time_again_also_when_it_is_due() {
    let mut guest = Guest::running();
    for _ in 0..3 {
        assert_eq!(guest.pass(15).len(), 1);
        assert_eq!(guest.timers.ping(0, guest.now), Ok(()));
        assert_eq!(guest.timers.time_left(0, guest.now), Some(20 * SECOND));
    }
    assert_eq!(guest.passes(20).len(), 2);
    assert_eq!(guest.timers.ping(0, guest.now), Ok(()));
    assert_eq!(guest.timers.expire(guest.now), None);
    assert_eq!(guest.timers.state(0, guest.now), State::Running);
}

#[test]
fn a_pretimeout_is_told_once_and_the_state_says_so() {
    let mut guest = Guest::running();
    guest.pass(16);
    assert_eq!(guest.timers.state(0, guest.now), State::Running);
    assert_eq!(guest.pass(1), []);
    assert_eq!(guest.timers.state(0, guest.now), State::Pretimeout);
    guest
        .timers
        .set_timeout(0, times(20, 0), guest.now)
        .unwrap();
    assert_eq!(guest.passes(20), [(20.0, DUE)]);
}

#[test]
fn every_channel_counts() {
    let mut guest = Guest::running();
    guest
        .timers
        .start(1, times(30, 0), false, guest.now)
        .unwrap();
    for _ in 0..2 {
        assert_eq!(guest.passes(14), []);
        guest.timers.ping(0, guest.now).unwrap();
    }
    let due = Event::Due(Cause::Channel(1));
    assert_eq!(guest.passes(2), [(2.0, due)]);
    assert_eq!(guest.timers.expire(guest.now), Some(Cause::Channel(1)));
}

#[test]
fn times_out_of_range_and_channels_that_are_not_there_change_nothing() {
    let mut guest = Guest::running();
    let now = guest.now + 5 * SECOND;
    for (timeout, pretimeout) in [(101, 0), (20, 20), (20, 21)] {
        let times = times(timeout, pretimeout);
        assert_eq!(guest.timers.start(0, times, false, now), Err(Status::Range));
        assert_eq!(guest.timers.set_timeout(0, times, now), Err(Status::Range));
    }
    let short = Times {
        timeout: SECOND / 2,
        pretimeout: Duration::ZERO,
    };
    let refused = guest.timers.set_timeout(0, Some(short), now);
    assert_eq!(refused, Err(Status::Range));
    assert_eq!(guest.timers.ping(2, now), Err(Status::Invalid));
    assert_eq!(guest.timers.start(2, None, true, now), Err(Status::Invalid));
    assert_eq!(guest.timers.ping(1, now), Err(Status::Invalid));
    assert_eq!(guest.timers.time_left(0, now), Some(15 * SECOND));
    assert!(!guest.timers.flags().locked);
}

#[test]
fn a_locked_channel_cannot_be_stopped_until_a_reset() {
    let mut guest = Guest::running();
    assert_eq!(guest.timers.stop(0), Ok(()));
    assert_eq!(guest.timers.state(0, guest.now), State::Stopped);
    guest.timers.start(1, None, true, guest.now).unwrap();
    assert_eq!(guest.timers.stop(1), Err(Status::Locked));
    assert_eq!(guest.timers.stop(0), Ok(()));
    assert!(guest.timers.flags().locked);
    guest.timers.reset(guest.now);
    assert!(!guest.timers.flags().locked);
}

#[test]
fn the_lock_of_the_host_outlives_resets_and_needs_a_channel_that_runs() {
    let mut guest = Guest::new(Settings {
        lock: true,
        ..settings()
    });
    assert_eq!(guest.timers.boot_done(), Err(Status::Locked));
    guest.timers.start(0, None, false, guest.now).unwrap();
    assert_eq!(guest.timers.stop(0), Err(Status::Locked));
    assert_eq!(guest.timers.boot_done(), Ok(()));
    guest.timers.reset(guest.now);
    assert!(guest.timers.flags().locked);
}

#[test]
fn a_guest_that_is_paused_for_a_year_goes_on_where_it_was() {
    let mut guest = Guest::running();
    guest.pass(9);
    guest.timers.freeze(guest.now);
    assert_eq!(guest.pass(365 * 86400), []);
    assert_eq!(guest.timers.time_left(0, guest.now), Some(11 * SECOND));
    guest.timers.thaw(guest.now);
    assert_eq!(guest.passes(11).last(), Some(&(11.0, DUE)));
}

#[test]
fn a_guest_that_goes_on_has_10_seconds_or_all_its_time_if_that_is_less() {
    let mut guest = Guest::running();
    guest.pass(19);
    guest.timers.freeze(guest.now);
    guest.pass(1);
    guest.timers.thaw(guest.now);
    assert_eq!(guest.timers.time_left(0, guest.now), Some(10 * SECOND));
    guest
        .timers
        .start(0, times(3, 0), false, guest.now)
        .unwrap();
    guest.pass(2);
    guest.timers.freeze(guest.now);
    guest.timers.thaw(guest.now);
    assert_eq!(guest.timers.time_left(0, guest.now), Some(3 * SECOND));
}

#[test]
fn the_boot_of_a_guest_that_is_paused_waits_too() {
    let mut guest = Guest::new(settings());
    guest.pass(59);
    guest.timers.freeze(guest.now);
    assert_eq!(guest.pass(1000), []);
    guest.timers.thaw(guest.now);
    assert_eq!(guest.passes(10), [(10.0, Event::Due(Cause::Boot))]);
}

/// A guest whose driver resets its device stops the queues, as a pause does.
#[test]
fn a_guest_that_seems_to_be_paused_again_and_again_does_not_boot_for_ever() {
    let mut guest = Guest::new(settings());
    let mut boots = 0;
    while guest.passes(9).is_empty() {
        boots += 9;
        assert!(boots < 60 + 4 * 60 + 9);
        guest.timers.freeze(guest.now);
        guest.timers.thaw(guest.now);
        guest.timers.reset(guest.now);
    }
    assert_eq!(guest.timers.expire(guest.now), Some(Cause::Boot));
}

#[test]
fn a_guest_that_expired_is_answered_and_not_rescued() {
    let mut guest = Guest::running();
    guest.pass(20);
    guest.timers.expire(guest.now);
    let (timers, now) = (&mut guest.timers, guest.now);
    assert_eq!(timers.ping(0, now), Err(Status::Expired));
    assert_eq!(timers.start(0, None, false, now), Err(Status::Expired));
    assert_eq!(timers.stop(0), Err(Status::Expired));
    assert_eq!(timers.set_timeout(0, None, now), Err(Status::Expired));
    assert_eq!(timers.suspend(now), Err(Status::Expired));
    assert_eq!(timers.resume(now), Err(Status::Expired));
    assert_eq!(timers.boot_done(), Err(Status::Expired));
    timers.plain_ping(now);
    assert_eq!(timers.expired(), Some(Cause::Channel(0)));
    assert_eq!(timers.expire(now), None);
    assert!(!timers.fail(Cause::Panic));
    timers.settle();
    assert_eq!(timers.flags(), Flags::default());
    timers.plain_ping(now);
    assert_eq!(timers.state(0, now), State::Running);
}

#[test]
fn excuses_for_the_hosts_troubles_end_after_4_times_the_timeout() {
    let mut guest = Guest::running();
    guest.pass(20);
    for _ in 0..8 {
        assert!(guest.timers.excuse(guest.now, 10 * SECOND, true));
        assert_eq!(guest.passes(10).last(), Some(&(10.0, DUE)));
    }
    assert_eq!(guest.timers.excused(Cause::Channel(0)), 80 * SECOND);
    assert!(!guest.timers.excuse(guest.now, 10 * SECOND, true));
    assert_eq!(guest.timers.expire(guest.now), Some(Cause::Channel(0)));
}

/// Or who looks late would be told for ever.
#[test]
fn a_guest_that_no_excuse_helps_is_due_once() {
    let mut guest = Guest::running();
    guest.pass(20);
    assert!(guest.timers.excuse(guest.now, 80 * SECOND, true));
    guest.now += 90 * SECOND;
    assert_eq!(guest.timers.poll(guest.now), Some(DUE));
    assert!(!guest.timers.excuse(guest.now, 10 * SECOND, true));
    assert_eq!(guest.timers.poll(guest.now), None);
    assert_eq!(guest.timers.next(guest.now), None);
    assert_eq!(guest.timers.expire(guest.now), Some(Cause::Channel(0)));
}

#[test]
fn excuses_for_a_machine_that_does_not_run_do_not_end() {
    let mut guest = Guest::running();
    guest.pass(20);
    for _ in 0..100 {
        assert!(guest.timers.excuse(guest.now, 10 * SECOND, false));
        assert_eq!(guest.passes(10).last(), Some(&(10.0, DUE)));
    }
}

#[test]
fn a_guest_that_writes_down_why_it_panicked_has_time_for_that() {
    let mut guest = Guest::running();
    guest.timers.await_reset(guest.now, 300 * SECOND);
    assert_eq!(guest.passes(300), [(300.0, Event::Due(Cause::Boot))]);
    guest.timers.reset(guest.now);
    assert_eq!(
        guest.timers.least_time_left(guest.now),
        Some(Duration::ZERO)
    );
}

#[test]
fn silence_and_lateness_are_told() {
    let mut guest = Guest::running();
    guest.pass(22);
    assert_eq!(guest.timers.lateness(guest.now), 2 * SECOND);
    let silence = guest.timers.silence(Cause::Channel(0), guest.now);
    assert_eq!(silence, 22 * SECOND);
    assert_eq!(
        guest.timers.silence(Cause::Panic, guest.now),
        Duration::ZERO
    );
}
