// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The kernel's raw mode: messages of a test, past the drivers, to the device that the kernel found.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use xtask::guest::Guest;

/// In an expected message: whatever.
pub(crate) const ANY: u32 = 0xa5a5_a5a5;

/// Commands that fit into what a terminal takes as a line.
const AT_A_TIME: usize = 12;

/// Prepares a guest to say messages.
pub(crate) fn prepare(guest: &mut Guest) -> Result<()> {
    guest.check(
        "printf '%s\\n' 'raw=/sys/kernel/debug/scmi/0/raw' \
         'say() { printf \"$1\" | dd of=$raw/$2 bs=256 2>/dev/null || echo refused; }' \
         'hear() { dd if=$raw/$1 bs=256 count=1 2>/dev/null | hexdump -v -e \"1/4 \\\"%x \\\"\"; echo; }' \
         'ask() { say $1 message; hear message; }' >/tmp/raw",
    )?;
    Ok(())
}

/// Says commands, and returns the responses.
pub(crate) fn ask(guest: &mut Guest, requests: &[&[u32]]) -> Result<Vec<Vec<u32>>> {
    let mut responses = Vec::new();
    for some in requests.chunks(AT_A_TIME) {
        let mut script = ". /tmp/raw".to_owned();
        for request in some {
            write!(script, "; ask '{}'", octal(request))?;
        }
        let said = guest.check(&script)?;
        let lines: Vec<_> = said.lines().collect();
        ensure!(lines.len() == some.len(), "{said}");
        for line in lines {
            responses.push(words(line)?);
        }
    }
    Ok(responses)
}

/// Says a command whose delayed response is waited for, and returns both.
pub(crate) fn ask_async(guest: &mut Guest, request: &[u32]) -> Result<[Vec<u32>; 2]> {
    let said = guest.check(&format!(
        ". /tmp/raw; say '{}' message_async; hear message_async; hear message_async",
        octal(request)
    ))?;
    let (response, delayed) = said.split_once('\n').context(said.clone())?;
    Ok([words(response)?, words(delayed)?])
}

/// Says a command, and returns the notification that it causes. What came before, of a sensor that the kernel has
/// measure, is forgotten.
pub(crate) fn notified(guest: &mut Guest, request: &[u32]) -> Result<Vec<u32>> {
    let said = guest.check(&format!(
        ". /tmp/raw; echo 1 >$raw/reset; ask '{}' >/dev/null; hear notification",
        octal(request)
    ))?;
    words(&said)
}

/// Says each command and expects its response.
pub(crate) fn expect(guest: &mut Guest, table: &[(&[u32], &[u32])]) -> Result<()> {
    let requests: Vec<_> = table.iter().map(|(request, _)| *request).collect();
    let responses = ask(guest, &requests)?;
    for ((request, expected), response) in table.iter().zip(responses) {
        let fits = |(word, expected): (&u32, &u32)| word == expected || *expected == ANY;
        ensure!(
            response.len() == expected.len() && response.iter().zip(*expected).all(fits),
            "{request:x?}: {response:x?}, not {expected:x?}"
        );
    }
    Ok(())
}

fn octal(words: &[u32]) -> String {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    bytes.map(|byte| format!("\\{byte:03o}")).collect()
}

fn words(line: &str) -> Result<Vec<u32>> {
    let word = |word| u32::from_str_radix(word, 16).context(line.to_owned());
    line.split_whitespace().map(word).collect()
}
