// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is asked of the daemon after each offence of a driver.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use virtio_backend::testing::{Layout, Ring, Server, Used, Vm};
use virtio_backend::{Device, Reply};

use crate::common::{REQUESTS, echo, serve};

/// What becomes of the offence.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect {
    /// The chain at head 0 comes back with so many bytes written, and the ring goes on.
    Returned(u32),
    /// The ring stops, until the driver sets it up again.
    Stopped,
    /// The front end is told that it cannot be, and the session goes on.
    Refused,
}

/// A daemon with an offender, and with a neighbour that must not notice.
pub(crate) struct Trial<D: Device> {
    server: Server<D>,
    features: u64,
    /// The thread that works for the offender.
    worker: Arc<AtomicI32>,
    neighbour: Vm,
    _neighbours: Server<D>,
}

pub(crate) fn trial(features: u64) -> Trial<impl Device> {
    let worker = Arc::new(AtomicI32::new(0));
    let device = |worker: Arc<AtomicI32>| {
        serve(move |request: &[u8], reply: Reply| {
            worker.store(
                rustix::thread::gettid().as_raw_nonzero().get(),
                Ordering::Relaxed,
            );
            echo(request, reply);
        })
    };
    let ((server, _), (neighbours, _)) = (device(worker.clone()), device(Arc::default()));
    let neighbour = Vm::boot(&neighbours.socket(), features, &[64]).unwrap();
    Trial {
        server,
        features,
        worker,
        neighbour,
        _neighbours: neighbours,
    }
}

impl<D: Device> Trial<D> {
    /// Has a new guest commit `offence`.
    #[track_caller]
    pub(crate) fn run(
        &mut self,
        name: &str,
        expect: Expect,
        offence: impl FnOnce(&mut Vm) -> io::Result<()>,
    ) {
        let mut vm = Vm::boot(&self.server.socket(), self.features, &[64]).unwrap();
        assert!(works(&mut vm), "{name}: before");

        let committed = offence(&mut vm);

        let refused = matches!(expect, Expect::Refused);
        assert_eq!(committed.is_err(), refused, "{name}: {committed:?}");
        if let Expect::Returned(len) = expect {
            assert_eq!(
                vm.rings[REQUESTS].wait(),
                Some(Used { id: 0, len }),
                "{name}"
            );
        }
        self.nobody_suffers(name);
        if !refused {
            assert_eq!(vm.rings[REQUESTS].pop(), None, "{name}: more than once");
        }
        if let Expect::Stopped | Expect::Refused = expect {
            vm.stop().unwrap();
            vm.rings[REQUESTS] = Ring::new(&vm.memory, Layout::new(&vm.memory, 64));
            vm.start(&[0]).unwrap();
        }
        assert!(works(&mut vm), "{name}: after");
    }

    /// The neighbour's requests are answered, and the offender's worker is at rest.
    #[track_caller]
    fn nobody_suffers(&mut self, name: &str) {
        let (start, spent) = (Instant::now(), self.worker_time());
        while start.elapsed() < Duration::from_millis(20) {
            assert!(works(&mut self.neighbour), "{name}: the neighbour suffers");
        }
        let spent = self.worker_time().saturating_sub(spent);
        assert!(spent < start.elapsed() / 4, "{name}: spins");
    }

    /// How long the offender's worker has run. Nothing if it has ended.
    fn worker_time(&self) -> Duration {
        let worker = self.worker.load(Ordering::Relaxed);
        let statistics =
            fs::read_to_string(format!("/proc/self/task/{worker}/schedstat")).unwrap_or_default();
        let nanoseconds = statistics
            .split(' ')
            .next()
            .and_then(|first| first.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap_or(0))
    }
}

fn works(vm: &mut Vm) -> bool {
    vm.rings[REQUESTS].ask(&[b"hello"], &[8]).as_deref() == Some(b"!hello")
}
