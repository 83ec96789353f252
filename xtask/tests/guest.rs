// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The rig itself: guests without a device.

use std::fmt::Debug;
use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use rustix::process::Pid;
use xtask::guest::{Answer, Front, Guest};
use xtask::trial::{run, trial};

/// How long what was killed may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

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
    let answer = guest.run("echo 'WARNING: CPU: 0' >/dev/kmsg");
    // The kernel's messages and the terminal are read apart: by now there is the answer, perhaps
    // before the warning.
    expect_error(answer.and_then(|_| guest.power_off()), "WARNING: CPU: 0")
}

fn power_off_in_a_command_is_a_failure() -> Result<()> {
    let mut guest = Guest::boot(Front::Uml, &[])?;
    expect_error(guest.run("poweroff -f"), "the guest ended")
}

fn expect_error<T: Debug>(result: Result<T>, expected: &str) -> Result<()> {
    match result {
        Err(error) if error.to_string().contains(expected) => Ok(()),
        other => bail!("{other:?}"),
    }
}

fn dropped_guest_leaves_no_process() -> Result<()> {
    let mut guest = Guest::boot(Front::Uml, &[])?;
    guest.run("sleep 100 &")?;
    let group = guest.process_group();
    let running = processes_of_guest(group)?;
    drop(guest);
    // Those that are killed are not all ours to wait for.
    let end = Instant::now() + PATIENCE;
    let mut after = processes_of_guest(group)?;
    while after > 0 && Instant::now() < end {
        thread::yield_now();
        after = processes_of_guest(group)?;
    }
    ensure!(running > 1 && after == 0, "{running} {after}");
    Ok(())
}

/// User-Mode Linux has one for each process of its own. One that has ended, and whose parent has not
/// asked how, does not count.
fn processes_of_guest(group: Pid) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        let stat = fs::read(process.join("stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        // Behind the name in brackets: state, parent, group.
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let (state, its) = (fields.next(), fields.nth(1));
        let is_ours = its == Some(&group.as_raw_nonzero().to_string());
        count += usize::from(is_ours && state != Some("Z"));
    }
    Ok(count)
}
