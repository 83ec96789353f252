// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Lines by the second version of the ABI: a line changes its use without being let go.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use gpiocdev::line::{self, EdgeDetection, Value};
use gpiocdev::request::Config;
use gpiocdev::{Chip, Error};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::{LineInfo, is};
use crate::{Bias, Drive, Edges, Settings, Usage};

/// Room for as many events as the kernel keeps for a line, 16 of 48 bytes.
const EVENTS: usize = 16 * 48 / 8;

pub(super) fn line(path: &Path, offset: u32) -> io::Result<LineInfo> {
    let line = Chip::from_path(path).and_then(|chip| chip.line_info(offset));
    let line = line.map_err(error)?;
    Ok(LineInfo {
        name: line.name,
        consumer: line.used.then_some(line.consumer),
    })
}

pub(super) fn request(
    path: &Path,
    offset: u32,
    settings: &Settings,
    usage: Usage,
) -> io::Result<Box<dyn super::Request>> {
    let mut config = config(offset, settings, usage);
    config.on_chip(path);
    let request = gpiocdev::Request::from_config(config)
        .with_consumer(settings.consumer.as_str())
        .request()
        .map_err(error)?;
    let flags = fcntl_getfl(request.as_fd())?;
    fcntl_setfl(request.as_fd(), flags | OFlags::NONBLOCK)?;
    Ok(Box::new(Request {
        request,
        offset,
        settings: settings.clone(),
        usage,
    }))
}

struct Request {
    request: gpiocdev::Request,
    offset: u32,
    settings: Settings,
    usage: Usage,
}

impl Request {
    fn reconfigure(&mut self, usage: Usage) -> io::Result<()> {
        let config = config(self.offset, &self.settings, usage);
        self.request.reconfigure(&config).map_err(error)?;
        self.usage = usage;
        Ok(())
    }
}

impl super::Request for Request {
    fn configure(&mut self, usage: Usage) -> io::Result<bool> {
        match (self.usage, usage) {
            (Usage::Output(_), Usage::Output(level)) => {
                let value = Value::from(level);
                self.request.set_lone_value(value).map_err(error)?;
                self.usage = usage;
            }
            (before, after) if before == after => {}
            (Usage::Input(before), after) => {
                if before != Edges::None {
                    // The kernel keeps the edges that it has seen before a change.
                    self.reconfigure(Usage::Input(Edges::None))?;
                    self.edge()?;
                }
                if after == self.usage {
                    return Ok(true);
                }
                self.reconfigure(after)?;
            }
            _ => self.reconfigure(usage)?,
        }
        Ok(true)
    }

    fn value(&self) -> io::Result<bool> {
        let value = self.request.lone_value().map_err(error)?;
        Ok(value == Value::Active)
    }

    fn edge(&mut self) -> io::Result<bool> {
        let mut events = [0; EVENTS];
        match self.request.read_edge_events_into_slice(&mut events) {
            Ok(_) => Ok(true),
            Err(read) => {
                let read = error(read);
                if is(&read, Errno::AGAIN) {
                    return Ok(false);
                }
                Err(read)
            }
        }
    }

    fn event(&self) -> Option<BorrowedFd<'_>> {
        Some(self.request.as_fd())
    }
}

fn config(offset: u32, settings: &Settings, usage: Usage) -> Config {
    let mut config = Config::default();
    config.with_line(offset);
    match usage {
        Usage::Free => {
            config.as_is();
        }
        Usage::Input(edges) => {
            config.as_input().with_edge_detection(match edges {
                Edges::None => None,
                Edges::Rising => Some(EdgeDetection::RisingEdge),
                Edges::Falling => Some(EdgeDetection::FallingEdge),
                Edges::Both => Some(EdgeDetection::BothEdges),
            });
            if !settings.debounce.is_zero() {
                config.with_debounce_period(settings.debounce);
            }
        }
        Usage::Output(level) => {
            config.as_output(Value::from(level));
            config.with_drive(match settings.drive {
                Drive::PushPull => line::Drive::PushPull,
                Drive::OpenDrain => line::Drive::OpenDrain,
                Drive::OpenSource => line::Drive::OpenSource,
            });
        }
    }
    // The kernel takes a bias with a direction only.
    if usage != Usage::Free {
        config.with_bias(settings.bias.map(|bias| match bias {
            Bias::Disabled => line::Bias::Disabled,
            Bias::PullUp => line::Bias::PullUp,
            Bias::PullDown => line::Bias::PullDown,
        }));
    }
    if settings.active_low {
        config.as_active_low();
    }
    config
}

fn error(error: Error) -> io::Error {
    match error {
        Error::Os(errno) => io::Error::from_raw_os_error(errno.0),
        // The number is in a type of another crate's. The call was this thread's last.
        Error::Uapi(..) => io::Error::last_os_error(),
        error => io::Error::other(error),
    }
}
