// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A Linux guest that plays the host: its kernel makes up hardware, and the test runs there, on
//! that hardware, with the files of the host it was built on.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Failed, Trial};

use crate::device::Device;
use crate::guest::{Front, Guest, Linux};
use crate::trial::trial_on;

/// Set where the test runs in a guest.
const INSIDE: &str = "VIRTIO_BACKENDS_INSIDE";

/// A whole test, which is one command to the guest.
const TEST: Duration = Duration::from_secs(300);

/// What the guest has beside the host's files: its own devices, and its own root in `/dev/guest`.
const MOUNT: &str = "mkdir /host /dev/guest && mount -o bind / /dev/guest && \
    mount -t hostfs -o ro none /host && \
    for own in dev proc sys; do mount -o rbind /$own /host/$own || exit; done";

/// Has a test run in a guest.
pub type Play<'a> = &'a dyn Fn(&mut Guest) -> Result<()>;

/// A test that runs in a guest which plays the host. `outside` boots one, has its kernel make up
/// the hardware, and hands it to what it is given, to have `inside` run there.
pub fn hosted(
    name: &'static str,
    outside: fn(Play<'_>) -> Result<()>,
    inside: fn() -> Result<()>,
) -> Trial {
    hosted_on(name, |_| None, outside, inside)
}

/// The same, where the test needs something of Linux that some versions lack: `lacks` says what.
pub fn hosted_on(
    name: &'static str,
    lacks: fn(Linux) -> Option<&'static str>,
    outside: fn(Play<'_>) -> Result<()>,
    inside: fn() -> Result<()>,
) -> Trial {
    if env::var_os(INSIDE).is_some() {
        return Trial::test(name, move || {
            inside().map_err(|error| Failed::from(format!("{error:#}")))
        });
    }
    trial_on(name, &[Front::Uml], lacks, move || {
        outside(&|guest| play(guest, name))
    })
}

/// Boots a guest that can play the host, and has these devices of ours beside what its kernel makes
/// up.
pub fn boot(devices: &[(&Device, &Path)]) -> Result<Guest> {
    let mut guest = Guest::boot(Front::Uml, devices)?;
    guest.check(MOUNT)?;
    Ok(guest)
}

/// Runs a command of the guest's busybox from inside a test.
pub fn busybox(command: &str) -> Result<()> {
    let mut busybox = Command::new("/dev/guest/bin/busybox");
    busybox.args(["sh", "-c", command]);
    let status = busybox.status().context("busybox")?;
    ensure!(status.success(), "{command}: {status}");
    Ok(())
}

fn play(guest: &mut Guest, name: &str) -> Result<()> {
    let program = env::current_exe()?;
    let command = format!(
        "TMPDIR=/dev {INSIDE}=1 chroot /host '{}' --exact {name}",
        program.display()
    );
    guest.check_within(TEST, &command)?;
    Ok(())
}
