// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which Linux the guests run, and which QEMU runs them: one choice for the whole process.

use std::fmt;
use std::sync::OnceLock;

use clap::{Args, FromArgMatches, ValueEnum};

use crate::apt::Suite;

use super::Front;

/// A Linux whose source Debian has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Linux {
    /// The oldest that our drivers are for
    #[value(name = "6.1")]
    V6_1,
    /// Debian 12's and 13's long-term Linux: the oldest that guests run
    #[value(name = "6.12")]
    V6_12,
    /// The one before the newest
    #[value(name = "7.2")]
    V7_2,
    /// The newest
    #[value(name = "7.3")]
    V7_3,
}

impl Linux {
    /// As Debian's packages have it in their names.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7_2 => "7.2",
            Self::V7_3 => "7.3",
        }
    }

    /// Where Debian has its source.
    pub(super) fn suite(self) -> Suite {
        match self {
            Self::V6_1 | Self::V6_12 => Suite::Bookworm,
            Self::V7_2 | Self::V7_3 => Suite::TrixieBackports,
        }
    }

    /// What is mended in it.
    pub(super) fn patch(self) -> &'static str {
        match self {
            Self::V6_12 => concat!(
                include_str!("../../guest/um-set-mem-table.patch"),
                include_str!("../../guest/um-fp-size.patch"),
            ),
            Self::V6_1 | Self::V7_2 | Self::V7_3 => "",
        }
    }
}

/// A QEMU of Debian's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Qemu {
    /// Debian 13's
    #[value(name = "10.0")]
    V10_0,
    /// The newest
    #[value(name = "11.1")]
    V11_1,
}

impl Qemu {
    fn version(self) -> &'static str {
        match self {
            Self::V10_0 => "10.0",
            Self::V11_1 => "11.1",
        }
    }

    /// A monitor on the character device `monitor`. QEMU 11.1 calls the former way deprecated.
    pub(super) fn monitor(self) -> &'static str {
        match self {
            Self::V10_0 => "-mon chardev=monitor,mode=control",
            Self::V11_1 => "-object monitor-qmp,id=qmp,chardev=monitor",
        }
    }

    pub(crate) fn suite(self) -> Suite {
        match self {
            Self::V10_0 => Suite::Trixie,
            Self::V11_1 => Suite::TrixieBackports,
        }
    }
}

/// What guests are made of. Options of xtask, which hands them to tests in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct Ground {
    /// The guest's Linux
    #[arg(
        long,
        value_enum,
        value_name = "VERSION",
        env = "VIRTIO_BACKENDS_LINUX",
        default_value = "7.3"
    )]
    pub linux: Linux,
    /// The QEMU that runs it, where it is QEMU
    #[arg(
        long,
        value_enum,
        value_name = "VERSION",
        env = "VIRTIO_BACKENDS_QEMU",
        default_value = "11.1"
    )]
    pub qemu: Qemu,
    /// A kernel with what the demo needs and no more.
    #[arg(skip)]
    pub demo: bool,
}

static CHOSEN: OnceLock<Ground> = OnceLock::new();

impl Ground {
    /// The oldest that guests are tested on.
    pub const OLDEST: Self = Self {
        linux: Linux::V6_12,
        qemu: Qemu::V10_0,
        demo: false,
    };

    /// The newest.
    pub const NEWEST: Self = Self {
        linux: Linux::V7_3,
        qemu: Qemu::V11_1,
        demo: false,
    };

    /// Chooses for this process, before its first guest.
    pub fn choose(self) {
        CHOSEN.get_or_init(|| self);
    }

    /// What was chosen, or what the environment says, or the newest.
    #[must_use]
    pub fn chosen() -> Self {
        *CHOSEN.get_or_init(Self::of_environment)
    }

    /// Ends the process with clap's message where the environment names a version that is not there.
    fn of_environment() -> Self {
        let options = Self::augment_args(clap::Command::new("guest"));
        let matches = options.get_matches_from(["guest"]);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// What the kernel's configuration for a front end has, beside what all have.
    pub(super) fn config(self, front: Front) -> String {
        let mut config = String::new();
        if !self.demo {
            config += include_str!("../../guest/tests.config");
            if front == Front::Uml {
                config += include_str!("../../guest/host.config");
            }
        }
        if self.linux == Linux::V6_12 {
            config += include_str!("../../guest/6.12.config");
        }
        config += match (front, self.linux) {
            (Front::Uml, Linux::V6_1 | Linux::V6_12) => include_str!("../../guest/um-6.12.config"),
            (Front::Uml, Linux::V7_2 | Linux::V7_3) => include_str!("../../guest/um-7.3.config"),
            _ => "",
        };
        config
    }

    /// The variables that choose this for a process.
    #[must_use]
    pub fn environment(self) -> [(&'static str, &'static str); 2] {
        [
            ("VIRTIO_BACKENDS_LINUX", self.linux.version()),
            ("VIRTIO_BACKENDS_QEMU", self.qemu.version()),
        ]
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Linux {}, QEMU {}",
            self.linux.version(),
            self.qemu.version()
        )
    }
}
