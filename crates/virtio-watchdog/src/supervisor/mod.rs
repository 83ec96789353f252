// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's side of a watchdog in a daemon: it finds out what is wrong with a guest, and acts.
//!
//! Each guest has a thread of its own for that. Whatever hangs, a monitor or a command, delays
//! nobody: not the guest's own pings, and no other guest.

mod act;
mod api;
mod boots;
mod command;
mod control;
mod mailbox;
mod process;
mod qmp;
mod record;
mod stage;
mod unix;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use virtio_backend::Watch;

use crate::{Host, Report, Verdict};
use act::Actor;
use mailbox::Shared;

pub use record::Records;
pub use stage::{Action, Seconds, Stage};

/// What is done about a guest that failed, and through what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the log calls the guest.
    pub guest: String,
    /// How the machine is controlled.
    pub control: Option<Control>,
    /// What is done, one after the other until the guest is reset or gone.
    pub stages: Vec<Stage>,
    /// How long a command may take.
    pub command_limit: Duration,
    /// How soon that is done again, if something could not be done and the rest did not help.
    pub pause: Duration,
    /// For how many failures that is done within [`window`](Self::window).
    pub max_resets: u32,
    /// How long a failure counts.
    pub window: Duration,
    /// How long a guest may take to boot. If it resets itself sooner, and that more often than
    /// [`max_resets`](Self::max_resets), it has failed to. Only QEMU's monitor tells.
    pub boot_timeout: Option<Duration>,
    /// How soon after a reset a PC's firmware makes another one, which is the same reset: SeaBIOS
    /// does. Only QEMU's monitor tells.
    pub firmware_reset: Duration,
    /// What is done, once, when there were more.
    pub last: Option<Stage>,
    /// How long a guest that panicked has to write down why.
    pub kdump_timeout: Duration,
    /// The monitor is listened to also without a front end, and whoever it belongs to: another
    /// watchdog of the machine counts the time.
    pub relay: bool,
    /// Where records are appended to, besides the log.
    pub record: Option<Records>,
}

/// How a machine is controlled.
#[derive(Clone, Debug)]
pub enum Control {
    /// QEMU's monitor (QMP) at this socket.
    Qmp(PathBuf),
    /// cloud-hypervisor's API at this socket.
    Api(PathBuf),
}

/// The host's side of one guest's watchdog.
///
/// Commands that it runs inherit no file descriptors: before each, all of the process are marked
/// close-on-exec, but for 0 to 2.
pub struct Supervisor {
    shared: Arc<Shared>,
    can_restart: bool,
}

impl Supervisor {
    /// Follows `plan`, and has `watch` say when there are verdicts.
    ///
    /// # Errors
    /// When the process is out of file descriptors or threads.
    pub fn new(plan: Plan, watch: &Watch) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(watch, plan.firmware_reset));
        let can_restart = plan
            .stages
            .iter()
            .any(|stage| stage.action == Action::Reset);
        let actor = Actor::new(plan, Arc::clone(&shared));
        // Ends when this is dropped, at the latest when what it is waiting for has taken too long.
        thread::Builder::new()
            .name("actions".into())
            .spawn(move || actor.run())?;
        Ok(Self {
            shared,
            can_restart,
        })
    }
}

impl Host for Supervisor {
    fn report(&mut self, report: Report) {
        self.shared.report(report);
    }

    fn verdict(&mut self) -> Option<Verdict> {
        self.shared.verdict()
    }

    fn tells_resets(&self) -> bool {
        self.shared.tells_resets.load(Ordering::Acquire)
    }

    fn may_restart(&self) -> Option<bool> {
        let may = self.shared.may_restart.load(Ordering::Acquire);
        self.can_restart.then_some(may)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shared.end();
    }
}
