// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Programs that run from a package root in the cache.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xtask::guest::Qemu;
use xtask::root;
use xtask::trial::{run, trial};

/// Within this time QEMU says what it is.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    run(vec![
        trial("qemu_of_a_root_starts_a_pc", &[], || {
            // The firmware's messages come through a port of their own.
            let debug = "-chardev stdio,id=log -device isa-debugcon,iobase=0x402,chardev=log";
            starts(
                "qemu-system-x86_64",
                &format!("-machine q35 {debug}"),
                "SeaBIOS (version ",
            )
        }),
        trial("qemu_of_a_root_starts_an_arm_machine", &[], || {
            let monitor = "-S -chardev stdio,id=qmp -object monitor-qmp,id=monitor,chardev=qmp";
            starts(
                "qemu-system-aarch64",
                &format!("-machine virt {monitor}"),
                r#"{"QMP": {"version": {"qemu": {"#,
            )
        }),
        trial("qemu_of_a_root_is_new", &[], || {
            let mut qemu = Command::new(root::qemu(Qemu::V11_1, "qemu-system-aarch64")?);
            let said = qemu.arg("--version").output()?.stdout;
            let said = String::from_utf8(said)?;
            let version = said
                .strip_prefix("QEMU emulator version ")
                .context("QEMU")?;
            let mut numbers = version.split('.').map_while(|part| part.parse().ok());
            let version: (u32, u32) = (
                numbers.next().context("version")?,
                numbers.next().context("version")?,
            );
            ensure!(version >= (11, 1), "{said}");
            Ok(())
        }),
    ])
}

/// Starts a program of QEMU, waits until it says a line that begins so, and looks which files it
/// has in its memory by then.
fn starts(program: &str, arguments: &str, line: &str) -> Result<()> {
    let program = root::qemu(Qemu::V11_1, program)?;
    let folder = program.parent().and_then(|bin| bin.parent());
    let folder = folder.context("program without a root")?;
    let qemu = Command::new(&program)
        .args("-nodefaults -display none -m 64".split(' '))
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut qemu = Killed(qemu);
    let output = qemu.0.stdout.take().context("no output")?;
    let (sender, lines) = mpsc::channel();
    // Ends with QEMU's output.
    thread::spawn(move || {
        for said in BufReader::new(output).lines().map_while(Result::ok) {
            sender.send(said).ok();
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let mut said = String::new();
    while !said.starts_with(line) {
        let left = deadline.saturating_duration_since(Instant::now());
        said = lines
            .recv_timeout(left)
            .with_context(|| format!("after {said:?}"))?;
    }
    let mut libraries = 0;
    for map in fs::read_to_string(format!("/proc/{}/maps", qemu.0.id()))?.lines() {
        let Some(start) = map.find('/') else { continue };
        let (_, file) = map.split_at(start);
        if file.contains(".so") {
            ensure!(file.starts_with(&*folder.to_string_lossy()), "{file}");
            libraries += 1;
        }
    }
    ensure!(libraries > 0, "no library");
    Ok(())
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
