// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a daemon that lives for years must not lose. Alone in its process, whose threads,
//! descriptors and memory it counts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use virtio_backend::testing::{FrontEnd, LIMIT, Layout, Memory, Ring, Server, feature, protocol};
use virtio_backend::{Device, Queue, Reply};

struct Echo;

impl Device for Echo {
    const QUEUES: &'static [Queue] = &[Queue::Requests];
    const MAX_REQUEST: usize = 64;

    fn handle(&mut self, _queue: u16, request: &[u8], reply: Reply) {
        reply.send(request);
    }

    fn reset(&mut self) {}
}

#[derive(Debug)]
struct Held {
    threads: usize,
    descriptors: usize,
}

impl Held {
    fn now() -> Self {
        let count = |directory| fs::read_dir(directory).unwrap().count();
        Self {
            threads: count("/proc/self/task"),
            descriptors: count("/proc/self/fd"),
        }
    }

    /// What is held now, or once it is no more than `before`: a thread that was joined is still
    /// there for a moment.
    fn after(before: &Self) -> Self {
        let end = Instant::now() + LIMIT;
        loop {
            let now = Self::now();
            if now.is_within(before) || Instant::now() > end {
                return now;
            }
            thread::yield_now();
        }
    }

    fn is_within(&self, before: &Self) -> bool {
        self.threads <= before.threads && self.descriptors <= before.descriptors
    }
}

/// Resident memory in pages.
fn resident() -> usize {
    let statistics = fs::read_to_string("/proc/self/statm").unwrap();
    statistics.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Connects, makes a request, and lets `look` look before it disconnects.
fn cycle<T>(
    server: &Server<Echo>,
    memory: &Arc<Memory>,
    ring: &mut Ring,
    look: impl FnOnce() -> T,
) -> T {
    ring.reset();
    ring.event_idx = true;
    let front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();
    front_end.set_features(feature::ALL).unwrap();
    front_end.set_memory(memory).unwrap();
    front_end.set_up(0, ring, 0).unwrap();
    front_end.enable(0).unwrap();
    assert_eq!(ring.ask(&[b"hello"], &[8]).as_deref(), Some(&b"hello"[..]));
    look()
}

#[test]
fn ten_thousand_front_ends_leave_nothing_behind() {
    let server = Server::new(|_watch| Echo);
    let memory = Memory::new(&[(0, 0x10_0000)]);
    let mut ring = Ring::new(&memory, Layout::new(&memory, 64));
    // The allocator's own store fills up first.
    for _ in 0..1000 {
        cycle(&server, &memory, &mut ring, || ());
    }
    let (held, pages) = cycle(&server, &memory, &mut ring, || (Held::now(), resident()));

    for _ in 0..9000 {
        cycle(&server, &memory, &mut ring, || ());
    }

    let (held_after, pages_after) = cycle(&server, &memory, &mut ring, || {
        (Held::after(&held), resident())
    });
    assert!(held_after.is_within(&held), "{held:?} {held_after:?}");
    // A hundred bytes for each front end would be 220 pages.
    assert!(
        pages_after < pages + 220,
        "resident memory grew from {pages} to {pages_after} pages"
    );
}
