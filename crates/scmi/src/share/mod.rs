// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What all protocols have in common: how agents share resources, what takes its time, and what is said unasked. It
//! knows no protocol; what it needs of one is in its [row](protocol::Protocol).

pub(crate) mod events;
pub(crate) mod operations;
pub(crate) mod protocol;
pub(crate) mod release;
pub(crate) mod wishes;
