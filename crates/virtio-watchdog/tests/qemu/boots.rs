// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guests that are reset, reset themselves, or never boot, on arm64's virt and on a PC, whose
//! firmware resets it once more each time.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use xtask::guest::Front;
use xtask::trial::{trial, trial_with};

use crate::machine::{Host, Machine};
use crate::{PC, QEMU, done};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_guest_that_never_boots_uses_up_the_budget", QEMU, || {
            never_boots(Front::QemuArm64)
        }),
        trial("a_pc_that_never_boots_uses_up_the_budget", PC, || {
            never_boots(Front::QemuX86_64)
        }),
        trial(
            "a_guest_in_a_crash_loop_is_reset_and_then_paused",
            QEMU,
            || loops(Front::QemuArm64),
        ),
        trial("a_pc_in_a_crash_loop_is_reset_and_then_paused", PC, || {
            loops(Front::QemuX86_64)
        }),
        trial(
            "a_pc_that_resets_itself_before_any_driver_is_reset_and_then_paused",
            PC,
            loops_early,
        ),
        trial("ten_reboots_leave_a_guest_alone", QEMU, || {
            reboots(Front::QemuArm64)
        }),
        trial("ten_reboots_leave_a_pc_alone", PC, || {
            reboots(Front::QemuX86_64)
        }),
        trial_with(
            "a_guest_that_was_reset_is_told_why_until_its_next_reset",
            &Front::QemuArm64,
            "virtio-watchdog",
            || is_told_why(Front::QemuArm64),
        ),
        trial_with(
            "a_pc_that_was_reset_is_told_why_until_its_next_reset",
            &Front::QemuX86_64,
            "virtio-watchdog",
            || is_told_why(Front::QemuX86_64),
        ),
    ]
}

/// The firmware finds nothing to boot.
fn never_boots(front: Front) -> Result<()> {
    let mut host = Host::start("--carrier rng --boot-timeout 2 --max-resets 5 --last stop")?;
    let mut machine = host.machine(front, &[])?;
    for _ in 0..5 {
        machine.wait_for_event("RESET")?;
    }
    machine.wait_for_event("STOP")?;
    host.wait_for("paused")?;
    let records = done(&host)?;
    let outcomes: Vec<_> = records.iter().map(|record| &record["outcome"]).collect();
    ensure!(outcomes.len() == 6, "{outcomes:?}");
    ensure!(
        records.iter().all(|record| record["cause"] == "boot"),
        "{records:?}"
    );
    let vcpus = |record: &Value| record["vcpus"].as_array().map_or(0, Vec::len);
    ensure!(
        records.iter().all(|record| vcpus(record) == 1),
        "{records:?}"
    );
    ensure!(
        machine.qmp("query-status")?["status"] == "paused",
        "not paused"
    );
    Ok(())
}

/// The guest boots each time, and resets itself.
fn loops(front: Front) -> Result<()> {
    let times = "--timeout 300 --boot-timeout 300";
    let mut host = Host::start(&format!("--carrier rng {times} --max-resets 1 --last stop"))?;
    let mut machine = host.boot_on(front)?;
    let crash = "echo b >/proc/sysrq-trigger";
    machine.send(crash)?;
    machine.wait_for_boot()?;
    ensure!(done(&host)?.is_empty(), "{}", host.daemon.log());
    for outcome in ["reset", "paused"] {
        machine.send(crash)?;
        let record = host.wait_for(outcome)?;
        ensure!(record["cause"] == "boot", "{record}");
        if outcome == "reset" {
            machine.wait_for_boot()?;
        }
    }
    Ok(())
}

/// What the disk has to boot resets the machine.
fn loops_early() -> Result<()> {
    // mov dx, 0xcf9; mov al, 6; out dx, al; jmp $
    let reset = [0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xeb, 0xfe];
    let times = "--timeout 300 --boot-timeout 300";
    let mut host = Host::start(&format!("--carrier rng {times} --max-resets 3 --last stop"))?;
    let mut machine = host.boot_sector(&reset)?;
    machine.wait_for_event("STOP")?;
    host.wait_for("paused")?;
    let records = done(&host)?;
    ensure!(
        records.len() == 4 && records.iter().all(|record| record["cause"] == "boot"),
        "{records:?}"
    );
    Ok(())
}

/// The owner of a healthy guest reboots it, within `max-resets`.
fn reboots(front: Front) -> Result<()> {
    let times = "--timeout 300 --boot-timeout 600";
    let host = Host::start(&format!("--carrier rng {times} --max-resets 10"))?;
    let mut machine = host.boot_on(front)?;
    for _ in 0..10 {
        machine.send("reboot -f")?;
        machine.wait_for_boot()?;
    }
    // What the monitor tells of the last reboot comes before its answer.
    machine.qmp("query-status")?;
    told(&machine, front, 10)?;
    let log = host.daemon.stop()?;
    ensure!(!log.contains("failed"), "{log}");
    Ok(())
}

/// QEMU told of so many resets, and of each again that a PC's firmware made.
fn told(machine: &Machine, front: Front, resets: usize) -> Result<()> {
    let each = if front == Front::QemuX86_64 { 2 } else { 1 };
    ensure!(machine.resets == resets * each, "{} resets", machine.resets);
    Ok(())
}

fn is_told_why(front: Front) -> Result<()> {
    let mut host = Host::start("--timeout 4 --boot-timeout 600")?;
    let mut machine = host.boot_with_driver(front)?;
    machine.run("watchdog -T 3 -t 1 /dev/watchdog0")?;
    machine.send("killall -9 watchdog")?;
    let record = host.wait_for("reset")?;
    ensure!(record["cause"] == "expired", "{record}");
    let bootstatus = |status| format!("grep -x {status} /sys/class/watchdog/watchdog0/bootstatus");
    machine.wait_for_driver()?;
    // WDIOF_CARDRESET
    machine.run(&bootstatus(32))?;
    machine.send("reboot -f")?;
    machine.wait_for_driver()?;
    machine.run(&bootstatus(0))?;
    machine.qmp("query-status")?;
    told(&machine, front, 2)
}
