// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A bus in memory, for those who have no chips.

mod eeprom;
mod lm75;

use std::collections::BTreeMap;
use std::io;

use rustix::io::Errno;

use crate::{Address, Bus, Data, Message};

pub use eeprom::Eeprom;
pub use lm75::Lm75;

/// A chip on a [`SimulatedBus`].
pub trait Chip: Send {
    /// The controller writes `bytes`; none is SMBus's Quick command.
    ///
    /// # Errors
    /// When the chip does not acknowledge them.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Nack>;

    /// The controller reads `bytes`.
    ///
    /// # Errors
    /// When the chip does not acknowledge its address.
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Nack>;
}

/// A chip does not acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nack;

/// A [`Bus`] whose chips are simulated. At other addresses nobody acknowledges.
#[derive(Default)]
pub struct SimulatedBus {
    chips: BTreeMap<Address, Box<dyn Chip>>,
}

impl SimulatedBus {
    /// A bus without chips.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A bus to try: an erased [`Eeprom`] at 0x50, and an [`Lm75`] at 0x48 in a room.
    #[must_use]
    pub fn demo() -> Self {
        let mut bus = Self::new();
        bus.add(Address::Seven(0x50), Eeprom::default());
        bus.add(Address::Seven(0x48), Lm75::default());
        bus
    }

    /// Puts `chip` at `address`, in the place of what was there.
    pub fn add(&mut self, address: Address, chip: impl Chip + 'static) {
        self.chips.insert(address, Box::new(chip));
    }
}

impl Bus for SimulatedBus {
    fn transfer(&mut self, messages: &mut [Message<'_>]) -> io::Result<()> {
        for message in messages {
            let chip = self.chips.get_mut(&message.address);
            let transferred = chip.ok_or(Nack).and_then(|chip| match &mut message.data {
                Data::Write(bytes) => chip.write(bytes),
                Data::Read(bytes) => chip.read(bytes),
            });
            // What Linux's adapters say to it.
            transferred.map_err(|Nack| Errno::NXIO)?;
        }
        Ok(())
    }
}
