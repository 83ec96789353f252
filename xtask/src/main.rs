// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `cargo xtask`: guests, the demo, and every check.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to people"
)]

mod bench;
mod demo;
mod fuzz;
mod shell;
mod soak;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::guest::{self, Front, Ground, Linux};

/// Guests, the demo, and every check
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    after_help = "Examples:
  cargo xtask demo                        see a Linux guest use every device
  cargo xtask test                        run every check there is
  cargo xtask guest shell                 look around in a guest yourself
  cargo xtask demo --front qemu-arm64     the same under QEMU
  cargo xtask demo --linux 6.12           the same with an older Linux"
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Boot a Linux guest with every device and show what it sees of each
    Demo(demo::Arguments),
    /// Build the guests' kernels and root file systems, or enter a guest
    Guest(GuestArguments),
    /// Run every check: format, lints, documentation, house rules, tests with guests, a little
    /// fuzzing
    Test(test::Arguments),
    /// Measure the daemons beside the least that could do their work, earlier builds, and peers
    Bench(bench::Arguments),
    /// Run for hours: front ends that come and go, guests on every Linux and QEMU, many reboots and
    /// kills, long fuzzing
    Soak(soak::Arguments),
    /// Remove what is kept in $VIRTIO_BACKENDS_CACHE, else ~/.cache/virtio-backends
    Clean,
}

#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "What is built is kept in $VIRTIO_BACKENDS_CACHE, else ~/.cache/virtio-backends.
Debian's packages come from the archive that the machine's own package sources name, or from
$VIRTIO_BACKENDS_DEBIAN and $VIRTIO_BACKENDS_DEBIAN_SECURITY.

Examples:
  cargo xtask guest                       build everything
  cargo xtask guest uml                   build one kernel
  cargo xtask guest --linux 6.12 uml      an older one
  cargo xtask guest drivers 6.1 7.2       our drivers, for any Linux that Debian has
  cargo xtask guest shell                 a shell in a User-Mode Linux guest"
)]
struct GuestArguments {
    #[command(subcommand)]
    task: Option<GuestTask>,
    /// Build for these front ends alone
    #[arg(value_enum)]
    fronts: Vec<Front>,
    #[command(flatten)]
    ground: Ground,
}

#[derive(Subcommand)]
enum GuestTask {
    /// Boot a guest with every device and hand its terminal to you
    Shell(shell::Arguments),
    /// Build our drivers for these versions of Linux, with all warnings
    Drivers {
        /// Which versions
        #[arg(value_enum, required = true)]
        versions: Vec<Linux>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Guest(GuestArguments {
            task: Some(GuestTask::Shell(arguments)),
            ..
        }) => shell::run(&arguments),
        Task::Guest(GuestArguments {
            task: Some(GuestTask::Drivers { versions }),
            ..
        }) => {
            for version in versions {
                guest::build_drivers(version)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Task::Guest(GuestArguments { fronts, ground, .. }) => {
            ground.choose();
            build_guests(fronts)
        }
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
        Task::Clean => clean(),
    }
}

fn clean() -> Result<ExitCode> {
    let mut total = 0;
    for (path, size) in xtask::clean()? {
        println!("{:8} MiB  {}", size >> 20, path.display());
        total += size;
    }
    println!("{:8} MiB  removed", total >> 20);
    Ok(ExitCode::SUCCESS)
}

fn build_guests(mut fronts: Vec<Front>) -> Result<ExitCode> {
    if fronts.is_empty() {
        fronts.extend(Front::ALL);
    }
    // A list of them may be another machine's.
    fronts.retain(|front| front.builds_here());
    for (front, image) in fronts.iter().zip(guest::prepare(&fronts)?) {
        println!(
            "{front}: {} {}",
            image.kernel.display(),
            image.initramfs.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
