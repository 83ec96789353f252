// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What becomes of requests at a reset, and when a queue stops.

use std::sync::mpsc;
use std::thread;

use virtio_backend::testing::{Server, Used, Vm, feature};
use virtio_backend::{Device, Offloaded, Stopped};

use crate::common::{Bench, HOLD, ask};

/// A guest on `bench`, and what has its device go on.
fn serve(bench: &Bench) -> (Server<Offloaded>, mpsc::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let server = Server::new(|watch| {
        let (device, go_on) = bench.guest_at(watch, "a");
        tell.send(go_on).unwrap();
        device
    });
    (server, told.recv().unwrap())
}

/// Waits until the devices have told `what`.
fn comes(bench: &Bench, what: &str) {
    while bench.next() != what {}
}

#[test]
fn a_reset_forgets_what_the_device_has_not_begun() {
    let bench = Bench::new();
    let (mut device, go_on) = bench.guest("a");
    let begun = ask(&mut device, HOLD);
    assert_eq!(bench.next(), "a hold on 0");
    let forgotten = ask(&mut device, b"forgotten");
    device.drained(0);
    let (stops, stopped) = mpsc::channel();
    device.stop(0, Stopped::new(move || stops.send(()).unwrap()));
    assert!(stopped.try_recv().is_err());

    device.reset();

    // Nobody waits for what is never going to be.
    assert_eq!(stopped.try_recv(), Ok(()));
    assert_eq!(forgotten.now(), Some(vec![]));
    assert_eq!(begun.now(), None);
    let next = ask(&mut device, b"next");
    go_on.send(()).unwrap();
    assert_eq!(bench.next_of(2), ["a reset", "a next on 0"]);
    assert_eq!(begun.wait().as_deref(), Some(HOLD));
    assert_eq!(next.wait().as_deref(), Some(&b"next"[..]));
}

#[test]
fn replies_from_before_a_reset_write_nothing() {
    let bench = Bench::new();
    let (server, go_on) = serve(&bench);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let chain = vm.memory.chain(&[HOLD], &[8]);
    vm.rings[0].submit(&chain);
    comes(&bench, "a hold on 0");
    vm.rings[0].submit(&vm.memory.chain(&[b"forgotten"], &[16]));
    // Handed over before the front end is heard.
    vm.front_end.features().unwrap();

    vm.front_end.reset_device().unwrap();
    let (memory, calls) = (vm.memory.snapshot(), vm.rings[0].calls());
    go_on.send(()).unwrap();
    assert_eq!(bench.next(), "a reset");
    assert!(memory == vm.memory.snapshot());
    assert_eq!(calls, vm.rings[0].calls());

    vm.rings[0].reset();
    vm.start(&[0]).unwrap();
    let answer = vm.rings[0].ask(&[b"anew"], &[8]);
    assert_eq!(answer.as_deref(), Some(&b"anew"[..]));
}

#[test]
fn a_base_is_told_when_the_request_in_work_is_answered() {
    let bench = Bench::new();
    let (server, go_on) = serve(&bench);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    vm.rings[0].submit(&vm.memory.chain(&[HOLD], &[8]));
    comes(&bench, "a hold on 0");
    let (mut other, _) = bench.guest("b");
    let front_end = &vm.front_end;

    let base = thread::scope(|scope| {
        let stop = scope.spawn(|| front_end.stop(0).unwrap());
        // What waits behind the request is not done either.
        let answer = ask(&mut other, b"x");
        for _ in 0..1000 {
            thread::yield_now();
            assert!(!stop.is_finished() && answer.now().is_none());
        }
        go_on.send(()).unwrap();
        stop.join().unwrap()
    });

    assert_eq!(base, 1);
    assert_eq!(vm.rings[0].pop(), Some(Used { id: 0, len: 4 }));
}
