// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest rig: real Linux guests, driven from the host, with our daemons behind their devices.
//!
//! A [`Guest`](guest::Guest) is a kernel and a root file system that are built once and cached,
//! started under User-Mode Linux or QEMU, and spoken to like a shell. A [`Daemon`](daemon::Daemon)
//! is one of our back ends as a process. Neither outlives the value that stands for it. Which
//! devices there are is read from the folders under `crates/` ([`device`]).

#![expect(
    clippy::print_stderr,
    reason = "tells the person at the terminal what takes so long"
)]

pub mod daemon;
pub mod device;
pub mod guest;
pub mod host;
pub mod oldest;
pub mod results;
pub mod root;
pub mod tools;
pub mod trial;

mod apt;
mod archive;
mod cache;
mod process;

pub use cache::clean;
