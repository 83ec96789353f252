// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The devices that exist: each folder `crates/*` with a `guest/device.toml`.
//!
//! Beside that file lies `check.sh`. It runs in the guest, uses the device as any program would,
//! and prints one line that tells what it saw, or fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::guest::Front;

/// `guest/device.toml`: what the rig has to know of a device.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Device {
    /// Name of the package, which is the name of its folder.
    #[serde(skip)]
    pub package: String,
    /// Name of the binary.
    pub daemon: String,
    /// What the daemon needs beside its socket to show something without hardware.
    #[serde(default)]
    pub demo_args: Vec<String>,
    /// Device ID in the virtio specification.
    pub virtio_id: u32,
    /// QEMU's name for the front end.
    pub qemu: String,
    /// Debian packages that `check.sh` uses, with the libraries they need. Nothing is added by
    /// itself: a guest has busybox and these.
    #[serde(default)]
    pub packages: Vec<String>,
    /// What Debian's own kernel needs for it.
    #[serde(default)]
    pub debian: Debian,
    /// How a guest fails, if that is what the device is for.
    pub failure: Option<Failure>,
}

/// `[failure]` in `guest/device.toml`: how the demo has a guest fail, which ends it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The command that fails.
    pub command: String,
    /// What is in the line of the daemon's log that tells of it.
    pub says: String,
}

/// `[debian]` in `guest/device.toml`: modules that a guest with Debian's own kernel loads for the
/// device and its check.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    /// Those that Debian has, by their files' names, with what they need.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Those that Debian lacks, and the files of Linux that each is made of.
    #[serde(default)]
    pub build: BTreeMap<String, Vec<String>>,
}

impl Debian {
    /// All of them, those that drive the device before those that use what it provides.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.build.keys().chain(&self.modules).map(String::as_str)
    }
}

impl Device {
    /// All devices, in the order of their names.
    pub fn all() -> Result<Vec<Self>> {
        let mut devices = Vec::new();
        for entry in fs::read_dir(workspace().join("crates"))? {
            let folder = entry?.path();
            if folder.join("guest/device.toml").exists() {
                devices.push(Self::read(&folder)?);
            }
        }
        devices.sort_by(|a, b| a.package.cmp(&b.package));
        Ok(devices)
    }

    /// The device that this package implements.
    pub fn of(package: &str) -> Result<Self> {
        Self::read(&workspace().join("crates").join(package))
    }

    /// What runs `check.sh` in a guest.
    #[must_use]
    pub fn check_command(&self) -> String {
        format!("sh /checks/{}", self.package)
    }

    /// `guest/check.sh`.
    #[must_use]
    pub fn check(&self) -> PathBuf {
        workspace()
            .join("crates")
            .join(&self.package)
            .join("guest/check.sh")
    }

    /// What the board has because of this device: `guest/FRONT.dtsi`, a part of a device tree's
    /// source, or nothing. Where it says `SOCKET`, the device itself is on the board.
    pub(crate) fn board(&self, front: Front) -> Result<String> {
        let folder = workspace().join("crates").join(&self.package);
        let path = folder.join(format!("guest/{front}.dtsi"));
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            text => text.with_context(|| path.display().to_string()),
        }
    }

    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("guest/device.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let device: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        let package = folder.file_name().context("crate without a name")?;
        Ok(Self {
            package: package.to_string_lossy().into_owned(),
            ..device
        })
    }
}

/// The modules for Linux that are ours: drivers in `crates/*/linux`, and what tests them in
/// `crates/*/tests/linux`.
pub fn modules() -> Result<Vec<PathBuf>> {
    let mut modules = Vec::new();
    for entry in fs::read_dir(workspace().join("crates"))? {
        let package = entry?.path();
        for folder in [package.join("linux"), package.join("tests/linux")] {
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                let name = path.to_string_lossy();
                // Whoever built one there left a .mod.c.
                if name.ends_with(".c") && !name.ends_with(".mod.c") {
                    modules.push(path);
                }
            }
        }
    }
    modules.sort();
    Ok(modules)
}

/// The checkout.
#[must_use]
pub fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}
