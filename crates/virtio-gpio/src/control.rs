// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A FIFO through which simulated lines are driven: somebody presses a button.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use log::warn;
use virtio_gpio::SimulatedChip;

/// Longest command, in bytes: a name, and a level.
const MAX_COMMAND: u64 = 256;

/// Drives the lines of `chip` as the FIFO at `path` says.
pub(crate) fn serve(chip: SimulatedChip, path: &Path) -> Result<()> {
    let at = || path.display().to_string();
    // Open for writing too, so that it does not end when a writer does, or wait for the first.
    let fifo = OpenOptions::new().read(true).write(true).open(path);
    let fifo = fifo.with_context(at)?;
    let is_fifo = fifo.metadata().with_context(at)?.file_type().is_fifo();
    ensure!(is_fifo, "{}: not a FIFO (mkfifo makes one)", at());
    // Ends with the process.
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || obey(&chip, fifo))?;
    Ok(())
}

fn obey(chip: &SimulatedChip, fifo: File) {
    let mut fifo = BufReader::new(fifo);
    loop {
        match command(&mut fifo).map(|command| perform(chip, command.trim())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!("control: {error:#}"),
            Err(error) => return warn!("control: {error}: lines are driven no more"),
        }
    }
}

fn command(fifo: &mut BufReader<File>) -> io::Result<String> {
    let mut command = Vec::new();
    fifo.take(MAX_COMMAND).read_until(b'\n', &mut command)?;
    Ok(String::from_utf8_lossy(&command).into_owned())
}

fn perform(chip: &SimulatedChip, command: &str) -> Result<()> {
    if command.is_empty() {
        return Ok(());
    }
    let (name, level) = command.split_once('=').unwrap_or((command, ""));
    let level = match level {
        "high" => Some(true),
        "low" => Some(false),
        "free" => None,
        _ => bail!("{command:?} is not NAME=high, NAME=low or NAME=free"),
    };
    Ok(chip.drive(name, level)?)
}
