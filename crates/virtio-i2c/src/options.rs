// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The words of the command line and of the configuration file.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;
use virtio_backend::daemon::{Spanned, positive, text_or_number};

/// What the file has beside its guests.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tables {
    #[serde(default)]
    pub(crate) adapter: Vec<Spanned<AdapterTable>>,
}

/// An adapter: an `[[adapter]]` of the file, or the one of the command line.
#[derive(Args, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct AdapterTable {
    #[arg(skip)]
    pub(crate) name: String,

    /// Adapter of the host: its path, its number, or its name in /sys/class/i2c-dev
    #[arg(long, value_name = "PATH|NUMBER|NAME", conflicts_with = "simulate")]
    #[serde(deserialize_with = "text_or_number")]
    pub(crate) device: Option<String>,

    /// Chips in memory: an EEPROM (24c02) at 0x50, a temperature sensor (lm75) at 0x48
    #[arg(long)]
    pub(crate) simulate: bool,

    /// The adapter's timeout, for everybody who uses it; what it covers, a transaction or less, the
    /// adapter's driver decides [default: 1000]
    #[arg(long, value_name = "MS", value_parser = positive::<NonZeroU16>)]
    pub(crate) timeout: Option<NonZeroU16>,

    /// How often the adapter tries again when it loses the bus [default: as it is set up]
    #[arg(long, value_name = "COUNT")]
    pub(crate) retries: Option<u8>,

    /// Grant also chips that a driver of the host has
    #[arg(long)]
    pub(crate) force: bool,

    /// What more than one guest may be granted.
    #[arg(skip)]
    pub(crate) shared: Vec<Range>,

    /// In the place of those that `simulate` has by itself.
    #[arg(skip)]
    pub(crate) chip: Vec<Spanned<ChipTable>>,
}

/// An `[[adapter.chip]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChipTable {
    #[serde(rename = "type")]
    pub(crate) kind: ChipType,
    pub(crate) address: u16,
    /// An EEPROM's first bytes.
    pub(crate) contents: Option<Vec<u8>>,
    /// What a sensor measures. If not given, what a room has.
    pub(crate) celsius: Option<f64>,
}

#[derive(Clone, Copy, Deserialize)]
pub(crate) enum ChipType {
    #[serde(rename = "24c02")]
    Eeprom,
    #[serde(rename = "lm75")]
    Lm75,
}

/// Options of one guest.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Options {
    /// The name of an `[[adapter]]`, which every guest of a file has.
    #[arg(skip)]
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) adapter: Option<String>,

    #[command(flatten)]
    #[serde(skip)]
    pub(crate) hardware: AdapterTable,

    /// Chips that the guest may talk to, as 0x48,0x50-0x57 [default: all that are simulated]
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    #[serde(default)]
    pub(crate) addresses: Vec<Range>,

    /// The same, of chips with ten-bit addresses
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    #[serde(default)]
    pub(crate) ten_bit_addresses: Vec<Range>,
}

/// Addresses from the first to the last: `0x48`, or `0x50-0x57`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Text")]
pub(crate) struct Range {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "neither an address, as 0x48, nor a range, as \"0x50-0x57\""
)]
enum Text {
    Address(u16),
    Range(String),
}

impl Range {
    pub(crate) const fn new(first: u16, last: u16) -> Self {
        Self { first, last }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.first)?;
        if self.first != self.last {
            write!(f, "-{:#04x}", self.last)?;
        }
        Ok(())
    }
}

impl TryFrom<Text> for Range {
    type Error = anyhow::Error;

    fn try_from(text: Text) -> anyhow::Result<Self> {
        match text {
            Text::Address(address) => Ok(Self::new(address, address)),
            Text::Range(range) => range.parse(),
        }
    }
}

impl FromStr for Range {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        ensure!(first <= last, "{first:#x} is above {last:#x}");
        Ok(Self::new(first, last))
    }
}

fn number(text: &str) -> anyhow::Result<u16> {
    let text = text.trim();
    let number = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.with_context(|| format!("{text:?} is not an address"))
}
