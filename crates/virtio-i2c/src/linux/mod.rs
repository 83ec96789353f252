// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! An adapter of the host's kernel, through `/dev/i2c-N` (Linux, `Documentation/i2c/dev-interface`).
//!
//! The device is opened for each transaction, since Linux does not let an adapter go before
//! everybody has closed it: a bridge that is unplugged would keep USB's hub thread waiting for as
//! long as no guest talks. Next to what a transaction takes, 100 µs and more, that costs little.

mod ioctl;
mod smbus;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use i2cdev::core::{I2CMessage, I2CTransfer};
use i2cdev::linux::{I2CMessageFlags, LinuxI2CBus, LinuxI2CMessage};
use log::{info, warn};
use rustix::io::Errno;
use smallvec::SmallVec;

use crate::{Address, Bus, Data, MAX_MESSAGES, Message};
use ioctl::Functions;

/// How an adapter is used.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long the adapter may take for a transaction, in steps of 10 ms. It holds for everybody
    /// who uses the adapter.
    pub timeout: Duration,
    /// How often the adapter tries again when it loses the bus to another controller. If not given,
    /// as the adapter was set up.
    pub retries: Option<u8>,
    /// Talk also to chips that a driver of the host has.
    pub force: bool,
}

impl Default for Settings {
    /// A second, and no chip that is a driver's.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            retries: None,
            force: false,
        }
    }
}

/// A [`Bus`] behind an adapter of the host's kernel. Where the adapter knows SMBus's commands only,
/// transactions that are such commands work.
///
/// An adapter that goes away fails transactions until it returns.
#[derive(Debug)]
pub struct LinuxBus {
    which: Which,
    settings: Settings,
    /// The adapter was not there last time.
    lost: bool,
    /// Chips that held the bus until the timeout, so that it is said once.
    hung: BTreeSet<Address>,
}

#[derive(Debug)]
enum Which {
    Path(PathBuf),
    /// The adapter's name in sysfs, and where it was found.
    Named(String, PathBuf),
}

impl LinuxBus {
    /// The adapter with this path, number, or name in `/sys/class/i2c-dev`.
    ///
    /// # Errors
    /// When there is none, or more than one of that name, or it cannot be opened.
    pub fn new(adapter: &str, settings: Settings) -> io::Result<Self> {
        let which = if adapter.contains('/') {
            Which::Path(adapter.into())
        } else if adapter.bytes().all(|byte| byte.is_ascii_digit()) {
            Which::Path(format!("/dev/i2c-{adapter}").into())
        } else {
            Which::Named(adapter.to_owned(), find(adapter)?)
        };
        let mut bus = Self {
            which,
            settings,
            lost: false,
            hung: BTreeSet::new(),
        };
        bus.open()?;
        Ok(bus)
    }

    /// What tells the adapter from others: its device number.
    ///
    /// # Errors
    /// When it is gone.
    pub fn id(&self) -> io::Result<u64> {
        Ok(fs::metadata(self.which.path())?.rdev())
    }

    /// Opens the adapter as it is now.
    fn open(&mut self) -> io::Result<(LinuxI2CBus, Functions)> {
        self.which.locate()?;
        let bus = LinuxI2CBus::new(self.which.path())?;
        ioctl::set_timeout(&bus, self.settings.timeout)?;
        if let Some(retries) = self.settings.retries {
            ioctl::set_retries(&bus, retries)?;
        }
        let functions = ioctl::functions(&bus)?;
        Ok((bus, functions))
    }

    /// Opens the adapter, and says once that it is gone, and once that it is back.
    fn reopen(&mut self) -> io::Result<(LinuxI2CBus, Functions)> {
        let opened = self.open();
        let path = self.which.path().display();
        match (&opened, self.lost) {
            (Err(error), false) => warn!("{path}: {error}: guests cannot reach this adapter"),
            (Ok(_), true) => info!("{path}: the adapter is back"),
            _ => {}
        }
        self.lost = opened.is_err();
        opened
    }

    /// Nobody else's chip, unless we are told to talk to those too.
    fn claim(&self, bus: &LinuxI2CBus, functions: Functions, address: Address) -> io::Result<()> {
        if matches!(address, Address::Ten(_)) && !functions.contains(Functions::TEN_BIT) {
            return Err(Errno::OPNOTSUPP.into());
        }
        if self.settings.force {
            return Ok(());
        }
        ioctl::claim(bus, address)
    }

    /// A chip that holds the bus is the hardware's fault, and one that does not acknowledge is not:
    /// that is how a guest looks for chips.
    fn note(&mut self, error: &io::Error, address: Address) {
        if error.raw_os_error() == Some(Errno::TIMEDOUT.raw_os_error()) && self.hung.insert(address)
        {
            warn!("{}: {address}: {error}", self.which.path().display());
        }
    }
}

impl Bus for LinuxBus {
    fn transfer(&mut self, messages: &mut [Message<'_>]) -> io::Result<()> {
        let Some(first) = messages.first().map(|message| message.address) else {
            return Ok(());
        };
        let (mut bus, functions) = self.reopen()?;
        for message in &*messages {
            self.claim(&bus, functions, message.address)?;
        }
        let transferred = if functions.contains(Functions::I2C) {
            rdwr(&mut bus, messages)
        } else {
            smbus::transfer(self.which.path(), functions, messages)
        };
        transferred.inspect_err(|error| self.note(error, first))
    }

    fn available(&mut self, address: Address) -> io::Result<()> {
        let (bus, functions) = self.open()?;
        self.claim(&bus, functions, address)
    }
}

/// The whole transaction, by `I2C_RDWR`.
fn rdwr(bus: &mut LinuxI2CBus, messages: &mut [Message<'_>]) -> io::Result<()> {
    let mut raw: SmallVec<[_; MAX_MESSAGES]> = messages.iter_mut().map(raw).collect();
    let transferred = bus.transfer(&mut raw)?;
    // An adapter may stop early and call that a success, as virtio's does.
    if usize::try_from(transferred) != Ok(raw.len()) {
        return Err(Errno::IO.into());
    }
    Ok(())
}

fn raw<'a>(message: &'a mut Message<'_>) -> LinuxI2CMessage<'a> {
    let (number, ten) = match message.address {
        Address::Seven(address) => (address.into(), I2CMessageFlags::empty()),
        Address::Ten(address) => (address, I2CMessageFlags::TEN_BIT_ADDRESS),
    };
    // The flags replace those that tell the direction.
    let (raw, direction) = match &mut message.data {
        Data::Write(bytes) => (LinuxI2CMessage::write(bytes), I2CMessageFlags::empty()),
        Data::Read(bytes) => (LinuxI2CMessage::read(bytes), I2CMessageFlags::READ),
    };
    raw.with_address(number).with_flags(ten | direction)
}

impl Which {
    fn path(&self) -> &Path {
        match self {
            Self::Path(path) | Self::Named(_, path) => path,
        }
    }

    /// Sees to it that the path is that of the adapter with the name: numbers are given again.
    fn locate(&mut self) -> io::Result<()> {
        if let Self::Named(name, path) = self {
            if !has_name(path, name) {
                *path = find(name)?;
            }
        }
        Ok(())
    }
}

/// Where Linux lists the adapters that have a device file.
const ADAPTERS: &str = "/sys/class/i2c-dev";

fn has_name(device: &Path, name: &str) -> bool {
    let number = device.file_name().unwrap_or_default();
    fs::read_to_string(Path::new(ADAPTERS).join(number).join("name"))
        .is_ok_and(|its| its.trim_end() == name)
}

/// The device file of the adapter with this name.
fn find(name: &str) -> io::Result<PathBuf> {
    let mut found = Vec::new();
    for adapter in fs::read_dir(ADAPTERS)? {
        let device = Path::new("/dev").join(adapter?.file_name());
        if has_name(&device, name) {
            found.push(device);
        }
    }
    match (found.pop(), found.len()) {
        (Some(device), 0) => Ok(device),
        (None, _) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("no adapter has the name {name:?} in {ADAPTERS}"),
        )),
        (Some(_), _) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("more than one adapter has the name {name:?}: say which by number"),
        )),
    }
}
