// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Measures whole daemons, as processes, from a front end and a driver that share nothing with
//! them. `cargo xtask bench` builds the daemons and starts this.
//!
//! What is compared takes turns in short rounds, in another order each time, so that whatever else
//! the machine does slows all of it alike. Ratios are taken within a round; what is reported is
//! their median, and how far they spread.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a benchmark that cannot go on ends"
)]

mod adapter;
mod build;
mod device;
mod latency;
mod neighbours;
mod process;
mod scale;
mod throughput;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use virtio_backend::testing::{Waits, raise_limit};
use xtask::results::{Machine, Results};

use build::Build;
use device::DEVICES;

#[derive(Parser)]
struct Arguments {
    /// Daemons to compare, the ones of interest first
    #[arg(long = "build", value_name = "NAME=FOLDER", value_parser = |text: &str| Build::parse(text, false))]
    builds: Vec<Build>,
    /// Published peers to compare with
    #[arg(long, value_name = "NAME=FOLDER", value_parser = |text: &str| Build::parse(text, true))]
    peer: Option<Build>,
    /// Where the results go
    #[arg(long, default_value = "results.json")]
    output: PathBuf,
    /// Of these devices alone
    #[arg(long)]
    device: Vec<String>,
    /// As short as it can be: the figures are not worth much
    #[arg(long)]
    quick: bool,
    /// Be a floor instead: answer with so many bytes at a socket
    #[arg(long, hide = true, num_args = 3, value_names = ["read|epoll", "LENGTH", "SOCKET"])]
    floor: Vec<String>,
    /// Be wild guests instead, each of which pauses for up to so many milliseconds
    #[arg(long, hide = true, num_args = 2.., value_names = ["MS", "SOCKET"])]
    wild: Vec<String>,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// How long all of it takes.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// How many guests a daemon has.
    pub(crate) guests: &'static [usize],
    pub(crate) starts: usize,
    /// How often there are neighbours that do not behave, and for how long.
    pub(crate) storms: usize,
    pub(crate) storm: Duration,
}

const FULL: Effort = Effort {
    rounds: 300,
    guests: &[1, 10, 100, 1000],
    starts: 9,
    // Together a minute.
    storms: 12,
    storm: Duration::from_secs(5),
};

const QUICK: Effort = Effort {
    rounds: 10,
    guests: &[1, 10],
    starts: 1,
    storms: 2,
    storm: Duration::from_millis(500),
};

fn main() {
    let arguments = Arguments::parse();
    if let [waits, length, socket] = arguments.floor.as_slice() {
        let waits = match waits.as_str() {
            "epoll" => Waits::Epoll,
            _ => Waits::Read,
        };
        process::be_a_floor(waits, length.parse().unwrap(), socket.as_ref());
    }
    if let [pause, sockets @ ..] = arguments.wild.as_slice() {
        raise_limit();
        neighbours::be_wild(pause.parse().unwrap(), sockets);
    }
    raise_limit();
    let effort = if arguments.quick { QUICK } else { FULL };
    let mut results = Results {
        machine: machine(),
        ..Results::default()
    };
    results.machine.quick = arguments.quick;
    results.machine.real_time = process::can_be_urgent();
    if !results.machine.real_time {
        let why = "this machine does not allow it, so other load counts";
        results.leave_out("real-time priority", why);
    }
    let wanted =
        |name: &str| arguments.device.is_empty() || arguments.device.iter().any(|n| n == name);
    let builds: Vec<_> = arguments.builds.into_iter().chain(arguments.peer).collect();
    for device in DEVICES.iter().filter(|device| wanted(device.name)) {
        let say = |what| eprintln!("{}: {what}", device.name);
        say("latency");
        latency::measure(device, &builds, effort, &mut results);
        say("polling");
        latency::poll(device, &builds, effort, &mut results);
        say("many guests");
        scale::measure(device, &builds, effort, &mut results);
        match device.name {
            "rng" => {
                say("throughput");
                throughput::measure(device, &builds, effort, &mut results);
                say("neighbours that do not behave");
                neighbours::measure(device, &builds, effort, &mut results);
            }
            "i2c" => {
                say("an adapter with a thread of its own");
                adapter::hand_over(device, effort, &mut results);
                adapter::slow(device, effort, &mut results);
            }
            _ => {}
        }
        // What is measured is worth something, whatever becomes of the rest.
        save(&results, &arguments.output);
    }
}

fn save(results: &Results, output: &Path) {
    let json = serde_json::to_string_pretty(results).unwrap();
    fs::write(output, json + "\n").unwrap();
}

fn machine() -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let name = cpus.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    let load = read("/proc/loadavg");
    Machine {
        processor: name.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        processors: process::processors(),
        linux: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        load: load
            .split(' ')
            .next()
            .and_then(|l| l.parse().ok())
            .unwrap_or(0.0),
        ..Machine::default()
    }
}
