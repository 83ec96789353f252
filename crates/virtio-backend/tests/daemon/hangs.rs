// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device whose hardware hangs, and its neighbours on the same worker.

use std::convert::Infallible;
use std::sync::mpsc;
use std::thread;

use virtio_backend::testing::{LIMIT, Server, Vm, feature};
use virtio_backend::{Hardware, Watch};

use crate::common::{REQUESTS, echo, scripted};
use crate::log;

/// For longer than a queue's stop waits for hardware, which is 10 s.
#[test]
fn hardware_that_hangs_delays_its_own_guest_alone() {
    log::collect();
    let (hangs, hung) = mpsc::channel();
    let (comes_back, back) = mpsc::channel::<()>();
    let (device, _) = scripted(move |request: &[u8], reply| {
        hangs.send(()).unwrap();
        back.recv_timeout(LIMIT).unwrap();
        echo(request, reply);
    });
    let hardware = Hardware::start("hangs").unwrap();
    let make = |_: &Watch| Ok::<_, Infallible>(device);
    let mut server = Server::named("hangs", |watch| hardware.device(watch, make).unwrap());
    let neighbour = server.beside("neighbour of it", |_| scripted(echo).0);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let mut neighbour = Vm::boot(&neighbour, feature::ALL, &[64]).unwrap();
    let mut works = || neighbour.rings[REQUESTS].ask(&[b"x"], &[2]).is_some();
    let chain = vm.memory.chain(&[b"hello"], &[8]);
    vm.rings[REQUESTS].submit(&chain);
    hung.recv_timeout(LIMIT).unwrap();

    // It hears its own front end, too.
    assert!(works());
    vm.front_end.features().unwrap();
    let front_end = &vm.front_end;
    let base = thread::scope(|scope| {
        let stop = scope.spawn(|| front_end.stop(REQUESTS).unwrap());
        while !stop.is_finished() {
            assert!(works());
        }
        stop.join().unwrap()
    });
    assert_eq!(base, 1);
    assert!(log::says("hangs", "has not finished within 10 s"));
    assert_eq!(vm.rings[REQUESTS].pop(), None);

    // The answer waits until the queue goes on, and not longer.
    comes_back.send(()).unwrap();
    vm.start(&[base]).unwrap();
    let used = vm.rings[REQUESTS].wait().unwrap();
    assert_eq!(vm.memory.answer(&chain, used.len), b"!hello");
    assert_eq!(log::count("hangs", "has not finished"), 1);
}

/// All hear that the daemon ends, before it waits for one of them.
#[test]
fn hardware_that_hangs_keeps_no_other_device_from_the_end() {
    let (hangs, hung) = mpsc::channel();
    let (comes_back, back) = mpsc::channel::<()>();
    let (device, _) = scripted(move |_: &[u8], reply| {
        hangs.send(()).unwrap();
        back.recv_timeout(LIMIT).unwrap();
        drop(reply);
    });
    let (other, seen) = scripted(echo);
    let hardware = Hardware::start("hangs").unwrap();
    let make = |_: &Watch| Ok::<_, Infallible>(device);
    let mut server = Server::new(|watch| hardware.device(watch, make).unwrap());
    let neighbour = server.beside("neighbour", |_| other);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let _neighbour = Vm::boot(&neighbour, feature::ALL, &[64]).unwrap();
    vm.rings[REQUESTS].submit(&vm.memory.chain(&[b"hello"], &[8]));
    hung.recv_timeout(LIMIT).unwrap();
    drop(hardware);

    thread::scope(|scope| {
        scope.spawn(move || drop(server));
        assert!(crate::common::was_reset(&seen));
        comes_back.send(()).unwrap();
    });
}
