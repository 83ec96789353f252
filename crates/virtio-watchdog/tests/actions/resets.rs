// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which resets that a monitor tells of are one, and which of them are failed boots.

use std::process;
use std::time::Duration;

use serde_json::{Value, json};
use virtio_backend::testing::LIMIT;
use virtio_watchdog::{Cause, Plan, Report, Verdict};

use crate::common::{FAILURE, Monitor, Rig};

fn guests() -> Value {
    json!({"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}})
}

fn hosts() -> Value {
    json!({"event": "RESET", "data": {"guest": false, "reason": "host-qmp-system-reset"}})
}

/// A machine whose firmware may take long.
fn firmware(plan: &mut Plan) {
    plan.firmware_reset = LIMIT;
}

/// No other verdict was there before.
#[track_caller]
fn nothing_else(rig: &mut Rig) {
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
}

#[test]
fn the_second_reset_of_a_pcs_firmware_is_no_other_reset() {
    for reset in [hosts(), guests()] {
        let monitor = Monitor::new();
        let mut rig = Rig::with(&["reset"], monitor.control(), firmware);
        rig.report(Report::Connected(Some(process::id())));
        monitor.say(&reset);
        monitor.say(&guests());
        assert_eq!(rig.verdict(), Verdict::Reset);
        nothing_else(&mut rig);
    }
}

#[test]
fn five_reboots_of_a_pc_are_five_boots() {
    let monitor = Monitor::new();
    let mut rig = Rig::with(&["reset"], monitor.control(), |plan| {
        firmware(plan);
        plan.boot_timeout = Some(LIMIT);
    });
    rig.report(Report::Connected(Some(process::id())));
    for _ in 0..10 {
        monitor.say(&guests());
    }
    for _ in 0..5 {
        assert_eq!(rig.verdict(), Verdict::Reset);
    }
    nothing_else(&mut rig);
}

#[test]
fn a_guest_that_resets_itself_between_two_failures_does_so_for_itself() {
    let monitor = Monitor::new();
    let mut rig = Rig::with(&["reset"], monitor.control(), firmware);
    rig.report(Report::Connected(Some(process::id())));
    monitor.say(&hosts());
    assert_eq!(rig.verdict(), Verdict::Reset);
    for event in ["GUEST_PANICKED", "GUEST_CRASHLOADED", "WATCHDOG"] {
        monitor.say(&json!({"event": event, "data": {"action": "none"}}));
        monitor.say(&guests());
        rig.verdict();
        assert_eq!(rig.verdict(), Verdict::Reset, "{event}");
    }
}

#[test]
fn what_firmware_does_is_not_what_comes_of_a_stage() {
    let monitor = Monitor::new();
    let mut rig = Rig::with(&["reset"], monitor.control(), |plan| {
        firmware(plan);
        plan.boot_timeout = Some(LIMIT);
        plan.max_resets = 1;
    });
    rig.report(Report::Connected(Some(process::id())));
    for _ in 0..3 {
        monitor.say(&guests());
    }
    assert_eq!(rig.verdict(), Verdict::Reset);
    assert_eq!(rig.verdict(), Verdict::Reset);
    assert_eq!(rig.verdict(), Verdict::Failed(Cause::Boot));
    rig.report(Report::Failed(FAILURE));
    assert_eq!(monitor.command().0, "system_reset");
    for reset in [guests(), hosts(), guests()] {
        monitor.say(&reset);
    }
    assert_eq!(rig.verdict(), Verdict::Reset);
    nothing_else(&mut rig);
    assert_eq!(rig.records()[0]["outcome"], "reset");
}

#[test]
fn a_guest_whose_driver_was_ready_resets_itself() {
    let monitor = Monitor::new();
    let mut rig = Rig::with(&["reset"], monitor.control(), firmware);
    rig.report(Report::Connected(Some(process::id())));
    for _ in 0..3 {
        monitor.say(&guests());
        assert_eq!(rig.verdict(), Verdict::Reset);
        rig.report(Report::Ready);
    }
}

#[test]
fn a_guest_that_resets_itself_before_its_driver_is_ready_again_and_again_does_not_boot() {
    let monitor = Monitor::new();
    let mut rig = Rig::with(&["reset"], monitor.control(), |plan| {
        firmware(plan);
        plan.boot_timeout = Some(LIMIT);
        plan.max_resets = 2;
    });
    rig.report(Report::Connected(Some(process::id())));
    // Of each two, its firmware makes one.
    for _ in 0..5 {
        monitor.say(&guests());
    }
    for _ in 0..3 {
        assert_eq!(rig.verdict(), Verdict::Reset);
    }
    assert_eq!(rig.verdict(), Verdict::Failed(Cause::Boot));
}

#[test]
fn a_guest_that_runs_longer_than_it_may_take_to_boot_has_booted() {
    let monitor = Monitor::new();
    let mut rig = Rig::with(&["reset"], monitor.control(), |plan| {
        plan.boot_timeout = Some(Duration::from_nanos(1));
        plan.max_resets = 1;
    });
    rig.report(Report::Connected(Some(process::id())));
    for _ in 0..10 {
        monitor.say(&guests());
        assert_eq!(rig.verdict(), Verdict::Reset);
    }
    nothing_else(&mut rig);
}
