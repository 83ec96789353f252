// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What somebody outside may say of simulated lines: that a button is pressed.

use anyhow::{Result, bail};
use virtio_gpio::SimulatedChip;

pub(crate) fn perform(chip: &SimulatedChip, command: &str) -> Result<()> {
    let (name, level) = command.split_once('=').unwrap_or((command, ""));
    let level = match level {
        "high" => Some(true),
        "low" => Some(false),
        "free" => None,
        _ => bail!("{command:?} is not NAME=high, NAME=low or NAME=free"),
    };
    Ok(chip.drive(name, level)?)
}
