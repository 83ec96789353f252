// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The example in C: it links without a C library, without a way to panic, within its size, and serves two processors.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

/// Code and constants, of the example too.
const MAX_SIZE: usize = 48 << 10;

static FIRMWARE: LazyLock<PathBuf> = LazyLock::new(build);

fn build() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().unwrap();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo)
        .args([
            "rustc",
            "--quiet",
            "--profile",
            "firmware",
            "--crate-type",
            "staticlib",
        ])
        .arg("--target-dir")
        .arg(target)
        .current_dir(package));
    let firmware = temporary.join("firmware");
    run(Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Os",
            "-ffreestanding",
        ])
        .args([
            "-fno-stack-protector",
            "-fno-pie",
            "-no-pie",
            "-ffunction-sections",
        ])
        .args(["-nostdlib", "-static", "-Wl,--gc-sections", "-Iinclude"])
        .arg("-Wl,-T,examples/firmware.ld")
        .args(["examples/firmware.c", "examples/board.c"])
        .arg(target.join("firmware/libscmi_capi.a"))
        .arg("-o")
        .arg(&firmware)
        .current_dir(package));
    firmware
}

fn run(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_commands_of_the_readme_build_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, commands) = readme.split_once("$ cargo rustc -p scmi-capi").unwrap();
    let (commands, _) = commands.split_once("```").unwrap();
    let commands = format!("cargo rustc -p scmi-capi{}", commands.replace("$ ", ""));
    let example = root.join("target/firmware/example");
    drop(fs::remove_file(&example));
    run(Command::new("sh")
        .args(["-ec", &commands])
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(&root));
    assert!(run(Command::new("nm").arg(example)).contains("scmi_engine_handle"));
}

#[test]
fn there_is_no_way_to_panic_and_no_allocator() {
    let symbols = run(Command::new("nm").arg("--demangle").arg(&*FIRMWARE));
    assert!(symbols.contains("scmi_engine_handle"));
    for word in ["panic", "unwind", "alloc", "eh_personality", "core::fmt"] {
        let found: Vec<_> = symbols.lines().filter(|line| line.contains(word)).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "who looks for the size finds it")]
fn code_and_constants_of_all_protocols_fit_into_48_kibibytes() {
    let sizes = run(Command::new("size").arg(&*FIRMWARE));
    let text = sizes.lines().nth(1).unwrap().split_whitespace().next();
    let size: usize = text.unwrap().parse().unwrap();
    println!("{size} bytes");
    assert!((1 << 10..=MAX_SIZE).contains(&size), "{size} bytes");
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    // What the README says is about that.
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (said, _) = readme.split_once(" KiB, its [header]").unwrap();
    let said: usize = said.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(size.abs_diff(said << 10) <= 4 << 10, "{size} bytes");
}

/// The example, and the memory that it shares with its processors.
struct Board {
    firmware: Child,
    doorbell: ChildStdin,
    rings: ChildStdout,
    shared: File,
}

impl Drop for Board {
    fn drop(&mut self) {
        self.firmware.kill().unwrap();
        self.firmware.wait().unwrap();
    }
}

const MAILBOX: u64 = 156;
const STATUS: u64 = 4;
const LENGTH: u64 = 20;
const MESSAGE: u64 = 24;

impl Board {
    fn boot() -> Self {
        let shared = tempfile::tempfile().unwrap();
        shared.set_len(4 * MAILBOX).unwrap();
        let mut firmware = Command::new(&*FIRMWARE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(shared.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut board = Self {
            doorbell: firmware.stdin.take().unwrap(),
            rings: firmware.stdout.take().unwrap(),
            firmware,
            shared,
        };
        for agent in 0..2 {
            board.set(board.events(agent) + STATUS, 1);
        }
        board
    }

    fn commands(&self, agent: u64) -> u64 {
        agent * MAILBOX
    }

    fn events(&self, agent: u64) -> u64 {
        (2 + agent) * MAILBOX
    }

    /// Has something happen, and waits until the firmware has dealt with it.
    fn happen(&mut self, what: u8) {
        self.doorbell.write_all(&[what]).unwrap();
        self.rings.read_exact(&mut [0]).unwrap();
    }

    #[track_caller]
    fn ask(&mut self, agent: u8, request: &[u32]) -> Vec<u32> {
        let mailbox = self.commands(agent.into());
        for (at, word) in (0..).zip(request) {
            self.set(mailbox + MESSAGE + 4 * at, *word);
        }
        self.set(mailbox + LENGTH, u32::try_from(request.len() * 4).unwrap());
        self.set(mailbox + STATUS, 0);
        self.happen(b'a' + agent);
        assert_eq!(self.get(mailbox + STATUS), 1);
        self.message(mailbox)
    }

    /// What an agent was told unasked, if anything.
    fn event(&mut self, agent: u8) -> Option<Vec<u32>> {
        let mailbox = self.events(agent.into());
        if self.get(mailbox + STATUS) == 1 {
            return None;
        }
        let message = self.message(mailbox);
        self.set(mailbox + STATUS, 1);
        Some(message)
    }

    fn message(&self, mailbox: u64) -> Vec<u32> {
        let words = u64::from(self.get(mailbox + LENGTH)) / 4;
        (0..words)
            .map(|at| self.get(mailbox + MESSAGE + 4 * at))
            .collect()
    }

    fn get(&self, at: u64) -> u32 {
        let mut word = [0; 4];
        self.shared.read_exact_at(&mut word, at).unwrap();
        u32::from_le_bytes(word)
    }

    fn set(&mut self, at: u64, word: u32) {
        self.shared.write_all_at(&word.to_le_bytes(), at).unwrap();
    }
}

const APPLICATION: u8 = 0;
const RADIO: u8 = 1;

const SUCCESS: u32 = 0;
const DENIED: u32 = u32::MAX - 2;
const NOT_SUPPORTED: u32 = u32::MAX;
const BUSY: u32 = u32::MAX - 5;

#[test]
fn processors_see_what_they_were_given_in_their_own_versions() {
    let mut board = Board::boot();
    assert_eq!(
        board.ask(APPLICATION, &[0x4006, 0]),
        [0x4006, SUCCESS, 5, 0x1615_1411, 0x17]
    );
    assert_eq!(board.ask(RADIO, &[0x4006, 0]), [0x4006, SUCCESS, 1, 0x14]);
    assert_eq!(
        board.ask(APPLICATION, &[0x5000]),
        [0x5000, SUCCESS, 0x30000]
    );
    assert_eq!(board.ask(RADIO, &[0x5000]), [0x5000, SUCCESS, 0x10000]);
    assert_eq!(board.ask(RADIO, &[0x5c00]), [0x5c00, NOT_SUPPORTED]);
    let name = u32::from_le_bytes(*b"uart");
    assert_eq!(
        board.ask(RADIO, &[0x5003, 0]),
        [0x5003, SUCCESS, 0, name, 0, 0, 0]
    );
    // The application processor's numbers for the clocks are its own: the UART is 1, and comes from 2.
    assert_eq!(board.ask(APPLICATION, &[0x500e, 1]), [0x500e, SUCCESS, 2]);
    let rates = [
        0x5004,
        SUCCESS,
        0x1003,
        100_000_000,
        0,
        800_000_000,
        0,
        100_000_000,
        0,
    ];
    assert_eq!(board.ask(APPLICATION, &[0x5004, 2, 0]), rates);
}

#[test]
fn processors_share_a_clock_and_one_is_rebooted() {
    let mut board = Board::boot();
    assert_eq!(
        board.ask(APPLICATION, &[0x5005, 0, 1, 48_000_000, 0]),
        [0x5005, SUCCESS]
    );
    assert_eq!(
        board.ask(RADIO, &[0x5006, 0]),
        [0x5006, SUCCESS, 48_000_000, 0]
    );
    assert_eq!(
        board.ask(RADIO, &[0x5005, 0, 0, 1_000_000, 0]),
        [0x5005, DENIED]
    );
    assert_eq!(board.ask(RADIO, &[0x5007, 0, 1]), [0x5007, SUCCESS]);
    assert_eq!(
        board.ask(APPLICATION, &[0x5005, 0, 1, 1_000_000, 0]),
        [0x5005, DENIED]
    );
    board.happen(b'A' + APPLICATION);
    assert_eq!(
        board.ask(RADIO, &[0x5006, 0]),
        [0x5006, SUCCESS, 48_000_000, 0]
    );
    board.happen(b'A' + RADIO);
    assert_eq!(
        board.ask(RADIO, &[0x5006, 0]),
        [0x5006, SUCCESS, 1_000_000, 0]
    );
}

#[test]
fn the_trusted_processor_takes_the_clock_from_the_other() {
    let mut board = Board::boot();
    // The radio is its agent 2, and device 1 is the radio's clock.
    let take = [0x4009, 2, 1, 0];
    assert_eq!(board.ask(RADIO, &take), [0x4009, NOT_SUPPORTED]);
    assert_eq!(board.ask(APPLICATION, &take), [0x4009, SUCCESS]);
    assert_eq!(board.ask(RADIO, &[0x5007, 0, 1]), [0x5007, DENIED]);
    assert_eq!(board.ask(APPLICATION, &[0x5006, 1])[1], SUCCESS);
    // All as it was.
    assert_eq!(board.ask(APPLICATION, &[0x400b, 2, 1]), [0x400b, SUCCESS]);
    assert_eq!(board.ask(RADIO, &[0x5007, 0, 1]), [0x5007, SUCCESS]);
    // The firmware gives it back when the trusted one is rebooted.
    assert_eq!(board.ask(APPLICATION, &take), [0x4009, SUCCESS]);
    board.happen(b'A' + APPLICATION);
    assert_eq!(board.ask(RADIO, &[0x5007, 0, 1]), [0x5007, SUCCESS]);
}

#[test]
fn what_comes_later_comes_by_the_other_mailbox() {
    let mut board = Board::boot();
    // A level, which is there when the timer says so.
    assert_eq!(
        board.ask(APPLICATION, &[0x5c07, 0, 1, 900_000]),
        [0x5c07, SUCCESS]
    );
    assert_eq!(board.event(APPLICATION), None);
    board.happen(b't');
    assert_eq!(
        board.event(APPLICATION).unwrap(),
        [0x5e07, SUCCESS, 0, 900_000]
    );
    // One that is waited for.
    assert_eq!(
        board.ask(APPLICATION, &[0x5c07, 0, 0, 1_000_000]),
        [0x5c07, SUCCESS]
    );
    // A temperature that is crossed, from 26 to 27 degrees.
    assert_eq!(board.ask(APPLICATION, &[0x5404, 0, 1]), [0x5404, SUCCESS]);
    assert_eq!(
        board.ask(APPLICATION, &[0x5405, 0, 0x11, 28_000, 0]),
        [0x5405, SUCCESS]
    );
    board.happen(b't');
    assert_eq!(board.event(APPLICATION), None);
    board.happen(b't');
    assert_eq!(board.event(APPLICATION).unwrap(), [0x5700, 0, 0, 0x1_0001]);
    assert_eq!(
        board.ask(APPLICATION, &[0x5406, 0, 0]),
        [0x5406, SUCCESS, 28_000, 0, 0, 0]
    );
    assert_eq!(board.event(RADIO), None);
}

#[test]
fn a_level_whose_place_another_one_takes_comes_too() {
    let mut board = Board::boot();
    for (level, is_first) in [(900_000, true), (925_000, false), (950_000, false)] {
        assert_eq!(
            board.ask(APPLICATION, &[0x5c07, 0, 1, level]),
            [0x5c07, SUCCESS]
        );
        // The one before never was.
        let ended = (!is_first).then(|| vec![0x5e07, BUSY]);
        assert_eq!(board.event(APPLICATION), ended);
    }
    board.happen(b't');
    assert_eq!(
        board.event(APPLICATION).unwrap(),
        [0x5e07, SUCCESS, 0, 950_000]
    );
    board.happen(b't');
    assert_eq!(board.event(APPLICATION), None);
}

#[test]
fn the_firmware_ends_when_its_board_does() {
    let mut board = Board::boot();
    board.doorbell.write_all(b"?").unwrap();
    assert_eq!(board.firmware.wait().unwrap().code(), Some(0));
}
