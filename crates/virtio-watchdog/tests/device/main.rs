// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device, with a host that is the test.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod carrier;
mod common;
mod requests;
mod resets;
mod ring;
mod sessions;
mod time;
