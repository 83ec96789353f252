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
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::guest::{self, Front};

/// Guests, the demo, and every check
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    after_help = "Examples:
  cargo xtask demo                        see a Linux guest use every device
  cargo xtask test                        run every check there is
  cargo xtask guest shell                 look around in a guest yourself
  cargo xtask demo --front qemu-arm64     the same under QEMU"
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
    /// Run the benchmarks of all crates
    Bench,
}

#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "What is built is kept in $VIRTIO_BACKENDS_CACHE, else ~/.cache/virtio-backends.

Examples:
  cargo xtask guest                       build everything
  cargo xtask guest uml                   build one kernel
  cargo xtask guest shell                 a shell in a User-Mode Linux guest"
)]
struct GuestArguments {
    #[command(subcommand)]
    task: Option<GuestTask>,
    /// Build for this front end alone
    #[arg(value_enum)]
    front: Option<Front>,
}

#[derive(Subcommand)]
enum GuestTask {
    /// Boot a guest with every device and hand its terminal to you
    Shell(shell::Arguments),
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
        Task::Guest(GuestArguments { front, .. }) => build_guests(front),
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench => bench::run(),
    }
}

fn build_guests(front: Option<Front>) -> Result<ExitCode> {
    let fronts: Vec<_> = match front {
        Some(front) => vec![front],
        None => Front::ALL
            .into_iter()
            .filter(|front| front.builds_here())
            .collect(),
    };
    for (front, image) in fronts.iter().zip(guest::prepare(&fronts)?) {
        println!(
            "{front}: {} {}",
            image.kernel.display(),
            image.initramfs.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
