// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the host allows a guest, and what it takes for its failure.

use std::time::Duration;

use crate::wire::{Status, Times};

/// What the host allows.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many timers there are: 1 to 65,535.
    pub channels: u16,
    /// How long a channel runs without a ping, if the driver does not say.
    pub timeout: Duration,
    /// How long before that it tells the driver, if the driver does not say: no time if not at all.
    /// Below the timeout.
    pub pretimeout: Duration,
    /// The shortest timeout that the driver may choose. Not no time.
    pub min_timeout: Duration,
    /// The longest timeout that the driver may choose.
    pub max_timeout: Duration,
    /// How long a guest may take to boot, if there is a limit.
    pub boot_timeout: Option<Duration>,
    /// Whether a channel that was started cannot be stopped.
    pub lock: bool,
    /// How long the driver may suspend the channels, if there is a limit.
    pub max_suspend: Option<Duration>,
}

impl Default for Settings {
    /// 30 seconds for one channel, of which the driver can make an hour.
    fn default() -> Self {
        Self {
            channels: 1,
            timeout: Duration::from_secs(30),
            pretimeout: Duration::ZERO,
            min_timeout: Duration::from_millis(100),
            max_timeout: Duration::from_secs(3600),
            boot_timeout: None,
            lock: false,
            max_suspend: Some(Duration::from_secs(3600)),
        }
    }
}

impl Settings {
    /// What a channel has if the driver does not say.
    pub(crate) fn times(&self) -> Times {
        Times {
            timeout: self.timeout,
            pretimeout: self.pretimeout,
        }
    }

    /// What a channel has if the driver says this, or nothing.
    pub(crate) fn check(&self, times: Option<Times>) -> Result<Times, Status> {
        let Some(times) = times else {
            return Ok(self.times());
        };
        let allowed = self.min_timeout..=self.max_timeout;
        if allowed.contains(&times.timeout) && times.pretimeout < times.timeout {
            Ok(times)
        } else {
            Err(Status::Range)
        }
    }
}

/// Why the guest is taken to have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// This channel was not pinged in time.
    Channel(u16),
    /// The guest did not boot in time.
    Boot,
    /// The driver asked to be restarted, which is no failure, but acted on like one.
    Restart,
    /// The guest said that it panicked.
    Panic,
    /// Another watchdog of the machine expired.
    Relayed,
}
