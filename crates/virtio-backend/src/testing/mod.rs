// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The driver's side, for the tests of devices and daemons and for the benchmark.
//!
//! * A device's test calls its methods, and hands it a [`reply`] or [`events`] whose outcome it can
//!   wait for.
//! * A daemon's test [serves](Server) a device in this process, or starts a [`Program`], and boots
//!   a [`Vm`] on its socket.
//! * A [`FrontEnd`], [`Memory`] and [`Ring`]s by themselves can say all that a VMM and its guest
//!   can say, however hostile. The bytes of the rings are written from the specification's words
//!   (virtio 1.3, 2.7), not by the library that the core reads them with.
//!
//! What a test judges is returned; a test that cannot go on panics. Nothing waits longer than
//! [`LIMIT`].
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod chain;
mod driver;
mod front_end;
mod latency;
mod memory;
mod program;
mod readme;
mod reply;
mod ring;
mod server;
mod vm;
mod wild;

use std::time::Duration;

pub use chain::Descriptor;
pub use driver::Driver;
pub use front_end::FrontEnd;
pub use latency::{Latency, median};
pub use memory::Memory;
pub use program::{Program, refused, refused_file, refused_with, run};
pub use readme::readme_is_served;
pub use reply::{Answer, Buffers, events, reply};
pub use ring::{Layout, Ring, Used};
pub use server::Server;
pub use vm::Vm;
pub use wild::Wild;

use crate::daemon;
pub use crate::vhost_user::{Dialogue, Direct, Floor, Waits};

/// How long to wait for what must happen. A loaded machine may stall for seconds; a test that
/// passes never waits for all of it.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Has as many file descriptors as the host allows, for both ends of many guests in one process.
pub fn raise_limit() {
    daemon::raise_limit().unwrap();
}

/// Feature bits of rings and transport (virtio 6; vhost-user, feature bit 30).
pub mod feature {
    /// `VIRTIO_F_INDIRECT_DESC`: a descriptor may point at a table of descriptors.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// `VIRTIO_F_EVENT_IDX`: each side says at which index it wants to hear from the other.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// `VHOST_USER_F_PROTOCOL_FEATURES`: rings are enabled one by one.
    pub const PROTOCOL_FEATURES: u64 = 1 << 30;
    /// `VIRTIO_F_VERSION_1`: the specification holds.
    pub const VERSION_1: u64 = 1 << 32;
    /// What Linux and QEMU accept together.
    pub const ALL: u64 = INDIRECT_DESC | EVENT_IDX | PROTOCOL_FEATURES | VERSION_1;
}

/// Protocol feature bits of vhost-user.
pub mod protocol {
    /// The back end says how many queues it has.
    pub const MQ: u64 = 1 << 0;
    /// Each message is answered.
    pub const REPLY_ACK: u64 = 1 << 3;
    /// The back end has a channel of its own to the front end.
    pub const BACKEND_REQ: u64 = 1 << 5;
    /// The configuration space can be read.
    pub const CONFIG: u64 = 1 << 9;
    /// What is in work is noted for the next back end.
    pub const INFLIGHT_SHMFD: u64 = 1 << 12;
    /// RESET_DEVICE exists.
    pub const RESET_DEVICE: u64 = 1 << 13;
    /// What a front end accepts that moves no guest.
    pub const ALL: u64 = MQ | REPLY_ACK | BACKEND_REQ | CONFIG | RESET_DEVICE;
}
