// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Chains that no driver may make: what becomes of each, and that nothing else suffers.

use virtio_backend::testing::{Descriptor, Memory, feature};

use crate::common::REQUESTS;
use crate::trial::{Expect, trial};

const NEXT: u16 = Descriptor::NEXT;
const WRITE: u16 = Descriptor::WRITE;
const INDIRECT: u16 = Descriptor::INDIRECT;

/// Two regions meet here.
const SEAM: u64 = 0x90_0000;
/// The second of them ends here, and a hole begins.
const END: u64 = 0xa0_0000;
/// Nothing is here.
const HOLE: u64 = 0x8000_0000;

/// What the driver makes available, as descriptors from 0 on, and how many bytes of answer it gets.
type Row = (&'static str, fn(&Memory) -> Vec<Descriptor>, u32);

#[track_caller]
fn check(rows: &[Row]) {
    let mut trial = trial(feature::ALL);
    for &(name, make, len) in rows {
        trial.run(name, Expect::Returned(len), |vm| {
            let ring = &mut vm.rings[REQUESTS];
            for (index, descriptor) in (0..).zip(make(&vm.memory)) {
                ring.set_descriptor(index, descriptor);
            }
            ring.push(0);
            ring.kick();
            Ok(())
        });
    }
}

const fn descriptor(addr: u64, len: u32, flags: u16, next: u16) -> Descriptor {
    Descriptor {
        addr,
        len,
        flags,
        next,
    }
}

/// A request of `len` bytes at `addr`, and good room for the answer.
fn request(memory: &Memory, addr: u64, len: u32) -> Vec<Descriptor> {
    vec![descriptor(addr, len, NEXT, 1), memory.chain(&[], &[8])[0]]
}

/// A good request, and room for an answer of `len` bytes at `addr`.
fn answer(memory: &Memory, addr: u64, len: u32) -> Vec<Descriptor> {
    vec![
        memory.chain(&[b"abc"], &[8])[0],
        descriptor(addr, len, WRITE, 0),
    ]
}

/// A good chain, spoilt.
fn spoilt(
    memory: &Memory,
    writable: &[usize],
    spoil: impl FnOnce(&mut Vec<Descriptor>),
) -> Vec<Descriptor> {
    let mut chain = memory.chain(&[b"abc", b"def"], writable);
    spoil(&mut chain);
    chain
}

/// The device answers what cannot be read as it answers an empty request: with 1 byte.
#[test]
fn a_request_that_cannot_be_read_is_empty() {
    check(&[
        ("above all memory", |m| request(m, 1 << 40, 3), 1),
        ("below all memory", |m| request(m, 0, 3), 1),
        ("in a hole", |m| request(m, HOLE, 3), 1),
        ("wraps around", |m| request(m, u64::MAX - 1, 3), 1),
        ("straddles the end of memory", |m| request(m, END - 2, 3), 1),
        (
            "good bytes, then bad",
            |m| spoilt(m, &[8], |chain| chain[1].addr = HOLE),
            1,
        ),
        (
            "begins with a writable buffer",
            |m| spoilt(m, &[8], |chain| chain[0].flags |= WRITE),
            1,
        ),
        (
            "among writable buffers",
            |m| {
                let mut chain = m.chain(&[b"abc"], &[8, 8]);
                chain.swap(0, 1);
                (chain[0].next, chain[1].next) = (1, 2);
                chain
            },
            1,
        ),
    ]);
}

#[test]
fn an_answer_ends_before_what_cannot_be_written() {
    check(&[
        ("above all memory", |m| answer(m, 1 << 40, 8), 0),
        ("below all memory", |m| answer(m, 0, 8), 0),
        ("in a hole", |m| answer(m, HOLE, 8), 0),
        ("wraps around", |m| answer(m, u64::MAX - 1, 8), 0),
        ("straddles the end of memory", |m| answer(m, END - 2, 8), 2),
        (
            "good room, then bad",
            |m| spoilt(m, &[2, 8], |chain| chain[3].addr = HOLE),
            2,
        ),
        ("no room at all", |m| m.chain(&[b"abc"], &[]), 0),
    ]);
}

#[test]
fn lengths_are_taken_at_their_word() {
    check(&[
        ("nothing to read, nowhere", |m| request(m, HOLE, 0), 1),
        ("nothing to write, nowhere", |m| answer(m, HOLE, 0), 0),
        (
            "nothing at all",
            |_| vec![descriptor(HOLE, 0, NEXT, 1), descriptor(HOLE, 0, WRITE, 0)],
            0,
        ),
        ("one byte to write", |m| m.chain(&[], &[1]), 1),
        // The device accepts 4,096 bytes, long before the end of memory.
        ("4 GiB to read", |m| request(m, 0x10_0000, u32::MAX - 8), 8),
        ("4 GiB to write", |m| answer(m, SEAM, u32::MAX - 8), 4),
        // No chain may be that long (2.7.5.2).
        (
            "more than 4 GiB to read",
            |m| request(m, 0x10_0000, u32::MAX),
            0,
        ),
        ("more than 4 GiB to write", |m| answer(m, SEAM, u32::MAX), 0),
    ]);
}

#[test]
fn buffers_across_two_regions_are_good() {
    check(&[
        ("to read", |m| request(m, SEAM - 2, 3), 4),
        ("to write", |m| answer(m, SEAM - 2, 8), 4),
    ]);
}

#[test]
fn a_chain_that_does_not_end_is_returned_unanswered() {
    check(&[
        (
            "leads to itself",
            |m| spoilt(m, &[8], |chain| chain[1].next = 1),
            0,
        ),
        (
            "leads around",
            |m| spoilt(m, &[8], |chain| chain[2].flags |= NEXT),
            0,
        ),
        (
            "leads out of the table",
            |m| spoilt(m, &[8], |chain| chain[1].next = 64),
            0,
        ),
        (
            "leads far out of the table",
            |m| spoilt(m, &[8], |chain| chain[1].next = u16::MAX),
            0,
        ),
    ]);
}

/// A table that would be good if it was not said to be `len` bytes long.
fn table(memory: &Memory, len: u32) -> Vec<Descriptor> {
    let table = memory.indirect(&memory.chain(&[b"abc"], &[8]));
    vec![Descriptor { len, ..table }]
}

fn longest_chain() -> Vec<Descriptor> {
    let mut chain: Vec<_> = (1..=u16::MAX)
        .map(|next| descriptor(SEAM, 1, NEXT, next))
        .collect();
    chain[65_534].flags = WRITE;
    chain
}

#[test]
fn a_bad_indirect_table_is_returned_unanswered() {
    check(&[
        ("empty", |m| table(m, 0), 0),
        ("smaller than a descriptor", |m| table(m, 15), 0),
        ("ends within a descriptor", |m| table(m, 33), 0),
        ("ends within the chain", |m| table(m, 16), 0),
        ("longer than an index can say", |m| table(m, 65_536 * 16), 0),
        ("4 GiB long", |m| table(m, u32::MAX - 15), 0),
        (
            "above all memory",
            |_| vec![descriptor(1 << 40, 16, INDIRECT, 0)],
            0,
        ),
        ("in a hole", |_| vec![descriptor(HOLE, 16, INDIRECT, 0)], 0),
        (
            "wraps around",
            |_| vec![descriptor(u64::MAX - 15, 32, INDIRECT, 0)],
            0,
        ),
        (
            "straddles the end of memory",
            |m| {
                m.write(END - 16, &descriptor(SEAM, 3, NEXT, 1).emit());
                vec![descriptor(END - 16, 32, INDIRECT, 0)]
            },
            0,
        ),
        ("in a table", |m| vec![m.indirect(&table(m, 32))], 0),
        (
            "leads to itself",
            |m| vec![m.indirect(&[descriptor(SEAM, 3, NEXT, 0)])],
            0,
        ),
        ("65,535 buffers", |m| vec![m.indirect(&longest_chain())], 0),
    ]);
}
