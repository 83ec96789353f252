// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file or a device, such as `/dev/hwrng`, which is read ahead of the requests by a thread: neither can be polled.
//!
//! Guests share the file, its thread and its health test.

use std::fs::Metadata;
use std::io::{self, Read};
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use virtio_backend::{Reply, Token, Waker, Watch};

use super::Source;
use super::ahead::{Ahead, CHUNK};
use super::health::Health;

/// How long a source that ended or failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// A file or a device that guests share. Its health is tested, and it may block, end, fail and come back: meanwhile
/// requests wait.
///
/// Its thread ends when this and each guest's [source](Self::source) are dropped.
pub struct File {
    shared: Arc<Shared>,
    id: Id,
}

/// What tells a file from others, by whatever path: its file system and its inode.
type Id = (u64, u64);

impl File {
    /// Opens `path`, and begins to read ahead.
    ///
    /// # Errors
    /// When `path` cannot be opened, or the process is out of file descriptors or threads.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Arc<Self>> {
        let path = path.into();
        let file = open_file(&path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if metadata.is_file() {
            let path = path.display();
            log::warn!("source {path}: a regular file gives the same each time that it is opened");
        }
        let shared = Arc::new(Shared::default());
        let reader = Reader {
            path,
            shared: Arc::clone(&shared),
            health: Health::default(),
            tested: Vec::new(),
            trouble: None,
        };
        // Ends when the `File` is dropped, or when the read returns that it is in then: nothing interrupts that.
        thread::Builder::new()
            .name("rng source".into())
            .spawn(move || reader.run(file))?;
        let id = id(&metadata);
        Ok(Arc::new(Self { shared, id }))
    }

    /// Whether `path` leads to the file that was opened.
    pub fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| id(&metadata) == self.id)
    }

    /// The source of one more guest. `watch` is that of its device.
    pub fn source(self: &Arc<Self>, watch: &Watch) -> impl Source + use<> {
        Share {
            file: Arc::clone(self),
            waker: Arc::new(watch.waker(Token(1))),
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.shared.ahead().closed = true;
        self.shared.changed.notify_one();
    }
}

fn id(metadata: &Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

/// What one guest has of a file.
struct Share {
    file: Arc<File>,
    /// The device waits for bytes. Tells the guest from others.
    waker: Arc<Waker>,
}

impl Source for Share {
    fn answer(&mut self, reply: Reply, length: usize) -> Result<(), Reply> {
        let bytes = self.file.shared.ahead().ask(&self.waker, length);
        self.file.shared.changed.notify_one();
        match bytes {
            // The lock is let go: other guests do not wait for this one's memory.
            Some(bytes) => {
                reply.send(&bytes);
                Ok(())
            }
            None => Err(reply),
        }
    }

    fn forget(&mut self) {
        self.file.shared.ahead().forget(&self.waker);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.forget();
    }
}

/// What the guests and the reader share.
#[derive(Default)]
struct Shared {
    ahead: Mutex<Ahead>,
    /// The reader waits for a change of `ahead`.
    changed: Condvar,
}

impl Shared {
    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until more is wanted. `false` if nothing is ever going to be.
    fn wanted(&self) -> bool {
        let rests = |ahead: &mut Ahead| !ahead.is_wanted() && !ahead.closed;
        let ahead = self.changed.wait_while(self.ahead(), rests);
        !ahead.unwrap_or_else(PoisonError::into_inner).closed
    }

    /// Waits before the source is tried again.
    fn pause(&self) {
        let open = |ahead: &mut Ahead| !ahead.closed;
        drop(self.changed.wait_timeout_while(self.ahead(), RETRY, open));
    }
}

/// Why a source gives nothing.
enum Trouble {
    /// It ended, or cannot be read.
    Silent(io::Error),
    /// It failed this health test.
    Unhealthy(&'static str),
}

/// The thread that reads ahead.
struct Reader {
    path: PathBuf,
    shared: Arc<Shared>,
    health: Health,
    /// Passed the test, and waits for the start-up test to be over.
    tested: Vec<u8>,
    /// What was reported and is not over yet.
    trouble: Option<Trouble>,
}

impl Reader {
    fn run(mut self, mut file: fs::File) {
        while let Some(trouble) = self.read(&mut file) {
            self.report(trouble);
            self.shared.pause();
            // A regular file may grow; read from the beginning it would repeat what was handed out.
            if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                // What cannot be opened stays as it is, and in trouble. The old file is closed last: a writer of a FIFO
                // never finds it without a reader.
                file = open_file(&self.path).unwrap_or(file);
            }
        }
    }

    /// Reads ahead until there is trouble, or nobody left to read for.
    fn read(&mut self, file: &mut fs::File) -> Option<Trouble> {
        let mut chunk = [0; CHUNK];
        while self.shared.wanted() {
            let read = match file.read(&mut chunk) {
                Ok(0) => return Some(Trouble::Silent(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => chunk.get(..length)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Some(Trouble::Silent(error)),
            };
            if let Err(test) = self.health.test(read) {
                self.health = Health::default();
                self.tested.clear();
                self.shared.ahead().discard();
                return Some(Trouble::Unhealthy(test));
            }
            self.tested.extend_from_slice(read);
            if self.health.started() {
                self.shared.ahead().put(self.tested.drain(..));
                if self.trouble.take().is_some() {
                    log::info!("source {}: works again", self.path.display());
                }
            }
        }
        None
    }

    /// Says what the trouble is, once for each change.
    fn report(&mut self, trouble: Trouble) {
        let path = self.path.display();
        if self.trouble.as_ref().map(mem::discriminant) != Some(mem::discriminant(&trouble)) {
            match &trouble {
                Trouble::Silent(error) => log::warn!("source {path}: {error}"),
                Trouble::Unhealthy(test) => log::error!("source {path}: fails the {test} test"),
            }
        }
        self.trouble = Some(trouble);
    }
}

/// Opens for reads that wait, but without waiting for the writer of a FIFO or the carrier of a serial line.
fn open_file(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = open(path, flags, Mode::empty())?;
    fcntl_setfl(&file, OFlags::empty())?;
    Ok(file.into())
}
