// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guests whose memory goes away while the device uses it.

use std::env;
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use rustix::process::Signal;
use virtio_backend::Device;
use virtio_backend::testing::{Descriptor, LIMIT, Layout, Memory, Ring, Server, Vm, feature};

use crate::common::{REQUESTS, echo, hold, serve, was_reset};

/// Where a [`Vm`] has its rings, and where it has nothing.
const RINGS: u64 = 0x10_0000;
const ELSEWHERE: u64 = 0x1_0000_0000;

/// Set for a test that runs another one in a process of its own.
const IS_CHILD: &str = "VIRTIO_BACKEND_TEST_CHILD";

fn boot(server: &Server<impl Device>) -> Vm {
    Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap()
}

fn works(vm: &mut Vm) -> bool {
    vm.rings[REQUESTS].ask(&[b"hello"], &[8]).as_deref() == Some(b"!hello")
}

/// Makes a request of 8 bytes, answered in 8 bytes, at these addresses.
fn request(vm: &mut Vm, readable: u64, writable: u64) {
    let chain = [(readable, Descriptor::NEXT), (writable, Descriptor::WRITE)];
    let chain = chain.map(|(addr, flags)| Descriptor {
        addr,
        len: 8,
        flags,
        next: 1,
    });
    let head = vm.rings[REQUESTS].add(&chain);
    vm.rings[REQUESTS].push(head);
    vm.rings[REQUESTS].kick();
}

#[test]
fn a_guest_that_loses_its_memory_loses_its_session_and_nobody_else_does() {
    let [(server, seen), (other, _)] = [serve(echo), serve(echo)];
    let (vm, mut neighbour) = (boot(&server), boot(&other));

    vm.memory.lose(RINGS);
    vm.rings[REQUESTS].kick();

    assert!(was_reset(&seen));
    assert!(vm.front_end.features().is_err());
    assert!(works(&mut neighbour));
    drop(vm);
    assert!(works(&mut boot(&server)));
}

#[test]
fn a_request_that_is_lost_does_not_reach_the_device() {
    let (handle, held) = hold();
    let (server, seen) = serve(handle);
    let mut vm = boot(&server);

    vm.memory.lose(ELSEWHERE);
    request(&mut vm, ELSEWHERE, RINGS);

    assert!(was_reset(&seen));
    assert!(held.try_recv().is_err());
    assert_eq!(vm.rings[REQUESTS].used_index(), 0);
}

#[test]
fn a_driver_is_not_told_of_an_answer_that_is_lost() {
    let (server, seen) = serve(echo);
    let mut vm = boot(&server);

    vm.memory.lose(ELSEWHERE);
    request(&mut vm, RINGS, ELSEWHERE);

    assert!(was_reset(&seen));
    assert_eq!(vm.rings[REQUESTS].used_index(), 0);
}

#[test]
fn an_answer_from_another_thread_finds_out_as_well() {
    let (handle, held) = hold();
    let (server, seen) = serve(handle);
    let mut vm = boot(&server);
    request(&mut vm, RINGS, ELSEWHERE);
    let reply = held.recv_timeout(LIMIT).unwrap();

    vm.memory.lose(ELSEWHERE);
    thread::spawn(move || reply.send(b"late")).join().unwrap();

    assert!(was_reset(&seen));
    assert_eq!(vm.rings[REQUESTS].used_index(), 0);
}

#[test]
fn a_ring_in_memory_that_is_gone_already_ends_the_session() {
    let (server, seen) = serve(echo);
    let vm = boot(&server);
    let memory = Memory::new(&[(RINGS, 0x10_0000)]);
    let ring = Ring::new(&memory, Layout::new(&memory, 64));
    memory.lose(RINGS);

    // Read when the ring is set up: the session may be over before that is.
    let told = vm.front_end.set_memory(&memory);
    drop(told.and_then(|()| vm.front_end.set_up(REQUESTS, &ring, 0)));

    assert!(was_reset(&seen));
    assert!(works(&mut boot(&server)));
}

#[test]
fn memory_that_was_replaced_is_not_missed() {
    let (server, _) = serve(echo);
    let mut vm = boot(&server);
    assert!(works(&mut vm));
    vm.stop().unwrap();
    let memory = Memory::new(&[(RINGS, 0x10_0000)]);
    vm.rings = vec![Ring::new(&memory, Layout::new(&memory, 64))];
    let former = mem::replace(&mut vm.memory, memory);
    vm.start(&[0]).unwrap();

    former.lose(RINGS);

    assert!(works(&mut vm));
}

/// Whatever is used first: a front end that replaces memory by such that is not there, while its
/// ring is being served.
#[test]
fn memory_that_goes_while_it_is_replaced_ends_no_more_than_the_session() {
    let [(server, seen), (other, _)] = [serve(echo), serve(echo)];
    let mut neighbour = boot(&other);
    for round in 0..200 {
        let vm = boot(&server);
        let Vm {
            front_end,
            memory,
            rings,
            ..
        } = &vm;
        let (over, goes_on) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                while goes_on.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    rings[REQUESTS].kick();
                }
            });
            let other = Memory::new(&[(RINGS, 0x10_0000)]);
            if round % 2 == 0 {
                other.lose(RINGS);
                // Fails when the session is over already.
                drop(front_end.set_memory(&other));
            } else {
                memory.lose(ELSEWHERE);
                drop(front_end.set_memory(memory));
                memory.lose(RINGS);
            }
            assert!(was_reset(&seen));
            drop(over);
        });
        assert!(works(&mut neighbour));
    }
}

#[test]
fn a_sigbus_elsewhere_ends_the_process() {
    if env::var_os(IS_CHILD).is_some() {
        let (_server, _) = serve(echo);
        let memory = Memory::new(&[(0, 0x1000)]);
        memory.lose(0);
        memory.write(0, b"nobody is there");
        return;
    }
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "lost::a_sigbus_elsewhere_ends_the_process"]);
    let ended = child.env(IS_CHILD, "").output().unwrap();
    assert_eq!(ended.status.signal(), Some(Signal::BUS.as_raw()));
}
