// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What was seen of a guest that seems to have failed, and what was done: for people, as JSON.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use serde_json::{Value, json};

use super::process::{Process, Vcpu};
use crate::{Cause, Failure};

/// A file that records are appended to, each as a line.
#[derive(Clone, Debug)]
pub struct Records(PathBuf);

impl Records {
    /// The file at `path`, if it can be written to.
    ///
    /// # Errors
    /// When it cannot be opened, or is a pipe that nobody reads.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        append(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn add(&self, record: &Record) -> io::Result<()> {
        // Somebody may have moved it away for a new one.
        append(&self.0)?.write_all(format!("{}\n", record.text()).as_bytes())
    }
}

/// Opens a file without waiting for it, whatever it is.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK.bits();
    let flags = i32::try_from(flags).map_err(io::Error::other)?;
    options.append(true).create(true).custom_flags(flags);
    options.open(path)
}

/// A record, which grows while something is done.
#[derive(Debug)]
pub(super) struct Record(Value);

/// The guest's processors, at two times.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How long it is between the two.
    pub(super) window: Duration,
    pub(super) before: Vec<Vcpu>,
    pub(super) now: Vec<Vcpu>,
}

impl Record {
    /// What is known of a guest, of which `failure` says what happened.
    pub(super) fn new(
        guest: &str,
        failure: Failure,
        process: Option<&Process>,
        seen: &Seen,
    ) -> Self {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(json!({
            "time": round(time.unwrap_or_default()),
            "guest": guest,
            "cause": cause(failure.cause),
            "channel": match failure.cause {
                Cause::Channel(channel) => Some(channel),
                _ => None,
            },
            "silence": round(failure.silence),
            "excused": round(failure.excused),
            "host": if seen.is_starved() || !failure.excused.is_zero() { "overloaded" } else { "fine" },
            "process": process.map(Process::id),
            "window": round(seen.window),
            "vcpus": seen.now.iter().map(|vcpu| seen.describe(vcpu)).collect::<Vec<_>>(),
            "stages": [],
        }))
    }

    /// What was done, and what came of it.
    pub(super) fn add(&mut self, what: &str, outcome: &str) {
        if let Some(Value::Array(stages)) = self.0.get_mut("stages") {
            stages.push(json!({"do": what, "outcome": outcome}));
        }
    }

    /// What came of it in the end.
    pub(super) fn conclude(&mut self, outcome: &str) {
        if let Some(fields) = self.0.as_object_mut() {
            fields.insert("outcome".to_owned(), outcome.into());
        }
    }

    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }
}

impl Seen {
    /// Whether the processor that waited longest had less than a quarter of the time. With more, a
    /// guest is able to ping.
    pub(super) fn is_starved(&self) -> bool {
        self.waited() * 4 > self.window * 3 && !self.window.is_zero()
    }

    /// How long the processor waited that waited longest.
    pub(super) fn waited(&self) -> Duration {
        let waits = self.now.iter().filter_map(|vcpu| Some(self.times(vcpu)?.1));
        waits.max().unwrap_or_default()
    }

    /// How long a processor ran, and how long it was kept waiting.
    fn times(&self, now: &Vcpu) -> Option<(Duration, Duration)> {
        let then = self.before.iter().find(|then| then.thread == now.thread)?;
        let ran = now.ran.saturating_sub(then.ran);
        let waited = now.waited.saturating_sub(then.waited);
        // The kernel counts a wait when it is over. Who is to run both times, and did not, has waited
        // all the time: without running nobody goes to sleep. Nor does who hardly runs sleep much.
        let never_ran = then.state == 'R' && ran.is_zero();
        let waits = now.state == 'R' && (never_ran || waited > ran * 10);
        let waited = if waits {
            self.window.saturating_sub(ran)
        } else {
            waited
        };
        Some((ran, waited))
    }

    fn describe(&self, vcpu: &Vcpu) -> Value {
        let times = self.times(vcpu);
        json!({
            "thread": vcpu.thread,
            "name": vcpu.name,
            "state": vcpu.state.to_string(),
            "ran": times.map(|(ran, _)| round(ran)),
            "waited": times.map(|(_, waited)| round(waited)),
        })
    }
}

/// The word for a cause.
pub(super) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Channel(_) => "expired",
        Cause::Boot => "boot",
        Cause::Restart => "restart",
        Cause::Panic => "panic",
        Cause::Relayed => "relayed",
    }
}

/// Seconds, to the millisecond.
fn round(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vcpu(thread: u32, state: char, ran: u64, waited: u64) -> Vcpu {
        Vcpu {
            thread,
            name: "CPU 0/KVM".into(),
            state,
            ran: Duration::from_millis(ran),
            waited: Duration::from_millis(waited),
        }
    }

    /// How long is known to have been waited in 10 seconds, by threads of which this was seen.
    #[track_caller]
    fn check(before: &[Vcpu], now: &[Vcpu], waited: u64) {
        let seen = Seen {
            window: Duration::from_secs(10),
            before: before.to_vec(),
            now: now.to_vec(),
        };
        assert_eq!(seen.waited(), Duration::from_millis(waited));
        assert_eq!(seen.is_starved(), waited > 7500);
    }

    #[test]
    fn the_thread_that_waited_longest_counts() {
        let before = [vcpu(1, 'S', 0, 10), vcpu(2, 'S', 0, 20)];
        let now = [
            vcpu(1, 'S', 9, 3010),
            vcpu(2, 'S', 9, 1020),
            vcpu(3, 'R', 9, 9999),
        ];
        check(&before, &now, 3000);
        check(&before, &[], 0);
        check(&[], &now, 0);
        check(&[vcpu(1, 'S', 0, 0)], &[vcpu(1, 'S', 1, 7500)], 7500);
        check(&[vcpu(1, 'S', 0, 0)], &[vcpu(1, 'S', 1, 7501)], 7501);
    }

    #[test]
    fn a_wait_that_is_not_over_counts() {
        check(&[vcpu(1, 'R', 5, 10)], &[vcpu(1, 'R', 5, 10)], 10_000);
        check(&[vcpu(1, 'S', 5, 10)], &[vcpu(1, 'R', 8, 1926)], 9997);
        check(&[vcpu(1, 'S', 5, 10)], &[vcpu(1, 'S', 8, 1926)], 1916);
        check(&[vcpu(1, 'S', 0, 0)], &[vcpu(1, 'R', 500, 5000)], 5000);
        // It may have slept, or just become able to run.
        check(&[vcpu(1, 'R', 5, 10)], &[vcpu(1, 'R', 6, 10)], 0);
        check(&[vcpu(1, 'S', 5, 10)], &[vcpu(1, 'R', 5, 10)], 0);
        check(&[vcpu(1, 'S', 5, 10)], &[vcpu(1, 'S', 5, 10)], 0);
    }

    #[test]
    fn a_record_says_what_was_seen_and_done() {
        let seen = Seen {
            window: Duration::from_secs(5),
            before: vec![vcpu(7, 'R', 1000, 100)],
            now: vec![vcpu(7, 'R', 1100, 5000)],
        };
        let failure = Failure {
            cause: Cause::Channel(3),
            silence: Duration::from_millis(10_500),
            excused: Duration::ZERO,
        };
        let mut record = Record::new("radio", failure, None, &seen);
        record.add("reset", "failed: no monitor");
        record.add("kill", "the guest is gone");
        record.conclude("gone");
        let mut value = record.0.clone();
        assert!(value["time"].as_f64().unwrap() > 1e9);
        value.as_object_mut().unwrap().remove("time");
        assert_eq!(
            value,
            json!({
                "guest": "radio", "cause": "expired", "channel": 3, "silence": 10.5, "excused": 0.0,
                "host": "overloaded", "process": null, "window": 5.0,
                "vcpus": [
                    {"thread": 7, "name": "CPU 0/KVM", "state": "R", "ran": 0.1, "waited": 4.9},
                ],
                "stages": [
                    {"do": "reset", "outcome": "failed: no monitor"},
                    {"do": "kill", "outcome": "the guest is gone"},
                ],
                "outcome": "gone",
            })
        );

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let records = Records::open(path.clone()).unwrap();
        records.add(&record).unwrap();
        records.add(&record).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text.lines().next(), Some(&*record.text()));
    }
}
