// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Each protocol's messages, right and wrong, and what comes back: words from the tables of SCMI 3.2, on the platform of
//! `--simulate`.

use anyhow::{Result, ensure};
use xtask::guest::Guest;

use crate::raw::{ANY, ask_async, expect, notified, prepare};

const SUCCESS: u32 = 0;
const NOT_SUPPORTED: u32 = u32::MAX;
const INVALID_PARAMETERS: u32 = NOT_SUPPORTED - 1;
const DENIED: u32 = NOT_SUPPORTED - 2;
const NOT_FOUND: u32 = NOT_SUPPORTED - 3;
const OUT_OF_RANGE: u32 = NOT_SUPPORTED - 4;
const PROTOCOL_ERROR: u32 = NOT_SUPPORTED - 9;

/// A name in its 16 bytes.
fn name(text: &str) -> [u32; 4] {
    padded(text)
}

/// A command of NAME_GET, and its response: a name in its 64 bytes.
fn long_name(message: u32, id: u32, text: &str) -> [Vec<u32>; 2] {
    let response = [&[message, SUCCESS, 0][..], &padded::<16>(text)].concat();
    [vec![message, id], response]
}

fn padded<const WORDS: usize>(text: &str) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    for (at, byte) in text.bytes().enumerate().take(WORDS * 4 - 1) {
        if let Some(word) = words.get_mut(at / 4) {
            *word |= u32::from(byte) << (at % 4 * 8);
        }
    }
    words
}

pub(crate) fn all(guest: &mut Guest) -> Result<()> {
    prepare(guest)?;
    common(guest)?;
    base(guest)?;
    power(guest)?;
    clocks(guest)?;
    sensors(guest)?;
    resets(guest)?;
    voltages(guest)?;
    events(guest)
}

/// What all protocols have, and what none has.
fn common(guest: &mut Guest) -> Result<()> {
    for (protocol, version) in [
        (0x4000, 0x20001),
        (0x4400, 0x30001),
        (0x5000, 0x30000),
        (0x5400, 0x30001),
        (0x5800, 0x30001),
        (0x5c00, 0x20001),
    ] {
        expect(
            guest,
            &[
                (&[protocol], &[protocol, SUCCESS, version]),
                // Longer than it has to be.
                (&[protocol, 1, 2, 3], &[protocol, SUCCESS, version]),
                (&[protocol | 2, 0], &[protocol | 2, SUCCESS, 0]),
                (&[protocol | 2, 0x77], &[protocol | 2, NOT_FOUND]),
                (&[protocol | 2, u32::MAX], &[protocol | 2, NOT_FOUND]),
                (&[protocol | 2], &[protocol | 2, PROTOCOL_ERROR]),
                (&[protocol | 0x10, version], &[protocol | 0x10, SUCCESS]),
                (
                    &[protocol | 0x10, 0x70000],
                    &[protocol | 0x10, NOT_SUPPORTED],
                ),
                (&[protocol | 0x10], &[protocol | 0x10, PROTOCOL_ERROR]),
                (&[protocol | 0x77], &[protocol | 0x77, NOT_FOUND]),
            ],
        )?;
    }
    expect(
        guest,
        &[
            // Performance, which is not there, and a protocol that does not exist.
            (&[0x4c00], &[0x4c00, NOT_SUPPORTED]),
            (&[0x3fc00], &[0x3fc00, NOT_SUPPORTED]),
        ],
    )
}

fn base(guest: &mut Guest) -> Result<()> {
    let with = |words: &[u32], text: &str| [words, &name(text)].concat();
    expect(
        guest,
        &[
            (&[0x4001], &[0x4001, SUCCESS, 0x0105]),
            (&[0x4003], &with(&[0x4003, SUCCESS], "virtio-backends")),
            (&[0x4004], &with(&[0x4004, SUCCESS], "simulated")),
            (&[0x4005], &[0x4005, SUCCESS, 1]),
            (&[0x4008, 1], &[0x4008, SUCCESS]),
            (&[0x4008, 2], &[0x4008, INVALID_PARAMETERS]),
            (&[0x4008], &[0x4008, PROTOCOL_ERROR]),
            (&[0x4006, 0], &[0x4006, SUCCESS, 5, 0x1615_1411, 0x17]),
            (&[0x4006, 4], &[0x4006, SUCCESS, 1, 0x17]),
            (&[0x4006, 5], &[0x4006, SUCCESS, 0]),
            (&[0x4006, 6], &[0x4006, INVALID_PARAMETERS]),
            (&[0x4006], &[0x4006, PROTOCOL_ERROR]),
            (&[0x4007, 0], &with(&[0x4007, SUCCESS, 0], "platform")),
            (&[0x4007, 1], &with(&[0x4007, SUCCESS, 1], "scmi")),
            (&[0x4007, u32::MAX], &with(&[0x4007, SUCCESS, 1], "scmi")),
            (&[0x4007, 2], &[0x4007, NOT_FOUND]),
            (&[0x4007], &[0x4007, PROTOCOL_ERROR]),
            // For trusted agents.
            (&[0x4009, 1, 1, 1], &[0x4009, NOT_SUPPORTED]),
            (&[0x400a, 1, 1, 0x14, 1], &[0x400a, NOT_SUPPORTED]),
            (&[0x400b, 1, 0], &[0x400b, NOT_SUPPORTED]),
        ],
    )
}

fn power(guest: &mut Guest) -> Result<()> {
    let attributes = [&[0x4403, SUCCESS, ANY][..], &name("npu")].concat();
    let [request, long] = long_name(0x4408, 2, "npu");
    expect(
        guest,
        &[
            (&[0x4401], &[0x4401, SUCCESS, 3, 0, 0, 0]),
            (&[0x4403, 2], &attributes),
            (&[0x4403, 3], &[0x4403, NOT_FOUND]),
            (&[0x4403], &[0x4403, PROTOCOL_ERROR]),
            (&[0x4405, 2], &[0x4405, SUCCESS, 0x4000_0000]),
            (&[0x4404, 0, 2, 0], &[0x4404, SUCCESS]),
            (&[0x4405, 2], &[0x4405, SUCCESS, 0]),
            (&[0x4404, 0, 2, 0x4000_0000], &[0x4404, SUCCESS]),
            (&[0x4405, 2], &[0x4405, SUCCESS, 0x4000_0000]),
            (&[0x4404, 2, 2, 0], &[0x4404, INVALID_PARAMETERS]),
            (&[0x4404, 0, 2, 7], &[0x4404, INVALID_PARAMETERS]),
            (&[0x4404, 0, 3, 0], &[0x4404, NOT_FOUND]),
            (&[0x4404, 0, 2], &[0x4404, PROTOCOL_ERROR]),
            (&[0x4405, 3], &[0x4405, NOT_FOUND]),
            (&[0x4405], &[0x4405, PROTOCOL_ERROR]),
            (&[0x4406, 3, 1], &[0x4406, NOT_FOUND]),
            (&[0x4407, 2, 1], &[0x4407, SUCCESS]),
            (&[0x4407, 2, 0], &[0x4407, SUCCESS]),
            (&[0x4407, 2, 2], &[0x4407, INVALID_PARAMETERS]),
            (&[0x4407, 3, 1], &[0x4407, NOT_FOUND]),
            (&[0x4407, 2], &[0x4407, PROTOCOL_ERROR]),
            (&[0x4406, 2, 2], &[0x4406, INVALID_PARAMETERS]),
            (&[0x4406, 2], &[0x4406, PROTOCOL_ERROR]),
            (&request, &long),
            (&[0x4408, 3], &[0x4408, NOT_FOUND]),
            (&[0x4408], &[0x4408, PROTOCOL_ERROR]),
        ],
    )
}

fn clocks(guest: &mut Guest) -> Result<()> {
    let attributes = |id, bits, text: &str| {
        let words = [&[0x5003, SUCCESS, bits][..], &name(text), &[1000]].concat();
        (vec![0x5003, id], words)
    };
    let described = [
        attributes(0, 0xc000_0002, "osc24m"),
        attributes(3, 0xd000_0000, "sys-pll"),
        attributes(8, 0xf000_0000, "display-pixel-c"),
    ];
    for (request, response) in &described {
        expect(guest, &[(request, response)])?;
    }
    let [request, long] = long_name(0x5008, 8, "display-pixel-clock");
    expect(
        guest,
        &[
            (&[0x5001], &[0x5001, SUCCESS, 16 << 16 | 9]),
            (&[0x5003, 9], &[0x5003, NOT_FOUND]),
            (&[0x5003], &[0x5003, PROTOCOL_ERROR]),
            (&request, &long),
            (&[0x5008, 9], &[0x5008, NOT_FOUND]),
            (&[0x5008], &[0x5008, PROTOCOL_ERROR]),
            (
                &[0x5004, 3, 0],
                &[
                    0x5004,
                    SUCCESS,
                    0x1003,
                    400_000_000,
                    0,
                    1_600_000_000,
                    0,
                    8_000_000,
                    0,
                ],
            ),
            (
                &[0x5004, 4, 0],
                &[
                    0x5004,
                    SUCCESS,
                    3,
                    100_000_000,
                    0,
                    200_000_000,
                    0,
                    400_000_000,
                    0,
                ],
            ),
            (&[0x5004, 4, 2], &[0x5004, SUCCESS, 1, 400_000_000, 0]),
            (&[0x5004, 4, 3], &[0x5004, OUT_OF_RANGE]),
            (&[0x5004, 4, 4], &[0x5004, OUT_OF_RANGE]),
            (&[0x5004, 4], &[0x5004, PROTOCOL_ERROR]),
        ],
    )?;
    rates(guest)?;
    gates_and_parents(guest)
}

fn rates(guest: &mut Guest) -> Result<()> {
    expect(
        guest,
        &[
            (&[0x5005, 0, 4, 400_000_000, 0], &[0x5005, SUCCESS]),
            (&[0x5006, 7], &[0x5006, SUCCESS, 400_000_000, 0]),
            (&[0x5005, 0, 4, 399_999_999, 0], &[0x5005, SUCCESS]),
            (&[0x5006, 7], &[0x5006, SUCCESS, 200_000_000, 0]),
            (&[0x5005, 0, 4, 1, 0], &[0x5005, INVALID_PARAMETERS]),
            (
                &[0x5005, 0x10, 4, 400_000_000, 0],
                &[0x5005, INVALID_PARAMETERS],
            ),
            (&[0x5005, 0, 7, 200_000_000, 0], &[0x5005, DENIED]),
            (&[0x5005, 0, 9, 1, 0], &[0x5005, NOT_FOUND]),
            (&[0x5005, 0, 4, 1], &[0x5005, PROTOCOL_ERROR]),
            (&[0x5006, 9], &[0x5006, NOT_FOUND]),
            (&[0x5006], &[0x5006, PROTOCOL_ERROR]),
            (&[0x5009, 7, 1], &[0x5009, SUCCESS]),
            (&[0x5009, 7, 0], &[0x5009, SUCCESS]),
            (&[0x5009, 7, 2], &[0x5009, INVALID_PARAMETERS]),
            (&[0x5009, 9, 1], &[0x5009, NOT_FOUND]),
            (&[0x5009, 7], &[0x5009, PROTOCOL_ERROR]),
        ],
    )
}

fn gates_and_parents(guest: &mut Guest) -> Result<()> {
    expect(
        guest,
        &[
            (&[0x500b, 8, 0], &[0x500b, SUCCESS, 0, 0, 0]),
            (&[0x5007, 8, 1, 0], &[0x5007, SUCCESS]),
            (&[0x500b, 8, 0], &[0x500b, SUCCESS, 0, 1, 0]),
            (&[0x5007, 8, 0, 0], &[0x5007, SUCCESS]),
            // As before version 3, which Linux 6.1 says to all versions.
            (&[0x5007, 8, 1], &[0x5007, SUCCESS]),
            (&[0x5007, 8, 0], &[0x5007, SUCCESS]),
            (&[0x5007, 8], &[0x5007, PROTOCOL_ERROR]),
            (&[0x5007, 9, 1, 0], &[0x5007, NOT_FOUND]),
            (&[0x500a, 8, 1], &[0x500a, SUCCESS]),
            (&[0x500a, 8, 2], &[0x500a, INVALID_PARAMETERS]),
            (&[0x500a, 9, 1], &[0x500a, NOT_FOUND]),
            (&[0x500a, 8], &[0x500a, PROTOCOL_ERROR]),
            // An extended type that no clock has.
            (&[0x500b, 8, 1], &[0x500b, INVALID_PARAMETERS]),
            (&[0x500b, 9, 0], &[0x500b, NOT_FOUND]),
            (&[0x500b, 8], &[0x500b, PROTOCOL_ERROR]),
            (&[0x500c, 5, 0], &[0x500c, SUCCESS, 2, 0, 4]),
            (&[0x500c, 5, 1], &[0x500c, SUCCESS, 1, 4]),
            (&[0x500c, 0, 0], &[0x500c, SUCCESS, 0]),
            (&[0x500c, 5, 3], &[0x500c, OUT_OF_RANGE]),
            (&[0x500c, 9, 0], &[0x500c, NOT_FOUND]),
            (&[0x500c, 5], &[0x500c, PROTOCOL_ERROR]),
            (&[0x500d, 5, 4], &[0x500d, SUCCESS]),
            (&[0x500e, 5], &[0x500e, SUCCESS, 4]),
            (&[0x5006, 6], &[0x5006, SUCCESS, 200_000_000, 0]),
            (&[0x500d, 5, 3], &[0x500d, INVALID_PARAMETERS]),
            (&[0x500d, 5, 9], &[0x500d, NOT_FOUND]),
            (&[0x500d, 5], &[0x500d, PROTOCOL_ERROR]),
            (&[0x500d, 5, 0], &[0x500d, SUCCESS]),
            // An oscillator comes from nothing.
            (&[0x500e, 0], &[0x500e, NOT_SUPPORTED]),
            (&[0x500e, 9], &[0x500e, NOT_FOUND]),
            (&[0x500e], &[0x500e, PROTOCOL_ERROR]),
            (&[0x500f, 0], &[0x500f, SUCCESS, 0xc000_0000]),
            (&[0x500f, 4], &[0x500f, SUCCESS, 0xe000_0000]),
            (&[0x500f, 9], &[0x500f, NOT_FOUND]),
            (&[0x500f], &[0x500f, PROTOCOL_ERROR]),
        ],
    )
}

fn sensors(guest: &mut Guest) -> Result<()> {
    let outside = [
        &[0x5403, SUCCESS, 0x0001_0004, 1][..],
        &[0x4000_5e00, 0xe802],
        &name("outside"),
    ]
    .concat();
    let descriptors = [&outside[..], &[ANY; 21]].concat();
    let axes = |first: &[u32], ids: &[(u32, &str)]| {
        let mut words = first.to_vec();
        for (id, text) in ids {
            words.extend([*id, 0x100, 0xe859]);
            words.extend(name(text));
            words.extend([0xe800_0001, 0xfffd_9b16, u32::MAX, 0x0002_64ea, 0]);
        }
        words
    };
    let first = axes(
        &[0x5407, SUCCESS, 1 << 26 | 2],
        &[(0, "accel_X"), (1, "accel_Y")],
    );
    let last = axes(&[0x5407, SUCCESS, 1], &[(2, "accel_Z")]);
    let [request, long] = long_name(0x540c, 1, "outside");
    let axis = [&[0x540d, SUCCESS, 1, 2][..], &padded::<16>("accel_Z")].concat();
    expect(
        guest,
        &[
            (&[0x5401], &[0x5401, SUCCESS, 16 << 16 | 6, 0, 0, 0]),
            (&[0x5403, 1], &descriptors),
            (&[0x5403, 6], &[0x5403, INVALID_PARAMETERS]),
            (&[0x5403, 7], &[0x5403, INVALID_PARAMETERS]),
            (&[0x5403], &[0x5403, PROTOCOL_ERROR]),
            (&[0x5407, 5, 0], &first),
            (&[0x5407, 5, 2], &last),
            (&[0x5407, 5, 3], &[0x5407, INVALID_PARAMETERS]),
            (&[0x5407, 1, 0], &[0x5407, NOT_SUPPORTED]),
            (&[0x5407, 6, 0], &[0x5407, NOT_FOUND]),
            (&[0x5407, 5], &[0x5407, PROTOCOL_ERROR]),
            (&request, &long),
            (&[0x540c, 6], &[0x540c, NOT_FOUND]),
            (&[0x540c], &[0x540c, PROTOCOL_ERROR]),
            (&[0x540d, 5, 2], &axis),
            (&[0x540d, 1, 0], &[0x540d, NOT_SUPPORTED]),
            (&[0x540d, 6, 0], &[0x540d, NOT_FOUND]),
            (&[0x540d, 5], &[0x540d, PROTOCOL_ERROR]),
        ],
    )?;
    intervals(guest)?;
    measuring(guest)
}

fn intervals(guest: &mut Guest) -> Result<()> {
    expect(
        guest,
        &[
            (
                &[0x5408, 5, 0],
                &[
                    0x5408,
                    SUCCESS,
                    4,
                    10 << 5 | 0x1d,
                    20 << 5 | 0x1d,
                    100 << 5 | 0x1d,
                    1000 << 5 | 0x1d,
                ],
            ),
            (&[0x5408, 5, 4], &[0x5408, INVALID_PARAMETERS]),
            (&[0x5408, 5, 9], &[0x5408, INVALID_PARAMETERS]),
            (&[0x5408, 6, 0], &[0x5408, NOT_FOUND]),
            (&[0x5408, 5], &[0x5408, PROTOCOL_ERROR]),
        ],
    )
}

fn measuring(guest: &mut Guest) -> Result<()> {
    expect(
        guest,
        &[
            (&[0x5406, 1, 0], &[0x5406, SUCCESS, ANY, u32::MAX, 0, 0]),
            (&[0x5406, 6, 0], &[0x5406, NOT_FOUND]),
            (&[0x5406, 1, 2], &[0x5406, INVALID_PARAMETERS]),
            // Its description says that it is not asynchronous.
            (&[0x5406, 1, 1], &[0x5406, NOT_SUPPORTED]),
            (&[0x5406, 1], &[0x5406, PROTOCOL_ERROR]),
            (&[0x5409, 5], &[0x5409, SUCCESS, 10 << 16 | 0x1d << 11]),
            (&[0x540a, 5, 100 << 16 | 0x1d << 11 | 1], &[0x540a, SUCCESS]),
            (&[0x5409, 5], &[0x5409, SUCCESS, 100 << 16 | 0x1d << 11 | 1]),
            // 11 ms, rounded down and up.
            (&[0x540a, 5, 11 << 16 | 0x1d << 11], &[0x540a, SUCCESS]),
            (&[0x5409, 5], &[0x5409, SUCCESS, 10 << 16 | 0x1d << 11]),
            (
                &[0x540a, 5, 11 << 16 | 0x1d << 11 | 0x200],
                &[0x540a, SUCCESS],
            ),
            (&[0x5409, 5], &[0x5409, SUCCESS, 20 << 16 | 0x1d << 11]),
            (&[0x540a, 5, 4], &[0x540a, INVALID_PARAMETERS]),
            (&[0x540a, 5, 0], &[0x540a, SUCCESS]),
            (&[0x540a, 6, 1], &[0x540a, NOT_FOUND]),
            (&[0x540a, 5], &[0x540a, PROTOCOL_ERROR]),
            (&[0x5409, 6], &[0x5409, NOT_FOUND]),
            (&[0x5409], &[0x5409, PROTOCOL_ERROR]),
        ],
    )?;
    expect(
        guest,
        &[
            (&[0x5404, 0, 1], &[0x5404, SUCCESS]),
            (&[0x5404, 0, 0], &[0x5404, SUCCESS]),
            (&[0x5404, 0, 2], &[0x5404, INVALID_PARAMETERS]),
            (&[0x5404, 6, 1], &[0x5404, NOT_FOUND]),
            (&[0x5404, 0], &[0x5404, PROTOCOL_ERROR]),
            (&[0x5405, 0, 3, 50_000, 0], &[0x5405, SUCCESS]),
            (&[0x5405, 0, 0x23, 50_000, 0], &[0x5405, INVALID_PARAMETERS]),
            (&[0x5405, 1, 3, 0, 0], &[0x5405, INVALID_PARAMETERS]),
            (&[0x5405, 6, 3, 0, 0], &[0x5405, NOT_FOUND]),
            (&[0x5405, 0, 3, 0], &[0x5405, PROTOCOL_ERROR]),
            (&[0x540b, 5, 0], &[0x540b, SUCCESS]),
            (&[0x540b, 5, 1], &[0x540b, SUCCESS]),
            (&[0x540b, 5, 2], &[0x540b, INVALID_PARAMETERS]),
            (&[0x540b, 6, 1], &[0x540b, NOT_FOUND]),
            (&[0x540b, 5], &[0x540b, PROTOCOL_ERROR]),
        ],
    )
}

fn resets(guest: &mut Guest) -> Result<()> {
    let [request, long] = long_name(0x5806, 2, "npu");
    let attributes = [&[0x5803, SUCCESS, 0xc000_0000, 20_000][..], &name("npu")].concat();
    expect(
        guest,
        &[
            (&[0x5801], &[0x5801, SUCCESS, 3]),
            (&[0x5803, 2], &attributes),
            (&[0x5803, 3], &[0x5803, NOT_FOUND]),
            (&[0x5803], &[0x5803, PROTOCOL_ERROR]),
            (&[0x5804, 2, 0, 0], &[0x5804, SUCCESS]),
            (&[0x5804, 2, 2, 0], &[0x5804, SUCCESS]),
            (&[0x5804, 2, 1, 0], &[0x5804, SUCCESS]),
            (&[0x5804, 2, 8, 0], &[0x5804, INVALID_PARAMETERS]),
            (&[0x5804, 2, 4, 0], &[0x5804, INVALID_PARAMETERS]),
            (&[0x5804, 2, 0, 1], &[0x5804, INVALID_PARAMETERS]),
            (&[0x5804, 3, 0, 0], &[0x5804, NOT_FOUND]),
            (&[0x5804, 2, 0], &[0x5804, PROTOCOL_ERROR]),
            (&[0x5805, 2, 1], &[0x5805, SUCCESS]),
            (&[0x5805, 2, 0], &[0x5805, SUCCESS]),
            (&[0x5805, 2, 2], &[0x5805, INVALID_PARAMETERS]),
            (&[0x5805, 3, 1], &[0x5805, NOT_FOUND]),
            (&[0x5805, 2], &[0x5805, PROTOCOL_ERROR]),
            (&request, &long),
            (&[0x5806, 3], &[0x5806, NOT_FOUND]),
            (&[0x5806], &[0x5806, PROTOCOL_ERROR]),
        ],
    )
}

fn voltages(guest: &mut Guest) -> Result<()> {
    let [request, long] = long_name(0x5c09, 1, "vdd-sd");
    let attributes = [&[0x5c03, SUCCESS, 0x8000_0000][..], &name("vdd-sd")].concat();
    expect(
        guest,
        &[
            (&[0x5c01], &[0x5c01, SUCCESS, 2]),
            (&[0x5c03, 1], &attributes),
            (&[0x5c03, 2], &[0x5c03, NOT_FOUND]),
            (&[0x5c03], &[0x5c03, PROTOCOL_ERROR]),
            (
                &[0x5c04, 0, 0],
                &[0x5c04, SUCCESS, 0x1003, 700_000, 1_100_000, 25_000],
            ),
            (&[0x5c04, 1, 0], &[0x5c04, SUCCESS, 2, 1_800_000, 3_300_000]),
            (&[0x5c04, 1, 2], &[0x5c04, INVALID_PARAMETERS]),
            (&[0x5c04, 1, 3], &[0x5c04, INVALID_PARAMETERS]),
            (&[0x5c04, 2, 0], &[0x5c04, NOT_FOUND]),
            (&[0x5c04, 1], &[0x5c04, PROTOCOL_ERROR]),
            (&[0x5c05, 1, 7], &[0x5c05, SUCCESS]),
            (&[0x5c06, 1], &[0x5c06, SUCCESS, 7]),
            (&[0x5406, 3, 0], &[0x5406, SUCCESS, 3300, 0, 0, 0]),
            (&[0x5c07, 1, 0, 1_800_000], &[0x5c07, SUCCESS]),
            (&[0x5c08, 1], &[0x5c08, SUCCESS, 1_800_000]),
            (&[0x5406, 3, 0], &[0x5406, SUCCESS, 1800, 0, 0, 0]),
            (&[0x5c05, 1, 0], &[0x5c05, SUCCESS]),
            (&[0x5406, 3, 0], &[0x5406, SUCCESS, 0, 0, 0, 0]),
            (&[0x5c05, 1, 1], &[0x5c05, INVALID_PARAMETERS]),
            (&[0x5c05, 2, 7], &[0x5c05, NOT_FOUND]),
            (&[0x5c05, 1], &[0x5c05, PROTOCOL_ERROR]),
            (&[0x5c06, 2], &[0x5c06, NOT_FOUND]),
            (&[0x5c06], &[0x5c06, PROTOCOL_ERROR]),
            (&[0x5c07, 1, 0, 1_800_001], &[0x5c07, INVALID_PARAMETERS]),
            (&[0x5c07, 1, 2, 1_800_000], &[0x5c07, INVALID_PARAMETERS]),
            (&[0x5c07, 2, 0, 0], &[0x5c07, NOT_FOUND]),
            (&[0x5c07, 1, 0], &[0x5c07, PROTOCOL_ERROR]),
            (&[0x5c08, 2], &[0x5c08, NOT_FOUND]),
            (&[0x5c08], &[0x5c08, PROTOCOL_ERROR]),
            (&request, &long),
            (&[0x5c09, 2], &[0x5c09, NOT_FOUND]),
            (&[0x5c09], &[0x5c09, PROTOCOL_ERROR]),
        ],
    )
}

/// What comes later, or unasked.
fn events(guest: &mut Guest) -> Result<()> {
    for (request, delayed) in [
        (
            &[0x5005, 1, 3, 1_200_000_000, 0][..],
            &[0x5205, SUCCESS, 3, 1_200_000_000, 0][..],
        ),
        (&[0x5c07, 0, 1, 1_000_000], &[0x5e07, SUCCESS, 0, 1_000_000]),
        (&[0x5804, 2, 5, 0], &[0x5a04, SUCCESS, 2]),
    ] {
        let [response, later] = ask_async(guest, request)?;
        ensure!(response == [request[0], SUCCESS], "{response:x?}");
        ensure!(later == delayed, "{later:x?}");
    }
    expect(
        guest,
        &[
            (&[0x4406, 2, 1], &[0x4406, SUCCESS]),
            (&[0x5009, 7, 1], &[0x5009, SUCCESS]),
        ],
    )?;
    let power = notified(guest, &[0x4404, 0, 2, 0])?;
    ensure!(power == [0x4700, 1, 2, 0], "{power:x?}");
    // A clock's rate, because of another's.
    let rate = notified(guest, &[0x5005, 0, 3, 800_000_000, 0])?;
    ensure!(rate == [0x5300, 1, 7, 200_000_000, 0], "{rate:x?}");
    Ok(())
}
