// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Threads for hardware that may take its time.
//!
//! A device that reaches a kernel's I²C adapter, a GPIO chip or a file waits for it, and user space
//! cannot ask for how long. Such a device does not run on a worker, which has other guests, but on a
//! thread of that hardware's, together with the devices of all guests that share it:
//!
//! ```text
//! worker ── what happens ──▶ queue of the guest ──┐  one of each guest's, in turn
//! worker ── what happens ──▶ queue of the guest ──┴──▶ thread of the hardware ── Reply ──▶ ring
//! ```
//!
//! 1. What happens to a guest's device arrives in order, one at a time. What the device watches is
//!    reported to its own thread: it comes after all that the worker has handed over before, and perhaps
//!    before a request that the worker has yet to find in the ring.
//! 2. Guests take turns. Each has one thing done in its turn, however much more it has.
//! 3. A reset forgets what the driver asked for and the device has not begun. What it has begun ends, and
//!    its reply does nothing.
//! 4. A device that panics is let go of, and its panic goes on at its guest's worker. The others do not
//!    notice.

mod jobs;

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use self::jobs::{Job, Jobs};
use crate::panic::{caught, let_go};
use crate::reactor::{Key, Reactor, Waker};
use crate::{Device, Events, Queue, Reply, Stopped, Token, Watch, lock};

/// Where a guest's number is in a key. The highest is the thread's own.
const LANE: u32 = 40;
const OWN: Key = (1 << (Key::BITS - LANE)) - 2;

/// After so many jobs the thread sees to what else is ready.
const JOBS: usize = 16;

/// A thread that works for all guests that share a piece of hardware.
///
/// Ends when the last [device](Offloaded) on it has: dropping that waits until all that it was asked
/// for is done.
pub struct Hardware {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    jobs: Mutex<Jobs>,
    reactor: Arc<Reactor>,
    /// There is something to do.
    news: Waker,
    /// There is no device any more.
    over: AtomicBool,
}

impl Hardware {
    /// Starts a thread of this name, which has nothing to do yet.
    ///
    /// # Errors
    /// When the process is out of file descriptors or threads.
    pub fn start(name: &str) -> io::Result<Arc<Self>> {
        let reactor = Reactor::new()?;
        let shared = Arc::new(Shared {
            jobs: Mutex::default(),
            news: reactor.waker(OWN << LANE),
            reactor,
            over: AtomicBool::new(false),
        });
        let works = Arc::clone(&shared);
        // Ends with the last device. A thread's name has no zeros, which a configuration file may have.
        let thread = thread::Builder::new()
            .name(name.replace('\0', ""))
            .spawn(move || works.work())?;
        Ok(Arc::new(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// A device that does on this thread what the one that `make` makes does, for the guest that `watch`
    /// is of: `make` gets another one, of this thread. Features and configuration space are those that
    /// the device has now.
    ///
    /// # Errors
    /// What `make` says.
    pub fn device<D: Device, E>(
        self: &Arc<Self>,
        watch: &Watch,
        make: impl FnOnce(&Watch) -> Result<D, E>,
    ) -> Result<Offloaded, E> {
        let lane = lock(&self.shared.jobs).open();
        let ours = watch.at(Arc::clone(&self.shared.reactor), (lane as Key) << LANE);
        let device = make(&ours).inspect_err(|_| {
            lock(&self.shared.jobs).close(lane);
        })?;
        let offloaded = Offloaded {
            device_type: device.device_type(),
            queues: device.queues(),
            queue_size: device.queue_size(),
            max_request: device.max_request(),
            features: device.features(),
            config: device.config(),
            hardware: Arc::clone(self),
            lane,
        };
        // Nobody else has this token: what the device watches is watched here.
        let panics = watch.waker(Token(0));
        lock(&self.shared.jobs).begin(lane, Box::new(device), panics);
        // It may have asked to be told of something, which has happened.
        self.shared.news.wake();
        Ok(offloaded)
    }
}

impl Drop for Hardware {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.shared.news.wake();
        if let Some(thread) = lock(&self.thread).take() {
            // It has panicked, which was said on standard error.
            thread.join().unwrap_or_default();
        }
    }
}

impl Shared {
    /// The thread.
    fn work(&self) {
        let mut ready = Vec::new();
        loop {
            // Asked before the jobs, of which there are no more once it is over.
            let over = self.over.load(Ordering::Acquire);
            let is_idle = lock(&self.jobs).is_idle();
            if over && is_idle {
                return;
            }
            self.reactor.wait(is_idle, &mut ready);
            for key in ready.drain(..) {
                let lane = usize::try_from(key >> LANE).unwrap_or(usize::MAX);
                lock(&self.jobs).add(lane, Job::Ready(Token::of(key)));
            }
            for _ in 0..JOBS {
                let next = lock(&self.jobs).next();
                let Some((lane, device, job)) = next else {
                    break;
                };
                self.run(lane, device, job);
            }
        }
    }

    fn run(&self, lane: usize, mut device: Box<dyn Device>, job: Job) {
        if matches!(job, Job::Drop) {
            // Letting hardware go may take its time, too. What a panic says is on standard error.
            drop(caught(move || drop(device)));
            let unheard = lock(&self.jobs).close(lane);
            // A reply that is dropped locks its ring.
            drop(unheard);
            return;
        }
        match caught(|| job.run(&mut *device)) {
            Ok(spare) => lock(&self.jobs).give_back(lane, device, spare),
            Err(panic) => {
                let_go(device);
                let tell = lock(&self.jobs).fail(lane, panic);
                if let Some(tell) = tell {
                    tell.wake();
                }
            }
        }
    }
}

/// A device on a thread of its [`Hardware`].
pub struct Offloaded {
    device_type: u32,
    queues: &'static [Queue],
    queue_size: u16,
    max_request: usize,
    features: u64,
    config: Vec<u8>,
    hardware: Arc<Hardware>,
    lane: usize,
}

impl Offloaded {
    fn push(&self, job: Job) {
        lock(&self.hardware.shared.jobs).add(self.lane, job);
        self.hardware.shared.news.wake();
    }

    fn forget(&self, job: Job) {
        let forgotten = lock(&self.hardware.shared.jobs).forget(self.lane, job);
        self.hardware.shared.news.wake();
        // A reply that is dropped locks its ring.
        drop(forgotten);
    }
}

impl Device for Offloaded {
    fn device_type(&self) -> u32 {
        self.device_type
    }

    fn queues(&self) -> &'static [Queue] {
        self.queues
    }

    fn queue_size(&self) -> u16 {
        self.queue_size
    }

    fn max_request(&self) -> usize {
        self.max_request
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn config(&self) -> Vec<u8> {
        self.config.clone()
    }

    fn connected(&mut self) {
        self.push(Job::Connected);
    }

    fn negotiated(&mut self, features: u64) {
        self.push(Job::Negotiated(features));
    }

    fn handle(&mut self, queue: u16, request: &[u8], reply: Reply) {
        let shared = &self.hardware.shared;
        lock(&shared.jobs).add_request(self.lane, queue, request, reply);
        shared.news.wake();
    }

    fn drained(&mut self, queue: u16) {
        self.push(Job::Drained(queue));
    }

    fn events(&mut self, queue: u16, events: Events) {
        self.push(Job::Events(queue, events));
    }

    fn lent(&mut self, queue: u16) {
        self.push(Job::Lent(queue));
    }

    /// The device has panicked: its panic goes on here, where it would have been without a thread of the
    /// hardware's.
    fn ready(&mut self, _token: Token) {
        let panic = lock(&self.hardware.shared.jobs).take_panic(self.lane);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn stop(&mut self, queue: u16, stopped: Stopped) {
        self.push(Job::Stop(queue, stopped));
    }

    fn reset(&mut self) {
        self.forget(Job::Reset);
    }

    fn disconnected(&mut self) {
        self.forget(Job::Disconnected);
    }
}

impl Drop for Offloaded {
    fn drop(&mut self) {
        let unheard = lock(&self.hardware.shared.jobs).end(self.lane);
        self.hardware.shared.news.wake();
        drop(unheard);
    }
}
