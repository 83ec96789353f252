// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One guest, every device.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::guest::{self, Front, Guest};

use crate::test::cargo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What runs the guest [default: uml on x86-64, else qemu-arm64]
    #[arg(long, value_enum)]
    pub(crate) front: Option<Front>,
}

/// Every device with its daemon.
pub(crate) struct Daemons {
    running: Vec<(Device, Daemon)>,
    _folder: TempDir,
}

impl Daemons {
    /// Builds and starts all that this front end can have.
    pub(crate) fn start(front: Front) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut devices = Device::all()?;
        devices.retain(|device| match front.lacks(device) {
            Some(reason) => {
                println!("none  {:16} {reason}", device.package);
                false
            }
            None => true,
        });
        ensure!(!devices.is_empty(), "there is no device yet");
        let binaries = build(&devices)?;
        let running = devices
            .into_iter()
            .map(|device| {
                let socket = folder.path().join(format!("{}.sock", device.daemon));
                let binary = binaries.join(&device.daemon);
                let daemon = Daemon::start(&binary, &device.demo_args, &socket)?;
                Ok((device, daemon))
            })
            .collect::<Result<_>>()?;
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
    let front = front(arguments.front)?;
    guest::prepare(&[front])?;
    let mut daemons = Daemons::start(front)?;
    let mut guest = boot(front, &daemons)?;
    let mut failed = 0;
    for (device, _) in &daemons.running {
        failed += usize::from(!check(device, &mut guest)?);
    }
    guest = perish(front, &mut daemons, guest)?;
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

/// Has a guest fail for each device that is there for that, and returns the last one.
fn perish(front: Front, daemons: &mut Daemons, mut guest: Guest) -> Result<Guest> {
    for number in 0..daemons.running.len() {
        let Some((device, daemon)) = daemons.running.get_mut(number) else {
            continue;
        };
        let Some(failure) = &device.failure else {
            continue;
        };
        let device = device.clone();
        let start = Instant::now();
        guest.perish(&failure.command)?;
        println!(
            "      {:16} failed, and was gone after {} ms: {}",
            device.package,
            start.elapsed().as_millis(),
            daemon.wait_for(&failure.says)?
        );
        guest = boot(front, daemons)?;
        ensure!(
            check(&device, &mut guest)?,
            "{}: after a failure",
            device.package
        );
    }
    Ok(guest)
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

/// Builds the daemons and returns the folder that they are in.
fn build(devices: &[Device]) -> Result<PathBuf> {
    let mut build = cargo(&["build", "--release"]);
    for device in devices {
        build.args(["--package", &device.package]);
    }
    let status = build.status()?;
    ensure!(status.success(), "cargo build: {status}");
    // We lie in the folder of another profile.
    let ours = env::current_exe()?;
    let target = ours
        .parent()
        .and_then(Path::parent)
        .context("no target folder")?;
    Ok(target.join("release"))
}
