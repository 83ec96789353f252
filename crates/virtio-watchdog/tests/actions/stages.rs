// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is done about a guest that failed.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use virtio_backend::testing::LIMIT;
use virtio_watchdog::{Cause, Control, Failure, Host, Plan, Report, Verdict};

use crate::common::{FAILURE, Monitor, Rig, Victim};

const KILL: i32 = 9;
const TERM: i32 = 15;

fn reset() -> Value {
    json!({"event": "RESET", "data": {"guest": false, "reason": "host-qmp-system-reset"}})
}

fn stage(what: &str, outcome: &str) -> (String, String) {
    (what.into(), outcome.into())
}

#[test]
fn a_reset_that_works_is_all_that_is_done() {
    let monitor = Monitor::new();
    let mut rig = Rig::new(&["reset", "kill"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    rig.report(Report::Failed(FAILURE));
    assert_eq!(monitor.command(), ("system_reset".into(), json!({})));
    monitor.say(&reset());
    assert_eq!(rig.verdict(), Verdict::Reset);
    // The next failure is only looked at when this one is done with.
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    assert_eq!(rig.stages(), [stage("reset", "reset")]);
    assert_eq!(rig.records()[0]["outcome"], "reset");
    assert_eq!(rig.records()[0]["process"], process::id());
}

#[test]
fn every_action_of_the_monitor_is_a_command() {
    let monitor = Monitor::new();
    let stages = [
        "nmi@0",
        "dump=/tmp/core",
        "powerdown@0",
        "quit@0",
        "reset@0",
        "stop",
    ];
    let mut rig = Rig::new(&stages, monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    rig.report(Report::Failed(FAILURE));
    assert_eq!(monitor.command(), ("inject-nmi".into(), json!({})));
    let (command, arguments) = monitor.command();
    assert_eq!(command, "dump-guest-memory");
    assert_eq!(arguments["paging"], false);
    let protocol = arguments["protocol"].as_str().unwrap();
    assert!(protocol.starts_with("file:/tmp/core.1"), "{protocol}");
    for command in ["system_powerdown", "quit", "system_reset", "stop"] {
        assert_eq!(monitor.command(), (command.into(), json!({})));
    }
    assert_eq!(rig.verdict(), Verdict::Paused);
    assert_eq!(rig.verdict(), Verdict::Settled);
    assert_eq!(rig.records()[0]["outcome"], "paused");
}

#[test]
fn a_machine_that_stopped_for_its_own_failure_goes_on_after_a_reset() {
    let monitor = Monitor::new();
    monitor.set_status("guest-panicked");
    let mut rig = Rig::new(&["reset@0"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.verdict(), Verdict::Failed(Cause::Panic));
    rig.report(Report::Failed(FAILURE));
    assert_eq!(monitor.command().0, "system_reset");
    assert_eq!(monitor.command().0, "cont");
}

#[test]
fn a_stage_that_fails_is_followed_by_the_next_at_once() {
    let monitor = Monitor::new();
    monitor.refuse("inject-nmi", Some("machine does not provide NMIs"));
    let mut rig = Rig::new(
        &[
            "nmi@1000",
            "exec=/nonexistent",
            "notify@0=/nonexistent",
            "reset@0",
        ],
        monitor.control(),
    );
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.fail(), Verdict::Settled);
    let stages = rig.stages();
    let (done, outcome) = &stages[0];
    assert_eq!(done, "nmi");
    assert_eq!(outcome, "failed: machine does not provide NMIs");
    assert!(stages[1].1.starts_with("failed: ") && stages[2].1.starts_with("failed: "));
    assert_eq!(stages[3], stage("reset", "nothing"));
    assert_eq!(rig.records()[0]["outcome"], "nothing helped");
}

#[test]
fn a_command_that_hangs_is_ended_and_followed_by_the_next_stage() {
    let (victim, limit) = (Victim::new(), Duration::from_millis(100));
    let stages = ["exec@1000=/bin/sleep infinity", "kill"];
    let mut rig = Rig::with(&stages, None, |plan| plan.command_limit = limit);
    rig.report(Report::Connected(Some(victim.id())));
    rig.report(Report::Failed(FAILURE));
    assert_eq!(victim.signal(), Some(KILL));
    rig.report(Report::Disconnected);
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    let stages = rig.stages();
    assert_eq!(stages[0], stage("exec", "failed: took longer than 0.1 s"));
    assert_eq!(stages[1], stage("kill", "gone"));
}

#[test]
fn a_reset_of_which_nothing_comes_is_followed_by_the_next_stage() {
    let victim = Victim::new();
    let mut rig = Rig::new(&["exec@0.1=/bin/true", "term@0.1", "kill"], None);
    rig.report(Report::Connected(Some(victim.id())));
    rig.report(Report::Failed(FAILURE));
    // SIGTERM is enough for it, but nobody says so yet.
    assert_eq!(victim.signal(), Some(TERM));
    rig.report(Report::Disconnected);
    rig.report(Report::Connected(None));
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    let stages = rig.stages();
    assert_eq!(stages[0], stage("exec", "nothing"));
    assert_eq!(rig.records().len(), 1);
}

#[test]
fn nothing_more_is_done_about_a_guest_that_is_gone_while_a_stage_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let script = format!("cat {}; exit 1", path.display());
    let words = ["exec@0", "/bin/sh", "-c", &script].map(str::to_owned);
    let mut rig = Rig::with(&[], None, |plan| {
        plan.stages = vec![
            serde_json::from_value(json!(words)).unwrap(),
            "exec@0=/bin/true".parse().unwrap(),
        ];
    });
    rig.report(Report::Connected(None));
    rig.report(Report::Failed(FAILURE));
    // Waits until the command reads.
    let fifo = OpenOptions::new().write(true).open(&path).unwrap();
    rig.report(Report::Disconnected);
    drop(fifo);
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    let stages = rig.stages();
    assert!(stages.len() == 1 && stages[0].1.starts_with("failed"));
    assert_eq!(rig.records()[0]["outcome"], "gone");
}

#[test]
fn a_monitor_that_is_another_process_is_not_used() {
    let (victim, monitor) = (Victim::new(), Monitor::new());
    let mut rig = Rig::new(&["reset", "kill"], monitor.control());
    rig.report(Report::Connected(Some(victim.id())));
    rig.report(Report::Failed(FAILURE));
    assert_eq!(victim.signal(), Some(KILL));
    rig.report(Report::Disconnected);
    rig.report(Report::Connected(None));
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    let stages = rig.stages();
    assert!(stages[0].1.starts_with("failed"), "{stages:?}");
    assert_eq!(stages[1], stage("kill", "gone"));
}

#[test]
fn a_monitor_that_is_another_process_is_not_used_for_a_relay_or_one_that_has_ended() {
    for (relay, ends) in [(true, false), (false, true)] {
        let (victim, monitor) = (Victim::new(), Monitor::new());
        let stages = ["reset@0", "exec@0=/bin/true"];
        let mut rig = Rig::with(&stages, monitor.control(), |plan| plan.relay = relay);
        let id = victim.id();
        if ends {
            drop(victim);
        }
        rig.report(Report::Connected(Some(id)));
        assert_eq!(rig.fail(), Verdict::Settled);
        assert!(rig.stages()[0].1.starts_with("failed"));
    }
}

#[test]
fn a_monitor_that_hangs_delays_the_next_stage_by_its_limit_only() {
    let monitor = Monitor::new();
    monitor.refuse("system_reset", None);
    let mut rig = Rig::new(&["reset@0", "exec@0=/bin/true"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.fail(), Verdict::Settled);
    assert_eq!(rig.stages()[1], stage("exec", "nothing"));
}

#[test]
fn a_monitor_that_was_slow_when_it_was_asked_is_used_when_something_is_done() {
    let monitor = Monitor::new();
    let mut rig = Rig::new(&["reset", "exec@0=/bin/true"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    monitor.say(&json!({"event": "RTC_CHANGE"}));
    monitor.refuse("query-status", None);
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    monitor.answer_all();
    rig.report(Report::Failed(FAILURE));
    assert_eq!(monitor.command().0, "system_reset");
    monitor.say(&reset());
    assert_eq!(rig.verdict(), Verdict::Reset);
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    assert_eq!(rig.stages(), [stage("reset", "reset")]);
}

#[test]
fn a_monitor_that_is_gone_or_was_never_there_is_followed_by_the_next_stage() {
    let monitor = Monitor::new();
    let mut rig = Rig::new(&["reset@1000", "exec@0=/bin/true"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    monitor.end();
    assert_eq!(rig.fail(), Verdict::Settled);
    assert!(rig.stages()[0].1.starts_with("failed"));
    assert_eq!(rig.stages()[1], stage("exec", "nothing"));

    let nowhere = Some(Control::Qmp("/nonexistent".into()));
    let mut rig = Rig::new(&["reset@1000", "exec@0=/bin/true"], nowhere);
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.fail(), Verdict::Settled);
    assert_eq!(rig.stages()[1], stage("exec", "nothing"));
}

#[test]
fn a_listener_that_nobody_serves_delays_nothing_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let mut rig = Rig::new(&["reset", "exec@0=/bin/true"], Some(Control::Qmp(path)));
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.fail(), Verdict::Settled);
    assert_eq!(rig.stages()[1], stage("exec", "nothing"));
}

#[test]
fn a_unit_that_is_not_there_is_followed_by_the_next_stage() {
    let mut rig = Rig::new(&["unit=no-such-unit.service", "exec@0=/bin/true"], None);
    rig.report(Report::Connected(None));
    assert_eq!(rig.fail(), Verdict::Settled);
    assert!(rig.stages()[0].1.starts_with("failed"));
    assert_eq!(rig.stages()[1], stage("exec", "nothing"));
}

#[test]
fn the_device_is_asked_to_tell_the_driver() {
    let mut rig = Rig::new(&["event@0"], None);
    rig.report(Report::Connected(None));
    assert_eq!(rig.fail(), Verdict::Tell);
    assert_eq!(rig.verdict(), Verdict::Settled);
}

#[test]
fn a_guest_that_resets_its_device_was_reset_unless_a_monitor_knows_better() {
    let mut rig = Rig::new(&["event@1000", "exec@0=/bin/true"], None);
    rig.report(Report::Connected(None));
    assert_eq!(rig.fail(), Verdict::Tell);
    rig.report(Report::Reset);
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    assert_eq!(rig.stages(), [stage("event", "reset")]);

    let monitor = Monitor::new();
    let mut rig = Rig::new(&["event@0.2", "exec@0=/bin/true"], monitor.control());
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.fail(), Verdict::Tell);
    rig.report(Report::Reset);
    assert_eq!(rig.verdict(), Verdict::Settled);
    assert_eq!(rig.stages()[0], stage("event", "nothing"));
}

#[test]
fn somebody_is_told_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut rig = Rig::new(&[&format!("notify={}", path.display())], None);
    rig.report(Report::Connected(None));
    assert_eq!(rig.fail(), Verdict::Settled);
    let mut bytes = [0; 4096];
    let length = loop {
        match socket.recv(&mut bytes) {
            // A signal, such as that of the end of another test's child.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            length => break length.unwrap(),
        }
    };
    let record: Value = serde_json::from_slice(&bytes[..length]).unwrap();
    assert_eq!(record["guest"], "guest");
    assert_eq!(record["cause"], "expired");
    assert_eq!(record["silence"], 10.0);
}

#[test]
fn a_guest_that_fails_too_often_is_left_with_the_last_stage_once() {
    let change = |plan: &mut Plan| {
        plan.max_resets = 5;
        plan.last = Some("notify=/nonexistent".parse().unwrap());
    };
    let mut rig = Rig::with(&["exec@0=/bin/true"], None, change);
    rig.report(Report::Connected(None));
    for _ in 0..8 {
        assert_eq!(rig.fail(), Verdict::Settled);
    }
    let records = rig.records();
    let done = records.iter().map(|record| &record["stages"][0]["do"]);
    let done: Vec<_> = done.collect();
    assert_eq!(done, ["exec", "exec", "exec", "exec", "exec", "notify"]);
}

#[test]
fn what_could_not_be_done_is_tried_again_until_it_was_too_often() {
    let monitor = Monitor::new();
    monitor.refuse("system_reset", Some("busy"));
    let change = |plan: &mut Plan| {
        plan.pause = Duration::from_millis(1);
        plan.max_resets = 2;
        plan.last = Some("exec=/nonexistent".parse().unwrap());
    };
    let mut rig = Rig::with(&["reset"], monitor.control(), change);
    rig.report(Report::Connected(Some(process::id())));
    for _ in 0..2 {
        assert_eq!(rig.fail(), Verdict::Settled);
        assert_eq!(rig.verdict(), Verdict::Failed(FAILURE.cause));
    }
    assert_eq!(rig.fail(), Verdict::Settled);
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
    assert_eq!(rig.stages()[0].0, "exec");
}

#[test]
fn what_could_not_be_done_is_not_tried_again_when_the_guest_was_reset() {
    let monitor = Monitor::new();
    monitor.refuse("system_reset", Some("busy"));
    let change = |plan: &mut Plan| plan.pause = Duration::from_secs(3);
    let mut rig = Rig::with(&["reset"], monitor.control(), change);
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.fail(), Verdict::Settled);
    monitor.say(&reset());
    assert_eq!(rig.verdict(), Verdict::Reset);
    // For another it is time later.
    let mut other = Rig::with(&["exec=/nonexistent"], None, change);
    other.report(Report::Connected(None));
    assert_eq!(other.fail(), Verdict::Settled);
    assert_eq!(other.verdict(), Verdict::Failed(FAILURE.cause));
    rig.report(Report::Due(FAILURE));
    assert_eq!(rig.verdict(), Verdict::Act);
}

#[test]
fn a_failure_counts_for_as_long_as_it_is_said_to() {
    let change = |plan: &mut Plan| {
        plan.max_resets = 1;
        plan.window = Duration::ZERO;
    };
    let mut rig = Rig::with(&["exec@0=/bin/true"], None, change);
    rig.report(Report::Connected(None));
    for _ in 0..3 {
        assert_eq!(rig.fail(), Verdict::Settled);
        assert_eq!(rig.stages().len(), 1);
    }
}

#[test]
fn a_restart_is_a_reset_and_nothing_before_it_and_has_the_same_limit() {
    let monitor = Monitor::new();
    let change = |plan: &mut Plan| plan.max_resets = 1;
    let stages = [
        "event",
        "powerdown",
        "exec=/nonexistent",
        "stop",
        "nmi",
        "reset@0",
        "quit@0",
    ];
    let mut rig = Rig::with(&stages, monitor.control(), change);
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.supervisor.may_restart(), Some(true));
    rig.report(Report::Failed(Failure {
        cause: Cause::Restart,
        ..FAILURE
    }));
    assert_eq!(rig.verdict(), Verdict::Settled);
    assert_eq!(monitor.command().0, "system_reset");
    assert_eq!(monitor.command().0, "quit");
    assert_eq!(rig.supervisor.may_restart(), Some(false));
    assert_eq!(Rig::new(&["kill"], None).supervisor.may_restart(), None);
}
