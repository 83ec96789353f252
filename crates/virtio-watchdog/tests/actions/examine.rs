// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Was a guest able to ping?

use std::process;

use rustix::process::Signal;
use serde_json::{Value, json};
use virtio_backend::testing::LIMIT;
use virtio_watchdog::{Cause, Failure, Host, Plan, Report, Verdict};

use crate::common::{FAILURE, Monitor, Rig, Victim};

fn is_unlimited_excuse(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Excused { limited: false, time } if !time.is_zero())
}

#[test]
fn a_guest_that_could_run_is_not_excused() {
    // It sleeps: on a busy host we ourselves may have waited all the time.
    let victim = Victim::new();
    victim.wait_for_sleep();
    let mut rig = Rig::new(&["kill"], None);
    rig.report(Report::Connected(Some(victim.id())));
    rig.report(Report::Late);
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
}

#[test]
fn what_is_seen_of_a_guest_that_did_not_boot_is_recorded() {
    let victim = Victim::new();
    victim.wait_for_sleep();
    let mut rig = Rig::new(&["exec@0=/bin/true"], None);
    rig.report(Report::Connected(Some(victim.id())));
    let failure = Failure {
        cause: Cause::Boot,
        ..FAILURE
    };
    rig.report(Report::Due(failure));
    assert_eq!(rig.verdict(), Verdict::Act);
    // And once more, for a reason that no timer has.
    for _ in 0..2 {
        rig.report(Report::Failed(failure));
        assert_eq!(rig.verdict(), Verdict::Settled);
    }
    for record in rig.records() {
        assert_eq!(record["vcpus"][0]["thread"], victim.id());
        assert_eq!(record["vcpus"][0]["state"], "S");
    }
}

#[test]
fn a_guest_that_nobody_knows_more_of_is_not_excused() {
    let mut rig = Rig::new(&["kill"], None);
    rig.report(Report::Connected(None));
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
}

#[test]
fn a_machine_that_is_paused_is_told_of_and_excuses() {
    let monitor = Monitor::new();
    monitor.set_status("paused");
    let mut rig = Rig::new(&["reset"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.verdict(), Verdict::Paused);
    rig.report(Report::Due(FAILURE));
    assert!(is_unlimited_excuse(rig.verdict()));

    monitor.set_status("running");
    monitor.say(&json!({"event": "RESUME"}));
    assert_eq!(rig.verdict(), Verdict::Resumed);
    monitor.set_status("postmigrate");
    monitor.say(&json!({"event": "STOP"}));
    assert_eq!(rig.verdict(), Verdict::Paused);
}

#[test]
fn a_monitor_that_is_lost_while_the_machine_is_paused_excuses_no_longer() {
    let monitor = Monitor::new();
    monitor.set_status("paused");
    let mut rig = Rig::new(&["reset"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.verdict(), Verdict::Paused);
    monitor.set_status("running");
    monitor.hang_up();
    assert_eq!(rig.verdict(), Verdict::Resumed);

    monitor.set_status("paused");
    monitor.say(&json!({"event": "STOP"}));
    assert_eq!(rig.verdict(), Verdict::Paused);
    monitor.end();
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
}

#[test]
fn queues_that_stop_tell_a_pause_from_a_driver_that_went_away() {
    let monitor = Monitor::new();
    let mut rig = Rig::new(&["reset"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    rig.report(Report::Stopped);
    assert_eq!(rig.verdict(), Verdict::NotPaused);
    monitor.set_status("paused");
    rig.report(Report::Stopped);
    assert_eq!(rig.verdict(), Verdict::Paused);
}

#[test]
fn a_machine_that_stopped_for_its_own_failure_has_failed() {
    let monitor = Monitor::new();
    let mut rig = Rig::new(&["reset"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    monitor.set_status("internal-error");
    monitor.say(&json!({"event": "STOP"}));
    assert_eq!(rig.verdict(), Verdict::Failed(Cause::Panic));
}

#[test]
fn a_guest_that_panics_has_failed_or_has_time_to_write_down_why() {
    let monitor = Monitor::new();
    let mut rig = Rig::new(&["reset"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    monitor.say(&json!({"event": "GUEST_CRASHLOADED", "data": {"action": "run"}}));
    let verdict = rig.verdict();
    assert!(matches!(verdict, Verdict::Dumping(time) if time.as_secs() == 300));
    monitor.say(&json!({"event": "GUEST_PANICKED", "data": {"action": "run"}}));
    assert_eq!(rig.verdict(), Verdict::Failed(Cause::Panic));
}

#[test]
fn resets_are_told_while_there_is_a_monitor() {
    let monitor = Monitor::new();
    let mut rig = Rig::new(&["reset"], monitor.control());
    assert!(!rig.supervisor.tells_resets());
    rig.report(Report::Connected(Some(process::id())));
    monitor.say(&json!({"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}));
    assert_eq!(rig.verdict(), Verdict::Reset);
    assert!(rig.supervisor.tells_resets());
    monitor.end();
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    assert!(!rig.supervisor.tells_resets());
}

#[test]
fn a_guest_that_resets_itself_too_often_has_not_booted() {
    let own = json!({"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}});
    let ours = json!({"event": "RESET", "data": {"guest": false}});
    for boot_timeout in [Some(LIMIT), None] {
        let monitor = Monitor::new();
        let mut rig = Rig::with(&["reset@0"], monitor.control(), |plan| {
            plan.boot_timeout = boot_timeout;
            plan.max_resets = 2;
        });
        rig.report(Report::Connected(Some(process::id())));
        for reset in [&own, &ours, &own, &ours] {
            monitor.say(reset);
            assert_eq!(rig.verdict(), Verdict::Reset);
        }
        for _ in 0..2 {
            monitor.say(&own);
            assert_eq!(rig.verdict(), Verdict::Reset);
            if boot_timeout.is_some() {
                assert_eq!(rig.verdict(), Verdict::Failed(Cause::Boot));
            }
        }
        rig.report(Report::Due(FAILURE));
        assert_eq!(rig.verdict(), Verdict::Act);
    }
}

#[test]
fn another_watchdog_of_the_machine_is_heard_without_a_front_end() {
    let monitor = Monitor::new();
    monitor.set_vcpus(&[process::id()]);
    let mut rig = Rig::with(&["reset"], monitor.control(), |plan| plan.relay = true);
    monitor.say(&json!({"event": "WATCHDOG", "data": {"action": "none"}}));
    assert_eq!(rig.verdict(), Verdict::Failed(Cause::Relayed));
    rig.report(Report::Failed(FAILURE));
    assert_eq!(monitor.command().0, "system_reset");
    monitor.say(&json!({"event": "RESET"}));
    assert_eq!(rig.verdict(), Verdict::Reset);
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    assert_eq!(rig.records()[0]["process"], process::id());
}

#[test]
fn who_only_opened_the_monitor_is_not_taken_for_the_machine() {
    let (victim, monitor) = (Victim::new(), Monitor::new());
    monitor.set_vcpus(&[process::id(), victim.id()]);
    let relay = |plan: &mut Plan| plan.relay = true;
    let mut rig = Rig::with(&["reset@0"], monitor.control(), relay);
    monitor.say(&json!({"event": "WATCHDOG", "data": {"action": "none"}}));
    assert_eq!(rig.verdict(), Verdict::Failed(Cause::Relayed));
    assert_eq!(rig.fail(), Verdict::Settled);
    assert_eq!(monitor.command().0, "system_reset");
    assert_eq!(rig.records()[0]["process"], Value::Null);
}

#[test]
fn a_process_that_is_stopped_excuses_and_once_more_when_it_goes_on() {
    let victim = Victim::new();
    let mut rig = Rig::new(&["kill"], None);
    rig.report(Report::Connected(Some(victim.id())));
    victim.send(Signal::STOP);
    for _ in 0..2 {
        rig.report(Report::Due(FAILURE));
        assert!(is_unlimited_excuse(rig.verdict()));
    }
    victim.send(Signal::CONT);
    rig.report(Report::Due(FAILURE));
    assert!(is_unlimited_excuse(rig.verdict()));
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
}

#[test]
fn a_process_that_was_stopped_and_goes_on_before_the_time_is_up_excuses_once() {
    let victim = Victim::new();
    let mut rig = Rig::new(&["event@0"], None);
    rig.report(Report::Connected(Some(victim.id())));
    victim.send(Signal::STOP);
    rig.report(Report::Late);
    // Comes after the look.
    assert_eq!(rig.fail(), Verdict::Tell);
    assert_eq!(rig.verdict(), Verdict::Settled);
    victim.send(Signal::CONT);
    rig.report(Report::Due(FAILURE));
    assert!(is_unlimited_excuse(rig.verdict()));
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
}
