// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Debian packages for the guest, whatever the host: its kernel's source and its programs.
//!
//! apt fetches them, and checks signatures and hashes, with a configuration and a state of its own:
//! the system's is neither used nor changed, and root is not needed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cache::Cache;
use crate::tools::{self, Tool};

/// The guest's distribution. Its security updates have Linux 6.12.
const SOURCES: &str = "\
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian-security bookworm-security main
";

const TOOLS: [Tool; 3] = [
    Tool {
        file: "apt-get",
        package: "apt",
    },
    Tool {
        file: "dpkg-deb",
        package: "dpkg",
    },
    Tool {
        file: "/usr/share/keyrings/debian-archive-keyring.gpg",
        package: "debian-archive-keyring",
    },
];

/// An architecture, in Debian's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    All,
    Amd64,
    Arm64,
}

impl Architecture {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// The package's file, which has the version in its name. Once fetched it stays: a guest changes
/// when its cache is emptied, not when Debian publishes an update.
pub(super) fn fetch(cache: &Cache, package: &str, architecture: Architecture) -> Result<PathBuf> {
    let folder = cache.folder("apt")?;
    if let Some(file) = find(&folder, package, architecture)? {
        return Ok(file);
    }
    cache.lock()?;
    if let Some(file) = find(&folder, package, architecture)? {
        return Ok(file);
    }
    tools::require(&TOOLS)?;
    let name = match architecture {
        Architecture::All => package.to_owned(),
        Architecture::Amd64 | Architecture::Arm64 => format!("{package}:{}", architecture.name()),
    };
    // The package lists of an earlier run may still be good.
    let has_lists = folder.join("state").exists();
    if !has_lists || apt(&folder, &["download", &name]).is_err() {
        apt(&folder, &["update"])?;
        apt(&folder, &["download", &name])?;
    }
    find(&folder, package, architecture)?.with_context(|| format!("apt did not fetch {name}"))
}

/// Unpacks the files of a package.
pub(super) fn unpack(package: &Path, into: &Path) -> Result<()> {
    let status = Command::new("dpkg-deb")
        .arg("--extract")
        .args([package, into])
        .status()?;
    ensure!(status.success(), "unpack {}: {status}", package.display());
    Ok(())
}

fn find(folder: &Path, package: &str, architecture: Architecture) -> Result<Option<PathBuf>> {
    let (start, end) = (
        format!("{package}_"),
        format!("_{}.deb", architecture.name()),
    );
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&start) && name.ends_with(&end) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

fn apt(folder: &Path, command: &[&str]) -> Result<()> {
    fs::create_dir_all(folder.join("state/lists/partial"))?;
    fs::create_dir_all(folder.join("cache/archives/partial"))?;
    fs::write(folder.join("sources.list"), SOURCES)?;
    fs::write(folder.join("status"), "")?;
    let mut apt = Command::new("apt-get");
    for (option, value) in [
        ("Dir::State", folder.join("state").as_os_str()),
        ("Dir::State::status", folder.join("status").as_os_str()),
        ("Dir::Cache", folder.join("cache").as_os_str()),
        (
            "Dir::Etc::SourceList",
            folder.join("sources.list").as_os_str(),
        ),
        ("Dir::Etc::SourceParts", OsStr::new("/dev/null")),
        ("Dir::Etc::Preferences", OsStr::new("/dev/null")),
        ("Dir::Etc::PreferencesParts", OsStr::new("/dev/null")),
        ("APT::Architecture", OsStr::new("amd64")),
        ("APT::Architectures", OsStr::new("amd64,arm64")),
        // As root, apt would fetch as a user who may not write into root's cache.
        ("APT::Sandbox::User", OsStr::new("root")),
    ] {
        let mut setting = OsStr::new(option).to_owned();
        setting.push("=");
        setting.push(value);
        apt.arg("-o").arg(setting);
    }
    let status = apt.args(command).current_dir(folder).status()?;
    ensure!(status.success(), "apt-get {}: {status}", command.join(" "));
    Ok(())
}
