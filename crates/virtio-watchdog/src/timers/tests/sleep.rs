// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guests that sleep.

use super::*;

#[test]
fn suspended_channels_stand_still_and_have_all_their_time_when_they_go_on() {
    for wake in [
        |guest: &mut Guest| guest.timers.resume(guest.now),
        |guest: &mut Guest| guest.timers.ping(1, guest.now),
        |guest: &mut Guest| guest.timers.start(1, None, false, guest.now),
        |guest: &mut Guest| {
            guest.timers.plain_ping(guest.now);
            Ok(())
        },
    ] {
        let mut guest = Guest::running();
        guest.timers.start(1, None, false, guest.now).unwrap();
        guest.pass(15);
        assert_eq!(guest.timers.suspend(guest.now), Ok(()));
        assert_eq!(guest.pass(49), []);
        assert_eq!(guest.timers.time_left(0, guest.now), Some(20 * SECOND));
        assert_eq!(guest.timers.state(0, guest.now), State::Running);
        assert_eq!(wake(&mut guest), Ok(()));
        assert_eq!(guest.timers.time_left(0, guest.now), Some(20 * SECOND));
        assert!(!guest.timers.flags().suspended);
    }
}

#[test]
fn a_guest_that_sleeps_too_long_or_suspends_again_and_again_is_due() {
    let mut guest = Guest::running();
    for _ in 0..5 {
        assert_eq!(guest.timers.suspend(guest.now), Ok(()));
        assert_eq!(guest.passes(10), []);
    }
    assert_eq!(guest.passes(20).last(), Some(&(20.0, DUE)));
}

/// Each time it wakes, all that runs has all of its time again.
#[test]
fn a_guest_that_wakes_and_sleeps_again_without_a_sign_of_life_sleeps_no_longer() {
    for wake in [true, false] {
        let mut guest = Guest::running();
        for _ in 0..4 {
            assert_eq!(guest.timers.suspend(guest.now), Ok(()));
            assert_eq!(guest.passes(15), []);
            if wake {
                assert_eq!(guest.timers.resume(guest.now), Ok(()));
            }
        }
        assert!(!guest.timers.flags().suspended);
        assert_eq!(guest.timers.suspend(guest.now), Ok(()));
        assert!(!guest.timers.flags().suspended);
        assert_eq!(guest.passes(20).last(), Some(&(10.0, DUE)));
        guest.timers.ping(0, guest.now).unwrap();
        assert_eq!(guest.timers.suspend(guest.now), Ok(()));
        assert_eq!(guest.passes(50), []);
    }
}

#[test]
fn a_guest_of_which_nothing_runs_may_sleep_as_often_as_it_likes() {
    let mut guest = Guest::new(settings());
    for _ in 0..5 {
        guest.timers.boot_done().unwrap();
        guest.timers.suspend(guest.now).unwrap();
        guest.timers.reset(guest.now);
        assert_eq!(guest.pass(49), []);
        guest.timers.resume(guest.now).unwrap();
        assert!(guest.timers.flags().boot);
    }
}

/// A transport may reset the device of a guest that goes to sleep, and again when it wakes.
#[test]
fn a_guest_that_sleeps_boots_when_it_wakes_if_its_device_was_reset() {
    let boot = Event::Due(Cause::Boot);
    let sleeping = || {
        let mut guest = Guest::running();
        guest.timers.suspend(guest.now).unwrap();
        for _ in 0..2 {
            guest.timers.reset(guest.now);
            let flags = guest.timers.flags();
            assert!(flags.suspended && !flags.boot && !flags.running);
        }
        guest
    };
    let mut guest = sleeping();
    assert_eq!(guest.passes(49), []);
    guest.timers.resume(guest.now).unwrap();
    assert_eq!(guest.passes(60), [(60.0, boot)]);

    let mut guest = sleeping();
    assert_eq!(guest.passes(110), [(110.0, boot)]);

    let mut guest = sleeping();
    guest.timers.start(0, None, false, guest.now).unwrap();
    let flags = guest.timers.flags();
    assert!(!flags.suspended && !flags.boot && flags.running);

    let mut guest = sleeping();
    guest.timers.boot_done().unwrap();
    assert_eq!(guest.passes(1000), []);

    // The machine's end ends also its sleep.
    let mut guest = sleeping();
    guest.timers.guest_reset(guest.now);
    assert_eq!(guest.passes(60), [(60.0, boot)]);
}

#[test]
fn a_boot_that_runs_goes_on_while_the_guest_sleeps_and_its_device_is_reset() {
    let mut guest = Guest::new(settings());
    guest.passes(20);
    guest.timers.suspend(guest.now).unwrap();
    guest.timers.reset(guest.now);
    let boot = Event::Due(Cause::Boot);
    assert_eq!(guest.passes(40), [(40.0, boot)]);
    guest.timers.expire(guest.now);
    guest.timers.reset(guest.now);
    assert!(!guest.timers.flags().suspended);
    assert_eq!(guest.passes(60), [(60.0, boot)]);
}

#[test]
fn a_suspension_waits_for_ever_if_the_host_says_so_but_the_boot_does_not_wait() {
    let mut guest = Guest::new(Settings {
        max_suspend: None,
        ..settings()
    });
    guest.timers.suspend(guest.now).unwrap();
    assert_eq!(guest.passes(60), [(60.0, Event::Due(Cause::Boot))]);
    let mut guest = Guest::new(Settings {
        max_suspend: None,
        ..settings()
    });
    guest.timers.start(0, None, false, guest.now).unwrap();
    guest.timers.suspend(guest.now).unwrap();
    assert_eq!(guest.passes(u32::MAX), []);
}
