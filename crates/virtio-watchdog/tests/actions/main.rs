// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is found out about a guest that seems to have failed, and what is done.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod api;
mod common;
mod examine;
mod resets;
mod stages;
