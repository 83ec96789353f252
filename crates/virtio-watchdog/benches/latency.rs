// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long a driver waits for the answer to a ping, beside how long it would have to.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints what it measures, and ends if it cannot"
)]

use virtio_backend::testing::Latency;
use virtio_watchdog::{Plan, Settings, Supervisor, Watchdog};

/// START of channel 0.
const START: [u8; 16] = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const F_CONTROL: u64 = 1;

fn main() {
    let latency = Latency::measure(&START, 16, F_CONTROL, |watch| {
        let plan = Plan {
            guest: "guest".into(),
            control: None,
            stages: vec!["event".parse().unwrap()],
            command_limit: std::time::Duration::ZERO,
            pause: std::time::Duration::ZERO,
            max_resets: 0,
            window: std::time::Duration::ZERO,
            boot_timeout: None,
            firmware_reset: std::time::Duration::ZERO,
            last: None,
            kdump_timeout: std::time::Duration::ZERO,
            relay: false,
            record: None,
        };
        let host = Box::new(Supervisor::new(plan, watch).unwrap());
        Watchdog::new("guest", Settings::default(), host, None, watch).unwrap()
    });
    println!("Latency of a START, which is as much as a ping, driver and device on one CPU");
    println!("{latency}");
    let ratio = latency.over_floor();
    println!(
        "  watchdog: {ratio:.2} × the floor's p50, aim at most 1.10: {}",
        if ratio <= 1.1 { "met" } else { "not met" }
    );
}
