// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a daemon that lives for years must not lose. Alone in its process, whose threads,
//! descriptors and memory it counts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::fs;
use std::iter;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use virtio_backend::testing::{
    FrontEnd, LIMIT, Layout, Memory, Ring, Server, Vm, Wild, feature, protocol, raise_limit,
};
use virtio_backend::{Device, Queue, Reply};

/// Each test counts what the whole process has.
static ALONE: Mutex<()> = Mutex::new(());

/// How often to do what CI does `short` times: `cargo xtask soak` says how much more.
fn times(short: usize) -> usize {
    let times = env::var("VIRTIO_BACKENDS_TIMES");
    short * times.map_or(1, |times| times.parse().unwrap())
}

struct Echo;

impl Device for Echo {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests]
    }

    fn max_request(&self) -> usize {
        64
    }

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
fn ten_thousand_front_ends_or_more_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap();
    let server = Server::new(|_watch| Echo);
    let memory = Memory::new(&[(0, 0x10_0000)]);
    let mut ring = Ring::new(&memory, Layout::new(&memory, 64));
    // The allocator's own store fills up first.
    for _ in 0..1000 {
        cycle(&server, &memory, &mut ring, || ());
    }
    let (held, pages) = cycle(&server, &memory, &mut ring, || (Held::now(), resident()));

    for _ in 0..times(10_000) - 1000 {
        cycle(&server, &memory, &mut ring, || ());
    }

    let (held_after, pages_after) = cycle(&server, &memory, &mut ring, || {
        (Held::after(&held), resident())
    });
    assert!(held_after.is_within(&held), "{held:?} {held_after:?}");
    // A hundred bytes for each of ten thousand front ends would be 220 pages.
    assert!(
        pages_after < pages + 220,
        "resident memory grew from {pages} to {pages_after} pages"
    );
}

#[test]
fn front_ends_that_say_nothing_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap();
    let server = Server::new(|_watch| Echo);
    let memory = Memory::new(&[(0, 0x10_0000)]);
    let mut ring = Ring::new(&memory, Layout::new(&memory, 64));
    cycle(&server, &memory, &mut ring, || ());
    let held = cycle(&server, &memory, &mut ring, Held::now);

    // The second waits for the first, and the one that speaks waits for both.
    let silent = [(); 2].map(|()| UnixStream::connect(server.socket()).unwrap());
    let held_after = cycle(&server, &memory, &mut ring, || {
        drop(silent);
        Held::after(&held)
    });

    assert!(held_after.is_within(&held), "{held:?} {held_after:?}");
}

/// How many guests there are, and how many of them do what they like.
const GUESTS: usize = 100;
const WILD: usize = 10;

/// What each of those does.
const ACTS: usize = 200;

#[test]
fn a_storm_disturbs_no_quiet_guest_and_leaves_nothing_behind() {
    let _alone = ALONE.lock().unwrap();
    raise_limit();
    let mut server = Server::new(|_watch| Echo);
    let first = server.socket();
    let others = (1..GUESTS).map(|number| server.beside(&number.to_string(), |_watch| Echo));
    let sockets: Vec<_> = iter::once(first).chain(others).collect();
    let (wild, quiet) = sockets.split_at(WILD);
    let boot = |socket| Vm::boot(socket, feature::ALL, &[64]).unwrap();
    let mut quiet: Vec<_> = quiet.iter().map(|socket| boot(socket)).collect();
    let held = Held::now();
    let ask = |vm: &mut Vm| {
        let answer = vm.rings[0].ask(&[b"hello"], &[8]);
        assert_eq!(answer.as_deref(), Some(&b"hello"[..]));
    };

    thread::scope(|scope| {
        let storm = |(seed, socket): (u64, &_)| {
            let mut wild = Wild::new(Clone::clone(socket), seed);
            scope.spawn(move || (0..times(ACTS)).for_each(|_| wild.act()))
        };
        let storm: Vec<_> = (1..).zip(wild).map(storm).collect();
        while !storm.iter().all(ScopedJoinHandle::is_finished) {
            quiet.iter_mut().for_each(ask);
        }
    });

    quiet.iter_mut().for_each(ask);
    for vm in &quiet {
        assert!(vm.front_end.features().is_ok(), "disconnected");
    }
    let held_after = Held::after(&held);
    assert!(held_after.is_within(&held), "{held:?} {held_after:?}");
}
