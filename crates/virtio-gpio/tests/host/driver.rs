// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon, and the driver of its guest.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use virtio_backend::testing::{Vm, feature};
use xtask::daemon::Daemon;

use crate::sim::Sim;

pub(crate) const OK: [u8; 2] = [0, 0];
pub(crate) const ERR: [u8; 2] = [1, 0];
pub(crate) const REQUESTQ: usize = 0;
const EVENTQ: usize = 1;

pub(crate) fn daemon(folder: &TempDir, args: &[&str]) -> Result<Daemon> {
    let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
    let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-gpio"));
    Daemon::start(binary, &args, &folder.path().join("gpio.sock"))
}

/// A daemon, and the driver of its guest.
pub(crate) struct Driver {
    pub(crate) vm: Vm,
    pub(crate) daemon: Daemon,
    _folder: TempDir,
}

impl Driver {
    pub(crate) fn new(args: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let daemon = daemon(&folder, args)?;
        Ok(Self {
            vm: boot(&daemon)?,
            daemon,
            _folder: folder,
        })
    }

    /// Lines 0 to 3 of the simulated chip.
    pub(crate) fn on(sim: &Sim, abi: &str) -> Result<Self> {
        Self::new(&[
            "--device",
            &sim.device()?,
            "--gpio-abi",
            abi,
            "--lines",
            "0-3",
        ])
    }

    /// Is killed. The next one is served after this one's end was seen to.
    pub(crate) fn next(self) -> Result<Self> {
        let Self {
            vm,
            daemon,
            _folder,
        } = self;
        drop(vm);
        Ok(Self {
            vm: boot(&daemon)?,
            daemon,
            _folder,
        })
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, request: [u8; 8], expected: [u8; 2]) -> Result<()> {
        let ring = self.vm.rings.get_mut(REQUESTQ).context("no ring")?;
        let answer = ring.ask(&[&request], &[2]).context("no answer")?;
        ensure!(answer == expected, "{request:?}: {answer:?}");
        Ok(())
    }

    /// Arms line 0, and drives the others high.
    pub(crate) fn use_lines(&mut self) -> Result<()> {
        self.ask([6, 0, 0, 0, 1, 0, 0, 0], OK)?;
        self.unmask(0)?;
        for line in 1..4 {
            self.ask([5, 0, line, 0, 1, 0, 0, 0], OK)?;
            self.ask([3, 0, line, 0, 1, 0, 0, 0], OK)?;
        }
        Ok(())
    }

    /// Queues buffers for an interrupt.
    pub(crate) fn unmask(&mut self, line: u8) -> Result<()> {
        let pair = self.vm.memory.chain(&[&[line, 0]], &[1]);
        let ring = self.vm.rings.get_mut(EVENTQ).context("no ring")?;
        let head = ring.add(&pair);
        ring.push(head);
        ring.notify();
        Ok(())
    }

    /// Waits for an interrupt.
    #[track_caller]
    pub(crate) fn interrupt(&mut self) -> Result<()> {
        let ring = self.vm.rings.get_mut(EVENTQ).context("no ring")?;
        let used = ring.wait().context("no interrupt")?;
        ensure!(used.len == 1, "length {}", used.len);
        Ok(())
    }

    /// Whether there is an interrupt that was not waited for.
    pub(crate) fn has_interrupt(&mut self) -> Result<bool> {
        // What was queued and what happened before was seen to, by then.
        self.ask([2, 0, 3, 0, 0, 0, 0, 0], OK)?;
        let ring = self.vm.rings.get_mut(EVENTQ).context("no ring")?;
        Ok(ring.pop().is_some())
    }
}

/// A daemon with the chip called board, and one guest, whose lines are those in `text`.
pub(crate) fn configured(abi: &str, text: &str) -> Result<Driver> {
    let folder = tempfile::tempdir()?;
    let daemon = configured_in(&folder, abi, text)?;
    Ok(Driver {
        vm: boot(&daemon)?,
        daemon,
        _folder: folder,
    })
}

/// The same before its guest comes.
pub(crate) fn configured_in(folder: &TempDir, abi: &str, text: &str) -> Result<Daemon> {
    let file = folder.path().join("guests.toml");
    let socket = folder.path().join("a.sock");
    let head = format!(
        "[[chip]]\nname = 'board'\ndevice = 'board'\ngpio-abi = '{abi}'\n\
         [[guest]]\nname = 'a'\nsocket = '{}'\nchip = 'board'\n",
        socket.display()
    );
    fs::write(&file, head + text)?;
    let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-gpio"));
    Daemon::configured(binary, &file, &socket)
}

fn boot(daemon: &Daemon) -> Result<Vm> {
    // With VIRTIO_GPIO_F_IRQ.
    Ok(Vm::boot(daemon.socket(), feature::ALL | 1, &[64, 64])?)
}
