// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon and its front ends.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "../common/mod.rs"]
mod common;
mod guests;
mod hangs;
mod log;
mod lost;
mod panics;
mod polling;
mod sessions;
mod settings;
mod sharing;
mod waiting;
mod watching;
