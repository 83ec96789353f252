// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A thread of a piece of hardware, and the devices of guests on it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
mod end;
mod order;
mod reset;
mod turns;
mod watching;
