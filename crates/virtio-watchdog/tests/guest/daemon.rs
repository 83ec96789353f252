// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The driver and the daemon, which ends a guest of User-Mode Linux.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::guest::Front::{self, QemuX86_64, Uml};
use xtask::guest::Guest;
use xtask::trial::trial;

use crate::carrier::{UNBIND, carrier};
use crate::{LOAD, SLEEP, attached, uml};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        uml(
            "a_guest_that_stops_pinging_is_ended",
            a_guest_that_stops_pinging_is_ended,
        ),
        uml("a_pretimeout_comes_first", a_pretimeout_comes_first),
        uml(
            "a_stopped_watchdog_ends_nobody",
            a_stopped_watchdog_ends_nobody,
        ),
        uml(
            "a_locked_watchdog_is_not_stopped",
            a_locked_watchdog_is_not_stopped,
        ),
        uml("a_driver_ends_the_boot", a_driver_ends_the_boot),
        uml("who_sleeps_is_not_dead", who_sleeps_is_not_dead),
        uml("uml_pings_through_a_carrier", || {
            pings_through_a_carrier(Uml)
        }),
        trial("qemu_x86_64_pings_through_a_carrier", &[QemuX86_64], || {
            pings_through_a_carrier(QemuX86_64)
        }),
    ]
}

/// Longer than all timeouts here.
const A_WHILE: &str = "usleep 4000000";

fn a_guest_that_stops_pinging_is_ended() -> Result<()> {
    let mut host = Host::start(&[])?;
    let mut guest = host.boot()?;
    guest.check(LOAD)?;
    guest.check("watchdog -T 2 -t 500ms /dev/watchdog0")?;
    guest.check(A_WHILE)?;
    guest.perish("killall -9 watchdog; usleep 60000000")?;
    let record = host.record()?;
    expired_in_time(&record)?;
    ensure!(record.get("outcome") == Some(&"gone".into()), "{record}");
    let mut guest = host.boot()?;
    guest.check(LOAD)?;
    let why = guest.check("cat /sys/class/watchdog/watchdog0/bootstatus")?;
    // WDIOF_CARDRESET
    ensure!(why == "32", "bootstatus {why}");
    guest.power_off()?;
    let mut guest = host.boot()?;
    guest.check(LOAD)?;
    let why = guest.check("cat /sys/class/watchdog/watchdog0/bootstatus")?;
    ensure!(why == "0", "bootstatus {why}");
    guest.power_off()?;
    Ok(())
}

fn a_pretimeout_comes_first() -> Result<()> {
    let host = Host::start(&["--pretimeout", "1"])?;
    let mut guest = host.boot()?;
    guest.check(LOAD)?;
    guest.check("echo noop >/sys/class/watchdog/watchdog0/pretimeout_governor")?;
    let seen = "dmesg | grep -c 'watchdog0: pretimeout event'";
    // Pinged when it comes, twice.
    guest.check(&format!(
        "exec 3>/dev/watchdog0; \
         for n in 1 2; do until [ $({seen}) -eq $n ]; do usleep 10000; done; echo x >&3; done; \
         echo V >&3"
    ))?;
    guest.check(A_WHILE)?;
    let seen = guest.check(seen)?;
    ensure!(seen == "2", "{seen} pretimeouts");
    guest.power_off()?;
    Ok(())
}

fn a_stopped_watchdog_ends_nobody() -> Result<()> {
    let host = Host::start(&[])?;
    let mut guest = host.boot()?;
    guest.check(LOAD)?;
    guest.check("echo V >/dev/watchdog0")?;
    guest.check(A_WHILE)?;
    guest.power_off()?;
    Ok(())
}

fn a_locked_watchdog_is_not_stopped() -> Result<()> {
    let mut host = Host::start(&["--lock", "--boot-timeout", "60"])?;
    let mut guest = host.boot()?;
    guest.check(LOAD)?;
    // Linux pings as long as no program does.
    guest.check(A_WHILE)?;
    guest.perish("echo V >/dev/watchdog0; usleep 60000000")?;
    let record = host.record()?;
    ensure!(record.get("cause") == Some(&"expired".into()), "{record}");
    Ok(())
}

fn a_driver_ends_the_boot() -> Result<()> {
    let mut host = Host::start(&["--boot-timeout", "3"])?;
    let mut guest = host.boot()?;
    guest.check(LOAD)?;
    guest.check(A_WHILE)?;
    guest.power_off()?;
    let guest = host.boot()?;
    guest.perish("usleep 60000000")?;
    let record = host.record()?;
    ensure!(record.get("cause") == Some(&"boot".into()), "{record}");
    Ok(())
}

fn who_sleeps_is_not_dead() -> Result<()> {
    let host = Host::start(&[])?;
    let mut guest = host.boot()?;
    guest.check(LOAD)?;
    guest.check("watchdog -T 2 -t 500ms /dev/watchdog0")?;
    guest.check(&SLEEP.replace("echo 1 ", "echo 4 "))?;
    guest.check(A_WHILE)?;
    guest.perish("killall -9 watchdog; usleep 60000000")?;
    Ok(())
}

/// The timeout is the program's: the driver pings until it has passed, and then the daemon waits
/// for its own.
fn pings_through_a_carrier(front: Front) -> Result<()> {
    let mut host = Host::start(&["--carrier", "rng"])?;
    let mut guest = Guest::boot(front, &[(&carrier()?, host.daemon.socket())])?;
    guest.check(&format!("{UNBIND} && {LOAD} carrier=1 limit=2"))?;
    guest.check("watchdog -T 4 -t 500ms /dev/watchdog0")?;
    guest.check(A_WHILE)?;
    let start = Instant::now();
    guest.perish("killall -9 watchdog; usleep 60000000")?;
    let took = start.elapsed().as_secs_f64();
    ensure!(took >= 3.0, "gone after {took} s");
    expired_in_time(&host.record()?)
}

/// The guest was given its 2 s, and what the host's troubles are worth, and no more.
fn expired_in_time(record: &Value) -> Result<()> {
    let seconds = |key| record.get(key).and_then(Value::as_f64).context("no time");
    let (silence, excused) = (seconds("silence")?, seconds("excused")?);
    ensure!((2.0..3.0 + excused).contains(&silence), "{record}");
    ensure!(record.get("cause") == Some(&"expired".into()), "{record}");
    Ok(())
}

/// The daemon, for a guest that has 2 s, if nothing else is said, and is then killed.
struct Host {
    daemon: Daemon,
    _folder: TempDir,
}

impl Host {
    fn start(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let all = ["--timeout", "2", "--stage", "kill"]
            .iter()
            .chain(arguments);
        let all: Vec<_> = all.map(|&word| word.to_owned()).collect();
        let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-watchdog"));
        Ok(Self {
            daemon: Daemon::start(binary, &all, &folder.path().join("wd.sock"))?,
            _folder: folder,
        })
    }

    fn boot(&self) -> Result<Guest> {
        Guest::boot(Uml, &[(&attached()?, self.daemon.socket())])
    }

    /// What the daemon says of a failure, after what it may say of a busy host.
    fn record(&mut self) -> Result<Value> {
        let mut line = self.daemon.wait_for("\"outcome\":")?;
        while line.contains("\"outcome\":\"excused\"") {
            line = self.daemon.wait_for("\"outcome\":")?;
        }
        let (_, record) = line.split_once(": {").context("no record")?;
        serde_json::from_str(&format!("{{{record}")).context(line)
    }
}
