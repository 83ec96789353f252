// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Single packages of Debian for the guest: its kernel's source and its programs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt::Apt;
use crate::cache::Cache;

pub(super) use crate::apt::{Architecture, Suite, unpack};

/// The package's file, as [`fetch_all`] has them.
pub(super) fn fetch(
    cache: &Cache,
    suite: Suite,
    package: &str,
    architecture: Architecture,
) -> Result<PathBuf> {
    let mut files = fetch_all(cache, suite, &[package], architecture)?;
    files.pop().context("no package")
}

/// The packages' files, which have the version in their names. Once fetched they stay: a guest changes
/// when its cache is emptied, not when Debian publishes an update.
pub(super) fn fetch_all(
    cache: &Cache,
    suite: Suite,
    packages: &[&str],
    architecture: Architecture,
) -> Result<Vec<PathBuf>> {
    let folder = cache.folder(&format!("packages/{}", suite.name()))?;
    let missing = || -> Result<Vec<&str>> {
        let mut missing = Vec::new();
        for package in packages {
            if find(&folder, package, architecture)?.is_none() {
                missing.push(*package);
            }
        }
        Ok(missing)
    };
    if !missing()?.is_empty() {
        cache.lock()?;
        // Another run may have just fetched them.
        let missing = missing()?;
        let scratch = cache.scratch()?;
        if !missing.is_empty() {
            Apt::new(cache, suite, architecture)?.download(&missing, scratch.path())?;
        }
        for file in fs::read_dir(&scratch)? {
            let file = file?;
            fs::rename(file.path(), folder.join(file.file_name()))?;
        }
    }
    let file = |package: &&str| {
        find(&folder, package, architecture)?
            .with_context(|| format!("apt did not fetch {package}"))
    };
    packages.iter().map(file).collect()
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
