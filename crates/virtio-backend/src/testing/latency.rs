// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long a driver waits for an answer, beside how long it would have to.

use std::fmt;
use std::path::Path;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{Driver, Server};
use crate::vhost_user::{Floor, Waits};
use crate::{Device, Queue, Reply, Watch};

const ROUNDS: usize = 200;
const REQUESTS: usize = 400;

/// Who takes turns in a round.
const NAMES: [&str; 4] = ["floor", "null device", "device", "device, on any CPU"];
const FLOOR: usize = 0;
const NULL: usize = 1;
const DEVICE: usize = 2;

/// The time from a request to its answer, of a device and of the least that could answer.
///
/// What is compared takes turns in short rounds, so that whatever else the machine does slows all
/// of it alike. Ratios are taken within a round, and what is shown are medians over the rounds.
/// Driver and device have one CPU: to wake another that is idle takes longer than the request.
pub struct Latency {
    /// p50 and p99 of each in a round, in microseconds.
    rounds: Vec<[[f64; 2]; 4]>,
}

impl Latency {
    /// Makes `request` to devices that `make` makes, and whose `features` the driver accepts. Each
    /// must fill the `room` for its answer.
    pub fn measure<D: Device>(
        request: &[u8],
        room: u32,
        features: u64,
        make: impl Fn(&Watch) -> D,
    ) -> Self {
        let boot = |socket: &Path| Driver::boot(socket, features, request, room, 1);
        let all = sched_getaffinity(None).unwrap();
        let mut one = CpuSet::new();
        one.set((0..CpuSet::MAX_CPU).rfind(|&cpu| all.is_set(cpu)).unwrap());

        let unpinned = Server::new(&make);
        // Threads inherit it.
        sched_setaffinity(None, &one).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let floor = directory.path().join("floor");
        Floor::serve(&floor, room, Waits::Read);
        let (null, device) = (Server::new(|_| Null), Server::new(&make));
        let mut drivers = [&floor, &null.socket(), &device.socket()].map(|socket| boot(socket));
        let mut unpinned = boot(&unpinned.socket());

        let round = |_| {
            sched_setaffinity(None, &one).unwrap();
            let [floor, null, device] = drivers.each_mut().map(Driver::latency::<REQUESTS>);
            sched_setaffinity(None, &all).unwrap();
            [floor, null, device, unpinned.latency::<REQUESTS>()]
        };
        Self {
            rounds: (0..ROUNDS).map(round).collect(),
        }
    }

    /// The device's p50, in those of the floor.
    pub fn over_floor(&self) -> f64 {
        self.ratio(DEVICE)
    }

    fn ratio(&self, who: usize) -> f64 {
        median(
            self.rounds
                .iter()
                .map(|round| round[who][0] / round[FLOOR][0]),
        )
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (who, name) in NAMES.into_iter().enumerate() {
            let [p50, p99] = [0, 1].map(|p| median(self.rounds.iter().map(|round| round[who][p])));
            writeln!(f, "  {name:20} p50 {p50:6.2} µs   p99 {p99:6.2} µs")?;
        }
        write!(
            f,
            "  null device: {:.2} × the floor's p50",
            self.ratio(NULL)
        )
    }
}

/// The value in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A device that does nothing: what the core costs by itself.
struct Null;

impl Device for Null {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests]
    }

    fn max_request(&self) -> usize {
        4096
    }

    fn features(&self) -> u64 {
        u64::MAX >> 40
    }

    fn handle(&mut self, _queue: u16, _request: &[u8], reply: Reply) {
        let room = reply.room();
        reply.fill(room, |piece| piece.fill(0));
    }

    fn reset(&mut self) {}
}
