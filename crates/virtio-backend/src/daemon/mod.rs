// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon's outside: command line, configuration file, sockets, log, signals.
//!
//! After QEMU's "back-end program conventions" (docs/interop/vhost-user): in the foreground, logs
//! on standard error, a socket by path or by descriptor, a clean end on SIGTERM.

mod config;
mod control;
mod log;
mod options;
mod socket;
mod value;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use ::log::{Level, info, warn};
use anyhow::{Context, anyhow, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::config::{File, GuestTable};
use self::options::Options;
use self::socket::Socket;
use crate::vhost_user::{Place, Service, Settings, Workers, survive};
use crate::{Device, Watch};

pub use self::control::control;
pub use self::value::{positive, text_or_number};
pub use toml::Spanned;

/// How long a guest may take to end before the daemon ends without it: its hardware may hang for
/// ever. It is longer than a device takes for what it has begun: the longest is a transaction on an
/// I²C adapter, of a second unless the adapter's `timeout` says more.
const GRACE: Duration = Duration::from_secs(10);

/// File descriptors of a guest that is connected: its listening socket, the connection, the channel
/// back, eight regions of memory, which is as many as QEMU's guests have, and a second front end that is
/// about to be turned away.
const FDS_PER_GUEST: u64 = 12;

/// And of each of its queues: kick, call and error.
const FDS_PER_QUEUE: u64 = 3;

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

    /// What the guests share, its hardware open. Comes before there is any guest.
    ///
    /// # Errors
    /// When an option cannot be had. Say which table it is in.
    fn host(tables: Self::Tables) -> Result<Self::Host, Fault>;

    /// The device of the guest that the log calls `guest`, its hardware open. Comes before there is
    /// any socket. A device that may have to wait for its hardware is on a thread of that:
    /// [`Hardware`](crate::Hardware).
    ///
    /// # Errors
    /// When an option cannot be had.
    fn device(
        host: &mut Self::Host,
        guest: &str,
        options: Self::Options,
        watch: &Watch,
    ) -> Result<Box<dyn Device>, Fault>;
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
    /// Which element of its list is wrong, if one is.
    element: Option<usize>,
    /// Where its table begins in the file, if that is not the guest's.
    table: Option<usize>,
}

impl Fault {
    /// The fault is in this element of the option's list.
    #[must_use]
    pub fn element(self, element: usize) -> Self {
        Self {
            element: Some(element),
            ..self
        }
    }

    /// The option is in this table of the file, or in one within it that was named before.
    #[must_use]
    pub fn within<T>(self, table: &Spanned<T>) -> Self {
        Self {
            table: self.table.or(Some(table.span().start)),
            ..self
        }
    }
}

/// Says which option an error is about. Other options stand in the error in backquotes.
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
            element: None,
            table: None,
        })
    }
}

/// Runs a daemon: the whole of its `main`.
///
/// The exit code is 0 after SIGTERM, 1 with a line on standard error when the daemon cannot start,
/// 2 when the command line is wrong.
#[expect(clippy::print_stderr, reason = "this is the program's main")]
pub fn main<D: Daemon>() -> ExitCode {
    match start::<D>() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("vhost-user-{}: {error:#}", D::TYPE);
            eprint!("{}", log::lines(Level::Error, &text, log::is_journal()));
            ExitCode::FAILURE
        }
    }
}

fn start<D: Daemon>() -> anyhow::Result<()> {
    // Whatever else the command line says, and however wrong.
    if env::args_os().any(|argument| argument == "--print-capabilities") {
        return print_capabilities(D::TYPE).context("standard output");
    }
    match options::parse::<D>().context("standard output")? {
        Some(options) => run::<D>(options),
        None => Ok(()),
    }
}

fn print_capabilities(device: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, r#"{{"type": "{device}"}}"#)?;
    stdout.flush()
}

fn run<D: Daemon>(options: Options<D::Options>) -> anyhow::Result<()> {
    let handed_over = socket::handed_over(options.fd)?;
    // What a guest without a socket lacks besides does not matter yet.
    let has_socket = options.config.is_some() || options.socket_path.is_some();
    ensure!(has_socket || !handed_over.is_empty(), socket::NONE);
    log::start(options.verbose);
    survive();
    raise_limit().context("limit of open files")?;
    // From here on a signal waits until there is something to end.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let mut workers = Workers::start(
        options
            .workers
            .map_or_else(default_workers, |n| n.get().into()),
    )?;
    let service = Service {
        wait: options.wait,
        poll: Duration::from_micros(options.poll_us.into()),
        access_platform: options.access_platform,
    };
    // All devices are there before the first socket is, and all sockets before the first guest is
    // served.
    let guests = guests::<D>(options, &mut workers)?;
    let (guests, sockets): (Vec<_>, Vec<_>) = guests.into_iter().unzip();
    let (listeners, bound) = socket::open(sockets, handed_over)?;
    for ((name, device, place), listener) in guests.into_iter().zip(listeners) {
        info!("{name}: listening on {}", socket::path(&listener).display());
        let settings = Settings {
            name,
            device,
            watch: place.watch.clone(),
            listener,
            service,
        };
        workers.serve(&place, settings);
    }
    // Whoever cannot be told has no part in serving the guests (sd_notify(3)).
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        warn!("NOTIFY_SOCKET: {error}");
    }
    for signal in signals.forever() {
        if signal != SIGHUP {
            break;
        }
        warn!("SIGHUP is ignored: a configuration is read at start only");
    }
    if !workers.stop(GRACE) {
        warn!("a guest's hardware does not answer: ending without it");
    }
    drop(bound);
    Ok(())
}

/// As many as the machine runs at a time, up to 4: requests are short.
fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get().min(4))
}

/// Guests with their devices open: name, device, and place on a worker; and where each will be found.
type Guests = Vec<((String, Box<dyn Device>, Place), Socket)>;

fn guests<D: Daemon>(
    options: Options<D::Options>,
    workers: &mut Workers,
) -> anyhow::Result<Guests> {
    let mut place = || workers.place().context("no worker");
    let said = |fault: Fault| {
        let what = dashed(&format!("{:#}", fault.error));
        anyhow!("--{}: {what}", fault.option)
    };
    let Some(path) = options.config else {
        let socket = options.socket_path.map_or(Socket::HandedOver, Socket::Path);
        let place = place()?;
        let mut host = D::host(D::Tables::default()).map_err(said)?;
        let device = D::device(&mut host, D::TYPE, options.guest, &place.watch).map_err(said)?;
        return Ok(vec![((D::TYPE.to_owned(), device, place), socket)]);
    };
    let file = File::read(&path)?;
    let (max, guests, tables) = file.tables::<D::Options, D::Tables>()?;
    let mut host = D::host(tables).map_err(|fault| file.fault(None, &fault))?;
    let open = |GuestTable {
                    name,
                    socket,
                    options,
                    start,
                }| {
        let place = place()?;
        let device = D::device(&mut host, &name, options, &place.watch)
            .map_err(|fault| file.fault(Some(start), &fault))?;
        Ok(((name, device, place), Socket::Path(socket)))
    };
    let guests: anyhow::Result<Guests> = guests.into_iter().map(open).collect();
    let guests = guests?;
    let queues = guests
        .first()
        .map_or(0, |((_, device, _), _)| device.queues().len());
    let reserved = reserve(max, queues).blame("max-guests");
    reserved.map_err(|fault| file.fault(None, &fault))?;
    Ok(guests)
}

/// Options that an error names in backquotes, as the file has them, for the command line.
fn dashed(text: &str) -> String {
    let parts = text.split('`').zip(["", "--"].into_iter().cycle());
    parts.flat_map(|(part, dashes)| [dashes, part]).collect()
}

/// Has as many file descriptors as the host allows: some devices have one for each line or sensor
/// that a guest uses. The soft limit is there for programs that call select(2).
pub(crate) fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// Sees to it that `guests` can be served at once, before the first is, with as many queues each.
/// Their devices have what they need already.
fn reserve(guests: usize, queues: usize) -> anyhow::Result<()> {
    let each = FDS_PER_GUEST + FDS_PER_QUEUE * queues as u64;
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    let needed = each.saturating_mul(guests as u64).saturating_add(open);
    let limit = getrlimit(Resource::Nofile).current;
    match limit {
        Some(limit) if limit < needed => bail!(
            "{guests} guests need a limit of {needed} open files, and it is {limit} (ulimit -n)"
        ),
        _ => Ok(()),
    }
}
