// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A child process that cannot outlive us, and what it says, line by line.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::tools::{self, Tool};

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// One line, without its end.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) stream: Stream,
    pub(crate) text: String,
}

/// Why there is no next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoLine {
    /// The deadline has passed.
    Late,
    /// The process and all that it started have closed their output.
    Ended,
}

/// A child in a process group of its own. The whole group is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    lines: Receiver<Line>,
}

impl Process {
    pub(crate) fn start(program: &Path, args: &[OsString]) -> Result<Self> {
        let mut child = bound_to_us(program, args)?
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            read_lines(stdout, Stream::Stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            read_lines(stderr, Stream::Stderr, sender);
        }
        let pid = Pid::from_child(&child);
        Ok(Self { child, pid, lines })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The group of the child and of all that it starts.
    pub(crate) fn group(&self) -> Pid {
        self.pid
    }

    pub(crate) fn stdin(&mut self) -> Result<&mut ChildStdin> {
        self.child.stdin.as_mut().context("stdin is closed")
    }

    pub(crate) fn line(&self, deadline: Instant) -> Result<Line, NoLine> {
        self.lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => NoLine::Late,
                RecvTimeoutError::Disconnected => NoLine::Ended,
            })
    }

    pub(crate) fn terminate(&self) -> Result<()> {
        Ok(kill_process(self.pid, Signal::TERM)?)
    }

    /// How it ended. To be asked after [`NoLine::Ended`].
    pub(crate) fn status(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if nobody is left to kill.
        kill_process_group(self.pid, Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// The kernel kills this command when we die, however we die: a terminal's Ctrl-C reaches us, but
/// not another process group. User-Mode Linux's helper processes are traced by their kernel and go
/// with it.
pub(crate) fn bound_to_us(program: &Path, args: &[OsString]) -> Result<Command> {
    tools::require(&[Tool {
        file: "setpriv",
        package: "util-linux",
    }])?;
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .args(args);
    Ok(command)
}

/// The thread ends when the last process that holds the other end is gone.
fn read_lines(from: impl Read + Send + 'static, stream: Stream, lines: Sender<Line>) {
    thread::spawn(move || {
        for bytes in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end_matches('\r').to_owned();
            if lines.send(Line { stream, text }).is_err() {
                break;
            }
        }
    });
}
