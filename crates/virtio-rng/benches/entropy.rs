// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How fast a driver gets its entropy, beside how fast it could.
//!
//! What is compared takes turns in short rounds, so that whatever else the machine does slows all of it alike. Ratios
//! are taken within a round, and what is printed are medians over the rounds.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints what it measures, and fails if it cannot go on"
)]

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use virtio_backend::testing::{Driver, Latency, Server, median};
use virtio_backend::{Device, Queue, Reply, Watch};
use virtio_rng::{Rng, System};

/// What Linux asks for, one request at a time.
const SMALL: u32 = 64;

/// As much as a request is answered with at most, so many at a time.
const LARGE: u32 = 64 << 10;
const DEPTH: u16 = 64;
const THROUGHPUT_ROUNDS: usize = 100;

fn main() {
    latency();
    throughput();
}

fn latency() {
    let latency = Latency::measure(&[], SMALL, 0, entropy);
    println!("Latency of a request of {SMALL} bytes, driver and device on one CPU");
    println!("{latency}");
    let ratio = latency.over_floor();
    println!(
        "  entropy: {ratio:.2} × the floor's p50, aim at most 1.10: {}",
        verdict(ratio <= 1.1)
    );
}

/// Bytes in a second, driver and device on CPUs of their own if there are two.
fn throughput() {
    let mut generator = ChaCha20Rng::from_seed([0; 32]);
    let mut buffer = vec![0; LARGE as usize];
    let (entropy, urandom) = (Server::new(entropy), Server::new(|_| Urandom::open()));
    let mut drivers =
        [entropy.socket(), urandom.socket()].map(|it| Driver::boot(&it, 0, &[], LARGE, DEPTH));

    let mut rounds = Vec::new();
    for _ in 0..THROUGHPUT_ROUNDS {
        let alone = rate(|| (0..DEPTH).for_each(|_| generator.fill_bytes(&mut buffer)));
        let [entropy, urandom] = drivers.each_mut().map(|driver| rate(|| driver.ask()));
        rounds.push([alone, entropy, urandom]);
    }

    println!("Throughput of requests of {LARGE} bytes, {DEPTH} at a time");
    let names = ["generator alone", "entropy", "/dev/urandom"];
    for (who, name) in names.into_iter().enumerate() {
        println!(
            "  {name:20} {:6.0} MB/s",
            median(rounds.iter().map(|round| round[who]))
        );
    }
    let over = |who: usize| median(rounds.iter().map(|round| round[1] / round[who]));
    let ratio = over(0);
    println!(
        "  entropy: {ratio:.2} × the generator, aim at least 0.90: {}",
        verdict(ratio >= 0.9)
    );
    let ratio = over(2);
    println!(
        "  entropy: {ratio:.2} × /dev/urandom, aim at least 4: {}",
        verdict(ratio >= 4.0)
    );
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "not met" }
}

/// Megabytes in a second of what makes `DEPTH` large answers.
fn rate(make: impl FnOnce()) -> f64 {
    let start = Instant::now();
    make();
    f64::from(LARGE) * f64::from(DEPTH) / start.elapsed().as_secs_f64() / 1e6
}

fn entropy(watch: &Watch) -> Rng {
    Rng::new("guest", Box::new(System::new("guest")), None, watch).unwrap()
}

/// What a back end does that reads `/dev/urandom` for each request.
struct Urandom {
    file: File,
    bytes: Vec<u8>,
}

impl Urandom {
    fn open() -> Self {
        Self {
            file: File::open("/dev/urandom").unwrap(),
            bytes: vec![0; LARGE as usize],
        }
    }
}

impl Device for Urandom {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests]
    }

    fn max_request(&self) -> usize {
        0
    }

    fn handle(&mut self, _queue: u16, _request: &[u8], reply: Reply) {
        let bytes = &mut self.bytes[..reply.room()];
        self.file.read_exact(bytes).unwrap();
        reply.send(bytes);
    }

    fn reset(&mut self) {}
}
