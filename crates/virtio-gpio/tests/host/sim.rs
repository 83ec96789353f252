// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A chip that Linux makes up (Linux, `Documentation/admin-guide/gpio/gpio-sim.rst`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gpiocdev::line::Info;
use gpiocdev::{Chip, Request};
use xtask::host::busybox;

const CONFIG: &str = "/sys/kernel/config/gpio-sim";
const TRACING: &str = "/sys/kernel/tracing";

/// Eight lines, of which line 2 is called led, and 6 and 7 are called twice.
pub(crate) struct Sim {
    /// Where it is configured.
    config: PathBuf,
    /// Where lines are driven and looked at.
    lines: PathBuf,
}

impl Sim {
    /// With the label board.
    pub(crate) fn new() -> Result<Self> {
        Self::called("board")
    }

    pub(crate) fn called(label: &str) -> Result<Self> {
        busybox(&format!(
            "mkdir -p {CONFIG}/{label}/bank && cd {CONFIG}/{label}/bank && \
             mkdir line2 line6 line7 && echo 8 >num_lines && echo {label} >label && \
             echo led >line2/name && echo twice >line6/name && echo twice >line7/name"
        ))?;
        let mut sim = Self {
            config: Path::new(CONFIG).join(label),
            lines: PathBuf::new(),
        };
        sim.put_back()?;
        Ok(sim)
    }

    pub(crate) fn remove(&self) -> Result<()> {
        write(&self.config.join("live"), "0")
    }

    pub(crate) fn put_back(&mut self) -> Result<()> {
        write(&self.config.join("live"), "1")?;
        let device = read(&self.config.join("dev_name"))?;
        self.lines = Path::new("/sys/devices/platform")
            .join(device)
            .join(self.name()?);
        Ok(())
    }

    /// Its path.
    pub(crate) fn device(&self) -> Result<String> {
        Ok(format!("/dev/{}", self.name()?))
    }

    /// Its name, with a number that is given again.
    pub(crate) fn name(&self) -> Result<String> {
        read(&self.config.join("bank/chip_name"))
    }

    pub(crate) fn number(&self) -> Result<String> {
        Ok(self.name()?.trim_start_matches("gpiochip").to_owned())
    }

    /// Somebody outside drives a line.
    pub(crate) fn drive(&self, line: u32, level: bool) -> Result<()> {
        let pull = if level { "pull-up" } else { "pull-down" };
        write(&self.lines.join(format!("sim_gpio{line}/pull")), pull)
    }

    /// What a line is at.
    pub(crate) fn value(&self, line: u32) -> Result<bool> {
        Ok(read(&self.lines.join(format!("sim_gpio{line}/value")))? == "1")
    }

    pub(crate) fn info(&self, line: u32) -> Result<Info> {
        Ok(Chip::from_path(self.device()?)?.line_info(line)?)
    }

    /// Who uses a line.
    pub(crate) fn consumer(&self, line: u32) -> Result<Option<String>> {
        let info = self.info(line)?;
        Ok(info.used.then_some(info.consumer))
    }

    /// Uses a line as another program.
    pub(crate) fn request(&self, line: u32, consumer: &str) -> Result<Request> {
        let mut request = Request::builder();
        request.on_chip(self.device()?).with_consumer(consumer);
        Ok(request.with_line(line).as_input().request()?)
    }

    /// What Linux does to lines meanwhile: "in" and "out", "set 0" and "set 1".
    pub(crate) fn trace(&self, meanwhile: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
        busybox(&format!("mount -t tracefs none {TRACING}"))?;
        let enable = Path::new(TRACING).join("events/gpio/enable");
        write(&enable, "1")?;
        meanwhile()?;
        write(&enable, "0")?;
        let trace = read(&Path::new(TRACING).join("trace"))?;
        // "task-1 [000] ..... 1.0: gpio_direction: 512  in (0)", and "gpio_value: 512 set 1".
        let events = trace.lines().filter(|line| !line.starts_with('#'));
        let event = |line: &str| {
            let (_, event) = line.split_once(": gpio_").context("another event")?;
            let mut words = event.split_whitespace();
            Ok(
                match (words.next(), words.next(), words.next(), words.next()) {
                    (Some("direction:"), _, Some(direction), _) => direction.to_owned(),
                    (Some("value:"), _, Some(what), Some(value)) => format!("{what} {value}"),
                    _ => line.to_owned(),
                },
            )
        };
        events.map(event).collect()
    }
}

fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.trim().to_owned())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
