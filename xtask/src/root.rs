// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Package roots: programs of Debian with all that they depend on, unpacked in the cache and run
//! from there. Root is not needed, nothing is installed, and the host's own versions are not used.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::apt::{Apt, Architecture, Suite, unpack};
use crate::cache::Cache;
use crate::guest::Qemu;

const RUN: &str = include_str!("../guest/root-run.sh");

/// What runs a program of this QEMU: `qemu-system-x86_64` or `qemu-system-aarch64`.
pub fn qemu(version: Qemu, program: &str) -> Result<PathBuf> {
    let packages = ["qemu-system-x86", "qemu-system-arm"];
    let cache = Cache::open()?;
    Root::fetch(&cache, "qemu", version.suite(), &packages, &[])?.program(program)
}

/// An unpacked root.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    folder: PathBuf,
}

impl Root {
    /// A root with these packages for the host, all that they depend on, and a few packages of
    /// another architecture without that. It has the versions of the day when it was fetched first,
    /// until the cache is emptied.
    pub(crate) fn fetch(
        cache: &Cache,
        name: &str,
        suite: Suite,
        packages: &[&str],
        alone: &[(&str, Architecture)],
    ) -> Result<Self> {
        let run = RUN
            .replace("@TRIPLET@", triplet())
            .replace("@LOADER@", loader());
        let mut inputs = vec![suite.name().as_bytes(), run.as_bytes()];
        inputs.extend(packages.iter().map(|package| package.as_bytes()));
        for (package, architecture) in alone {
            inputs.extend([package.as_bytes(), architecture.name().as_bytes()]);
        }
        let folder = cache.entry(&format!("root-{name}-{}", suite.name()), &inputs, |into| {
            let debs = into.join("packages");
            fs::create_dir(&debs)?;
            Apt::new(cache, suite, Architecture::HOST)?.download_all(packages, &debs)?;
            for (package, architecture) in alone {
                Apt::new(cache, suite, *architecture)?.download(&[package], &debs)?;
            }
            let root = into.join("root");
            fs::create_dir(&root)?;
            for package in fs::read_dir(&debs)? {
                unpack(&package?.path(), &root)?;
            }
            fs::remove_dir_all(debs)?;
            link_programs(&root, &into.join("bin"), &run)
        })?;
        Ok(Self { folder })
    }

    /// Where it is unpacked.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// What runs a program of the root, with all arguments that it is given.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let program = self.folder.join("bin").join(name);
        ensure!(program.exists(), "{} is not there", program.display());
        Ok(program)
    }
}

/// The script, and a link to it for each program in `usr/bin`.
fn link_programs(root: &Path, bin: &Path, run: &str) -> Result<()> {
    fs::create_dir(bin)?;
    fs::write(bin.join("run"), run)?;
    fs::set_permissions(bin.join("run"), fs::Permissions::from_mode(0o755))?;
    let programs = root.join("usr/bin");
    let entries = fs::read_dir(&programs).with_context(|| programs.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        if is_elf(&entry.path()) {
            symlink("run", bin.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Not of scripts, nor of links that an installation would have put right.
fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

fn triplet() -> &'static str {
    match Architecture::HOST {
        Architecture::Arm64 => "aarch64-linux-gnu",
        _ => "x86_64-linux-gnu",
    }
}

fn loader() -> &'static str {
    match Architecture::HOST {
        Architecture::Arm64 => "ld-linux-aarch64.so.1",
        _ => "ld-linux-x86-64.so.2",
    }
}
