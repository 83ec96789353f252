// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use scmi::{Kind, Rights};

use crate::check;
use crate::common::*;

const ON: u32 = 0;
const OFF: u32 = 0x4000_0000;

#[test]
fn attributes_tell_of_domains_and_no_statistics() {
    let [n0, ..] = name16("uart");
    let [l0, l1, l2, l3] = name16("a-name-that-is-");
    check(&[
        (&[0x4400], &[0x4400, SUCCESS, 0x30001]),
        (&[0x4401], &[0x4401, SUCCESS, 5, 0, 0, 0]),
        // Notifications of both kinds, synchronous or not.
        (&[0x4403, 0], &[0x4403, SUCCESS, 0xf000_0000, n0, 0, 0, 0]),
        // And a long name.
        (
            &[0x4403, 1],
            &[0x4403, SUCCESS, 0xf800_0000, l0, l1, l2, l3],
        ),
        (&[0x4403, 5], &[0x4403, NOT_FOUND]),
        (&[0x4403, 0x1_0000], &[0x4403, NOT_FOUND]),
        (&[0x4403, u32::MAX], &[0x4403, NOT_FOUND]),
        (&[0x4403], &[0x4403, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn state_is_read_back_bit_for_bit() {
    check(&[
        (&[0x4405, 2], &[0x4405, SUCCESS, OFF]),
        (&[0x4404, 0, 2, ON], &[0x4404, SUCCESS]),
        (&[0x4405, 2], &[0x4405, SUCCESS, ON]),
        (&[0x4404, 0, 2, OFF], &[0x4404, SUCCESS]),
        (&[0x4405, 2], &[0x4405, SUCCESS, OFF]),
        (&[0x4405, 5], &[0x4405, NOT_FOUND]),
        (&[0x4405], &[0x4405, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn states_and_flags_that_do_not_exist_change_nothing() {
    check(&[
        (&[0x4404, 2, 2, ON], &[0x4404, INVALID_PARAMETERS]),
        (&[0x4404, 0, 2, 1], &[0x4404, INVALID_PARAMETERS]),
        (&[0x4404, 0, 2, 0x8000_0000], &[0x4404, INVALID_PARAMETERS]),
        (&[0x4404, 0, 5, ON], &[0x4404, NOT_FOUND]),
        (&[0x4404, 1, 2, 1], &[0x4404, INVALID_PARAMETERS]),
        (&[0x4404, 1, 5, ON], &[0x4404, NOT_FOUND]),
        (&[0x4404, 0, 2], &[0x4404, PROTOCOL_ERROR]),
        (&[0x4404, 0], &[0x4404, PROTOCOL_ERROR]),
        (&[0x4404], &[0x4404, PROTOCOL_ERROR]),
        (&[0x4405, 2], &[0x4405, SUCCESS, OFF]),
        // More than the message has is what a later version may have.
        (&[0x4404, 0, 2, ON, 7, 7], &[0x4404, SUCCESS]),
    ]);
}

#[test]
fn long_names_are_told_whole() {
    let mut long = vec![0x4408, SUCCESS, 0];
    long.extend(name64("a-name-that-is-longer-than-16"));
    check(&[
        (&[0x4408, 1], &long),
        (&[0x4408, 5], &[0x4408, NOT_FOUND]),
        (&[0x4408], &[0x4408, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn a_subscriber_is_told_of_changes_and_whether_they_are_its_own() {
    let mut parts = Parts::new(1, &[Given::all(&[0]), Given::all(&[0])]);
    let mut engine = parts.engine();
    assert_eq!(ask(&mut engine, 0, &[0x4406, 0, 1]), [0x4406, SUCCESS]);
    ask(&mut engine, 1, &[0x4404, 0, 0, ON]);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x4700, 0, 0, ON]);
    // Its own vote changes nothing while the other one's stands.
    ask(&mut engine, 0, &[0x4404, 0, 0, ON]);
    assert_eq!(event(&mut engine, 0), None);
    ask(&mut engine, 1, &[0x4404, 0, 0, OFF]);
    assert_eq!(event(&mut engine, 0), None);
    ask(&mut engine, 0, &[0x4404, 0, 0, OFF]);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x4700, 1, 0, OFF]);
    assert_eq!(ask(&mut engine, 0, &[0x4406, 0, 0]), [0x4406, SUCCESS]);
    ask(&mut engine, 1, &[0x4404, 0, 0, ON]);
    assert_eq!(event(&mut engine, 0), None);
    assert_eq!(event(&mut engine, 1), None);
}

#[test]
fn other_agents_are_told_of_the_state_that_one_asks_for() {
    let mut may_not = Given::all(&[0]);
    may_not.grants.of_mut(Kind::POWER)[0].1 = Rights::default();
    let mut parts = Parts::new(2, &[Given::all(&[1, 0]), Given::all(&[0]), may_not]);
    let mut engine = parts.engine();
    assert_eq!(ask(&mut engine, 0, &[0x4407, 1, 1]), [0x4407, SUCCESS]);
    ask(&mut engine, 0, &[0x4404, 0, 1, ON]);
    ask(&mut engine, 2, &[0x4404, 0, 0, ON]);
    assert_eq!(event(&mut engine, 0), None);
    for state in [ON, OFF, OFF] {
        ask(&mut engine, 1, &[0x4404, 0, 0, state]);
        assert_eq!(event(&mut engine, 0).unwrap(), [0x4701, 0, 1, state]);
    }
    ask(&mut engine, 1, &[0x4404, 0, 0, 1]);
    assert_eq!((event(&mut engine, 0), event(&mut engine, 1)), (None, None));
}

#[test]
fn notifications_are_asked_for_with_one_bit() {
    check(&[
        (&[0x4406, 0, 2], &[0x4406, INVALID_PARAMETERS]),
        (&[0x4406, 0, 0x8000_0001], &[0x4406, INVALID_PARAMETERS]),
        (&[0x4406, 5, 1], &[0x4406, NOT_FOUND]),
        (&[0x4406, 0], &[0x4406, PROTOCOL_ERROR]),
        (&[0x4407, 0, 1], &[0x4407, SUCCESS]),
        (&[0x4407, 0, 2], &[0x4407, INVALID_PARAMETERS]),
        (&[0x4407, 5, 1], &[0x4407, NOT_FOUND]),
        (&[0x4407, 0], &[0x4407, PROTOCOL_ERROR]),
    ]);
}
