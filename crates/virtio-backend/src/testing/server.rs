// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon in the test's own process.

use std::marker::PhantomData;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::LIMIT;
use crate::vhost_user::{Service, Settings, Workers, survive};
use crate::{Device, Watch};

/// One guest's device behind a socket, as a daemon serves it. Stops when dropped.
pub struct Server<D> {
    workers: Option<Workers>,
    directory: TempDir,
    device: PhantomData<fn(D)>,
}

impl<D: Device> Server<D> {
    /// Serves the device that `make` makes, on a socket of its own.
    pub fn new(make: impl FnOnce(&Watch) -> D) -> Self {
        Self::named("guest", make)
    }

    /// The same for a guest that the log calls `name`.
    pub fn named(name: &str, make: impl FnOnce(&Watch) -> D) -> Self {
        Self::start(name, Service::default(), make)
    }

    /// The same, and a second front end waits for the first to go.
    pub fn waiting(name: &str, make: impl FnOnce(&Watch) -> D) -> Self {
        let service = Service {
            wait: true,
            ..Service::default()
        };
        Self::start(name, service, make)
    }

    /// Serves a device whose driver's next request is looked for without a kick, for so long.
    pub fn polling(poll: Duration, make: impl FnOnce(&Watch) -> D) -> Self {
        let service = Service {
            poll,
            ..Service::default()
        };
        Self::start("guest", service, make)
    }

    /// Offers `VIRTIO_F_ACCESS_PLATFORM`.
    pub fn on_a_platform(make: impl FnOnce(&Watch) -> D) -> Self {
        let service = Service {
            access_platform: true,
            ..Service::default()
        };
        Self::start("guest", service, make)
    }

    fn start(name: &str, service: Service, make: impl FnOnce(&Watch) -> D) -> Self {
        survive();
        let directory = tempfile::tempdir().unwrap();
        let mut workers = Workers::start(1).unwrap();
        serve(&mut workers, name, service, &socket(&directory), make);
        Self {
            workers: Some(workers),
            directory,
            device: PhantomData,
        }
    }

    /// Serves one more guest on the same worker, which the log calls `name`. Returns where its front end
    /// connects.
    pub fn beside<E: Device>(&mut self, name: &str, make: impl FnOnce(&Watch) -> E) -> PathBuf {
        let socket = self.directory.path().join(name);
        serve(
            self.workers.as_mut().unwrap(),
            name,
            Service::default(),
            &socket,
            make,
        );
        socket
    }

    /// Where a front end connects.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }
}

fn serve<D: Device>(
    workers: &mut Workers,
    name: &str,
    service: Service,
    socket: &Path,
    make: impl FnOnce(&Watch) -> D,
) {
    let listener = UnixListener::bind(socket).unwrap();
    let place = workers.place().unwrap();
    let settings = Settings {
        name: name.into(),
        device: Box::new(make(&place.watch)),
        watch: place.watch.clone(),
        listener,
        service,
    };
    workers.serve(&place, settings);
}

fn socket(directory: &TempDir) -> PathBuf {
    directory.path().join("socket")
}

impl<D> Drop for Server<D> {
    fn drop(&mut self) {
        let ended = self.workers.take().unwrap().stop(LIMIT);
        // A test that has failed already may have left the server in any state.
        assert!(ended || thread::panicking(), "the server does not stop");
    }
}
