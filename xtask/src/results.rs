// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the benchmark has measured, as its JSON has it.

use serde::{Deserialize, Serialize};

/// A run of the benchmark.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Results {
    /// Where it ran.
    pub machine: Machine,
    /// One request at a time, driver and daemon on one processor.
    pub latency: Vec<Latency>,
    /// The same on two processors, and the daemons look for requests without a kick.
    pub polling: Vec<Latency>,
    /// The same with a device on its worker, and with that device on a thread of its hardware.
    pub hand_over: Vec<Latency>,
    /// Many guests in one daemon.
    pub scale: Vec<Scale>,
    /// Quiet guests among others.
    pub neighbours: Vec<Neighbours>,
    /// Large requests, many at a time.
    pub throughput: Vec<Throughput>,
    /// What could not be measured, and why.
    pub left_out: Vec<String>,
}

/// The machine, and what it has.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many of them.
    pub processors: usize,
    /// The kernel's version.
    pub linux: String,
    /// The compiler's version.
    pub rustc: String,
    /// What is compared, this tree's build first, each as a name and a revision or versions.
    pub builds: Vec<(String, String)>,
    /// Whether driver and daemon had real-time priority: other load counts if not.
    pub real_time: bool,
    /// How many tasks wanted to run in the minute before.
    pub load: f64,
    /// Whether it was `--quick`: short, and without optimization.
    pub quick: bool,
}

/// The middle of what many rounds measured, and what is above the lowest tenth and below the
/// highest.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the rounds are below.
    pub median: f64,
    /// A tenth of the rounds is below.
    pub low: f64,
    /// A tenth of the rounds is above.
    pub high: f64,
}

/// How long a driver waits for an answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Latency {
    /// Which device.
    pub device: String,
    /// Who answers: a build, or a floor.
    pub build: String,
    /// Half of the answers are there after this many microseconds.
    pub p50: f64,
    /// 99 in a hundred are.
    pub p99: f64,
    /// The p50 in those of the floor that waits with `read`, round by round.
    pub over_read: Spread,
    /// The same with the floor that waits with epoll.
    pub over_epoll: Spread,
    /// The same with the first build.
    pub over_first: Spread,
    /// Processor time of the process that answers, in microseconds for each request.
    pub processor_time: Option<f64>,
    /// System calls of that process for each request.
    pub system_calls: Option<f64>,
}

/// What so many guests in one daemon cost.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Scale {
    /// Which device.
    pub device: String,
    /// Which build.
    pub build: String,
    /// So many guests, all connected.
    pub guests: usize,
    /// From the start of the process until it listens for the last of them, in milliseconds.
    pub start: Spread,
    /// Threads for each connected guest.
    pub threads: f64,
    /// Threads before any is connected.
    pub threads_before: usize,
    /// File descriptors for each connected guest.
    pub descriptors: f64,
    /// Anonymous memory for each connected guest, in KiB.
    pub memory: f64,
    /// Half of the answers are there after this many microseconds, guest by guest.
    pub p50: f64,
    /// 99 in a hundred are.
    pub p99: f64,
    /// The p50 in those of the floor that waits with `read`, and has one guest.
    pub over_read: Spread,
}

/// How long quiet guests wait while others of their daemon do not behave.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Neighbours {
    /// What the others do.
    pub what: String,
    /// Which build.
    pub build: String,
    /// So many guests are quiet.
    pub quiet: usize,
    /// So many are not.
    pub others: usize,
    /// 99 in a hundred requests are answered after this many microseconds, without the others.
    pub p99_without: f64,
    /// The same among them.
    pub p99_among: f64,
    /// That in the p99 without them, round by round.
    pub over_without: Spread,
    /// What that shall be at most.
    pub aim: f64,
    /// Threads that are left behind when the others are gone.
    pub threads_left: usize,
    /// File descriptors that are.
    pub descriptors_left: usize,
}

/// How many bytes an entropy device hands out.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Throughput {
    /// Which build.
    pub build: String,
    /// Megabytes in a second.
    pub rate: f64,
    /// In the rate of the generator alone, round by round.
    pub over_generator: Spread,
}

impl Results {
    /// Says once why something is not there.
    pub fn leave_out(&mut self, what: &str, why: &str) {
        let reason = format!("{what}: {why}");
        if !self.left_out.contains(&reason) {
            self.left_out.push(reason);
        }
    }
}

impl Latency {
    /// What the names of floors begin with.
    pub const FLOOR: &str = "floor, ";

    /// Whether this is not a build.
    pub fn is_floor(&self) -> bool {
        self.build.starts_with(Self::FLOOR)
    }
}

impl Spread {
    /// Of these values, of which there is at least one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |tenths: usize| {
            let last = values.len().saturating_sub(1);
            values.get(last * tenths / 10).copied().unwrap_or(f64::NAN)
        };
        Self {
            median: at(5),
            low: at(1),
            high: at(9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_leaves_out_a_tenth_at_either_end() {
        let values = (0..=100).rev().map(f64::from);
        let expected = Spread {
            median: 50.0,
            low: 10.0,
            high: 90.0,
        };
        assert_eq!(Spread::of(values), expected);
        assert_eq!(Spread::of([7.0]).high, 7.0);
    }
}
