// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long a driver waits for BASE PROTOCOL_VERSION, beside how long it would have to. Whether a command's time depends
//! on how many resources there are, or guests, is the engine's to measure, in its `lookup`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measures, and ends if it cannot"
)]

use scmi::Profile;
use virtio_backend::Watch;
use virtio_backend::testing::Latency;
use virtio_scmi::{Agent, Board, Clock, ClockType, Description, Scmi};

const P2A_CHANNELS: u64 = 1;
/// BASE PROTOCOL_VERSION.
const VERSION: [u8; 4] = [0, 0x40, 0, 0];

fn main() {
    let latency = Latency::measure(&VERSION, 12, P2A_CHANNELS, device);
    println!("Latency of BASE PROTOCOL_VERSION, driver and device on one CPU");
    println!("{latency}");
    let ratio = latency.over_floor();
    println!(
        "  scmi: {ratio:.2} × the floor's p50, aim at most 1.10: {}",
        if ratio <= 1.1 { "met" } else { "not met" }
    );
}

/// A guest that has a clock.
fn device(watch: &Watch) -> Scmi {
    let clock = Clock {
        name: "clock".to_owned(),
        r#type: ClockType::Oscillator,
        rate: Some(1),
        ..Clock::default()
    };
    let description = Description {
        clocks: vec![clock],
        ..Description::default()
    };
    let board = Board::new(&description).unwrap();
    let agent = Agent {
        name: "guest",
        profile: Profile::V3_2,
        trusted: false,
        grants: &board.everything(),
    };
    board.guest(&agent, watch).unwrap()
}
