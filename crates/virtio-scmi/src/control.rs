// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A FIFO through which somebody outside resets guests, or has the hardware fail.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use log::{info, warn};
use virtio_scmi::Board;

/// Longest command, in bytes: a word, and a guest's name.
const MAX_COMMAND: u64 = 256;

/// Does with `board` what the FIFO at `path` says.
pub(crate) fn serve(board: Board, path: &Path) -> Result<()> {
    let at = || path.display().to_string();
    // Open for writing too, so that it does not end when a writer does, or wait for the first.
    let fifo = OpenOptions::new().read(true).write(true).open(path);
    let fifo = fifo.with_context(at)?;
    let is_fifo = fifo.metadata().with_context(at)?.file_type().is_fifo();
    ensure!(is_fifo, "{}: not a FIFO (mkfifo makes one)", at());
    // Ends with the process.
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || obey(&board, fifo))?;
    Ok(())
}

fn obey(board: &Board, fifo: File) {
    let mut fifo = BufReader::new(fifo);
    loop {
        match command(&mut fifo).map(|command| perform(board, command.trim())) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!("control: {error:#}"),
            Err(error) => return warn!("control: {error}: nothing is obeyed any longer"),
        }
    }
}

fn command(fifo: &mut BufReader<File>) -> io::Result<String> {
    let mut command = Vec::new();
    fifo.take(MAX_COMMAND).read_until(b'\n', &mut command)?;
    Ok(String::from_utf8_lossy(&command).into_owned())
}

fn perform(board: &Board, command: &str) -> Result<()> {
    match command.split_once(' ').unwrap_or((command, "")) {
        ("", "") => return Ok(()),
        ("reset", guest) if !guest.is_empty() => board.reset(guest)?,
        ("fail", "") => board.set_broken(true),
        ("work", "") => board.set_broken(false),
        _ => bail!("{command:?} is not reset GUEST, fail or work"),
    }
    info!("control: {command}");
    Ok(())
}
