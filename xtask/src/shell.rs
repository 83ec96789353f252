// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest for a person.

use std::process::ExitCode;

use anyhow::Result;
use xtask::guest::{self, Front, Ground, Guest};

use crate::demo::{self, Build, Daemons};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What runs the guest [default: uml on x86-64, else qemu-arm64]
    #[arg(long, value_enum)]
    front: Option<Front>,
    #[command(flatten)]
    ground: Ground,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    Ground {
        demo: true,
        ..arguments.ground
    }
    .choose();
    let front = demo::front(arguments.front)?;
    let build = Build::start()?;
    guest::prepare(&[front])?;
    let daemons = Daemons::start(front, build)?;
    println!("each device's check is in /checks; leaving the shell powers the guest off");
    let status = Guest::interact(front, &daemons.sockets())?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
