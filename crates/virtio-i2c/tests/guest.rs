// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Linux guests that use chips through `/dev/i2c-N` and drivers of their own. `cargo xtask test`
//! runs them; `cargo test` says so.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::guest::{Front, Guest, Memory};
use xtask::trial::{run, trial, trial_of_debian};

/// What is at 0x20 and 0x21 in the EEPROM.
const READ: &str = "i2ctransfer -y 0 w1@0x50 0x20 r2";

fn main() -> ExitCode {
    use Front::{QemuArm64, QemuX86_64, Uml};
    run(vec![
        trial("uml_uses_chips", &[Uml], || uses_chips(Uml)),
        trial("qemu_arm64_uses_chips", &[QemuArm64], || {
            uses_chips(QemuArm64)
        }),
        trial("qemu_x86_64_uses_chips", &[QemuX86_64], || {
            uses_chips(QemuX86_64)
        }),
        trial_of_debian("debian_uses_chips", debian_uses_chips),
        trial("uml_reaches_no_foreign_chip", &[Uml], || {
            reaches_no_foreign_chip(Uml)
        }),
        trial("qemu_arm64_reaches_no_foreign_chip", &[QemuArm64], || {
            reaches_no_foreign_chip(QemuArm64)
        }),
        trial("qemu_x86_64_reaches_no_foreign_chip", &[QemuX86_64], || {
            reaches_no_foreign_chip(QemuX86_64)
        }),
        trial(
            "qemu_arm64_survives_resets_and_pauses",
            &[QemuArm64],
            || survives_resets_and_pauses(QemuArm64),
        ),
        trial(
            "qemu_x86_64_survives_resets_and_pauses",
            &[QemuX86_64],
            || survives_resets_and_pauses(QemuX86_64),
        ),
        trial(
            "qemu_arm64_runs_on_without_shared_memory",
            &[QemuArm64],
            || runs_on_without_shared_memory(QemuArm64),
        ),
        trial(
            "qemu_x86_64_runs_on_without_shared_memory",
            &[QemuX86_64],
            || runs_on_without_shared_memory(QemuX86_64),
        ),
    ])
}

/// The first mistake of QEMU's users. The guest goes on, without the device.
fn runs_on_without_shared_memory(front: Front) -> Result<()> {
    let host = Host::start(&["--simulate"])?;
    let devices = [(&host.device, host.daemon.socket())];
    let guest = Guest::boot_with(front, Memory::Plain, &devices)?;
    let said = guest.power_off()?;
    let log = host.daemon.stop()?;
    ensure!(
        said.contains("share=on") || log.contains("share=on"),
        "neither QEMU nor the daemon names share=on:\n{said}{log}"
    );
    Ok(())
}

/// Two boots, since the host's chips are what stays.
fn uses_chips(front: Front) -> Result<()> {
    let host = Host::start(&["--simulate"])?;
    let mut guest = host.boot(front)?;
    guest.check(&host.device.check_command())?;
    guest.reboot()?;
    let text = guest.check("i2ctransfer -y 0 w1@0x50 0 r3")?;
    ensure!(
        text == "0x77 0x72 0x69",
        "the EEPROM holds {text}, not 'wri'"
    );
    guest.check(&host.device.check_command())?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// With Debian's own kernel, and Linux's driver built for it.
fn debian_uses_chips() -> Result<()> {
    let host = Host::start(&["--simulate"])?;
    let mut guest = Guest::boot_debian(&[(&host.device, host.daemon.socket())])?;
    guest.check(&host.device.check_command())?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

fn reaches_no_foreign_chip(front: Front) -> Result<()> {
    let host = Host::start(&["--simulate", "--addresses", "0x50"])?;
    let mut guest = host.boot(front)?;
    let found = guest.check("i2cdetect -y 0 | sed 1d | cut -d : -f 2 | xargs echo")?;
    ensure!(found.replace("--", "").trim() == "50", "found {found}");
    guest.check("i2ctransfer -y 0 w3@0x50 0x20 0x11 0x22")?;
    // A group that names the sensor second: the EEPROM, which is ours, must not see it either.
    // Linux's driver says how many messages were transferred, and i2ctransfer warns.
    let group = guest.run("i2ctransfer -y 0 w3@0x50 0x20 0x33 0x44 r2@0x48")?;
    ensure!(group.stdout.contains("only 0/2"), "{}", group.stdout);
    let bytes = guest.check(READ)?;
    ensure!(bytes == "0x11 0x22", "the group wrote {bytes}");
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

fn survives_resets_and_pauses(front: Front) -> Result<()> {
    let host = Host::start(&["--simulate"])?;
    let mut guest = host.boot(front)?;
    guest.check("i2ctransfer -y 0 w3@0x50 0x20 0x11 0x22")?;
    let before = host.daemon.resources()?;
    guest.qmp("stop")?;
    guest.qmp("cont")?;
    let paused = guest.check(READ)?;
    guest.qmp("system_reset")?;
    guest.wait_for_boot()?;
    let reset = guest.check(READ)?;
    ensure!(
        [&paused, &reset] == ["0x11 0x22"; 2],
        "{paused} after a pause, {reset} after a reset"
    );
    host.daemon.expect_resources(before)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// The daemon, and how it is attached.
struct Host {
    daemon: Daemon,
    device: Device,
    _folder: TempDir,
}

impl Host {
    fn start(args: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-i2c"));
        Ok(Self {
            daemon: Daemon::start(binary, &args, &folder.path().join("i2c.sock"))?,
            device: Device::of("virtio-i2c")?,
            _folder: folder,
        })
    }

    fn boot(&self, front: Front) -> Result<Guest> {
        Guest::boot(front, &[(&self.device, self.daemon.socket())])
    }
}
