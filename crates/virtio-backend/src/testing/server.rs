// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon in the test's own process.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

use super::LIMIT;
use crate::vhost_user::survive;
use crate::{Device, Guest, Watch, lock};

/// One guest's device behind a socket, as a daemon serves it. Stops when dropped.
pub struct Server<D: Device> {
    guest: Arc<Guest<D>>,
    /// Ends when the guest is stopped.
    thread: Option<JoinHandle<()>>,
    /// Closes when the thread ends. There is no join with a limit.
    ended: Mutex<Receiver<()>>,
    directory: TempDir,
}

impl<D: Device> Server<D> {
    /// Serves the device that `make` makes, on a socket of its own.
    pub fn new(make: impl FnOnce(&Watch) -> D) -> Self {
        survive();
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket(&directory)).unwrap();
        let watch = Watch::new().unwrap();
        let guest = Guest::new("guest", make(&watch), watch).unwrap();
        let serving = guest.clone();
        let (running, ended) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("server".into())
            .spawn(move || {
                serving.serve(&listener);
                drop(running);
            })
            .unwrap();
        Self {
            guest,
            thread: Some(thread),
            ended: Mutex::new(ended),
            directory,
        }
    }

    /// Where a front end connects.
    pub fn socket(&self) -> PathBuf {
        socket(&self.directory)
    }
}

fn socket(directory: &TempDir) -> PathBuf {
    directory.path().join("socket")
}

impl<D: Device> Drop for Server<D> {
    fn drop(&mut self) {
        self.guest.stop();
        let ended = lock(&self.ended).recv_timeout(LIMIT) == Err(RecvTimeoutError::Disconnected);
        // A test that has failed already may have left the server in any state.
        if !thread::panicking() {
            assert!(ended, "the server does not stop");
            self.thread.take().unwrap().join().unwrap();
        }
    }
}
