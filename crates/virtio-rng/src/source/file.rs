// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file or a device, such as `/dev/hwrng`, which is read ahead of the requests by a thread: neither can be polled.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use virtio_backend::{Reply, Timer, Token, Watch};

use super::Source;
use super::health::Health;

/// Reading stops when so many bytes are ahead of the requests: a slow source is not drained for nobody. As many as the
/// start-up test takes, since they have been read anyway.
const AHEAD: usize = 1024;

/// Longest read. `/dev/hwrng` returns when it has all that was asked for, and a TPM makes a few hundred bytes a second.
const CHUNK: usize = 256;

/// How long a source that ended or failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// A file or a device. Its health is tested, and it may block, end, fail and come back: meanwhile requests wait.
pub struct File {
    shared: Arc<Shared>,
}

impl File {
    /// Opens `path` and begins to read ahead, for the guest that the log calls `guest`. `watch` is that of its device.
    ///
    /// # Errors
    /// When `path` cannot be opened, or the process is out of file descriptors or threads.
    pub fn open(guest: &str, path: impl Into<PathBuf>, watch: &Watch) -> io::Result<Self> {
        let path = path.into();
        let file = open_file(&path)?;
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if kind.is_file() {
            let path = path.display();
            log::warn!("{guest}: source {path}: a regular file gives the same to all who read it");
        }
        let shared = Arc::new(Shared {
            ahead: Mutex::default(),
            changed: Condvar::new(),
            wake: watch.timer(Token(1))?,
        });
        let reader = Reader {
            guest: guest.to_owned(),
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
        Ok(Self { shared })
    }
}

impl Source for File {
    fn answer(&mut self, reply: Reply, length: usize) -> Result<usize, Reply> {
        let bytes = self.shared.take(length);
        if bytes.is_empty() {
            return Err(reply);
        }
        reply.send(&bytes);
        Ok(bytes.len())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.shared.ahead().closed = true;
        self.shared.changed.notify_one();
    }
}

/// What the device and the reader share.
struct Shared {
    ahead: Mutex<Ahead>,
    /// The reader waits for a change of `ahead`.
    changed: Condvar,
    /// The device waits for bytes: a timer that is due at once wakes its loop, and need not be emptied like an eventfd.
    wake: Timer,
}

/// What was read ahead.
#[derive(Default)]
struct Ahead {
    bytes: VecDeque<u8>,
    /// The device found nothing here.
    asked: bool,
    closed: bool,
}

impl Shared {
    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up to `length` bytes for the device, which is woken later if there are none.
    fn take(&self, length: usize) -> Vec<u8> {
        let mut ahead = self.ahead();
        let length = length.min(ahead.bytes.len());
        ahead.asked = length == 0;
        self.changed.notify_one();
        ahead.bytes.drain(..length).collect()
    }

    /// Puts `bytes` where the device finds them.
    fn put(&self, bytes: Vec<u8>) {
        let mut ahead = self.ahead();
        ahead.bytes.extend(bytes);
        if mem::take(&mut ahead.asked) {
            self.wake.arm(Duration::ZERO);
        }
    }

    /// Waits until more is wanted. `false` if nothing is ever going to be.
    fn wanted(&self) -> bool {
        let full = |ahead: &mut Ahead| ahead.bytes.len() >= AHEAD && !ahead.closed;
        let ahead = self.changed.wait_while(self.ahead(), full);
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
    guest: String,
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
                self.shared.ahead().bytes.clear();
                return Some(Trouble::Unhealthy(test));
            }
            self.tested.extend_from_slice(read);
            if self.health.started() {
                self.shared.put(mem::take(&mut self.tested));
                if self.trouble.take().is_some() {
                    let (guest, path) = (&self.guest, self.path.display());
                    log::info!("{guest}: source {path}: works again");
                }
            }
        }
        None
    }

    /// Says what the trouble is, once for each change.
    fn report(&mut self, trouble: Trouble) {
        let (guest, path) = (&self.guest, self.path.display());
        if self.trouble.as_ref().map(mem::discriminant) != Some(mem::discriminant(&trouble)) {
            match &trouble {
                Trouble::Silent(error) => log::warn!("{guest}: source {path}: {error}"),
                Trouble::Unhealthy(test) => {
                    log::error!("{guest}: source {path}: fails the {test} test");
                }
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
