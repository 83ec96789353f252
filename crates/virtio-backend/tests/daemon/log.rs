// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the daemon logs of a guest that has a name of its own.

use std::sync::{Condvar, Mutex, Once};
use std::time::Instant;

use log::{LevelFilter, Log, Metadata, Record};
use virtio_backend::Device;
use virtio_backend::testing::{LIMIT, Server};

use crate::common::{echo, scripted};

/// Lines from level `info` on, of all guests of this process.
struct Collector {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

static COLLECTOR: Collector = Collector {
    lines: Mutex::new(Vec::new()),
    more: Condvar::new(),
};

/// Collects the log from now on. Every test that reads the log begins with this.
pub(crate) fn collect() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        log::set_logger(&COLLECTOR).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

/// Serves a device that echoes, for a guest that the log calls `name`.
pub(crate) fn serve_as(name: &str) -> Server<impl Device + use<>> {
    Server::named(name, |_watch| scripted(echo).0)
}

/// The same, and a second front end waits.
pub(crate) fn serve_waiting(name: &str) -> Server<impl Device + use<>> {
    Server::waiting(name, |_watch| scripted(echo).0)
}

/// Waits until the log has a line of `guest` with `text`. `false` if it never does.
pub(crate) fn says(guest: &str, text: &str) -> bool {
    says_times(1, guest, text)
}

/// Waits until the log has `times` lines of `guest` with `text`. `false` if it never does.
pub(crate) fn says_times(times: usize, guest: &str, text: &str) -> bool {
    let end = Instant::now() + LIMIT;
    let mut lines = COLLECTOR.lines.lock().unwrap();
    loop {
        if matches(&lines, guest, text) >= times {
            return true;
        }
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return false;
        }
        lines = COLLECTOR.more.wait_timeout(lines, rest).unwrap().0;
    }
}

/// How many lines of `guest` with `text` the log has up to now.
pub(crate) fn count(guest: &str, text: &str) -> usize {
    matches(&COLLECTOR.lines.lock().unwrap(), guest, text)
}

fn matches(lines: &[String], guest: &str, text: &str) -> usize {
    let is_match = |line: &&String| line.starts_with(&format!("{guest}: ")) && line.contains(text);
    lines.iter().filter(is_match).count()
}

impl Log for Collector {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        // The name of all guests of the other tests.
        if !line.starts_with("guest: ") {
            self.lines.lock().unwrap().push(line);
            self.more.notify_all();
        }
    }

    fn flush(&self) {}
}
