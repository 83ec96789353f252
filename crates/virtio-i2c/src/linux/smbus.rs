// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Adapters that know the commands of SMBus and no others.
//!
//! A guest's Linux makes messages of such commands (`drivers/i2c/i2c-core-smbus.c`), and this makes
//! the commands of the messages again. On the wire they are the same bytes.

use std::io;
use std::path::Path;

use i2cdev::core::I2CDevice;
use i2cdev::linux::LinuxI2CDevice;
use rustix::io::Errno;

use super::ioctl::Functions;
use crate::Data::{Read, Write};
use crate::{Address, Message};

/// Most bytes in a block (`I2C_SMBUS_BLOCK_MAX`).
const MAX_BLOCK: usize = 32;

/// Transfers the messages if they are one command to one chip, which the caller may talk to.
pub(super) fn transfer(
    adapter: &Path,
    functions: Functions,
    messages: &mut [Message<'_>],
) -> io::Result<()> {
    let chip = match messages {
        [message] => message.address,
        [first, second] if first.address == second.address => first.address,
        _ => return unsupported(),
    };
    let Address::Seven(chip) = chip else {
        return unsupported();
    };
    // SAFETY: that a driver has the chip was looked at, or is what the user wants.
    #[expect(unsafe_code, reason = "i2cdev does not know what the caller does")]
    let mut chip = unsafe { LinuxI2CDevice::force_new(adapter, chip.into()) }?;
    let needs = |function| {
        if functions.contains(function) {
            Ok(())
        } else {
            unsupported()
        }
    };
    match messages {
        [first] => match &mut first.data {
            Read(bytes) => read(&mut chip, bytes, needs),
            Write(bytes) => write(&mut chip, bytes, needs),
        },
        [first, second] => match (&first.data, &mut second.data) {
            (Write(bytes), Read(answer)) => write_read(&mut chip, bytes, answer, needs),
            _ => unsupported(),
        },
        _ => unsupported(),
    }
}

fn read(
    chip: &mut LinuxI2CDevice,
    bytes: &mut [u8],
    needs: impl Fn(Functions) -> io::Result<()>,
) -> io::Result<()> {
    match bytes {
        [] => {
            needs(Functions::QUICK)?;
            chip.smbus_write_quick(true)?;
        }
        [byte] => {
            needs(Functions::READ_BYTE)?;
            *byte = chip.smbus_read_byte()?;
        }
        _ => return unsupported(),
    }
    Ok(())
}

fn write(
    chip: &mut LinuxI2CDevice,
    bytes: &[u8],
    needs: impl Fn(Functions) -> io::Result<()>,
) -> io::Result<()> {
    match *bytes {
        [] => {
            needs(Functions::QUICK)?;
            chip.smbus_write_quick(false)?;
        }
        [byte] => {
            needs(Functions::WRITE_BYTE)?;
            chip.smbus_write_byte(byte)?;
        }
        [command, value] => {
            needs(Functions::WRITE_BYTE_DATA)?;
            chip.smbus_write_byte_data(command, value)?;
        }
        [command, low, high] => {
            needs(Functions::WRITE_WORD_DATA)?;
            chip.smbus_write_word_data(command, u16::from_le_bytes([low, high]))?;
        }
        [command, count, ref block @ ..]
            if usize::from(count) == block.len()
                && (block.len() == MAX_BLOCK || needs(Functions::WRITE_I2C_BLOCK).is_err()) =>
        {
            needs(Functions::WRITE_BLOCK_DATA)?;
            chip.smbus_write_block_data(command, block)?;
        }
        [command, ref block @ ..] if block.len() <= MAX_BLOCK => {
            needs(Functions::WRITE_I2C_BLOCK)?;
            chip.smbus_write_i2c_block_data(command, block)?;
        }
        _ => return unsupported(),
    }
    Ok(())
}

fn write_read(
    chip: &mut LinuxI2CDevice,
    bytes: &[u8],
    answer: &mut [u8],
    needs: impl Fn(Functions) -> io::Result<()>,
) -> io::Result<()> {
    match (bytes, answer) {
        (&[command], [value]) => {
            needs(Functions::READ_BYTE_DATA)?;
            *value = chip.smbus_read_byte_data(command)?;
        }
        (&[command], [low, high]) => {
            needs(Functions::READ_WORD_DATA)?;
            [*low, *high] = chip.smbus_read_word_data(command)?.to_le_bytes();
        }
        (&[command, first, second], [low, high]) => {
            needs(Functions::PROC_CALL)?;
            let value = u16::from_le_bytes([first, second]);
            [*low, *high] = chip.smbus_process_word(command, value)?.to_le_bytes();
        }
        (&[command], block @ [_, _, _, ..]) if block.len() <= MAX_BLOCK => {
            needs(Functions::READ_I2C_BLOCK)?;
            let length = u8::try_from(block.len()).unwrap_or(u8::MAX);
            let read = chip.smbus_read_i2c_block_data(command, length)?;
            // An adapter may have fewer, and a guest has to learn of it.
            if read.len() != block.len() {
                return Err(Errno::IO.into());
            }
            block.copy_from_slice(&read);
        }
        _ => return unsupported(),
    }
    Ok(())
}

fn unsupported<T>() -> io::Result<T> {
    Err(Errno::OPNOTSUPP.into())
}
