// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The rig itself: guests without a device.

use std::fs;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use xtask::guest::{self, Answer, Front, Guest};
use xtask::trial::{run, trial};

fn main() -> ExitCode {
    use Front::{QemuArm64, QemuX86_64, Uml};
    run(vec![
        trial("uml_runs_commands", &[Uml], || runs_commands(Uml)),
        trial("qemu_arm64_runs_commands", &[QemuArm64], || {
            runs_commands(QemuArm64)
        }),
        trial("qemu_x86_64_runs_commands", &[QemuX86_64], || {
            runs_commands(QemuX86_64)
        }),
        trial(
            "kernel_warning_is_a_failure",
            &[Uml],
            kernel_warning_is_a_failure,
        ),
        trial(
            "power_off_in_a_command_is_a_failure",
            &[Uml],
            power_off_in_a_command_is_a_failure,
        ),
        trial(
            "dropped_guest_leaves_no_process",
            &[Uml],
            dropped_guest_leaves_no_process,
        ),
        trial(
            "drivers_build_for_the_oldest_linux",
            &[],
            guest::build_drivers_for_oldest,
        ),
    ])
}

fn runs_commands(front: Front) -> Result<()> {
    let mut guest = Guest::boot(front, &[])?;
    let answer = guest.run("echo one; echo two >&2; printf three; exit 3")?;
    let expected = Answer {
        stdout: "one\ntwo\nthree".to_owned(),
        status: 3,
    };
    ensure!(answer == expected, "{answer:?}");
    guest.check("touch /tmp/mark")?;
    guest.reboot()?;
    ensure!(guest.run("test -e /tmp/mark")?.status == 1, "not rebooted");
    let console = guest.power_off()?;
    ensure!(console.matches("Linux version").count() == 2, "{console}");
    Ok(())
}

fn kernel_warning_is_a_failure() -> Result<()> {
    let mut guest = Guest::boot(Front::Uml, &[])?;
    expect_error(
        guest.run("echo 'WARNING: CPU: 0' >/dev/kmsg"),
        "WARNING: CPU: 0",
    )
}

fn power_off_in_a_command_is_a_failure() -> Result<()> {
    let mut guest = Guest::boot(Front::Uml, &[])?;
    expect_error(guest.run("poweroff -f"), "the guest ended")
}

fn expect_error(result: Result<Answer>, expected: &str) -> Result<()> {
    match result {
        Err(error) if error.to_string().contains(expected) => Ok(()),
        other => bail!("{other:?}"),
    }
}

fn dropped_guest_leaves_no_process() -> Result<()> {
    let before = processes_of_guests()?;
    let mut guest = Guest::boot(Front::Uml, &[])?;
    guest.run("sleep 100 &")?;
    let running = processes_of_guests()?;
    drop(guest);
    let after = processes_of_guests()?;
    ensure!(
        running > before + 1 && after == before,
        "{before} {running} {after}"
    );
    Ok(())
}

/// User-Mode Linux has one for each process of its own.
fn processes_of_guests() -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        let command = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        count += usize::from(String::from_utf8_lossy(&command).contains("rdinit=/init"));
    }
    Ok(count)
}
