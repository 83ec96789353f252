// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long a driver waits for the value of a simulated line, beside how long it would have to; and
//! for an edge.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark prints what it measures, and ends if it cannot"
)]

use std::time::{Duration, Instant};

use virtio_backend::Watch;
use virtio_backend::testing::{Latency, Server, Vm, feature};
use virtio_gpio::{Gpio, Grant, SimulatedChip};

/// GET_VALUE of line 4.
const VALUE: [u8; 8] = [4, 0, 4, 0, 0, 0, 0, 0];
const F_IRQ: u64 = 1;
const EDGES: usize = 20_000;

fn main() {
    let latency = Latency::measure(&VALUE, 2, F_IRQ, |watch| {
        device(&SimulatedChip::new(), watch)
    });
    println!("Latency of GET_VALUE, driver and device on one CPU");
    println!("{latency}");
    let ratio = latency.over_floor();
    println!(
        "  gpio: {ratio:.2} × the floor's p50, aim at most 1.10: {}",
        if ratio <= 1.1 { "met" } else { "not met" }
    );
    let mut edges = edges();
    edges.sort_unstable();
    let [p50, p99] = [50, 99].map(|percent| edges[EDGES * percent / 100].as_secs_f64() * 1e6);
    println!("From an edge of a simulated line to the driver's interrupt, each unmasked again");
    println!("  p50 {p50:6.2} µs   p99 {p99:6.2} µs");
}

fn device(chip: &SimulatedChip, watch: &Watch) -> Gpio {
    let mut gpio = Gpio::new("guest", watch);
    for offset in 0..16 {
        gpio.grant(chip, offset, &Grant::default()).unwrap();
    }
    gpio
}

/// How long each edge took.
fn edges() -> Vec<Duration> {
    let chip = SimulatedChip::new();
    let server = Server::new(|watch| device(&chip, watch));
    let mut vm = Vm::boot(&server.socket(), feature::ALL | F_IRQ, &[64, 64]).unwrap();
    // Both edges of line 8, button0.
    let enabled = vm.rings[0].ask(&[&[6, 0, 8, 0, 3, 0, 0, 0]], &[2]);
    assert_eq!(enabled, Some(vec![0, 0]));
    let pair = vm.memory.chain(&[&[8, 0]], &[1]);
    let mut level = false;
    let edge = |_| {
        let head = vm.rings[1].add(&pair);
        vm.rings[1].push(head);
        vm.rings[1].notify();
        // The device has seen the buffers once it has answered: nothing is told from a latch.
        vm.rings[0].ask(&[&VALUE], &[2]).unwrap();
        level = !level;
        let start = Instant::now();
        chip.drive("button0", Some(level)).unwrap();
        vm.rings[1].wait().unwrap();
        start.elapsed()
    };
    (0..EDGES).map(edge).collect()
}
