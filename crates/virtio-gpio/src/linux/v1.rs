// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Lines by the first version of the ABI: a line with edges is another request than one without,
//! and an output another than an input.

use std::error::Error as _;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use gpio_cdev::{Error, EventRequestFlags, LineEventHandle, LineHandle, LineRequestFlags};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::{LineInfo, is};
use crate::{Drive, Edges, Settings, Usage};

/// As many events as the kernel keeps for a line.
const EVENTS: u32 = 16;

/// A chip, as both versions know it.
pub(super) struct Chip(gpio_cdev::Chip);

impl Chip {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        gpio_cdev::Chip::new(path).map(Self).map_err(error)
    }

    pub(super) fn label(&self) -> &str {
        self.0.label()
    }

    pub(super) fn count(&self) -> u32 {
        self.0.num_lines()
    }

    pub(super) fn line(mut self, offset: u32) -> io::Result<LineInfo> {
        let line = self.0.get_line(offset).and_then(|line| line.info());
        let line = line.map_err(error)?;
        Ok(LineInfo {
            name: line.name().unwrap_or_default().to_owned(),
            // The flag is called after the kernel, but says that anybody uses it.
            consumer: line
                .is_kernel()
                .then(|| line.consumer().unwrap_or_default().to_owned()),
        })
    }
}

pub(super) fn request(
    path: &Path,
    offset: u32,
    settings: &Settings,
    usage: Usage,
) -> io::Result<Box<dyn super::Request>> {
    let mut chip = Chip::open(path)?.0;
    let line = chip.get_line(offset).map_err(error)?;
    let mut flags = LineRequestFlags::empty();
    flags.set(LineRequestFlags::ACTIVE_LOW, settings.active_low);
    let level = match usage {
        Usage::Free => false,
        Usage::Input(edges) => {
            flags |= LineRequestFlags::INPUT;
            if let Some(edges) = edge_flags(edges) {
                let events = line.events(flags, edges, &settings.consumer);
                let events = events.map_err(error)?;
                let flags = fcntl_getfl(&events)?;
                fcntl_setfl(&events, flags | OFlags::NONBLOCK)?;
                return Ok(Box::new(Events { events, usage }));
            }
            false
        }
        Usage::Output(level) => {
            flags |= LineRequestFlags::OUTPUT;
            flags |= match settings.drive {
                Drive::PushPull => LineRequestFlags::empty(),
                Drive::OpenDrain => LineRequestFlags::OPEN_DRAIN,
                Drive::OpenSource => LineRequestFlags::OPEN_SOURCE,
            };
            level
        }
    };
    let line = line.request(flags, level.into(), &settings.consumer);
    Ok(Box::new(Line {
        line: line.map_err(error)?,
        usage,
    }))
}

/// A line without edges.
struct Line {
    line: LineHandle,
    usage: Usage,
}

impl super::Request for Line {
    fn configure(&mut self, usage: Usage) -> io::Result<bool> {
        match (self.usage, usage) {
            (Usage::Output(before), Usage::Output(level)) if before != level => {
                self.line.set_value(level.into()).map_err(error)?;
                self.usage = usage;
            }
            _ => {}
        }
        Ok(self.usage == usage)
    }

    fn value(&self) -> io::Result<bool> {
        Ok(self.line.get_value().map_err(error)? != 0)
    }

    /// There is none, but whether the chip is gone is told by nothing else.
    fn edge(&mut self) -> io::Result<bool> {
        match self.value() {
            Err(error) if is(&error, Errno::NODEV) => Err(error),
            _ => Ok(false),
        }
    }

    fn event(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// An input with edges.
struct Events {
    events: LineEventHandle,
    usage: Usage,
}

impl super::Request for Events {
    fn configure(&mut self, usage: Usage) -> io::Result<bool> {
        Ok(self.usage == usage)
    }

    fn value(&self) -> io::Result<bool> {
        Ok(self.events.get_value().map_err(error)? != 0)
    }

    fn edge(&mut self) -> io::Result<bool> {
        for count in 0..EVENTS {
            if let Err(read) = self.events.get_event() {
                let read = error(read);
                if is(&read, Errno::AGAIN) {
                    return Ok(count > 0);
                }
                return Err(read);
            }
        }
        Ok(true)
    }

    fn event(&self) -> Option<BorrowedFd<'_>> {
        Some(self.events.as_fd())
    }
}

fn edge_flags(edges: Edges) -> Option<EventRequestFlags> {
    match edges {
        Edges::None => None,
        Edges::Rising => Some(EventRequestFlags::RISING_EDGE),
        Edges::Falling => Some(EventRequestFlags::FALLING_EDGE),
        Edges::Both => Some(EventRequestFlags::BOTH_EDGES),
    }
}

fn error(error: Error) -> io::Error {
    match error.source() {
        // A line that the chip does not have: nobody was called.
        None => io::Error::other(error),
        // The number is where it cannot be read, or in a type of another crate's. The call was this
        // thread's last.
        Some(_) => io::Error::last_os_error(),
    }
}
