// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device against a chip that is the test's: by itself, against a model, and behind rings.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod checklist;
mod common;
mod grants;
mod interrupts;
mod model;
mod sessions;
mod zephyr;
