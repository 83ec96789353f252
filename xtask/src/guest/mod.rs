// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A real Linux guest that runs commands for us.
//!
//! Guest and rig have a terminal of their own, which is the standard input and output of the
//! guest's process; the kernel's messages go to its standard error. So neither garbles the other.
//! `xtask/guest/init` is the guest's side of the conversation.

mod board;
mod debian;
mod front;
mod ground;
mod image;
mod kernel;
mod mconsole;
mod packages;
mod qmp;

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

pub use crate::cache::root as cache;
use crate::device::Device;
use crate::process::{Line, NoLine, Process, Stream, bound_to_us};
use crate::trial::times;
use qmp::Qmp;

pub use debian::lacks as lacks_for_debian;
pub use front::{Front, Memory};
pub use ground::{Ground, Linux, Qemu};
pub use image::{Image, build_drivers, prepare};

/// From power-on to the first prompt. An emulated guest needs three seconds on an idle host, and five
/// where it has Debian's own kernel.
const BOOT: Duration = Duration::from_secs(120);

/// One command in the guest.
const COMMAND: Duration = Duration::from_secs(30);

/// A guest's whole life, in CI.
const LIFE: Duration = Duration::from_secs(600);

/// What `init` says when it waits for the first command.
const READY: &str = "guest ready";

/// What a healthy kernel never says.
const FAULTS: [&str; 7] = [
    "Kernel panic",
    "BUG:",
    "WARNING:",
    "Oops",
    "Internal error:",
    "general protection fault",
    "blocked for more than",
];

/// A running guest. Dropped, it is killed with all that belongs to it.
#[derive(Debug)]
pub struct Guest {
    process: Process,
    qmp: Option<Qmp>,
    console: String,
    fault: Option<String>,
    expires: Instant,
    folder: TempDir,
}

/// What a command in the guest said, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Standard output and error, without the last line end.
    pub stdout: String,
    /// The exit status.
    pub status: i32,
}

impl Guest {
    /// Starts a guest that has these devices, each behind a daemon's socket, and waits for its
    /// first prompt. Builds kernel and root file system if they are not in the cache.
    pub fn boot(front: Front, devices: &[(&Device, &Path)]) -> Result<Self> {
        Self::boot_with(front, Memory::Shared, devices)
    }

    /// The same with another memory, where the front end is QEMU.
    pub fn boot_with(front: Front, memory: Memory, devices: &[(&Device, &Path)]) -> Result<Self> {
        let mut guest = Self::power_on(front, memory, devices)?;
        guest.wait_for_boot()?;
        Ok(guest)
    }

    /// The same, and waits only until the guest's kernel says that it starts.
    pub fn power_on(front: Front, memory: Memory, devices: &[(&Device, &Path)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let image = Image::of(front, board::of(front, devices, folder.path())?)?;
        let mut args = front.arguments(&image, folder.path(), devices, "")?;
        memory.apply(&mut args);
        Self::start(front, &image, &args, folder)
    }

    /// Starts a guest of User-Mode Linux on a board whose device tree says this, also of virtio
    /// devices (compatible with `virtio,uml`), and waits for its first prompt.
    pub fn boot_on(board: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let board = board::compile(board, folder.path())?;
        let image = Image::of(Front::Uml, Some(board))?;
        let args = Front::Uml.arguments(&image, folder.path(), &[], "")?;
        let mut guest = Self::start(Front::Uml, &image, &args, folder)?;
        guest.wait_for_boot()?;
        Ok(guest)
    }

    /// Starts a guest of QEMU with Debian's own kernel for 64-bit Arm, untouched, and loads the
    /// modules that the devices name. Linux's drivers that it lacks are built outside its tree.
    pub fn boot_debian(devices: &[(&Device, &Path)]) -> Result<Self> {
        let front = Front::QemuArm64;
        let folder = tempfile::tempdir()?;
        let image = debian::image(board::of(front, devices, folder.path())?)?;
        let args = front.arguments(&image, folder.path(), devices, "")?;
        let mut guest = Self::start(front, &image, &args, folder)?;
        guest.wait_for_boot()?;
        for (device, _) in devices {
            let modules: Vec<_> = device.debian.names().collect();
            guest.check(&format!("modprobe -a {}", modules.join(" ")))?;
        }
        Ok(guest)
    }

    fn start(front: Front, image: &Image, args: &[OsString], folder: TempDir) -> Result<Self> {
        let monitor = front.listen_for_monitor(folder.path())?;
        let mut guest = Self {
            process: Process::start(&front.program(image)?, args)?,
            qmp: None,
            console: String::new(),
            fault: None,
            expires: Instant::now() + LIFE * times(1),
            folder,
        };
        guest.wait_for_console("Linux version")?;
        guest.qmp = monitor.map(Qmp::accept).transpose()?;
        Ok(guest)
    }

    /// Boots a guest whose terminal is ours, and returns when it has powered off.
    pub fn interact(front: Front, devices: &[(&Device, &Path)]) -> Result<ExitStatus> {
        let folder = tempfile::tempdir()?;
        let image = Image::of(front, board::of(front, devices, folder.path())?)?;
        let monitor = front.listen_for_monitor(folder.path())?;
        let args = front.arguments(&image, folder.path(), devices, "interactive=1")?;
        let status = bound_to_us(&front.program(&image)?, &args)?.status()?;
        drop(monitor);
        Ok(status)
    }

    /// Runs a shell command in the guest.
    pub fn run(&mut self, command: &str) -> Result<Answer> {
        self.run_within(COMMAND, command)
    }

    fn run_within(&mut self, patience: Duration, command: &str) -> Result<Answer> {
        let word = self.send(command)?;
        let (begins, ends) = (format!("{word} begins"), format!("{word} ends "));
        let mut output: Option<String> = None;
        let mut status = None;
        self.wait(patience, command, |line| {
            if line.stream == Stream::Stderr {
                return false;
            }
            let Some(said) = &mut output else {
                output = (line.text == begins).then(String::new);
                return false;
            };
            // Output that does not end its last line has our word on that line.
            let last = line.text.split_once(&ends);
            said.push_str(last.map_or(line.text.as_str(), |(text, _)| text));
            status = last.map(|(_, status)| status.to_owned());
            if last.is_none() {
                said.push('\n');
            }
            last.is_some()
        })?;
        let status = status.unwrap_or_default();
        Ok(Answer {
            stdout: output.unwrap_or_default().trim_end().to_owned(),
            status: status
                .parse()
                .with_context(|| format!("exit status {status:?}"))?,
        })
    }

    /// Runs a command that must succeed, and returns what it said.
    pub fn check(&mut self, command: &str) -> Result<String> {
        self.check_within(COMMAND, command)
    }

    /// Runs a command that must succeed, and may take longer than others.
    pub fn check_within(&mut self, patience: Duration, command: &str) -> Result<String> {
        let answer = self.run_within(patience, command)?;
        ensure!(
            answer.status == 0,
            "{command}: status {}: {}",
            answer.status,
            answer.stdout
        );
        Ok(answer.stdout)
    }

    /// Waits for a line that a command in the background says.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        self.wait(COMMAND, text, |line| {
            line.stream == Stream::Stdout && line.text == text
        })
    }

    /// Waits for a line of the kernel or of what runs it that has this text.
    pub fn wait_for_console(&mut self, text: &str) -> Result<()> {
        self.wait(BOOT, text, |line| {
            line.stream == Stream::Stderr && line.text.contains(text)
        })
    }

    /// Has the guest reboot itself, and waits for its prompt.
    pub fn reboot(&mut self) -> Result<()> {
        self.send("reboot -f")?;
        self.wait_for_boot()
    }

    /// Waits for the prompt of a guest that was reset from outside.
    pub fn wait_for_boot(&mut self) -> Result<()> {
        let is_ready = |line: &Line| line.stream == Stream::Stdout && line.text == READY;
        self.wait(BOOT, "boot", is_ready)
    }

    /// Gives QEMU's monitor a command without arguments: `system_reset`, `stop`, `cont`.
    pub fn qmp(&mut self, command: &str) -> Result<()> {
        self.qmp
            .as_mut()
            .context("this guest has no monitor")?
            .execute(command)
    }

    /// Gives User-Mode Linux a virtio device as it runs. Linux 6.12 cannot have one.
    pub fn attach(&self, device: &Device, socket: &Path) -> Result<()> {
        let command = format!(
            "config virtio_uml.device={}:{}",
            socket.display(),
            device.virtio_id
        );
        let folder = self.folder.path();
        mconsole::execute(&front::mconsole(folder), folder, &command)?;
        Ok(())
    }

    /// The group of all processes that it consists of.
    #[must_use]
    pub fn process_group(&self) -> Pid {
        self.process.group()
    }

    /// Everything that guest, kernel and emulator have said up to now.
    #[must_use]
    pub fn console(&self) -> &str {
        &self.console
    }

    /// Has the guest power off, and returns everything that was said in its life.
    pub fn power_off(mut self) -> Result<String> {
        let status = self.end("poweroff -f")?;
        // User-Mode Linux 6.12 aborts in one of some hundred power-offs, when its kernel has ended.
        let is_down = self.qmp.is_none() && self.console.ends_with("reboot: Power down\n");
        let has_aborted = status.signal() == Some(Signal::ABORT.as_raw());
        if !(status.success() || is_down && has_aborted) {
            return self.fail(&format!("ended with {status}"));
        }
        match self.fault.take() {
            Some(fault) => self.fail(&fault),
            None => Ok(self.console.clone()),
        }
    }

    /// Runs a command after which somebody else ends the guest, and waits for that.
    pub fn perish(mut self, command: &str) -> Result<()> {
        self.end(command).map(drop)
    }

    fn end(&mut self, command: &str) -> Result<ExitStatus> {
        self.send(command)?;
        let deadline = Instant::now() + COMMAND;
        loop {
            match self.next_line(deadline) {
                Ok(_) => {}
                Err(NoLine::Ended) => return self.process.status(),
                Err(NoLine::Late) => return self.fail(&format!("{command}: no end of the guest")),
            }
        }
    }

    /// Hands a command to the guest. Returns the word that will frame its output, and that no
    /// output can contain by chance.
    fn send(&mut self, command: &str) -> Result<String> {
        ensure!(
            !command.contains('\n'),
            "a command is one line: {command:?}"
        );
        let word = format!("{:016x}", RandomState::new().build_hasher().finish());
        writeln!(self.process.stdin()?, "{word} {command}")?;
        Ok(word)
    }

    /// Reads until `done` says so. A guest that went wrong meanwhile is an error, told when it has
    /// said all there is to know.
    fn wait(
        &mut self,
        patience: Duration,
        what: &str,
        mut done: impl FnMut(&Line) -> bool,
    ) -> Result<()> {
        let deadline = self.expires.min(Instant::now() + patience);
        let problem = loop {
            match self.next_line(deadline) {
                Ok(line) if done(&line) => break None,
                Ok(line) if line.stream == Stream::Stdout && line.text == READY => {
                    break Some("the guest rebooted");
                }
                Ok(_) => {}
                Err(NoLine::Late) => break Some("takes too long"),
                Err(NoLine::Ended) => break Some("the guest ended"),
            }
        };
        match (self.fault.take(), problem) {
            (None, None) => Ok(()),
            (Some(fault), _) => self.fail(&format!("{what}: {fault}")),
            (None, Some(problem)) => self.fail(&format!("{what}: {problem}")),
        }
    }

    fn next_line(&mut self, deadline: Instant) -> Result<Line, NoLine> {
        let line = self.process.line(deadline)?;
        self.console.push_str(&line.text);
        self.console.push('\n');
        let is_fault = FAULTS.iter().any(|fault| line.text.contains(fault));
        if line.stream == Stream::Stderr && is_fault && self.fault.is_none() {
            self.fault = Some(line.text.clone());
        }
        Ok(line)
    }

    fn fail<T>(&self, problem: &str) -> Result<T> {
        bail!(
            "{problem}\n--- console ---\n{}--- end of console ---",
            self.console
        )
    }
}
