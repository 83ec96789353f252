// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Our driver on an entropy device, which all front ends have.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use xtask::device::Device;
use xtask::guest::Front::{self, QemuArm64, QemuX86_64, Uml};
use xtask::guest::Guest;
use xtask::trial::trial;

use crate::device::{Answer, Heard, Watchdog};
use crate::{LOAD, PING, attached, uml};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        uml("uml_has_a_carrier", || a_carrier_is_a_watchdog(Uml)),
        trial("qemu_arm64_has_a_carrier", &[QemuArm64], || {
            a_carrier_is_a_watchdog(QemuArm64)
        }),
        trial("qemu_x86_64_has_a_carrier", &[QemuX86_64], || {
            a_carrier_is_a_watchdog(QemuX86_64)
        }),
        trial("qemu_arm64_sleeps", &[QemuArm64], || {
            a_carrier_sleeps(QemuArm64)
        }),
        trial("qemu_x86_64_sleeps", &[QemuX86_64], || {
            a_carrier_sleeps(QemuX86_64)
        }),
        trial("a_carrier_that_dies_hangs_nobody", &[QemuX86_64], || {
            a_carrier_that_dies_hangs_nobody(QemuX86_64)
        }),
    ]
}

/// What a carrier answers a ping with: entropy, without a 1.
const ENTROPY: [u8; 16] = [0xa5; 16];

pub(crate) const UNBIND: &str = "echo virtio0 >/sys/bus/virtio/drivers/virtio_rng/unbind";

/// How it is attached.
pub(crate) fn carrier() -> Result<Device> {
    Ok(Device {
        virtio_id: 4,
        qemu: "vhost-user-rng-pci".to_owned(),
        ..attached()?
    })
}

/// A guest whose entropy device our driver has.
fn boot(front: Front) -> Result<(Watchdog, Guest)> {
    let watchdog = Watchdog::new(0, &[]);
    watchdog.answer(Answer::Bytes(ENTROPY.to_vec()));
    let mut guest = Guest::boot(front, &[(&carrier()?, &watchdog.socket())])?;
    // Nobody's entropy is taken without being told to.
    guest.check(&format!("{LOAD} && {UNBIND}"))?;
    ensure!(guest.run("test -e /dev/watchdog0")?.status == 1);
    guest.check(&format!("rmmod virtio_wdt && {LOAD} carrier=1 limit=4"))?;
    // Linux's own driver has asked before.
    while watchdog.next()? != Heard::Reset {}
    watchdog.expect_nothing()?;
    Ok((watchdog, guest))
}

/// The core pings by itself, which limits what is seen of a program's pings.
fn a_carrier_is_a_watchdog(front: Front) -> Result<()> {
    let (watchdog, mut guest) = boot(front)?;
    guest.check("echo V >/dev/watchdog0")?;
    watchdog.expect(&[&PING, &PING])?;
    // It cannot be stopped, so each 2 s.
    watchdog.expect(&[&PING, &PING])?;
    guest.power_off()?;
    Ok(())
}

/// A transport that takes the queues away while the guest sleeps.
fn a_carrier_sleeps(front: Front) -> Result<()> {
    let (watchdog, mut guest) = boot(front)?;
    guest.check(
        "echo 1 >/sys/module/suspend/parameters/pm_test_delay && \
         echo devices >/sys/power/pm_test && \
         (exec 3>/dev/watchdog0; echo freeze >/sys/power/state; echo x >&3)",
    )?;
    // Opened, about to sleep.
    watchdog.expect(&[&PING, &PING])?;
    watchdog.expect_reset()?;
    // Awake, written to, closed without a V.
    watchdog.expect(&[&PING, &PING, &PING])?;
    guest.power_off()?;
    Ok(())
}

/// The front end leaves such a device as it is, and it never answers.
fn a_carrier_that_dies_hangs_nobody(front: Front) -> Result<()> {
    let (watchdog, mut guest) = boot(front)?;
    guest.check(
        "(exec 3>/dev/watchdog0; while echo x >&3; do usleep 100000; done) 2>/tmp/end \
         >/dev/null &",
    )?;
    watchdog.expect(&[&PING, &PING])?;
    drop(watchdog);
    guest.check("until [ -s /tmp/end ]; do usleep 10000; done")?;
    let end = guest.check("cat /tmp/end")?;
    ensure!(end.contains("Input/output error"), "{end}");
    // QEMU 10.0 aborts when the guest powers off, so it is not asked to.
    guest.check("true")?;
    Ok(())
}
