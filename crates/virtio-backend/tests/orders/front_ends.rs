// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The orders of front ends other than QEMU.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use virtio_backend::testing::feature;

use crate::device::{Seen, resets, serve, was_reset};
use crate::machine::Machine;
use crate::wire::{
    GET_CONFIG, GET_FEATURES, GET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_BACKEND_REQ_FD,
    SET_FEATURES, SET_OWNER, SET_PROTOCOL_FEATURES, Wire, longs, words,
};

/// Protocol features, by their bits.
const MQ: u64 = 1;
const LOG_SHMFD: u64 = 1 << 1;
const REPLY_ACK: u64 = 1 << 3;
const BACKEND_REQ: u64 = 1 << 5;
const CONFIG: u64 = 1 << 9;
const INFLIGHT_SHMFD: u64 = 1 << 12;
const INBAND_NOTIFICATIONS: u64 = 1 << 14;
const MEM_SLOTS: u64 = 1 << 15;
const DEVICE_STATE: u64 = 1 << 19;
const SHMEM: u64 = 1 << 22;

/// Ring features without EVENT_IDX.
const PLAIN: u64 = feature::PROTOCOL_FEATURES | feature::VERSION_1 | feature::INDIRECT_DESC;

/// Says which of the protocol features that are offered the front end accepts, and returns them.
fn accept(wire: &Wire, mask: u64) -> u64 {
    let accepted = wire.number(GET_PROTOCOL_FEATURES) & mask;
    wire.tell(SET_PROTOCOL_FEATURES, &longs(&[accepted]), &[]);
    accepted
}

/// cloud-hypervisor connects: when it makes the device, and for a new life of its guest.
fn cloud_hypervisor(socket: &Path, machine: &Machine) -> Wire {
    let mut wire = Wire::connect(socket);
    wire.tell(SET_OWNER, &[], &[]);
    assert_ne!(wire.number(GET_FEATURES) & feature::PROTOCOL_FEATURES, 0);
    let mask = CONFIG
        | MQ
        | MEM_SLOTS
        | REPLY_ACK
        | INFLIGHT_SHMFD
        | LOG_SHMFD
        | DEVICE_STATE
        | BACKEND_REQ;
    wire.asks = accept(&wire, mask) & REPLY_ACK != 0;
    assert_eq!(wire.number(GET_QUEUE_NUM), 2);
    activate_cloud_hypervisor(&wire, machine, 0);
    wire
}

/// It connects again, to a back end that it knows, with a guest that knows nothing of that.
fn cloud_hypervisor_again(socket: &Path, machine: &Machine, available: u32) -> Wire {
    let mut wire = Wire::connect(socket);
    wire.tell(SET_OWNER, &[], &[]);
    wire.number(GET_FEATURES);
    let accepted = CONFIG | MQ | REPLY_ACK | BACKEND_REQ;
    wire.tell(SET_PROTOCOL_FEATURES, &longs(&[accepted]), &[]);
    wire.asks = true;
    activate_cloud_hypervisor(&wire, machine, available);
    wire
}

/// All sizes come first. The bases are the indices of the available rings.
fn activate_cloud_hypervisor(wire: &Wire, machine: &Machine, available: u32) {
    wire.tell(SET_FEATURES, &longs(&[PLAIN]), &[]);
    machine.set_mem_table(wire);
    machine.queues.iter().for_each(|queue| queue.set_num(wire));
    for queue in &machine.queues {
        queue.set_addr(wire);
        queue.set_base(wire, available);
        queue.set_call(wire);
        queue.set_kick(wire);
    }
    machine
        .queues
        .iter()
        .for_each(|queue| queue.enable(wire, 1));
    let (_ours, theirs) = UnixStream::pair().unwrap();
    wire.tell(SET_BACKEND_REQ_FD, &[], &[theirs.as_fd()]);
}

#[test]
fn cloud_hypervisor_pauses_with_enable_alone_and_the_device_keeps_what_it_had() {
    let (server, seen) = serve("guest");
    let mut machine = Machine::new(&[256]);
    let wire = cloud_hypervisor(&server.socket(), &machine);
    assert!(machine.works());

    machine.queues[0].enable(&wire, 0);
    let chain = machine.memory.chain(&[b"paused"], &[8]);
    machine.queues[0].submit(&chain);
    // Answered after whatever the kick could have led to.
    wire.number(GET_FEATURES);
    assert_eq!(machine.queues[0].ring.used_index(), 1);
    machine.queues[0].enable(&wire, 1);

    let used = machine.queues[0].wait().unwrap();
    assert_eq!(machine.memory.answer(&chain, used.len), b"!paused");
    assert_eq!(resets(&seen), 0);
}

#[test]
fn cloud_hypervisor_reboots_a_guest_over_a_new_connection() {
    let (server, seen) = serve("guest");
    let mut machine = Machine::new(&[256]);
    let wire = cloud_hypervisor(&server.socket(), &machine);
    assert!(machine.works());

    machine.queues[0].enable(&wire, 0);
    machine.queues[0].stop(&wire);
    drop(wire);
    machine.reset();
    let wire = cloud_hypervisor(&server.socket(), &machine);

    assert!(machine.works());
    assert_eq!(resets(&seen), 1);
    let asked = [words(&[2, 4, 0]), vec![0; 4]].concat();
    let config = [words(&[2, 4, 0]), b"byte".to_vec()].concat();
    assert_eq!(wire.ask(GET_CONFIG, &asked), Some(config));
}

#[test]
fn cloud_hypervisor_reconnects_and_its_guest_goes_on_with_the_same_rings() {
    let (server, seen) = serve("guest");
    let mut machine = Machine::new(&[256]);
    let wire = cloud_hypervisor(&server.socket(), &machine);
    assert!(machine.works());
    assert!(machine.works());

    drop(wire);
    assert!(was_reset(&seen));
    let _wire = cloud_hypervisor_again(&server.socket(), &machine, 2);

    assert!(machine.works());
    assert_eq!(resets(&seen), 0);
}

#[test]
fn crosvm_activates_and_resets_without_asking_for_an_answer() {
    let (server, seen) = serve("guest");
    let mut machine = Machine::new(&[256, 256]);
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let wire = Wire::connect(&server.socket());
    wire.tell(SET_OWNER, &[], &[]);
    wire.number(GET_FEATURES);
    accept(
        &wire,
        CONFIG | MQ | BACKEND_REQ | DEVICE_STATE | SHMEM | REPLY_ACK,
    );
    wire.tell(SET_BACKEND_REQ_FD, &[], &[theirs.as_fd()]);
    assert_eq!(wire.number(GET_QUEUE_NUM), 2);
    for life in 0..2 {
        wire.tell(SET_FEATURES, &longs(&[feature::ALL]), &[]);
        machine.set_mem_table(&wire);
        for queue in &machine.queues {
            queue.set_num(&wire);
            queue.set_addr(&wire);
            queue.set_base(&wire, 0);
            queue.set_call(&wire);
            queue.set_kick(&wire);
            queue.enable(&wire, 1);
        }

        assert!(machine.works());
        assert_eq!(resets(&seen), life);

        for (queue, base) in machine.queues.iter().zip([1, 0]) {
            queue.enable(&wire, 0);
            assert_eq!(queue.stop(&wire), base);
        }
        machine.reset();
    }
}

/// libkrun gives the memory with each driver that takes the device, or only with the first, and says
/// nothing when a driver leaves it. Returns how often the device was reset for each driver.
fn libkrun(tables: usize) -> [usize; 3] {
    let (server, seen) = serve("guest");
    let mut machine = Machine::new(&[256]);
    let wire = Wire::connect(&server.socket());
    wire.number(GET_FEATURES);
    accept(&wire, CONFIG | MQ);
    assert_eq!(wire.number(GET_QUEUE_NUM), 2);
    [0, 1, 2].map(|driver| {
        wire.tell(SET_OWNER, &[], &[]);
        if driver < tables {
            machine.set_mem_table(&wire);
        }
        wire.tell(SET_FEATURES, &longs(&[PLAIN]), &[]);
        let queue = &machine.queues[0];
        queue.set_num(&wire);
        queue.set_base(&wire, 0);
        queue.set_addr(&wire);
        queue.set_kick(&wire);
        queue.set_call(&wire);
        queue.enable(&wire, 1);
        assert!(machine.works());
        machine.reset();
        resets(&seen)
    })
}

#[test]
fn libkrun_owns_the_device_again_with_each_driver() {
    assert_eq!(libkrun(1), [0, 1, 1]);
}

#[test]
fn libkrun_shares_its_memory_again_with_each_driver() {
    assert_eq!(libkrun(3), [0, 1, 1]);
}

/// It says where the kicks come from before it says where the queue is. Nothing but ENABLE 0 tells
/// that the guest was reset.
#[test]
fn alioth_gives_the_kick_before_the_queue() {
    let (server, seen) = serve("guest");
    let mut machine = Machine::new(&[256, 256]);
    let mut wire = Wire::connect(&server.socket());
    wire.number(GET_FEATURES);
    let accepted = accept(&wire, MQ | REPLY_ACK | MEM_SLOTS | CONFIG);
    wire.asks = accepted & REPLY_ACK != 0;
    assert_eq!(wire.number(GET_QUEUE_NUM), 2);
    machine.queues.iter().for_each(|queue| queue.set_err(&wire));
    wire.tell(SET_OWNER, &[], &[]);
    machine.add_mem_regs(&wire);
    for life in 0..3 {
        wire.tell(SET_FEATURES, &longs(&[feature::ALL]), &[]);
        machine
            .queues
            .iter()
            .for_each(|queue| queue.set_kick(&wire));
        for queue in &machine.queues {
            queue.set_call(&wire);
            queue.set_num(&wire);
            queue.set_base(&wire, 0);
            queue.set_addr(&wire);
            queue.enable(&wire, 1);
        }

        assert!(machine.works());
        assert_eq!(resets(&seen), usize::from(life > 0));

        machine
            .queues
            .iter()
            .for_each(|queue| queue.enable(&wire, 0));
        machine.reset();
    }
}

/// What it accepts of the device's features is said first, and nothing ever stops a ring.
#[test]
fn user_mode_linux_takes_and_releases_the_device() {
    let (server, seen) = serve("guest");
    let mut machine = Machine::of_user_mode_linux(&[256, 256]);
    let mut wire = Wire::connect(&server.socket());
    let (_ours, theirs) = UnixStream::pair().unwrap();
    wire.tell(SET_OWNER, &[], &[]);
    wire.number(GET_FEATURES);
    let accepted = accept(
        &wire,
        REPLY_ACK | BACKEND_REQ | CONFIG | INBAND_NOTIFICATIONS,
    );
    assert_eq!(accepted & INBAND_NOTIFICATIONS, 0);
    wire.asks = true;
    wire.tell(SET_BACKEND_REQ_FD, &[], &[theirs.as_fd()]);
    for life in 0..3 {
        wire.tell(SET_FEATURES, &longs(&[feature::ALL]), &[]);
        machine.set_mem_table(&wire);
        for queue in &machine.queues {
            queue.set_call(&wire);
            queue.set_num(&wire);
            queue.set_base(&wire, 0);
            queue.set_addr(&wire);
        }
        for queue in &machine.queues {
            queue.set_kick(&wire);
            queue.enable(&wire, 1);
        }

        assert!(machine.works());
        let expected: &[Seen] = if life == 0 { &[] } else { &[Seen::Reset] };
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), expected);

        machine
            .queues
            .iter()
            .for_each(|queue| queue.enable(&wire, 0));
        wire.number(GET_FEATURES);
        machine.reset();
    }
}
