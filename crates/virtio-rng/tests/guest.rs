// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Linux guests that read `/dev/hwrng`. `cargo xtask test` runs them; `cargo test` says so.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::guest::{Front, Guest};
use xtask::trial::{run, trial};

/// `virtio0` is the only virtio device of these guests.
const REBIND: &str =
    "cd /sys/bus/virtio/drivers/virtio_rng && echo virtio0 >unbind && echo virtio0 >bind";

fn main() -> ExitCode {
    use Front::{QemuArm64, QemuX86_64, Uml};
    run(vec![
        trial("uml_reads_entropy", &[Uml], || reads_entropy(Uml)),
        trial("qemu_arm64_reads_entropy", &[QemuArm64], || {
            reads_entropy(QemuArm64)
        }),
        trial("qemu_x86_64_reads_entropy", &[QemuX86_64], || {
            reads_entropy(QemuX86_64)
        }),
        trial(
            "one_daemon_serves_one_front_end_after_the_other",
            &[Uml, QemuArm64, QemuX86_64],
            one_daemon_serves_one_front_end_after_the_other,
        ),
        trial("uml_reboots", &[Uml], uml_reboots),
        trial("qemu_arm64_tells_reset_from_resume", &[QemuArm64], || {
            tells_reset_from_resume(QemuArm64)
        }),
        trial("qemu_x86_64_tells_reset_from_resume", &[QemuX86_64], || {
            tells_reset_from_resume(QemuX86_64)
        }),
        trial("qemu_arm64_reboots_20_times", &[QemuArm64], || {
            reboots_20_times(QemuArm64)
        }),
        trial("qemu_x86_64_reboots_20_times", &[QemuX86_64], || {
            reboots_20_times(QemuX86_64)
        }),
    ])
}

fn reads_entropy(front: Front) -> Result<()> {
    let mut host = Host::start()?;
    let mut guest = host.boot(front)?;
    host.check(&mut guest)?;
    guest.power_off()?;
    host.daemon.wait_for(": disconnected")?;
    host.daemon.stop()?;
    Ok(())
}

fn one_daemon_serves_one_front_end_after_the_other() -> Result<()> {
    let mut host = Host::start()?;
    // The main thread and the guest's, which may not have begun yet.
    let before = (2, host.daemon.fds()?);
    for front in [
        Front::Uml,
        Front::QemuArm64,
        Front::Uml,
        Front::QemuX86_64,
        Front::Uml,
    ] {
        let mut guest = host.boot(front)?;
        host.check(&mut guest)?;
        guest.power_off()?;
        host.daemon.wait_for(": disconnected")?;
        host.daemon.expect_resources(before)?;
    }
    host.daemon.stop()?;
    Ok(())
}

fn uml_reboots() -> Result<()> {
    let mut host = Host::start()?;
    let mut guest = host.boot(Front::Uml)?;
    host.check(&mut guest)?;
    let before = host.daemon.resources()?;
    for _ in 0..5 {
        guest.reboot()?;
        host.daemon.wait_for(": disconnected")?;
        host.daemon.wait_for(": connected")?;
        host.check(&mut guest)?;
    }
    host.daemon.expect_resources(before)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

fn tells_reset_from_resume(front: Front) -> Result<()> {
    let mut host = Host::start()?;
    let mut guest = host.boot(front)?;
    host.check(&mut guest)?;
    let before = host.daemon.resources()?;

    guest.check(REBIND)?;
    host.check(&mut guest)?;
    host.daemon.wait_for(": reset")?;

    guest.qmp("stop")?;
    guest.qmp("cont")?;
    host.check(&mut guest)?;
    host.daemon.wait_for(": resumed")?;

    guest.qmp("system_reset")?;
    guest.wait_for_boot()?;
    host.check(&mut guest)?;
    host.daemon.wait_for(": reset")?;

    host.daemon.expect_resources(before)?;
    guest.power_off()?;
    let log = host.daemon.stop()?;
    let said = |word| log.matches(word).count();
    ensure!(
        (said(": reset"), said(": resumed")) == (2, 1),
        "unexpected log:\n{log}"
    );
    Ok(())
}

fn reboots_20_times(front: Front) -> Result<()> {
    let mut host = Host::start()?;
    let mut guest = host.boot(front)?;
    host.check(&mut guest)?;
    let before = host.daemon.resources()?;
    for _ in 0..20 {
        guest.reboot()?;
        host.check(&mut guest)?;
        host.daemon.wait_for(": reset")?;
    }
    host.daemon.expect_resources(before)?;
    guest.power_off()?;
    let log = host.daemon.stop()?;
    ensure!(
        !log.contains(": resumed"),
        "a reboot taken for a pause:\n{log}"
    );
    Ok(())
}

/// The daemon, and how it is attached.
struct Host {
    daemon: Daemon,
    device: Device,
    _folder: TempDir,
}

impl Host {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-rng"));
        let daemon = Daemon::start(binary, &[], &folder.path().join("rng.sock"))?;
        let device = Device::of("virtio-rng")?;
        Ok(Self {
            daemon,
            device,
            _folder: folder,
        })
    }

    fn boot(&self, front: Front) -> Result<Guest> {
        Guest::boot(front, &[(&self.device, self.daemon.socket())])
    }

    /// The guest uses the device.
    fn check(&self, guest: &mut Guest) -> Result<()> {
        guest.check(&self.device.check_command())?;
        Ok(())
    }
}
