// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One guest, every device.

use std::env;
use std::io::Read;
use std::mem;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::guest::{self, Front, Ground, Guest};

use crate::test::cargo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What runs the guest [default: uml on x86-64, else qemu-arm64]
    #[arg(long, value_enum)]
    front: Option<Front>,
    #[command(flatten)]
    ground: Ground,
}

/// The build of all daemons, which goes on while the guest's kernel is built.
pub(crate) struct Build {
    cargo: Child,
    devices: Vec<Device>,
}

impl Build {
    pub(crate) fn start() -> Result<Self> {
        let devices = Device::all()?;
        let mut build = cargo(&["build", "--quiet"]);
        for device in &devices {
            build.args(["--package", &device.package]);
        }
        build.stdin(Stdio::null()).stderr(Stdio::piped());
        Ok(Self {
            cargo: build.spawn()?,
            devices,
        })
    }

    /// Waits for its end.
    fn finish(&mut self) -> Result<()> {
        let mut said = String::new();
        if let Some(mut stderr) = self.cargo.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        let status = self.cargo.wait()?;
        ensure!(status.success(), "cargo build: {status}\n{said}");
        Ok(())
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        // Fails if it has ended, as it should have.
        self.cargo.kill().ok();
        self.cargo.wait().ok();
    }
}

/// Every device with its daemon.
pub(crate) struct Daemons {
    running: Vec<(Device, Daemon)>,
    _folder: TempDir,
}

impl Daemons {
    /// Starts all that this front end can have.
    pub(crate) fn start(front: Front, mut build: Build) -> Result<Self> {
        build.finish()?;
        let folder = tempfile::tempdir()?;
        let ours = env::current_exe()?;
        let binaries = ours.parent().context("no target folder")?;
        let mut running = Vec::new();
        for device in mem::take(&mut build.devices) {
            if let Some(reason) = front.lacks(&device)? {
                println!("none  {:16} {reason}", device.package);
                continue;
            }
            let socket = folder.path().join(format!("{}.sock", device.daemon));
            let binary = binaries.join(&device.daemon);
            let daemon = Daemon::start(&binary, &device.demo_args, &socket)?;
            running.push((device, daemon));
        }
        Ok(Self {
            running,
            _folder: folder,
        })
    }

    pub(crate) fn sockets(&self) -> Vec<(&Device, &Path)> {
        self.running
            .iter()
            .map(|(device, daemon)| (device, daemon.socket()))
            .collect()
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    Ground {
        demo: true,
        ..arguments.ground
    }
    .choose();
    let front = front(arguments.front)?;
    println!(
        "A Linux guest of {front} will use each device once. The first time its kernel is built, in \
         three to five minutes with two processors, and kept in {} (`cargo xtask clean` removes it).",
        guest::cache()?.display()
    );
    let build = Build::start()?;
    guest::prepare(&[front])?;
    let mut daemons = Daemons::start(front, build)?;
    perish(front, &mut daemons)?;
    let mut guest = boot(front, &daemons)?;
    let mut failed = 0;
    for (device, _) in &daemons.running {
        failed += usize::from(!check(device, &mut guest)?);
    }
    guest.power_off()?;
    let devices = daemons.running.len();
    for (device, daemon) in daemons.running {
        daemon.stop().with_context(|| device.daemon.clone())?;
    }
    println!(
        "{} of {devices} devices work in a Linux guest",
        devices - failed
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn boot(front: Front, daemons: &Daemons) -> Result<Guest> {
    let start = Instant::now();
    let mut guest = Guest::boot(front, &daemons.sockets())?;
    println!(
        "{front}: Linux {} after {} ms",
        guest.check("uname -r")?,
        start.elapsed().as_millis()
    );
    Ok(guest)
}

/// Has a guest fail for each device that is there for that.
fn perish(front: Front, daemons: &mut Daemons) -> Result<()> {
    for number in 0..daemons.running.len() {
        let Some((device, _)) = daemons.running.get(number) else {
            continue;
        };
        let Some(failure) = device.failure.clone() else {
            continue;
        };
        let device = device.clone();
        let mut guest = boot(front, daemons)?;
        ensure!(check(&device, &mut guest)?, "{}: fails", device.package);
        let start = Instant::now();
        guest.perish(&failure.command)?;
        if let Some((_, daemon)) = daemons.running.get_mut(number) {
            daemon.wait_for(&failure.says)?;
        }
        println!(
            "ok    {:16} a guest that failed on purpose was ended by the daemon after {} ms",
            device.package,
            start.elapsed().as_millis(),
        );
    }
    Ok(())
}

/// Whether the device works.
fn check(device: &Device, guest: &mut Guest) -> Result<bool> {
    let answer = guest.run(&device.check_command())?;
    let works = answer.status == 0;
    let verdict = if works { "ok  " } else { "FAIL" };
    println!("{verdict}  {:16} {}", device.package, answer.stdout);
    Ok(works)
}

/// The front end asked for, or the one for this host; an error if it cannot run here.
pub(crate) fn front(asked: Option<Front>) -> Result<Front> {
    let front = asked.unwrap_or_else(Front::default_here);
    match front.missing() {
        Some(reason) => bail!("{reason}"),
        None => Ok(front),
    }
}
