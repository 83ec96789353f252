// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Every check there is, cheapest first. All run, whatever fails.

use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xtask::device::{Device, workspace};
use xtask::guest::{Front, Ground, Qemu};
use xtask::{oldest, tools, trial};

use crate::{fuzz, tidy};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out the tests that boot guests
    #[arg(long)]
    no_guest: bool,
}

/// All tests.
pub(crate) const TESTS: [&str; 3] = ["test", "--workspace", "--no-fail-fast"];

/// Of these the ones that boot guests.
pub(crate) const GUESTS: [&str; 6] = ["--test", "guest", "--test", "host", "--test", "qemu"];

/// What guests are made of in one run of their tests, and which front ends have some.
#[derive(Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) ground: Ground,
    pub(crate) fronts: &'static [Front],
}

/// All tests run in the first pass, those of guests in the others too. A PC's kernel takes the longest
/// to build: CI has one of them.
const PASSES: [Pass; 3] = [
    Pass {
        ground: Ground::NEWEST,
        fronts: &Front::ALL,
    },
    Pass {
        ground: Ground::OLDEST,
        fronts: &[Front::Uml],
    },
    Pass {
        ground: Ground {
            qemu: Qemu::V10_0,
            ..Ground::NEWEST
        },
        fronts: &[Front::QemuArm64, Front::QemuX86_64],
    },
];

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let devices = Device::all()?;
    let mut tally = Tally::new();

    tally.command("format", cargo(&["fmt", "--all", "--check"]));
    for package in crates_with("fuzz/Cargo.toml")? {
        // A workspace of its own.
        let manifest = format!("crates/{package}/fuzz/Cargo.toml");
        let format = ["fmt", "--check", "--manifest-path", &manifest];
        tally.command(&format!("format of fuzz {package}"), cargo(&format));
    }
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    tally.command("clippy", cargo(&clippy));
    documentation(&mut tally, &devices);
    other_features(&mut tally, &devices)?;
    oldest_rust(&mut tally)?;
    tally.step("house rules", tidy::check);
    tally.group("checks");
    if arguments.no_guest {
        tally.tests(&mut cargo(&TESTS))?;
        tally.group("tests");
    } else {
        for pass in PASSES {
            prepare_guests(&mut tally, pass);
        }
        tally.group("guests' kernels");
        let mut tests = TESTS.to_vec();
        for pass in PASSES {
            tally.guests(cargo(&tests), pass)?;
            tests = [&TESTS[..], &GUESTS].concat();
        }
    }
    fuzz::run(&mut tally, fuzz::SHORT)?;
    tally.group("fuzzing");
    Ok(tally.finish())
}

/// Devices without the daemon, and daemons for Xen.
fn other_features(tally: &mut Tally, devices: &[Device]) -> Result<()> {
    for device in devices {
        let package = &device.package;
        let library = [
            "check",
            "--lib",
            "--no-default-features",
            "--package",
            package,
        ];
        tally.command(&format!("{package} without daemon"), cargo(&library));
        // Xen's memory is another type at compile time.
        let xen = ["check", "--features", "xen", "--package", package];
        tally.command(&format!("{package} for Xen"), cargo(&xen));
    }
    // Nothing but Xen has its grants; its front end, and all others, are served by such a build.
    let orders = [
        "test",
        "--package",
        "virtio-backend",
        "--features",
        "testing,xen",
        "--test",
        "orders",
    ];
    tally.tests(&mut cargo(&orders))
}

/// The oldest Rust builds everything, and the libraries for 32 bits too.
fn oldest_rust(tally: &mut Tally) -> Result<()> {
    let name = "the oldest Rust";
    if !tools::has_apt() {
        tally.skip(name, "it is Debian's, and there is no apt here");
        return Ok(());
    }
    tally.step(name, || {
        succeed(oldest::cargo(&["test", "--workspace", "--lib", "--bins"])?)
    });
    let mut libraries = vec!["check", "--lib", "--no-default-features"];
    libraries.extend(["--target", oldest::TARGET_32]);
    let packages = crates_with("src/lib.rs")?;
    libraries.extend(packages.iter().flat_map(|package| ["--package", package]));
    tally.step("libraries for 32 bits", || {
        succeed(oldest::cargo(&libraries)?)
    });
    Ok(())
}

fn documentation(tally: &mut Tally, devices: &[Device]) {
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    tally.command("documentation", doc);
    // As those see it who link a device into their VMM.
    let mut doc = cargo(&["doc", "--no-deps", "--lib", "--no-default-features"]);
    doc.args(["--package", "virtio-backend"]);
    for device in devices {
        doc.args(["--package", &device.package]);
    }
    doc.env("RUSTDOCFLAGS", "-D warnings");
    tally.command("documentation without daemon", doc);
}

pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(workspace());
    cargo
}

/// In a process of its own, as a process has one choice.
pub(crate) fn prepare_guests(tally: &mut Tally, pass: Pass) {
    let mut prepare = cargo(&["xtask", "guest"]);
    prepare.args(pass.fronts.iter().map(Front::to_string));
    prepare
        .envs(pass.ground.environment())
        .stderr(Stdio::inherit());
    tally.command(&format!("guests of {}", pass.ground), prepare);
}

/// What has been counted so far.
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
    minutes: Vec<(String, f64)>,
    since: Instant,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            passed: 0,
            failed: 0,
            skipped: 0,
            failures: Vec::new(),
            minutes: Vec::new(),
            since: Instant::now(),
        }
    }

    /// Does something that counts as one check.
    pub(crate) fn step(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        print!("{name:<32}");
        stdout().flush().ok();
        let start = Instant::now();
        let result = check();
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                println!("ok    {seconds:6.1} s");
                self.passed += 1;
            }
            Err(error) => {
                println!("FAIL  {seconds:6.1} s\n{error:#}");
                self.fail(name);
            }
        }
    }

    /// The check is that this command succeeds. What it says matters if it does not.
    pub(crate) fn command(&mut self, name: &str, command: Command) {
        self.step(name, || succeed(command));
    }

    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        println!("{name:<32}skipped: {reason}");
        self.skipped += 1;
    }

    /// Ends a group of checks: how long all since the last one took is said in the end.
    pub(crate) fn group(&mut self, name: &str) {
        let minutes = self.since.elapsed().as_secs_f64() / 60.0;
        self.minutes.push((name.to_owned(), minutes));
        self.since = Instant::now();
    }

    /// Tests, with guests made of this.
    pub(crate) fn guests(&mut self, mut cargo: Command, pass: Pass) -> Result<()> {
        let fronts: Vec<_> = pass.fronts.iter().map(Front::to_string).collect();
        let fronts = fronts.join(",");
        cargo.env(trial::ENABLE, "1").env(trial::FRONTS, &fronts);
        self.tests(cargo.envs(pass.ground.environment()))?;
        self.group(&format!("tests, {} ({fronts})", pass.ground));
        Ok(())
    }

    /// Tests of the workspace, each of which counts.
    pub(crate) fn tests(&mut self, cargo: &mut Command) -> Result<()> {
        println!("tests");
        let start = Instant::now();
        let mut child = cargo.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let failed_before = self.failed;
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            self.count(&line);
        }
        let seconds = start.elapsed().as_secs_f64();
        if child.wait()?.success() {
            println!("{:<32}ok    {seconds:6.1} s", "tests");
        } else {
            println!("{:<32}FAIL  {seconds:6.1} s", "tests");
            if self.failed == failed_before {
                self.fail("tests: they do not build, or one of them crashed");
            }
        }
        Ok(())
    }

    /// Takes a line of a test runner into account.
    fn count(&mut self, line: &str) {
        if let Some(summary) = line.strip_prefix("test result: ") {
            self.passed += number_before(summary, " passed");
            self.failed += number_before(summary, " failed");
            self.skipped += number_before(summary, " ignored");
        } else if let Some(test) = line
            .strip_prefix("test ")
            .and_then(|line| line.strip_suffix(" FAILED"))
        {
            self.failures
                .push(test.trim_end_matches(['.', ' ']).to_owned());
        }
    }

    fn fail(&mut self, name: &str) {
        self.failed += 1;
        self.failures.push(name.to_owned());
    }

    pub(crate) fn finish(self) -> ExitCode {
        for (group, minutes) in &self.minutes {
            println!("{minutes:6.1} min  {group}");
        }
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        );
        if self.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Runs a command. What it says matters if it fails.
fn succeed(mut command: Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let out = String::from_utf8_lossy(&output.stdout);
        bail!("{out}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// 3 of `ok. 3 passed; 0 failed`.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split_once(word).map_or("", |(before, _)| before);
    let number = before.rsplit(' ').next().unwrap_or_default();
    number.parse().unwrap_or(0)
}

/// The names of the folders under `crates/` that have `path` in them.
pub(crate) fn crates_with(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace().join("crates"))? {
        let entry = entry?;
        if entry.path().join(&path).exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_test_runners_are_summed() {
        let mut tally = Tally::new();
        tally.count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.count("test hwrng_is_ours ... FAILED");
        tally.count(
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        );
        assert_eq!((tally.passed, tally.failed, tally.skipped), (5, 1, 1));
        assert_eq!(tally.failures, ["hwrng_is_ours"]);
    }
}
