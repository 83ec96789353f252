// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long a driver waits for BASE PROTOCOL_VERSION, beside how long it would have to; and whether what it waits for a
//! clock depends on how many there are, or how many guests.
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
    let small = measure(&VERSION, 12, 10, 1);
    println!("Latency of BASE PROTOCOL_VERSION, driver and device on one CPU");
    println!("{small}");
    let ratio = small.over_floor();
    println!(
        "  scmi: {ratio:.2} × the floor's p50, aim at most 1.15: {}",
        if ratio <= 1.15 { "met" } else { "not met" }
    );
    println!("CLOCK_RATE_GET of the last clock, in multiples of the floor");
    for (clocks, guests) in [(10, 1), (1000, 1), (10, 256), (100, 256)] {
        let [low, high] = u16::to_le_bytes(clocks - 1);
        let request = [0x06, 0x50, 0, 0, low, high, 0, 0];
        let ratio = measure(&request, 16, clocks, guests).over_floor();
        println!("  {clocks:4} clocks, {guests:3} guests: {ratio:.2}");
    }
}

fn measure(request: &[u8], answer: u32, clocks: u16, guests: usize) -> Latency {
    Latency::measure(request, answer, P2A_CHANNELS, |watch| {
        device(clocks, guests, watch)
    })
}

/// The last of so many guests, each of which has all of so many clocks.
fn device(clocks: u16, guests: usize, watch: &Watch) -> Scmi {
    let clock = |number| Clock {
        name: format!("clock{number}"),
        r#type: ClockType::Oscillator,
        rate: Some(1),
        shared: true,
        ..Clock::default()
    };
    let description = Description {
        clocks: (0..clocks).map(clock).collect(),
        ..Description::default()
    };
    let board = Board::new(&description).unwrap();
    let agent = Agent {
        name: "guest",
        profile: Profile::V3_2,
        trusted: false,
        grants: &board.everything(),
    };
    let other = Watch::new().unwrap();
    for _ in 1..guests {
        drop(board.guest(&agent, &other).unwrap());
    }
    board.guest(&agent, watch).unwrap()
}
