// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device, and the platform behind it, with a time that is the test's. Messages are written as words.
#![expect(
    clippy::unwrap_used,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on fails"
)]

mod common;
mod events;
mod platform;
mod sharing;
