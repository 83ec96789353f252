// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Linux guests with our driver. `cargo xtask test` runs them; `cargo test` says so.
//!
//! Where it is about the driver, the device is a dummy, so that the test sees each byte that the
//! driver sends, and the driver all that a device may do to it.

#[path = "guest/carrier.rs"]
mod carrier;
#[path = "guest/daemon.rs"]
mod daemon;
#[path = "guest/device.rs"]
mod device;
#[path = "guest/failures.rs"]
mod failures;
#[path = "guest/ioctl.rs"]
mod ioctl;
#[path = "guest/operations.rs"]
mod operations;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Trial;
use xtask::device::Device;
use xtask::guest::{Front, Guest};
use xtask::trial::{run, trial};

use device::Watchdog;

const CONTROL: u64 = 1 << 0;
const PRETIMEOUT: u64 = 1 << 1;
const RESTART: u64 = 1 << 2;
const ALL: u64 = CONTROL | PRETIMEOUT | RESTART;

/// Timeouts of 1.5 to 3600 s, 10 s if nobody says, without a pretimeout.
const CONFIG: [u8; 36] = [
    0xdc, 0x05, 0, 0, 0x80, 0xee, 0x36, 0, 0x10, 0x27, 0, 0, 0, 0, 0, 0, //
    0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
];

const START_10_S: [u8; 16] = [2, 0, 0, 0, 0x10, 0x27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const START_20_S: [u8; 16] = [2, 0, 0, 0, 0x20, 0x4e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const START_20_S_PRE_5_S: [u8; 16] = [2, 0, 0, 0, 0x20, 0x4e, 0, 0, 0x88, 0x13, 0, 0, 0, 0, 0, 0];
const STOP: [u8; 16] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const STATUS: [u8; 16] = [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const PING: [u8; 0] = [];
const SUSPEND: [u8; 16] = [6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const RESUME: [u8; 16] = [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const RESTART_NOW: [u8; 16] = [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const BOOT_DONE: [u8; 16] = [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const LOAD: &str = "insmod /lib/modules/*/updates/virtio_wdt.ko";

/// All that sleep is but for the last moment, for which somebody would have to wake the guest.
const SLEEP: &str = "echo 1 >/sys/module/suspend/parameters/pm_test_delay && \
    echo devices >/sys/power/pm_test && echo mem >/sys/power/state";

fn main() -> ExitCode {
    let trials = [
        operations::trials(),
        failures::trials(),
        carrier::trials(),
        daemon::trials(),
    ];
    run(trials.into_iter().flatten().collect())
}

/// A test that needs User-Mode Linux, which has any device.
fn uml(name: &'static str, test: fn() -> Result<()>) -> Trial {
    trial(name, &[Front::Uml], test)
}

/// A guest of User-Mode Linux with such a device and our driver.
fn boot(features: u64, config: &[u8]) -> Result<(Watchdog, Guest)> {
    let watchdog = Watchdog::new(features, config);
    let mut guest = Guest::boot(Front::Uml, &[(&attached()?, &watchdog.socket())])?;
    guest.check(LOAD)?;
    Ok((watchdog, guest))
}

/// How it is attached.
fn attached() -> Result<Device> {
    Device::of("virtio-watchdog")
}
