// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's time.

use std::time::Duration;

/// A clock that can be stopped.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// When it was stopped, on the clock outside.
    stopped: Option<Duration>,
    /// How long it stood still before.
    lost: Duration,
}

impl Clock {
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// What it shows at `now` of the clock outside.
    pub(super) fn at(&self, now: Duration) -> Duration {
        self.stopped.unwrap_or(now).saturating_sub(self.lost)
    }

    pub(super) fn stop(&mut self, now: Duration) {
        self.stopped.get_or_insert(now);
    }

    /// `false` if it did not stand still.
    pub(super) fn go_on(&mut self, now: Duration) -> bool {
        let Some(stopped) = self.stopped.take() else {
            return false;
        };
        self.lost += now.saturating_sub(stopped);
        true
    }
}
