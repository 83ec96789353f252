// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Messages of the device's own accord.

use std::sync::mpsc::Receiver;

use virtio_backend::Events;
use virtio_backend::testing::{Descriptor, LIMIT, Vm, feature};

use crate::common::{EVENTS, Seen, echo, serve};

/// A device with an event queue of 4 entries, and its handle.
fn boot() -> (impl Sized, Vm, Events, Receiver<Seen>) {
    let (server, seen) = serve(echo);
    let vm = Vm::boot(&server.socket(), feature::ALL, &[4, 4]).unwrap();
    let events = introduced(&seen);
    (server, vm, events, seen)
}

fn introduced(seen: &Receiver<Seen>) -> Events {
    loop {
        if let Seen::Events(events) = seen.recv_timeout(LIMIT).unwrap() {
            return events;
        }
    }
}

/// Lends a buffer of `size` bytes.
fn lend(vm: &mut Vm, size: usize) {
    let chain = vm.memory.chain(&[], &[size]);
    let ring = &mut vm.rings[EVENTS];
    ring.submit(&chain);
}

/// The next message, in a buffer of `size` bytes that is lent for it now.
fn fetch(vm: &mut Vm, size: usize) -> Option<Vec<u8>> {
    vm.rings[EVENTS].ask(&[], &[size])
}

#[test]
fn a_buffer_stays_with_the_device_until_it_has_something_to_say() {
    let (_server, mut vm, events, _) = boot();
    lend(&mut vm, 8);
    let bases = vm.stop().unwrap();
    assert_eq!(vm.rings[EVENTS].used_index(), 0);
    vm.start(&bases).unwrap();

    assert!(events.send(b"now"));

    assert_eq!(vm.rings[EVENTS].wait().map(|used| used.len), Some(3));
}

#[test]
fn messages_wait_for_buffers_and_arrive_in_order() {
    let (_server, mut vm, events, _) = boot();

    assert!(events.send(b"first"));
    assert!(events.send(b"second"));
    assert!(events.send(b"third"));

    assert_eq!(fetch(&mut vm, 8).as_deref(), Some(&b"first"[..]));
    assert_eq!(fetch(&mut vm, 8).as_deref(), Some(&b"second"[..]));
    assert_eq!(fetch(&mut vm, 8).as_deref(), Some(&b"third"[..]));
}

#[test]
fn a_message_is_cut_to_its_buffer() {
    let (_server, mut vm, events, _) = boot();
    assert!(events.send(b"too long"));
    assert_eq!(fetch(&mut vm, 3).as_deref(), Some(&b"too"[..]));
}

#[test]
fn an_offered_message_is_dropped_without_a_buffer() {
    let (_server, mut vm, events, _) = boot();

    events.offer(b"lost");
    assert!(events.send(b"kept"));
    events.offer(b"lost");
    assert_eq!(fetch(&mut vm, 8).as_deref(), Some(&b"kept"[..]));

    lend(&mut vm, 8);
    events.offer(b"there");
    assert_eq!(vm.rings[EVENTS].wait().map(|used| used.len), Some(5));
    assert!(events.send(b"last"));
    assert_eq!(fetch(&mut vm, 8).as_deref(), Some(&b"last"[..]));
}

#[test]
fn a_device_that_found_no_buffer_hears_of_one() {
    let (_server, mut vm, events, seen) = boot();
    assert!(!events.offer(b"lost"));
    while seen.try_recv().is_ok() {}

    lend(&mut vm, 8);

    assert!(matches!(seen.recv_timeout(LIMIT), Ok(Seen::Lent)));
    assert!(events.offer(b"there"));
    assert_eq!(vm.rings[EVENTS].wait().map(|used| used.len), Some(5));
    assert!(!events.offer(b"lost"));
}

#[test]
fn no_more_messages_wait_than_the_queue_has_entries() {
    let (_server, mut vm, events, _) = boot();

    let taken: Vec<bool> = (0..6_u8).map(|n| events.send(&[n])).collect();

    assert_eq!(taken, [true, true, true, true, false, false]);
    for n in 0..4 {
        assert_eq!(fetch(&mut vm, 8), Some(vec![n]));
    }
    assert!(events.send(b"again"));
    assert_eq!(fetch(&mut vm, 8).as_deref(), Some(&b"again"[..]));
}

#[test]
fn a_message_while_stopped_arrives_when_the_machine_goes_on() {
    let (_server, mut vm, events, _) = boot();
    lend(&mut vm, 8);
    let bases = vm.stop().unwrap();
    let memory = vm.memory.snapshot();

    assert!(events.send(b"late"));

    assert!(memory == vm.memory.snapshot());
    vm.start(&bases).unwrap();
    assert_eq!(vm.rings[EVENTS].wait().map(|used| used.len), Some(4));
}

#[test]
fn messages_of_a_guest_that_was_reset_are_gone() {
    let (_server, mut vm, events, seen) = boot();
    assert!(events.send(b"old"));
    // Something has to be at another base after the reset than before it.
    assert!(vm.rings[0].ask(&[b"hello"], &[8]).is_some());

    vm.reboot().unwrap();

    let anew = introduced(&seen);
    assert!(!events.send(b"older than the guest"));
    assert!(anew.send(b"new"));
    assert_eq!(fetch(&mut vm, 8).as_deref(), Some(&b"new"[..]));
    assert!(!events.send(b"still"));
}

#[test]
fn messages_of_a_guest_that_went_away_are_gone() {
    let (_server, vm, events, seen) = boot();
    drop(vm);
    assert!(crate::common::was_reset(&seen));
    assert!(!events.send(b"late"));
}

#[test]
fn a_bad_buffer_is_returned_and_costs_no_message_its_turn() {
    let (_server, mut vm, events, _) = boot();
    let mut chain = vm.memory.chain(&[], &[8]);
    chain[0].flags = Descriptor::NEXT;
    vm.rings[EVENTS].set_descriptor(0, chain[0]);
    vm.rings[EVENTS].push(0);
    vm.rings[EVENTS].kick();

    assert!(events.send(b"fine"));

    assert_eq!(vm.rings[EVENTS].wait().map(|used| used.len), Some(0));
    assert_eq!(fetch(&mut vm, 8).as_deref(), Some(&b"fine"[..]));
}
