// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The words of the command line and of the configuration file.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use virtio_backend::daemon::{Spanned, text_or_number};
use virtio_gpio::{Abi, Access, Bias, Drive, Rest};

/// What the file has beside its guests.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tables {
    #[serde(default)]
    pub(crate) chip: Vec<Spanned<ChipTable>>,
}

/// A chip: a `[[chip]]` of the file, or the one of the command line.
#[derive(Args, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ChipTable {
    #[arg(skip)]
    pub(crate) name: String,

    /// Chip of the host: its path, number, name or label
    #[arg(
        long,
        value_name = "PATH|NUMBER|NAME|LABEL",
        conflicts_with = "simulate"
    )]
    #[serde(deserialize_with = "text_or_number")]
    pub(crate) device: Option<String>,

    /// How to talk to the host's kernel: v2 needs Linux 5.10, v1 needs CONFIG_GPIO_CDEV_V1, which is
    /// off by default in Linux 7.3, and has neither bias nor debounce
    #[arg(long, value_name = "ABI", value_enum, default_value_t)]
    pub(crate) gpio_abi: GpioAbi,

    /// 16 lines in memory: out0-3 are wired to in0-3, toggle toggles, open-drain is pulled up, and
    /// button0, button1, line12-15 are what somebody makes of them
    #[arg(long)]
    pub(crate) simulate: bool,

    /// Drive simulated lines from outside by writing NAME=high, NAME=low or NAME=free into this FIFO
    #[arg(long, value_name = "FIFO", requires = "simulate")]
    pub(crate) control: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GpioAbi {
    /// The newest that the kernel has
    #[default]
    Auto,
    V1,
    V2,
}

impl GpioAbi {
    pub(crate) fn abi(self) -> Option<Abi> {
        match self {
            Self::Auto => None,
            Self::V1 => Some(Abi::V1),
            Self::V2 => Some(Abi::V2),
        }
    }
}

/// Options of one guest.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Options {
    /// The name of a `[[chip]]`, which every guest of a file has.
    #[arg(skip)]
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) chip: Option<String>,

    #[command(flatten)]
    #[serde(skip)]
    pub(crate) hardware: ChipTable,

    /// Lines that the guest may use, by number or name, as 4,8-11,LED; it numbers them from 0 on
    /// [default: all that are simulated]
    #[arg(long, value_name = "LINES", value_delimiter = ',')]
    #[serde(default)]
    pub(crate) lines: Vec<Which>,

    /// More lines, about which there is more to say.
    #[arg(skip)]
    #[serde(default)]
    pub(crate) line: Vec<Spanned<LineTable>>,
}

/// A `[[guest.line]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LineTable {
    pub(crate) line: Which,
    /// If it is not the guest's.
    pub(crate) chip: Option<String>,
    /// What the guest calls it. If not given, as the host does.
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) access: Access,
    #[serde(default)]
    pub(crate) active_low: bool,
    pub(crate) bias: Option<Bias>,
    #[serde(default)]
    pub(crate) drive: Drive,
    /// In µs.
    #[serde(default)]
    pub(crate) debounce: u32,
    #[serde(default)]
    pub(crate) initial: Initial,
    #[serde(default)]
    pub(crate) on_reset: Rest,
    #[serde(default)]
    pub(crate) on_disconnect: Rest,
}

/// What a line is before there is a guest. Without a driver that reads it, it is not made an input.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Initial {
    #[default]
    Keep,
    Low,
    High,
}

impl From<Initial> for Rest {
    fn from(initial: Initial) -> Self {
        match initial {
            Initial::Keep => Self::Keep,
            Initial::Low => Self::Low,
            Initial::High => Self::High,
        }
    }
}

/// Lines of a chip.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Text")]
pub(crate) enum Which {
    /// From the first number to the last.
    Numbers(u32, u32),
    Name(String),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "neither a line's number nor its name, nor a range, as \"8-11\""
)]
enum Text {
    Number(u32),
    Text(String),
}

impl From<Text> for Which {
    fn from(text: Text) -> Self {
        match text {
            Text::Number(number) => Self::Numbers(number, number),
            Text::Text(text) => Self::new(&text),
        }
    }
}

impl Which {
    /// What does not look like numbers is a name.
    fn new(text: &str) -> Self {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => Self::Numbers(first, last),
            _ => Self::Name(text.to_owned()),
        }
    }
}

impl FromStr for Which {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}
