// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! QEMU's monitor (QMP): commands, each with a time limit, and what it says unasked.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::mailbox::Shared;
use super::stage::Action;
use super::unix;

/// How long the monitor may take to greet us. While QEMU starts its main loop does not run.
const GREETING: Duration = Duration::from_secs(3);

/// How long a question may take, whose answer takes no time.
const COMMAND: Duration = Duration::from_secs(1);

/// Longest message. QEMU's are shorter by far.
const MESSAGE: u64 = 1 << 20;

/// A connection to a monitor.
pub(super) struct Qmp {
    stream: UnixStream,
    /// The process whose it is.
    pub(super) peer: u32,
    /// Tells this connection's messages from others'.
    connection: u64,
    commands: u64,
    shared: Arc<Shared>,
    /// What it said while we waited for something else.
    pub(super) events: VecDeque<Value>,
}

/// What a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    Paused,
    /// It will not go on by itself.
    Failed,
}

impl Qmp {
    /// Connects to the monitor at `path`, which has to be `process`'s if that is known.
    pub(super) fn connect(
        path: &Path,
        process: Option<u32>,
        connection: u64,
        shared: &Arc<Shared>,
    ) -> io::Result<Self> {
        let (stream, peer) = unix::connect(path, process, COMMAND)?;
        let reading = stream.try_clone()?;
        let heard = Arc::clone(shared);
        // Ends with the connection, at the latest when this is dropped.
        thread::Builder::new()
            .name("qmp".into())
            .spawn(move || read(reading, connection, &heard))?;
        let mut qmp = Self {
            stream,
            peer,
            connection,
            commands: 0,
            shared: Arc::clone(shared),
            events: VecDeque::new(),
        };
        let is_greeting = |message: &Value| message.get("QMP").is_some();
        qmp.answer(GREETING, is_greeting).map_err(|error| {
            let busy = "no greeting: a monitor serves one client at a time";
            io::Error::new(error.kind(), busy)
        })?;
        qmp.execute("qmp_capabilities", &json!({}), GREETING)?;
        Ok(qmp)
    }

    pub(super) fn connection(&self) -> u64 {
        self.connection
    }

    pub(super) fn status(&mut self) -> io::Result<Status> {
        self.status_within(COMMAND)
    }

    fn status_within(&mut self, limit: Duration) -> io::Result<Status> {
        let answer = self.execute("query-status", &json!({}), limit)?;
        Ok(match answer.get("status").and_then(Value::as_str) {
            Some("running") => Status::Running,
            Some("internal-error" | "guest-panicked") => Status::Failed,
            _ => Status::Paused,
        })
    }

    /// The threads of the machine's processors.
    pub(super) fn vcpus(&mut self) -> io::Result<Vec<u32>> {
        let answer = self.execute("query-cpus-fast", &json!({}), COMMAND)?;
        let ids = answer.as_array().into_iter().flatten();
        let ids = ids.filter_map(|cpu| cpu.get("thread-id")?.as_u64()?.try_into().ok());
        Ok(ids.collect())
    }

    /// Does what `action` says, in no longer than `limit` for each command.
    pub(super) fn act(&mut self, action: &Action, limit: Duration) -> io::Result<()> {
        let (command, arguments) = match action {
            Action::Nmi => ("inject-nmi", json!({})),
            Action::Dump(path) => {
                let protocol = format!("file:{}", path.display());
                let arguments = json!({"paging": false, "protocol": protocol});
                ("dump-guest-memory", arguments)
            }
            Action::Reset => ("system_reset", json!({})),
            Action::PowerDown => ("system_powerdown", json!({})),
            Action::Stop => ("stop", json!({})),
            Action::Quit => ("quit", json!({})),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        self.execute(command, &arguments, limit)?;
        // A machine that had stopped for its own failure is reset, but does not go on.
        if *action == Action::Reset && self.status_within(limit)? != Status::Running {
            self.execute("cont", &json!({}), limit)?;
        }
        Ok(())
    }

    fn execute(&mut self, command: &str, arguments: &Value, limit: Duration) -> io::Result<Value> {
        self.commands += 1;
        let id = self.commands;
        let message = json!({"execute": command, "arguments": arguments, "id": id});
        self.stream.write_all(format!("{message}\n").as_bytes())?;
        let is_ours = |message: &Value| message.get("id").and_then(Value::as_u64) == Some(id);
        let answer = self.answer(limit, is_ours)?;
        match (answer.get("return"), answer.pointer("/error/desc")) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(Value::String(why))) => Err(io::Error::other(why.clone())),
            (None, _) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Waits for a message, and keeps the events that come before it.
    fn answer(&mut self, limit: Duration, wanted: impl Fn(&Value) -> bool) -> io::Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let next = self
                .shared
                .wait(deadline, |mail| mail.monitor.pop_front())
                .ok_or(io::ErrorKind::TimedOut)?;
            match next {
                (connection, _) if connection != self.connection => {}
                (_, None) => return Err(io::ErrorKind::ConnectionAborted.into()),
                (_, Some(message)) if wanted(&message) => return Ok(message),
                (_, Some(message)) if message.get("event").is_some() => {
                    self.events.push_back(message);
                }
                _ => {}
            }
        }
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        // Fails when the other end was faster.
        self.stream.shutdown(Shutdown::Both).ok();
    }
}

/// Passes on what the monitor says, until it ends or nobody listens.
fn read(stream: UnixStream, connection: u64, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = stream.by_ref().take(MESSAGE).read_until(b'\n', &mut line);
        let message = serde_json::from_slice(&line).ok();
        let goes_on = read.is_ok_and(|length| length > 0)
            && message.is_some_and(|message| shared.hear(connection, Some(message)));
        if !goes_on {
            shared.hear(connection, None);
            return;
        }
    }
}
