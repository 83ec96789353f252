// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon in the test's own process.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

use crate::{Device, Guest, Watch};

/// One guest's device behind a socket, as a daemon serves it. Stops when dropped.
pub struct Server<D: Device> {
    guest: Arc<Guest<D>>,
    /// Ends when the guest is stopped.
    thread: Option<JoinHandle<()>>,
    directory: TempDir,
}

impl<D: Device> Server<D> {
    /// Serves the device that `make` makes, on a socket of its own.
    pub fn new(make: impl FnOnce(&Watch) -> D) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket(&directory)).unwrap();
        let watch = Watch::new().unwrap();
        let guest = Guest::new("guest", make(&watch), watch).unwrap();
        let serving = guest.clone();
        let thread = thread::Builder::new()
            .name("server".into())
            .spawn(move || serving.serve(&listener));
        Self {
            guest,
            thread: Some(thread.unwrap()),
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
        if let Some(thread) = self.thread.take() {
            // A panic of the server is the test's, unless that has one already.
            if let (Err(panic), false) = (thread.join(), thread::panicking()) {
                std::panic::resume_unwind(panic);
            }
        }
    }
}
