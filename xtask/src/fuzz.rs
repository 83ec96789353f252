// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A run of each fuzz target, which are the binaries of `crates/*/fuzz`.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::device::workspace;
use xtask::tools::{self, Tool};

use crate::test::{Tally, cargo, crates_with};

/// How long a target runs in CI, in seconds: long enough to find what a change has just broken.
pub(crate) const SHORT: u32 = 20;

/// Runs each target for `time` seconds.
pub(crate) fn run(tally: &mut Tally, time: u32) -> Result<()> {
    let mut ready = None;
    for package in crates_with("fuzz/Cargo.toml")? {
        for target in targets(&package)? {
            let name = format!("fuzz {package} {target}");
            if !has_nightly() {
                tally.skip(&name, "needs a nightly toolchain");
                continue;
            }
            if ready.is_none() {
                tally.step("fuzzer", prepare);
                ready = Some(());
            }
            tally.command(&name, fuzz(&package, &target, time)?);
        }
    }
    Ok(())
}

fn targets(package: &str) -> Result<Vec<String>> {
    let path = workspace()
        .join("crates")
        .join(package)
        .join("fuzz/Cargo.toml");
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(&path)?)?;
    let binaries = manifest.get("bin").and_then(toml::Value::as_array);
    let name = |binary: &toml::Value| Some(binary.get("name")?.as_str()?.to_owned());
    let names = binaries.map(|binaries| binaries.iter().filter_map(name).collect());
    names.with_context(|| format!("{}: no [[bin]]", path.display()))
}

/// Asking for a toolchain must not install it.
fn has_nightly() -> bool {
    let version = Command::new("cargo")
        .args(["+nightly", "--version"])
        .env("RUSTUP_AUTO_INSTALL", "0")
        .output();
    version.is_ok_and(|output| output.status.success())
}

fn prepare() -> Result<()> {
    tools::require(&[Tool {
        file: "c++",
        package: "g++",
    }])?;
    let fuzzer = Tool {
        file: "cargo-fuzz",
        package: "cargo-fuzz",
    };
    if !fuzzer.is_present() {
        eprintln!("installing with cargo: cargo-fuzz");
        let status = cargo(&["install", "--locked", "--quiet", "cargo-fuzz"]).status()?;
        ensure!(status.success(), "cargo install cargo-fuzz: {status}");
    }
    Ok(())
}

/// What it finds goes below the target folder, not into the checkout.
fn fuzz(package: &str, target: &str, time: u32) -> Result<Command> {
    let found = workspace().join("target/fuzz").join(package).join(target);
    let corpus = found.join("corpus");
    fs::create_dir_all(&corpus)?;
    let folder = format!("crates/{package}/fuzz");
    let mut fuzz = cargo(&[
        "+nightly",
        "fuzz",
        "run",
        "--target-dir",
        "target/fuzz",
        "--fuzz-dir",
    ]);
    fuzz.args([&folder, target]).arg(&corpus);
    fuzz.arg("--").arg(format!("-max_total_time={time}"));
    // In seconds. A hang shall be found in the time there is.
    fuzz.arg("-timeout=10");
    fuzz.arg(format!("-artifact_prefix={}/", found.display()));
    Ok(fuzz)
}
