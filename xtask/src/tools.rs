// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Programs of the host that a Rust toolchain does not bring: looked for, and on Debian and Ubuntu
//! installed.

use std::env;
use std::fs;
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

/// Installs packages of the host's own distribution, having said so. Arguments of `apt-get install`
/// may be among them.
pub fn install(packages: &[&str]) -> Result<()> {
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

/// Makes Debian's backports of this release available, having said so. They are used only by name.
pub fn add_backports(suite: &str) -> Result<()> {
    let known = Command::new("apt-cache").arg("policy").output()?.stdout;
    if String::from_utf8_lossy(&known).contains(suite) {
        return Ok(());
    }
    let file = format!("/etc/apt/sources.list.d/{suite}.list");
    let source = format!(
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
         http://deb.debian.org/debian {suite} main"
    );
    eprintln!("adding {file}: {source}");
    as_root(&["sh", "-c", r#"echo "$1" >"$2""#, "add", &source, &file])
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

/// A value in `/etc/os-release`.
#[must_use]
pub fn os_release(key: &str) -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

/// Runs a command as root, through sudo if we are not.
pub fn as_root(command: &[&str]) -> Result<()> {
    let sudo: &[&str] = if rustix::process::geteuid().is_root() {
        &[]
    } else {
        &["sudo"]
    };
    let all = [sudo, &["env", "DEBIAN_FRONTEND=noninteractive"], command].concat();
    let (program, args) = all.split_first().context("empty command")?;
    let status = Command::new(program)
        .args(args)
        .status()
        .with_context(|| format!("run {program}; as root, please run: {}", command.join(" ")))?;
    ensure!(status.success(), "{}: {status}", command.join(" "));
    Ok(())
}
