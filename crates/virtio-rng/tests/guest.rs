// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Linux guests that read `/dev/hwrng`. `cargo xtask test` runs them; `cargo test` says so.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::ioctl_fionread;
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::guest::{Front, Ground, Guest, Linux, Memory, Qemu};
use xtask::trial::{run, times, trial, trial_of_debian, trial_on};

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
        trial_of_debian("debian_reads_entropy", debian_reads_entropy),
        trial(
            "uml_reads_on_when_its_bytes_are_limited",
            &[Uml],
            uml_reads_on_when_its_bytes_are_limited,
        ),
        trial(
            "uml_reads_on_when_the_source_gives_little_at_a_time",
            &[Uml],
            uml_reads_on_when_the_source_gives_little_at_a_time,
        ),
        trial(
            "one_daemon_serves_one_front_end_after_the_other",
            &[Uml, QemuArm64, QemuX86_64],
            one_daemon_serves_one_front_end_after_the_other,
        ),
        trial("uml_reboots", &[Uml], uml_reboots),
        trial_on(
            "uml_outlives_a_daemon_that_is_killed_and_replaced",
            &[Uml],
            |linux| (linux < Linux::V7_3).then_some("its virtio_uml takes no device as it runs"),
            uml_outlives_a_daemon_that_is_killed_and_replaced,
        ),
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
        trial(
            "qemu_x86_64_is_told_that_its_memory_is_private",
            &[QemuX86_64],
            is_told_that_its_memory_is_private,
        ),
    ])
}

/// The first mistake of QEMU's users. The guest goes on, without the device.
fn runs_on_without_shared_memory(front: Front) -> Result<()> {
    let host = Host::start()?;
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

/// Its driver asks for entropy as soon as it is there. QEMU 11.1 knows by itself that it maps the
/// memory privately.
fn is_told_that_its_memory_is_private() -> Result<()> {
    let mut host = Host::start()?;
    let devices = [(&host.device, host.daemon.socket())];
    let guest = Guest::boot_with(Front::QemuX86_64, Memory::Private, &devices)?;
    if Ground::chosen().qemu == Qemu::V10_0 {
        host.daemon.wait_for("share=on")?;
    }
    let said = guest.power_off()?;
    let log = host.daemon.stop()?;
    let times = (said + &log).matches("share=on").count();
    ensure!(times == 1, "said {times} times:\n{log}");
    Ok(())
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

/// With Debian's own kernel, and its driver.
fn debian_reads_entropy() -> Result<()> {
    let host = Host::start()?;
    let mut guest = Guest::boot_debian(&[(&host.device, host.daemon.socket())])?;
    host.check(&mut guest)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// Reads more than the daemon has at once, and again.
fn reads_on(host: &Host) -> Result<()> {
    let mut guest = host.boot(Front::Uml)?;
    for _ in 0..3 {
        let read = "dd if=/dev/hwrng bs=4096 count=1 iflag=fullblock 2>/dev/null | wc -c";
        let bytes = guest.check(read)?;
        ensure!(bytes == "4096", "/dev/hwrng has {bytes} bytes");
    }
    guest.power_off()?;
    Ok(())
}

fn uml_reads_on_when_its_bytes_are_limited() -> Result<()> {
    let host = Host::start_with(&["--rate", "16384", "--burst", "64"])?;
    reads_on(&host)?;
    host.daemon.stop()?;
    Ok(())
}

/// Linux asks for 64 bytes at a time, and hangs if its answers have 48 of them.
fn uml_reads_on_when_the_source_gives_little_at_a_time() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let mut fifo = OpenOptions::new().read(true).write(true).open(&path)?;
    let mut random = File::open("/dev/urandom")?;

    let (read, over) = mpsc::channel::<()>();
    let source = thread::spawn(move || -> Result<()> {
        let mut piece = [0; 48];
        while over.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
            // Whatever was not read yet would be more than a little.
            if ioctl_fionread(&fifo)? == 0 {
                random.read_exact(&mut piece)?;
                fifo.write_all(&piece)?;
            }
        }
        Ok(())
    });
    let path = path.to_str().context("the folder has no name")?;
    let host = Host::start_with(&["--source", path])?;
    let result = reads_on(&host);
    drop(read);
    let fed = source.join();
    ensure!(fed.is_ok_and(|fed| fed.is_ok()), "the source failed");
    result?;
    host.daemon.stop()?;
    Ok(())
}

fn one_daemon_serves_one_front_end_after_the_other() -> Result<()> {
    let mut host = Host::start()?;
    let before = host.daemon.resources()?;
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
    for _ in 0..times(5) {
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

fn uml_outlives_a_daemon_that_is_killed_and_replaced() -> Result<()> {
    const FAULTS: &str =
        "dmesg | grep -E 'WARNING:|BUG:|Oops' | grep -v 'WARNING: arch/um/drivers/virtio_uml.c:'";
    const AVAILABLE: &str = "grep -q virtio_rng /sys/class/misc/hw_random/rng_available";
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("rng.sock");
    let device = Device::of("virtio-rng")?;
    let mut guest = Guest::boot(Front::Uml, &[])?;
    // Linux warns, of itself, when it takes a device away whose daemon it can ask no more.
    guest.check("dmesg -n 1")?;
    for _ in 0..3 {
        ensure!(
            guest.run(AVAILABLE)?.status != 0,
            "a source without a device"
        );
        let daemon = Daemon::start(binary(), &[], &socket)?;
        guest.attach(&device, &socket)?;
        guest.check(&format!("until {AVAILABLE}; do :; done"))?;
        guest.check(&device.check_command())?;
        // Killed, it leaves its socket behind.
        drop(daemon);
        guest.check(&format!("while {AVAILABLE}; do :; done"))?;
    }
    let faults = guest.run(FAULTS)?.stdout;
    ensure!(faults.is_empty(), "{faults}");
    guest.power_off()?;
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
    for _ in 0..times(20) {
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

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_vhost-user-rng"))
}

/// The daemon, and how it is attached.
struct Host {
    daemon: Daemon,
    device: Device,
    _folder: TempDir,
}

impl Host {
    fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    fn start_with(options: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let options: Vec<_> = options.iter().copied().map(str::to_owned).collect();
        let daemon = Daemon::start(binary(), &options, &folder.path().join("rng.sock"))?;
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
