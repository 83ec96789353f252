// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a device can do to the driver.

use anyhow::{Result, bail, ensure};
use libtest_mimic::Trial;
use xtask::guest::{Front, Guest};

use crate::device::{Answer, Watchdog};
use crate::{ALL, CONFIG, CONTROL, LOAD, PING, START_10_S, STOP, attached, boot, uml};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        uml("an_error_reaches_the_program", an_error_reaches_the_program),
        uml(
            "a_stop_that_is_refused_leaves_it_running",
            a_stop_that_is_refused_leaves_it_running,
        ),
        uml("a_silent_device_hangs_nobody", a_silent_device_hangs_nobody),
        uml(
            "a_killed_program_frees_nothing",
            a_killed_program_frees_nothing,
        ),
        uml(
            "a_configuration_without_sense_is_refused",
            a_configuration_without_sense_is_refused,
        ),
        uml(
            "features_without_control_are_none",
            features_without_control_are_none,
        ),
        uml(
            "a_pretimeout_is_logged_by_noop",
            a_pretimeout_is_logged_by_noop,
        ),
        uml("a_pretimeout_panics_by_panic", a_pretimeout_panics_by_panic),
    ]
}

/// A shell says it when there was an error.
const OPEN: &str = "echo x >/dev/watchdog0";

fn an_error_reaches_the_program() -> Result<()> {
    let (watchdog, mut guest) = boot(CONTROL, &CONFIG)?;
    for (status, text) in [
        (0, "Input/output error"),
        (2, "Invalid argument"),
        (3, "Operation not supported"),
        (4, "Numerical result out of range"),
        (6, "Input/output error"),
        (99, "Input/output error"),
    ] {
        watchdog.answer(Answer::Status(2, status));
        let answer = guest.run(OPEN)?;
        ensure!(answer.status != 0, "status {status}");
        ensure!(answer.stdout.contains(text), "{status}: {}", answer.stdout);
        watchdog.expect(&[&START_10_S])?;
    }
    guest.power_off()?;
    Ok(())
}

/// Opened, not stopped, pinged once more: and the guest has until then to do better.
fn a_stop_that_is_refused_leaves_it_running() -> Result<()> {
    let (watchdog, mut guest) = boot(CONTROL, &CONFIG)?;
    watchdog.answer(Answer::Status(3, 5));
    guest.check("echo V >/dev/watchdog0")?;
    watchdog.expect(&[&START_10_S, &START_10_S, &STOP, &START_10_S])?;
    ensure!(guest.check("cat /sys/class/watchdog/watchdog0/state")? == "active");
    ensure!(guest.run("rmmod virtio_wdt")?.status != 0, "unloaded");
    watchdog.answer(Answer::Status(0, 0));
    guest.check("echo V >/dev/watchdog0 && rmmod virtio_wdt")?;
    guest.power_off()?;
    Ok(())
}

fn a_silent_device_hangs_nobody() -> Result<()> {
    let (watchdog, mut guest) = boot(ALL, &CONFIG)?;
    watchdog.answer(Answer::Never);
    let first = guest.run(OPEN)?;
    ensure!(first.stdout.contains("Input/output error"), "{first:?}");
    // The one buffer there is belongs to the device, so nothing is asked.
    let second = guest.run(OPEN)?;
    ensure!(second.stdout.contains("Input/output error"), "{second:?}");
    watchdog.expect(&[&START_10_S])?;
    watchdog.expect_nothing()?;
    // Alive again, and so is the guest's watchdog. The late answer is to nobody's question.
    watchdog.answer(Answer::Status(2, 4));
    let third = guest.run(OPEN)?;
    ensure!(third.stdout.contains("out of range"), "{third:?}");
    watchdog.answer(Answer::Status(0, 0));
    guest.check(OPEN)?;
    watchdog.expect(&[&START_10_S, &START_10_S, &START_10_S])?;
    guest.power_off()?;
    Ok(())
}

/// The buffers of a program that was killed stay the device's, until it is reset.
fn a_killed_program_frees_nothing() -> Result<()> {
    let (watchdog, mut guest) = boot(ALL, &CONFIG)?;
    for _ in 0..3 {
        watchdog.answer(Answer::Never);
        guest.check("(echo x >/dev/watchdog0) 2>/dev/null & echo $! >/tmp/pid")?;
        watchdog.expect(&[&START_10_S])?;
        guest.check("kill -9 $(cat /tmp/pid)")?;
        guest.check("while [ -d /proc/$(cat /tmp/pid) ]; do usleep 10000; done")?;
        guest.check("rmmod virtio_wdt")?;
        watchdog.answer(Answer::Status(0, 0));
        guest.check(LOAD)?;
        watchdog.expect_reset()?;
        guest.check("echo V >/dev/watchdog0")?;
        watchdog.expect(&[&START_10_S, &START_10_S, &STOP])?;
    }
    guest.power_off()?;
    Ok(())
}

fn a_configuration_without_sense_is_refused() -> Result<()> {
    for wrong in [
        // 500 to 999 ms: no second fits.
        [&[0xf4, 1, 0, 0, 0xe7, 3, 0, 0], &CONFIG[8..]].concat(),
        // 2000 to 1000 ms
        [&[0xd0, 7, 0, 0, 0xe8, 3, 0, 0], &CONFIG[8..]].concat(),
    ] {
        let watchdog = Watchdog::new(CONTROL, &wrong);
        let mut guest = Guest::boot(Front::Uml, &[(&attached()?, &watchdog.socket())])?;
        guest.check(LOAD)?;
        guest.check("dmesg | grep -q 'virtio_wdt.*timeouts of'")?;
        ensure!(guest.run("test -e /dev/watchdog0")?.status == 1);
        guest.power_off()?;
    }
    Ok(())
}

/// Bits without the one that they require are not accepted, so the device knows pings only.
fn features_without_control_are_none() -> Result<()> {
    let (watchdog, mut guest) = boot(ALL & !CONTROL, &[])?;
    guest.check(OPEN)?;
    watchdog.expect(&[&PING, &PING])?;
    guest.power_off()?;
    Ok(())
}

const PRETIMEOUT_5_S: [u8; 8] = [1, 0, 0, 0, 0x88, 0x13, 0, 0];

fn a_pretimeout_is_logged_by_noop() -> Result<()> {
    let (watchdog, mut guest) = boot(ALL, &CONFIG)?;
    guest.check("echo noop >/sys/class/watchdog/watchdog0/pretimeout_governor")?;
    // Not about the guest, of no type that is known, and cut.
    watchdog.send(&[1, 0, 1, 0, 0, 0, 0, 0])?;
    watchdog.send(&[9, 0, 0, 0, 0, 0, 0, 0])?;
    watchdog.send(&PRETIMEOUT_5_S[..7])?;
    // More than there are buffers.
    for _ in 0..20 {
        watchdog.send(&PRETIMEOUT_5_S)?;
    }
    // EXPIRED, which comes after them.
    watchdog.send(&[2, 0, 0, 0, 0, 0, 0, 0])?;
    guest.check("until dmesg | grep -q 'virtio.*: expired'; do usleep 10000; done")?;
    let seen = guest.check("dmesg | grep -c 'watchdog0: pretimeout event'")?;
    ensure!(seen == "20", "{seen} pretimeouts");
    guest.power_off()?;
    Ok(())
}

fn a_pretimeout_panics_by_panic() -> Result<()> {
    let (watchdog, mut guest) = boot(ALL, &CONFIG)?;
    guest.check("echo panic >/sys/class/watchdog/watchdog0/pretimeout_governor")?;
    watchdog.send(&PRETIMEOUT_5_S)?;
    match guest.run("while :; do usleep 10000; done") {
        Err(error) if error.to_string().contains("panic - not syncing: watchdog") => Ok(()),
        other => bail!("{other:?}"),
    }
}
