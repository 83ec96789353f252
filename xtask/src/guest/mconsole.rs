// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! User-Mode Linux's management console: requests and replies are datagrams of its socket
//! (Linux, `arch/um/drivers/mconsole.h`).

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(10);

/// `MCONSOLE_MAGIC` and `MCONSOLE_VERSION`.
const MAGIC: u32 = 0xcafe_babe;
const VERSION: u32 = 2;

/// `MCONSOLE_MAX_DATA`: a request is always this long, and its text ends with a zero within it.
const MAX_DATA: usize = 512;

/// Has the kernel whose console is `socket` execute a command, and returns what it says. `folder` is
/// where its replies find us.
pub(super) fn execute(socket: &Path, folder: &Path, command: &str) -> Result<String> {
    ensure!(command.len() < MAX_DATA, "{command}: too long");
    let mut data = command.as_bytes().to_vec();
    data.resize(MAX_DATA, 0);
    let length = u32::try_from(command.len())?;
    let header = [MAGIC, VERSION, length].map(u32::to_ne_bytes).concat();
    let replies = folder.join("mconsole-replies");
    let console = UnixDatagram::bind(&replies)?;
    console.set_read_timeout(Some(PATIENCE))?;
    console
        .send_to(&[header, data].concat(), socket)
        .with_context(|| socket.display().to_string())?;
    let mut said = String::new();
    loop {
        let mut reply = [0; 12 + MAX_DATA];
        let length = console.recv(&mut reply).context(command.to_owned())?;
        let (numbers, text) = reply
            .get(..length)
            .unwrap_or_default()
            .split_at_checked(12)
            .context("reply")?;
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        said.push_str(&String::from_utf8_lossy(text));
        // `err`, `more` and `len`.
        let is_zero = |number: &[u8]| number.iter().all(|byte| *byte == 0);
        let mut numbers = numbers.chunks(4).map(is_zero);
        ensure!(numbers.next() == Some(true), "{command}: {said}");
        if numbers.next() == Some(true) {
            break;
        }
    }
    fs::remove_file(replies)?;
    Ok(said)
}
