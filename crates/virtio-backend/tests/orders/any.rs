// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! "Only a broken frame ends a session", for any messages. With descriptors, and for bytes that are no
//! messages, the fuzz target shows what can be shown.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq};
use proptest::test_runner::{Config, TestRunner};
use virtio_backend::testing::Dialogue;

use crate::device::echo;
use crate::wire::{GET_FEATURES, NEED_REPLY, message};

#[test]
fn no_message_ends_a_session_whatever_it_says_and_however_it_is_cut() {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let messages = vec((0..50_u32, any::<bool>(), vec(0..4_u8, 0..72)), 1..40);
    TestRunner::new(config)
        .run(&(messages, 1..200_usize), |(messages, piece)| {
            let mut dialogue = Dialogue::new(|_watch| echo().0);
            let bytes: Vec<_> = messages
                .iter()
                .flat_map(|(request, asks, payload)| {
                    message(*request, u32::from(*asks) * NEED_REPLY, payload)
                })
                .collect();

            for piece in bytes.chunks(piece) {
                dialogue.say(piece, &[]);
            }

            prop_assert!(dialogue.goes_on());
            let answer = dialogue.say(&message(GET_FEATURES, 0, &[]), &[]);
            prop_assert_eq!(answer.len(), 12 + 8);
            Ok(())
        })
        .unwrap();
}
