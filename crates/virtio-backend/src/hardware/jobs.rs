// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What devices on a piece of hardware are still to hear: a queue for each guest, and whose turn it is.
//!
//! A guest may cause jobs faster than its hardware does them. Requests are bounded by the rings that
//! they are in. Of all else a queue has no more than what the device does not know yet: what would say
//! it a second time is left out, and what came to nothing is taken out.

use std::collections::VecDeque;
use std::mem;

use crate::panic::Panic;
use crate::reactor::Waker;
use crate::{Device, Events, Reply, Stopped, Token};

/// How many requests' memory is kept for the next ones.
const SPARE: usize = 16;

/// All that waits for a piece of hardware.
#[derive(Default)]
pub(super) struct Jobs {
    lanes: Vec<Lane>,
    /// Who has something to do, in the order of their turns. Each is there once.
    turns: VecDeque<usize>,
    spare: Vec<Vec<u8>>,
}

/// One guest's device, and what it has to hear.
#[derive(Default)]
struct Lane {
    device: Place,
    jobs: VecDeque<Job>,
    /// It is among the turns.
    waits: bool,
    /// Why the device is gone.
    panic: Option<Panic>,
    /// Has the guest's worker ask for that.
    tell: Option<Waker>,
}

/// Where a device is.
#[derive(Default)]
enum Place {
    /// It is being made.
    #[default]
    Nowhere,
    Here(Box<dyn Device>),
    /// The thread is in it.
    Away,
    Gone,
}

/// What happens to a device, as in [`Device`].
pub(super) enum Job {
    Connected,
    Negotiated(u64),
    Handle(u16, Vec<u8>, Reply),
    Drained(u16),
    Events(u16, Events),
    Lent(u16),
    Ready(Token),
    Stop(u16, Stopped),
    Reset,
    Disconnected,
    Drop,
}

impl Jobs {
    /// A place for one more device.
    pub(super) fn open(&mut self) -> usize {
        self.lanes.push(Lane::default());
        self.lanes.len() - 1
    }

    /// The device has been made.
    pub(super) fn begin(&mut self, index: usize, device: Box<dyn Device>, tell: Waker) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.tell = Some(tell);
        }
        self.put(index, Place::Here(device));
    }

    /// The device was not made, or is not needed any more. Returns what it does not hear.
    pub(super) fn close(&mut self, index: usize) -> VecDeque<Job> {
        self.put(index, Place::Gone);
        let lane = self.lanes.get_mut(index);
        lane.map(|lane| mem::take(&mut lane.jobs))
            .unwrap_or_default()
    }

    /// The device has panicked, and hears nothing any more. What its driver asked for waits until the
    /// session has ended, which does not answer it. Returns what tells the guest's worker.
    pub(super) fn fail(&mut self, index: usize, panic: Panic) -> Option<Waker> {
        self.put(index, Place::Gone);
        let lane = self.lanes.get_mut(index)?;
        lane.panic = Some(panic);
        lane.tell.take()
    }

    /// What the device panicked with, if it has. Tells so once.
    pub(super) fn take_panic(&mut self, index: usize) -> Option<Panic> {
        self.lanes.get_mut(index)?.panic.take()
    }

    /// Adds what [`Job::Drop`] is for. Returns what a device that is gone does not hear.
    pub(super) fn end(&mut self, index: usize) -> VecDeque<Job> {
        let lane = self.lanes.get(index);
        if lane.is_some_and(|lane| matches!(lane.device, Place::Gone)) {
            return self.close(index);
        }
        self.add(index, Job::Drop);
        VecDeque::new()
    }

    /// Adds what happened to a device.
    pub(super) fn add(&mut self, index: usize, job: Job) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.add(job);
            self.line_up(index);
        }
    }

    /// Adds a request, in memory that one before has left.
    pub(super) fn add_request(&mut self, index: usize, queue: u16, request: &[u8], reply: Reply) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(request);
        self.add(index, Job::Handle(queue, bytes, reply));
    }

    /// A driver is gone, as `job` says, and with it all that it asked for and the device has not begun:
    /// that is returned.
    pub(super) fn forget(&mut self, index: usize, job: Job) -> Vec<Job> {
        let Some(lane) = self.lanes.get_mut(index) else {
            return Vec::new();
        };
        let forgotten = lane.forget(job);
        self.line_up(index);
        forgotten
    }

    /// What comes next, and for which guest's device.
    pub(super) fn next(&mut self) -> Option<(usize, Box<dyn Device>, Job)> {
        while let Some(index) = self.turns.pop_front() {
            let Some(lane) = self.lanes.get_mut(index) else {
                continue;
            };
            lane.waits = false;
            // It may have been forgotten meanwhile.
            let Some(job) = lane.jobs.pop_front() else {
                continue;
            };
            match mem::replace(&mut lane.device, Place::Away) {
                Place::Here(device) => return Some((index, device, job)),
                place => {
                    lane.device = place;
                    lane.jobs.push_front(job);
                }
            }
        }
        None
    }

    /// Whether it is nobody's turn.
    pub(super) fn is_idle(&self) -> bool {
        self.turns.is_empty()
    }

    /// The device has done that. If there is more to do for it, that comes after all others.
    pub(super) fn give_back(
        &mut self,
        index: usize,
        device: Box<dyn Device>,
        spare: Option<Vec<u8>>,
    ) {
        self.put(index, Place::Here(device));
        self.spare
            .extend(spare.filter(|_| self.spare.len() < SPARE));
    }

    fn put(&mut self, index: usize, place: Place) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.device = place;
        }
        self.line_up(index);
    }

    /// It is a guest's turn after all others, if there is something to do for it.
    fn line_up(&mut self, index: usize) {
        let Some(lane) = self.lanes.get_mut(index) else {
            return;
        };
        if matches!(lane.device, Place::Here(_)) && !lane.waits && !lane.jobs.is_empty() {
            lane.waits = true;
            self.turns.push_back(index);
        }
    }
}

impl Lane {
    fn add(&mut self, job: Job) {
        if let (Job::Negotiated(_), Some(Job::Negotiated(_))) = (&job, self.jobs.back()) {
            self.jobs.pop_back();
        }
        if !self.says(&job) {
            self.jobs.push_back(job);
        }
    }

    /// Whether the device is going to hear this already: what stays ready is reported again and again,
    /// and a driver may kick as often as it likes.
    fn says(&self, job: &Job) -> bool {
        match *job {
            Job::Ready(token) => {
                let is_same = |other: &Job| matches!(*other, Job::Ready(known) if known == token);
                self.jobs.iter().any(is_same)
            }
            Job::Lent(queue) => {
                let is_same = |other: &Job| matches!(*other, Job::Lent(known) if known == queue);
                self.jobs.iter().any(is_same)
            }
            Job::Drained(queue) => {
                let about_it = self.jobs.iter().rev().find_map(|other| match *other {
                    Job::Handle(known, ..) if known == queue => Some(false),
                    Job::Drained(known) if known == queue => Some(true),
                    _ => None,
                });
                about_it.unwrap_or(false)
            }
            _ => false,
        }
    }

    /// A device that has not heard of a front end need not hear that it went, and a reset before another
    /// one, or before the front end goes, makes no difference.
    fn forget(&mut self, job: Job) -> Vec<Job> {
        let goes = matches!(job, Job::Disconnected);
        let mut unheard = false;
        let mut forgotten = Vec::new();
        for other in mem::take(&mut self.jobs) {
            match other {
                Job::Reset => {}
                Job::Connected if goes => unheard = true,
                other if other.is_the_drivers() => forgotten.push(other),
                other => self.jobs.push_back(other),
            }
        }
        if !unheard {
            self.jobs.push_back(job);
        }
        forgotten
    }
}

impl Job {
    /// Returns memory that is not needed any more.
    pub(super) fn run(self, device: &mut dyn Device) -> Option<Vec<u8>> {
        match self {
            Self::Connected => device.connected(),
            Self::Negotiated(features) => device.negotiated(features),
            Self::Handle(queue, request, reply) => {
                device.handle(queue, &request, reply);
                return Some(request);
            }
            Self::Drained(queue) => device.drained(queue),
            Self::Events(queue, events) => device.events(queue, events),
            Self::Lent(queue) => device.lent(queue),
            Self::Ready(token) => device.ready(token),
            Self::Stop(queue, stopped) => device.stop(queue, stopped),
            Self::Reset => device.reset(),
            Self::Disconnected => device.disconnected(),
            Self::Drop => {}
        }
        None
    }

    /// Whether it is of a driver, and is forgotten with that.
    fn is_the_drivers(&self) -> bool {
        match self {
            Self::Negotiated(_)
            | Self::Handle(..)
            | Self::Drained(_)
            | Self::Events(..)
            | Self::Lent(_)
            | Self::Stop(..) => true,
            Self::Connected | Self::Ready(_) | Self::Reset | Self::Disconnected | Self::Drop => {
                false
            }
        }
    }
}
