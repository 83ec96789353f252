// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `/dev/watchdog0` as a program sees it: `linux/watchdog.h`.

use std::fs::{File, OpenOptions};
use std::io;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// `struct watchdog_info`.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Support {
    /// `WDIOF_*`.
    pub(crate) options: u32,
    firmware_version: u32,
    /// The name, behind which are zeros.
    pub(crate) identity: [u8; 32],
}

const GETSUPPORT: Opcode = opcode::read::<Support>(b'W', 0);
/// `WDIOC_GETSTATUS`
pub(crate) const GETSTATUS: Opcode = opcode::read::<u32>(b'W', 1);
/// `WDIOC_GETBOOTSTATUS`
pub(crate) const GETBOOTSTATUS: Opcode = opcode::read::<u32>(b'W', 2);
/// `WDIOC_SETOPTIONS`
pub(crate) const SETOPTIONS: Opcode = opcode::read::<u32>(b'W', 4);
/// `WDIOC_KEEPALIVE`
pub(crate) const KEEPALIVE: Opcode = opcode::read::<u32>(b'W', 5);
/// `WDIOC_SETTIMEOUT`
pub(crate) const SETTIMEOUT: Opcode = opcode::read_write::<u32>(b'W', 6);
/// `WDIOC_GETTIMEOUT`
pub(crate) const GETTIMEOUT: Opcode = opcode::read::<u32>(b'W', 7);
/// `WDIOC_SETPRETIMEOUT`
pub(crate) const SETPRETIMEOUT: Opcode = opcode::read_write::<u32>(b'W', 8);
/// `WDIOC_GETPRETIMEOUT`
pub(crate) const GETPRETIMEOUT: Opcode = opcode::read::<u32>(b'W', 9);
/// `WDIOC_GETTIMELEFT`
pub(crate) const GETTIMELEFT: Opcode = opcode::read::<u32>(b'W', 10);

/// The device, open.
pub(crate) struct Open(pub(crate) File);

impl Open {
    /// Opens it, which starts it.
    pub(crate) fn new() -> io::Result<Self> {
        OpenOptions::new()
            .write(true)
            .open("/dev/watchdog0")
            .map(Self)
    }

    /// One of the operations on an `int`, which is what they say with it.
    #[expect(unsafe_code, reason = "an ioctl")]
    pub(crate) fn ask<const OPCODE: Opcode>(&self, mut value: u32) -> io::Result<u32> {
        // SAFETY: each of the operations above reads or writes an int, if anything.
        unsafe { ioctl(&self.0, Updater::<OPCODE, u32>::new(&mut value)) }?;
        Ok(value)
    }

    /// `WDIOC_GETSUPPORT`
    #[expect(unsafe_code, reason = "an ioctl")]
    pub(crate) fn support(&self) -> io::Result<Support> {
        let mut support = Support::default();
        // SAFETY: it writes a `struct watchdog_info`.
        unsafe { ioctl(&self.0, Updater::<GETSUPPORT, Support>::new(&mut support)) }?;
        Ok(support)
    }
}
