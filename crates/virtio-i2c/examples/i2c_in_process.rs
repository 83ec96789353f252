// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device inside a VMM, and a chip of one's own: no socket, no thread, only the VMM's own queue.
//!
//! `cargo run -p virtio-i2c --no-default-features --example i2c_in_process`
#![expect(clippy::print_stdout, reason = "the example shows what it got")]

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use virtio_backend::{Device, Reply, Ring, Urgency, Watch};
use virtio_i2c::{Adapter, Address, Chip, I2c, Nack, SimulatedBus};

/// A chip that counts how often it is read.
struct Counter(u8);

impl Chip for Counter {
    fn write(&mut self, _bytes: &[u8]) -> Result<(), Nack> {
        Err(Nack)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Nack> {
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
        Ok(())
    }
}

/// A queue whose one buffer is ordinary memory. A VMM has guest memory and a used ring here.
struct Queue {
    buffer: Mutex<Vec<u8>>,
}

impl Ring for Queue {
    fn answer(
        &self,
        _life: u32,
        _head: u16,
        range: Range<usize>,
        source: &mut dyn FnMut(&mut [u8]),
    ) {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.resize(range.end, 0);
        if let Some(bytes) = buffer.get_mut(range) {
            source(bytes);
        }
    }

    fn emit(&self, _life: u32, _message: &[u8], _urgency: Urgency) -> bool {
        false // An I²C adapter has no events.
    }
}

fn main() -> io::Result<()> {
    let chip = Address::Seven(0x20);
    let mut bus = SimulatedBus::new();
    bus.add(chip, Counter(0));
    // In a VMM's loop, for the time that the rest of a group may take.
    let watch = Watch::new()?;
    let mut i2c = I2c::new(
        "example",
        Arc::new(Adapter::new(bus)),
        BTreeSet::from([chip]),
        &watch,
    )?;
    i2c.negotiated(i2c.features());

    let queue = Arc::new(Queue {
        buffer: Mutex::default(),
    });
    // A read of the chip at 0x20: `addr` is shifted, `flags` has M_RD. A byte, and the status.
    for _ in 0..3 {
        let ring: Weak<Queue> = Arc::downgrade(&queue);
        i2c.handle(0, &[0x40, 0, 0, 0, 2, 0, 0, 0], Reply::new(ring, 0, 0, 2));
        println!(
            "{:02x?}",
            queue.buffer.lock().unwrap_or_else(PoisonError::into_inner)
        );
    }
    Ok(())
}
