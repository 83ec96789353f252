// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What happens as time passes.

use std::time::Duration;

use virtio_backend::Device;
use virtio_backend::testing::reply;
use virtio_watchdog::{Cause, Failure, Report, Settings, VERDICT, Verdict};

use crate::common::{Guest, LONG, SHORT, settings, time_passes};

fn short() -> Settings {
    Settings {
        timeout: SHORT,
        ..settings()
    }
}

/// Waits until a timer is late and has run out. Who looks too late hears of both at once, the other way
/// round.
fn late_and_due(guest: &mut Guest) -> Failure {
    match (guest.wait(), guest.wait()) {
        (Report::Late, Report::Due(failure)) | (Report::Due(failure), Report::Late) => failure,
        other => panic!("{other:?}"),
    }
}

/// Waits until channel 0 has run out, which it has been given to do.
fn due(guest: &mut Guest) {
    let failure = late_and_due(guest);
    assert_eq!(failure.cause, Cause::Channel(0));
    assert!(failure.silence >= SHORT);
}

#[test]
fn a_guest_that_does_not_ping_is_late_then_due_then_failed() {
    let mut guest = Guest::new(short());
    guest.ok(2, 0);
    due(&mut guest);
    guest.say(Verdict::Act);
    let Report::Failed(failure) = guest.report() else {
        panic!("not failed");
    };
    assert_eq!(failure.cause, Cause::Channel(0));
    assert!(failure.silence >= SHORT);
    guest.say(Verdict::Act);
    assert!(guest.is_silent());
}

#[test]
fn dev_21_a_ping_while_the_host_looks_is_in_time() {
    let mut guest = Guest::new(short());
    guest.ok(2, 0);
    due(&mut guest);
    guest.ok(1, 0);
    guest.say(Verdict::Act);
    // Had it failed, it would be no news now.
    due(&mut guest);
}

#[test]
fn a_guest_that_is_excused_is_due_again_and_not_for_ever() {
    let mut guest = Guest::new(short());
    guest.ok(2, 0);
    due(&mut guest);
    let excuse = Verdict::Excused {
        time: SHORT,
        limited: true,
    };
    let excused = loop {
        guest.say(excuse);
        match guest.wait() {
            Report::Due(_) => {}
            Report::Failed(failure) => break failure.excused,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(excused, 4 * SHORT);
}

/// The host is late each time.
#[test]
fn a_guest_that_no_excuse_helps_is_due_once() {
    let mut guest = Guest::new(Settings {
        timeout: SHORT / 20,
        ..settings()
    });
    guest.ok(2, 0);
    let due = |report| matches!(report, Report::Due(_));
    loop {
        time_passes();
        guest.device.ready(VERDICT);
        if guest.reports().any(due) {
            break;
        }
    }
    guest.device.ready(VERDICT);
    assert!(!guest.reports().any(due));
    guest.say(Verdict::Act);
    assert!(matches!(guest.report(), Report::Failed(_)));
}

#[test]
fn dev_18_the_driver_is_told_of_a_pretimeout_once_and_of_the_end() {
    let mut guest = Guest::new(short());
    guest.buffers.lend(4);
    // Whoever looks after the end is told of the end only.
    assert_eq!(guest.ask((2, 0, 2000, 1500, 0))[0], 1);
    due(&mut guest);
    let event = guest.buffers.now().unwrap();
    assert_eq!(event[..4], [1, 0, 0, 0]);
    let left = u32::from_le_bytes(event[4..].try_into().unwrap());
    assert!(left <= 1500);
    assert_eq!(guest.buffers.now(), None);
    guest.say(Verdict::Act);
    guest.say(Verdict::Tell);
    assert_eq!(guest.buffers.now().unwrap(), [2, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn dev_17_an_event_that_has_no_buffer_is_dropped() {
    let mut guest = Guest::new(short());
    assert_eq!(guest.ask((2, 0, 200, 150, 0))[0], 1);
    due(&mut guest);
    guest.buffers.lend(4);
    assert_eq!(guest.buffers.now(), None);
}

#[test]
fn an_event_is_for_a_driver_that_wants_it() {
    let mut guest = Guest::new(short());
    guest.device.negotiated(0b001);
    assert_eq!(guest.report(), Report::Ready);
    guest.buffers.lend(4);
    guest.ok(2, 0);
    due(&mut guest);
    guest.say(Verdict::Act);
    guest.say(Verdict::Tell);
    assert_eq!(guest.buffers.now(), None);
}

#[test]
fn dev_20_time_stands_still_while_the_queues_are_stopped_or_the_machine_is_paused() {
    let mut guest = Guest::new(settings());
    guest.ok(2, 0);
    guest.device.stop(0, virtio_backend::Stopped::default());
    assert_eq!(guest.report(), Report::Stopped);
    let left = guest.time_left();
    time_passes();
    assert_eq!(guest.time_left(), left);
    guest.device.negotiated(0b111);
    time_passes();
    assert!(guest.time_left() < left);

    guest.say(Verdict::Paused);
    let left = guest.time_left();
    time_passes();
    assert_eq!(guest.time_left(), left);
    guest.say(Verdict::Resumed);
    time_passes();
    assert!(guest.time_left() < left);
}

/// The monitor may be lost while the machine is paused.
#[test]
fn a_machine_whose_queues_go_on_is_not_paused_whatever_was_said() {
    let mut guest = Guest::new(settings());
    guest.ok(2, 0);
    guest.say(Verdict::Paused);
    guest.device.stop(0, virtio_backend::Stopped::default());
    let left = guest.time_left();
    time_passes();
    assert_eq!(guest.time_left(), left);
    guest.device.negotiated(0b111);
    time_passes();
    assert!(guest.time_left() < left);
}

#[test]
fn a_driver_that_lets_its_device_go_has_to_boot() {
    let mut guest = Guest::new(short());
    guest.ok(2, 0);
    guest.device.stop(0, virtio_backend::Stopped::default());
    guest.say(Verdict::NotPaused);
    assert_eq!(guest.flags(), 1 << 2);
    // Not what stopped long ago.
    guest.device.negotiated(0b111);
    guest.ok(2, 0);
    guest.say(Verdict::NotPaused);
    assert_eq!(guest.flags(), 1 << 1);
}

/// As virtio-pci does it when the guest goes to sleep, while the machine goes on.
#[test]
fn dev_19_a_guest_that_sleeps_does_not_boot_before_it_wakes() {
    let mut guest = Guest::new(short());
    guest.ok(2, 0);
    assert_eq!(guest.ok(6, 0)[2], 1 << 1 | 1 << 3);
    guest.device.stop(0, virtio_backend::Stopped::default());
    guest.say(Verdict::NotPaused);
    assert_eq!(guest.flags(), 1 << 3);
    guest.device.reset();
    guest.device.negotiated(0b111);
    assert_eq!(guest.flags(), 1 << 3);
    assert_eq!(guest.time_left(), u32::MAX);
    assert_eq!(guest.ok(7, 0)[2], 1 << 2);

    guest.ok(6, 0);
    guest.say(Verdict::Reset);
    assert_eq!(guest.flags(), 1 << 2);
}

#[test]
fn the_host_knows_of_failures_that_no_timer_sees() {
    for cause in [Cause::Panic, Cause::Relayed] {
        let mut guest = Guest::new(settings());
        guest.say(Verdict::Failed(cause));
        let Report::Failed(failure) = guest.report() else {
            panic!("not failed");
        };
        assert_eq!((failure.cause, failure.silence), (cause, Duration::ZERO));
    }
}

#[test]
fn a_guest_that_writes_down_why_it_panicked_need_not_ping() {
    let mut guest = Guest::new(short());
    guest.ok(2, 0);
    guest.say(Verdict::Dumping(LONG));
    assert_eq!(guest.flags(), 1 << 2);
    guest.say(Verdict::Dumping(SHORT));
    assert_eq!(late_and_due(&mut guest).cause, Cause::Boot);
}

#[test]
fn a_guest_that_could_not_be_helped_is_watched_again_when_it_pings() {
    let mut guest = Guest::new(short());
    guest.ok(2, 0);
    due(&mut guest);
    guest.say(Verdict::Act);
    guest.report();
    guest.say(Verdict::Settled);
    assert_eq!(guest.flags(), 0);
    guest.plain_ping();
    due(&mut guest);
}

#[test]
fn what_the_driver_says_on_the_eventq_is_no_ping() {
    let mut guest = Guest::new(settings());
    let (reply, answer) = reply(16);
    guest.device.handle(1, &[], reply);
    assert_eq!(answer.now().unwrap(), b"");
    assert_eq!(guest.flags(), 1 << 2);
}
