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
use rustix::fs::{major, minor};
use rustix::io::Errno;

use crate::{Address, Bus, Data, Message};
use ioctl::Functions;

/// How an adapter is used.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The adapter's timeout, in steps of 10 ms, for everybody who uses it. What it covers, a
    /// transaction or less, the adapter's driver decides.
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
/// An adapter that goes away fails transactions until it returns, by the name that it had: numbers
/// are given again, and another adapter's chips are not granted.
#[derive(Debug)]
pub struct LinuxBus {
    /// The adapter's name in sysfs.
    name: String,
    /// Where it was found last.
    path: PathBuf,
    /// It was asked for by its name, wherever it is.
    anywhere: bool,
    settings: Settings,
    /// The adapter was not there last time.
    lost: bool,
    /// It was said that a chip held the bus until the timeout.
    hung: bool,
    /// Chips of which it was said that a driver has them.
    taken: BTreeSet<Address>,
}

impl LinuxBus {
    /// The adapter with this path, number, or name in `/sys/class/i2c-dev`.
    ///
    /// # Errors
    /// When there is none, or more than one of that name, or it cannot be opened.
    pub fn new(adapter: &str, settings: Settings) -> io::Result<Self> {
        let is_number = adapter.bytes().all(|byte| byte.is_ascii_digit());
        let is_path = adapter.contains('/');
        let (path, anywhere) = if is_path {
            (adapter.into(), false)
        } else if is_number {
            (format!("/dev/i2c-{adapter}").into(), false)
        } else {
            (find(adapter)?, true)
        };
        let there = LinuxI2CBus::new(&path).map_err(|error| match is_path {
            true => missing("", &error.into()),
            false => missing(&format!("{}: ", path.display()), &error.into()),
        })?;
        // Only an adapter has a name there, and only one that has is asked for more.
        let name = name(&there).map_err(other)?;
        ioctl::functions(&there).map_err(other)?;
        let mut bus = Self {
            name,
            path,
            anywhere,
            settings,
            lost: false,
            hung: false,
            taken: BTreeSet::new(),
        };
        bus.open()?;
        Ok(bus)
    }

    /// What tells the adapter from others: its device number.
    ///
    /// # Errors
    /// When it is gone.
    pub fn id(&self) -> io::Result<u64> {
        Ok(fs::metadata(&self.path)?.rdev())
    }

    /// Opens the adapter as it is now.
    fn open(&mut self) -> io::Result<(LinuxI2CBus, Functions)> {
        let bus = match self.open_by_path() {
            Err(_) if self.anywhere => {
                self.path = find(&self.name)?;
                self.open_by_path()?
            }
            bus => bus?,
        };
        ioctl::set_timeout(&bus, self.settings.timeout)?;
        if let Some(retries) = self.settings.retries {
            ioctl::set_retries(&bus, retries)?;
        }
        let functions = ioctl::functions(&bus)?;
        Ok((bus, functions))
    }

    fn open_by_path(&self) -> io::Result<LinuxI2CBus> {
        let bus = LinuxI2CBus::new(&self.path)?;
        if name(&bus)? != self.name {
            return Err(Errno::NODEV.into());
        }
        Ok(bus)
    }

    /// Opens the adapter, and says once that it is gone, and once that it is back.
    fn reopen(&mut self) -> io::Result<(LinuxI2CBus, Functions)> {
        let opened = self.open();
        let path = self.path.display();
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
}

impl Bus for LinuxBus {
    fn transfer(&mut self, messages: &mut [Message<'_>]) -> io::Result<()> {
        let (mut bus, functions) = self.reopen()?;
        for message in &*messages {
            let address = message.address;
            if let Err(error) = self.claim(&bus, functions, address) {
                if self.taken.insert(address) {
                    warn!("{}: {address}: {error}", self.path.display());
                }
                return Err(error);
            }
        }
        let transferred = if functions.contains(Functions::I2C) {
            rdwr(&mut bus, messages)
        } else {
            smbus::transfer(&self.path, functions, messages)
        };
        // A chip that holds the bus is the hardware's fault, which one, no adapter says. One that
        // does not acknowledge is not: that is how a guest looks for chips.
        let timeout = |error: &io::Error| Errno::from_io_error(error) == Some(Errno::TIMEDOUT);
        if !self.hung && transferred.as_ref().is_err_and(timeout) {
            self.hung = true;
            warn!("{}: a chip holds the bus", self.path.display());
        }
        transferred
    }

    fn available(&mut self, address: Address) -> io::Result<()> {
        let (bus, functions) = self.open()?;
        self.claim(&bus, functions, address)
    }
}

/// The whole transaction, by `I2C_RDWR`.
fn rdwr(bus: &mut LinuxI2CBus, messages: &mut [Message<'_>]) -> io::Result<()> {
    let mut raw: Vec<_> = messages.iter_mut().map(raw).collect();
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

/// Where Linux lists the adapters that have a device file.
const ADAPTERS: &str = "/sys/class/i2c-dev";

/// Says what may be missing, if something is.
fn missing(at: &str, error: &io::Error) -> io::Error {
    let kind = error.kind();
    let hint = match kind {
        io::ErrorKind::NotFound => " (is i2c-dev loaded?)",
        _ => "",
    };
    io::Error::new(kind, format!("{at}{error}{hint}"))
}

/// Says that something else is there, if that is why it has no name, or does not know a call.
fn other(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTTY) => {
            io::Error::new(io::ErrorKind::InvalidInput, "not an I²C adapter")
        }
        _ => error,
    }
}

/// The name of the adapter that was opened.
fn name(bus: &LinuxI2CBus) -> io::Result<String> {
    let device = ioctl::device(bus)?;
    let (major, minor) = (major(device), minor(device));
    let name = fs::read_to_string(format!("/sys/dev/char/{major}:{minor}/name"))?;
    Ok(name.trim_end().to_owned())
}

/// The device file of the adapter with this name.
fn find(name: &str) -> io::Result<PathBuf> {
    let mut found = Vec::new();
    for adapter in
        fs::read_dir(ADAPTERS).map_err(|error| missing(&format!("{ADAPTERS}: "), &error))?
    {
        let adapter = adapter?;
        // One may go away meanwhile.
        let its = fs::read_to_string(adapter.path().join("name"));
        if its.is_ok_and(|its| its.trim_end() == name) {
            found.push(Path::new("/dev").join(adapter.file_name()));
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
