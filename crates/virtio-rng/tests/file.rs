// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file or a device as the source: its thread, its health, its coming and going.
#![cfg(feature = "daemon")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, Once};
use std::time::Duration;

use chacha20::ChaCha20Rng;
use log::Level::{Error, Info, Warn};
use log::{Level, LevelFilter, Log, Metadata, Record};
use rand_core::{Rng, SeedableRng};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::retry_on_intr;
use tempfile::TempDir;
use virtio_backend::Watch;
use virtio_rng::File;

use common::Guest;

fn guest(path: impl AsRef<Path>) -> Guest {
    Guest::new(None, |watch| {
        File::open("guest", path.as_ref(), watch).unwrap()
    })
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha20Rng::from_seed([7; 32]).fill_bytes(&mut bytes);
    bytes
}

/// A FIFO, both ends of it open: a reader does not find it without a writer, nor the other way round.
fn fifo() -> (TempDir, PathBuf, fs::File) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let both = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    (folder, path, both)
}

fn writer(path: &Path) -> fs::File {
    OpenOptions::new().append(true).open(path).unwrap()
}

/// Asks until all of `expected` was answered, in order.
#[track_caller]
fn check(guest: &mut Guest, mut expected: &[u8]) {
    while !expected.is_empty() {
        let answer = guest.ask(expected.len());
        let answer = guest.wait(&answer);
        expected = expected.strip_prefix(answer.as_slice()).unwrap();
    }
}

#[test]
fn a_device_answers() {
    let mut guest = guest("/dev/urandom");
    let answer = guest.ask(64);
    assert_eq!(guest.wait(&answer).len(), 64);
}

#[test]
fn a_file_that_is_missing_is_refused_when_it_is_opened() {
    let error = File::open("guest", "/nonexistent/hwrng", &Watch::new().unwrap())
        .err()
        .unwrap();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_source_that_blocks_ends_and_returns_delays_only_the_request() {
    let (_folder, path, mut fifo) = fifo();
    let bytes = random(4096);
    let log = watch_log();
    let mut guest = guest(&path);

    let blocked = guest.ask(64);
    assert_eq!(blocked.now(), None);
    fifo.write_all(&bytes[..2048]).unwrap();
    assert_eq!(guest.wait(&blocked), bytes[..64]);
    check(&mut guest, &bytes[64..2048]);

    let ended = guest.ask(64);
    drop(fifo);
    assert_eq!(log.wait(&path, 1), [Warn]);
    assert_eq!(ended.now(), None);

    let mut fifo = writer(&path);
    fifo.write_all(&bytes[2048..]).unwrap();
    assert_eq!(guest.wait(&ended), bytes[2048..2112]);
    check(&mut guest, &bytes[2112..]);
    assert_eq!(log.wait(&path, 2), [Warn, Info]);
}

#[test]
fn a_stuck_source_is_reported_once_and_serves_again_after_a_fresh_start_up_test() {
    let (_folder, path, mut fifo) = fifo();
    let bytes = random(2048);
    let log = watch_log();
    let mut guest = guest(&path);

    fifo.write_all(&bytes[..1024]).unwrap();
    check(&mut guest, &bytes[..64]);

    // Fails when it is read and again a second later. What was read ahead before is discarded.
    fifo.write_all(&[0; 512]).unwrap();
    assert_eq!(log.wait(&path, 1), [Error]);
    let answer = guest.ask(64);
    assert_eq!(answer.now(), None);

    fifo.write_all(&bytes[1024..]).unwrap();
    assert_eq!(guest.wait(&answer), bytes[1024..1088]);
    assert_eq!(log.wait(&path, 2), [Error, Info]);
}

#[test]
fn dev_zero_is_never_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zero");
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let log = watch_log();
    let mut guest = guest(&path);
    let answer = guest.ask(64);
    assert_eq!(log.wait(&path, 1), [Error]);
    assert_eq!(answer.now(), None);
}

#[test]
fn a_regular_file_that_ends_is_read_on_where_it_grows() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = random(4096);
    fs::write(file.path(), &bytes[..2048]).unwrap();
    let mut guest = guest(file.path());
    check(&mut guest, &bytes[..2048]);

    let answer = guest.ask(64);
    assert_eq!(answer.now(), None);
    writer(file.path()).write_all(&bytes[2048..]).unwrap();
    assert_eq!(guest.wait(&answer), bytes[2048..2112]);
    check(&mut guest, &bytes[2112..]);
}

#[test]
fn the_reader_ends_with_the_device() {
    let (_folder, path, both) = fifo();
    let mut guest = guest(&path);
    let mut fifo = writer(&path);
    drop(both);
    fifo.write_all(&random(2048)).unwrap();
    let answer = guest.ask(1);
    guest.wait(&answer);

    drop(guest);
    let limit = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    assert_eq!(
        retry_on_intr(|| poll(&mut [PollFd::new(&fifo, PollFlags::empty())], Some(&limit))),
        Ok(1),
        "the FIFO has a reader"
    );
}

/// The levels of what was logged, with the text to find out about whom.
struct Lines {
    lines: Mutex<Vec<(Level, String)>>,
    changed: Condvar,
}

static LINES: Lines = Lines {
    lines: Mutex::new(Vec::new()),
    changed: Condvar::new(),
};

fn watch_log() -> &'static Lines {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&LINES).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
    &LINES
}

impl Lines {
    /// What was logged about `path`, at least `count` lines.
    fn wait(&self, path: &Path, count: usize) -> Vec<Level> {
        let path = path.display().to_string();
        let about = |lines: &[(Level, String)]| -> Vec<Level> {
            lines
                .iter()
                .filter(|(_, text)| text.contains(&path))
                .map(|(level, _)| *level)
                .collect()
        };
        let lines = self.lines.lock().unwrap();
        let few = |lines: &mut Vec<_>| about(lines).len() < count;
        let (lines, _) = self
            .changed
            .wait_timeout_while(lines, Duration::from_secs(10), few)
            .unwrap();
        about(&lines)
    }
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.lines
            .lock()
            .unwrap()
            .push((record.level(), record.args().to_string()));
        self.changed.notify_all();
    }

    fn flush(&self) {}
}
