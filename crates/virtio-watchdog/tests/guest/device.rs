// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A watchdog that does nothing but answer, as its test wants, and tell what it was asked.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use virtio_backend::testing::Server;
use virtio_backend::{Device, Events, Queue, Reply};

/// How long a guest may take to ask for something.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the driver did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It made a request, whose bytes these are. A plain ping has none.
    Asked(Vec<u8>),
    /// It reset the device, or went away.
    Reset,
}

/// How requests are answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// With these bytes.
    Bytes(Vec<u8>),
    /// OK, but for requests of this type, which get this status.
    Status(u8, u8),
    /// Not before the test says something else.
    Never,
}

impl Answer {
    fn to(&self, request: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::Status(kind, status) if request.first() == Some(kind) => Some(vec![*status]),
            Self::Status(..) => Some(OK.to_vec()),
            Self::Never => None,
        }
    }
}

/// What test and device share.
struct Shared {
    answer: Answer,
    held: Vec<Reply>,
    events: Option<Events>,
}

/// The device, as the core sees it.
pub(crate) struct Dummy {
    features: u64,
    config: Vec<u8>,
    heard: Sender<Heard>,
    shared: Arc<Mutex<Shared>>,
}

impl Device for Dummy {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests, Queue::Events]
    }

    fn max_request(&self) -> usize {
        16
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn config(&self) -> Vec<u8> {
        self.config.clone()
    }

    fn handle(&mut self, _queue: u16, request: &[u8], reply: Reply) {
        let mut shared = lock(&self.shared);
        match shared.answer.to(request) {
            Some(bytes) => reply.send(&bytes),
            None => shared.held.push(reply),
        }
        // Nobody listens once the test has ended.
        self.heard.send(Heard::Asked(request.to_vec())).ok();
    }

    fn events(&mut self, _queue: u16, events: Events) {
        lock(&self.shared).events = Some(events);
    }

    fn reset(&mut self) {
        lock(&self.shared).events = None;
        self.heard.send(Heard::Reset).ok();
    }
}

/// A device on its socket, and the test's hold on it.
pub(crate) struct Watchdog {
    server: Server<Dummy>,
    heard: Receiver<Heard>,
    shared: Arc<Mutex<Shared>>,
}

impl Watchdog {
    /// A device with these feature bits and this configuration space.
    pub(crate) fn new(features: u64, config: &[u8]) -> Self {
        let (heard, hears) = mpsc::channel();
        let shared = Arc::new(Mutex::new(Shared {
            answer: Answer::Bytes(OK.to_vec()),
            held: Vec::new(),
            events: None,
        }));
        let device = Dummy {
            features,
            config: config.to_vec(),
            heard,
            shared: shared.clone(),
        };
        Self {
            server: Server::new(|_| device),
            heard: hears,
            shared,
        }
    }

    /// Where front ends find it.
    pub(crate) fn socket(&self) -> PathBuf {
        self.server.socket()
    }

    /// Answers like this from now on, and with OK what has not been answered.
    pub(crate) fn answer(&self, answer: Answer) {
        let mut shared = lock(&self.shared);
        for reply in shared.held.drain(..) {
            reply.send(&OK);
        }
        shared.answer = answer;
    }

    /// Sends an event, for which the driver has lent a buffer.
    pub(crate) fn send(&self, event: &[u8]) -> Result<()> {
        let shared = lock(&self.shared);
        let events = shared.events.as_ref().context("no event queue")?;
        ensure!(events.send(event), "the event queue is full");
        Ok(())
    }

    /// Waits for what the driver does next.
    pub(crate) fn next(&self) -> Result<Heard> {
        self.heard
            .recv_timeout(PATIENCE)
            .context("the driver does nothing")
    }

    /// Waits for these requests.
    pub(crate) fn expect(&self, requests: &[&[u8]]) -> Result<()> {
        for &request in requests {
            self.expect_one(&Heard::Asked(request.to_vec()))?;
        }
        Ok(())
    }

    /// Waits for the device's reset.
    pub(crate) fn expect_reset(&self) -> Result<()> {
        self.expect_one(&Heard::Reset)
    }

    /// The driver has done nothing more by now.
    pub(crate) fn expect_nothing(&self) -> Result<()> {
        let heard: Vec<_> = self.heard.try_iter().collect();
        ensure!(heard.is_empty(), "the driver did {heard:?}");
        Ok(())
    }

    fn expect_one(&self, expected: &Heard) -> Result<()> {
        let next = self
            .next()
            .with_context(|| format!("{expected:?} should have come"))?;
        ensure!(
            next == *expected,
            "the driver did {next:?}, and not {expected:?}"
        );
        Ok(())
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// OK, running, 10 s of which 7.5 s are left.
pub(crate) const OK: [u8; 16] = [1, 1, 0, 0, 0x10, 0x27, 0, 0, 0, 0, 0, 0, 0x4c, 0x1d, 0, 0];
