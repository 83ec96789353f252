// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The process that a guest runs in, as the host's kernel sees it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// So many threads are told of.
const MOST: usize = 256;

/// Where control groups of version 2 are, and what happened to one (Linux, cgroup-v2.rst).
const CGROUPS: &str = "/sys/fs/cgroup";
const EVENTS: &str = "cgroup.events";

/// A process, which stays the one it was: its number may be another's one day.
#[derive(Debug)]
pub(super) struct Process {
    id: u32,
    /// Or why there is none: it may have ended.
    pidfd: rustix::io::Result<OwnedFd>,
}

/// A thread that runs the guest's code.
#[derive(Clone, Debug)]
pub(super) struct Vcpu {
    pub(super) thread: u32,
    pub(super) name: String,
    /// As in proc_pid_stat(5): R runs, S sleeps, D waits for a disk, T is stopped.
    pub(super) state: char,
    /// How long it has run, and how long it was kept waiting for a processor.
    pub(super) ran: Duration,
    pub(super) waited: Duration,
}

impl Process {
    /// The process that has this number now. None has 0, which is what those have that cannot be seen
    /// from here.
    pub(super) fn open(id: u32) -> Option<Self> {
        let pid = Pid::from_raw(id.try_into().ok()?)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty());
        Some(Self { id, pidfd })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let pidfd = self.pidfd.as_ref().map_err(|error| *error)?;
        Ok(pidfd_send_signal(pidfd, signal)?)
    }

    /// Whether all these are threads of it, and there are some.
    pub(super) fn has(&self, threads: &[u32]) -> bool {
        let has = |thread: &u32| Path::new(&format!("/proc/{}/task/{thread}", self.id)).exists();
        !threads.is_empty() && threads.iter().all(has)
    }

    /// Whether somebody stopped it, looks at it with a debugger, or froze its control group, in which
    /// it seems to sleep.
    pub(super) fn is_stopped(&self) -> bool {
        let state = state(Path::new(&format!("/proc/{}/stat", self.id)));
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.id));
        state.is_some_and(|(_, state)| matches!(state, 'T' | 't'))
            || is_frozen(&groups.unwrap_or_default(), Path::new(CGROUPS))
    }

    /// The threads that run the guest's code: these, if they are known, or else those with the names
    /// that VMMs give them, or else all that there are.
    pub(super) fn vcpus(&self, known: &[u32]) -> Vec<Vcpu> {
        let tasks = format!("/proc/{}/task", self.id);
        let threads = fs::read_dir(&tasks).into_iter().flatten().flatten();
        let mut all: Vec<_> = threads
            .filter_map(|entry| vcpu(entry.file_name().to_str()?.parse().ok()?, &entry.path()))
            .collect();
        all.sort_by_key(|vcpu| vcpu.thread);
        let is_named = |vcpu: &Vcpu| {
            let names = ["CPU ", "ALL CPUs", "vcpu", "crosvm_vcpu"];
            names.iter().any(|name| vcpu.name.starts_with(name))
        };
        let is_known = |vcpu: &Vcpu| known.contains(&vcpu.thread);
        if all.iter().any(is_known) {
            all.retain(is_known);
        } else if all.iter().any(is_named) {
            all.retain(is_named);
        }
        all.truncate(MOST);
        all
    }
}

fn vcpu(thread: u32, folder: &Path) -> Option<Vcpu> {
    let (name, state) = state(&folder.join("stat"))?;
    // Without it in the kernel nobody is known to wait.
    let times = fs::read_to_string(folder.join("schedstat")).unwrap_or_default();
    let mut times = times.split_ascii_whitespace().map(|time| time.parse().ok());
    let mut time = || Duration::from_nanos(times.next().flatten().unwrap_or(0));
    Some(Vcpu {
        thread,
        name,
        state,
        ran: time(),
        waited: time(),
    })
}

/// Whether the control group of version 2 is frozen, of those that a process is in.
fn is_frozen(groups: &str, root: &Path) -> bool {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let events = group.and_then(|group| fs::read_to_string(root.join(group).join(EVENTS)).ok());
    events.is_some_and(|events| events.lines().any(|line| line == "frozen 1"))
}

/// Name and state of a thread, of which the name may have any characters.
fn state(path: &Path) -> Option<(String, char)> {
    let stat = fs::read(path).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    Some((name.to_owned(), after.trim_start().chars().next()?))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::{WaitOptions, waitpid};

    use super::*;

    #[test]
    fn a_process_is_seen_stopped_and_going_on_and_ended() {
        let mut child = Command::new("/bin/cat")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let process = Process::open(child.id()).unwrap();
        assert!(!process.is_stopped());

        let id = Pid::from_raw(child.id().try_into().unwrap());
        let changes = WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        for (signal, is_stopped) in [(Signal::STOP, true), (Signal::CONT, false)] {
            process.signal(signal).unwrap();
            waitpid(id, changes).unwrap();
            assert_eq!(process.is_stopped(), is_stopped);
        }
        process.signal(Signal::KILL).unwrap();
        assert!(!child.wait().unwrap().success());
        // Its number may be another's now. That one is not ours to end.
        process.signal(Signal::KILL).unwrap_err();
        assert!(Process::open(0).is_none());
    }

    #[test]
    fn a_control_group_that_is_frozen_is_found_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        let [cold, warm] = ["vm/cold", "vm/warm"].map(|group| root.path().join(group));
        for (group, events) in [(cold, "populated 1\nfrozen 1\n"), (warm, "frozen 0\n")] {
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("cgroup.events"), events).unwrap();
        }
        for (groups, expected) in [
            ("0::/vm/cold\n", true),
            ("1:freezer:/vm/warm\n0::/vm/cold\n", true),
            ("0::/vm/warm\n", false),
            ("0::/vm/none\n", false),
            ("0::/\n", false),
            ("1:freezer:/vm/cold\n", false),
            ("", false),
        ] {
            assert_eq!(is_frozen(groups, root.path()), expected, "{groups}");
        }
    }

    #[test]
    fn threads_are_known_or_told_by_their_names_which_have_any_characters() {
        let id = std::process::id();
        let process = Process::open(id).unwrap();
        let known = process.vcpus(&[id]);
        assert_eq!((known.len(), known[0].thread), (1, id));
        assert!(known[0].ran > Duration::ZERO);
        // The test's own thread, and the first.
        assert!(process.vcpus(&[]).len() > 1);

        let named = std::thread::Builder::new().name("CPU 0) (R".into());
        let named = named.spawn(move || Process::open(id).unwrap().vcpus(&[u32::MAX]));
        let threads = named.unwrap().join().unwrap();
        assert_eq!(threads.len(), 1);
        assert_eq!((&*threads[0].name, threads[0].state), ("CPU 0) (R", 'R'));
    }
}
