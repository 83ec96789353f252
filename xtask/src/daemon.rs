// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A back end as a process: started, watched through its log, stopped.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::process::{NoLine, Process};

/// How long a daemon may take to say what we wait for. It answers in milliseconds unless something
/// is wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running daemon. It is killed when dropped; [`stop`](Self::stop) asks it to end.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    socket: PathBuf,
    log: String,
}

impl Daemon {
    /// Starts `binary` on `socket` and returns when it listens.
    pub fn start(binary: &Path, args: &[String], socket: &Path) -> Result<Self> {
        let mut all = vec![OsString::from("--socket-path"), socket.into()];
        all.extend(args.iter().map(OsString::from));
        Self::run(binary, &all, socket)
    }

    /// Starts `binary` with a configuration file whose one guest is at `socket`, and returns when it
    /// listens.
    pub fn configured(binary: &Path, file: &Path, socket: &Path) -> Result<Self> {
        Self::run(binary, &[OsString::from("--config"), file.into()], socket)
    }

    fn run(binary: &Path, args: &[OsString], socket: &Path) -> Result<Self> {
        let mut daemon = Self {
            process: Process::start(binary, args)?,
            socket: socket.to_owned(),
            log: String::new(),
        };
        daemon.wait_for("listening on")?;
        Ok(daemon)
    }

    /// Where front ends find it.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything that it has said and somebody has waited for.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Returns the next line of the log that contains `text`.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next_line(deadline) {
                Ok(line) if line.contains(text) => return Ok(line),
                Ok(_) => {}
                Err(NoLine::Late) => {
                    bail!("the daemon never said {text:?}; its log:\n{}", self.log)
                }
                Err(NoLine::Ended) => bail!("the daemon ended; its log:\n{}", self.log),
            }
        }
    }

    /// How many file descriptors it holds now.
    pub fn fds(&self) -> Result<usize> {
        self.count("fd")
    }

    /// How many threads it has now, and how many file descriptors it holds.
    pub fn resources(&self) -> Result<(usize, usize)> {
        Ok((self.count("task")?, self.fds()?))
    }

    /// Expects that it has as many threads and file descriptors as it had `before`, or soon will: what
    /// it says in its log or does for a guest may come before the end of what it no longer needs.
    pub fn expect_resources(&self, before: (usize, usize)) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.resources()?;
            if now == before {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "threads and fds were {before:?}, and are {now:?}"
            );
            thread::yield_now();
        }
    }

    /// Sends SIGTERM, expects a clean end, and returns the whole log.
    pub fn stop(mut self) -> Result<String> {
        self.process.terminate()?;
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            if let Err(end) = self.next_line(deadline) {
                break end;
            }
        };
        ensure!(
            end == NoLine::Ended,
            "the daemon ignores SIGTERM; its log:\n{}",
            self.log
        );
        let status = self.process.status()?;
        ensure!(
            status.success(),
            "the daemon ended with {status}; its log:\n{}",
            self.log
        );
        Ok(self.log.clone())
    }

    fn next_line(&mut self, deadline: Instant) -> Result<String, NoLine> {
        let line = self.process.line(deadline)?;
        self.log.push_str(&line.text);
        self.log.push('\n');
        Ok(line.text)
    }

    fn count(&self, what: &str) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/{what}", self.process.id()))?.count())
    }
}
