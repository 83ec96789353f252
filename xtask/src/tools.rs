// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Programs of the host that a Rust toolchain does not bring: looked for, and on Debian and Ubuntu
//! installed.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// A program, or a file by its absolute path, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// `flex`, or `/usr/include/gelf.h`.
    pub file: &'static str,
    /// `flex`, or `libelf-dev`.
    pub package: &'static str,
}

impl Tool {
    /// Whether it is there.
    #[must_use]
    pub fn is_present(&self) -> bool {
        let path = env::var_os("PATH").unwrap_or_default();
        // Joining an absolute path gives that path.
        env::split_paths(&path).any(|folder| folder.join(self.file).is_file())
    }
}

/// Makes these tools be there.
pub fn require(tools: &[Tool]) -> Result<()> {
    let missing: Vec<_> = tools.iter().filter(|tool| !tool.is_present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    packages.dedup();
    if !has_apt() {
        let files: Vec<_> = missing.iter().map(|tool| tool.file).collect();
        bail!(
            "missing: {}\nPlease install them and try again. Debian's packages: {}",
            files.join(" "),
            packages.join(" ")
        );
    }
    install(&packages)?;
    match missing.iter().find(|tool| !tool.is_present()) {
        Some(tool) => bail!(
            "{} is still missing, although {} is installed",
            tool.file,
            tool.package
        ),
        None => Ok(()),
    }
}

/// Installs packages of the host's own distribution, having said so. What apt says matters if it
/// fails.
fn install(packages: &[&str]) -> Result<()> {
    eprintln!("installing with apt-get: {}", packages.join(" "));
    // A third party's broken source is no reason to stop; what we need may well be there.
    as_root(&["apt-get", "--quiet", "update"]).ok();
    let mut install = vec![
        "apt-get",
        "--quiet",
        "--yes",
        "--no-install-recommends",
        "install",
    ];
    install.extend(packages);
    as_root(&install)
}

/// Whether the host is Debian or one of its descendants.
#[must_use]
pub fn has_apt() -> bool {
    let apt = Tool {
        file: "apt-get",
        package: "apt",
    };
    apt.is_present() && Path::new("/etc/debian_version").exists()
}

/// Runs a command as root, through sudo if we are not: sudo asks for a password on the terminal.
fn as_root(command: &[&str]) -> Result<()> {
    let sudo: &[&str] = if rustix::process::geteuid().is_root() {
        &[]
    } else {
        &["sudo"]
    };
    let all = [sudo, &["env", "DEBIAN_FRONTEND=noninteractive"], command].concat();
    let (program, args) = all.split_first().context("empty command")?;
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("run {program}; as root, please run: {}", command.join(" ")))?;
    ensure!(
        output.status.success(),
        "{}: {}\n{}{}",
        command.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
