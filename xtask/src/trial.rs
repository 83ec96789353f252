// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest tests: run where somebody asked for guests and the host can have them, else ignored with
//! the reason.

use std::env;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::device::Device;
use crate::guest::{Front, Ground, Linux, lacks_for_debian};

/// `cargo xtask test` sets this to have the guests run.
pub const ENABLE: &str = "VIRTIO_BACKENDS_GUESTS";

/// `cargo xtask test` sets this to the front ends whose guests run, by their names and with commas.
/// All do if it is not set.
pub const FRONTS: &str = "VIRTIO_BACKENDS_FRONTS";

/// The kind of a test whose guests do not run, and which is not counted.
const ELSEWHERE: &str = "elsewhere";

/// `cargo xtask soak` sets this to have tests do a thing more often.
pub const TIMES: &str = "VIRTIO_BACKENDS_TIMES";

/// How often to do what CI does `short` times.
#[must_use]
pub fn times(short: u32) -> u32 {
    let times = env::var(TIMES).ok().and_then(|times| times.parse().ok());
    short.saturating_mul(times.unwrap_or(1))
}

/// A test that needs these front ends.
pub fn trial(
    name: &str,
    fronts: &'static [Front],
    test: impl FnOnce() -> Result<()> + Send + 'static,
) -> Trial {
    trial_if(name, fronts, || Ok(None), test)
}

/// A test that needs this front end, and that it can have the device of this package.
pub fn trial_with(
    name: &str,
    front: &'static Front,
    package: &'static str,
    test: impl FnOnce() -> Result<()> + Send + 'static,
) -> Trial {
    let lacks = || front.lacks(&Device::of(package)?);
    trial_if(name, std::slice::from_ref(front), lacks, test)
}

/// A test that needs Debian's own kernel, which QEMU runs.
pub fn trial_of_debian(name: &str, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    trial_if(name, &[Front::QemuArm64], lacks_for_debian, test)
}

/// A test that needs these front ends, and that nothing is `missing` besides.
fn trial_if(
    name: &str,
    fronts: &'static [Front],
    missing: impl FnOnce() -> Result<Option<String>> + Send + 'static,
    test: impl FnOnce() -> Result<()> + Send + 'static,
) -> Trial {
    let kind = match env::var(FRONTS) {
        Ok(chosen) if !fronts.iter().all(|front| is_among(&chosen, *front)) => ELSEWHERE,
        _ => "",
    };
    let test = Trial::ignorable_test(name, move || {
        if env::var_os(ENABLE).is_none() {
            return Ok(Completion::ignored_with(
                "needs a guest: run `cargo xtask test`",
            ));
        }
        if let Some(reason) = fronts.iter().find_map(|front| front.missing()) {
            return Ok(Completion::ignored_with(reason));
        }
        let missing = missing().map_err(|error| Failed::from(format!("{error:#}")))?;
        if let Some(reason) = missing {
            return Ok(Completion::ignored_with(reason));
        }
        test().map_err(|error| Failed::from(format!("{error:#}")))?;
        Ok(Completion::Completed)
    });
    test.with_kind(kind)
}

fn is_among(names: &str, front: Front) -> bool {
    names.split(',').any(|name| name == front.to_string())
}

/// A test that needs something of Linux that some versions lack: `lacks` says what.
pub fn trial_on(
    name: &str,
    fronts: &'static [Front],
    lacks: fn(Linux) -> Option<&'static str>,
    test: impl FnOnce() -> Result<()> + Send + 'static,
) -> Trial {
    let is_enabled = env::var_os(ENABLE).is_some();
    match lacks(Ground::chosen().linux) {
        Some(reason) if is_enabled => {
            trial_if(name, fronts, || Ok(Some(reason.to_owned())), || Ok(()))
        }
        _ => trial(name, fronts, test),
    }
}

/// Runs as many at once as there are processors: each guest keeps one busy, or waits.
#[must_use]
pub fn run(mut trials: Vec<Trial>) -> ExitCode {
    trials.retain(|trial| trial.kind() != ELSEWHERE);
    let mut arguments = Arguments::from_args();
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(processors);
    libtest_mimic::run(&arguments, trials).exit_code()
}
