// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use scmi::{Kind, Reason, Status};

use crate::check;
use crate::common::*;

#[test]
fn discovery_tells_version_vendor_and_protocols() {
    let [v0, v1, v2, v3] = name16("virtio-backends");
    let [s0, ..] = name16("test");
    check(&[
        (&[0x4000], &[0x4000, SUCCESS, 0x20001]),
        // Five protocols beside this one, and one agent.
        (&[0x4001], &[0x4001, SUCCESS, 0x0105]),
        (&[0x4003], &[0x4003, SUCCESS, v0, v1, v2, v3]),
        (&[0x4004], &[0x4004, SUCCESS, s0, 0, 0, 0]),
        (&[0x4005], &[0x4005, SUCCESS, 0x0102_0304]),
    ]);
}

#[test]
fn message_attributes_tell_what_there_is() {
    for message in [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x10] {
        check(&[(&[0x4002, message], &[0x4002, SUCCESS, 0])]);
    }
    for message in [9, 0xa, 0xb, 0xc, 0x11, 0x100, 0x1000_0003, u32::MAX] {
        check(&[(&[0x4002, message], &[0x4002, NOT_FOUND])]);
    }
}

#[test]
fn protocols_are_listed_in_whole_words() {
    check(&[
        (&[0x4006, 0], &[0x4006, SUCCESS, 5, 0x1615_1411, 0x17]),
        (&[0x4006, 1], &[0x4006, SUCCESS, 4, 0x1716_1514]),
        (&[0x4006, 4], &[0x4006, SUCCESS, 1, 0x17]),
        (&[0x4006, 5], &[0x4006, SUCCESS, 0]),
        (&[0x4006, 6], &[0x4006, INVALID_PARAMETERS]),
        (&[0x4006, u32::MAX], &[0x4006, INVALID_PARAMETERS]),
        (&[0x4006], &[0x4006, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn as_many_protocols_are_listed_as_there_is_room_for() {
    let mut parts = Parts::new(1, &[Given::all(&[0])]);
    let mut engine = parts.engine();
    let mut list = |room: usize| {
        let mut response = vec![0xa5; room];
        let answer = engine.handle(AgentId(0), &bytes(&[0x4006, 0]), &mut response);
        assert_eq!(answer, scmi::Answer::Now(room / 4 * 4));
        words(&response[..room / 4 * 4])
    };
    assert_eq!(list(20), [0x4006, SUCCESS, 5, 0x1615_1411, 0x17]);
    assert_eq!(list(19), [0x4006, SUCCESS, 4, 0x1615_1411]);
    assert_eq!(list(8), [0x4006, PROTOCOL_ERROR]);
}

#[test]
fn an_agent_sees_the_platform_and_itself() {
    let [p0, p1, ..] = name16("platform");
    let [a0, a1, ..] = name16("cluster");
    check(&[
        (&[0x4007, 0], &[0x4007, SUCCESS, 0, p0, p1, 0, 0]),
        (&[0x4007, 1], &[0x4007, SUCCESS, 1, a0, a1, 0, 0]),
        (&[0x4007, u32::MAX], &[0x4007, SUCCESS, 1, a0, a1, 0, 0]),
        (&[0x4007, 2], &[0x4007, NOT_FOUND]),
        (&[0x4007], &[0x4007, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn what_a_trusted_agent_may_do_is_not_there() {
    check(&[
        (&[0x4009, 1, 0, 1], &[0x4009, NOT_SUPPORTED]),
        (&[0x400a, 1, 0, 0x14, 1], &[0x400a, NOT_SUPPORTED]),
        (&[0x400b, 1, 1], &[0x400b, NOT_SUPPORTED]),
    ]);
}

#[test]
fn errors_are_notified_to_who_asks_with_one_bit() {
    check(&[
        (&[0x4008, 1], &[0x4008, SUCCESS]),
        (&[0x4008, 0], &[0x4008, SUCCESS]),
        (&[0x4008, 2], &[0x4008, INVALID_PARAMETERS]),
        (&[0x4008], &[0x4008, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn the_header_comes_back_as_it_was() {
    check(&[
        (&[0x0abc_400c], &[0x0abc_400c, NOT_FOUND]),
        (&[0x0ffc_4000], &[0x0ffc_4000, SUCCESS, 0x20001]),
        (&[0xf000_4000], &[0xf000_4000, SUCCESS, 0x20001]),
    ]);
}

#[test]
fn only_commands_are_done() {
    for header in [0x4100, 0x4200, 0x4300] {
        check(&[(&[header], &[header, PROTOCOL_ERROR])]);
    }
}

#[test]
fn protocols_that_do_not_exist_are_not_supported_and_messages_not_found() {
    for protocol in (0..=0xff).filter(|it| !matches!(it, 0x10 | 0x11 | 0x14..=0x17)) {
        check(&[(&[protocol << 10], &[protocol << 10, NOT_SUPPORTED])]);
    }
    for protocol in [0x10, 0x11, 0x14, 0x15, 0x16, 0x17] {
        for message in 0x11..=0xff {
            let header = protocol << 10 | message;
            check(&[(&[header, 0, 0, 0, 0], &[header, NOT_FOUND])]);
        }
    }
}

#[test]
fn without_a_header_or_room_for_a_status_there_is_no_answer() {
    let mut parts = Parts::new(1, &[Given::all(&[0])]);
    let mut engine = parts.engine();
    for length in 0..4 {
        let mut room = [0xa5; 136];
        let answer = engine.handle(AgentId(0), &bytes(&[0x4000])[..length], &mut room);
        assert_eq!((answer, room), (scmi::Answer::Now(0), [0xa5; 136]));
    }
    for room in 0..8 {
        let answer = engine.handle(AgentId(0), &bytes(&[0x4000]), &mut vec![0; room]);
        assert_eq!(answer, scmi::Answer::Now(0));
    }
    let mut room = [0; 8];
    let answer = engine.handle(AgentId(0), &bytes(&[0x4000]), &mut room);
    assert_eq!(answer, scmi::Answer::Now(8));
    assert_eq!(words(&room), [0x4000, PROTOCOL_ERROR]);
}

#[test]
fn a_protocol_of_which_an_agent_was_given_nothing_does_not_exist() {
    let mut given = Given::all(&[0]);
    given.grants.of_mut(Kind::CLOCK).clear();
    let mut parts = Parts::new(1, &[given]);
    let mut engine = parts.engine();
    assert_eq!(ask(&mut engine, 0, &[0x5000]), [0x5000, NOT_SUPPORTED]);
    assert_eq!(ask(&mut engine, 0, &[0x4001]), [0x4001, SUCCESS, 0x0104]);
    assert_eq!(
        ask(&mut engine, 0, &[0x4006, 0]),
        [0x4006, SUCCESS, 4, 0x1716_1511]
    );
}

#[test]
fn an_agent_that_does_not_exist_is_told_so() {
    let mut parts = Parts::new(1, &[Given::all(&[0])]);
    let mut engine = parts.engine();
    assert_eq!(ask(&mut engine, 7, &[0x4000]), [0x4000, NOT_FOUND]);
    assert_eq!(
        engine.reset_agent(AgentId(7), Reason::Disconnected),
        Err(Status::NotFound)
    );
    assert_eq!(event(&mut engine, 7), None);
}
