// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What programs and Linux do with a watchdog, and what the device is asked for it.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use libtest_mimic::Trial;
use rustix::io::Errno;
use xtask::guest::{Front, Guest};
use xtask::host::{self, Play, hosted};

use crate::device::{self, Answer, Heard, Watchdog};
use crate::ioctl::{self, Open};
use crate::{
    ALL, BOOT_DONE, CONFIG, LOAD, PING, RESTART_NOW, RESUME, SLEEP, START_10_S, START_20_S,
    START_20_S_PRE_5_S, STATUS, STOP, SUSPEND, attached, boot, uml,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        hosted(
            "programs_have_all_operations",
            all_operations_outside,
            all_operations_inside,
        ),
        uml("a_plain_device_is_pinged", a_plain_device_is_pinged),
        uml("a_boot_is_watched_until_a_program_does", a_boot_is_watched),
        uml("there_is_no_way_out", there_is_no_way_out),
        uml("the_host_can_lock_it", the_host_can_lock_it),
        uml("the_guest_knows_why_it_was_reset", knows_why_it_was_reset),
        uml("it_is_unloaded_and_loaded", it_is_unloaded_and_loaded),
        uml("timers_stand_still_while_asleep", asleep),
        uml("sleep_is_no_boot", sleep_is_no_boot),
        uml("the_host_restarts_the_guest", the_host_restarts_the_guest),
    ]
}

fn all_operations_outside(play: Play<'_>) -> Result<()> {
    let watchdog = Watchdog::new(ALL, &CONFIG);
    let mut guest = host::boot(&[(&attached()?, &watchdog.socket())])?;
    guest.check(LOAD)?;
    play(&mut guest)?;
    watchdog.expect(&[
        &START_10_S,         // opened
        &START_10_S,         // written to
        &START_10_S,         // KEEPALIVE
        &START_20_S,         // SETTIMEOUT
        &START_20_S_PRE_5_S, // SETPRETIMEOUT
        &STATUS,             // GETTIMELEFT
        &STOP,               // DISABLECARD
        &START_20_S_PRE_5_S, // ENABLECARD
        &START_20_S_PRE_5_S, // written V to
        &STOP,               // closed
        &START_20_S_PRE_5_S, // opened
        &START_20_S_PRE_5_S, // written something else to
    ])?;
    guest.power_off()?;
    Ok(())
}

fn all_operations_inside() -> Result<()> {
    let mut open = Open::new()?;
    let second = Open::new().err().and_then(|error| error.raw_os_error());
    ensure!(second == Some(Errno::BUSY.raw_os_error()), "{second:?}");

    let support = open.support()?;
    // KEEPALIVEPING, MAGICCLOSE, PRETIMEOUT, SETTIMEOUT, CARDRESET
    ensure!(support.options == 0x83a0, "{support:x?}");
    ensure!(support.identity.starts_with(b"virtio-watchdog\0"));
    ensure!(open.ask::<{ ioctl::GETBOOTSTATUS }>(9)? == 0);
    ensure!(open.ask::<{ ioctl::GETTIMEOUT }>(0)? == 10);
    open.0.write_all(b"x")?;
    open.ask::<{ ioctl::KEEPALIVE }>(0)?;
    // KEEPALIVEPING
    ensure!(open.ask::<{ ioctl::GETSTATUS }>(0)? == 0x8000);

    for wrong in [0, 1, 3601, u32::MAX] {
        ensure!(open.ask::<{ ioctl::SETTIMEOUT }>(wrong).is_err(), "{wrong}");
    }
    ensure!(open.ask::<{ ioctl::SETTIMEOUT }>(20)? == 20);
    ensure!(open.ask::<{ ioctl::SETPRETIMEOUT }>(20).is_err());
    open.ask::<{ ioctl::SETPRETIMEOUT }>(5)?;
    ensure!(open.ask::<{ ioctl::GETPRETIMEOUT }>(0)? == 5);
    ensure!(open.ask::<{ ioctl::GETTIMELEFT }>(0)? == 7);
    open.ask::<{ ioctl::SETOPTIONS }>(1)?;
    // What is stopped is not pinged.
    open.0.write_all(b"x")?;
    open.ask::<{ ioctl::SETOPTIONS }>(2)?;

    open.0.write_all(b"V")?;
    drop(open);
    ensure!(state_inside()? == "inactive");
    let mut open = Open::new()?;
    open.0.write_all(b"Vx")?;
    open.0.write_all(b"x")?;
    drop(open);
    ensure!(state_inside()? == "active", "closed without a V");
    Ok(())
}

fn state_inside() -> Result<String> {
    let text = fs::read_to_string("/sys/class/watchdog/watchdog0/state")?;
    Ok(text.trim().to_owned())
}

/// The watchdog core pings each half of the limit, for a program that wants more or has gone.
fn a_plain_device_is_pinged() -> Result<()> {
    let watchdog = Watchdog::new(0, &[]);
    watchdog.answer(Answer::Bytes(vec![1]));
    let mut guest = Guest::boot(Front::Uml, &[(&attached()?, &watchdog.socket())])?;
    guest.check(&format!("{LOAD} limit=1"))?;
    watchdog.expect_nothing()?;
    guest.check("echo V >/dev/watchdog0")?;
    watchdog.expect(&[&PING[..]; 10])?;
    guest.power_off()?;
    Ok(())
}

/// With the default of 2 s there is a ping each second, by nobody but Linux itself.
fn a_boot_is_watched() -> Result<()> {
    let mut config = CONFIG;
    config[8..12].copy_from_slice(&[0xd0, 7, 0, 0]);
    config[0x16] = 1 << 2;
    let start_2_s = [&START_10_S[..4], &[0xd0, 7], &START_10_S[6..]].concat();
    let (watchdog, mut guest) = boot(ALL, &config)?;
    watchdog.expect(&[&start_2_s[..]; 4])?;
    ensure!(guest.run("rmmod virtio_wdt")?.status != 0, "unloaded");
    guest.check("echo V >/dev/watchdog0")?;
    guest.check(&format!("rmmod virtio_wdt && {LOAD}"))?;
    loop {
        match watchdog.next()? {
            Heard::Asked(request) if request == start_2_s => {}
            Heard::Asked(request) if request == STOP => break,
            other => bail!("{other:?}"),
        }
    }
    watchdog.expect_reset()?;
    guest.power_off()?;
    Ok(())
}

fn there_is_no_way_out() -> Result<()> {
    let watchdog = Watchdog::new(ALL, &CONFIG);
    let mut guest = Guest::boot(Front::Uml, &[(&attached()?, &watchdog.socket())])?;
    guest.check(&format!("{LOAD} nowayout=1 timeout=20"))?;
    guest.check("echo V >/dev/watchdog0")?;
    let mut lock = START_20_S;
    lock[12] = 1;
    // Opened, written to, and pinged when it could not be stopped.
    watchdog.expect(&[&lock, &lock, &lock])?;
    ensure!(state(&mut guest, "state")? == "active");
    ensure!(guest.run("rmmod virtio_wdt")?.status != 0, "unloaded");
    watchdog.expect_nothing()?;
    guest.power_off()?;
    Ok(())
}

fn the_host_can_lock_it() -> Result<()> {
    let mut config = CONFIG;
    config[0x16] = 1 << 0;
    let (watchdog, mut guest) = boot(ALL, &config)?;
    ensure!(state(&mut guest, "nowayout")? == "1");
    guest.check("echo V >/dev/watchdog0")?;
    let mut lock = START_10_S;
    lock[12] = 1;
    watchdog.expect(&[&lock, &lock, &lock])?;
    watchdog.expect_nothing()?;
    guest.power_off()?;
    Ok(())
}

fn knows_why_it_was_reset() -> Result<()> {
    // A channel, the boot timer, a restart, a panic, and something that is not known yet.
    for (why, expected) in [(1, "32"), (2, "32"), (4, "0"), (8, "32"), (16, "0")] {
        let mut config = CONFIG;
        config[0x18] = why;
        let (_watchdog, mut guest) = boot(ALL, &config)?;
        let bootstatus = state(&mut guest, "bootstatus")?;
        ensure!(bootstatus == expected, "{why}: {bootstatus}");
        guest.power_off()?;
    }
    Ok(())
}

fn it_is_unloaded_and_loaded() -> Result<()> {
    let (watchdog, mut guest) = boot(ALL, &CONFIG)?;
    for _ in 0..10 {
        guest.check("(exec 3>/dev/watchdog0; ! rmmod virtio_wdt; echo V >&3)")?;
        watchdog.expect(&[&START_10_S, &START_10_S, &STOP])?;
        guest.check("rmmod virtio_wdt")?;
        ensure!(guest.run("test -e /dev/watchdog0")?.status == 1);
        guest.check(LOAD)?;
        watchdog.expect_reset()?;
    }
    // The device goes, and not the driver: what was started is stopped.
    let bind = "echo virtio0 >/sys/bus/virtio/drivers/virtio_wdt";
    guest.check(&format!(
        "(exec 3>/dev/watchdog0; {bind}/unbind; ! echo x >&3)"
    ))?;
    watchdog.expect(&[&START_10_S, &STOP])?;
    guest.check(&format!("{bind}/bind"))?;
    watchdog.expect_reset()?;
    guest.power_off()?;
    Ok(())
}

fn asleep() -> Result<()> {
    let (watchdog, mut guest) = boot(ALL, &CONFIG)?;
    guest.check(SLEEP)?;
    watchdog.expect(&[&SUSPEND, &RESUME])?;
    watchdog.expect_nothing()?;
    guest.check(&format!("(exec 3>/dev/watchdog0; {SLEEP})"))?;
    // Before and after, Linux pings by itself. The last is for a close without a V.
    watchdog.expect(&[
        &START_10_S,
        &START_10_S,
        &SUSPEND,
        &RESUME,
        &START_10_S,
        &START_10_S,
    ])?;
    watchdog.expect_nothing()?;
    guest.power_off()?;
    Ok(())
}

/// A device that was reset while the guest slept waits for a boot that has been long ago.
fn sleep_is_no_boot() -> Result<()> {
    let (watchdog, mut guest) = boot(ALL, &CONFIG)?;
    let mut boots = device::OK;
    boots[2] = 1 << 2;
    watchdog.answer(Answer::Bytes(boots.to_vec()));
    guest.check(SLEEP)?;
    watchdog.expect(&[&SUSPEND, &RESUME, &BOOT_DONE])?;
    guest.check(&format!("(exec 3>/dev/watchdog0; {SLEEP})"))?;
    watchdog.expect(&[&START_10_S, &START_10_S, &SUSPEND, &RESUME, &START_10_S])?;
    guest.power_off()?;
    Ok(())
}

/// A restart that does not come is waited for for two seconds.
const REFUSED: Duration = Duration::from_millis(1500);

/// Interrupts are off when Linux comes to its restart handlers.
fn the_host_restarts_the_guest() -> Result<()> {
    let (watchdog, mut guest) = boot(ALL, &CONFIG)?;
    // Found beforehand: it takes a guest on a busy host long.
    let address = guest.check("awk '$3 == \"do_kernel_restart\" { print $1 }' /proc/kallsyms")?;
    let restart = &format!(
        "insmod /lib/modules/*/updates/restart_handlers.ko address=0x{address} && \
         rmmod restart_handlers"
    );
    guest.check(restart)?;
    watchdog.expect(&[&RESTART_NOW])?;
    watchdog.expect_nothing()?;
    // Where the device answers nothing, it is the next handler's turn.
    watchdog.answer(Answer::Never);
    guest.run("echo x >/dev/watchdog0")?;
    guest.check(restart)?;
    watchdog.expect(&[&START_10_S])?;
    watchdog.expect_nothing()?;
    // Nor is there anything to wait for where it does not want to.
    watchdog.answer(Answer::Status(8, 7));
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        guest.check(restart)?;
        fastest = fastest.min(start.elapsed());
        watchdog.expect(&[&RESTART_NOW])?;
        watchdog.expect_nothing()?;
        if fastest < REFUSED {
            break;
        }
    }
    ensure!(fastest < REFUSED, "waited after a BUSY");
    guest.power_off()?;
    Ok(())
}

fn state(guest: &mut Guest, attribute: &str) -> Result<String> {
    guest.check(&format!("cat /sys/class/watchdog/watchdog0/{attribute}"))
}
