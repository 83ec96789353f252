// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A supervisor, the monitor of a machine, and a process that is taken for the machine's.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
use serde_json::{Value, json};
use tempfile::TempDir;
use virtio_backend::Watch;
use virtio_backend::testing::LIMIT;
use virtio_watchdog::{
    Cause, Control, Failure, Host, Plan, Records, Report, Supervisor, VERDICT, Verdict,
};

/// A guest that was silent for 10 seconds.
pub(crate) const FAILURE: Failure = Failure {
    cause: Cause::Channel(0),
    silence: Duration::from_secs(10),
    excused: Duration::ZERO,
};

/// A supervisor, as the device sees it.
pub(crate) struct Rig {
    pub(crate) supervisor: Supervisor,
    watch: Watch,
    folder: TempDir,
    is_paused: bool,
}

impl Rig {
    /// A supervisor that has these stages.
    pub(crate) fn new(stages: &[&str], control: Option<Control>) -> Self {
        Self::with(stages, control, |_| {})
    }

    /// The same, with what `change` makes of the plan.
    pub(crate) fn with(
        stages: &[&str],
        control: Option<Control>,
        change: impl FnOnce(&mut Plan),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::new().unwrap();
        let mut plan = Plan {
            guest: "guest".into(),
            control,
            stages: stages.iter().map(|stage| stage.parse().unwrap()).collect(),
            command_limit: LIMIT,
            pause: Duration::from_secs(1000),
            max_resets: 5,
            window: Duration::from_secs(900),
            boot_timeout: None,
            firmware_reset: Duration::ZERO,
            last: None,
            kdump_timeout: Duration::from_secs(300),
            relay: false,
            record: Records::open(folder.path().join("records")).ok(),
        };
        change(&mut plan);
        Self {
            supervisor: Supervisor::new(plan, &watch).unwrap(),
            watch,
            folder,
            is_paused: false,
        }
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.supervisor.report(report);
    }

    /// The next verdict, but that a machine goes on that was not paused. Waits for it as the guest's
    /// loop does.
    pub(crate) fn verdict(&mut self) -> Verdict {
        loop {
            let was_paused = self.is_paused;
            let verdict = self.next();
            self.is_paused =
                verdict == Verdict::Paused || was_paused && verdict != Verdict::Resumed;
            if verdict != Verdict::Resumed || was_paused {
                return verdict;
            }
        }
    }

    fn next(&mut self) -> Verdict {
        let limit = Timespec::try_from(LIMIT).unwrap();
        loop {
            if let Some(verdict) = self.supervisor.verdict() {
                return verdict;
            }
            let mut fds = [PollFd::new(&self.watch, PollFlags::IN)];
            assert_ne!(poll(&mut fds, Some(&limit)), Ok(0), "no verdict");
            self.watch.poll(|token| assert_eq!(token, VERDICT));
        }
    }

    /// A failure, and the verdict when all was done about it.
    pub(crate) fn fail(&mut self) -> Verdict {
        self.report(Report::Failed(FAILURE));
        self.verdict()
    }

    /// The records there are.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("records")).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What was done, and what came of it, the last time.
    pub(crate) fn stages(&self) -> Vec<(String, String)> {
        let record = self.records().pop().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let stages = record["stages"].as_array().unwrap().iter();
        stages
            .map(|stage| (text(&stage["do"]), text(&stage["outcome"])))
            .collect()
    }
}

/// A process, until it is dropped.
pub(crate) struct Victim(Child);

impl Victim {
    pub(crate) fn new() -> Self {
        let mut cat = Command::new("/bin/cat");
        Self(cat.stdin(Stdio::piped()).spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it has started, and waits itself.
    pub(crate) fn wait_for_sleep(&self) {
        let start = Instant::now();
        let stat = format!("/proc/{}/stat", self.id());
        while !fs::read_to_string(&stat).unwrap().contains("(cat) S") {
            assert!(start.elapsed() < LIMIT);
            thread::yield_now();
        }
    }

    /// Sends it a signal after which it stops or goes on, and waits until it has.
    pub(crate) fn send(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
        let changes = WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        waitpid(Some(id), changes).unwrap();
    }

    /// Waits for its end, and says by which signal.
    pub(crate) fn signal(mut self) -> Option<i32> {
        let id = Pid::from_raw(self.id().try_into().unwrap()).unwrap();
        let ended = pidfd_open(id, PidfdFlags::empty()).unwrap();
        let limit = Timespec::try_from(LIMIT).unwrap();
        let mut fds = [PollFd::new(&ended, PollFlags::IN)];
        let ended = retry_on_intr(|| poll(&mut fds, Some(&limit)));
        assert_ne!(ended, Ok(0), "it lives");
        // Or its own input's end would be its end.
        let _stdin = self.0.stdin.take();
        self.0.wait().unwrap().signal()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Fails when it has ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A machine's monitor, in our own process.
pub(crate) struct Monitor {
    _folder: TempDir,
    path: PathBuf,
    state: Arc<(Mutex<State>, Condvar)>,
    commands: Receiver<Value>,
}

struct State {
    status: &'static str,
    /// What a command is answered with, if not with an empty object, or nothing at all.
    answers: Vec<(&'static str, Option<Value>)>,
    stream: Option<UnixStream>,
}

impl Monitor {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qmp.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let state = State {
            status: "running",
            answers: Vec::new(),
            stream: None,
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let (told, commands) = mpsc::channel();
        let served = Arc::clone(&state);
        // Ends with the test.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &served, &told);
            }
        });
        Self {
            _folder: folder,
            path,
            state,
            commands,
        }
    }

    pub(crate) fn control(&self) -> Option<Control> {
        Some(Control::Qmp(self.path.clone()))
    }

    /// What the machine does from now on.
    pub(crate) fn set_status(&self, status: &'static str) {
        self.state.0.lock().unwrap().status = status;
    }

    /// The machine's processors have these threads.
    pub(crate) fn set_vcpus(&self, threads: &[u32]) {
        let vcpus = threads.iter().map(|thread| json!({"thread-id": thread}));
        let answer = json!({"return": vcpus.collect::<Vec<_>>()});
        let mut state = self.state.0.lock().unwrap();
        state.answers.push(("query-cpus-fast", Some(answer)));
    }

    /// Answers `command` with an error from now on, or not at all.
    pub(crate) fn refuse(&self, command: &'static str, error: Option<&str>) {
        let error = error.map(|error| json!({"error": {"class": "GenericError", "desc": error}}));
        self.state.0.lock().unwrap().answers.push((command, error));
    }

    /// Answers whatever it is asked from now on.
    pub(crate) fn answer_all(&self) {
        self.state.0.lock().unwrap().answers.clear();
    }

    /// Says something unasked, as soon as somebody listens.
    pub(crate) fn say(&self, event: &Value) {
        let (state, connected) = &*self.state;
        let state = state.lock().unwrap();
        let wait = connected.wait_timeout_while(state, LIMIT, |state| state.stream.is_none());
        let (mut state, _) = wait.unwrap();
        let stream = state.stream.as_mut().unwrap();
        stream.write_all(format!("{event}\n").as_bytes()).unwrap();
    }

    /// The next command but for questions, with its arguments.
    pub(crate) fn command(&self) -> (String, Value) {
        loop {
            let command = self.commands.recv_timeout(LIMIT).unwrap();
            let name = command["execute"].as_str().unwrap();
            if !matches!(
                name,
                "qmp_capabilities" | "query-status" | "query-cpus-fast"
            ) {
                return (name.to_owned(), command["arguments"].clone());
            }
        }
    }

    /// Hangs up, for good.
    pub(crate) fn end(&self) {
        drop(fs::remove_file(&self.path));
        self.hang_up();
    }

    /// Hangs up, but serves whoever connects.
    pub(crate) fn hang_up(&self) {
        let mut state = self.state.0.lock().unwrap();
        if let Some(stream) = state.stream.take() {
            stream.shutdown(std::net::Shutdown::Both).unwrap();
        }
    }
}

fn serve(mut stream: UnixStream, state: &(Mutex<State>, Condvar), told: &Sender<Value>) {
    let (state, connected) = state;
    let greeting = json!({"QMP": {"version": {}, "capabilities": ["oob"]}});
    // Fails for who knows already that this is not its monitor.
    stream.write_all(format!("{greeting}\n").as_bytes()).ok();
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        let command: Value = serde_json::from_str(&line).unwrap();
        let name = command["execute"].as_str().unwrap();
        let mut state = state.lock().unwrap();
        let answer = state.answers.iter().find(|(refused, _)| *refused == name);
        let answer = match (answer, name) {
            (Some((_, answer)), _) => answer.clone(),
            (None, "query-status") => {
                let running = state.status == "running";
                Some(json!({"return": {"status": state.status, "running": running}}))
            }
            (None, _) => Some(json!({"return": {}})),
        };
        if let Some(mut answer) = answer {
            answer["id"] = command["id"].clone();
            stream.write_all(format!("{answer}\n").as_bytes()).unwrap();
        }
        if name == "qmp_capabilities" {
            state.stream = Some(stream.try_clone().unwrap());
            connected.notify_all();
        }
        // Nobody asks a test that has ended.
        told.send(command).ok();
    }
}
