// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device, on buses that remember what was transferred.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;
mod duties;
mod groups;
mod sharing;
mod zephyr;
