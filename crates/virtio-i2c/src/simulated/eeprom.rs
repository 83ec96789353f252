// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! 24c02: 256 bytes that stay.

use super::{Chip, Nack};

/// Bytes in the chip, and so the number of addresses.
const SIZE: usize = 256;

/// A write goes on at the beginning of its page of so many bytes.
const PAGE: u8 = 8;

/// An EEPROM of the 24c02 type, which always has finished writing.
#[derive(Clone, Debug)]
pub struct Eeprom {
    contents: [u8; SIZE],
    /// Where the next read begins. The first byte of a write sets it.
    address: u8,
}

impl Eeprom {
    /// A chip that holds `contents` from its first byte on, and is erased behind them. `None` if
    /// they are more than its 256 bytes.
    #[must_use]
    pub fn new(contents: &[u8]) -> Option<Self> {
        let mut eeprom = Self::default();
        let (first, _erased) = eeprom.contents.split_at_mut_checked(contents.len())?;
        first.copy_from_slice(contents);
        Some(eeprom)
    }
}

impl Default for Eeprom {
    /// An erased chip: 0xff everywhere.
    fn default() -> Self {
        Self {
            contents: [0xff; SIZE],
            address: 0,
        }
    }
}

impl Eeprom {
    fn at(&mut self, address: u8) -> Option<&mut u8> {
        self.contents.get_mut(usize::from(address))
    }
}

impl Chip for Eeprom {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Nack> {
        let Some((&address, bytes)) = bytes.split_first() else {
            return Ok(());
        };
        self.address = address;
        for byte in bytes {
            let address = self.address;
            if let Some(content) = self.at(address) {
                *content = *byte;
            }
            let page = address & !(PAGE - 1);
            self.address = page | address.wrapping_add(1) & (PAGE - 1);
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Nack> {
        for byte in bytes {
            let address = self.address;
            if let Some(content) = self.at(address) {
                *byte = *content;
            }
            self.address = address.wrapping_add(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<const LENGTH: usize>(eeprom: &mut Eeprom, address: u8) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        assert_eq!(eeprom.write(&[address]), Ok(()));
        assert_eq!(eeprom.read(&mut bytes), Ok(()));
        bytes
    }

    #[test]
    fn what_is_written_is_read_and_the_rest_is_erased() {
        let mut eeprom = Eeprom::default();
        assert_eq!(eeprom.write(&[0x10, 1, 2, 3]), Ok(()));
        assert_eq!(read(&mut eeprom, 0x0f), [0xff, 1, 2, 3, 0xff]);
    }

    #[test]
    fn a_write_that_leaves_its_page_goes_on_at_its_beginning() {
        let mut eeprom = Eeprom::default();
        assert_eq!(eeprom.write(&[0x16, 1, 2, 3, 4]), Ok(()));
        assert_eq!(read(&mut eeprom, 0x10), [3, 4, 255, 255, 255, 255, 1, 2]);
        assert_eq!(read(&mut eeprom, 0x18), [0xff]);
    }

    #[test]
    fn a_read_behind_the_last_byte_goes_on_at_the_first() {
        let mut eeprom = Eeprom::new(&[7; 256]).unwrap();
        assert_eq!(eeprom.write(&[0x00, 1]), Ok(()));
        assert_eq!(read(&mut eeprom, 0xff), [7, 1, 7]);
    }

    #[test]
    fn a_read_goes_on_where_the_last_one_ended() {
        let mut eeprom = Eeprom::new(&[1, 2, 3, 4]).unwrap();
        assert_eq!(read(&mut eeprom, 0), [1, 2]);
        let mut more = [0; 2];
        assert_eq!(eeprom.read(&mut more), Ok(()));
        assert_eq!(more, [3, 4]);
    }
}
