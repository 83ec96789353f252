// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest for a person.

use std::process::ExitCode;

use anyhow::Result;
use xtask::guest::{self, Front, Guest};

use crate::demo::{self, Daemons};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What runs the guest [default: uml on x86-64, else qemu-arm64]
    #[arg(long, value_enum)]
    front: Option<Front>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let front = demo::front(arguments.front)?;
    guest::prepare(&[front])?;
    let daemons = Daemons::start(front)?;
    println!("each device's check is in /checks; leaving the shell powers the guest off");
    let status = Guest::interact(front, &daemons.sockets())?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
