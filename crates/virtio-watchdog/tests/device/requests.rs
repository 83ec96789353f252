// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a driver may ask, and is answered.

use virtio_backend::Device;
use virtio_watchdog::{Cause, Report, Settings};

use crate::common::{ALL, Guest, LONG, is_about, request, settings};

const RUNNING: u8 = 1 << 1;
const BOOT: u8 = 1 << 2;
const SUSPENDED: u8 = 1 << 3;
const EXPIRED: u8 = 1 << 4;

fn status(guest: &mut Guest, words: (u16, u16, u32, u32, u32)) -> u8 {
    guest.ask(words)[0]
}

#[test]
fn features_and_configuration_are_those_of_the_specification() {
    let guest = Guest::new(settings());
    assert_eq!(guest.device.features(), ALL);
    let mut config = guest.device.config();
    assert!(is_about(guest.time_left(), 2000));
    config.truncate(0x20);
    let expected = [
        &100u32.to_le_bytes()[..],
        &3_600_000u32.to_le_bytes(),
        &1_000_000u32.to_le_bytes(),
        &[0; 4],
        &3_600_000u32.to_le_bytes(),
        &[2, 0, BOOT, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(config, expected.concat());
    guest.knows(false, None);
    assert_eq!(guest.device.features(), 0b011);
}

#[test]
fn dev_8_a_plain_ping_is_answered_with_the_byte_1_and_starts_channel_0() {
    let mut guest = Guest::new(settings());
    guest.plain_ping();
    assert_eq!(guest.flags(), RUNNING);
    // Not before the boot timer would have.
    assert!(is_about(guest.time_left(), 2000));
    for room in [1, 8, 4096] {
        assert_eq!(guest.send(&[], room), [1]);
        assert!(is_about(guest.time_left(), 1000));
    }
}

#[test]
fn dev_8_a_ping_without_room_for_an_answer_is_none() {
    let mut guest = Guest::new(settings());
    assert_eq!(guest.send(&[], 0), b"");
    assert_eq!(guest.send(&request((2, 0, 0, 0, 0)), 0), b"");
    assert_eq!(guest.flags(), BOOT);
}

#[test]
fn dev_9_as_much_of_a_response_is_written_as_there_is_room() {
    let mut guest = Guest::new(settings());
    let response = guest.ok(2, 0);
    assert_eq!(
        response[..12],
        [1, 1, RUNNING, 0, 0x40, 0x42, 0xf, 0, 0, 0, 0, 0]
    );
    let left = u32::from_le_bytes(response[12..].try_into().unwrap());
    assert!(is_about(left, 1000));
    for room in 1..=16 {
        assert_eq!(guest.send(&request((5, 0, 0, 0, 0)), room).len(), room);
    }
    assert_eq!(guest.send(&request((5, 0, 0, 0, 0)), 4096).len(), 16);
}

#[test]
fn dev_10_a_request_that_is_refused_changes_nothing() {
    let mut guest = Guest::new(settings());
    guest.ok(2, 0);
    for (words, expected) in [
        ((2, 0, 99, 0, 0), 4),
        ((2, 0, 3_600_001, 0, 1), 4),
        ((2, 0, 5000, 5000, 0), 4),
        ((4, 0, 5000, 6000, 0), 4),
        ((1, 1, 0, 0, 0), 2),
        ((2, 2, 0, 0, 1), 2),
        ((4, 0xffff, 0, 0, 0), 2),
        ((3, 0, 0, 0, 1), 2),
        ((0, 0, 0, 0, 0), 3),
        ((10, 0, 0, 0, 0), 3),
    ] {
        let response = guest.ask(words);
        assert_eq!(response[0], expected, "{words:?}");
        if words.1 == 0 {
            assert_eq!(response[1..3], [1, RUNNING], "{words:?}");
        }
    }
    for length in (1..16).chain([17, 100]) {
        assert_eq!(guest.send(&vec![5; length], 16)[0], 2);
    }
    assert!(is_about(guest.time_left(), 1000));
}

#[test]
fn dev_11_what_was_not_negotiated_is_unsupported() {
    let mut guest = Guest::new(settings());
    for (features, words, expected) in [
        (0b000, (2, 0, 0, 0, 0), 3),
        (0b110, (2, 0, 0, 0, 0), 3),
        (0b001, (2, 0, 5000, 1000, 0), 3),
        (0b001, (4, 0, 5000, 1000, 0), 3),
        (0b001, (2, 0, 0, 1000, 0), 1),
        (0b001, (2, 0, 5000, 0, 0), 1),
        (0b001, (8, 0, 0, 0, 0), 3),
        (0b011, (2, 0, 5000, 1000, 0), 1),
        (0b011, (8, 0, 0, 0, 0), 3),
    ] {
        guest.device.negotiated(features);
        assert_eq!(
            status(&mut guest, words),
            expected,
            "{features:#b} {words:?}"
        );
        guest.plain_ping();
    }
}

#[test]
fn a_channel_starts_is_pinged_changed_and_stopped() {
    let mut guest = Guest::new(settings());
    let started = guest.ask((2, 1, 60_000, 10_000, 0));
    assert_eq!(
        started[..12],
        [1, 1, RUNNING, 0, 0x60, 0xea, 0, 0, 0x10, 0x27, 0, 0]
    );
    guest.ok(1, 1);
    let changed = guest.ask((4, 1, 30_000, 0, 0));
    assert_eq!(
        changed[..12],
        [1, 1, RUNNING, 0, 0x30, 0x75, 0, 0, 0, 0, 0, 0]
    );
    assert!(is_about(guest.time_left(), 30));
    let stopped = guest.ok(3, 1);
    assert_eq!(stopped[1..4], [0, 0, 0]);
    assert_eq!(stopped[12..], [0xff; 4]);
    assert_eq!(guest.time_left(), u32::MAX);
}

#[test]
fn dev_14_a_lock_holds_until_the_device_is_reset() {
    let mut guest = Guest::new(settings());
    assert_eq!(status(&mut guest, (2, 0, 0, 0, 1)), 1);
    let refused = guest.ask((3, 0, 0, 0, 0));
    assert_eq!(refused[..3], [5, 1, RUNNING | 1]);
    guest.device.reset();
    guest.device.negotiated(ALL);
    assert_eq!(guest.flags(), BOOT);
    guest.ok(3, 0);

    let mut guest = Guest::new(Settings {
        lock: true,
        ..settings()
    });
    assert_eq!(status(&mut guest, (9, 0, 0, 0, 0)), 5);
    guest.ok(2, 1);
    assert_eq!(status(&mut guest, (3, 1, 0, 0, 0)), 5);
    guest.ok(9, 0);
}

#[test]
fn a_guest_that_says_that_it_has_booted_is_not_watched() {
    let mut guest = Guest::new(settings());
    guest.ok(9, 0);
    assert_eq!((guest.flags(), guest.time_left()), (0, u32::MAX));
}

#[test]
fn channels_that_are_suspended_are_not_running_out() {
    let mut guest = Guest::new(settings());
    guest.ok(2, 0);
    let response = guest.ok(6, 0);
    assert_eq!(response[2], RUNNING | SUSPENDED);
    assert_eq!(guest.time_left(), u32::MAX);
    guest.ok(7, 0);
    assert_eq!(guest.flags(), RUNNING);
}

#[test]
fn a_restart_is_done_when_the_host_lets_it() {
    let mut guest = Guest::new(settings());
    guest.knows(false, Some(false));
    assert_eq!(status(&mut guest, (8, 0, 0, 0, 0)), 7);
    assert!(guest.is_silent());
    guest.knows(false, Some(true));
    assert_eq!(status(&mut guest, (8, 0, 0, 0, 0)), 1);
    let Report::Failed(failure) = guest.report() else {
        panic!("no failure");
    };
    assert_eq!(failure.cause, Cause::Restart);
    assert_eq!(status(&mut guest, (8, 0, 0, 0, 0)), 6);
    assert!(guest.is_silent());
}

#[test]
fn dev_15_a_guest_on_which_the_device_acts_is_too_late() {
    let mut guest = Guest::new(settings());
    guest.ok(8, 0);
    for kind in [1, 2, 3, 4, 6, 7, 8, 9] {
        let response = guest.ask((kind, 0, 0, 0, 0));
        assert_eq!(response[..3], [6, 3, BOOT | EXPIRED], "{kind}");
    }
    assert_eq!(status(&mut guest, (2, 0, 1, 0, 0)), 6);
    assert_eq!(status(&mut guest, (2, 2, 0, 0, 0)), 2);
    assert_eq!(guest.ok(5, 1)[1], 3);
    guest.plain_ping();
    assert_eq!(guest.flags(), BOOT | EXPIRED);
}

#[test]
fn a_timeout_may_be_as_long_as_the_host_allows() {
    let mut guest = Guest::new(Settings {
        max_timeout: 2 * LONG,
        ..settings()
    });
    assert_eq!(status(&mut guest, (2, 0, 2_000_000, 0, 0)), 1);
    assert_eq!(status(&mut guest, (2, 0, 2_000_001, 0, 0)), 4);
}
