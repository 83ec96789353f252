// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What takes hours: front ends that come and go, every guest on every Linux and QEMU, more often, and
//! long fuzzing.

use std::process::ExitCode;

use anyhow::Result;
use xtask::guest::{Front, Ground, Linux, Qemu};
use xtask::trial;

use crate::fuzz;
use crate::test::{GUESTS, Pass, TESTS, Tally, cargo, prepare_guests};

/// Of what CI runs, this is ten times as much.
const DEFAULT: u32 = 10;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask soak                        about four hours with two processors
  cargo xtask soak --times 50             overnight
  cargo xtask soak --sessions-only        100,000 front ends that come and go, and a long storm
  cargo xtask soak --times 1 --fuzz-only  what CI fuzzes")]
pub(crate) struct Arguments {
    /// How often front ends come and go, guests reboot, are killed and lose their daemons, and how long
    /// targets are fuzzed, as multiples of what `cargo xtask test` does
    #[arg(long, default_value_t = DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Fuzz, and nothing else
    #[arg(long)]
    fuzz_only: bool,
    /// Have front ends come and go without end, and nothing else
    #[arg(long, conflicts_with = "fuzz_only")]
    sessions_only: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut tally = Tally::new();
    if !arguments.fuzz_only {
        let mut tests = cargo(&["test", "--package", "virtio-backend", "--test", "reconnect"]);
        tests.env(trial::TIMES, arguments.times.to_string());
        tally.tests(&mut tests)?;
        tally.group("sessions");
    }
    if arguments.sessions_only {
        return Ok(tally.finish());
    }
    if !arguments.fuzz_only {
        guests(&mut tally, arguments.times)?;
    }
    fuzz::run(&mut tally, fuzz::SHORT.saturating_mul(arguments.times))?;
    tally.group("fuzzing");
    Ok(tally.finish())
}

fn guests(tally: &mut Tally, times: u32) -> Result<()> {
    let drivers = ["xtask", "guest", "drivers", "6.1", "6.12", "7.2", "7.3"];
    tally.command("drivers for all versions", cargo(&drivers));
    for linux in [Linux::V7_3, Linux::V6_12] {
        for qemu in [Qemu::V11_1, Qemu::V10_0] {
            let ground = Ground {
                linux,
                qemu,
                ..Ground::NEWEST
            };
            let pass = Pass {
                ground,
                fronts: &Front::ALL,
            };
            prepare_guests(tally, pass);
            let mut tests = cargo(&[&TESTS[..], &GUESTS].concat());
            tests.env(trial::TIMES, times.to_string());
            tally.guests(tests, pass)?;
        }
    }
    Ok(())
}
