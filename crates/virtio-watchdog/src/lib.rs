// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The virtio watchdog device, which `SPEC.md` in this crate's folder describes: a guest that does
//! not ping in time has failed, and is acted upon.
//!
//! [`Watchdog`] is the device of one guest. It counts time, and reports to a [`Host`], which knows
//! the machine that the guest is in, and decides.
#![forbid(unsafe_code)]

mod device;
mod host;
mod settings;
#[cfg(feature = "daemon")]
mod supervisor;
mod timers;
mod wire;

pub use device::{VERDICT, Watchdog};
pub use host::{Failure, Host, Report, Verdict};
pub use settings::{Cause, Settings};
#[cfg(feature = "daemon")]
pub use supervisor::{Action, Control, Plan, Records, Seconds, Stage, Supervisor};
