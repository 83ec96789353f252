// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A hostile driver and a hostile VMM against the entropy device and its ring.
#![no_main]

mod hostile;
mod machine;
mod tap;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

use hostile::{Place, RawDescriptor, RawLayout};
use machine::Machine;

#[derive(Arbitrary, Debug)]
struct Input {
    limited: bool,
    operations: Vec<Operation>,
}

/// What the driver or the VMM does next.
#[derive(Arbitrary, Debug)]
enum Operation {
    /// Lends buffers in a chain as good as Linux's: the sizes of those that the device reads and of those that it
    /// writes, and whether through an indirect table.
    Lend {
        readable: u8,
        writable: [u8; 2],
        indirect: bool,
    },
    Descriptor {
        slot: u8,
        descriptor: RawDescriptor,
    },
    Table {
        place: Place,
        descriptors: Vec<RawDescriptor>,
    },
    Write {
        place: Place,
        bytes: Vec<u8>,
    },
    Push(u8),
    AvailableIndex(u16),
    AvailableFlags(u16),
    UsedEvent(u16),
    Kick,
    Poll,
    /// Whether the source has something to give, and what.
    Source {
        open: bool,
        byte: u8,
    },
    Features {
        event_idx: bool,
    },
    Boot,
    Stop,
    Resume,
    Restart {
        layout: RawLayout,
        base: u16,
    },
}

fuzz_target!(|input: Input| {
    let mut machine = Machine::new(input.limited);
    for operation in input.operations {
        perform(&mut machine, operation);
    }
    machine.finish();
});

fn perform(machine: &mut Machine, operation: Operation) {
    match operation {
        Operation::Lend {
            readable,
            writable,
            indirect,
        } => machine.lend(readable, writable, indirect),
        Operation::Descriptor { slot, descriptor } => {
            machine.set_descriptor(slot, descriptor.descriptor())
        }
        Operation::Table { place, descriptors } => {
            let descriptors = descriptors.into_iter().map(RawDescriptor::descriptor);
            machine.set_table(place.address(), descriptors);
        }
        Operation::Write { place, bytes } => machine.write(place.address(), &bytes),
        Operation::Push(head) => machine.push(head.into()),
        Operation::AvailableIndex(index) => machine.set_available_index(index),
        Operation::AvailableFlags(flags) => machine.ring.set_available_flags(flags),
        Operation::UsedEvent(index) => machine.ring.set_used_event(index),
        Operation::Kick => machine.kick(),
        Operation::Poll => machine.poll(),
        Operation::Source { open, byte } => machine.set_source(open, byte),
        Operation::Features { event_idx } => machine.set_features(event_idx),
        Operation::Boot => machine.boot(),
        Operation::Stop => machine.stop(),
        Operation::Resume => machine.resume(),
        Operation::Restart { layout, base } => machine.restart(&layout.layout(), base),
    }
}
