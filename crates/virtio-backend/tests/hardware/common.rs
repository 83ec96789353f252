// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device that tells the test what it hears, and that the test can hold while it works.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use virtio_backend::testing::{Answer, LIMIT, reply};
use virtio_backend::{Device, Events, Hardware, Offloaded, Queue, Reply, Stopped, Token, Watch};

/// Its handling lasts until the test says so.
pub(crate) const HOLD: &[u8] = b"hold";
/// Its handling panics.
pub(crate) const PANIC: &[u8] = b"panic";

/// Tells what it hears, each time behind its guest's name, and answers each request with it.
pub(crate) struct Told {
    guest: &'static str,
    tells: Sender<String>,
    go_on: Receiver<()>,
}

impl Told {
    pub(crate) fn tell(&self, what: &str) {
        // A test that does not ask is not told.
        drop(self.tells.send(format!("{} {what}", self.guest)));
    }
}

impl Device for Told {
    fn device_type(&self) -> u32 {
        7
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests, Queue::Events]
    }

    fn max_request(&self) -> usize {
        64
    }

    fn connected(&mut self) {
        self.tell("connected");
    }

    fn negotiated(&mut self, features: u64) {
        self.tell(&format!("negotiated {features}"));
    }

    fn handle(&mut self, queue: u16, request: &[u8], reply: Reply) {
        let text = String::from_utf8(request.to_vec()).unwrap();
        self.tell(&format!("{text} on {queue}"));
        assert_ne!(request, PANIC, "as the test wants it");
        if request == HOLD {
            self.go_on.recv_timeout(LIMIT).unwrap();
        }
        reply.send(request);
    }

    fn drained(&mut self, queue: u16) {
        self.tell(&format!("drained {queue}"));
    }

    fn events(&mut self, queue: u16, _events: Events) {
        self.tell(&format!("events {queue}"));
    }

    fn lent(&mut self, queue: u16) {
        self.tell(&format!("lent {queue}"));
    }

    fn ready(&mut self, Token(token): Token) {
        self.tell(&format!("ready {token}"));
    }

    fn stop(&mut self, queue: u16, _stopped: Stopped) {
        self.tell(&format!("stop {queue}"));
    }

    fn reset(&mut self) {
        self.tell("reset");
    }

    fn disconnected(&mut self) {
        self.tell("disconnected");
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.tell("dropped");
    }
}

/// A thread, and what the devices on it tell.
pub(crate) struct Bench {
    pub(crate) hardware: Arc<Hardware>,
    tells: Sender<String>,
    told: Receiver<String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (tells, told) = mpsc::channel();
        Self {
            hardware: Hardware::start("bench").unwrap(),
            tells,
            told,
        }
    }

    /// A device of this guest's, and what has it go on.
    pub(crate) fn guest(&self, guest: &'static str) -> (Offloaded, Sender<()>) {
        self.guest_at(&Watch::new().unwrap(), guest)
    }

    /// The same for a guest whose worker has this watch.
    pub(crate) fn guest_at(&self, watch: &Watch, guest: &'static str) -> (Offloaded, Sender<()>) {
        let (says, go_on) = mpsc::channel();
        let told = self.told(guest, go_on);
        let device = self.hardware.device(watch, |_| Ok::<_, Infallible>(told));
        (device.unwrap(), says)
    }

    pub(crate) fn told(&self, guest: &'static str, go_on: Receiver<()>) -> Told {
        Told {
            guest,
            tells: self.tells.clone(),
            go_on,
        }
    }

    /// What is told next.
    pub(crate) fn next(&self) -> String {
        self.told.recv_timeout(LIMIT).unwrap()
    }

    /// The next so many.
    pub(crate) fn next_of(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next()).collect()
    }

    /// What was told, up to now.
    pub(crate) fn now(&self) -> Vec<String> {
        self.told.try_iter().collect()
    }
}

/// The driver makes a request.
pub(crate) fn ask(device: &mut impl Device, request: &[u8]) -> Answer {
    let (reply, answer) = reply(64);
    device.handle(0, request, reply);
    answer
}
