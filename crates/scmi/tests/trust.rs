// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a trusted agent may do to others: here agent 0, which calls itself 1 and the others 2 and 3. Device 4 is what has
//! number 4 on the board.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on fails"
)]

mod common;

use common::*;
use scmi::{Answer, Engine, Kind, ProtocolId, Reason, Status};

/// Agent 1 has devices 3 and 4, agent 2 has device 4.
fn board() -> Parts {
    let given = [
        Given::all(&[0, 4]).trusted(),
        Given::all(&[3, 4]),
        Given::all(&[4]),
    ];
    Parts::new(5, &given)
}

#[track_caller]
fn check(engine: &mut Engine<'_, Board>, agent: u16, conversation: &[(&[u32], u32)]) {
    for (request, status) in conversation {
        let answer = ask(engine, agent, request);
        assert_eq!(answer[1], *status, "{request:x?}");
    }
}

/// A command of each protocol for the second of an agent's resources.
const USES: [&[u32]; 12] = [
    &[0x4403, 1],
    &[0x4404, 0, 1, 0],
    &[0x4406, 1, 1],
    &[0x5003, 1],
    &[0x5004, 1, 0],
    &[0x5007, 1, 1, 0],
    &[0x5406, 1, 0],
    &[0x540a, 1, 1],
    &[0x5803, 1],
    &[0x5804, 1, 0, 0],
    &[0x5c05, 1, 7],
    &[0x5c08, 1],
];

#[test]
fn a_trusted_agent_knows_of_all_and_the_others_of_none() {
    let mut parts = board();
    let mut engine = parts.engine();
    let [a0, a1, ..] = name16("cluster");
    assert_eq!(ask(&mut engine, 0, &[0x4001]), [0x4001, SUCCESS, 0x0305]);
    for id in 1..=3 {
        assert_eq!(
            ask(&mut engine, 0, &[0x4007, id]),
            [0x4007, SUCCESS, id, a0, a1, 0, 0]
        );
    }
    assert_eq!(ask(&mut engine, 0, &[0x4007, 4]), [0x4007, NOT_FOUND]);
    for agent in [1, 2] {
        assert_eq!(
            ask(&mut engine, agent, &[0x4001]),
            [0x4001, SUCCESS, 0x0105]
        );
        assert_eq!(ask(&mut engine, agent, &[0x4007, 2]), [0x4007, NOT_FOUND]);
    }
    // Who causes something is told so by its own number.
    ask(&mut engine, 0, &[0x4406, 1, 1]);
    ask(&mut engine, 0, &[0x4404, 0, 1, 0]);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x4700, 1, 1, 0]);
}

#[test]
fn a_trusted_agent_need_not_be_the_first() {
    let mut parts = Parts::new(5, &[Given::all(&[4]), Given::all(&[4]).trusted()]);
    let mut engine = parts.engine();
    let own = ask(&mut engine, 1, &[0x4007, u32::MAX]);
    assert_eq!(own[..3], [0x4007, SUCCESS, 2]);
    ask(&mut engine, 1, &[0x4406, 0, 1]);
    ask(&mut engine, 1, &[0x4404, 0, 0, 0]);
    assert_eq!(event(&mut engine, 1).unwrap(), [0x4700, 2, 0, 0]);
    ask(&mut engine, 0, &[0x4404, 0, 0, 0]);
    assert_eq!(ask(&mut engine, 1, &[0x400b, 1, 0]), [0x400b, SUCCESS]);
    assert_eq!(ask(&mut engine, 0, &[0x4405, 0])[2], 0x4000_0000);
}

#[test]
fn what_a_trusted_agent_may_do_exists_for_no_other() {
    let mut parts = board();
    let mut engine = parts.engine();
    for message in [9, 0xa, 0xb] {
        check(&mut engine, 0, &[(&[0x4002, message], SUCCESS)]);
        check(&mut engine, 1, &[(&[0x4002, message], NOT_FOUND)]);
    }
    let conversation: [(&[u32], u32); 4] = [
        (&[0x4009, 1, 4, 0], NOT_SUPPORTED),
        (&[0x400a, 1, 4, 0x14, 0], NOT_SUPPORTED),
        (&[0x400b, 1, 0], NOT_SUPPORTED),
        (&[0x4404, 0, 1, 0], SUCCESS),
    ];
    check(&mut engine, 1, &conversation);
}

#[test]
fn a_device_that_is_taken_away_is_denied_and_nothing_else_is() {
    let mut parts = board();
    let mut engine = parts.engine();
    let sensors = ask(&mut engine, 1, &[0x5403, 0]);
    assert_eq!(ask(&mut engine, 0, &[0x4009, 2, 4, 0]), [0x4009, SUCCESS]);
    let before = engine.platform.state.clone();
    for request in USES {
        check(&mut engine, 1, &[(request, DENIED)]);
    }
    assert_eq!(engine.platform.state, before);
    // It is still there, or Linux would not have any sensor.
    assert_eq!(ask(&mut engine, 1, &[0x5403, 0]), sensors);
    // The agent's other device, and the other agent's.
    check(&mut engine, 1, &[(&[0x4404, 0, 0, 0], SUCCESS)]);
    check(&mut engine, 2, &[(&[0x4404, 0, 0, 0], SUCCESS)]);
    assert_eq!(ask(&mut engine, 0, &[0x4009, 2, 4, 1]), [0x4009, SUCCESS]);
    for request in USES {
        check(&mut engine, 1, &[(request, SUCCESS)]);
    }
}

#[test]
fn an_agent_has_what_is_allowed_as_a_device_and_by_its_protocol() {
    let mut parts = board();
    let mut engine = parts.engine();
    let clock = &[0x5003, 1][..];
    let power = &[0x4403, 1][..];
    for (permission, of_clock, of_power) in [
        (&[0x400a, 2, 4, 0x14, 0][..], DENIED, SUCCESS),
        (&[0x4009, 2, 4, 0], DENIED, DENIED),
        (&[0x4009, 2, 4, 1], DENIED, SUCCESS),
        (&[0x4009, 2, 4, 0], DENIED, DENIED),
        (&[0x400a, 2, 4, 0x14, 1], DENIED, DENIED),
        (&[0x4009, 2, 4, 1], SUCCESS, SUCCESS),
    ] {
        check(&mut engine, 0, &[(permission, SUCCESS)]);
        check(&mut engine, 1, &[(clock, of_clock), (power, of_power)]);
    }
}

#[test]
fn the_host_takes_a_device_away_and_gives_it_back_without_a_trusted_agent() {
    let mut parts = Parts::new(5, &[Given::all(&[3, 4])]);
    let mut engine = parts.engine();
    let (clock, power) = (&[0x5003, 1][..], &[0x4403, 1][..]);
    for (only, allow, of_clock, of_power) in [
        (None, false, DENIED, DENIED),
        (None, true, SUCCESS, SUCCESS),
        (Some(ProtocolId(0x14)), false, DENIED, SUCCESS),
        (Some(ProtocolId(0x14)), true, SUCCESS, SUCCESS),
    ] {
        assert_eq!(engine.permit(AgentId(0), 4, only, allow), Ok(()));
        engine.reset_agent(AgentId(0), Reason::Requested).unwrap();
        check(&mut engine, 0, &[(clock, of_clock), (power, of_power)]);
    }
    for (agent, device) in [(1, 4), (0, 0), (0, 5)] {
        let denied = engine.permit(AgentId(agent), device, None, false);
        assert_eq!(denied, Err(Status::NotFound));
    }
}

#[test]
fn permissions_are_for_what_there_is() {
    let mut parts = board();
    let mut engine = parts.engine();
    let conversation: [(&[u32], u32); 20] = [
        // The platform, and nobody.
        (&[0x4009, 0, 4, 1], NOT_FOUND),
        (&[0x4009, 4, 4, 1], NOT_FOUND),
        (&[0x4009, 0x1_0002, 4, 1], NOT_FOUND),
        // No device, as resource 0 is of none, and one that the agent was not given.
        (&[0x4009, 1, 0, 0], NOT_FOUND),
        (&[0x4009, 3, 3, 1], NOT_FOUND),
        (&[0x4009, 3, 0x1_0004, 1], NOT_FOUND),
        (&[0x4009, 3, 4, 2], INVALID_PARAMETERS),
        (&[0x4009, 3, 4], PROTOCOL_ERROR),
        (&[0x400a, 4, 4, 0x14, 1], NOT_FOUND),
        (&[0x400a, 3, 3, 0x14, 1], NOT_FOUND),
        (&[0x400a, 3, 4, 0x13, 1], NOT_FOUND),
        // Nobody can be denied the base protocol.
        (&[0x400a, 3, 4, 0x10, 0], NOT_FOUND),
        (&[0x400a, 3, 4, 0x114, 1], INVALID_PARAMETERS),
        (&[0x400a, 3, 4, 0x14, 2], INVALID_PARAMETERS),
        (&[0x400a, 3, 4, 0x14], PROTOCOL_ERROR),
        (&[0x400b, 0, 0], NOT_FOUND),
        (&[0x400b, 4, 0], NOT_FOUND),
        (&[0x400b, u32::MAX, 0], NOT_FOUND),
        (&[0x400b, 2, 2], INVALID_PARAMETERS),
        (&[0x400b, 2], PROTOCOL_ERROR),
    ];
    check(&mut engine, 0, &conversation);
    for request in USES {
        check(&mut engine, 1, &[(request, SUCCESS)]);
    }
}

#[test]
fn a_reset_undoes_what_an_agent_set_and_permissions_if_asked_for() {
    let mut given = Given::all(&[3, 4]);
    for kind in Kind::ALL {
        given.grants.of_mut(kind)[1].2 = true;
    }
    let mut parts = Parts::new(5, &[Given::all(&[0]).trusted(), given]);
    let mut engine = parts.engine();
    let boot = engine.platform.state.clone();
    let on =
        |engine: &Engine<'_, Board>| Kind::ALL.map(|kind| engine.platform.state.on.of(kind)[4]);
    check(&mut engine, 1, &[(&[0x5007, 0, 1, 0], SUCCESS)]);
    check(&mut engine, 0, &[(&[0x400b, 2, 0], SUCCESS)]);
    assert_eq!(engine.platform.state, boot);
    // What is taken away stops, goes on when it is given back, and does not by a reset.
    check(&mut engine, 0, &[(&[0x4009, 2, 4, 0], SUCCESS)]);
    assert_eq!(on(&engine), [false; 5]);
    check(&mut engine, 0, &[(&[0x4009, 2, 4, 1], SUCCESS)]);
    assert_eq!(on(&engine), [true; 5]);
    check(&mut engine, 0, &[(&[0x4009, 2, 4, 0], SUCCESS)]);
    engine
        .reset_agent(AgentId(1), Reason::Disconnected)
        .unwrap();
    assert_eq!(on(&engine), [false; 5]);
    check(&mut engine, 0, &[(&[0x400b, 2, 0], SUCCESS)]);
    check(&mut engine, 1, &[(&[0x5003, 1], DENIED)]);
    assert_eq!(on(&engine), [false; 5]);
    check(&mut engine, 0, &[(&[0x400b, 2, 1], SUCCESS)]);
    check(&mut engine, 1, &[(&[0x5003, 1], SUCCESS)]);
    assert_eq!(engine.platform.state, boot);
    engine.platform.fault = Some(Status::HardwareError);
    assert!(!engine.platform.unfinished);
    check(&mut engine, 0, &[(&[0x400b, 2, 0], HARDWARE_ERROR)]);
    assert!(engine.platform.unfinished);
}

#[test]
fn who_waits_for_an_answer_gets_one_when_another_agent_resets_it() {
    let mut parts = board();
    let mut engine = parts.engine();
    engine.platform.late = true;
    let later = |engine: &mut Engine<'_, Board>, request: &[u32]| {
        let answer = engine.handle(AgentId(1), &bytes(request), &mut [0; 136]);
        let Answer::Later(ticket) = answer else {
            panic!("{answer:?}");
        };
        ticket
    };
    let complete_one = later(&mut engine, &[0x5005, 0, 0, 200, 0]);
    complete(&mut engine);
    let running = later(&mut engine, &[0x5406, 0, 0]);
    ask(&mut engine, 1, &[0x5005, 1, 0, 400, 0]);
    engine.platform.woken.clear();
    check(&mut engine, 0, &[(&[0x400b, 2, 0], SUCCESS)]);
    assert!(engine.platform.woken.contains(&1));
    complete(&mut engine);
    let mut room = [0; 136];
    for (ticket, header) in [(complete_one, 0x5005), (running, 0x5406)] {
        assert_eq!(engine.answer(ticket, &mut room), Some(8));
        assert_eq!(words(&room[..8]), [header, GENERIC_ERROR]);
        assert_eq!(engine.answer(ticket, &mut room), None);
    }
    assert_eq!(event(&mut engine, 1).unwrap(), [0x5205, GENERIC_ERROR]);
    assert_eq!(event(&mut engine, 1), None);
}

#[test]
fn nothing_is_notified_of_a_device_that_was_taken_away() {
    let mut parts = board();
    let mut engine = parts.engine();
    ask(&mut engine, 1, &[0x4406, 1, 1]);
    ask(&mut engine, 2, &[0x4404, 0, 0, 0]);
    check(&mut engine, 0, &[(&[0x4009, 2, 4, 0], SUCCESS)]);
    assert_eq!(event(&mut engine, 1), None);
    ask(&mut engine, 2, &[0x4404, 0, 0, 0x4000_0000]);
    assert_eq!(event(&mut engine, 1), None);
    check(&mut engine, 0, &[(&[0x4009, 2, 4, 1], SUCCESS)]);
    ask(&mut engine, 2, &[0x4404, 0, 0, 0]);
    assert_eq!(event(&mut engine, 1).unwrap(), [0x4700, 0, 1, 0]);
}
