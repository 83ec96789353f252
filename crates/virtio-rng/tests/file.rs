// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file or a device as the source: its thread, its health, its coming and going.
#![cfg(feature = "daemon")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::time::Duration;

use chacha20::ChaCha20Rng;
use log::Level::{Error, Info, Warn};
use log::{Level, LevelFilter, Log, Metadata, Record};
use rand_core::{Rng, SeedableRng};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::{ioctl_fionread, retry_on_intr};
use tempfile::TempDir;
use virtio_backend::testing::reply;
use virtio_backend::{Device, Watch};
use virtio_rng::{File, Source};

use common::{Guest, wait_for};

fn guest(path: impl AsRef<Path>) -> Guest {
    sharing(&File::open(path.as_ref()).unwrap())
}

/// One more guest of a file.
fn sharing(file: &Arc<File>) -> Guest {
    Guest::new(None, |watch| file.source(watch))
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
    let error = File::open("/nonexistent/hwrng").err().unwrap();
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
fn a_source_that_gives_little_at_a_time_is_collected_until_the_answer_is_full() {
    let (_folder, path, mut fifo) = fifo();
    let bytes = random(128 << 10);
    let mut guest = guest(&path);
    fifo.write_all(&bytes[..1024]).unwrap();
    check(&mut guest, &bytes[..1000]);

    let answer = guest.ask(64);
    for piece in bytes[1024..1064].chunks(10) {
        assert_eq!(answer.now(), None);
        fifo.write_all(piece).unwrap();
    }
    assert_eq!(guest.wait(&answer), bytes[1000..1064]);

    let answer = guest.ask(1 << 20);
    let rest = &bytes[1064..];
    // As much as the longest answer takes: more would fit into no FIFO.
    for piece in rest[..64 << 10].chunks(4096) {
        assert_eq!(answer.now(), None);
        fifo.write_all(piece).unwrap();
    }
    assert_eq!(guest.wait(&answer), rest[..64 << 10]);
}

#[test]
fn what_was_collected_when_a_source_fails_is_not_handed_out() {
    let (_folder, path, mut fifo) = fifo();
    let bytes = random(8192);
    let log = watch_log();
    let mut guest = guest(&path);
    fifo.write_all(&bytes[..2048]).unwrap();
    let answer = guest.ask(4096);
    fifo.write_all(&[0; 512]).unwrap();
    assert_eq!(log.wait(&path, 1), [Error]);

    fifo.write_all(&bytes[2048..]).unwrap();
    assert_eq!(guest.wait(&answer), bytes[2048..2048 + 4096]);
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

#[test]
fn a_file_is_known_by_each_of_its_paths() {
    let (folder, path, _fifo) = fifo();
    let [symbolic, hard, other] = ["symbolic", "hard", "other"].map(|it| folder.path().join(it));
    std::os::unix::fs::symlink(&path, &symbolic).unwrap();
    fs::hard_link(&path, &hard).unwrap();
    fs::write(&other, "").unwrap();

    let file = File::open(&path).unwrap();
    for is in [&path, &symbolic, &hard] {
        assert!(file.is_at(is), "{}", is.display());
    }
    for is_not in [&other, &folder.path().join("nothing")] {
        assert!(!file.is_at(is_not), "{}", is_not.display());
    }
}

/// What a guest gets of `bytes` in four turns, the first of them or the second and then every other.
fn turns(bytes: &[u8], first: usize) -> Vec<u8> {
    let chunks: Vec<_> = bytes.chunks(256).skip(first).step_by(2).collect();
    chunks[..4].concat()
}

#[test]
fn guests_that_share_a_file_take_turns_and_each_byte_goes_to_one_of_them() {
    let (_folder, path, mut fifo) = fifo();
    let bytes = random(3072);
    let file = File::open(&path).unwrap();
    let (mut first, mut second) = (sharing(&file), sharing(&file));
    let answers = [first.ask(1024), second.ask(1024)];
    fifo.write_all(&bytes).unwrap();
    assert_eq!(first.wait(&answers[0]), turns(&bytes, 0));
    assert_eq!(second.wait(&answers[1]), turns(&bytes, 1));
    check(&mut first, &bytes[2048..2560]);
    check(&mut second, &bytes[2560..]);
}

#[test]
fn a_guest_that_wants_much_does_not_hold_up_one_that_wants_little() {
    let (_folder, path, mut fifo) = fifo();
    let bytes = random(2560);
    let file = File::open(&path).unwrap();
    let (mut greedy, mut modest) = (sharing(&file), sharing(&file));
    let _much = greedy.ask(64 << 10);
    fifo.write_all(&bytes[..2048]).unwrap();
    let little = modest.ask(64);
    fifo.write_all(&bytes[2048..]).unwrap();
    modest.wait(&little);
}

/// Three guests wait, until the first goes.
fn one_goes(go: impl FnOnce(&mut Option<Guest>)) {
    let (_folder, path, mut fifo) = fifo();
    let bytes = random(4096);
    let file = File::open(&path).unwrap();
    let [first, mut second, mut third] = [(); 3].map(|()| sharing(&file));
    let mut first = Some(first);
    let gone = first.as_mut().unwrap().ask(4096);
    let stays = second.ask(1600);
    let tells = third.ask(64);
    // The third has the bytes from 512 on. After it the first has its second turn, and the second most of its own.
    fifo.write_all(&bytes[..1024]).unwrap();
    assert_eq!(third.wait(&tells), bytes[512..576]);

    drop(gone);
    go(&mut first);
    fifo.write_all(&bytes[1024..]).unwrap();
    let parts = [256..512, 832..1024, 0..256, 576..832, 1024..1664];
    assert_eq!(
        second.wait(&stays),
        parts.map(|range| &bytes[range]).concat()
    );
    check(&mut second, &bytes[1664..]);
}

#[test]
fn what_was_read_for_a_guest_that_is_reset_goes_to_the_others() {
    one_goes(|guest| guest.as_mut().unwrap().rng.reset());
}

#[test]
fn what_was_read_for_a_guest_that_goes_away_goes_to_the_others() {
    one_goes(|guest| *guest = None);
}

#[test]
fn a_source_is_not_read_for_requests_that_were_reset() {
    let (_folder, path, mut fifo) = fifo();
    let file = File::open(&path).unwrap();
    fifo.write_all(&random(60 << 10)).unwrap();
    let watch = Watch::new().unwrap();
    let mut source = file.source(&watch);
    let (request, _answer) = reply(32 << 10);
    drop(source.answer(request, 32 << 10));
    wait_for(&watch);
    source.forget();

    // All that was read is there for the next, and 1 KiB besides at most.
    let mut other = sharing(&file);
    assert!(other.ask(32 << 10).now().is_some());
    assert!(ioctl_fionread(&fifo).unwrap() >= 26 << 10);
}

#[test]
fn a_source_that_fails_costs_all_guests_what_was_read_for_them() {
    let (_folder, path, mut fifo) = fifo();
    let bytes = random(8192);
    let log = watch_log();
    let file = File::open(&path).unwrap();
    let (mut first, mut second) = (sharing(&file), sharing(&file));
    let answers = [first.ask(1024), second.ask(1024)];
    // The first has three chunks of that, and the second two.
    fifo.write_all(&bytes[..1280]).unwrap();
    fifo.write_all(&[0; 512]).unwrap();
    assert_eq!(log.wait(&path, 1), [Error]);

    let bytes = &bytes[2048..];
    fifo.write_all(bytes).unwrap();
    let got = [first.wait(&answers[0]), second.wait(&answers[1])];
    let expected = [turns(bytes, 1), turns(bytes, 0)];
    assert_eq!(got, expected);
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
