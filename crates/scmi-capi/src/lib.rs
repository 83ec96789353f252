// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The crate [`scmi`] for firmware in C: `include/scmi_engine.h` says what there is, `examples/firmware.c` uses it.
//!
//! ```console
//! $ cargo rustc -p scmi-capi --profile firmware --crate-type staticlib --target …
//! ```
//!
//! builds the library. It needs `memcpy`, `memset` and `memmove` of the firmware, and nothing else: it does not
//! allocate, and there is no way for it to panic.
//!
//! The engine takes 160 bytes, and the rest is what it is for: 80 for each agent, 44 for each resource that an agent was
//! given, 32 for each resource of the platform, 16 for each trip point, and 32 for each command that may wait.
//!
//! C's memory and C's functions make this the one crate whose code is not all safe. What it relies on is what
//! [`scmi_engine_init`] asks of its caller, and each block says which part of that.
#![no_std]
#![expect(
    unsafe_code,
    reason = "C lends its memory, and calls by names of its own"
)]

mod description;
mod engine;
mod memory;
#[cfg(panic = "abort")]
mod panic;
mod platform;

pub use description::*;
pub use engine::*;
pub use memory::*;
pub use platform::*;
