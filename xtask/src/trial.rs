// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest tests: run where somebody asked for guests and the host can have them, else ignored with
//! the reason.

use std::env;
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::guest::Front;

/// `cargo xtask test` sets this to have the guests run.
pub const ENABLE: &str = "VIRTIO_BACKENDS_GUESTS";

/// A test that needs these front ends.
pub fn trial(
    name: &str,
    fronts: &'static [Front],
    test: impl FnOnce() -> Result<()> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        if env::var_os(ENABLE).is_none() {
            return Ok(Completion::ignored_with(
                "needs a guest: run `cargo xtask test`",
            ));
        }
        if let Some(reason) = fronts.iter().find_map(|front| front.missing()) {
            return Ok(Completion::ignored_with(reason));
        }
        test().map_err(|error| Failed::from(format!("{error:#}")))?;
        Ok(Completion::Completed)
    })
}

/// Runs them one after the other: each keeps a processor busy.
#[must_use]
pub fn run(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}
