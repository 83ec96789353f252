// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the log has of a guest that has a name of its own.

use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};

struct Collector(Mutex<Vec<String>>);

static COLLECTOR: Collector = Collector(Mutex::new(Vec::new()));

/// Collects the log from now on. Every test that reads the log begins with this.
pub(crate) fn collect() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        log::set_logger(&COLLECTOR).unwrap();
        log::set_max_level(LevelFilter::Warn);
    });
}

/// The warnings about `guest` up to now.
pub(crate) fn warnings(guest: &str) -> Vec<String> {
    let lines = COLLECTOR.0.lock().unwrap();
    let lines = lines
        .iter()
        .filter(|line| line.starts_with(&format!("{guest}: ")));
    lines.cloned().collect()
}

impl Log for Collector {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}
