// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! QEMU's monitor, as far as a test needs it: commands without arguments, answers without content.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// QEMU has connected before it starts the guest, so there is nothing to wait for.
    #[expect(clippy::needless_pass_by_value, reason = "one QEMU, one connection")]
    pub(super) fn accept(listener: UnixListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let (stream, _) = listener.accept().context("QEMU's monitor")?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
        };
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// An answer is an object with one member, `return` or `error`; the greeting and events that
    /// come before it are other objects.
    pub(super) fn execute(&mut self, command: &str) -> Result<()> {
        writeln!(self.stream.get_mut(), r#"{{"execute": "{command}"}}"#)?;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("{command}: QEMU is gone");
            }
            if line.starts_with(r#"{"return""#) {
                return Ok(());
            }
            if line.starts_with(r#"{"error""#) {
                bail!("{command}: {}", line.trim());
            }
        }
    }
}
