// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is built once and kept, outside the checkout.

use std::cell::OnceCell;
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What is being built, until it gets its real name. A run that was killed leaves one of these.
const UNFINISHED: &str = "unfinished-";

/// The file that is locked.
const LOCK: &str = "lock";

/// What [`Cache::folder`] is asked for. What is built has a key behind its name.
const FOLDERS: [&str; 3] = ["apt", "logs", "packages"];

/// Of a key's hash, in bytes.
const KEY_LENGTH: usize = 8;

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
        let lock = loop {
            fs::create_dir_all(&self.root)?;
            let path = self.root.join(LOCK);
            let lock = File::create(&path)?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                eprintln!("waiting for another run, which is building guests");
                flock(&lock, FlockOperation::LockExclusive)?;
            }
            // `clean` may have removed it meanwhile, and another run made a new one.
            let inode = lock.metadata()?.ino();
            if fs::metadata(&path).is_ok_and(|now| now.ino() == inode) {
                break lock;
            }
        };
        self.lock.get_or_init(|| lock);
        self.remove_unfinished()
    }

    /// A folder that is kept between runs, one of [`FOLDERS`] or in it.
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

    /// Whether there is the folder that [`entry`](Self::entry) would build.
    pub(crate) fn has(&self, name: &str, inputs: &[&[u8]]) -> bool {
        self.root.join(format!("{name}-{}", key(inputs))).exists()
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

/// Removes all that is kept, and returns its names and sizes in bytes.
///
/// # Errors
///
/// Another run is adding to it.
pub fn clean() -> Result<Vec<(PathBuf, u64)>> {
    clean_in(&root()?)
}

fn clean_in(root: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut removed = Vec::new();
    if !root.exists() {
        return Ok(removed);
    }
    let lock = File::create(root.join(LOCK))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("another run is adding to {}", root.display()))?;
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if is_ours(&path) {
            let size = size(&path)?;
            fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
            removed.push((path, size));
        }
    }
    fs::remove_file(root.join(LOCK))?;
    // Not if something else is in it.
    fs::remove_dir(root).ok();
    removed.sort();
    Ok(removed)
}

/// What other programs put into that folder stays.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let has_key = name.rsplit_once('-').is_some_and(|(_, key)| {
        key.len() == 2 * KEY_LENGTH && key.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    path.is_dir() && (FOLDERS.contains(&&*name) || name.starts_with(UNFINISHED) || has_key)
}

fn size(path: &Path) -> Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    let mut size = metadata.len();
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            size += self::size(&entry?.path())?;
        }
    }
    Ok(size)
}

/// Where it is.
pub fn root() -> Result<PathBuf> {
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
        .take(KEY_LENGTH)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "kernel-um-0123456789abcdef";

    fn cache() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("cache");
        for made in [KEPT, "apt/bookworm-amd64", "logs", "unfinished-x"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        fs::write(root.join(KEPT).join("vmlinuz"), [0; 100_000]).unwrap();
        (folder, root)
    }

    #[test]
    fn clean_removes_all_that_is_kept() {
        let (_folder, root) = cache();
        let removed = clean_in(&root).unwrap();
        assert!(!root.exists());
        assert_eq!(removed.len(), 4);
        let kept = removed.iter().find(|(path, _)| path.ends_with(KEPT));
        assert!(kept.unwrap().1 >= 100_000);
        assert_eq!(clean_in(&root).unwrap(), []);
    }

    #[test]
    fn clean_leaves_what_others_put_there() {
        let (_folder, root) = cache();
        let notes = root.join("notes-of-mine");
        fs::create_dir(&notes).unwrap();
        clean_in(&root).unwrap();
        let left: Vec<_> = fs::read_dir(&root)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        assert_eq!(left, [notes]);
    }

    #[test]
    fn clean_refuses_while_a_run_adds() {
        let (_folder, root) = cache();
        let run = Cache {
            root: root.clone(),
            lock: OnceCell::new(),
        };
        run.lock().unwrap();
        let error = clean_in(&root).unwrap_err();
        assert!(error.to_string().contains("another run"), "{error}");
        assert!(root.join(KEPT).exists());
        drop(run);
        clean_in(&root).unwrap();
    }
}
