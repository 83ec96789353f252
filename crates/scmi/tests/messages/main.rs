// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Every message of every protocol, right and wrong, as the tables of SCMI 3.2 have them. The first word is the header:
//! the protocol's number from bit 10 on, the message's in bits 7:0.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod base;
mod clock;
mod power;
mod reset;
mod sensor;
mod versions;
mod voltage;

use common::{Given, Parts, ask};

/// What an agent with all rights to everything on a board of 5 is answered.
#[track_caller]
fn check(conversation: &[(&[u32], &[u32])]) {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1, 2, 3, 4])]);
    let mut engine = parts.engine();
    for (request, expected) in conversation {
        assert_eq!(ask(&mut engine, 0, request), *expected, "{request:#x?}");
    }
}
