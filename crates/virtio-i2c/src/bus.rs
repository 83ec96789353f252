// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The hardware seam: an I²C bus as its controller sees it, and how guests share it.

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most messages in a transaction. Linux's i2c-dev takes no more (`I2C_RDWR_IOCTL_MAX_MSGS`).
pub const MAX_MESSAGES: usize = 42;

/// Most bytes in a message. Linux's i2c-dev takes no more.
pub const MAX_LENGTH: usize = 8192;

/// Address of a chip on a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// 7 bits: 0 to 0x7f.
    Seven(u8),
    /// 10 bits: 0 to 0x3ff. Another chip than the one whose 7-bit address is the same number.
    Ten(u16),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seven(address) => write!(f, "{address:#04x}"),
            Self::Ten(address) => write!(f, "{address:#05x} (10 bits)"),
        }
    }
}

/// A part of a transaction: what is said to, or by, one chip.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The chip.
    pub address: Address,
    /// In which direction, and what. No bytes are SMBus's Quick command.
    pub data: Data<'a>,
}

/// The bytes of a message: at most [`MAX_LENGTH`].
#[derive(Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// The controller writes these.
    Write(&'a [u8]),
    /// The chip is read into these.
    Read(&'a mut [u8]),
}

/// An I²C bus, of which we are the controller.
pub trait Bus: Send {
    /// Transfers `messages`, 1 to [`MAX_MESSAGES`] of them, as one transaction: each begins with a
    /// START, and one STOP follows the last. Fills all that is to be read.
    ///
    /// # Errors
    /// When a chip does not acknowledge, or the bus fails. The messages before have been
    /// transferred, those after have not.
    fn transfer(&mut self, messages: &mut [Message<'_>]) -> io::Result<()>;

    /// Whether a guest may be given the chip at `address`.
    ///
    /// # Errors
    /// When somebody else on this host uses it, or the bus cannot reach such an address.
    fn available(&mut self, _address: Address) -> io::Result<()> {
        Ok(())
    }
}

/// A [`Bus`] that guests share: one transaction follows the other, each as a whole.
///
/// Who calls waits for the transaction under way. The devices of guests on a bus that takes its time
/// belong on one thread, a [`Hardware`](virtio_backend::Hardware), on which guests take turns: there
/// nobody ever waits here.
pub struct Adapter {
    bus: Mutex<Box<dyn Bus>>,
}

impl Adapter {
    /// Shares `bus`.
    pub fn new(bus: impl Bus + 'static) -> Self {
        Self {
            bus: Mutex::new(Box::new(bus)),
        }
    }

    /// [`Bus::transfer`], after the transaction that is under way.
    ///
    /// # Errors
    /// The bus's.
    pub fn transfer(&self, messages: &mut [Message<'_>]) -> io::Result<()> {
        self.bus().transfer(messages)
    }

    /// [`Bus::available`], after the transaction that is under way.
    ///
    /// # Errors
    /// The bus's.
    pub fn available(&self, address: Address) -> io::Result<()> {
        self.bus().available(address)
    }

    /// Also of a guest whose device panicked here: the bus is the others', too.
    fn bus(&self) -> MutexGuard<'_, Box<dyn Bus>> {
        self.bus.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").finish_non_exhaustive()
    }
}
