// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is known of the machine: its process, its monitor, its processors.

use std::io::{self, ErrorKind};
use std::time::Instant;

use log::{debug, error, info, warn};
use serde_json::Value;

use super::{Actor, CHECK, PATIENCE, RETRY};
use crate::supervisor::control::{self, Event, Origin};
use crate::supervisor::process::Process;
use crate::supervisor::qmp::Status;
use crate::supervisor::record::Seen;
use crate::supervisor::stage::{Action, Stage};
use crate::{Cause, Verdict};

impl Actor {
    /// A front end came or went.
    pub(super) fn session(&mut self, session: Option<Option<Process>>) {
        self.is_connected = session.is_some();
        self.process = session.flatten();
        (self.paused, self.stopped, self.was_stopped) = (Some(false), false, false);
        (self.seen, self.lost, self.again) = (None, None, None);
        self.began = Instant::now();
        self.vcpus.clear();
        self.disconnect();
        // Whatever was said of the machine before.
        self.shared.decide(Verdict::Resumed);
        if let (true, None) = (self.is_connected, &self.process) {
            self.miss_process();
        }
        self.check();
    }

    /// Says what cannot be done for a guest whose process is unknown.
    fn miss_process(&self) {
        let guest = &self.plan.guest;
        if let Some(control) = &self.plan.control {
            let path = control.path().display();
            warn!("{guest}: its process is unknown: {path} may be another machine's");
        }
        let acts_on_process = |stage: &Stage| matches!(stage.action, Action::Term | Action::Kill);
        if self.plan.stages.iter().any(acts_on_process) {
            error!("{guest}: cannot end its process, which is unknown");
        }
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.shared.set_tells_resets(false);
    }

    /// Sees to the way to act, and what it says of the machine.
    pub(super) fn check(&mut self) {
        let began = Instant::now();
        self.next_check = began + CHECK;
        self.spend(0);
        let is_wanted = self.is_connected || self.plan.relay;
        let (Some(control), true) = (&self.plan.control, is_wanted) else {
            return;
        };
        let path = control.path().display();
        let checked = match &mut self.connection {
            Some(connection) => connection.status(),
            None => {
                self.connections += 1;
                let process = self.process.as_ref().filter(|_| self.is_connected);
                let process = process.map(Process::id);
                let connected = control.connect(process, self.connections, &self.shared);
                connected.and_then(|mut connection| {
                    let status = connection.status()?;
                    self.shared.set_tells_resets(connection.tells_resets());
                    self.vcpus = connection.vcpus();
                    if !self.is_connected {
                        let process = connection.process().and_then(Process::open);
                        // Whoever opened the monitor's socket may be somebody who started it.
                        self.process = process.filter(|process| process.has(&self.vcpus));
                    }
                    self.connection = Some(connection);
                    info!("{}: acts through {path}", self.plan.guest);
                    Ok(status)
                })
            }
        };
        match checked {
            Ok(status) => {
                self.lost = None;
                self.status(status);
            }
            Err(error) => self.lost(began, &error),
        }
    }

    /// The way to act is not there since then, which is said when it lasts.
    pub(super) fn lost(&mut self, since: Instant, error: &io::Error) {
        // An API that is slow will say it again. Nothing is missed meanwhile that it would have said.
        if self.tells_resets() {
            self.paused = None;
        }
        self.disconnect();
        self.next_check = Instant::now() + RETRY;
        let (since, said) = self.lost.get_or_insert((since, false));
        let lasts = since.elapsed() >= PATIENCE || error.kind() == ErrorKind::PermissionDenied;
        if let (Some(control), true, false) = (&self.plan.control, lasts, *said) {
            *said = true;
            let path = control.path().display();
            error!("{}: cannot act through {path}: {error}", self.plan.guest);
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused == Some(true)
    }

    /// What the machine does.
    pub(super) fn status(&mut self, status: Status) {
        let paused = status == Status::Paused;
        if self.paused.replace(paused) != Some(paused) {
            self.shared.decide(if paused {
                Verdict::Paused
            } else {
                Verdict::Resumed
            });
        }
        if std::mem::take(&mut self.stopped) && !paused {
            self.shared.decide(Verdict::NotPaused);
        }
        if status == Status::Failed {
            self.shared.decide(Verdict::Failed(Cause::Panic));
        }
    }

    /// The monitor said something, or its connection ended.
    pub(super) fn heard(&mut self, connection: u64, message: Option<&Value>) -> Option<Event> {
        let ours = self
            .connection
            .as_ref()
            .is_some_and(|its| its.is(connection));
        match message {
            Some(message) if ours => self.event(message),
            None if ours => {
                self.lost(Instant::now(), &ErrorKind::ConnectionAborted.into());
                None
            }
            _ => None,
        }
    }

    pub(super) fn event(&mut self, message: &Value) -> Option<Event> {
        let event = control::event(message)?;
        debug!("{}: {event:?}", self.plan.guest);
        match event {
            // It may have stopped for its own failure.
            Event::Paused | Event::Resumed => self.check(),
            Event::Reset(origin) => {
                self.again = None;
                self.shared.decide(Verdict::Reset);
                let ran = std::mem::replace(&mut self.began, Instant::now()).elapsed();
                // Each of them it may have survived until its first ping.
                if origin == Origin::Guest && self.loops(ran) {
                    self.shared.decide(Verdict::Failed(Cause::Boot));
                }
            }
            Event::Panicked => self.shared.decide(Verdict::Failed(Cause::Panic)),
            Event::Dumping => self
                .shared
                .decide(Verdict::Dumping(self.plan.kdump_timeout)),
            Event::Watchdog => self.shared.decide(Verdict::Failed(Cause::Relayed)),
        }
        Some(event)
    }

    /// Remembers how it is with the guest's processors.
    pub(super) fn look(&mut self) {
        let process = self.process.as_ref();
        self.was_stopped |= process.is_some_and(Process::is_stopped);
        self.seen = process.map(|process| (Instant::now(), process.vcpus(&self.vcpus)));
    }

    /// How it is with the guest's processors, and how it has been since they were looked at last.
    pub(super) fn view(&mut self) -> Seen {
        let before = self.seen.take();
        self.look();
        let Some((now, vcpus)) = &self.seen else {
            return Seen::default();
        };
        let (then, before) = before.unwrap_or((*now, Vec::new()));
        Seen {
            window: now.saturating_duration_since(then),
            before,
            now: vcpus.clone(),
        }
    }
}
