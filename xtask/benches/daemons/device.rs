// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The devices, what each is asked, and how a daemon is given many guests.

use std::path::Path;

/// A device, and a request that costs it the least.
pub(crate) struct Device {
    pub(crate) name: &'static str,
    /// What the daemon of one guest needs.
    pub(crate) arguments: &'static [&'static str],
    /// What the driver accepts of the device's own features.
    pub(crate) features: u64,
    pub(crate) request: &'static [u8],
    /// Bytes of the answer, all of which is filled.
    pub(crate) room: u32,
    /// The beginning of the file.
    head: &'static str,
    /// What each guest has beside its name and socket.
    guest: &'static str,
    /// What the file has for each guest, in which `NAME` is the guest's.
    each: &'static str,
    /// How the published peer serves the same.
    pub(crate) peer: Option<Peer>,
}

/// A peer's daemon, which needs its socket alone.
pub(crate) enum Peer {
    /// It serves one guest.
    One,
    /// It appends the guest's number to the path of each socket.
    Many,
}

pub(crate) const DEVICES: [Device; 4] = [
    Device {
        name: "rng",
        arguments: &[],
        features: 0,
        request: &[],
        // What Linux asks for.
        room: 64,
        head: "",
        guest: "",
        each: "",
        peer: Some(Peer::Many),
    },
    Device {
        name: "i2c",
        arguments: &["--simulate"],
        // ZERO_LENGTH_REQUEST.
        features: 1,
        // A read of one byte of the EEPROM.
        request: &[0xa0, 0, 0, 0, 2, 0, 0, 0],
        room: 2,
        head: "[[adapter]]\nname = 'board'\nsimulate = true\nshared = ['0x08-0x77']\n",
        guest: "adapter = 'board'\n",
        each: "",
        peer: None,
    },
    Device {
        name: "gpio",
        arguments: &["--simulate"],
        // IRQ.
        features: 1,
        // GET_VALUE of line 4.
        request: &[4, 0, 4, 0, 0, 0, 0, 0],
        room: 2,
        head: "",
        guest: "chip = 'NAME'\n",
        each: "[[chip]]\nname = 'NAME'\nsimulate = true\n",
        peer: None,
    },
    Device {
        name: "scmi",
        arguments: &["--simulate"],
        // P2A_CHANNELS.
        features: 1,
        // BASE PROTOCOL_VERSION.
        request: &[0, 0x40, 0, 0],
        room: 12,
        head: "[[clock]]\nname = 'osc'\ntype = 'oscillator'\nrate = 24_000_000\nshared = true\n",
        guest: "clocks = ['osc']\n",
        each: "",
        peer: Some(Peer::One),
    },
];

impl Device {
    /// A configuration file with so many guests, whose sockets are in a folder.
    pub(crate) fn file(&self, guests: usize, folder: &Path) -> String {
        let mut text = self.head.to_owned();
        for number in 0..guests {
            let guest = format!(
                "{}[[guest]]\nname = 'NAME'\nsocket = '{}/NAME'\n{}",
                self.each,
                folder.display(),
                self.guest
            );
            text += &guest.replace("NAME", &socket(number));
        }
        text
    }
}

/// What the name of a guest and of its socket begins with, before its number.
pub(crate) const PREFIX: &str = "g";

pub(crate) fn socket(number: usize) -> String {
    format!("{PREFIX}{number}")
}
