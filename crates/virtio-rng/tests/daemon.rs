// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon as drivers have it that do not bear a short answer: each request is answered in full.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;
use virtio_backend::testing::{self, Program, Vm, feature};

const DAEMON: &str = env!("CARGO_BIN_EXE_vhost-user-rng");

/// What Zephyr accepts, whose entropy driver has no feature and whose transports take VERSION_1 alone; and what QEMU
/// adds.
const ZEPHYR: u64 = feature::VERSION_1 | feature::PROTOCOL_FEATURES;

/// A daemon with these options, and its socket.
fn daemon(options: &[&str]) -> (TempDir, PathBuf, Program) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("rng.sock");
    let mut command = Command::new(DAEMON);
    command.arg("--socket-path").arg(&socket).args(options);
    let daemon = Program::start(&mut command, 1);
    (folder, socket, daemon)
}

fn refused(burst: &str) {
    let guest = [
        "--socket-path",
        "/nowhere/rng.sock",
        "--rate",
        "4096",
        "--burst",
        burst,
    ];
    let output = testing::run(DAEMON, &guest);
    testing::refused(&output, &["--burst", burst, "64"]);
}

/// drivers/entropy/entropy_virtio.c: a queue of one entry, one buffer of as many bytes as the caller wants, which are 16
/// bits, and any other used length is an error.
fn ask_as_zephyr(socket: &Path) {
    let mut vm = Vm::boot(socket, ZEPHYR, &[1]).unwrap();
    for round in 0..2 {
        for length in [1, 8, 16, 64, 65, 1000, 0xffff] {
            let entropy = vm.rings.first_mut().unwrap().ask(&[], &[length]).unwrap();
            assert_eq!(entropy.len(), length, "in round {round}");
        }
        vm.reboot().unwrap();
    }
}

#[test]
fn zephyr_gets_as_many_bytes_as_it_asks_for() {
    for source in ["system", "kernel", "/dev/urandom"] {
        let (_folder, socket, _daemon) = daemon(&["--source", source]);
        ask_as_zephyr(&socket);
    }
}

#[test]
fn zephyr_gets_as_many_bytes_as_it_asks_for_when_they_are_limited() {
    let (_folder, socket, _daemon) = daemon(&["--rate", "1000000", "--burst", "64"]);
    ask_as_zephyr(&socket);
}

#[test]
fn a_burst_below_a_request_of_linux_is_refused() {
    refused("63");
    refused("1");
    let file = "[[guest]]\nname = 'a'\nsocket = 'DIR/a'\nrate = 100\nburst = 63\n";
    testing::refused_file(DAEMON, file, &["guests.toml:5: ", "burst: 63", "64"]);
}

#[test]
fn a_rate_that_has_requests_wait_for_long_is_said_once() {
    let (_folder, socket, daemon) = daemon(&["--rate", "6", "--burst", "64"]);
    for _ in 0..3 {
        let mut vm = Vm::boot(&socket, feature::ALL, &[4]).unwrap();
        let memory = vm.memory.clone();
        let ring = vm.rings.first_mut().unwrap();
        ring.submit(&memory.chain(&[], &[64]));
        ring.submit(&memory.chain(&[], &[64]));
        // One without room is answered at once. Then the device has those before it.
        let last = ring.submit(&memory.chain(&[b"no room"], &[]));
        while ring.wait().unwrap().id != u32::from(last) {}
    }
    let line = daemon.expect("6 bytes/s");
    assert!(line.starts_with("warn: rng: "), "{line}");
    let (code, rest) = daemon.terminate();
    assert_eq!(code, Some(0));
    assert!(
        rest.iter().all(|line| !line.contains("6 bytes/s")),
        "{rest:?}"
    );
}

#[test]
fn a_source_that_has_a_request_wait_for_long_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // With a writer that says nothing, reading it waits.
    let mut fifo = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let (_folder, socket, daemon) = daemon(&["--source", path.to_str().unwrap()]);
    let mut vm = Vm::boot(&socket, feature::ALL, &[4]).unwrap();
    let chain = vm.memory.chain(&[], &[64]);
    vm.rings.first_mut().unwrap().submit(&chain);
    let line = daemon.expect("more than 10 s");
    assert!(line.starts_with("warn: rng: "), "{line}");

    // All different, so that no health test fails.
    fifo.write_all(&(0..=255).cycle().take(1024).collect::<Vec<u8>>())
        .unwrap();
    let used = vm.rings.first_mut().unwrap().wait().unwrap();
    assert_eq!(used.len, 64);
    let (_, rest) = daemon.terminate();
    assert!(
        rest.iter().all(|line| !line.contains("more than")),
        "{rest:?}"
    );
}

/// The front end is one that connects again, as cloud-hypervisor's does.
#[test]
fn a_request_that_waits_when_the_daemon_is_killed_is_answered_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let source = ["--source", fifo.to_str().unwrap()];
    let (_folder, socket, first) = daemon(&source);
    let mut vm = Vm::lasting(&socket, feature::ALL, &[4]).unwrap();
    let chain = vm.memory.chain(&[], &[64]);
    vm.rings.first_mut().unwrap().submit(&chain);
    // Answered after the kick.
    vm.front_end.features().unwrap();
    drop(first);

    let (_folder, socket, _second) = daemon(&source);
    vm.reconnect(&socket).unwrap();
    let mut writer = OpenOptions::new().write(true).open(&fifo).unwrap();
    let mut random = vec![0; 4096];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).unwrap();
    writer.write_all(&random).unwrap();

    let used = vm.rings.first_mut().unwrap().wait().unwrap();
    assert_eq!(used.len, 64);
    assert_ne!(vm.memory.answer(&chain, 64), [0; 64]);
}

/// 20 guests with a source each, in a daemon that starts: how many threads it has, and how often the source is open.
fn threads_and_files(source: impl Fn(usize) -> PathBuf) -> (usize, usize) {
    let guests = (0..20).map(|guest| {
        let source = source(guest).display().to_string();
        format!("[[guest]]\nname = '{guest}'\nsocket = 'DIR/{guest}'\nsource = '{source}'\n")
    });
    let daemon = Program::configured(DAEMON, &guests.collect::<String>());
    let process = PathBuf::from(format!("/proc/{}", daemon.id().as_raw_nonzero()));
    let list = |what| {
        fs::read_dir(process.join(what))
            .unwrap()
            .map(Result::unwrap)
    };
    let files = list("fd").filter(|file| {
        let path = fs::read_link(file.path());
        path.is_ok_and(|path| path.ends_with("entropy"))
    });
    (list("task").count(), files.count())
}

#[test]
fn guests_that_name_the_same_file_share_a_thread_and_a_file_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("entropy");
    let link = folder.path().join("link");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    symlink(&path, &link).unwrap();
    // With a writer it does not end, and is not opened again.
    let mut fifo = OpenOptions::new();
    let _fifo = fifo.read(true).write(true).open(&path).unwrap();

    let (threads, files) = threads_and_files(|_| "system".into());
    assert_eq!(files, 0);
    let paths = [path, link];
    let shared = threads_and_files(|guest| paths[guest % 2].clone());
    assert_eq!(shared, (threads + 1, 1));
}
