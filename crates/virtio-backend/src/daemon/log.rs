// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The log, on standard error.

use std::env;
use std::io::{self, Write};

use log::{Level, LevelFilter};
use rustix::fs::fstat;

/// Starts the log: `RUST_LOG` says what is logged, unless the command line does.
pub(super) fn start(verbose: u8) {
    let level = [LevelFilter::Info, LevelFilter::Debug]
        .get(usize::from(verbose))
        .copied()
        .unwrap_or(LevelFilter::Trace);
    let is_journal = is_journal();
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level).format(move |to, record| {
        let level = record.level();
        let text = format!("{}: {}", level.as_str().to_lowercase(), record.args());
        to.write_all(lines(level, &text, is_journal).as_bytes())
    });
    if verbose == 0 {
        // What they report as errors is what guests do wrong, as often as guests do it.
        for module in ["vhost_user_backend", "virtio_queue", "vm_memory"] {
            builder.filter_module(module, LevelFilter::Off);
        }
        builder.parse_default_env();
    }
    builder.init();
}

/// Whether standard error is a stream of systemd's journal (systemd.exec(5), `$JOURNAL_STREAM`).
pub(super) fn is_journal() -> bool {
    let Ok(stderr) = fstat(io::stderr()) else {
        return false;
    };
    let ours = format!("{}:{}", stderr.st_dev, stderr.st_ino);
    env::var("JOURNAL_STREAM").is_ok_and(|journal| journal == ours)
}

/// The lines of `text`. The journal takes the priority of each from its beginning (sd-daemon(3)).
pub(super) fn lines(level: Level, text: &str, is_journal: bool) -> String {
    let priority = match level {
        _ if !is_journal => "",
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    };
    text.lines()
        .flat_map(|line| [priority, line, "\n"])
        .collect()
}
