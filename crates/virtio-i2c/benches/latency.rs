// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long a driver waits for a byte of a simulated chip, beside how long it would have to.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measures, and ends if it cannot"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use virtio_backend::testing::Latency;
use virtio_i2c::{Adapter, Address, I2c, SimulatedBus};

/// A read of the EEPROM, of a byte and the status. Features: ZERO_LENGTH_REQUEST.
const READ: [u8; 8] = [0xa0, 0, 0, 0, 2, 0, 0, 0];

fn main() {
    let latency = Latency::measure(&READ, 2, 1, |watch| {
        let adapter = Arc::new(Adapter::new(SimulatedBus::demo()));
        let granted = BTreeSet::from([Address::Seven(0x50)]);
        I2c::new("guest", adapter, granted, watch).unwrap()
    });
    println!("Latency of a read of one byte, driver and device on one CPU");
    println!("{latency}");
    let ratio = latency.over_floor();
    println!(
        "  i2c: {ratio:.2} × the floor's p50, aim at most 1.10: {}",
        if ratio <= 1.1 { "met" } else { "not met" }
    );
}
