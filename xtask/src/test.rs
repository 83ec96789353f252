// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Every check there is, cheapest first. All run, whatever fails.

use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xtask::device::{Device, workspace};
use xtask::guest::{self, Front};
use xtask::trial;

use crate::{fuzz, tidy};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Install QEMU if it is missing or too old, on Debian and Ubuntu
    #[arg(long)]
    install_qemu: bool,
    /// Leave out the tests that boot guests
    #[arg(long, conflicts_with = "install_qemu")]
    no_guest: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.install_qemu {
        guest::install_qemu()?;
    }
    let devices = Device::all()?;
    let mut tally = Tally::default();

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
    let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    tally.command("documentation", doc);
    for device in &devices {
        let package = &device.package;
        let library = [
            "check",
            "--lib",
            "--no-default-features",
            "--package",
            package,
        ];
        tally.command(&format!("{package} without daemon"), cargo(&library));
        // Xen's memory is another type at compile time. Nothing but Xen can run it.
        let xen = ["check", "--features", "xen", "--package", package];
        tally.command(&format!("{package} for Xen"), cargo(&xen));
    }
    tally.step("house rules", tidy::check);
    if !arguments.no_guest {
        tally.step("guest kernels", prepare_guests);
    }
    tally.tests(!arguments.no_guest)?;
    fuzz::run(&mut tally)?;
    Ok(tally.finish())
}

pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(workspace());
    cargo
}

fn prepare_guests() -> Result<()> {
    let possible = |front: &Front| front.missing().is_none();
    let fronts: Vec<_> = Front::ALL.into_iter().filter(possible).collect();
    guest::prepare(&fronts)?;
    Ok(())
}

/// What has been counted so far.
#[derive(Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
}

impl Tally {
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
    pub(crate) fn command(&mut self, name: &str, mut command: Command) {
        self.step(name, || {
            let output = command.stdin(Stdio::null()).output()?;
            if !output.status.success() {
                let out = String::from_utf8_lossy(&output.stdout);
                bail!("{out}{}", String::from_utf8_lossy(&output.stderr));
            }
            Ok(())
        });
    }

    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        println!("{name:<32}skipped: {reason}");
        self.skipped += 1;
    }

    /// All tests of the workspace, each of which counts.
    fn tests(&mut self, guests: bool) -> Result<()> {
        println!("tests");
        let start = Instant::now();
        let mut cargo = cargo(&["test", "--workspace", "--no-fail-fast"]);
        if guests {
            cargo.env(trial::ENABLE, "1");
        }
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

    fn finish(self) -> ExitCode {
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
        let mut tally = Tally::default();
        tally.count("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        tally.count("test hwrng_is_ours ... FAILED");
        tally.count(
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        );
        assert_eq!((tally.passed, tally.failed, tally.skipped), (5, 1, 1));
        assert_eq!(tally.failures, ["hwrng_is_ours"]);
    }
}
