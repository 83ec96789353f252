// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether a command costs more when there are more resources or more agents: it must not.
//!
//! What is compared takes turns in short rounds, so that whatever else the machine does slows all of it alike. Ratios
//! are taken within a round, and what is printed are medians over the rounds.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a benchmark prints what it measures, and fails if it cannot go on"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::{Board, Given, Parts, bytes};
use scmi::{Answer, Engine};

const ROUNDS: usize = 200;
const COMMANDS: usize = 2000;

/// No more than what the processor's caches make of a larger table.
const AIM: f64 = 1.15;

fn main() {
    let first: Vec<u16> = (0..10).collect();
    let many: Vec<u16> = (0..10_000).collect();
    let mut few_resources = Parts::new(10, &[Given::all(&first)]);
    let mut many_resources = Parts::new(10_000, &[Given::all(&many)]);
    // Each has ten resources of its own, and shares none.
    let own = |agent: u16| Given::all(&(agent * 10..agent * 10 + 10).collect::<Vec<_>>());
    let agents: Vec<_> = (0..256).map(own).collect();
    let mut one_agent = Parts::new(2560, &agents[..1]);
    let mut many_agents = Parts::new(2560, &agents);

    compare(
        "10,000 clocks against 10",
        [
            (&mut few_resources.engine(), 0, 9),
            (&mut many_resources.engine(), 0, 9999),
        ],
    );
    compare(
        "256 agents against 1",
        [
            (&mut one_agent.engine(), 0, 9),
            (&mut many_agents.engine(), 255, 9),
        ],
    );
}

type Message = fn(u32) -> Vec<u32>;

const MESSAGES: [(&str, Message); 5] = [
    ("BASE PROTOCOL_VERSION", |_| vec![0x4000]),
    ("CLOCK_ATTRIBUTES", |id| vec![0x5003, id]),
    ("CLOCK_RATE_GET", |id| vec![0x5006, id]),
    ("CLOCK_RATE_SET", |id| vec![0x5005, 0, id, 200, 0]),
    ("SENSOR_READING_GET", |id| vec![0x5406, id, 0]),
];

/// An engine, an agent, and what that calls its last resource.
type Last<'a, 'b> = (&'a mut Engine<'b, Board>, u16, u32);

fn compare(what: &str, mut engines: [Last<'_, '_>; 2]) {
    println!("{what}");
    for (name, message) in MESSAGES {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(
                engines
                    .each_mut()
                    .map(|(engine, agent, id)| time(engine, *agent, &bytes(&message(*id)))),
            );
        }
        let ratio = median(rounds.iter().map(|[few, many]| many / few));
        println!(
            "  {name:22} {:5.0} ns and {:5.0} ns: {ratio:.2} times, aim at most {AIM}: {}",
            median(rounds.iter().map(|round| round[0])),
            median(rounds.iter().map(|round| round[1])),
            if ratio <= AIM { "met" } else { "not met" }
        );
    }
}

/// Nanoseconds that a command takes.
fn time(engine: &mut Engine<'_, Board>, agent: u16, request: &[u8]) -> f64 {
    let mut response = [0; 136];
    let start = Instant::now();
    for _ in 0..COMMANDS {
        let answer = engine.handle(scmi::AgentId(agent), black_box(request), &mut response);
        assert!(matches!(answer, Answer::Now(8..)));
        assert_eq!(response[4..8], [0; 4]);
    }
    start.elapsed().as_nanos() as f64 / COMMANDS as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
