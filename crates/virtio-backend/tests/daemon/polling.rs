// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A worker that looks for a driver's next request by itself.

use std::time::Duration;

use virtio_backend::testing::{LIMIT, Server, Used, Vm, feature};

use crate::common::{REQUESTS, echo, scripted};

fn polling(poll: Duration) -> (Server<impl virtio_backend::Device>, Vm) {
    let server = Server::polling(poll, |_| scripted(echo).0);
    let vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    (server, vm)
}

/// Makes a request without a kick. Returns what comes back, if something does.
fn ask_silently(vm: &mut Vm) -> Option<Used> {
    let chain = vm.memory.chain(&[b"hello"], &[8]);
    let ring = &mut vm.rings[REQUESTS];
    let head = ring.add(&chain);
    ring.push(head);
    ring.wait()
}

#[test]
fn a_request_is_answered_without_a_kick_while_the_worker_polls() {
    let (_server, mut vm) = polling(LIMIT * 2);
    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());

    for _ in 0..100 {
        assert_eq!(ask_silently(&mut vm).map(|used| used.len), Some(6));
    }
}

#[test]
fn a_worker_that_polls_hears_its_front_end_and_can_be_stopped() {
    let (server, mut vm) = polling(LIMIT * 2);
    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());

    let bases = vm.stop().unwrap();
    vm.start(&bases).unwrap();

    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
    drop(server);
    assert!(vm.front_end.features().is_err());
}

/// `Ring::ask` kicks only if the device wants that.
#[test]
fn a_worker_that_has_polled_for_long_enough_asks_for_kicks() {
    let (_server, mut vm) = polling(Duration::from_micros(1));

    for _ in 0..1000 {
        assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
    }
}
