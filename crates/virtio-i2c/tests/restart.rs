// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest whose front end outlives the daemon.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use virtio_backend::testing::{LIMIT, Server, Vm, feature};
use virtio_backend::{Hardware, Watch};
use virtio_i2c::{Adapter, Address, Bus, I2c, Message, SimulatedBus};

/// `VIRTIO_I2C_F_ZERO_LENGTH_REQUEST`.
const ZERO_LENGTH_REQUEST: u64 = 1;

/// Says that a transaction has begun, which lasts until the test says so.
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

/// The first daemon has both requests: one on its bus, which never finishes, and one behind it. The front
/// end connects to the next daemon.
#[test]
fn what_a_daemon_had_in_work_comes_back_from_the_next_and_no_write_is_repeated() {
    let (begins, begun) = mpsc::channel();
    let (finish, goes_on) = mpsc::channel();
    let slow = Arc::new(Adapter::new(SlowBus { begins, goes_on }));
    let hardware = Hardware::start("slow").unwrap();
    let make = |watch: &Watch| device(&slow, watch);
    let first = Server::new(|watch| hardware.device(watch, make).unwrap());
    let fast = Arc::new(Adapter::new(SimulatedBus::demo()));
    let second = Server::new(|watch| device(&fast, watch).unwrap());
    let features = feature::ALL | ZERO_LENGTH_REQUEST;
    let mut vm = Vm::lasting(&first.socket(), features, &[16]).unwrap();
    let write = [0xa0, 0, 0, 0, 0, 0, 0, 0];
    let write = vm.memory.chain(&[&write, &[0x10, 7]], &[1]);
    let read = vm.memory.chain(&[&[0xa0, 0, 0, 0, 2, 0, 0, 0]], &[1, 1]);
    vm.rings[0].submit(&write);
    begun.recv_timeout(LIMIT).unwrap();
    vm.rings[0].submit(&read);
    // Answered after the kick.
    vm.front_end.features().unwrap();

    vm.reconnect(&second.socket()).unwrap();

    let lengths = [(); 2].map(|()| vm.rings[0].wait().unwrap().len);
    assert_eq!(lengths, [1, 2]);
    assert_eq!(vm.memory.answer(&write, 1), [1]);
    assert_eq!(vm.memory.answer(&read, 2)[1], 0);
    finish.send(()).unwrap();
    drop(first);
}
