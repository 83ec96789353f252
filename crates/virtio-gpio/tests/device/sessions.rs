// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device in a daemon: pauses, resets and front ends that go.

use virtio_backend::testing::{Server, Vm, feature};
use virtio_gpio::{Gpio, Grant, Rest, Usage};

use crate::common::{FakeChip, lines};

const FEATURES: u64 = feature::ALL | 1;
const REQUESTQ: usize = 0;
const EVENTQ: usize = 1;

/// A daemon with one guest, and the guest's chip.
fn serve(grants: &[Grant]) -> (Server<Gpio>, FakeChip, Vm) {
    let (server, chip) = wait(grants);
    let vm = Vm::boot(&server.socket(), FEATURES, &[64, 64]).unwrap();
    (server, chip, vm)
}

/// A daemon that waits for its guest, and the guest's chip.
fn wait(grants: &[Grant]) -> (Server<Gpio>, FakeChip) {
    let chip = FakeChip::new(grants.len());
    let server = Server::new(|watch| {
        let mut gpio = Gpio::new("guest", watch);
        for (offset, grant) in (0..).zip(grants) {
            gpio.grant(&chip, offset, grant).unwrap();
        }
        gpio
    });
    (server, chip)
}

fn request(vm: &mut Vm, request: [u8; 8]) -> Vec<u8> {
    vm.rings[REQUESTQ].ask(&[&request], &[2]).unwrap()
}

/// Queues a pair of buffers on the eventq. Returns its head.
fn unmask(vm: &mut Vm, line: u16) -> u16 {
    let chain = vm.memory.chain(&[&line.to_le_bytes()], &[1]);
    let head = vm.rings[EVENTQ].add(&chain);
    vm.rings[EVENTQ].push(head);
    vm.rings[EVENTQ].notify();
    head
}

/// Arms line 0 for rising edges. Returns the head of the buffers that wait.
fn arm(vm: &mut Vm) -> u16 {
    assert_eq!(request(vm, [6, 0, 0, 0, 1, 0, 0, 0]), [0, 0]);
    let head = unmask(vm, 0);
    // A level that is active comes back at once: then the device has seen what was queued before.
    request(vm, [6, 0, 1, 0, 8, 0, 0, 0]);
    let other = unmask(vm, 1);
    let used = vm.rings[EVENTQ].wait().unwrap();
    assert_eq!((used.id, used.len), (other.into(), 1));
    head
}

/// Drives outputs high, both lines of them.
fn drive(vm: &mut Vm) {
    for line in [2, 3] {
        request(vm, [5, 0, line, 0, 1, 0, 0, 0]);
        request(vm, [3, 0, line, 0, 1, 0, 0, 0]);
    }
}

#[test]
fn an_edge_comes_through_the_ring_with_a_length_of_1() {
    let (_server, chip, mut vm) = serve(&lines(4));
    let head = arm(&mut vm);
    chip.drive(0, true);
    let used = vm.rings[EVENTQ].wait().unwrap();
    assert_eq!((used.id, used.len), (head.into(), 1));
}

#[test]
fn vector_21_an_edge_while_the_guest_is_paused_is_told_when_it_goes_on() {
    let (_server, chip, mut vm) = serve(&lines(4));
    let head = arm(&mut vm);
    drive(&mut vm);
    let bases = vm.stop().unwrap();
    let before = vm.memory.snapshot();
    chip.drive(0, true);
    chip.wait_until_read(0);
    // Waits until the device has made of it what it makes.
    vm.front_end.config(0, 8).unwrap();
    assert!(before == vm.memory.snapshot());
    assert_eq!(chip.usage(2), Usage::Output(true));

    vm.start(&bases).unwrap();
    let used = vm.rings[EVENTQ].wait().unwrap();
    assert_eq!((used.id, used.len), (head.into(), 1));
    assert_eq!(request(&mut vm, [2, 0, 2, 0, 0, 0, 0, 0]), [0, 1]);
}

#[test]
fn vector_22_a_guest_that_was_reset_finds_lines_released_and_no_buffers_of_before() {
    let (_server, chip, mut vm) = serve(&lines(4));
    arm(&mut vm);
    drive(&mut vm);
    vm.reboot().unwrap();
    assert_eq!(request(&mut vm, [2, 0, 2, 0, 0, 0, 0, 0]), [0, 0]);
    for line in 0..4 {
        assert_eq!(chip.usage(line), Usage::Free);
    }
    chip.drive(0, true);
    // Only what this life of the ring queued comes back.
    let head = arm(&mut vm);
    chip.drive(0, false);
    chip.drive(0, true);
    let used = vm.rings[EVENTQ].wait().unwrap();
    assert_eq!((used.id, used.len), (head.into(), 1));
    assert_eq!(vm.rings[EVENTQ].used_index(), 2);
}

#[test]
fn a_guest_that_goes_away_leaves_nothing_requested_and_nothing_driven() {
    let (server, chip, mut vm) = serve(&lines(4));
    arm(&mut vm);
    drive(&mut vm);
    drop(vm);
    // It comes after the first one's end has been seen to.
    let mut next = Vm::boot(&server.socket(), FEATURES, &[64, 64]).unwrap();
    assert_eq!(request(&mut next, [2, 0, 2, 0, 0, 0, 0, 0]), [0, 0]);
    for line in 0..4 {
        assert_eq!(chip.usage(line), Usage::Free);
    }
}

#[test]
fn safe_states_are_applied_when_the_daemon_ends() {
    let (server, chip, mut vm) = serve(&lines(4));
    drive(&mut vm);
    assert_eq!(chip.usage(3), Usage::Output(true));
    drop(server);
    assert_eq!(chip.usage(3), Usage::Free);
}

#[test]
fn safe_states_are_applied_when_the_daemon_ends_before_a_guest_came() {
    let (server, chip) = wait(&[Grant {
        initial: Rest::High,
        on_disconnect: Rest::Low,
        ..Grant::default()
    }]);
    assert_eq!(chip.usage(0), Usage::Output(true));
    drop(server);
    assert_eq!(chip.usage(0), Usage::Output(false));
}

#[test]
fn vector_26_any_part_of_the_configuration_space_can_be_read_and_what_is_behind_it_is_zero() {
    let (_server, _chip, vm) = serve(&lines(4));
    let config = |offset, size| vm.front_end.config(offset, size).unwrap();
    assert_eq!(config(0, 8), [4, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(config(0, 4), [4, 0, 0, 0]);
    assert_eq!(config(4, 4), [0; 4]);
    assert_eq!(config(6, 8), [0; 8]);
    assert_eq!(config(100, 4), [0; 4]);
    assert_eq!(config(0, 256)[..2], [4, 0]);
}

/// The next daemon knows of no interrupt that the driver asked the first for: the buffers come back, and
/// the driver may arm the line again.
#[test]
fn buffers_that_a_daemon_had_come_back_from_the_next() {
    let (first, _) = wait(&lines(4));
    let (second, chip) = wait(&lines(4));
    let mut vm = Vm::lasting(&first.socket(), FEATURES, &[64, 64]).unwrap();
    let head = arm(&mut vm);

    vm.reconnect(&second.socket()).unwrap();

    let used = vm.rings[EVENTQ].wait().unwrap();
    assert_eq!((used.id, used.len), (head.into(), 1));
    let head = arm(&mut vm);
    chip.drive(0, true);
    let used = vm.rings[EVENTQ].wait().unwrap();
    assert_eq!((used.id, used.len), (head.into(), 1));
}
