// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the device, the monitor and the supervisor's thread leave for each other.
//!
//! There is room for one of each kind of news: a guest that makes news all the time fills nothing
//! while the thread waits for a command that hangs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use virtio_backend::{Waker, Watch};

use super::boots::Boots;
use super::control::{self, Event};
use super::process::Process;
use crate::{Failure, Report, VERDICT, Verdict};

/// Messages of the monitor that wait to be read. It says a few in a second at most, unless it is not
/// the monitor that it claims to be.
const MONITOR: usize = 256;

/// Between the guest's loop and the supervisor's thread.
pub(super) struct Shared {
    mail: Mutex<Mail>,
    news: Condvar,
    verdicts: Mutex<VecDeque<Verdict>>,
    /// Readable when there are verdicts.
    decided: Waker,
    pub(super) tells_resets: AtomicBool,
    pub(super) may_restart: AtomicBool,
}

/// News for the supervisor's thread.
#[derive(Default)]
pub(super) struct Mail {
    /// The front end's process, if there is a front end.
    session: Option<Option<Process>>,
    session_is_news: bool,
    marks: Marks,
    stopped: bool,
    late: bool,
    due: Option<Failure>,
    failed: Option<Failure>,
    /// Messages of the monitor's connection of this number, and its end.
    pub(super) monitor: VecDeque<(u64, Option<Value>)>,
    boots: Boots,
    over: bool,
}

/// How often a front end came or went, and the device was reset.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    pub(super) sessions: u64,
    pub(super) resets: u64,
}

/// What there is to do.
#[derive(Debug)]
pub(super) enum Task {
    /// The guest is to be served no more.
    End,
    /// A front end came, from this process, or went.
    Session(Option<Option<Process>>),
    /// The monitor's connection of this number said something, or ended.
    Monitor(u64, Option<Value>),
    /// The queues stopped.
    Stopped,
    /// A channel is late.
    Late,
    /// A timer has run out.
    Due(Failure),
    /// The guest has failed, when these were the marks.
    Failed(Failure, Marks),
}

impl Mail {
    pub(super) fn take(&mut self) -> Option<Task> {
        if self.over {
            return Some(Task::End);
        }
        if std::mem::take(&mut self.session_is_news) {
            return Some(Task::Session(self.session.take()));
        }
        if let Some((connection, message)) = self.monitor.pop_front() {
            return Some(Task::Monitor(connection, message));
        }
        if std::mem::take(&mut self.stopped) {
            return Some(Task::Stopped);
        }
        let is_late = std::mem::take(&mut self.late);
        if let Some(failure) = self.due.take() {
            // It is too late to look at what was before: what was seen earlier tells more.
            return Some(Task::Due(failure));
        }
        if is_late {
            return Some(Task::Late);
        }
        let failed = self.failed.take();
        failed.map(|failure| Task::Failed(failure, self.marks))
    }

    pub(super) fn marks(&self) -> Marks {
        self.marks
    }

    /// Whether the message is about a reset that a PC's firmware makes of another one.
    fn is_firmwares(&mut self, message: &Value) -> bool {
        match control::event(message) {
            Some(Event::Reset(origin)) => return !self.boots.begins(origin, Instant::now()),
            Some(Event::Panicked | Event::Dumping | Event::Watchdog) => self.boots.ran(),
            _ => {}
        }
        false
    }

    fn session(&mut self, session: Option<Option<Process>>) {
        self.boots.ran();
        *self = Self {
            session,
            session_is_news: true,
            marks: Marks {
                sessions: self.marks.sessions + 1,
                ..self.marks
            },
            monitor: std::mem::take(&mut self.monitor),
            boots: self.boots,
            over: self.over,
            ..Self::default()
        };
    }
}

impl Shared {
    /// Has `watch` say when there are verdicts. A PC's firmware makes another reset so soon after one.
    pub(super) fn new(watch: &Watch, again: Duration) -> Self {
        Self {
            mail: Mutex::new(Mail {
                boots: Boots::new(again),
                ..Mail::default()
            }),
            news: Condvar::new(),
            verdicts: Mutex::default(),
            decided: watch.waker(VERDICT),
            tells_resets: AtomicBool::new(false),
            may_restart: AtomicBool::new(true),
        }
    }

    pub(super) fn report(&self, report: Report) {
        let mut mail = lock(&self.mail);
        match report {
            // Now: when somebody has time to look, its number may be another's.
            Report::Connected(process) => mail.session(Some(process.and_then(Process::open))),
            Report::Disconnected => mail.session(None),
            Report::Stopped => mail.stopped = true,
            Report::Reset => mail.marks.resets += 1,
            Report::Late => mail.late = true,
            Report::Due(failure) => mail.due = Some(failure),
            Report::Ready => mail.boots.ran(),
            Report::Failed(failure) => mail.failed = Some(failure),
        }
        drop(mail);
        self.news.notify_all();
    }

    pub(super) fn marks(&self) -> Marks {
        lock(&self.mail).marks
    }

    /// The guest is to be served no more.
    pub(super) fn end(&self) {
        lock(&self.mail).over = true;
        self.news.notify_all();
    }

    /// The monitor's connection of this number said something, or ended. `false` if nobody listens.
    /// What a PC's firmware does once more is not passed on: it is the order of what driver and
    /// monitor say that tells, which is known here, and not when the thread has time to look.
    pub(super) fn hear(&self, connection: u64, message: Option<Value>) -> bool {
        let mut mail = lock(&self.mail);
        let listens = !mail.over && mail.monitor.len() < MONITOR;
        let is_firmwares = message
            .as_ref()
            .is_some_and(|message| mail.is_firmwares(message));
        if listens && !is_firmwares || message.is_none() {
            mail.monitor.push_back((connection, message));
        }
        drop(mail);
        self.news.notify_all();
        listens
    }

    /// What `look` finds in the mail, as soon as it finds something, but no later than `deadline`.
    pub(super) fn wait<T>(
        &self,
        deadline: Instant,
        mut look: impl FnMut(&mut Mail) -> Option<T>,
    ) -> Option<T> {
        let mut mail = lock(&self.mail);
        loop {
            if let Some(found) = look(&mut mail) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.news.wait_timeout(mail, left);
            mail = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn decide(&self, verdict: Verdict) {
        lock(&self.verdicts).push_back(verdict);
        self.decided.wake();
    }

    pub(super) fn verdict(&self) -> Option<Verdict> {
        lock(&self.verdicts).pop_front()
    }

    pub(super) fn set_tells_resets(&self, tells: bool) {
        self.tells_resets.store(tells, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Cause;

    #[test]
    fn who_hears_at_once_that_a_channel_was_late_and_is_due_looks_once() {
        let failure = Failure {
            cause: Cause::Boot,
            silence: Duration::ZERO,
            excused: Duration::ZERO,
        };
        let mut mail = Mail {
            late: true,
            due: Some(failure),
            ..Mail::default()
        };
        assert!(matches!(mail.take(), Some(Task::Due(_))));
        assert!(mail.take().is_none());
    }
}
