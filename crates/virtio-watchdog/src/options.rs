// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The words of the command line and of the configuration file.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use virtio_watchdog::{Seconds, Stage};

/// Options of one guest.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Options {
    /// How long the guest may go without a ping, if its driver does not say
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub(crate) timeout: Seconds,

    /// Tell the driver so long before its time is up, if it does not say [default: do not]
    #[arg(long, value_name = "SECONDS", default_value = "0")]
    pub(crate) pretimeout: Seconds,

    /// The longest timeout that the driver may choose [default: an hour, or the timeout]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_timeout: Option<Seconds>,

    /// How long the guest may take to boot, from when it is there and from each reset. One that
    /// resets itself sooner than that more than --max-resets times, as far as --qmp tells, does not
    /// boot either. Without it a guest is watched from its first ping on
    #[arg(long, value_name = "SECONDS")]
    pub(crate) boot_timeout: Option<Seconds>,

    /// Do not let the driver stop what it started
    #[arg(long)]
    pub(crate) lock: bool,

    /// How many timers the guest has, one for each processor or task
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) channels: u16,

    /// How long the guest may sleep
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    pub(crate) max_suspend: Seconds,

    /// Be an entropy device, for front ends and guests that know no watchdog: reading entropy is
    /// the sign of life
    #[arg(long, value_name = "DEVICE", value_enum)]
    pub(crate) carrier: Option<Carrier>,

    /// Act through QEMU's monitor at this socket (-qmp unix:PATH,server=on,wait=off)
    #[arg(long, value_name = "PATH", conflicts_with = "api")]
    pub(crate) qmp: Option<PathBuf>,

    /// Act through cloud-hypervisor's API at this socket (--api-socket)
    #[arg(long, value_name = "PATH")]
    pub(crate) api: Option<PathBuf>,

    /// Act also when QEMU's own watchdog device expires, also without a guest at our socket (with
    /// -action watchdog=none)
    #[arg(long, requires = "qmp")]
    pub(crate) relay: bool,

    /// What to do about a guest that failed; may be given several times: if the guest is not reset
    /// or gone in time, the next is done [default with --qmp or --api: reset, then kill]
    #[arg(long, value_name = "ACTION[@SECONDS][=ARGUMENT]")]
    pub(crate) stage: Vec<Stage>,

    /// What to do, once, instead, when the guest failed too often [default with --qmp or --api:
    /// stop]
    #[arg(long, value_name = "ACTION[=ARGUMENT]")]
    pub(crate) last: Option<Stage>,

    /// How often is not too often
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) max_resets: u32,

    /// How long a failure counts [default: 900, or twice as long as so many boots may take]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) reset_window: Option<Seconds>,

    /// How soon after a reset the firmware resets the machine once more, before the guest's driver
    /// is ready, as SeaBIOS does on QEMU's q35 and pc: both are one reset, as far as --qmp tells
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    pub(crate) firmware_reset: Seconds,

    /// How long a guest has that panicked and writes down why, if QEMU's pvpanic tells
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub(crate) kdump_timeout: Seconds,

    /// Append to this file what was seen and done, a line of JSON for each failure
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let seconds = |seconds| Seconds(Duration::from_secs(seconds));
        Self {
            timeout: seconds(30),
            pretimeout: seconds(0),
            max_timeout: None,
            boot_timeout: None,
            lock: false,
            channels: 1,
            max_suspend: seconds(3600),
            carrier: None,
            qmp: None,
            api: None,
            relay: false,
            stage: Vec::new(),
            last: None,
            max_resets: 5,
            reset_window: None,
            firmware_reset: seconds(5),
            kdump_timeout: seconds(300),
            record: None,
        }
    }
}

/// What carries the watchdog.
#[derive(Clone, Copy, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Carrier {
    /// The entropy device
    Rng,
}
