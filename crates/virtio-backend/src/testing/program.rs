// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon as who starts it has it: a process with a command line, a configuration file, a log and
//! an exit code.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::LIMIT;

/// Runs a daemon that cannot start with these arguments, or does not go on after them.
#[must_use]
pub fn run(binary: &str, arguments: &[&str]) -> Output {
    let mut daemon = Command::new(binary);
    daemon.args(arguments).stdin(Stdio::null());
    daemon.output().unwrap()
}

/// Expects that a daemon could not start, and said why in one line that has these `words`.
#[track_caller]
pub fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{said:?} lacks {word:?}");
    }
}

/// Expects that a daemon refuses `guests.toml` with this text, and leaves nothing behind.
#[track_caller]
pub fn refused_file(binary: &str, text: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, text);
    refused(&run(binary, &["--config", file.to_str().unwrap()]), words);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Expects that a daemon refuses each of these files with exactly this message, which begins with
/// `guests.toml`, the file's name.
#[track_caller]
pub fn refused_with<T: AsRef<str>>(binary: &str, files: &[(T, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let said = |text: &str| {
        let file = write(&folder, text);
        let output = run(binary, &["--config", file.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        let (_, said) = said.split_once("/guests.toml").unwrap_or(("", &said));
        format!("guests.toml{}", said.trim_end())
    };
    let said: Vec<_> = files.iter().map(|(text, _)| said(text.as_ref())).collect();
    let expected: Vec<_> = files.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(said, expected);
}

/// The file, in which `DIR` is the folder.
fn write(folder: &TempDir, text: &str) -> PathBuf {
    let file = folder.path().join("guests.toml");
    let text = text.replace("DIR", folder.path().to_str().unwrap());
    fs::write(&file, text).unwrap();
    file
}

/// A daemon that runs. Killed when dropped.
pub struct Program {
    child: Child,
    log: Receiver<String>,
    folder: TempDir,
}

impl Program {
    /// Starts the daemon, and waits until it listens on as many `sockets`.
    pub fn start(command: &mut Command, sockets: usize) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), command, sockets)
    }

    /// Starts a daemon with a file of this text, in which `DIR` is its [`folder`](Self::folder),
    /// and waits until it listens for each guest.
    #[must_use]
    pub fn configured(binary: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command.arg("--config").arg(write(&folder, text));
        Self::start_in(folder, &mut command, text.matches("[[guest]]").count())
    }

    fn start_in(folder: TempDir, command: &mut Command, sockets: usize) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (line, log) = mpsc::channel();
        let stderr = child.stderr.take().unwrap();
        thread::spawn(move || {
            BufReader::new(stderr)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|text| line.send(text))
        });
        let program = Self { child, log, folder };
        for _ in 0..sockets {
            program.expect(": listening on ");
        }
        program
    }

    /// A folder of its own, which goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for a line of the log with `text`, and returns it.
    #[track_caller]
    pub fn expect(&self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(LIMIT).unwrap();
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ends the daemon with SIGTERM. Returns its exit code, and what was not waited for of its log.
    #[must_use]
    pub fn terminate(mut self) -> (Option<i32>, Vec<String>) {
        kill_process(self.id(), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), self.log.iter().collect())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended, as it should.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
