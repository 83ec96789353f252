// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The benchmarks of every crate that has some.

use std::process::ExitCode;

use anyhow::Result;

use crate::test::{cargo, crates_with};

pub(crate) fn run() -> Result<ExitCode> {
    let mut bench = cargo(&["bench"]);
    for package in crates_with("benches")? {
        bench.args(["--package", &package]);
    }
    let passed = bench.status()?.success();
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
