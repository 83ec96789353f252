// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The words of the command line and of the configuration file.

use std::path::PathBuf;

use clap::Args;
use scmi::{Kind, Profile};
use serde::Deserialize;
use virtio_backend::daemon::Spanned;
use virtio_scmi::{
    Access, Clock, Description, Grant, Mistake, PowerDomain, Regulator, Reset, Sensor,
};

/// What the file has beside its guests: the platform.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Tables {
    /// What `--control` is to a platform of the command line.
    pub(crate) control: Option<PathBuf>,
    clock: Vec<Spanned<Clock>>,
    sensor: Vec<Spanned<Sensor>>,
    reset: Vec<Spanned<Reset>>,
    power_domain: Vec<Spanned<PowerDomain>>,
    regulator: Vec<Spanned<Regulator>>,
}

impl Tables {
    pub(crate) fn description(&self) -> Description {
        Description {
            clocks: all(&self.clock),
            sensors: all(&self.sensor),
            resets: all(&self.reset),
            power_domains: all(&self.power_domain),
            regulators: all(&self.regulator),
        }
    }

    /// Where the table begins that a mistake is about.
    pub(crate) fn place(&self, mistake: &Mistake) -> Option<Spanned<()>> {
        let (kind, index) = mistake.resource?;
        let span = match kind {
            Kind::CLOCK => self.clock.get(index)?.span(),
            Kind::SENSOR => self.sensor.get(index)?.span(),
            Kind::RESET => self.reset.get(index)?.span(),
            Kind::POWER => self.power_domain.get(index)?.span(),
            _ => self.regulator.get(index)?.span(),
        };
        Some(Spanned::new(span, ()))
    }
}

fn all<T: Clone>(tables: &[Spanned<T>]) -> Vec<T> {
    tables.iter().map(|table| table.get_ref().clone()).collect()
}

/// Options of one guest.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Options {
    /// A system on a chip in memory, all of which the guest is given: a tree of clocks, sensors, reset
    /// lines, power domains and regulators
    #[arg(long)]
    #[serde(skip)]
    pub(crate) simulate: bool,

    /// Reset guests, or have the hardware fail, by writing "reset GUEST", "fail" or "work" into this FIFO
    #[arg(long, value_name = "FIFO", requires = "simulate")]
    #[serde(skip)]
    pub(crate) control: Option<PathBuf>,

    /// It has a file, where it says what it is given.
    #[arg(skip)]
    #[serde(skip, default = "yes")]
    pub(crate) is_of_file: bool,

    /// The version of SCMI that the guest speaks: 2.0, 3.0, 3.1, 3.2.
    #[arg(skip)]
    #[serde(default)]
    pub(crate) profile: Version,

    /// It may take devices from the others, and reset them.
    #[arg(skip)]
    #[serde(default)]
    pub(crate) trusted: bool,

    #[arg(skip)]
    #[serde(default)]
    clocks: Vec<Given>,

    #[arg(skip)]
    #[serde(default)]
    sensors: Vec<Given>,

    #[arg(skip)]
    #[serde(default)]
    resets: Vec<Given>,

    #[arg(skip)]
    #[serde(default)]
    power_domains: Vec<Given>,

    #[arg(skip)]
    #[serde(default)]
    regulators: Vec<Given>,
}

fn yes() -> bool {
    true
}

impl Options {
    /// What the guest is given.
    pub(crate) fn grants(self) -> Vec<Grant> {
        let lists = [
            (Kind::CLOCK, self.clocks),
            (Kind::SENSOR, self.sensors),
            (Kind::RESET, self.resets),
            (Kind::POWER, self.power_domains),
            (Kind::VOLTAGE, self.regulators),
        ];
        let of_kind =
            |(kind, list): (Kind, Vec<Given>)| list.into_iter().map(move |given| given.grant(kind));
        lists.into_iter().flat_map(of_kind).collect()
    }
}

/// A version of SCMI.
#[derive(Clone, Copy, Default, Deserialize)]
pub(crate) enum Version {
    #[serde(rename = "2.0")]
    V2_0,
    #[serde(rename = "3.0")]
    V3_0,
    #[serde(rename = "3.1")]
    V3_1,
    /// What Linux speaks since 6.10.
    #[default]
    #[serde(rename = "3.2")]
    V3_2,
}

impl From<Version> for Profile {
    fn from(version: Version) -> Self {
        match version {
            Version::V2_0 => Self::V2_0,
            Version::V3_0 => Self::V3_0,
            Version::V3_1 => Self::V3_1,
            Version::V3_2 => Self::V3_2,
        }
    }
}

/// A resource that a guest is given: its name, or more about it.
#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "neither a name nor { name, as, access = \"look\", \"switch\" or \"full\", min, max, on, device }"
)]
enum Given {
    Name(String),
    More(More),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct More {
    name: String,
    /// What the guest calls it.
    r#as: Option<String>,
    #[serde(default)]
    access: Access,
    /// The limits of what the guest may set.
    min: Option<i64>,
    max: Option<i64>,
    /// It is on from the beginning.
    #[serde(default)]
    on: bool,
    /// What a trusted guest calls the device that it belongs to.
    #[serde(default)]
    device: u16,
}

impl Given {
    fn grant(self, kind: Kind) -> Grant {
        let more = match self {
            Self::More(more) => more,
            Self::Name(name) => More {
                name,
                r#as: None,
                access: Access::Full,
                min: None,
                max: None,
                on: false,
                device: 0,
            },
        };
        Grant {
            kind,
            name: more.name,
            alias: more.r#as,
            access: more.access,
            min: more.min,
            max: more.max,
            on: more.on,
            device: more.device,
        }
    }
}
