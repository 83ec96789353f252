// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Why a guest was reset, and how often.

use virtio_backend::Device;
use virtio_watchdog::{Cause, Report, Verdict};

use crate::common::{ALL, Guest, SHORT, settings};

/// A guest that failed.
fn failed(cause: Cause) -> Guest {
    let mut guest = Guest::new(settings());
    guest.say(Verdict::Failed(cause));
    assert!(matches!(guest.report(), Report::Failed(_)));
    guest
}

#[test]
fn dev_5_a_guest_that_was_reset_is_told_why_until_its_next_reset() {
    for (cause, boot_status) in [
        (Cause::Channel(1), 1),
        (Cause::Relayed, 1),
        (Cause::Boot, 2),
        (Cause::Restart, 4),
        (Cause::Panic, 8),
    ] {
        let mut guest = failed(cause);
        assert_eq!(guest.boot_status(), (0, 0));
        guest.device.reset();
        assert_eq!(guest.boot_status(), (boot_status, 1));
        guest.device.reset();
        assert_eq!(guest.boot_status(), (0, 1));
    }
}

#[test]
fn a_host_that_tells_resets_knows_a_reset_of_the_device_from_one_of_the_machine() {
    let mut guest = failed(Cause::Boot);
    guest.knows(true, Some(true));
    // A driver that hopes to get away.
    guest.device.reset();
    guest.device.negotiated(ALL);
    assert_eq!(guest.boot_status(), (0, 0));
    assert_eq!(guest.ask((2, 0, 0, 0, 0))[0], 6);

    guest.say(Verdict::Reset);
    assert_eq!(guest.boot_status(), (2, 1));
    guest.device.reset();
    guest.device.negotiated(ALL);
    assert_eq!(guest.boot_status(), (2, 1));
    guest.ok(2, 0);
    guest.say(Verdict::Reset);
    assert_eq!(guest.boot_status(), (0, 1));
}

#[test]
fn the_queues_of_a_machine_that_is_reset_stop_before_that_is_told() {
    let mut guest = failed(Cause::Boot);
    guest.knows(true, Some(true));
    guest.device.stop(0, virtio_backend::Stopped::default());
    guest.say(Verdict::NotPaused);
    guest.say(Verdict::Reset);
    assert_eq!(guest.boot_status(), (2, 1));
    assert_eq!(guest.flags(), 1 << 2);
}

#[test]
fn a_machine_that_comes_again_after_it_was_ended_is_told_why() {
    let mut guest = failed(Cause::Boot);
    guest.device.disconnected();
    assert_eq!(guest.flags(), 0);
    // Said before, and read now.
    guest.say(Verdict::Reset);
    guest.device.connected();
    assert_eq!(guest.boot_status(), (2, 1));
    assert_eq!(guest.flags(), 1 << 2);
    guest.device.disconnected();
    guest.device.connected();
    assert_eq!(guest.boot_status(), (0, 1));
}

#[test]
fn a_guest_without_a_front_end_is_not_watched() {
    let mut guest = Guest::new(settings());
    guest.ok(2, 0);
    guest.device.disconnected();
    assert_eq!(guest.report(), Report::Disconnected);
    assert_eq!(guest.time_left(), u32::MAX);
    assert!(guest.is_silent());
}

/// The monitor is listened to also then (`--relay`), and a verdict may be older than the end.
#[test]
fn what_the_host_says_without_a_front_end_starts_nothing() {
    let mut guest = Guest::new(settings());
    guest.ok(2, 0);
    guest.device.stop(0, virtio_backend::Stopped::default());
    guest.device.disconnected();
    assert_eq!(guest.report(), Report::Stopped);
    assert_eq!(guest.report(), Report::Disconnected);
    for verdict in [
        Verdict::NotPaused,
        Verdict::Paused,
        Verdict::Reset,
        Verdict::Resumed,
        Verdict::Reset,
        Verdict::Dumping(SHORT),
        Verdict::Failed(Cause::Panic),
        Verdict::Act,
    ] {
        guest.say(verdict);
        assert_eq!((guest.flags(), guest.time_left()), (0, u32::MAX));
    }
    assert!(guest.is_silent());
}

#[test]
fn a_machine_without_a_front_end_fails_when_another_watchdog_says_so() {
    let mut guest = Guest::new(settings());
    guest.device.disconnected();
    assert_eq!(guest.report(), Report::Disconnected);
    for (count, end) in [
        (1, Verdict::Reset),
        (1, Verdict::Settled),
        (2, Verdict::Reset),
    ] {
        guest.say(Verdict::Failed(Cause::Relayed));
        assert!(matches!(guest.report(), Report::Failed(_)));
        guest.say(end);
        assert_eq!((guest.flags(), guest.boot_status()), (0, (1, count)));
    }
    guest.device.connected();
    assert_eq!(guest.flags(), 1 << 2);
}
