// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device whose behaviour is the test's, and that tells the test what happens to it.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use virtio_backend::testing::{LIMIT, Ring, Server, Vm};
use virtio_backend::{Device, Events, Queue, Reply, Stopped};

/// Queue 0: the driver asks.
pub(crate) const REQUESTS: usize = 0;
/// Queue 1: the driver lends buffers.
pub(crate) const EVENTS: usize = 1;

/// What happened to the device, except requests.
#[derive(Debug)]
pub(crate) enum Seen {
    Negotiated(u64),
    Events(Events),
    Lent,
    Stop(u16),
    Reset,
    Disconnected,
}

/// Leaves requests to a function of the test.
pub(crate) struct Scripted<F> {
    handle: F,
    seen: Sender<Seen>,
}

impl<F: FnMut(&[u8], Reply) + Send + 'static> Device for Scripted<F> {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests, Queue::Events]
    }

    fn max_request(&self) -> usize {
        4096
    }

    fn features(&self) -> u64 {
        0b101
    }

    fn negotiated(&mut self, features: u64) {
        self.tell(Seen::Negotiated(features));
    }

    fn config(&self) -> Vec<u8> {
        b"8 bytes.".to_vec()
    }

    fn handle(&mut self, _queue: u16, request: &[u8], reply: Reply) {
        (self.handle)(request, reply);
    }

    fn events(&mut self, _queue: u16, events: Events) {
        self.tell(Seen::Events(events));
    }

    fn lent(&mut self, queue: u16) {
        assert_eq!(usize::from(queue), EVENTS);
        self.tell(Seen::Lent);
    }

    fn stop(&mut self, queue: u16, _stopped: Stopped) {
        self.tell(Seen::Stop(queue));
    }

    fn reset(&mut self) {
        self.tell(Seen::Reset);
    }

    fn disconnected(&mut self) {
        self.tell(Seen::Disconnected);
        self.reset();
    }
}

impl<F> Scripted<F> {
    fn tell(&self, what: Seen) {
        // A test that does not ask is not told.
        drop(self.seen.send(what));
    }
}

/// A device that handles requests with `handle`.
pub(crate) fn scripted<F>(handle: F) -> (Scripted<F>, Receiver<Seen>) {
    let (seen, tell) = mpsc::channel();
    (Scripted { handle, seen }, tell)
}

/// Serves a device that handles requests with `handle`.
pub(crate) fn serve<F: FnMut(&[u8], Reply) + Send + 'static>(
    handle: F,
) -> (Server<Scripted<F>>, Receiver<Seen>) {
    let (device, tell) = scripted(handle);
    (Server::new(|_watch| device), tell)
}

/// Answers with the request, after a mark that tells an empty request from no answer.
pub(crate) fn echo(request: &[u8], reply: Reply) {
    reply.send(&[b"!", request].concat());
}

/// A device that hands its requests to the test.
pub(crate) fn hold() -> (impl FnMut(&[u8], Reply) + Send + 'static, Receiver<Reply>) {
    let (held, replies) = mpsc::channel();
    (move |_: &[u8], reply| held.send(reply).unwrap(), replies)
}

/// A driver that its own device keeps asking: each request that is answered is made again.
#[derive(Clone, Default)]
pub(crate) struct Endless(Arc<Mutex<Option<Ring>>>);

impl Endless {
    /// Handles the requests of such a driver.
    pub(crate) fn handle(self) -> impl FnMut(&[u8], Reply) + Send + 'static {
        move |request, reply| {
            echo(request, reply);
            let mut ring = self.0.lock().unwrap();
            let ring = ring.as_mut().unwrap();
            let used = ring.pop().unwrap();
            ring.push(used.id.try_into().unwrap());
        }
    }

    /// Makes the first request, with the ring of `vm`.
    pub(crate) fn begin(&self, vm: &mut Vm) {
        // Held until the ring is here: the device may be asked before.
        let mut place = self.0.lock().unwrap();
        let ring = place.insert(vm.rings.remove(REQUESTS));
        ring.submit(&vm.memory.chain(&[b"again"], &[8]));
    }
}

/// Waits until the device was reset. `false` if it is not.
pub(crate) fn was_reset(seen: &Receiver<Seen>) -> bool {
    std::iter::from_fn(|| seen.recv_timeout(LIMIT).ok()).any(|what| matches!(what, Seen::Reset))
}
