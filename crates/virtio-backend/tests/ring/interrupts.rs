// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Interrupts and kicks: who asked for them, and who did not (virtio 2.7.7, 2.7.10).
//!
//! That none came is certain once GET_VRING_BASE is answered: the device is done with the ring
//! then.

use std::sync::mpsc;

use virtio_backend::testing::{LIMIT, Vm, feature};

use crate::common::{REQUESTS, echo, hold, serve};

const NO_EVENT_IDX: u64 = feature::ALL & !feature::EVENT_IDX;

/// Makes `count` requests available, and says nothing.
fn push(vm: &mut Vm, count: usize) {
    for _ in 0..count {
        let chain = vm.memory.chain(&[b"hello"], &[8]);
        let head = vm.rings[REQUESTS].add(&chain);
        vm.rings[REQUESTS].push(head);
    }
}

/// What the ring says when it cannot change any more: how far it is used, and how many interrupts
/// there were.
fn outcome(vm: &mut Vm) -> (u16, u64) {
    vm.stop().unwrap();
    (vm.rings[REQUESTS].used_index(), vm.rings[REQUESTS].calls())
}

#[test]
fn each_request_is_interrupted_for_when_the_driver_waits_for_each() {
    for features in [feature::ALL, NO_EVENT_IDX] {
        let (server, _) = serve(echo);
        let mut vm = Vm::boot(&server.socket(), features, &[64]).unwrap();

        for _ in 0..100 {
            push(&mut vm, 1);
            vm.rings[REQUESTS].notify();
            // A driver that finds the answer by itself waits for the next one from then on: with
            // EVENT_IDX, no interrupt is due for this one if the device sees that in time.
            assert!(vm.rings[REQUESTS].wait_call());
            assert!(vm.rings[REQUESTS].pop().is_some());
        }

        assert_eq!(outcome(&mut vm), (100, 100));
    }
}

#[test]
fn the_flag_no_interrupt_is_honoured() {
    let (handled, handling) = mpsc::channel();
    let (server, _) = serve(move |request, reply| {
        echo(request, reply);
        handled.send(()).unwrap();
    });
    let mut vm = Vm::boot(&server.socket(), NO_EVENT_IDX, &[64]).unwrap();
    vm.rings[REQUESTS].set_available_flags(1);

    push(&mut vm, 10);
    vm.rings[REQUESTS].notify();
    (0..10).for_each(|_| handling.recv_timeout(LIMIT).unwrap());

    assert_eq!(outcome(&mut vm), (10, 0));
}

#[test]
fn a_used_event_that_is_not_reached_means_no_interrupt() {
    let (handled, handling) = mpsc::channel();
    let (server, _) = serve(move |request, reply| {
        echo(request, reply);
        handled.send(()).unwrap();
    });
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    vm.rings[REQUESTS].set_used_event(10);

    push(&mut vm, 10);
    vm.rings[REQUESTS].notify();
    (0..10).for_each(|_| handling.recv_timeout(LIMIT).unwrap());

    assert_eq!(outcome(&mut vm), (10, 0));
}

#[test]
fn a_used_event_means_one_interrupt_when_it_is_passed() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    vm.rings[REQUESTS].set_used_event(4);

    push(&mut vm, 5);
    vm.rings[REQUESTS].notify();

    assert!(vm.rings[REQUESTS].wait_call());
    assert_eq!(outcome(&mut vm), (5, 1));
}

#[test]
fn with_event_idx_the_flag_no_interrupt_means_nothing() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    vm.rings[REQUESTS].set_available_flags(1);

    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
}

#[test]
fn an_empty_ring_is_not_interrupted_however_often_it_is_kicked() {
    for features in [feature::ALL, NO_EVENT_IDX] {
        let (server, _) = serve(echo);
        let mut vm = Vm::boot(&server.socket(), features, &[64]).unwrap();

        for _ in 0..200 {
            vm.rings[REQUESTS].kick();
            // Time for the kick to be noticed by itself.
            vm.front_end.features().unwrap();
        }

        assert_eq!(outcome(&mut vm), (0, 0));
    }
}

#[test]
fn a_late_answer_is_interrupted_for() {
    for features in [feature::ALL, NO_EVENT_IDX] {
        let (handle, held) = hold();
        let (server, _) = serve(handle);
        let mut vm = Vm::boot(&server.socket(), features, &[64]).unwrap();
        push(&mut vm, 2);
        vm.rings[REQUESTS].notify();
        let (first, second) = (
            held.recv_timeout(LIMIT).unwrap(),
            held.recv_timeout(LIMIT).unwrap(),
        );

        second.send(b"second");
        assert_eq!(vm.rings[REQUESTS].wait().unwrap().len, 6);
        first.send(b"1");
        assert_eq!(vm.rings[REQUESTS].wait().unwrap().len, 1);
    }
}
