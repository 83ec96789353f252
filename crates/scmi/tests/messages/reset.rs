// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use scmi::Kind;

use crate::check;
use crate::common::*;

#[test]
fn attributes_tell_of_domains() {
    let [n0, ..] = name16("uart");
    let [l0, l1, l2, l3] = name16("a-name-that-is-");
    let mut long = vec![0x5806, SUCCESS, 0];
    long.extend(name64("a-name-that-is-longer-than-16"));
    check(&[
        (&[0x5800], &[0x5800, SUCCESS, 0x30001]),
        (&[0x5801], &[0x5801, SUCCESS, 5]),
        // Asynchronous, notifications, a latency that is not known.
        (
            &[0x5803, 0],
            &[0x5803, SUCCESS, 0xc000_0000, u32::MAX, n0, 0, 0, 0],
        ),
        (
            &[0x5803, 1],
            &[0x5803, SUCCESS, 0xe000_0000, 250, l0, l1, l2, l3],
        ),
        (&[0x5803, 5], &[0x5803, NOT_FOUND]),
        (&[0x5803], &[0x5803, PROTOCOL_ERROR]),
        (&[0x5806, 1], &long),
        (&[0x5806, 5], &[0x5806, NOT_FOUND]),
        (&[0x5806], &[0x5806, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn a_domain_is_released_asserted_and_reset() {
    let mut parts = Parts::new(5, &[Given::all(&[3])]);
    let mut engine = parts.engine();
    for (flags, runs, resets) in [(0, true, 0), (2, false, 0), (1, true, 1), (2, false, 1)] {
        let answer = ask(&mut engine, 0, &[0x5804, 0, flags, 0]);
        assert_eq!(answer, [0x5804, SUCCESS]);
        assert_eq!(engine.platform.state.on.of(Kind::RESET)[3], runs, "{flags}");
        assert_eq!(engine.platform.resets.len(), resets, "{flags}");
    }
}

#[test]
fn resets_that_do_not_exist_change_nothing() {
    check(&[
        // Asynchronous is for what ends by itself.
        (&[0x5804, 0, 4, 0], &[0x5804, INVALID_PARAMETERS]),
        (&[0x5804, 0, 6, 0], &[0x5804, INVALID_PARAMETERS]),
        (&[0x5804, 0, 8, 0], &[0x5804, INVALID_PARAMETERS]),
        (&[0x5804, 0, 9, 0], &[0x5804, INVALID_PARAMETERS]),
        (&[0x5804, 0, 1, 1], &[0x5804, INVALID_PARAMETERS]),
        (&[0x5804, 0, 1, 0x8000_0000], &[0x5804, INVALID_PARAMETERS]),
        (&[0x5804, 5, 1, 0], &[0x5804, NOT_FOUND]),
        (&[0x5804, 0, 1], &[0x5804, PROTOCOL_ERROR]),
        (&[0x5804, 0], &[0x5804, PROTOCOL_ERROR]),
        (&[0x5804], &[0x5804, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn a_subscriber_is_told_of_resets() {
    let mut parts = Parts::new(5, &[Given::all(&[4, 3])]);
    let mut engine = parts.engine();
    assert_eq!(ask(&mut engine, 0, &[0x5805, 1, 1]), [0x5805, SUCCESS]);
    for (flags, told) in [(0, false), (2, true), (1, true)] {
        ask(&mut engine, 0, &[0x5804, 1, flags, 0]);
        let expected = told.then_some(vec![0x5b00, 1, 1, 0]);
        assert_eq!(event(&mut engine, 0), expected, "{flags}");
    }
    check(&[
        (&[0x5805, 0, 2], &[0x5805, INVALID_PARAMETERS]),
        (&[0x5805, 5, 1], &[0x5805, NOT_FOUND]),
        (&[0x5805, 0], &[0x5805, PROTOCOL_ERROR]),
    ]);
}
