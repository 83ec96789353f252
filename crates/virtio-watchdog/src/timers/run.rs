// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Timers that run.

use std::time::Duration;

use crate::wire::Times;

/// For so many times its own time a timer can be excused for the host's troubles, and again for
/// pauses.
const EXCUSES: u32 = 4;

/// A channel.
#[derive(Clone, Copy)]
pub(super) struct Channel {
    pub(super) times: Times,
    pub(super) run: Option<Run>,
}

/// A timer that runs.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) since: Duration,
    pub(super) deadline: Duration,
    /// How long it may be excused for the host's troubles, and how long it was.
    pub(super) excuses: Duration,
    pub(super) excused: Duration,
    /// How much more time it may have for going on after pauses. A guest can make what looks like
    /// one.
    grace: Duration,
    pub(super) told_late: bool,
    pub(super) told_pretimeout: bool,
}

impl Run {
    pub(super) fn new(now: Duration, timeout: Duration) -> Self {
        Self {
            since: now,
            deadline: now + timeout,
            excuses: timeout.saturating_mul(EXCUSES),
            excused: Duration::ZERO,
            grace: timeout.saturating_mul(EXCUSES),
            told_late: false,
            told_pretimeout: false,
        }
    }

    /// After a pause it has `least` left, or more. That it is late is told again: whoever looked at
    /// the guest then saw one that was to be paused.
    pub(super) fn go_on(&mut self, now: Duration, least: Duration) {
        self.told_late = false;
        let left = self.deadline.saturating_sub(now);
        let more = least.saturating_sub(left).min(self.grace);
        if !more.is_zero() {
            self.deadline = now + left + more;
            self.grace -= more;
        }
    }

    /// When half of its time has passed, if that is still to be told.
    pub(super) fn late_at(&self) -> Option<Duration> {
        let late = self.since + self.deadline.saturating_sub(self.since) / 2;
        (!self.told_late).then_some(late)
    }

    /// When the pretimeout of a channel with these `times` comes, if that is still to be told.
    pub(super) fn pretimeout_at(&self, times: Times, now: Duration) -> Option<Duration> {
        let tells = !self.told_pretimeout && !times.pretimeout.is_zero() && self.deadline > now;
        tells.then(|| self.deadline.saturating_sub(times.pretimeout))
    }
}
