// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How much entropy a driver gets, beside how much there could be.

use std::time::Instant;

use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use virtio_backend::testing::{Driver, median};
use xtask::results::{Results, Spread, Throughput};

use crate::Effort;
use crate::build::Build;
use crate::device::Device;
use crate::process::folder;

/// As much as a request is answered with at most, so many at a time.
const LARGE: u32 = 64 << 10;
const DEPTH: u16 = 64;

/// A round takes many times as long as one of latency.
const ROUNDS: usize = 100;

/// Driver and daemon have processors of their own, if there are two.
pub(crate) fn measure(device: &Device, builds: &[Build], effort: Effort, results: &mut Results) {
    let folder = folder();
    let started = builds.iter().filter_map(|build| {
        // What does not start was left out with a reason already.
        let daemon = build.one(device, folder.path(), &[]).ok()?;
        let driver = Driver::boot(&daemon.sockets[0], 0, &[], LARGE, DEPTH);
        Some((build.name.as_str(), driver, daemon))
    });
    let mut started: Vec<_> = started.collect();
    let mut generator = ChaCha20Rng::from_seed([0; 32]);
    let mut buffer = vec![0; LARGE as usize];

    let mut rounds = Vec::new();
    for _ in 0..effort.rounds.min(ROUNDS) {
        let alone = rate(|| (0..DEPTH).for_each(|_| generator.fill_bytes(&mut buffer)));
        let mut round = vec![alone];
        round.extend(
            started
                .iter_mut()
                .map(|(_, driver, _)| rate(|| driver.ask())),
        );
        rounds.push(round);
    }
    let builds = started.iter().map(|(name, ..)| *name);
    for (who, name) in ["generator alone"].into_iter().chain(builds).enumerate() {
        results.throughput.push(Throughput {
            build: name.to_owned(),
            rate: median(rounds.iter().map(|round| round[who])),
            over_generator: Spread::of(rounds.iter().map(|round| round[who] / round[0])),
        });
    }
}

/// Megabytes in a second of what makes `DEPTH` large answers.
fn rate(make: impl FnOnce()) -> f64 {
    let start = Instant::now();
    make();
    f64::from(LARGE) * f64::from(DEPTH) / start.elapsed().as_secs_f64() / 1e6
}
