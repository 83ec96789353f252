// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line.

use std::env;
use std::io::{self, Write};
use std::num::NonZeroU8;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process;

use ::log::Level;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Args, Command, CommandFactory, Error, FromArgMatches, Parser};

use super::{Daemon, log};

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

    /// Serve the guests of a configuration file, which has a [[guest]] for each, as in the example
    /// below
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Serve the guests with N threads [default: as many as the machine has processors, at most 4]
    #[arg(long, value_name = "N")]
    pub(super) workers: Option<NonZeroU8>,

    /// Have a second front end wait at its socket until the first disconnects, and not turn it away
    #[arg(long)]
    pub(super) wait: bool,

    /// Look for a driver's next request for N microseconds after one, without waiting for its kick:
    /// faster, at the price of a processor's time
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) poll_us: u32,

    /// Offer VIRTIO_F_ACCESS_PLATFORM, as QEMU's iommu_platform=on and confidential guests want it.
    /// The guest has no virtual IOMMU, and shares the memory of its requests
    #[arg(long)]
    pub(super) access_platform: bool,

    /// Print what this back end can do, in JSON, and do nothing else
    #[arg(long)]
    print_capabilities: bool,

    /// Log also what guests do wrong; twice: everything
    #[arg(short, long, action = ArgAction::Count)]
    pub(super) verbose: u8,

    #[command(flatten, next_help_heading = "Options of a guest")]
    pub(super) guest: O,
}

/// The end of `--help` of every daemon.
const COMMON: &str = "\
The file may begin with max-guests = N: the daemon sees at start that it can serve so many at once,
and refuses a file with more. Without it, as many as there are.

Environment:
  LISTEN_FDS  sockets that systemd hands over: of guests that have their paths, or of the one guest
              that has neither --socket-path nor --fd
  RUST_LOG    what the log has without -v: error, warn, info (if not set), debug or trace

SIGTERM and SIGINT end the daemon; SIGHUP is logged and ignored. Exit codes: 0 after SIGTERM or
SIGINT; 1 if the daemon cannot start, with the reason on standard error; 2 if the command line is
wrong.";

/// Reads the command line, unless it asks for something else, as with `--help`, which is printed. A
/// mistake ends the process.
///
/// # Errors
/// When that cannot be printed.
pub(super) fn parse<D: Daemon>() -> io::Result<Option<Options<D::Options>>> {
    let mut command = Options::<D::Options>::command()
        .name(format!("vhost-user-{}", D::TYPE))
        .version(D::VERSION)
        .about(D::ABOUT)
        .after_help(format!("{}\n\n{COMMON}", D::EXAMPLES));
    let matches = match command.try_get_matches_from_mut(env::args_os()) {
        Ok(matches) => matches,
        Err(mistake) if mistake.use_stderr() => end(&mistake),
        Err(help) => {
            help.print()?;
            io::stdout().flush()?;
            return Ok(None);
        }
    };
    // With a file the guests' options are there, and one here would go unheard.
    let guest = D::Options::augment_args(Command::new(""));
    let stray = guest
        .get_arguments()
        .map(Arg::get_id)
        .find(|id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine))
        .filter(|_| matches.contains_id("config"));
    if let Some(stray) = stray {
        let message = format!("--{stray} goes into the file of --config");
        end(&command.error(ErrorKind::ArgumentConflict, message));
    }
    let options = Options::from_arg_matches(&matches);
    Ok(Some(
        options.unwrap_or_else(|error| end(&error.format(&mut command))),
    ))
}

/// Says what is wrong with the command line.
#[expect(
    clippy::print_stderr,
    clippy::exit,
    reason = "this is a part of the program's main"
)]
fn end(error: &Error) -> ! {
    if !log::is_journal() {
        error.exit();
    }
    eprint!("{}", log::lines(Level::Error, &error.to_string(), true));
    process::exit(error.exit_code())
}
