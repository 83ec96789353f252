// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Daemons and floors as processes, and what the kernel says of them.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;
use virtio_backend::testing::{Floor, LIMIT, Waits};

/// Of real-time priorities one that is above most.
const PRIORITY: &str = "10";

pub(crate) fn processors() -> usize {
    let all = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu)).count()
}

/// Whether [`Pinned`] gives real-time priority.
pub(crate) fn can_be_urgent() -> bool {
    let can = urgent(true);
    can && urgent(false)
}

/// A folder for sockets, in memory as `/run` is: on a disk a thousand of them take a second.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir_in("/dev/shm");
    folder.or_else(|_| tempfile::tempdir()).unwrap()
}

/// Gives this thread real-time priority, or takes it.
pub(crate) fn urgent(yes: bool) -> bool {
    let mut chrt = Command::new("chrt");
    chrt.args(if yes {
        ["--fifo", "--pid", PRIORITY]
    } else {
        ["--other", "--pid", "0"]
    });
    let own = process::id().to_string();
    chrt.arg(own).stdout(Stdio::null()).stderr(Stdio::null());
    chrt.status().is_ok_and(|status| status.success())
}

/// This thread, and all that it starts, on the last processor and with real-time priority if that may
/// be. Until it is dropped.
pub(crate) struct Pinned(CpuSet);

impl Pinned {
    pub(crate) fn here() -> Self {
        let pinned = Self(sched_getaffinity(None).unwrap());
        sched_setaffinity(None, &pinned.last()).unwrap();
        urgent(true);
        pinned
    }

    /// What `start` starts is on the first processor.
    pub(crate) fn elsewhere<T>(&self, start: impl FnOnce() -> T) -> T {
        let first = (0..CpuSet::MAX_CPU).find(|&cpu| self.0.is_set(cpu));
        sched_setaffinity(None, &one(first)).unwrap();
        let started = start();
        sched_setaffinity(None, &self.last()).unwrap();
        started
    }

    fn last(&self) -> CpuSet {
        one((0..CpuSet::MAX_CPU).rfind(|&cpu| self.0.is_set(cpu)))
    }
}

fn one(cpu: Option<usize>) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(cpu.unwrap());
    set
}

impl Drop for Pinned {
    fn drop(&mut self) {
        urgent(false);
        sched_setaffinity(None, &self.0).unwrap();
    }
}

/// A process that answers requests. Killed when dropped.
pub(crate) struct Answers {
    child: process::Child,
    /// Of each guest.
    pub(crate) sockets: Vec<PathBuf>,
}

impl Answers {
    /// Starts a program, and waits until it listens at all these sockets.
    ///
    /// # Errors
    /// Says why it does not.
    pub(crate) fn start(command: &mut Command, sockets: Vec<PathBuf>) -> Result<Self, String> {
        let mut log = File::from(memfd_create("log", MemfdFlags::CLOEXEC).unwrap());
        command.stderr(log.try_clone().unwrap());
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut answers = Self { child, sockets };
        let end = Instant::now() + LIMIT;
        while !answers.listens() {
            let ended = answers.child.try_wait().unwrap().is_some();
            if ended || Instant::now() > end {
                let mut said = String::new();
                log.rewind().unwrap();
                log.read_to_string(&mut said).unwrap();
                let errors = said.lines().find(|line| line.contains("rror"));
                let why = errors.or(said.lines().next_back());
                return Err(format!(
                    "does not start: {}",
                    why.unwrap_or("it says nothing")
                ));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(answers)
    }

    /// Whether it listens at all its sockets (`__SO_ACCEPTCON` among their flags). To try and connect
    /// would be to be a front end.
    fn listens(&self) -> bool {
        let sockets = fs::read_to_string("/proc/net/unix").unwrap();
        let listening = sockets.lines().filter(|line| line.contains(" 00010000 "));
        let paths: HashSet<_> = listening
            .filter_map(|line| line.split(' ').next_back())
            .collect();
        self.sockets
            .iter()
            .all(|socket| paths.contains(socket.to_str().unwrap()))
    }

    /// A floor that answers with so many bytes.
    pub(crate) fn floor(waits: &str, length: u32, socket: &Path) -> Self {
        let mut floor = Command::new(env::current_exe().unwrap());
        floor.args(["--floor", waits, &length.to_string()]);
        Self::start(floor.arg(socket), vec![socket.to_owned()]).unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Serves one guest with the least there is, until the process is killed.
pub(crate) fn be_a_floor(waits: Waits, length: u32, socket: &Path) -> ! {
    Floor::serve(socket, length, waits);
    loop {
        thread::park();
    }
}

/// What a process has.
#[derive(Clone, Copy)]
pub(crate) struct Has {
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
    /// Anonymous memory in KiB.
    pub(crate) memory: f64,
}

pub(crate) fn has(process: u32) -> Has {
    let count = |what| {
        fs::read_dir(format!("/proc/{process}/{what}"))
            .unwrap()
            .count()
    };
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    Has {
        threads: count("task"),
        descriptors: count("fd"),
        memory: field(&status, "RssAnon:").unwrap(),
    }
}

/// The number behind a word at the beginning of a line.
fn field(text: &str, word: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(word))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Processor time of all threads of a process, in microseconds. `None` if the kernel does not
/// count it that exactly.
pub(crate) fn processor_time(process: u32) -> Option<f64> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let nanoseconds = tasks.map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Some(nanoseconds.sum::<Option<f64>>()? / 1e3)
}

/// How many system calls a process makes meanwhile. `None` if strace is not there, or may not
/// look.
pub(crate) fn system_calls(process: u32, meanwhile: impl FnOnce()) -> Option<f64> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-p", &process.to_string()]);
    let mut strace = strace.stderr(Stdio::piped()).spawn().ok()?;
    let mut lines = BufReader::new(strace.stderr.take()?).lines();
    let mut attached = false;
    for line in lines.by_ref().map_while(Result::ok) {
        attached |= line.contains("attached");
        if attached {
            break;
        }
    }
    if attached {
        meanwhile();
        kill_process(Pid::from_child(&strace), Signal::INT).ok()?;
    }
    let table: Vec<_> = lines.map_while(Result::ok).collect();
    strace.wait().ok()?;
    total(&table)
}

/// The number of calls in strace's table: the fourth column of its last line, which says `total`.
fn total(table: &[String]) -> Option<f64> {
    let last = table.iter().rev().find(|line| line.ends_with("total"))?;
    last.split_whitespace().nth(3)?.parse().ok()
}
