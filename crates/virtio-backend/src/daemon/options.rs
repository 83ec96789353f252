// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser};

use super::Daemon;

/// What every daemon understands, and one guest's options `O`.
#[derive(Parser)]
#[group(skip)] // Its name is the device's to use: groups are named after their struct.
pub(super) struct Options<O: Args> {
    /// Listen on a socket at PATH, which is made, and removed at the end
    #[arg(long, value_name = "PATH", conflicts_with_all = ["fd", "config"])]
    pub(super) socket_path: Option<PathBuf>,

    /// Listen on a socket that was handed over as file descriptor N
    #[arg(long, value_name = "N", conflicts_with = "config")]
    pub(super) fd: Option<RawFd>,

    /// Serve the guests of a configuration file: a [[guest]] table for each, with name, socket, and
    /// the options below
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Print what this back end can do, in JSON, and do nothing else
    #[arg(long)]
    print_capabilities: bool,

    /// Log also what guests do wrong; twice: everything
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) verbose: u8,

    #[command(flatten, next_help_heading = "Options of a guest")]
    pub(super) guest: O,
}

/// Reads the command line, or ends the process as `--help` and mistakes do.
pub(super) fn parse<D: Daemon>() -> Options<D::Options> {
    let mut command = Options::<D::Options>::command()
        .name(format!("vhost-user-{}", D::TYPE))
        .version(D::VERSION)
        .about(D::ABOUT)
        .after_help(D::EXAMPLES);
    let matches = command.get_matches_mut();
    // With a file the guests' options are there, and one here would go unheard.
    let guest = D::Options::augment_args(Command::new(""));
    let stray = guest
        .get_arguments()
        .map(Arg::get_id)
        .find(|id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine))
        .filter(|_| matches.contains_id("config"));
    if let Some(stray) = stray {
        let message = format!("--{stray} goes into the file of --config");
        command.error(ErrorKind::ArgumentConflict, message).exit();
    }
    Options::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}
