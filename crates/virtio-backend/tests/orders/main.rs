// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Front ends as bytes on a socket: each one's order of messages, and what no front end says.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod any;
mod device;
mod front_ends;
mod inflight;
mod log;
mod machine;
mod messages;
mod migration;
mod qemu;
mod slow;
mod wire;
#[cfg(feature = "xen")]
mod xen;
