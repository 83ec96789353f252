// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A FIFO through which somebody outside tells a daemon what to do.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, ensure};
use log::warn;

/// Longest command, in bytes: a word or two, and a name.
const MAX_COMMAND: u64 = 256;

/// Has `perform` do what the FIFO at `path` says, a line each time, for as long as the process
/// lives. What it cannot do is logged, and no more.
///
/// # Errors
/// When there is no FIFO at `path`, or the process is out of threads.
pub fn control(
    path: &Path,
    perform: impl FnMut(&str) -> Result<()> + Send + 'static,
) -> Result<()> {
    let at = || path.display().to_string();
    // Open for writing too, so that it does not end when a writer does, or wait for the first.
    let fifo = OpenOptions::new().read(true).write(true).open(path);
    let fifo = fifo.with_context(at)?;
    let is_fifo = fifo.metadata().with_context(at)?.file_type().is_fifo();
    ensure!(is_fifo, "{}: not a FIFO (mkfifo makes one)", at());
    // Ends with the process.
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || obey(fifo, perform))?;
    Ok(())
}

fn obey(fifo: File, mut perform: impl FnMut(&str) -> Result<()>) {
    let mut fifo = BufReader::new(fifo);
    loop {
        match command(&mut fifo).map(|command| match command.trim() {
            "" => Ok(()),
            command => perform(command),
        }) {
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
