// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What i2cdev does not ask the kernel (Linux, `include/uapi/linux/i2c-dev.h`).

use std::ffi::c_ulong;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use i2cdev::linux::LinuxI2CBus;
use rustix::fs::fstat;
use rustix::ioctl::{Getter, IntegerSetter, Opcode, ioctl};

use crate::Address;

const I2C_RETRIES: Opcode = 0x0701;
const I2C_TIMEOUT: Opcode = 0x0702;
const I2C_SLAVE: Opcode = 0x0703;
const I2C_TENBIT: Opcode = 0x0704;
const I2C_FUNCS: Opcode = 0x0705;

/// What an adapter can do: `I2C_FUNC_…` (`include/uapi/linux/i2c.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Functions(c_ulong);

impl Functions {
    pub(super) const I2C: Self = Self(0x0000_0001);
    pub(super) const TEN_BIT: Self = Self(0x0000_0002);
    pub(super) const QUICK: Self = Self(0x0001_0000);
    pub(super) const READ_BYTE: Self = Self(0x0002_0000);
    pub(super) const WRITE_BYTE: Self = Self(0x0004_0000);
    pub(super) const READ_BYTE_DATA: Self = Self(0x0008_0000);
    pub(super) const WRITE_BYTE_DATA: Self = Self(0x0010_0000);
    pub(super) const READ_WORD_DATA: Self = Self(0x0020_0000);
    pub(super) const WRITE_WORD_DATA: Self = Self(0x0040_0000);
    pub(super) const PROC_CALL: Self = Self(0x0080_0000);
    pub(super) const WRITE_BLOCK_DATA: Self = Self(0x0200_0000);
    pub(super) const READ_I2C_BLOCK: Self = Self(0x0400_0000);
    pub(super) const WRITE_I2C_BLOCK: Self = Self(0x0800_0000);

    pub(super) fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

pub(super) fn functions(bus: &LinuxI2CBus) -> io::Result<Functions> {
    // SAFETY: I2C_FUNCS writes an unsigned long.
    #[expect(unsafe_code, reason = "an ioctl")]
    let functions = unsafe { ioctl(fd(bus), Getter::<I2C_FUNCS, c_ulong>::new()) }?;
    Ok(Functions(functions))
}

/// In steps of 10 ms, and not without end.
pub(super) fn set_timeout(bus: &LinuxI2CBus, timeout: Duration) -> io::Result<()> {
    let steps = timeout.as_millis().div_ceil(10).max(1);
    set::<I2C_TIMEOUT>(bus, usize::try_from(steps).unwrap_or(usize::MAX))
}

pub(super) fn set_retries(bus: &LinuxI2CBus, retries: u8) -> io::Result<()> {
    set::<I2C_RETRIES>(bus, retries.into())
}

/// Fails with EBUSY if a driver of the host has the chip.
pub(super) fn claim(bus: &LinuxI2CBus, address: Address) -> io::Result<()> {
    match address {
        Address::Seven(address) => set::<I2C_SLAVE>(bus, address.into()),
        Address::Ten(address) => {
            set::<I2C_TENBIT>(bus, 1)?;
            set::<I2C_SLAVE>(bus, address.into())
        }
    }
}

/// The adapter's device number.
pub(super) fn device(bus: &LinuxI2CBus) -> io::Result<u64> {
    Ok(fstat(fd(bus))?.st_rdev)
}

fn set<const REQUEST: Opcode>(bus: &LinuxI2CBus, value: usize) -> io::Result<()> {
    // SAFETY: the requests above, all but I2C_FUNCS, take an integer.
    #[expect(unsafe_code, reason = "an ioctl")]
    unsafe {
        ioctl(fd(bus), IntegerSetter::<REQUEST>::new_usize(value))?;
    }
    Ok(())
}

fn fd(bus: &LinuxI2CBus) -> BorrowedFd<'_> {
    // SAFETY: it is open for as long as `bus` is there.
    #[expect(unsafe_code, reason = "i2cdev's bus is not AsFd")]
    unsafe {
        BorrowedFd::borrow_raw(bus.as_raw_fd())
    }
}
