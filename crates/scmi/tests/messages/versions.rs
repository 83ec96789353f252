// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! NEGOTIATE_PROTOCOL_VERSION, and what messages were like in earlier versions.

use scmi::Profile::{self, V2_0, V3_0, V3_1, V3_2};
use scmi::Reason;

use crate::common::*;

const PROFILES: [Profile; 4] = [V2_0, V3_0, V3_1, V3_2];
const PROTOCOLS: [u32; 6] = [0x4000, 0x4400, 0x5000, 0x5400, 0x5800, 0x5c00];

/// What an agent that speaks a version is answered.
#[track_caller]
fn check(profile: Profile, request: &[u32], expected: &[u32]) {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1, 2]).speaking(profile)]);
    let mut engine = parts.engine();
    assert_eq!(ask(&mut engine, 0, request), expected, "{request:#x?}");
}

#[test]
fn each_profile_is_a_version_of_each_protocol() {
    let versions = [
        (V2_0, [0x20000, 0x20000, 0x10000, 0x10000, 0x10000, 0]),
        (V3_0, [0x20000, 0x20000, 0x10000, 0x20000, 0x10000, 0x10000]),
        (V3_1, [0x20000, 0x30000, 0x20000, 0x30000, 0x30000, 0x20000]),
        (V3_2, [0x20001, 0x30001, 0x30000, 0x30001, 0x30001, 0x20001]),
    ];
    for (profile, versions) in versions {
        for (protocol, version) in PROTOCOLS.into_iter().zip(versions) {
            match version {
                0 => check(profile, &[protocol], &[protocol, NOT_SUPPORTED]),
                _ => check(profile, &[protocol], &[protocol, SUCCESS, version]),
            }
        }
    }
}

#[test]
fn messages_exist_since_their_version() {
    let since = [
        (0x4000, 0x10, V3_2),
        (0x4400, 0x7, V2_0),
        (0x4400, 0x8, V3_1),
        (0x5000, 0x8, V3_1),
        (0x5000, 0x9, V3_1),
        (0x5000, 0xa, V3_1),
        (0x5000, 0xb, V3_2),
        (0x5000, 0xc, V3_2),
        (0x5000, 0xd, V3_2),
        (0x5000, 0xe, V3_2),
        (0x5000, 0xf, V3_2),
        (0x5400, 0x5, V2_0),
        (0x5400, 0x7, V3_0),
        (0x5400, 0x8, V3_0),
        (0x5400, 0x9, V3_0),
        (0x5400, 0xa, V3_0),
        (0x5400, 0xb, V3_0),
        (0x5400, 0xc, V3_1),
        (0x5400, 0xd, V3_1),
        (0x5800, 0x6, V3_1),
        (0x5c00, 0x9, V3_1),
    ];
    for profile in PROFILES {
        for (protocol, message, since) in since {
            let request = [protocol | 2, message];
            if profile >= since {
                check(profile, &request, &[request[0], SUCCESS, 0]);
            } else if (protocol, profile) != (0x5c00, V2_0) {
                check(profile, &request, &[request[0], NOT_FOUND]);
                let request = [protocol | message, 0, 0, 0];
                check(profile, &request, &[request[0], NOT_SUPPORTED]);
            }
        }
    }
}

#[test]
fn clocks_are_told_as_each_version_does() {
    let [l0, l1, l2, l3] = name16("a-name-that-is-");
    let request = [0x5003, 1];
    for profile in [V2_0, V3_0] {
        check(profile, &request, &[0x5003, SUCCESS, 0, l0, l1, l2, l3]);
        check(profile, &[0x5007, 1, 1], &[0x5007, SUCCESS]);
        check(profile, &[0x5007, 1, 3], &[0x5007, INVALID_PARAMETERS]);
    }
    check(
        V3_1,
        &request,
        &[0x5003, SUCCESS, 0xe000_0000, l0, l1, l2, l3, 1000],
    );
    check(V3_1, &[0x5007, 1, 1], &[0x5007, SUCCESS]);
    // As Linux 6.1 does.
    check(V3_2, &[0x5007, 1, 1], &[0x5007, SUCCESS]);
}

#[test]
fn sensors_are_told_as_each_version_does() {
    let [n0, ..] = name16("uart");
    let [l0, l1, l2, l3] = name16("a-name-that-is-");
    let [s0, ..] = name16("spi");
    let mut old = vec![0x5403, SUCCESS, 3];
    old.extend([0, 0x8000_0002, 0xe802, n0, 0, 0, 0]);
    old.extend([1, 0, 0xe802, l0, l1, l2, l3]);
    old.extend([2, 0x8000_0000, 0xe802, s0, 0, 0, 0]);
    check(V2_0, &[0x5403, 0], &old);
    check(
        V3_0,
        &[0x5403, 1],
        &[
            0x5403,
            SUCCESS,
            2,
            1,
            0,
            0xe802,
            l0,
            l1,
            l2,
            l3,
            2,
            0xc000_5e00,
            0x0003_e902,
            s0,
            0,
            0,
            0,
        ],
    );
    check(
        V2_0,
        &[0x5406, 2, 0],
        &[0x5406, SUCCESS, 0xffff_63c0, u32::MAX],
    );
}

#[test]
fn domains_are_told_as_each_version_does() {
    let [l0, l1, l2, l3] = name16("a-name-that-is-");
    for profile in [V2_0, V3_0] {
        check(
            profile,
            &[0x4403, 1],
            &[0x4403, SUCCESS, 0xe000_0000, l0, l1, l2, l3],
        );
        check(
            profile,
            &[0x5803, 1],
            &[0x5803, SUCCESS, 0xc000_0000, 250, l0, l1, l2, l3],
        );
    }
    check(V3_0, &[0x5c03, 1], &[0x5c03, SUCCESS, 0, l0, l1, l2, l3]);
    check(
        V3_0,
        &[0x5c07, 1, 1, 900_000],
        &[0x5c07, INVALID_PARAMETERS],
    );
}

#[test]
fn an_agent_may_negotiate_down_and_up_again() {
    let mut parts = Parts::new(5, &[Given::all(&[1]), Given::all(&[1])]);
    let mut engine = parts.engine();
    let mut length = |agent, version: Option<u32>| {
        if let Some(version) = version {
            let answer = ask(&mut engine, agent, &[0x5010, version]);
            assert_eq!(answer, [0x5010, SUCCESS]);
        }
        // What the platform speaks is what it always was.
        assert_eq!(ask(&mut engine, agent, &[0x5000])[2], 0x30000);
        ask(&mut engine, agent, &[0x5003, 0]).len()
    };
    assert_eq!(length(0, None), 8);
    assert_eq!(length(0, Some(0x10000)), 7);
    assert_eq!(length(1, None), 8);
    assert_eq!(length(0, Some(0x20000)), 8);
    assert_eq!(length(0, Some(0x10000)), 7);
    assert_eq!(length(0, Some(0x30000)), 8);
    ask(&mut engine, 0, &[0x5010, 0x10000]);
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    assert_eq!(ask(&mut engine, 0, &[0x5003, 0]).len(), 8);
}

#[test]
fn only_versions_that_are_spoken_can_be_negotiated() {
    for protocol in PROTOCOLS {
        for version in [0, 1, 0x30002, 0x40000, u32::MAX] {
            let header = protocol | 0x10;
            check(V3_2, &[header, version], &[header, NOT_SUPPORTED]);
        }
        let header = protocol | 0x10;
        check(V3_2, &[header], &[header, PROTOCOL_ERROR]);
    }
    check(V3_2, &[0x4010, 0x20000], &[0x4010, SUCCESS]);
    check(V3_1, &[0x4010, 0x20000], &[0x4010, NOT_SUPPORTED]);
}
