// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon's outside: command line, configuration file, sockets, log, signals.
//!
//! After QEMU's "back-end program conventions" (docs/interop/vhost-user): in the foreground, logs
//! on standard error, a socket by path or by descriptor, a clean end on SIGTERM.

mod config;
mod control;
mod options;
mod socket;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use log::{LevelFilter, info, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::config::{File, GuestTable};
use self::options::Options;
use self::socket::Socket;
use crate::vhost_user::survive;
use crate::{Device, Guest, Watch};

pub use self::control::control;
pub use toml::Spanned;

/// How long a guest may take to end before the daemon ends without it: its hardware may hang for
/// ever. It is longer than a device takes for what it has begun: the longest is virtio-i2c's 3 s
/// until its turn comes, and a second for the transaction, unless an adapter's `timeout` says more.
const GRACE: Duration = Duration::from_secs(10);

/// File descriptors that a guest may need: its socket and session, its rings' events, its memory, a
/// few of its device's own.
const FDS_PER_GUEST: u64 = 64;

/// A daemon: the device that it serves, and how a guest's device is configured.
pub trait Daemon {
    /// The device's type, as in `vhost-user-TYPE`.
    const TYPE: &'static str;
    /// One line for `--help`.
    const ABOUT: &'static str;
    /// For `--version`: the daemon's own package's, `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// The end of `--help`.
    const EXAMPLES: &'static str;
    /// One guest's options: the same words on the command line and in the file.
    type Options: clap::Args + DeserializeOwned;
    /// What the file has beside its guests; [`NoTables`], or a struct that denies unknown fields.
    /// The default is that of a guest from the command line.
    type Tables: DeserializeOwned + Default;
    /// What the guests share.
    type Host;
    /// The device.
    type Device: Device;

    /// What the guests share, its hardware open. Comes before there is any guest.
    ///
    /// # Errors
    /// When an option cannot be had. Say which table it is in.
    fn host(tables: Self::Tables) -> Result<Self::Host, Fault>;

    /// The device of the guest that the log calls `guest`, its hardware open. Comes before there is
    /// any socket.
    ///
    /// # Errors
    /// When an option cannot be had.
    fn device(
        host: &mut Self::Host,
        guest: &str,
        options: Self::Options,
        watch: &Watch,
    ) -> Result<Self::Device, Fault>;
}

/// A file with guests and nothing else.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoTables {}

/// What is wrong with an option. Said with the option's name, or with its line in the configuration
/// file.
#[derive(Debug)]
pub struct Fault {
    option: &'static str,
    error: anyhow::Error,
    /// Where its table begins in the file, if that is not the guest's.
    table: Option<usize>,
}

impl Fault {
    /// The option is in this table of the file, or in one within it that was named before.
    #[must_use]
    pub fn within<T>(self, table: &Spanned<T>) -> Self {
        Self {
            table: self.table.or(Some(table.span().start)),
            ..self
        }
    }
}

/// Says which option an error is about.
pub trait Blame<T> {
    /// The error is about `option`, by its name in the configuration file.
    ///
    /// # Errors
    /// The error there was.
    fn blame(self, option: &'static str) -> Result<T, Fault>;
}

impl<T, E: Into<anyhow::Error>> Blame<T> for Result<T, E> {
    fn blame(self, option: &'static str) -> Result<T, Fault> {
        self.map_err(|error| Fault {
            option,
            error: error.into(),
            table: None,
        })
    }
}

/// Runs a daemon: the whole of its `main`.
///
/// The exit code is 0 after SIGTERM, 1 with a line on standard error when the daemon cannot start,
/// 2 when the command line is wrong.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the program's main"
)]
pub fn main<D: Daemon>() -> ExitCode {
    // Whatever else the command line says, and however wrong.
    if env::args_os().any(|argument| argument == "--print-capabilities") {
        println!(r#"{{"type": "{}"}}"#, D::TYPE);
        return ExitCode::SUCCESS;
    }
    match run::<D>(options::parse::<D>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vhost-user-{}: {error:#}", D::TYPE);
            ExitCode::FAILURE
        }
    }
}

fn run<D: Daemon>(options: Options<D::Options>) -> anyhow::Result<()> {
    let handed_over = socket::handed_over(options.fd)?;
    start_log(options.verbose);
    survive();
    raise_limit().context("limit of open files")?;
    // From here on a signal waits until there is something to end.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    // All devices are there before the first socket is, and all sockets before the first guest is
    // served.
    let guests = guests::<D>(options)?;
    let (guests, sockets): (Vec<_>, Vec<_>) = guests.into_iter().unzip();
    let (listeners, bound) = socket::open(sockets, handed_over)?;
    let (ended, end) = mpsc::channel::<()>();
    for (guest, listener) in guests.iter().zip(listeners) {
        info!(
            "{}: listening on {}",
            guest.name(),
            socket::path(&listener).display()
        );
        let (guest, ended) = (Arc::clone(guest), ended.clone());
        // Ends when the guest is stopped, below.
        thread::Builder::new()
            .name(guest.name().to_owned())
            .spawn(move || {
                guest.serve(&listener);
                // First the device, which may have hardware to leave as it is to be.
                drop(guest);
                drop(ended);
            })?;
    }
    drop(ended);
    // Whoever cannot be told has no part in serving the guests (sd_notify(3)).
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        warn!("NOTIFY_SOCKET: {error}");
    }
    signals.forever().next();
    guests.into_iter().for_each(|guest| guest.stop());
    // The channel, on which nobody says anything, closes when the last guest has ended.
    if end.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
        warn!("a guest's hardware does not answer: ending without it");
    }
    drop(bound);
    Ok(())
}

/// Guests with their devices open, and where each will be found.
type Guests<D> = Vec<(Arc<Guest<D>>, Socket)>;

fn guests<D: Daemon>(options: Options<D::Options>) -> anyhow::Result<Guests<D::Device>> {
    let said = |fault: Fault| fault.error.context(format!("--{}", fault.option));
    let Some(path) = options.config else {
        let socket = options.socket_path.map_or(Socket::HandedOver, Socket::Path);
        let watch = Watch::new()?;
        let mut host = D::host(D::Tables::default()).map_err(said)?;
        let device = D::device(&mut host, D::TYPE, options.guest, &watch).map_err(said)?;
        return Ok(vec![(Guest::new(D::TYPE, device, watch)?, socket)]);
    };
    let file = File::read(&path)?;
    let (max, guests, tables) = file.tables::<D::Options, D::Tables>()?;
    reserve(max)?;
    let mut host = D::host(tables).map_err(|fault| file.fault(None, &fault))?;
    let open = |GuestTable {
                    name,
                    socket,
                    options,
                    start,
                }| {
        let watch = Watch::new()?;
        let device = D::device(&mut host, &name, options, &watch)
            .map_err(|fault| file.fault(Some(start), &fault))?;
        Ok((Guest::new(name, device, watch)?, Socket::Path(socket)))
    };
    guests.into_iter().map(open).collect()
}

/// Has as many file descriptors as the host allows: some devices have one for each line or sensor
/// that a guest uses. The soft limit is there for programs that call select(2).
fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// Sees to it that `guests` can be served at once, before the first is.
fn reserve(guests: usize) -> anyhow::Result<()> {
    let needed = FDS_PER_GUEST.saturating_mul(guests as u64);
    let limit = getrlimit(Resource::Nofile).current;
    ensure!(
        limit.is_none_or(|limit| limit >= needed),
        "max-guests = {guests} needs a limit of {needed} open files (ulimit -n)"
    );
    Ok(())
}

/// Logs to standard error: `RUST_LOG` says what, unless the command line does.
fn start_log(verbose: u8) {
    let level = [LevelFilter::Info, LevelFilter::Debug]
        .get(usize::from(verbose))
        .copied()
        .unwrap_or(LevelFilter::Trace);
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level).format(|line, record| {
        writeln!(
            line,
            "{}: {}",
            record.level().as_str().to_lowercase(),
            record.args()
        )
    });
    if verbose == 0 {
        // What they report as errors is what guests do wrong, as often as guests do it.
        for module in ["vhost_user_backend", "virtio_queue", "vm_memory"] {
            builder.filter_module(module, LevelFilter::Off);
        }
        builder.parse_default_env();
    }
    builder.init();
}
