// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest that sleeps.

use std::time::Duration;

/// Whether the channels are suspended, and how long they may be.
#[derive(Clone, Copy, Default)]
pub(super) struct Sleep {
    /// Until when they may stand still: from the first SUSPEND on since there was a sign of life, so
    /// that nobody sleeps longer by waking in between.
    limit: Option<Duration>,
    /// What comes when they go on, if they stand still.
    then: Option<Wake>,
}

/// What a guest does when it wakes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    GoOn,
    /// Its device was reset meanwhile.
    Boot,
}

impl Sleep {
    pub(super) fn is_on(&self) -> bool {
        self.then.is_some()
    }

    /// When it ends at the latest, if it is on.
    pub(super) fn end(&self) -> Option<Duration> {
        self.limit.filter(|_| self.is_on())
    }

    /// Begins, if there is time left for it.
    pub(super) fn begin(&mut self, now: Duration, max: Option<Duration>) {
        let max = max.unwrap_or(Duration::MAX);
        let limit = self.limit.get_or_insert_with(|| now.saturating_add(max));
        if *limit > now {
            self.then.get_or_insert(Wake::GoOn);
        }
    }

    /// What comes when the guest wakes, if it is on.
    pub(super) fn wakes_to(&mut self, wake: Wake) {
        self.then = self.then.map(|_| wake);
    }

    /// Ends, if it is on.
    pub(super) fn wake(&mut self) -> Option<Wake> {
        self.then.take()
    }

    /// It may last as long as ever from the next SUSPEND on.
    pub(super) fn renew(&mut self) {
        self.limit = None;
    }
}
