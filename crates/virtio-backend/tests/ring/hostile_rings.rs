// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Rings that no driver may make: they stop alone, until the driver sets them up again.

use std::io;

use virtio_backend::testing::{Descriptor, Layout, Ring, Used, Vm, feature};

use crate::common::{REQUESTS, echo, serve};
use crate::trial::{Expect, trial};

/// Memory ends here.
const END: u64 = 0xa0_0000;
/// Nothing is here.
const HOLE: u64 = 0x8000_0000;

/// What the driver does.
type Row = (&'static str, fn(&mut Vm) -> io::Result<()>);

#[track_caller]
fn check(expect: Expect, rows: &[Row]) {
    let mut trial = trial(feature::ALL);
    for (name, offence) in rows {
        trial.run(name, expect, offence);
    }
}

/// Says that the available ring is filled up to `index`.
fn jump(vm: &mut Vm, index: u16) -> io::Result<()> {
    vm.rings[REQUESTS].set_available_index(index);
    vm.rings[REQUESTS].kick();
    Ok(())
}

/// Makes the chain at `head` available.
fn push(vm: &mut Vm, head: u16) -> io::Result<()> {
    vm.rings[REQUESTS].push(head);
    vm.rings[REQUESTS].kick();
    Ok(())
}

/// Starts anew with a ring at another place.
fn place(vm: &mut Vm, place: impl FnOnce(&mut Layout)) -> io::Result<()> {
    vm.stop()?;
    let mut layout = Layout::new(&vm.memory, 64);
    place(&mut layout);
    vm.rings[REQUESTS] = Ring::new(&vm.memory, layout);
    vm.start(&[0])
}

#[test]
fn an_available_ring_that_cannot_be_right_stops() {
    check(
        Expect::Stopped,
        &[
            // One request was made before.
            ("one more than there are", |vm| jump(vm, 1 + 65)),
            ("60,000 more", |vm| jump(vm, 1 + 60_000)),
            ("one less", |vm| jump(vm, 0)),
            ("a head out of range", |vm| push(vm, 64)),
            ("a head far out of range", |vm| push(vm, u16::MAX)),
        ],
    );
}

#[test]
fn a_ring_that_ends_outside_memory_stops() {
    check(
        Expect::Stopped,
        &[
            ("used ring", |vm| {
                place(vm, |layout| layout.used = END - 4)?;
                vm.rings[REQUESTS].add(&vm.memory.chain(&[b"abc"], &[8]));
                push(vm, 0)
            }),
            ("available ring", |vm| {
                place(vm, |layout| layout.available = END - 4)?;
                jump(vm, 1)
            }),
        ],
    );
}

#[test]
fn a_chain_that_leaves_a_table_that_ends_outside_memory_is_returned_unanswered() {
    let mut trial = trial(feature::ALL);
    trial.run("descriptor table", Expect::Stopped, |vm| {
        place(vm, |layout| layout.descriptors = END - 16)?;
        let leaves = Descriptor {
            addr: HOLE,
            len: 1,
            flags: Descriptor::NEXT,
            next: 1,
        };
        vm.rings[REQUESTS].set_descriptor(0, leaves);
        push(vm, 0)?;
        assert_eq!(vm.rings[REQUESTS].wait(), Some(Used { id: 0, len: 0 }));
        Ok(())
    });
}

/// The front end translates a guest's addresses: one that it does not know is its own mistake.
#[test]
fn a_ring_outside_memory_is_refused() {
    check(
        Expect::Refused,
        &[
            ("descriptor table", |vm| {
                place(vm, |layout| layout.descriptors = HOLE)
            }),
            ("available ring", |vm| {
                place(vm, |layout| layout.available = HOLE)
            }),
            ("used ring", |vm| place(vm, |layout| layout.used = HOLE)),
            ("used ring, wraps around", |vm| {
                place(vm, |layout| layout.used = u64::MAX - 3)
            }),
        ],
    );
}

#[test]
fn a_misaligned_ring_is_refused() {
    check(
        Expect::Refused,
        &[
            ("descriptor table", |vm| {
                place(vm, |layout| layout.descriptors += 8)
            }),
            ("available ring", |vm| {
                place(vm, |layout| layout.available += 1)
            }),
            ("used ring", |vm| place(vm, |layout| layout.used += 2)),
        ],
    );
}

#[test]
fn an_indirect_table_that_was_not_negotiated_does_no_harm() {
    let mut trial = trial(feature::ALL & !feature::INDIRECT_DESC);
    trial.run("good table", Expect::Returned(4), |vm| {
        let table = vm.memory.indirect(&vm.memory.chain(&[b"abc"], &[8]));
        vm.rings[REQUESTS].set_descriptor(0, table);
        push(vm, 0)
    });
}

#[test]
fn the_front_end_hears_that_a_ring_broke() {
    let (server, _) = serve(echo);
    let vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let errors = vm.front_end.errors(REQUESTS).unwrap();
    assert!(errors.read().is_err());

    let ring = Ring::new(&vm.memory, Layout::new(&vm.memory, 3));
    vm.front_end.set_up(REQUESTS, &ring, 0).unwrap_err();

    assert_eq!(errors.read().unwrap(), 1);
}
