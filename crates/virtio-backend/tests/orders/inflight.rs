// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon that ends while it has requests, and one that takes them up (vhost-user, "Inflight I/O
//! tracking"): cloud-hypervisor's order.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, Receiver, Sender};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use virtio_backend::testing::{Descriptor, LIMIT, Server, feature};
use virtio_backend::{Device, Queue, Reply, Stopped};

use crate::machine::Machine;
use crate::wire::{
    GET_INFLIGHT_FD, GET_PROTOCOL_FEATURES, SET_FEATURES, SET_INFLIGHT_FD, SET_OWNER,
    SET_PROTOCOL_FEATURES, Wire, longs, message,
};

const REPLY_ACK: u64 = 1 << 3;
const INFLIGHT_SHMFD: u64 = 1 << 12;
const GET_VRING_BASE_INFLIGHT: u64 = 1 << 20;

const FEATURES: u64 = feature::PROTOCOL_FEATURES | feature::VERSION_1;

/// Entries of the queue, and bytes of a queue's part: 16, and 16 for each.
const ENTRIES: u16 = 16;
const PART: u64 = 16 + 16 * ENTRIES as u64;
/// At multiples of 64 bytes.
const SIZE: u64 = PART.next_multiple_of(64);

/// Hands what it is asked to the test, and never says that it has stopped.
struct Held {
    asked: Sender<(Vec<u8>, Reply)>,
    stopped: Vec<Stopped>,
}

impl Device for Held {
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
        self.asked.send((request.to_vec(), reply)).ok();
    }

    fn stop(&mut self, _queue: u16, stopped: Stopped) {
        self.stopped.push(stopped);
    }

    fn reset(&mut self) {}
}

/// A daemon, and its front end.
struct Daemon {
    _server: Server<Held>,
    asked: Receiver<(Vec<u8>, Reply)>,
    wire: Wire,
}

impl Daemon {
    fn start() -> Self {
        let (asked, what) = mpsc::channel();
        let server = Server::new(|_watch| Held {
            asked,
            stopped: Vec::new(),
        });
        let mut wire = Wire::connect(&server.socket());
        wire.tell(SET_OWNER, &[], &[]);
        let features = REPLY_ACK | INFLIGHT_SHMFD | GET_VRING_BASE_INFLIGHT;
        let offered = wire.number(GET_PROTOCOL_FEATURES);
        assert_eq!(offered & features, features);
        wire.tell(SET_PROTOCOL_FEATURES, &longs(&[features]), &[]);
        wire.asks = true;
        wire.tell(SET_FEATURES, &longs(&[FEATURES]), &[]);
        Self {
            _server: server,
            asked: what,
            wire,
        }
    }

    /// A new area.
    fn area(&self) -> File {
        let ask = message(GET_INFLIGHT_FD, 0, &extent(0, 1, ENTRIES));
        self.wire.send(&ask, &[]);
        let (answer, file) = self.wire.answer_with_file(GET_INFLIGHT_FD);
        assert_eq!(answer, extent(SIZE, 1, ENTRIES));
        file.unwrap().into()
    }

    fn set_area(&self, area: &File) {
        let extent = extent(SIZE, 1, ENTRIES);
        self.wire.tell(SET_INFLIGHT_FD, &extent, &[area.as_fd()]);
    }

    fn run(&self, machine: &Machine, base: u32) {
        let (queue, wire) = (&machine.queues[0], &self.wire);
        machine.set_mem_table(wire);
        queue.set_num(wire);
        queue.set_addr(wire);
        queue.set_base(wire, base);
        queue.set_call(wire);
        queue.set_kick(wire);
        queue.enable(wire, 1);
    }

    /// What the device is asked next, and whether it was asked before.
    fn asked(&self) -> (Vec<u8>, bool, Reply) {
        let (request, reply) = self.asked.recv_timeout(LIMIT).unwrap();
        let is_repeated = reply.is_repeated();
        (request, is_repeated, reply)
    }
}

/// `VhostUserInflight`, with C's padding.
fn extent(size: u64, queues: u16, entries: u16) -> Vec<u8> {
    let shorts = [queues, entries, 0, 0].map(u16::to_ne_bytes).concat();
    [longs(&[size, 0]), shorts].concat()
}

fn ask(machine: &mut Machine, request: &[u8]) -> Vec<Descriptor> {
    let chain = machine.memory.chain(&[request], &[8]);
    machine.queues[0].submit(&chain);
    chain
}

fn word(area: &File, at: u64) -> u16 {
    let mut bytes = [0; 2];
    area.read_exact_at(&mut bytes, at).unwrap();
    u16::from_ne_bytes(bytes)
}

/// The heads that the area says are in flight.
fn heads(area: &File) -> Vec<u16> {
    let is_taken = |head: &u16| word(area, 16 + 16 * u64::from(*head)) & 0xff == 1;
    (0..ENTRIES).filter(is_taken).collect()
}

#[test]
fn what_was_in_work_when_a_daemon_ended_is_done_by_the_next_in_its_order() {
    let mut machine = Machine::new(&[ENTRIES]);
    let first = Daemon::start();
    let area = first.area();
    first.set_area(&area);
    first.run(&machine, 0);
    for request in [b"one", b"two", b"tre"] {
        ask(&mut machine, request);
    }
    let replies: Vec<_> = (0..3).map(|_| first.asked()).collect();
    assert!(replies.iter().all(|&(_, is_repeated, _)| !is_repeated));
    assert_eq!([word(&area, 8), word(&area, 10)], [1, ENTRIES]);
    assert_eq!(heads(&area).len(), 3);
    let mut replies = replies.into_iter().map(|(_, _, reply)| reply);
    let one = replies.next().unwrap();
    replies.next().unwrap().send(b"2");
    let two = machine.queues[0].wait().unwrap();
    assert_eq!(two.len, 1);
    assert_eq!(
        [u32::from(word(&area, 12)), word(&area, 14).into()],
        [two.id, 1]
    );
    assert_eq!(heads(&area).len(), 2);
    drop(first);
    // Of a daemon that is no more.
    drop((one, replies));
    // While there is none.
    ask(&mut machine, b"for");

    let second = Daemon::start();
    second.set_area(&area);
    // cloud-hypervisor does not know where the daemon was: it says how far the driver is.
    second.run(&machine, 4);

    let mut answer = |request: &[u8], repeated| {
        let (asked, is_repeated, reply) = second.asked();
        assert_eq!((&asked[..], is_repeated), (request, repeated));
        reply.send(b"yes");
        machine.queues[0].wait().unwrap();
    };
    answer(b"one", true);
    answer(b"tre", true);
    answer(b"for", false);
    assert!(heads(&area).is_empty());
    assert_eq!(word(&area, 14), 4);
    ask(&mut machine, b"fiv");
    assert_eq!(second.asked().0, b"fiv");
}

#[test]
fn what_was_returned_just_before_a_daemon_ended_is_not_done_again() {
    let mut machine = Machine::new(&[ENTRIES]);
    let first = Daemon::start();
    let area = first.area();
    first.set_area(&area);
    first.run(&machine, 0);
    ask(&mut machine, b"one");
    ask(&mut machine, b"two");
    let [one, two] = [first.asked(), first.asked()];
    one.2.send(b"1");
    let one = machine.queues[0].wait().unwrap();
    drop(first);
    drop(two);
    // As if it had ended between the used ring's index and what the area says of it.
    let at = 16 + 16 * u64::from(one.id);
    area.write_all_at(&[1], at).unwrap();
    area.write_all_at(&0_u16.to_ne_bytes(), 14).unwrap();

    let second = Daemon::start();
    second.set_area(&area);
    second.run(&machine, 2);

    let (asked, is_repeated, _reply) = second.asked();
    assert_eq!((&asked[..], is_repeated), (&b"two"[..], true));
    assert_eq!(heads(&area).len(), 1);
}

#[test]
fn what_is_in_work_stays_in_flight_when_a_queue_stops() {
    let mut machine = Machine::new(&[ENTRIES]);
    let daemon = Daemon::start();
    let area = daemon.area();
    daemon.set_area(&area);
    daemon.run(&machine, 0);
    ask(&mut machine, b"one");
    let (_, _, reply) = daemon.asked();

    // The device never says that it has stopped: it is not waited for.
    assert_eq!(machine.queues[0].stop(&daemon.wire), 1);

    reply.send(b"1");
    assert_eq!(machine.queues[0].ring.used_index(), 0);
    assert_eq!(heads(&area).len(), 1);
}

#[test]
fn a_driver_that_starts_anew_has_nothing_in_flight() {
    let mut machine = Machine::new(&[ENTRIES]);
    let daemon = Daemon::start();
    let area = daemon.area();
    daemon.set_area(&area);
    daemon.run(&machine, 0);
    ask(&mut machine, b"old");
    let old = daemon.asked();
    assert_eq!(machine.queues[0].stop(&daemon.wire), 1);

    machine.reset();
    daemon.run(&machine, 0);

    assert!(heads(&area).is_empty());
    drop(old);
    ask(&mut machine, b"new");
    let (asked, is_repeated, _) = daemon.asked();
    assert_eq!((&asked[..], is_repeated), (&b"new"[..], false));
}

/// The daemon serves a guest whose front end has made this of the area.
fn is_survived(spoil: impl Fn(&File)) {
    let mut machine = Machine::new(&[ENTRIES]);
    let first = Daemon::start();
    let area = first.area();
    first.set_area(&area);
    first.run(&machine, 0);
    ask(&mut machine, b"one");
    drop(first.asked());
    machine.queues[0].wait().unwrap();
    drop(first);
    spoil(&area);

    let second = Daemon::start();
    second.set_area(&area);
    second.run(&machine, 1);

    let chain = ask(&mut machine, b"two");
    loop {
        let (asked, _, reply) = second.asked();
        reply.send(b"yes");
        if asked == b"two" {
            break;
        }
    }
    while machine.memory.answer(&chain, 3) != b"yes" {
        machine.queues[0].wait().unwrap();
    }
}

#[test]
fn an_area_that_was_never_used_says_nothing() {
    is_survived(|area| {
        let zeros = vec![0; SIZE.try_into().unwrap()];
        area.write_all_at(&zeros, 0).unwrap();
    });
}

#[test]
fn an_area_of_another_version_says_nothing() {
    is_survived(|area| area.write_all_at(&2_u16.to_ne_bytes(), 8).unwrap());
}

#[test]
fn an_area_for_another_queue_says_nothing() {
    is_survived(|area| area.write_all_at(&8_u16.to_ne_bytes(), 10).unwrap());
}

#[test]
fn more_in_flight_than_the_driver_made_available_is_not_taken_up() {
    is_survived(|area| {
        for head in 0..u64::from(ENTRIES) {
            area.write_all_at(&[1], 16 + 16 * head).unwrap();
        }
    });
}

#[test]
fn a_batch_without_an_end_ends() {
    is_survived(|area| {
        area.write_all_at(&[0xff; 4], 12).unwrap();
        for head in 0..u64::from(ENTRIES) {
            area.write_all_at(&[0xff; 16], 16 + 16 * head).unwrap();
        }
    });
}

#[test]
fn an_area_that_is_lost_ends_its_guests_session_alone() {
    let mut machine = Machine::new(&[ENTRIES]);
    let daemon = Daemon::start();
    let area = File::from(memfd_create("area", MemfdFlags::CLOEXEC).unwrap());
    ftruncate(&area, SIZE).unwrap();
    daemon.set_area(&area);
    daemon.run(&machine, 0);
    ftruncate(&area, 0).unwrap();

    ask(&mut machine, b"one");

    assert!(daemon.wire.is_hung_up(LIMIT));
}

#[test]
fn an_area_that_cannot_be_is_refused() {
    let daemon = Daemon::start();
    for (queues, entries) in [(0, 16), (1, 0), (1, 1025), (0xffff, 0xffff)] {
        let ask = message(GET_INFLIGHT_FD, 0, &extent(0, queues, entries));
        daemon.wire.send(&ask, &[]);
        let (answer, file) = daemon.wire.answer_with_file(GET_INFLIGHT_FD);
        assert_eq!((answer, file.is_none()), (vec![0; 24], true));
    }
    let area = daemon.area();
    let wire = &daemon.wire;
    let too_small = [
        extent(SIZE - 1, 1, ENTRIES),
        extent(SIZE, 2, ENTRIES),
        extent(0, 1, ENTRIES),
    ];
    for extent in too_small {
        assert!(!wire.is_done(SET_INFLIGHT_FD, &extent, &[area.as_fd()]));
    }
    assert!(!wire.is_done(SET_INFLIGHT_FD, &extent(SIZE, 1, ENTRIES), &[]));
}
