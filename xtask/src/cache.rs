// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is built once and kept, outside the checkout.

use std::cell::OnceCell;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What is being built, until it gets its real name. A run that was killed leaves one of these.
const UNFINISHED: &str = "unfinished-";

/// The cache, which many runs may read, and one at a time may add to.
pub(crate) struct Cache {
    root: PathBuf,
    lock: OnceCell<File>,
}

impl Cache {
    pub(crate) fn open() -> Result<Self> {
        let root = root()?;
        fs::create_dir_all(&root).with_context(|| format!("cache {}", root.display()))?;
        Ok(Self {
            root,
            lock: OnceCell::new(),
        })
    }

    /// From here on, until the cache is dropped, this run alone may add to it. Whoever did not find
    /// something looks again after this: another run may have just added it.
    pub(crate) fn lock(&self) -> Result<()> {
        if self.lock.get().is_some() {
            return Ok(());
        }
        let lock = File::create(self.root.join("lock"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            eprintln!("waiting for another run, which is building guests");
            flock(&lock, FlockOperation::LockExclusive)?;
        }
        self.lock.get_or_init(|| lock);
        self.remove_unfinished()
    }

    /// A folder that is kept between runs.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A folder for this run.
    pub(crate) fn scratch(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&self.root)?)
    }

    /// The folder that `build` made of exactly these `inputs`, now or in an earlier run. It is
    /// there whole or not at all.
    pub(crate) fn entry(
        &self,
        name: &str,
        inputs: &[&[u8]],
        build: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let path = self.root.join(format!("{name}-{}", key(inputs)));
        if path.exists() {
            return Ok(path);
        }
        self.lock()?;
        if !path.exists() {
            let folder = self.scratch()?;
            build(folder.path())?;
            fs::rename(folder.path(), &path)?;
        }
        Ok(path)
    }

    fn remove_unfinished(&self) -> Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn root() -> Result<PathBuf> {
    if let Some(root) = env::var_os("VIRTIO_BACKENDS_CACHE") {
        return Ok(PathBuf::from(root));
    }
    let caches = match env::var_os("XDG_CACHE_HOME") {
        Some(caches) => PathBuf::from(caches),
        None => PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(caches.join("virtio-backends"))
}

/// Each input goes in behind its length, so that moving a byte from one to the next changes the
/// key.
fn key(inputs: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update(input.len().to_le_bytes());
        hash.update(input);
    }
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
