// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A hundred guests of one daemon, and one of them on a bus that takes its time. It is a program of its
//! own, since it counts the process's threads.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use virtio_backend::testing::{LIMIT, Server, Vm, feature, raise_limit};
use virtio_backend::{Hardware, Watch};
use virtio_i2c::{Adapter, Address, Bus, I2c, Message, SimulatedBus};

const GUESTS: usize = 100;

/// `VIRTIO_I2C_F_ZERO_LENGTH_REQUEST`.
const ZERO_LENGTH_REQUEST: u64 = 1;

/// Says that a transaction has begun, which lasts until the test says so: longer than all others need,
/// however long that is.
struct SlowBus {
    begins: Sender<()>,
    goes_on: Receiver<()>,
}

impl Bus for SlowBus {
    fn transfer(&mut self, _messages: &mut [Message<'_>]) -> io::Result<()> {
        self.begins.send(()).unwrap();
        self.goes_on.recv_timeout(LIMIT).map_err(io::Error::other)
    }
}

fn device(adapter: &Arc<Adapter>, watch: &Watch) -> io::Result<I2c> {
    let granted = BTreeSet::from([Address::Seven(0x50)]);
    I2c::new("guest", Arc::clone(adapter), granted, watch)
}

/// How many threads this process has, but for those with which front ends wait for answers.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let name =
        |task: io::Result<fs::DirEntry>| fs::read_to_string(task.unwrap().path().join("comm"));
    tasks
        // One that has ended has no name.
        .filter_map(|task| name(task).ok())
        .filter(|name| name.trim() != "patience")
        .count()
}

#[test]
fn a_slow_bus_delays_its_own_guest_alone_and_costs_one_thread() {
    raise_limit();
    let (begins, begun) = mpsc::channel();
    let (finish, goes_on) = mpsc::channel();
    let fast = Arc::new(Adapter::new(SimulatedBus::demo()));
    let mut server = Server::new(|watch| device(&fast, watch).unwrap());
    let before = threads();

    let slow = Arc::new(Adapter::new(SlowBus { begins, goes_on }));
    let hardware = Hardware::start("slow").unwrap();
    let slow = server.beside("slow", |watch| {
        let make = |watch: &Watch| device(&slow, watch);
        hardware.device(watch, make).unwrap()
    });
    let mut sockets = vec![server.socket()];
    for number in 2..GUESTS {
        let make = |watch: &Watch| device(&fast, watch).unwrap();
        sockets.push(server.beside(&number.to_string(), make));
    }
    let boot = |socket| Vm::boot(socket, feature::ALL | ZERO_LENGTH_REQUEST, &[4]).unwrap();
    let mut slow = boot(&slow);
    let mut others: Vec<_> = sockets.iter().map(|socket| boot(socket)).collect();
    assert_eq!(others.len() + 1, GUESTS);

    // The address 0x50, no flags, and a byte: the place in the EEPROM.
    let write = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0];
    slow.rings[0].submit(&slow.memory.chain(&[&write], &[1]));
    begun.recv_timeout(LIMIT).unwrap();
    for (number, other) in others.iter_mut().enumerate() {
        let answer = other.rings[0].ask(&[&write], &[1]);
        assert_eq!(answer, Some(vec![0]), "guest {number}");
        // A front end is heard, too.
        other.reboot().unwrap();
    }
    // A thread has its name when it has begun to run.
    let end = Instant::now() + LIMIT;
    while threads() > before + 1 && Instant::now() < end {
        thread::yield_now();
    }
    assert_eq!(threads(), before + 1);
    assert_eq!(slow.rings[0].pop(), None);

    finish.send(()).unwrap();
    assert_eq!(slow.rings[0].wait().map(|used| used.len), Some(1));
}
