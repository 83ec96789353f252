// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! QEMU's order. Versions differ in how the memory comes, and in what they want answered.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use virtio_backend::testing::feature;

use crate::device::{resets, serve};
use crate::machine::Machine;
use crate::wire::{
    GET_CONFIG, GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_BACKEND_REQ_FD,
    SET_FEATURES, SET_MEM_TABLE, SET_OWNER, SET_PROTOCOL_FEATURES, SET_VRING_ADDR,
    SET_VRING_ENABLE, Wire, longs, words,
};

/// MQ, REPLY_ACK, BACKEND_REQ, CONFIG, RESET_DEVICE: what there is of what QEMU accepts.
const ACCEPTED: u64 = 1 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 13;
const MEM_SLOTS: u64 = 1 << 15;

/// What a version does in its own way.
struct Version {
    accepted: u64,
    /// NEED_REPLY also on the messages with an event's descriptor.
    asks_of_events: bool,
}

const QEMU_7_2: Version = Version {
    accepted: 1 | 1 << 3 | 1 << 5 | 1 << 9,
    asks_of_events: false,
};
const QEMU_10: Version = Version {
    accepted: ACCEPTED,
    asks_of_events: false,
};
const QEMU_11: Version = Version {
    accepted: ACCEPTED | MEM_SLOTS,
    asks_of_events: true,
};

impl Version {
    /// The device is made: long before there is a driver.
    fn realize(&self, wire: &Wire, machine: &Machine, channel: &UnixStream) -> u64 {
        let offered = wire.number(GET_FEATURES);
        let protocol = wire.number(GET_PROTOCOL_FEATURES) & self.accepted;
        wire.tell(SET_PROTOCOL_FEATURES, &longs(&[protocol]), &[]);
        assert_eq!(wire.number(GET_QUEUE_NUM), 2);
        assert!(wire.is_done(SET_BACKEND_REQ_FD, &[], &[channel.as_fd()]));
        wire.tell(SET_OWNER, &[], &[]);
        assert_eq!(wire.number(GET_FEATURES), offered);
        for queue in &machine.queues {
            self.events(wire, |wire| queue.set_call(wire));
            self.events(wire, |wire| queue.set_err(wire));
        }
        protocol
    }

    /// The driver is there, or a stopped machine goes on.
    fn start(&self, wire: &Wire, machine: &Machine, bases: &[u32]) {
        let files = machine.memory.files();
        let files: Vec<_> = files.iter().map(|region| region.2).collect();
        wire.tell(SET_FEATURES, &longs(&[feature::ALL]), &[]);
        assert!(wire.is_done(SET_MEM_TABLE, &machine.table(), &files));
        for (queue, &base) in machine.queues.iter().zip(bases) {
            queue.set_num(wire);
            queue.set_base(wire, base);
            assert!(wire.is_done(SET_VRING_ADDR, &queue.addresses([0; 3]), &[]));
            self.events(wire, |wire| queue.set_kick(wire));
            // While the queue is disabled.
            queue.kick();
            self.events(wire, |wire| queue.set_call(wire));
        }
        for queue in &machine.queues {
            assert!(wire.is_done(SET_VRING_ENABLE, &queue.state(1), &[]));
        }
        for queue in &machine.queues {
            self.events(wire, |wire| queue.set_call(wire));
        }
    }

    fn events(&self, wire: &Wire, say: impl Fn(&Wire)) {
        say(&Wire {
            socket: wire.socket.try_clone().unwrap(),
            asks: self.asks_of_events,
        });
    }
}

/// Whatever it is that the device is stopped for.
fn stop(wire: &Wire, machine: &Machine) -> Vec<u32> {
    for queue in &machine.queues {
        assert!(wire.is_done(SET_VRING_ENABLE, &queue.state(0), &[]));
    }
    machine
        .queues
        .iter()
        .map(|queue| queue.stop(wire))
        .collect()
}

/// Returns how often the device was reset by `stop` and `cont`, and then by `system_reset`.
fn run(version: &Version) -> [usize; 2] {
    let (server, seen) = serve("guest");
    let wire = Wire::connect(&server.socket());
    let mut machine = Machine::new(&[64, 64]);
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let protocol = version.realize(&wire, &machine, &theirs);
    assert_eq!(protocol & !ACCEPTED, 0);
    version.start(&wire, &machine, &[0, 0]);
    assert!(machine.works());

    let bases = stop(&wire, &machine);
    assert_eq!(bases, [1, 0]);
    version.start(&wire, &machine, &bases);
    assert!(machine.works());
    let by_cont = resets(&seen);

    assert_eq!(stop(&wire, &machine), [2, 0]);
    machine.reset();
    version.start(&wire, &machine, &[0, 0]);
    assert!(machine.works());
    let config = wire.ask(GET_CONFIG, &[words(&[0, 8, 0]), vec![0; 8]].concat());
    assert_eq!(
        config,
        Some([words(&[0, 8, 0]), b"8 bytes.".to_vec()].concat())
    );
    [by_cont, resets(&seen)]
}

#[test]
fn qemu_7_2_starts_stops_goes_on_and_resets() {
    assert_eq!(run(&QEMU_7_2), [0, 1]);
}

#[test]
fn qemu_10_starts_stops_goes_on_and_resets() {
    assert_eq!(run(&QEMU_10), [0, 1]);
}

#[test]
fn qemu_11_starts_stops_goes_on_and_resets() {
    assert_eq!(run(&QEMU_11), [0, 1]);
}
