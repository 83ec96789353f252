// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device that answers with what it was asked, and tells the test when it is stopped or reset.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use virtio_backend::testing::{LIMIT, Server};
use virtio_backend::{Device, Queue, Reply, Stopped};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Stop,
    Reset,
}

#[derive(Clone, Default)]
pub(crate) struct Counts {
    /// How often one of the devices was reset.
    pub(crate) resets: Arc<AtomicUsize>,
    /// How often that was when one of them was asked last.
    pub(crate) resets_before: Arc<AtomicUsize>,
}

pub(crate) struct Echo {
    seen: Sender<Seen>,
    counts: Counts,
}

impl Device for Echo {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests, Queue::Requests]
    }

    fn max_request(&self) -> usize {
        64
    }

    fn config(&self) -> Vec<u8> {
        b"8 bytes.".to_vec()
    }

    fn handle(&mut self, _queue: u16, request: &[u8], reply: Reply) {
        let resets = self.counts.resets.load(Ordering::Relaxed);
        self.counts.resets_before.store(resets, Ordering::Relaxed);
        reply.send(&[b"!", request].concat());
    }

    fn stop(&mut self, _queue: u16, _stopped: Stopped) {
        // A test that does not ask is not told.
        self.seen.send(Seen::Stop).ok();
    }

    fn reset(&mut self) {
        self.counts.resets.fetch_add(1, Ordering::Relaxed);
        self.seen.send(Seen::Reset).ok();
    }
}

pub(crate) fn echo() -> (Echo, Receiver<Seen>) {
    counting(&Counts::default())
}

/// A device that counts together with others.
pub(crate) fn counting(counts: &Counts) -> (Echo, Receiver<Seen>) {
    let (seen, tell) = mpsc::channel();
    let counts = counts.clone();
    (Echo { seen, counts }, tell)
}

/// Serves such a device for a guest that the log calls `name`.
pub(crate) fn serve(name: &str) -> (Server<Echo>, Receiver<Seen>) {
    let (device, seen) = echo();
    (Server::named(name, |_watch| device), seen)
}

/// How often the device was reset since the test asked last.
pub(crate) fn resets(seen: &Receiver<Seen>) -> usize {
    seen.try_iter().filter(|&what| what == Seen::Reset).count()
}

/// Waits until the device was reset. `false` if it is not.
pub(crate) fn was_reset(seen: &Receiver<Seen>) -> bool {
    std::iter::from_fn(|| seen.recv_timeout(LIMIT).ok()).any(|what| what == Seen::Reset)
}
