// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The oldest Rust that builds us: Debian 13's own, from a package root in the cache.

use std::process::Command;

use anyhow::Result;

use crate::apt::{Architecture, Suite};
use crate::cache::Cache;
use crate::device::workspace;
use crate::root::Root;

/// A target of 32 bits whose standard library comes along.
pub const TARGET_32: &str = "i686-unknown-linux-gnu";

/// Debian's cargo with these arguments, in the workspace. It takes crates from where the machine's
/// own cargo has them, and links with the host's linker, so that what it builds runs on the host.
pub fn cargo(arguments: &[&str]) -> Result<Command> {
    let root = Root::fetch(
        &Cache::open()?,
        "rust",
        Suite::Trixie,
        &["rustc", "cargo"],
        &[("libstd-rust-dev", Architecture::I386)],
    )?;
    let program = root.program("cargo")?;
    let mut cargo = Command::new(&program);
    cargo
        .args(arguments)
        .arg("--locked")
        .arg("--target-dir")
        .arg(workspace().join("target/oldest"))
        .current_dir(workspace())
        // By itself cargo would take the cargo that runs us, or the loader.
        .env("CARGO", &program)
        .env("RUSTC", root.program("rustc")?)
        // For one build in a while these cost more than they bring.
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    Ok(cargo)
}
