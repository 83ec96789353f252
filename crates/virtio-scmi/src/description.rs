// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a platform has, in the words of the configuration file. What names what is checked when a
//! [`Board`](crate::Board) is made of it.

use std::error::Error;
use std::fmt;

use scmi::Kind;
#[cfg(feature = "daemon")]
use serde::Deserialize;

/// A platform. A resource is known by its name, which no other one of its kind has.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// Clocks, in a tree.
    pub clocks: Vec<Clock>,
    /// Sensors.
    pub sensors: Vec<Sensor>,
    /// Reset lines.
    pub resets: Vec<Reset>,
    /// Power domains.
    pub power_domains: Vec<PowerDomain>,
    /// Regulators, which are voltage domains.
    pub regulators: Vec<Regulator>,
}

/// A clock. It has a gate, whatever its type.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(
    feature = "daemon",
    serde(deny_unknown_fields, rename_all = "kebab-case")
)]
pub struct Clock {
    /// Up to 63 characters of ASCII.
    pub name: String,
    /// Where its rate comes from.
    pub r#type: ClockType,
    /// In hertz, at boot: of an oscillator, of a PLL.
    pub rate: Option<u64>,
    /// What a PLL can be set to, in hertz, ascending. Linux before 7.2 looks at 16 of them at most, and at any
    /// range.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub rates: Vec<u64>,
    /// The same, if it is a range.
    pub range: Option<RateRange>,
    /// What it comes from, for a mux at boot: the first one if not given.
    pub parent: Option<String>,
    /// What a mux can come from.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub parents: Vec<String>,
    /// By what a divider can divide, each once; by the first one at boot.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub dividers: Vec<u64>,
    /// How long a PLL takes to run at another rate, in microseconds, up to 1,800,000.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub lock_time: u32,
    /// More than one guest may be given it.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub shared: bool,
}

/// Where a clock's rate comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(feature = "daemon", serde(rename_all = "kebab-case"))]
pub enum ClockType {
    /// Itself, for good.
    #[default]
    Oscillator,
    /// Itself, as it was set.
    Pll,
    /// Its parent's, divided.
    Divider,
    /// That of one of its parents.
    Mux,
    /// Its parent's.
    Gate,
}

impl fmt::Display for ClockType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oscillator => "oscillator",
            Self::Pll => "pll",
            Self::Divider => "divider",
            Self::Mux => "mux",
            Self::Gate => "gate",
        })
    }
}

/// Rates in hertz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(feature = "daemon", serde(deny_unknown_fields))]
pub struct RateRange {
    /// The lowest.
    pub min: u64,
    /// The highest.
    pub max: u64,
    /// Between one and the next, at least 1.
    pub step: u64,
}

/// A sensor. What it measures is in thousandths of its unit: m°C, mV, mA, mW, mm/s².
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(
    feature = "daemon",
    serde(deny_unknown_fields, rename_all = "kebab-case")
)]
pub struct Sensor {
    /// Up to 63 characters of ASCII.
    pub name: String,
    /// What is measured.
    pub r#type: SensorType,
    /// What it measures when nothing goes on. Three of them for an acceleration: along x, y and z. With drift and load,
    /// readings stay within 32 bits; temperatures not below -273,150, accelerations within 156,906.
    pub value: Option<Value>,
    /// How far that goes up and down within a minute.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub drift: i64,
    /// The clock that it goes up with, by `load`.
    pub clock: Option<String>,
    /// By how much it is up while that clock runs at its highest rate. Temperatures take their time.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub load: i64,
    /// The regulator of which it measures the voltage.
    pub regulator: Option<String>,
    /// How many trip points each guest may set, up to 8.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub trip_points: u8,
    /// How often it may measure by itself, in milliseconds from 10 to 65,535, ascending. If not given: every second,
    /// 2 and 10 seconds.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub intervals: Vec<u16>,
    /// More than one guest may be given it.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub shared: bool,
}

/// What a sensor measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(feature = "daemon", serde(rename_all = "kebab-case"))]
pub enum SensorType {
    /// In °C.
    #[default]
    Temperature,
    /// In V.
    Voltage,
    /// In A.
    Current,
    /// In W.
    Power,
    /// In m/s², along three axes.
    Acceleration,
}

/// What a sensor measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(
    feature = "daemon",
    serde(untagged, expecting = "neither a whole number nor three of them")
)]
pub enum Value {
    /// One number.
    One(i64),
    /// Along x, y and z.
    Axes([i64; 3]),
}

/// A reset line.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(
    feature = "daemon",
    serde(deny_unknown_fields, rename_all = "kebab-case")
)]
pub struct Reset {
    /// Up to 63 characters of ASCII.
    pub name: String,
    /// How long a reset takes, in microseconds, up to 1,800,000.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub latency: u32,
    /// More than one guest may be given it.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub shared: bool,
}

/// A power domain.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(
    feature = "daemon",
    serde(deny_unknown_fields, rename_all = "kebab-case")
)]
pub struct PowerDomain {
    /// Up to 63 characters of ASCII.
    pub name: String,
    /// The domain that is up while this one is.
    pub parent: Option<String>,
    /// More than one guest may be given it.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub shared: bool,
}

/// A regulator.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(
    feature = "daemon",
    serde(deny_unknown_fields, rename_all = "kebab-case")
)]
pub struct Regulator {
    /// Up to 63 characters of ASCII.
    pub name: String,
    /// In microvolts, at boot.
    pub level: i32,
    /// What it can be set to, in microvolts, ascending; the level at boot only if not given.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub levels: Vec<i32>,
    /// The same, if it is a range.
    pub range: Option<VoltageRange>,
    /// How fast its level changes while it is on, in microvolts per millisecond; 0 is at once.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub ramp: u32,
    /// More than one guest may be given it.
    #[cfg_attr(feature = "daemon", serde(default))]
    pub shared: bool,
}

/// Levels in microvolts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(Deserialize))]
#[cfg_attr(feature = "daemon", serde(deny_unknown_fields))]
pub struct VoltageRange {
    /// The lowest.
    pub min: i32,
    /// The highest.
    pub max: i32,
    /// Between one and the next, at least 1.
    pub step: i32,
}

/// What is wrong with a description, or with what a guest is to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which resource it is about, by its place; none if it is about a guest.
    pub resource: Option<(Kind, usize)>,
    /// The field, as the configuration file has it.
    pub key: &'static str,
    /// Which element of that, if it is a list and one is wrong.
    pub element: Option<usize>,
    /// What is wrong.
    pub what: String,
}

impl Mistake {
    pub(crate) fn new(key: &'static str, what: impl Into<String>) -> Self {
        Self {
            resource: None,
            key,
            element: None,
            what: what.into(),
        }
    }

    pub(crate) fn at(self, element: usize) -> Self {
        Self {
            element: Some(element),
            ..self
        }
    }

    pub(crate) fn of(self, kind: Kind, index: usize) -> Self {
        Self {
            resource: Some((kind, index)),
            ..self
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Mistake {}
