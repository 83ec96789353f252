// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is negotiated before a device runs: features, queues, memory, configuration space.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Receiver;

use proptest::prelude::{Strategy, prop_assert_eq};
use proptest::test_runner::{Config, TestRunner};
use virtio_backend::testing::{
    FrontEnd, LIMIT, Layout, Memory, Ring, Server, Vm, feature, protocol,
};
use virtio_backend::{Device, Queue, Reply};

use crate::common::{EVENTS, REQUESTS, Seen, echo, serve};

/// vhost's longest message, without its header and that of the configuration.
const LONGEST: u32 = 0x1000 - 12;

#[test]
fn any_part_of_the_configuration_space_can_be_read() {
    let (server, _) = serve(echo);
    let front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();
    let whole = [b"8 bytes.".to_vec(), vec![0; 0x1000]].concat();

    for (offset, size) in [
        (0, 8),
        (0, 4),
        (4, 4),
        (6, 8),
        (100, 4),
        (8, 1),
        (7, 2),
        (0, LONGEST),
        (0xfff, 1),
    ] {
        let (from, to) = (offset as usize, (offset + size) as usize);
        assert_eq!(
            front_end.config(offset, size).unwrap(),
            whole[from..to],
            "{size} at {offset}"
        );
    }
    let parts =
        (1..=LONGEST).prop_flat_map(|size| (0..=0x1000 - size, proptest::strategy::Just(size)));
    TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    })
    .run(&parts, |(offset, size)| {
        let (from, to) = (offset as usize, (offset + size) as usize);
        prop_assert_eq!(
            &front_end.config(offset, size).unwrap()[..],
            &whole[from..to]
        );
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_configuration_space_can_be_read_while_the_device_runs() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    assert_eq!(vm.front_end.config(2, 5).unwrap(), b"bytes");
    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
}

/// Its configuration space is how often somebody asked for it.
struct Counting(AtomicU8);

impl Device for Counting {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests]
    }

    fn max_request(&self) -> usize {
        0
    }

    fn config(&self) -> Vec<u8> {
        vec![self.0.fetch_add(1, Ordering::Relaxed)]
    }

    fn handle(&mut self, _queue: u16, _request: &[u8], _reply: Reply) {}

    fn reset(&mut self) {}
}

#[test]
fn the_configuration_space_is_what_it_is_when_it_is_read() {
    let server = Server::new(|_watch| Counting(AtomicU8::new(0)));
    let front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();

    let first = front_end.config(0, 1).unwrap()[0];
    assert_eq!(front_end.config(0, 1).unwrap(), [first + 1]);
}

#[test]
fn a_device_offers_its_own_features_and_those_of_the_ring() {
    let (server, _) = serve(echo);
    let front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();

    // VHOST_F_LOG_ALL is for the front end, and not for drivers.
    let offered = feature::ALL | 1 << 26 | 0b101;
    assert_eq!(front_end.features().unwrap(), offered);
    assert_eq!(front_end.queues().unwrap(), 2);
}

/// Which features the device heard of first.
fn negotiated(seen: &Receiver<Seen>) -> u64 {
    loop {
        if let Seen::Negotiated(features) = seen.recv_timeout(LIMIT).unwrap() {
            return features;
        }
    }
}

#[test]
fn a_device_hears_which_features_the_driver_accepted() {
    let (server, seen) = serve(echo);
    let mut vm = Vm::boot(
        &server.socket(),
        feature::VERSION_1 | feature::PROTOCOL_FEATURES | 0b100,
        &[64],
    )
    .unwrap();

    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());

    assert_eq!(
        negotiated(&seen),
        feature::VERSION_1 | feature::PROTOCOL_FEATURES | 0b100
    );
}

#[test]
fn a_feature_that_was_not_offered_ends_that_session_alone() {
    let (server, _) = serve(echo);
    let (other, _) = serve(echo);
    let mut neighbour = Vm::boot(&other.socket(), feature::ALL, &[64]).unwrap();

    assert!(Vm::boot(&server.socket(), feature::ALL | 0b10, &[64]).is_err());

    assert!(neighbour.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
    let mut next = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    assert!(next.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
}

#[test]
fn rings_have_as_many_entries_as_the_guest_chooses() {
    let (server, _) = serve(echo);
    for size in [1, 2, 4, 256, 1024] {
        let mut vm = Vm::boot(&server.socket(), feature::ALL, &[size, size]).unwrap();
        for _ in 0..10 {
            assert!(
                vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some(),
                "{size} entries"
            );
        }
    }
}

#[test]
fn a_front_end_without_protocol_features_is_served() {
    let (server, _) = serve(echo);
    let memory = Memory::new(&[(0, 0x10_0000)]);
    let mut ring = Ring::new(&memory, Layout::new(&memory, 64));
    let front_end = FrontEnd::connect(&server.socket(), 0).unwrap();

    // Its rings are enabled from the start.
    front_end.set_features(feature::VERSION_1).unwrap();
    front_end.set_memory(&memory).unwrap();
    front_end.set_up(REQUESTS, &ring, 0).unwrap();
    // Nothing is acknowledged either, but this is answered after what was said before.
    front_end.features().unwrap();

    assert_eq!(ring.ask(&[b"hello"], &[8]).as_deref(), Some(&b"!hello"[..]));
}

#[test]
fn a_request_may_cross_from_one_region_of_memory_into_the_next() {
    let (server, _) = serve(echo);
    let memory = Memory::new(&[
        (0x1000, 0x10_0000),
        (0x4000_0000, 0x1000),
        (0x4000_1000, 0x1000),
    ]);
    let mut ring = Ring::new(&memory, Layout::new(&memory, 64));
    let front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();

    front_end.set_memory(&memory).unwrap();
    front_end
        .set_features(feature::ALL & !feature::EVENT_IDX)
        .unwrap();
    front_end.set_up(REQUESTS, &ring, 0).unwrap();
    front_end.enable(REQUESTS).unwrap();

    let mut chain = memory.chain(&[b"hello"], &[8]);
    // Across the seam of the last two.
    chain[1].addr = 0x4000_0ffe;
    ring.submit(&chain);
    let used = ring.wait().unwrap();
    assert_eq!(memory.answer(&chain, used.len), b"!hello");
}

/// QEMU tells its user of memory that it cannot share only where the back end takes all memory at
/// once.
#[test]
fn memory_slots_are_not_offered() {
    let (server, _) = serve(echo);
    let front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();

    // All but CONFIGURE_MEM_SLOTS, which is bit 15.
    assert_eq!(front_end.protocol_features().unwrap(), 0x0010_322b);
}

/// User-Mode Linux takes its end for the end of the device.
#[test]
fn the_channel_of_the_back_end_stays_open_as_long_as_the_session() {
    let (server, _) = serve(echo);
    let vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let mut channel = vm.front_end.backend_channel().unwrap().try_clone().unwrap();

    channel.set_nonblocking(true).unwrap();
    assert_eq!(
        channel.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );

    drop(vm);
    channel.set_nonblocking(false).unwrap();
    channel.set_read_timeout(Some(LIMIT)).unwrap();
    // A child of another test may interrupt this, which `read` alone would report.
    assert_eq!(channel.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn a_queue_that_the_driver_does_not_use_is_not_missed() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    // QEMU enables all the queues there are.
    vm.front_end.enable(EVENTS).unwrap();

    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
}

/// QEMU's virtio-mmio lets the guest choose any size.
#[test]
fn a_ring_of_a_size_that_cannot_be_is_refused_and_the_session_goes_on() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[4]).unwrap();
    for size in [3, 2048] {
        vm.stop().unwrap();
        vm.rings[REQUESTS] = Ring::new(&vm.memory, Layout::new(&vm.memory, size));
        assert!(vm.start(&[0]).is_err(), "{size}");
        vm.rings[REQUESTS].submit(&vm.memory.chain(&[], &[8]));
        assert_eq!(vm.stop().unwrap(), [0], "{size}");
    }

    vm.rings[REQUESTS] = Ring::new(&vm.memory, Layout::new(&vm.memory, 4));
    vm.start(&[0]).unwrap();

    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
}
