// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guests whose memory is mapped by the daemon, and not shared: what the driver writes does not
//! arrive.

use std::sync::Arc;

use virtio_backend::Device;
use virtio_backend::testing::{FrontEnd, Layout, Memory, Ring, Server, Vm, feature, protocol};

use crate::common::REQUESTS;
use crate::log::{collect, count, says, says_times, serve_as};

const START: u64 = 0x10_0000;
const UNSHARED: &str = "share=on";

/// A guest whose driver makes a request that the daemon cannot see: QEMU maps the file of the
/// guest's memory privately, so that all pages which the guest writes become QEMU's own.
struct Private {
    front_end: FrontEnd,
    memory: Arc<Memory>,
    ring: Ring,
}

impl Private {
    fn boot(server: &Server<impl Device>) -> Self {
        let (file, memory) = (
            Memory::new(&[(START, 0x80_0000)]),
            Memory::new(&[(START, 0x80_0000)]),
        );
        let mut ring = Ring::new(&memory, Layout::new(&memory, 64));
        let front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();
        front_end
            .set_features(feature::ALL & !feature::EVENT_IDX)
            .unwrap();
        front_end.set_memory(&file).unwrap();
        front_end.set_up(REQUESTS, &ring, 0).unwrap();
        front_end.enable(REQUESTS).unwrap();
        ring.submit(&memory.chain(&[b"hello"], &[8]));
        Self {
            front_end,
            memory,
            ring,
        }
    }

    fn ask_again(&mut self) {
        self.ring.submit(&self.memory.chain(&[b"hello"], &[8]));
    }
}

/// Returns when the log tells of a driver that begins now to ask in vain: by then it tells of all
/// that began before.
fn wait_as_long_as_it_takes(guest: &str) {
    let server = serve_as(guest);
    let private = Private::boot(&server);
    assert!(says(guest, UNSHARED));
    drop(private);
}

#[test]
fn memory_that_is_not_shared_is_told_of_once_in_a_session() {
    collect();
    let server = serve_as("private");
    let mut private = Private::boot(&server);

    assert!(says("private", UNSHARED));
    private.ask_again();
    wait_as_long_as_it_takes("private-again");

    assert_eq!(count("private", UNSHARED), 1);
    assert!(private.front_end.features().is_ok());
    drop(private);
    let _private = Private::boot(&server);
    assert!(says_times(2, "private", UNSHARED));
}

#[test]
fn memory_that_is_not_shared_is_told_of_when_the_driver_kicks_late() {
    collect();
    let server = serve_as("late");
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    // As private memory looks to the daemon, which has not read the kick of the start.
    vm.stop().unwrap();
    vm.rings[REQUESTS].take_kick_back();
    let ring = &vm.rings[REQUESTS];
    vm.front_end.set_up(REQUESTS, ring, 0).unwrap();
    vm.front_end.enable(REQUESTS).unwrap();
    wait_as_long_as_it_takes("private-before-late");

    vm.rings[REQUESTS].kick();

    assert!(says("late", UNSHARED));
}

/// A driver with features, and memory in which its kernel runs.
fn boot(server: &Server<impl Device>, features: u64) -> Vm {
    let vm = Vm::boot(&server.socket(), features, &[64, 64]).unwrap();
    vm.memory.write(vm.memory.allocate(16), b"a kernel's page.");
    vm
}

#[test]
fn a_driver_that_kicks_without_a_request_is_not_taken_for_one_without_shared_memory() {
    collect();
    let mut guests = Vec::new();
    for (name, features) in [
        ("kicks", feature::ALL & !feature::EVENT_IDX),
        ("kicks-with-event-index", feature::ALL),
    ] {
        let server = serve_as(name);
        let vm = boot(&server, features);
        for _ in 0..10 {
            vm.rings[REQUESTS].kick();
        }
        guests.push((name, server, vm));
    }

    wait_as_long_as_it_takes("private-beside-kicks");

    for (name, _server, mut vm) in guests {
        assert_eq!(count(name, UNSHARED), 0, "{name}");
        assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
    }
}

#[test]
fn a_driver_that_only_polls_or_was_resumed_is_not_taken_for_one_without_shared_memory() {
    collect();
    let (polled, resumed) = (serve_as("polls"), serve_as("resumed"));
    // Its ring is all that its memory has.
    let mut polling = Vm::boot(&polled.socket(), feature::ALL, &[64]).unwrap();
    assert!(polling.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
    let mut vm = Vm::boot(&resumed.socket(), feature::ALL, &[64]).unwrap();
    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
    let bases = vm.stop().unwrap();
    vm.start(&bases).unwrap();
    polling.rings[REQUESTS].kick();
    vm.rings[REQUESTS].kick();

    wait_as_long_as_it_takes("private-beside-resumed");

    assert_eq!(count("polls", UNSHARED), 0);
    assert_eq!(count("resumed", UNSHARED), 0);
}
