// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the device asks of the host, and is told by it.

use std::time::Duration;

use crate::Cause;

/// The host's side of the watchdog: it knows the machine that the guest is in, and acts on it.
///
/// The device [`report`](Self::report)s, and is told [`Verdict`]s. When there is one, the host makes
/// the device's [`Watch`](virtio_backend::Watch) say [`VERDICT`](crate::VERDICT).
pub trait Host: Send {
    /// Takes note. Never waits.
    fn report(&mut self, report: Report);

    /// What was decided, in order, until there is no more.
    fn verdict(&mut self) -> Option<Verdict>;

    /// Whether the host tells of each reset of the machine. If not, a reset of the device is taken
    /// for one.
    fn tells_resets(&self) -> bool {
        false
    }

    /// Whether the guest may have itself reset now, if the host can do that at all.
    fn may_restart(&self) -> Option<bool> {
        None
    }
}

/// What the device saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A front end connected, from this process if that is known.
    Connected(Option<u32>),
    /// It went away.
    Disconnected,
    /// The queues stopped, because the machine is paused, or because the guest was reset or lets the
    /// device go. Time stands still until the host says that it is not paused, or they start again.
    Stopped,
    /// The device was reset.
    Reset,
    /// The driver is ready to use the device, or goes on with it after a pause.
    Ready,
    /// Half of a timer's time has passed, be it a channel's or that to boot in. Comes again after a
    /// pause.
    Late,
    /// A timer has run out: was the guest able to ping? To be answered with [`Verdict::Act`] or
    /// [`Verdict::Excused`].
    Due(Failure),
    /// The guest has failed: to be acted upon, and answered in the end with [`Verdict::Reset`] or
    /// [`Verdict::Settled`].
    Failed(Failure),
}

/// A guest that seems to have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which timer ran out, or what else happened.
    pub cause: Cause,
    /// How long there was no sign of life, as far as a timer is about that, not counting when the
    /// guest could not run.
    pub silence: Duration,
    /// How long it has been excused.
    pub excused: Duration,
}

/// What the host decided, or heard of the machine. While there is no front end it starts nothing, but
/// that a machine of which another watchdog says so has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The machine is paused, until it is said that it is not, or the queues go on.
    Paused,
    /// The machine is no longer paused.
    Resumed,
    /// The queues stopped although the machine is not paused.
    NotPaused,
    /// The machine was reset.
    Reset,
    /// The guest was kept from running, or was not running at all: for so long its timers have not
    /// run out. No time counts if `limited`, and is limited then.
    Excused {
        /// How long.
        time: Duration,
        /// Whether this is for a trouble of the host's, which does not excuse for ever.
        limited: bool,
    },
    /// The guest has failed, if it still has not given a sign of life.
    Act,
    /// The driver is to be told that a timer has expired.
    Tell,
    /// The guest panicked, or another watchdog of it expired: it has failed, whatever it says.
    Failed(Cause),
    /// The guest panicked and writes down why: it has so long to be reset.
    Dumping(Duration),
    /// All was done about a guest that failed, and it was not reset.
    Settled,
}
