// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Lines of the log that a front end causes: limited, since a front end may cause them as often as it
//! likes.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use log::Level;

use crate::lock;

/// The time for which lines are counted.
const TIME: Duration = Duration::from_secs(60);

/// Lines of one kind, of which the log has `limit` in a minute.
pub(super) struct Notices {
    limit: u32,
    /// How many there were, since when.
    counted: Mutex<(u32, Instant)>,
}

impl Notices {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            counted: Mutex::new((0, Instant::now())),
        }
    }

    /// Logs a line about the guest called `name`, or that no more lines follow.
    pub(super) fn log(&self, name: &str, level: Level, what: fmt::Arguments<'_>) {
        let mut counted = lock(&self.counted);
        let (count, since) = &mut *counted;
        if since.elapsed() >= TIME {
            (*count, *since) = (0, Instant::now());
        }
        *count = count.saturating_add(1);
        if *count < self.limit {
            log::log!(level, "{name}: {what}");
        } else if *count == self.limit {
            log::warn!("{name}: {what}, and so on: not logged for a minute");
        } else {
            log::trace!("{name}: {what}");
        }
    }
}
