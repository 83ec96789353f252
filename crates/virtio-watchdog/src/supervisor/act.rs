// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The thread that finds out and acts.

mod machine;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use log::{debug, error, warn};
use rustix::process::Signal;

use super::control::{Connection, Event};
use super::mailbox::{Mail, Marks, Shared, Task};
use super::process::{Process, Vcpu};
use super::qmp::Status;
use super::record::{Record, Seen, cause};
use super::stage::{Action, Stage};
use super::{Plan, command};
use crate::{Cause, Failure, Verdict};

/// How often the way to act is looked at while nothing is wrong.
const CHECK: Duration = Duration::from_secs(10);

/// How soon it is looked for again when it is not there.
const RETRY: Duration = Duration::from_millis(500);

/// How long it may not be there before that is said: a monitor begins to answer after the guest's
/// devices are there.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often it is said that a guest is excused.
const SAID: Duration = Duration::from_secs(60);

/// What a guest is given that did not run.
const GRACE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Actor {
    plan: Plan,
    shared: Arc<Shared>,
    /// A front end is connected, and its process, if it is known and lives.
    is_connected: bool,
    process: Option<Process>,
    connection: Option<Connection>,
    /// How many connections there were.
    connections: u64,
    next_check: Instant,
    /// Since when there is no way to act that was asked for, and whether that was said.
    lost: Option<(Instant, bool)>,
    /// Whether the machine is paused, as was said last, unless who would say that it goes on is lost.
    paused: Option<bool>,
    /// The queues stopped, and it is not known yet why.
    stopped: bool,
    /// The process was stopped when it was looked at before.
    was_stopped: bool,
    /// The threads of the guest's processors, as far as somebody told.
    vcpus: Vec<u32>,
    /// The guest's processors, when they were looked at last.
    seen: Option<(Instant, Vec<Vcpu>)>,
    /// How it was with them when a timer ran out last.
    last_view: Seen,
    /// When it was said last that the guest is excused.
    excused: Option<Instant>,
    /// When something was done.
    spent: VecDeque<Instant>,
    /// When the guest began to boot.
    began: Instant,
    /// When the guest reset itself before it can have booted.
    own_resets: VecDeque<Instant>,
    /// When the guest is to fail again, because not all could be done about this, and what the marks
    /// were then.
    again: Option<(Instant, Cause, Marks)>,
    /// The last stage was run, and nothing since.
    is_exhausted: bool,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Reset,
    Gone,
    Paused,
    /// Nothing came of it in time.
    Nothing,
}

impl Actor {
    pub(super) fn new(plan: Plan, shared: Arc<Shared>) -> Self {
        Self {
            plan,
            shared,
            is_connected: false,
            process: None,
            connection: None,
            connections: 0,
            next_check: Instant::now(),
            lost: None,
            paused: None,
            stopped: false,
            was_stopped: false,
            vcpus: Vec::new(),
            seen: None,
            last_view: Seen::default(),
            excused: None,
            spent: VecDeque::new(),
            began: Instant::now(),
            own_resets: VecDeque::new(),
            again: None,
            is_exhausted: false,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let again = self.again.map(|(at, ..)| at);
            let next = again.map_or(self.next_check, |at| at.min(self.next_check));
            let task = self.shared.wait(next, Mail::take);
            match task {
                Some(Task::End) => return,
                Some(Task::Session(session)) => self.session(session),
                Some(Task::Monitor(connection, message)) => {
                    self.heard(connection, message.as_ref());
                }
                Some(Task::Stopped) => {
                    self.stopped = true;
                    self.check();
                }
                Some(Task::Late) => self.look(),
                Some(Task::Due(failure)) => self.examine(failure),
                Some(Task::Failed(failure, marks)) => self.failed(failure, marks),
                None => {
                    self.fail_again();
                    if self.next_check <= Instant::now() {
                        self.check();
                    }
                }
            }
            while let Some(message) = self.connection.as_mut().and_then(Connection::event) {
                self.event(&message);
            }
        }
    }

    /// A timer has run out. Was the guest able to ping?
    fn examine(&mut self, failure: Failure) {
        let is_stopped = self.process.as_ref().is_some_and(Process::is_stopped);
        let was_stopped = std::mem::replace(&mut self.was_stopped, is_stopped);
        let excused = Verdict::Excused {
            time: GRACE,
            limited: false,
        };
        if is_stopped || was_stopped {
            debug!("{}: its process is or was stopped", self.plan.guest);
            return self.shared.decide(excused);
        }
        if self.connection.is_some() || self.paused.is_none() {
            self.check();
        }
        if self.is_paused() {
            return self.shared.decide(excused);
        }
        let view = self.view();
        if !view.is_starved() {
            self.shared.decide(Verdict::Act);
        } else {
            // As often as the guest likes, but not as often as it likes to the log.
            if self.excused.is_none_or(|at| at.elapsed() >= SAID) {
                self.excused = Some(Instant::now());
                let mut record = self.record(failure, &view);
                record.conclude("excused");
                self.keep(&record);
            }
            self.shared.decide(Verdict::Excused {
                time: view.waited(),
                limited: true,
            });
        }
        self.last_view = view;
    }

    fn record(&self, failure: Failure, view: &Seen) -> Record {
        Record::new(&self.plan.guest, failure, self.process.as_ref(), view)
    }

    /// Says what was seen and done, once for all.
    fn keep(&self, record: &Record) {
        if let Some(records) = &self.plan.record {
            if let Err(error) = records.add(record) {
                let path = records.path().display();
                error!("{}: {path}: {error}", self.plan.guest);
            }
        }
        warn!("{}: {}", self.plan.guest, record.text());
    }

    /// Counts so many failures, and whether there is room for one more.
    fn spend(&mut self, failures: usize) -> bool {
        let window = self.plan.window;
        self.spent.retain(|time| time.elapsed() < window);
        let max = usize::try_from(self.plan.max_resets).unwrap_or(usize::MAX);
        let may = self.spent.len() + failures <= max;
        if may {
            self.spent.extend((0..failures).map(|_| Instant::now()));
        }
        let may_restart = self.spent.len() < max;
        self.shared
            .may_restart
            .store(may_restart, Ordering::Release);
        may
    }

    /// The guest has reset itself, which had run so long. Has it too often, to have booted?
    fn loops(&mut self, ran: Duration) -> bool {
        let Plan {
            window, max_resets, ..
        } = self.plan;
        // Or its time to boot would have been up.
        if self.plan.boot_timeout.is_none_or(|time| time <= ran) {
            return false;
        }
        let max = usize::try_from(max_resets).unwrap_or(usize::MAX);
        if self.own_resets.len() > max {
            self.own_resets.pop_front();
        }
        self.own_resets.push_back(Instant::now());
        self.own_resets.retain(|time| time.elapsed() < window);
        self.own_resets.len() > max
    }

    /// What is to be done about a failure. Nothing, not even a record, if there were too many.
    fn stages(&mut self, failure: Failure) -> Option<Vec<Stage>> {
        if self.spend(1) {
            self.is_exhausted = false;
            let mut stages = self.plan.stages.clone();
            if failure.cause == Cause::Restart {
                // The driver waits for nothing else, and not for long.
                let reset = |stage: &Stage| stage.action == Action::Reset;
                stages.drain(..stages.iter().position(reset).unwrap_or(0));
            }
            return Some(stages);
        }
        if std::mem::replace(&mut self.is_exhausted, true) {
            debug!("{}: failed again", self.plan.guest);
            return None;
        }
        let max = self.plan.max_resets;
        error!("{}: failed more than {max} times", self.plan.guest);
        Some(self.plan.last.iter().cloned().collect())
    }

    /// Acts, as long as there is no other guest since then.
    fn failed(&mut self, failure: Failure, marks: Marks) {
        let Some(stages) = self.stages(failure) else {
            return self.shared.decide(Verdict::Settled);
        };
        self.again = None;
        let is_last = self.is_exhausted;
        let word = cause(failure.cause);
        warn!("{}: failed: {word}", self.plan.guest);
        let mut view = std::mem::take(&mut self.last_view);
        let is_of_timer = matches!(failure.cause, Cause::Channel(_) | Cause::Boot);
        // No timer ran out for a guest in a crash loop, or for what is tried again.
        if !is_of_timer || view.now.is_empty() {
            view = self.view();
        }
        // It is not about the guest that comes next.
        self.seen = None;
        let mut record = self.record(failure, &view);
        let mut conclusion = "nothing helped";
        let mut all_done = true;
        for stage in stages {
            if self.shared.marks().sessions != marks.sessions {
                conclusion = Outcome::Gone.word();
                break;
            }
            let what = stage.action.word();
            warn!("{}: {what}", self.plan.guest);
            let outcome = match self.act(&stage, word, &record) {
                Ok(outcome) => outcome,
                Err(error) => {
                    warn!("{}: {what}: {error}", self.plan.guest);
                    record.add(what, &format!("failed: {error}"));
                    all_done = false;
                    continue;
                }
            };
            record.add(what, outcome.word());
            if outcome != Outcome::Nothing {
                conclusion = outcome.word();
                break;
            }
        }
        record.conclude(conclusion);
        self.keep(&record);
        // The device has been told of all else.
        if !matches!(conclusion, "reset" | "gone") {
            self.shared.decide(Verdict::Settled);
        }
        if conclusion == "nothing helped" && !all_done && !is_last {
            let at = Instant::now() + self.plan.pause;
            self.again = Some((at, failure.cause, self.shared.marks()));
        }
    }

    /// The guest fails again, if it is time for that, and it was not reset since.
    fn fail_again(&mut self) {
        let is_due = |(at, ..): &mut (Instant, _, _)| *at <= Instant::now();
        let Some((_, cause, from)) = self.again.take_if(is_due) else {
            return;
        };
        if self.is_paused() {
            self.again = Some((Instant::now() + self.plan.pause, cause, from));
        } else if self.tells_resets() || self.shared.marks().resets == from.resets {
            self.shared.decide(Verdict::Failed(cause));
        }
    }

    /// Whether each reset of the machine is heard of.
    fn tells_resets(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(Connection::tells_resets)
    }

    /// Does what a stage says, and waits for what comes of it.
    fn act(&mut self, stage: &Stage, cause: &str, record: &Record) -> io::Result<Outcome> {
        let from = self.shared.marks();
        let Plan {
            guest,
            command_limit,
            ..
        } = &self.plan;
        match &stage.action {
            Action::Event => self.shared.decide(Verdict::Tell),
            Action::Term => self.signal(Signal::TERM)?,
            Action::Kill => self.signal(Signal::KILL)?,
            Action::Exec(command) => command::run(command, guest, cause, *command_limit)?,
            Action::Unit(unit) => command::restart_unit(unit, guest, cause, *command_limit)?,
            Action::Notify(path) => command::notify(path.as_deref(), &record.text())?,
            action => {
                // A monitor may only have been slow when it was asked whether the machine is paused.
                let is_news = |(since, _): (Instant, _)| since.elapsed() < PATIENCE;
                if self.connection.is_none() && self.lost.is_none_or(is_news) {
                    self.check();
                }
                let connection = self.connection.as_mut().ok_or(ErrorKind::NotConnected)?;
                let action = action.dated(SystemTime::now());
                connection
                    .act(&action, stage.limit())
                    .inspect_err(|error| {
                        if error.kind() == ErrorKind::TimedOut {
                            self.next_check = Instant::now();
                        }
                    })?;
            }
        }
        if stage.action == Action::Stop {
            self.status(Status::Paused);
            return Ok(Outcome::Paused);
        }
        Ok(self.settle(stage.wait(), from))
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let process = self.process.as_ref().ok_or(ErrorKind::NotFound)?;
        process.signal(signal)
    }

    /// Waits until the guest is reset, or gone.
    fn settle(&mut self, time: Duration, from: Marks) -> Outcome {
        let deadline = Instant::now() + time;
        loop {
            while let Some(message) = self.connection.as_mut().and_then(Connection::event) {
                if self.event(&message).is_some_and(Event::is_reset) {
                    return Outcome::Reset;
                }
            }
            let tells_resets = self.tells_resets();
            let next = self.shared.wait(deadline, |mail| {
                let now = mail.marks();
                if now.sessions != from.sessions {
                    Some(Err(Outcome::Gone))
                } else if now.resets != from.resets && !tells_resets {
                    Some(Err(Outcome::Reset))
                } else {
                    mail.monitor.pop_front().map(Ok)
                }
            });
            match next {
                None => return Outcome::Nothing,
                Some(Err(outcome)) => return outcome,
                Some(Ok((connection, message))) => {
                    let event = self.heard(connection, message.as_ref());
                    if event.is_some_and(Event::is_reset) {
                        return Outcome::Reset;
                    }
                }
            }
        }
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Gone => "gone",
            Self::Paused => "paused",
            Self::Nothing => "nothing",
        }
    }
}
