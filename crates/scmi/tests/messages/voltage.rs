// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use crate::check;
use crate::common::*;

/// Microvolts below 0.
const MINUS_100_000: u32 = 0xfffe_7960;

#[test]
fn attributes_tell_of_domains() {
    let [n0, ..] = name16("uart");
    let [l0, l1, l2, l3] = name16("a-name-that-is-");
    let mut long = vec![0x5c09, SUCCESS, 0];
    long.extend(name64("a-name-that-is-longer-than-16"));
    check(&[
        (&[0x5c00], &[0x5c00, SUCCESS, 0x20001]),
        (&[0x5c01], &[0x5c01, SUCCESS, 5]),
        (&[0x5c03, 0], &[0x5c03, SUCCESS, 0x8000_0000, n0, 0, 0, 0]),
        (
            &[0x5c03, 1],
            &[0x5c03, SUCCESS, 0xc000_0000, l0, l1, l2, l3],
        ),
        (&[0x5c03, 5], &[0x5c03, NOT_FOUND]),
        (&[0x5c03], &[0x5c03, PROTOCOL_ERROR]),
        (&[0x5c09, 1], &long),
        (&[0x5c09, 5], &[0x5c09, NOT_FOUND]),
        (&[0x5c09], &[0x5c09, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn levels_are_signed() {
    let range = [0x5c04, SUCCESS, 0x1003, MINUS_100_000, 1_200_000, 50_000];
    check(&[
        (&[0x5c04, 0, 0], &range),
        (&[0x5c04, 0, 1], &[0x5c04, INVALID_PARAMETERS]),
        (
            &[0x5c04, 1, 0],
            &[0x5c04, SUCCESS, 3, 900_000, 1_000_000, 1_100_000],
        ),
        (&[0x5c04, 1, 2], &[0x5c04, SUCCESS, 1, 1_100_000]),
        (&[0x5c04, 1, 3], &[0x5c04, INVALID_PARAMETERS]),
        (&[0x5c04, 1, 4], &[0x5c04, INVALID_PARAMETERS]),
        (&[0x5c04, 5, 0], &[0x5c04, NOT_FOUND]),
        (&[0x5c04, 1], &[0x5c04, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn levels_are_set_exactly_or_not_at_all() {
    check(&[
        (&[0x5c08, 0], &[0x5c08, SUCCESS, 1_000_000]),
        (&[0x5c07, 0, 0, MINUS_100_000], &[0x5c07, SUCCESS]),
        (&[0x5c08, 0], &[0x5c08, SUCCESS, MINUS_100_000]),
        (&[0x5c07, 0, 0, 1_200_000], &[0x5c07, SUCCESS]),
        (&[0x5c07, 0, 0, 1_200_001], &[0x5c07, INVALID_PARAMETERS]),
        (&[0x5c07, 0, 0, 1_150_001], &[0x5c07, INVALID_PARAMETERS]),
        (&[0x5c07, 0, 0, 0x8000_0000], &[0x5c07, INVALID_PARAMETERS]),
        (&[0x5c07, 0, 2, 1_000_000], &[0x5c07, INVALID_PARAMETERS]),
        (&[0x5c07, 5, 0, 1_000_000], &[0x5c07, NOT_FOUND]),
        (&[0x5c07, 0, 0], &[0x5c07, PROTOCOL_ERROR]),
        (&[0x5c08, 0], &[0x5c08, SUCCESS, 1_200_000]),
        (&[0x5c07, 1, 0, 1_100_000], &[0x5c07, SUCCESS]),
        (&[0x5c07, 1, 0, 1_050_000], &[0x5c07, INVALID_PARAMETERS]),
        (&[0x5c08, 1], &[0x5c08, SUCCESS, 1_100_000]),
        (&[0x5c08, 5], &[0x5c08, NOT_FOUND]),
        (&[0x5c08], &[0x5c08, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn configuration_switches_the_regulator() {
    check(&[
        (&[0x5c06, 1], &[0x5c06, SUCCESS, 0]),
        (&[0x5c05, 1, 7], &[0x5c05, SUCCESS]),
        (&[0x5c06, 1], &[0x5c06, SUCCESS, 7]),
        (&[0x5c05, 1, 1], &[0x5c05, INVALID_PARAMETERS]),
        (&[0x5c05, 1, 0xf], &[0x5c05, INVALID_PARAMETERS]),
        (&[0x5c05, 1, 0x17], &[0x5c05, INVALID_PARAMETERS]),
        (&[0x5c05, 5, 7], &[0x5c05, NOT_FOUND]),
        (&[0x5c05, 1], &[0x5c05, PROTOCOL_ERROR]),
        (&[0x5c06, 1], &[0x5c06, SUCCESS, 7]),
        (&[0x5c05, 1, 0], &[0x5c05, SUCCESS]),
        (&[0x5c06, 1], &[0x5c06, SUCCESS, 0]),
        (&[0x5c06, 5], &[0x5c06, NOT_FOUND]),
        (&[0x5c06], &[0x5c06, PROTOCOL_ERROR]),
    ]);
}
