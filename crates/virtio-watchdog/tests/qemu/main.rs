// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guests of QEMU that know nothing of a watchdog, and hang. `cargo xtask test` runs them; `cargo
//! test` says so.
#![expect(
    clippy::indexing_slicing,
    reason = "what a JSON value does not have is null"
)]

mod boots;
mod machine;

use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use xtask::guest::Front;
use xtask::trial::{run, trial};

use machine::{Host, Machine};

const QEMU: &[Front] = &[Front::QemuArm64];
const PC: &[Front] = &[Front::QemuX86_64];

const CARRIER: &str = "--carrier rng --timeout 4";

fn main() -> ExitCode {
    let mut trials = vec![
        trial("a_guest_that_reads_entropy_lives", QEMU, lives),
        trial("a_guest_that_panics_is_reset_in_time", QEMU, || {
            is_reset("echo c >/proc/sysrq-trigger")
        }),
        trial("a_guest_whose_task_hangs_is_reset_in_time", QEMU, || {
            is_reset("kill -STOP -1")
        }),
        trial("a_guest_whose_task_spins_is_reset_in_time", QEMU, || {
            is_reset(SPIN)
        }),
        trial("a_guest_that_is_paused_is_left_alone", QEMU, is_paused),
        trial(
            "a_guest_whose_qemu_is_stopped_is_left_alone",
            QEMU,
            is_stopped,
        ),
        trial(
            "a_guest_whose_host_is_overloaded_is_excused",
            QEMU,
            is_starved,
        ),
        trial(
            "a_guest_that_takes_interrupts_is_reset_by_its_own_panic",
            PC,
            panics_by_nmi,
        ),
        trial("qemus_own_watchdog_is_relayed", QEMU, is_relayed),
    ];
    trials.extend(boots::trials());
    run(trials)
}

/// A task that lets no other run, where the kernel keeps nothing for others.
const SPIN: &str = "echo 0 >/sys/kernel/debug/sched/fair_server/cpu0/runtime; \
                    schedtool -F -p 99 -e sh -c 'while :; do :; done'";

/// The records but for excuses, which are right on a host that is busy.
fn done(host: &Host) -> Result<Vec<Value>> {
    let mut records = host.records()?;
    records.retain(|record| record["outcome"] != "excused");
    Ok(records)
}

fn lives() -> Result<()> {
    let mut host = Host::start(CARRIER)?;
    let mut machine = host.boot()?;
    machine.reads_entropy()?;
    machine.run("sleep 12")?;
    host.daemon.wait_for("acts through")?;
    ensure!(done(&host)?.is_empty(), "{}", host.daemon.log());
    machine.qmp("quit")?;
    machine.wait_for_end()?;
    host.daemon.wait_for(": disconnected")?;
    let log = host.daemon.stop()?;
    ensure!(!log.contains("failed"), "{log}");
    Ok(())
}

/// The guest fails, and is reset within a second after its time.
fn is_reset(hang: &str) -> Result<()> {
    let mut host = Host::start(CARRIER)?;
    let mut machine = host.boot()?;
    machine.reads_entropy()?;
    machine.send(hang)?;
    let record = host.wait_for("reset")?;
    let silence = record["silence"].as_f64().unwrap_or_default();
    let excused = record["excused"].as_f64().unwrap_or_default();
    ensure!((4.0..5.0 + excused).contains(&silence), "{record}");
    ensure!(record["cause"] == "expired", "{record}");
    let vcpus = record["vcpus"].as_array().map_or(0, Vec::len);
    ensure!(vcpus == 1 && record["process"] == machine.id(), "{record}");
    // It boots again, and is watched again.
    machine.wait_for_boot()?;
    machine.reads_entropy()?;
    machine.send(hang)?;
    host.wait_for("reset")?;
    ensure!(done(&host)?.len() == 2, "{}", host.daemon.log());
    Ok(())
}

/// Longer than the guest's time, on somebody else's clock.
fn time_passes() -> Result<()> {
    let status = Command::new("sleep").arg("10").status()?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// Nothing was done, and the guest is as before.
fn is_well(host: &Host, machine: &mut Machine) -> Result<()> {
    machine.run("sleep 6")?;
    ensure!(done(host)?.is_empty(), "{}", host.daemon.log());
    Ok(())
}

fn is_paused() -> Result<()> {
    let host = Host::start(CARRIER)?;
    let mut machine = host.boot()?;
    machine.reads_entropy()?;
    for _ in 0..2 {
        machine.qmp("stop")?;
        time_passes()?;
        machine.qmp("cont")?;
        is_well(&host, &mut machine)?;
    }
    Ok(())
}

fn is_stopped() -> Result<()> {
    let host = Host::start(CARRIER)?;
    let mut machine = host.boot()?;
    machine.reads_entropy()?;
    for _ in 0..2 {
        machine.signal(Signal::STOP)?;
        time_passes()?;
        machine.signal(Signal::CONT)?;
        is_well(&host, &mut machine)?;
    }
    Ok(())
}

/// A process that takes what the processor has, until it is dropped.
struct Load(Child);

impl Load {
    fn start() -> Result<Self> {
        let mut load = Command::new("taskset");
        load.args(["-c", "0", "sh", "-c", "while :; do :; done"]);
        Ok(Self(load.stdin(Stdio::null()).spawn()?))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn execute(command: &str) -> Result<()> {
    let mut words = command.split_whitespace();
    let mut run = Command::new(words.next().unwrap_or_default());
    let output = run.args(words).output()?;
    ensure!(output.status.success(), "{command}: {}", output.status);
    Ok(())
}

/// QEMU has a hundredth of a processor, or less.
fn is_starved() -> Result<()> {
    let mut host = Host::start(CARRIER)?;
    let mut machine = host.boot()?;
    machine.reads_entropy()?;
    let id = machine.id();
    execute(&format!("chrt --all-tasks --idle --pid 0 {id}"))?;
    execute(&format!("taskset --all-tasks --pid --cpu-list 0 {id}"))?;
    let load: Vec<_> = (0..4).map(|_| Load::start()).collect::<Result<_>>()?;
    let record = host.wait_for("excused")?;
    ensure!(record["host"] == "overloaded", "{record}");
    drop(load);
    // Nor may what else the host does starve it.
    let last = thread::available_parallelism()?.get() - 1;
    execute(&format!("chrt --all-tasks --other --pid 0 {id}"))?;
    execute(&format!(
        "taskset --all-tasks --pid --cpu-list 0-{last} {id}"
    ))?;
    is_well(&host, &mut machine)
}

/// The first stage is an interrupt that cannot be masked, of which the guest makes a panic.
fn panics_by_nmi() -> Result<()> {
    let options = "--stage notify=/nonexistent --stage nmi@60 --stage kill";
    let mut host = Host::start(&format!("{CARRIER} {options}"))?;
    let mut machine = host.boot_on(Front::QemuX86_64)?;
    machine.run("echo 1 >/proc/sys/kernel/unknown_nmi_panic")?;
    machine.reads_entropy()?;
    machine.send("kill -STOP -1")?;
    let record = host.wait_for("reset")?;
    let stages: Vec<_> = record["stages"].as_array().into_iter().flatten().collect();
    let done: Vec<_> = stages.iter().map(|stage| &stage["do"]).collect();
    ensure!(done == ["notify", "nmi"], "{record}");
    machine.wait_for_boot()
}

fn is_relayed() -> Result<()> {
    let mut host = Host::start("--relay")?;
    let mut machine = host.boot_with_i6300esb()?;
    machine.run("watchdog -T 4 -t 1 /dev/watchdog")?;
    machine.run("sleep 6")?;
    ensure!(done(&host)?.is_empty(), "{}", host.daemon.log());
    machine.run("killall -9 watchdog")?;
    let record = host.wait_for("reset")?;
    ensure!(record["cause"] == "relayed", "{record}");
    machine.wait_for_boot()
}
