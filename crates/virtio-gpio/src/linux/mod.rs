// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A chip of the host's kernel, through `/dev/gpiochipN` (Linux, `include/uapi/linux/gpio.h`).
//!
//! A line is requested while it is used, each by itself: only so can it change its use, and be let
//! go, without the others. The chip is opened for each request, and found anew if its number has
//! changed: it may be on a bus that is unplugged. Numbers are given again, so what is found by one
//! is looked at before it is used.

mod pin;
mod v1;
mod v2;

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{info, warn};
use rustix::io::Errno;
use virtio_backend::{Token, Watch};

use crate::{Chip, Pin, Settings, Usage};
use pin::LinuxPin;

/// The kernel's two interfaces to lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// Of Linux 4.8, and optional since 5.10: neither bias nor debounce, and a line is let go and
    /// requested again when its direction or its edges change. In between, somebody else may take
    /// it, and an output may have a pulse. A line without edges is looked at each second, as nothing
    /// tells that its chip is gone.
    V1,
    /// Of Linux 5.10.
    V2,
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// A [`Chip`] of the host's kernel.
///
/// When the chip goes away its lines fail. When it returns they are used as before.
#[derive(Debug)]
pub struct LinuxChip(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    which: Which,
    label: String,
    count: u32,
    abi: Abi,
    /// It was not there last time.
    lost: AtomicBool,
}

#[derive(Debug)]
enum Which {
    Path(PathBuf),
    Label(String),
}

/// What is known of a line.
struct LineInfo {
    name: String,
    /// Who uses it, if somebody does.
    consumer: Option<String>,
}

/// A line that was requested. It is let go when this is dropped.
trait Request: Send {
    /// Uses the line in another way. `false` if it has to be requested anew for that.
    fn configure(&mut self, usage: Usage) -> io::Result<bool>;

    fn value(&self) -> io::Result<bool>;

    /// Whether there were edges since this was asked last. Never waits.
    fn edge(&mut self) -> io::Result<bool>;

    /// What is readable when there was an edge.
    fn event(&self) -> Option<BorrowedFd<'_>>;
}

impl LinuxChip {
    /// The chip with this path, number, name or label, by the newest interface that the kernel has
    /// if none is given.
    ///
    /// # Errors
    /// When there is none, or more than one of that label, or it cannot be opened.
    pub fn new(chip: &str, abi: Option<Abi>) -> io::Result<Self> {
        let which = Which::new(chip);
        let path = which.path()?;
        let info = v1::Chip::open(&path).map_err(|error| match &which {
            _ if is(&error, Errno::NOTTY) => {
                io::Error::new(io::ErrorKind::InvalidInput, "not a GPIO chip")
            }
            Which::Path(path) if !chip.contains('/') => {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            }
            _ => error,
        })?;
        let abi = match abi {
            Some(abi) => abi,
            None => newest(v2::line(&path, 0).map(drop))?,
        };
        let shared = Shared {
            which,
            label: info.label().to_owned(),
            count: info.count(),
            abi,
            lost: AtomicBool::new(false),
        };
        shared.line(0).map_err(|error| lacking(abi, error))?;
        info!("{}: {chip}: GPIO ABI {abi}", path.display());
        Ok(Self(Arc::new(shared)))
    }

    /// What tells the chip from others: its device number.
    ///
    /// # Errors
    /// When it is gone.
    pub fn id(&self) -> io::Result<u64> {
        Ok(fs::metadata(self.0.path()?)?.rdev())
    }
}

impl Chip for LinuxChip {
    fn names(&self) -> io::Result<Vec<String>> {
        let line = |offset| Ok(self.0.line(offset)?.name);
        (0..self.0.count).map(line).collect()
    }

    fn pin(
        &self,
        offset: u32,
        settings: &Settings,
        watch: &Watch,
        token: Token,
    ) -> io::Result<Box<dyn Pin>> {
        let line = self.0.line(offset)?;
        if let Some(consumer) = line.consumer {
            return Err(busy(&consumer));
        }
        if self.0.abi == Abi::V1 && (settings.bias.is_some() || !settings.debounce.is_zero()) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "GPIO ABI v1 has neither bias nor debounce",
            ));
        }
        let (chip, watch) = (Arc::clone(&self.0), watch.clone());
        let pin = LinuxPin::new(chip, offset, settings.clone(), watch, token);
        Ok(Box::new(pin))
    }
}

impl Shared {
    /// Where the chip is now, if it is there.
    fn path(&self) -> io::Result<PathBuf> {
        let path = self.which.path()?;
        let chip = v1::Chip::open(&path)?;
        if (chip.label(), chip.count()) != (&self.label, self.count) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "another chip has this path now",
            ));
        }
        Ok(path)
    }

    fn line(&self, offset: u32) -> io::Result<LineInfo> {
        let path = self.path()?;
        match self.abi {
            Abi::V1 => v1::Chip::open(&path)?.line(offset),
            Abi::V2 => v2::line(&path, offset),
        }
    }

    /// Requests a line. One that is [`Free`](Usage::Free) stays as it is.
    fn request(
        &self,
        offset: u32,
        settings: &Settings,
        usage: Usage,
    ) -> io::Result<Box<dyn Request>> {
        let path = self.path()?;
        let requested = match self.abi {
            Abi::V1 => v1::request(&path, offset, settings, usage),
            Abi::V2 => v2::request(&path, offset, settings, usage),
        };
        requested.map_err(|error| {
            let line = self.line(offset).ok();
            let consumer = line.and_then(|line| line.consumer);
            consumer.map_or(error, |consumer| busy(&consumer))
        })
    }

    /// Says once that the chip is gone, and once that it is back.
    fn note(&self, lost: bool) {
        if self.lost.swap(lost, Ordering::Relaxed) == lost {
            return;
        }
        match (&self.which, lost) {
            (Which::Path(path), true) => warn!("{}: the chip is gone", path.display()),
            (Which::Path(path), false) => info!("{}: the chip is back", path.display()),
            (Which::Label(label), true) => warn!("{label}: the chip is gone"),
            (Which::Label(label), false) => info!("{label}: the chip is back"),
        }
    }
}

impl Which {
    fn new(chip: &str) -> Self {
        let number = chip.strip_prefix("gpiochip").unwrap_or(chip);
        if chip.contains('/') {
            Self::Path(chip.into())
        } else if number.parse::<u32>().is_ok() {
            Self::Path(format!("/dev/gpiochip{number}").into())
        } else {
            Self::Label(chip.to_owned())
        }
    }

    /// Where the chip is to be found now.
    fn path(&self) -> io::Result<PathBuf> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            Self::Label(label) => find(label),
        }
    }
}

/// The device file of the chip with this label.
fn find(label: &str) -> io::Result<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir("/dev")? {
        let file = file?;
        if !file.file_name().as_encoded_bytes().starts_with(b"gpiochip") {
            continue;
        }
        // One may go away meanwhile.
        if v1::Chip::open(&file.path()).is_ok_and(|chip| chip.label() == label) {
            found.push(file.path());
        }
    }
    match (found.pop(), found.len()) {
        (Some(path), 0) => Ok(path),
        (None, _) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("no chip has the label {label:?}"),
        )),
        (Some(_), _) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("more than one chip has the label {label:?}: say which by number"),
        )),
    }
}

/// What is said of a chip whose kernel does not know `abi`.
fn lacking(abi: Abi, error: io::Error) -> io::Error {
    if !is_unknown(&error) {
        return error;
    }
    let option = match abi {
        Abi::V1 => "CONFIG_GPIO_CDEV_V1",
        Abi::V2 => "Linux 5.10 has",
    };
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("this kernel has no GPIO ABI {abi} ({option})"),
    )
}

/// What kernels say that do not know a call.
fn is_unknown(error: &io::Error) -> bool {
    is(error, Errno::INVAL) || is(error, Errno::NOTTY)
}

/// The newest interface of a kernel that answers so when it is asked by v2.
fn newest(v2: io::Result<()>) -> io::Result<Abi> {
    match v2 {
        Ok(()) => Ok(Abi::V2),
        Err(error) if is_unknown(&error) => Ok(Abi::V1),
        Err(error) => Err(error),
    }
}

fn busy(consumer: &str) -> io::Error {
    let who = if consumer.is_empty() {
        "somebody"
    } else {
        consumer
    };
    io::Error::new(io::ErrorKind::ResourceBusy, format!("used by {who}"))
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_is_taken_only_of_kernels_that_do_not_know_v2() {
        assert_eq!(newest(Ok(())).unwrap(), Abi::V2);
        for unknown in [Errno::INVAL, Errno::NOTTY] {
            assert_eq!(newest(Err(unknown.into())).unwrap(), Abi::V1);
        }
        for other in [Errno::PERM, Errno::NODEV, Errno::MFILE] {
            assert!(newest(Err(other.into())).is_err());
        }
    }

    #[test]
    fn an_abi_that_the_kernel_lacks_is_named() {
        for unknown in [Errno::INVAL, Errno::NOTTY] {
            let said = |abi| lacking(abi, unknown.into()).to_string();
            let v1 = "this kernel has no GPIO ABI v1 (CONFIG_GPIO_CDEV_V1)";
            assert_eq!(said(Abi::V1), v1);
            assert_eq!(
                said(Abi::V2),
                "this kernel has no GPIO ABI v2 (Linux 5.10 has)"
            );
        }
        let gone = lacking(Abi::V1, Errno::NODEV.into());
        assert!(is(&gone, Errno::NODEV));
    }
}
