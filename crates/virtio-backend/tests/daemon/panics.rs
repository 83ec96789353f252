// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device that panics, which is a mistake of ours: it costs one guest its device, and the others
//! nothing.

use std::convert::Infallible;
use std::path::Path;

use virtio_backend::testing::{FrontEnd, LIMIT, Server, Vm, feature, protocol};
use virtio_backend::{Hardware, Reply, Watch};

use crate::common::{REQUESTS, echo, hold, scripted, was_reset};
use crate::log;

fn fragile(request: &[u8], reply: Reply) {
    assert_ne!(request, b"panic", "as the test wants it");
    echo(request, reply);
}

fn works(vm: &mut Vm) -> bool {
    vm.rings[REQUESTS].ask(&[b"x"], &[2]).as_deref() == Some(b"!x")
}

/// The guest called `name` has lost its device for good, and the log says so once.
fn is_given_up(name: &str, socket: &Path, vm: &Vm) {
    assert!(log::says(name, "as the test wants it"));
    assert_eq!(log::count(name, "panicked"), 1);
    assert!(vm.front_end.features().is_err());
    assert!(FrontEnd::connect(socket, protocol::ALL).is_err());
}

#[test]
fn a_device_that_panics_costs_its_own_guest_alone() {
    log::collect();
    let (device, seen) = scripted(fragile);
    let mut server = Server::named("panics", |_| device);
    let neighbour = server.beside("not it", |_| scripted(fragile).0);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let mut neighbour = Vm::boot(&neighbour, feature::ALL, &[64]).unwrap();
    assert!(works(&mut vm) && works(&mut neighbour));

    vm.rings[REQUESTS].submit(&vm.memory.chain(&[b"panic"], &[8]));

    is_given_up("panics", &server.socket(), &vm);
    // Its hardware is left as when a guest goes away, and it is dropped.
    assert!(was_reset(&seen));
    assert!(seen.recv_timeout(LIMIT).is_err());
    assert!(works(&mut neighbour));
    // What the neighbour does on its own thread is as ever.
    neighbour.reboot().unwrap();
    assert!(works(&mut neighbour));
}

#[test]
fn a_device_that_panics_on_the_thread_of_its_hardware_costs_its_own_guest_alone() {
    log::collect();
    let hardware = Hardware::start("bus").unwrap();
    let (handle, held) = hold();
    let (device, seen) = scripted({
        let mut handle = handle;
        move |request: &[u8], reply| match request {
            b"hold" => handle(request, reply),
            _ => fragile(request, reply),
        }
    });
    let make = |_: &Watch| Ok::<_, Infallible>(device);
    let mut server = Server::named("panics there", |watch| {
        hardware.device(watch, make).unwrap()
    });
    let make = |_: &Watch| Ok::<_, Infallible>(scripted(fragile).0);
    let same_bus = server.beside("same bus", |watch| hardware.device(watch, make).unwrap());
    let same_worker = server.beside("same worker", |_| scripted(fragile).0);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let mut others =
        [same_bus, same_worker].map(|socket| Vm::boot(&socket, feature::ALL, &[64]).unwrap());
    assert!(works(&mut vm));
    vm.rings[REQUESTS].submit(&vm.memory.chain(&[b"hold"], &[8]));
    let held = held.recv_timeout(LIMIT).unwrap();

    vm.rings[REQUESTS].submit(&vm.memory.chain(&[b"panic"], &[8]));

    is_given_up("panics there", &server.socket(), &vm);
    assert!(was_reset(&seen));
    let memory = vm.memory.snapshot();
    held.send(b"late");
    assert!(memory == vm.memory.snapshot());
    assert!(others.iter_mut().all(works));
}

/// The ring is locked then, and stays unusable: for this guest.
#[test]
fn a_device_that_panics_while_its_answer_is_written_costs_its_own_guest_alone() {
    log::collect();
    let fails = |_: &[u8], reply: Reply| {
        let mut pieces = 0;
        reply.fill(8, |_| {
            pieces += 1;
            assert_eq!(pieces, 0, "as the test wants it");
        });
    };
    let hardware = Hardware::start("bus").unwrap();
    let make = |_: &Watch| Ok::<_, Infallible>(scripted(fails).0);
    let mut server = Server::named("half", |_| scripted(fails).0);
    let offloaded = server.beside("half there", |watch| hardware.device(watch, make).unwrap());
    let make = |_: &Watch| Ok::<_, Infallible>(scripted(echo).0);
    let neighbour = server.beside("whole", |watch| hardware.device(watch, make).unwrap());
    let mut neighbour = Vm::boot(&neighbour, feature::ALL, &[64]).unwrap();
    for (name, socket) in [("half", server.socket()), ("half there", offloaded)] {
        let mut vm = Vm::boot(&socket, feature::ALL, &[64]).unwrap();
        vm.rings[REQUESTS].submit(&vm.memory.chain(&[b"x"], &[8]));
        assert!(log::says(name, "panicked"));
        assert!(vm.front_end.features().is_err());
        assert_eq!(vm.rings[REQUESTS].pop(), None);
        assert!(works(&mut neighbour));
    }
}
