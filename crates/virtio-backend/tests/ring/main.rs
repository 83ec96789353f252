// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One guest and its rings, well-formed and hostile.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "../common/mod.rs"]
mod common;
mod drained;
mod events;
mod framing;
mod hostile;
mod hostile_rings;
mod interrupts;
mod stop;
mod trial;
