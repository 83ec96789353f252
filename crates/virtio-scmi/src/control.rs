// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What somebody outside may say: that a guest is to be reset, or that the hardware fails.

use anyhow::{Result, bail};
use log::info;
use virtio_scmi::Board;

pub(crate) fn perform(board: &Board, command: &str) -> Result<()> {
    match command.split_once(' ').unwrap_or((command, "")) {
        ("reset", guest) if !guest.is_empty() => board.reset(guest)?,
        ("fail", "") => board.set_broken(true),
        ("work", "") => board.set_broken(false),
        _ => bail!("{command:?} is not reset GUEST, fail or work"),
    }
    info!("control: {command}");
    Ok(())
}
