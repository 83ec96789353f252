// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What comes after the response: operations that take their time, delayed responses, notifications, and what becomes
//! of them when an agent takes nothing or is reset.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on fails"
)]

mod common;

use common::*;
use scmi::{Answer, Engine, Kind, Place, Reason, Status, Ticket};

/// Clocks, sensors, resets and regulators, whose operations take their time.
fn slow(parts: &mut Parts) -> Engine<'_, Board> {
    let mut engine = parts.engine();
    engine.platform.late = true;
    engine
}

/// The ticket of a command that is answered later.
#[track_caller]
fn later(engine: &mut Engine<'_, Board>, agent: u16, request: &[u32]) -> Place {
    let answer = engine.handle(AgentId(agent), &bytes(request), &mut [0; 136]);
    let Answer::Later(place) = answer else {
        panic!("{answer:?}");
    };
    place
}

fn answer(engine: &mut Engine<'_, Board>, place: Place) -> Option<Vec<u32>> {
    let mut room = [0xa5; 136];
    let length = engine.answer(place, &mut room)?;
    Some(words(&room[..length]))
}

#[test]
fn a_delayed_response_has_the_token_of_its_command_and_type_2() {
    let mut parts = Parts::new(5, &[Given::all(&[3, 0])]);
    let mut engine = slow(&mut parts);
    let token = 0x0abc_0000;
    for (command, expected) in [
        // A rate.
        (
            &[0x5005, 1, 0, 200, 0][..],
            &[0x5205, SUCCESS, 0, 200, 0][..],
        ),
        // A reading.
        (
            &[0x5406, 1, 1],
            &[0x5606, SUCCESS, 1, 0xffff_63c0, u32::MAX, 0, 0],
        ),
        // A reset.
        (&[0x5804, 1, 5, 0], &[0x5a04, SUCCESS, 1]),
        // A level.
        (&[0x5c07, 0, 1, 900_000], &[0x5e07, SUCCESS, 0, 900_000]),
    ] {
        let mut command = command.to_vec();
        command[0] |= token;
        let mut expected = expected.to_vec();
        expected[0] |= token;
        assert_eq!(ask(&mut engine, 0, &command), [command[0], SUCCESS]);
        assert_eq!(event(&mut engine, 0), None);
        engine.platform.woken.clear();
        complete(&mut engine);
        assert!(engine.platform.woken.contains(&0));
        assert_eq!(event(&mut engine, 0), Some(expected));
        assert_eq!(event(&mut engine, 0), None);
    }
}

#[test]
fn a_delayed_response_comes_also_if_the_operation_is_done_at_once() {
    let mut parts = Parts::new(5, &[Given::all(&[3])]);
    let mut engine = parts.engine();
    assert_eq!(
        ask(&mut engine, 0, &[0x5005, 1, 0, 200, 0]),
        [0x5005, SUCCESS]
    );
    assert!(engine.platform.woken.contains(&0));
    assert_eq!(event(&mut engine, 0).unwrap(), [0x5205, SUCCESS, 0, 200, 0]);
    assert_eq!(event(&mut engine, 0), None);
}

#[test]
fn a_power_state_waits_for_no_place_but_that_of_its_delayed_response() {
    let mut parts = Parts::new(5, &[Given::all(&[3])]);
    let mut engine = parts.engine();
    for _ in 0..PLACES {
        assert_eq!(ask(&mut engine, 0, &[0x4404, 1, 0, 0]), [0x4404, SUCCESS]);
    }
    assert!(engine.platform.state.on.of(Kind::POWER)[3]);
    let off = 0x4000_0000;
    assert_eq!(ask(&mut engine, 0, &[0x4404, 1, 0, off]), [0x4404, BUSY]);
    assert!(engine.platform.state.on.of(Kind::POWER)[3]);
    assert_eq!(ask(&mut engine, 0, &[0x4404, 0, 0, off]), [0x4404, SUCCESS]);
    assert!(!engine.platform.state.on.of(Kind::POWER)[3]);
    // What was set for it, and not what is true now.
    assert_eq!(event(&mut engine, 0).unwrap(), [0x4604, SUCCESS, 0, 0]);
    // What fails is answered, and nothing comes of it.
    engine.platform.fault = Some(Status::HardwareError);
    let failed = ask(&mut engine, 0, &[0x4404, 1, 0, 0]);
    assert_eq!(failed, [0x4404, HARDWARE_ERROR]);
    for _ in 1..PLACES {
        assert!(event(&mut engine, 0).is_some());
    }
    assert_eq!(event(&mut engine, 0), None);
}

#[test]
fn a_delayed_response_that_failed_is_a_status_alone() {
    let mut parts = Parts::new(5, &[Given::all(&[3])]);
    let mut engine = slow(&mut parts);
    ask(&mut engine, 0, &[0x5005, 1, 0, 200, 0]);
    let ticket = engine.platform.tickets.pop().unwrap();
    engine.complete(ticket, Err(Status::HardwareError));
    assert_eq!(event(&mut engine, 0).unwrap(), [0x5205, HARDWARE_ERROR]);
    assert_eq!(event(&mut engine, 0), None);
}

#[test]
fn no_delayed_response_comes_to_who_does_not_want_one() {
    let mut parts = Parts::new(5, &[Given::all(&[3])]);
    let mut engine = slow(&mut parts);
    for _ in 0..2 * PLACES {
        assert_eq!(
            ask(&mut engine, 0, &[0x5005, 3, 0, 200, 0]),
            [0x5005, SUCCESS]
        );
        complete(&mut engine);
        assert_eq!(event(&mut engine, 0), None);
    }
}

/// Has a rate change fail that nobody waits for. Its command has this header.
fn fail(engine: &mut Engine<'_, Board>, header: u32) {
    assert_eq!(ask(engine, 0, &[header, 3, 0, 200, 0]), [header, SUCCESS]);
    let ticket = engine.platform.tickets.pop().unwrap();
    engine.platform.woken.clear();
    engine.complete(ticket, Err(Status::HardwareError));
}

#[test]
fn an_agent_may_want_to_know_what_failed_that_it_does_not_wait_for() {
    let mut parts = Parts::new(5, &[Given::all(&[3]), Given::all(&[3])]);
    let mut engine = slow(&mut parts);
    for _ in 0..2 * PLACES {
        fail(&mut engine, 0x5005);
        assert_eq!(event(&mut engine, 0), None);
        assert!(engine.platform.woken.is_empty());
    }
    for agent in [0, 1] {
        ask(&mut engine, agent, &[0x4008, 1]);
    }
    let tokens = || (1..).map(|token| token << 18).take(PLACES);
    for token in tokens() {
        fail(&mut engine, token | 0x5005);
        assert!(engine.platform.woken.contains(&0));
    }
    // None is lost: there is no place for another one until one is fetched.
    let busy = ask(&mut engine, 0, &[0x5005, 3, 0, 200, 0]);
    assert_eq!(busy, [0x5005, BUSY]);
    for token in tokens() {
        // Not fatal, one command, caused by this agent.
        assert_eq!(
            event(&mut engine, 0).unwrap(),
            [0x4300, 1, 1, token | 0x5005, HARDWARE_ERROR]
        );
    }
    assert_eq!((event(&mut engine, 0), event(&mut engine, 1)), (None, None));
    // What succeeds is not worth a word.
    ask(&mut engine, 0, &[0x5005, 3, 0, 200, 0]);
    complete(&mut engine);
    assert_eq!(event(&mut engine, 0), None);
    // Where it does not fit, it is gone.
    fail(&mut engine, 0x5005);
    assert_eq!(engine.next_event(AgentId(0), &mut [0; 19]), None);
    assert_eq!(event(&mut engine, 0), None);
    fail(&mut engine, 0x5005);
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    assert_eq!(event(&mut engine, 0), None);
    fail(&mut engine, 0x5005);
    assert_eq!(event(&mut engine, 0), None);
}

#[test]
fn a_command_that_takes_its_time_is_answered_when_it_is_done() {
    let mut parts = Parts::new(5, &[Given::all(&[3, 2])]);
    let mut engine = slow(&mut parts);
    let rate = later(&mut engine, 0, &[0x0048_5005, 0, 0, 200, 0]);
    let reading = later(&mut engine, 0, &[0x5406, 1, 0]);
    assert_eq!(answer(&mut engine, rate), None);
    // Others are answered meanwhile.
    assert_eq!(ask(&mut engine, 0, &[0x5000])[1], SUCCESS);
    complete(&mut engine);
    assert_eq!(
        answer(&mut engine, reading).unwrap()[..4],
        [0x5406, SUCCESS, 0xffff_63c0, u32::MAX]
    );
    assert_eq!(answer(&mut engine, rate).unwrap(), [0x0048_5005, SUCCESS]);
    assert_eq!(answer(&mut engine, rate), None);
    assert_eq!(event(&mut engine, 0), None);

    let level = later(&mut engine, 0, &[0x5c07, 0, 0, 900_000]);
    let ticket = engine.platform.tickets.pop().unwrap();
    engine.complete(ticket, Err(Status::HardwareError));
    assert_eq!(
        answer(&mut engine, level).unwrap(),
        [0x5c07, HARDWARE_ERROR]
    );
}

#[test]
fn a_starved_agent_gets_every_delayed_response_and_one_notification_of_each_kind() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 3]), Given::all(&[0])]);
    let mut engine = slow(&mut parts);
    ask(&mut engine, 0, &[0x5009, 0, 1]);
    ask(&mut engine, 0, &[0x4406, 0, 1]);
    ask(&mut engine, 0, &[0x540b, 0, 1]);
    for (token, rate) in [(1, 200), (2, 400), (3, 800)] {
        let header = 0x5005 | token << 18;
        assert_eq!(
            ask(&mut engine, 0, &[header, 1, 1, rate, 0]),
            [header, SUCCESS]
        );
        complete(&mut engine);
    }
    // There is no place for what takes its time until one is fetched. The other agent has its own.
    assert_eq!(ask(&mut engine, 0, &[0x5005, 1, 1, 100, 0]), [0x5005, BUSY]);
    assert_eq!(ask(&mut engine, 0, &[0x5406, 0, 0]), [0x5406, BUSY]);
    for rate in (100..=10_000).step_by(100) {
        assert_eq!(
            ask(&mut engine, 1, &[0x5005, 3, 0, rate, 0]),
            [0x5005, SUCCESS]
        );
        complete(&mut engine);
        ask(&mut engine, 1, &[0x4404, 0, 0, ((rate / 100) & 1) << 30]);
        engine.platform.reading[0] = rate.into();
        engine.sensor_updated(ResourceId(0));
    }
    let events: Vec<_> = std::iter::from_fn(|| event(&mut engine, 0)).collect();
    assert_eq!(
        events,
        [
            vec![0x0004_5205, SUCCESS, 1, 200, 0],
            vec![0x0008_5205, SUCCESS, 1, 400, 0],
            vec![0x000c_5205, SUCCESS, 1, 800, 0],
            // What is true now, once.
            vec![0x5300, 0, 0, 10_000, 0],
            vec![0x5701, 0, 0, 10_000, 0, 0, 0],
            vec![0x4700, 0, 0, 0],
        ]
    );
    assert_eq!(
        ask(&mut engine, 0, &[0x5005, 1, 1, 100, 0]),
        [0x5005, SUCCESS]
    );
}

#[test]
fn a_delayed_response_waits_for_a_buffer_that_can_tell_its_status() {
    let mut parts = Parts::new(5, &[Given::all(&[3])]);
    let mut engine = parts.engine();
    ask(&mut engine, 0, &[0x5009, 0, 1]);
    ask(&mut engine, 0, &[0x5005, 1, 0, 200, 0]);
    assert_eq!(engine.next_event(AgentId(0), &mut [0; 7]), None);
    let mut room = [0; 19];
    assert_eq!(engine.next_event(AgentId(0), &mut room), Some(8));
    assert_eq!(words(&room[..8]), [0x5205, PROTOCOL_ERROR]);
    // A notification may be lost.
    assert_eq!(engine.next_event(AgentId(0), &mut room), None);
    assert_eq!(event(&mut engine, 0), None);
}

#[test]
fn without_events_none_are_offered_or_accepted() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1, 2])]);
    let mut engine = parts.engine();
    engine.set_events(AgentId(0), false);
    for (protocol, message) in [
        (0x4000, 0x8),
        (0x4400, 0x6),
        (0x4400, 0x7),
        (0x5000, 0x9),
        (0x5000, 0xa),
        (0x5400, 0x4),
        (0x5400, 0x5),
        (0x5400, 0xb),
        (0x5800, 0x5),
    ] {
        let attributes = protocol | 2;
        assert_eq!(
            ask(&mut engine, 0, &[attributes, message]),
            [attributes, NOT_FOUND]
        );
        let notify = protocol | message;
        assert_eq!(
            ask(&mut engine, 0, &[notify, 0, 1, 0, 0]),
            [notify, NOT_SUPPORTED]
        );
    }
    for asynchronous in [
        &[0x4404, 1, 0, 0][..],
        &[0x5005, 1, 0, 200, 0][..],
        &[0x5406, 0, 1],
        &[0x5804, 0, 5, 0],
        &[0x5c07, 0, 1, 1_000_000],
    ] {
        let answer = ask(&mut engine, 0, asynchronous);
        assert_eq!(answer, [asynchronous[0], NOT_SUPPORTED]);
    }
    // No operations at a time, no bits.
    assert_eq!(ask(&mut engine, 0, &[0x5001]), [0x5001, SUCCESS, 3]);
    assert_eq!(ask(&mut engine, 0, &[0x5401])[2], 3);
    assert_eq!(ask(&mut engine, 0, &[0x4403, 0])[2], 0x2000_0000);
    assert_eq!(ask(&mut engine, 0, &[0x5003, 0])[2], 0);
    assert_eq!(ask(&mut engine, 0, &[0x5403, 0])[4], 0x0000_5f00);
    assert_eq!(ask(&mut engine, 0, &[0x5803, 0])[2], 0);
    assert_eq!(ask(&mut engine, 0, &[0x5c03, 0])[2], 0);
}

#[test]
fn a_domain_whose_reset_failed_is_told_again_what_it_is_to_be() {
    let mut parts = Parts::new(5, &[Given::all(&[3])]);
    let mut engine = slow(&mut parts);
    let fail = |engine: &mut Engine<'_, Board>, runs: bool, fault: Option<Status>| {
        engine.platform.state.on.of_mut(Kind::RESET)[3] = runs;
        engine.platform.fault = fault;
        engine.platform.unfinished = false;
        end(engine, Err(Status::HardwareError));
        engine.platform.fault = None;
    };
    let reset = [0x5804, 0, 1, 0];
    let failed = later(&mut engine, 0, &reset);
    fail(&mut engine, false, None);
    let told = answer(&mut engine, failed).unwrap();
    assert_eq!(told, [0x5804, HARDWARE_ERROR]);
    assert!(engine.platform.state.on.of(Kind::RESET)[3]);
    // It does not run again at once, but when the agent releases it, or the platform tries.
    for release in [true, false] {
        let failed = later(&mut engine, 0, &reset);
        fail(&mut engine, false, Some(Status::HardwareError));
        answer(&mut engine, failed).unwrap();
        assert!(engine.platform.unfinished);
        assert!(!engine.platform.state.on.of(Kind::RESET)[3]);
        match release {
            true => assert_eq!(ask(&mut engine, 0, &[0x5804, 0, 0, 0])[1], SUCCESS),
            false => engine.retry().unwrap(),
        }
        assert!(engine.platform.state.on.of(Kind::RESET)[3]);
    }
    // The agent has asserted it meanwhile.
    later(&mut engine, 0, &reset);
    ask(&mut engine, 0, &[0x5804, 0, 2, 0]);
    fail(&mut engine, true, None);
    assert!(!engine.platform.state.on.of(Kind::RESET)[3]);
}

#[test]
fn nothing_of_before_a_reset_comes_after_it() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 3]), Given::all(&[0])]);
    let mut engine = slow(&mut parts);
    ask(&mut engine, 0, &[0x4406, 0, 1]);
    ask(&mut engine, 0, &[0x5404, 0, 1]);
    ask(&mut engine, 0, &[0x5405, 0, 3, 0, 0]);
    ask(&mut engine, 1, &[0x4404, 0, 0, 0]);
    ask(&mut engine, 0, &[0x5005, 1, 1, 200, 0]);
    let reading = later(&mut engine, 0, &[0x5406, 0, 0]);
    let stale = std::mem::take(&mut engine.platform.tickets);
    ask(&mut engine, 0, &[0x5005, 1, 1, 400, 0]);
    complete(&mut engine);

    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    for &ticket in &stale {
        engine.complete(ticket, Ok(()));
    }
    ask(&mut engine, 1, &[0x4404, 0, 0, 0x4000_0000]);
    engine.platform.reading[0] = 1;
    engine.sensor_updated(ResourceId(0));
    assert_eq!(event(&mut engine, 0), None);
    assert_eq!(answer(&mut engine, reading), None);

    // Nor does it end what has its place now.
    ask(&mut engine, 0, &[0x5005, 1, 1, 800, 0]);
    for ticket in stale {
        engine.complete(ticket, Ok(()));
    }
    assert_eq!(event(&mut engine, 0), None);
    complete(&mut engine);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x5205, SUCCESS, 1, 800, 0]);
}

#[test]
fn an_agent_that_is_there_is_answered_what_it_waits_for_when_the_host_resets_it() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 3])]);
    let mut engine = slow(&mut parts);
    let done = later(&mut engine, 0, &[0x5005, 0, 1, 200, 0]);
    complete(&mut engine);
    let running = later(&mut engine, 0, &[0x0004_5406, 0, 0]);
    ask(&mut engine, 0, &[0x5005, 1, 1, 400, 0]);
    engine.platform.woken.clear();
    engine.reset_agent(AgentId(0), Reason::Requested).unwrap();
    assert!(engine.platform.woken.contains(&0));
    assert_eq!(engine.platform.state, engine.platform.boot);
    complete(&mut engine);
    assert_eq!(answer(&mut engine, done).unwrap(), [0x5005, GENERIC_ERROR]);
    let failed = [0x0004_5406, GENERIC_ERROR];
    assert_eq!(answer(&mut engine, running).unwrap(), failed);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x5205, GENERIC_ERROR]);
    assert_eq!(event(&mut engine, 0), None);
    // It has all its places back.
    for _ in 0..PLACES {
        later(&mut engine, 0, &[0x5406, 0, 0]);
    }
}

#[test]
fn subscriptions_begin_anew_after_a_reset_also_if_something_was_due() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1]), Given::all(&[0, 1])]);
    let mut engine = parts.engine();
    ask(&mut engine, 0, &[0x4406, 0, 1]);
    ask(&mut engine, 0, &[0x5404, 0, 1]);
    ask(&mut engine, 0, &[0x5405, 0, 3, 0, 0]);
    ask(&mut engine, 1, &[0x4404, 0, 0, 0]);
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    // The trip point is gone.
    ask(&mut engine, 0, &[0x5404, 0, 1]);
    for reading in [-1, 1] {
        engine.platform.reading[0] = reading;
        engine.sensor_updated(ResourceId(0));
    }
    assert_eq!(event(&mut engine, 0), None);
    for domain in [1, 0] {
        ask(&mut engine, 0, &[0x4406, domain, 1]);
        ask(
            &mut engine,
            1,
            &[0x4404, 0, domain, if domain == 0 { 0x4000_0000 } else { 0 }],
        );
    }
    assert_eq!(event(&mut engine, 0).unwrap(), [0x4700, 0, 1, 0]);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x4700, 0, 0, 0x4000_0000]);
}

#[test]
fn what_is_due_is_not_told_to_who_no_longer_wants_it() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1]), Given::all(&[0, 1])]);
    let mut engine = parts.engine();
    for domain in [0, 1] {
        ask(&mut engine, 0, &[0x4406, domain, 1]);
        ask(&mut engine, 1, &[0x4404, 0, domain, 0]);
    }
    ask(&mut engine, 0, &[0x4406, 0, 0]);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x4700, 0, 1, 0]);
    assert_eq!(event(&mut engine, 0), None);
}

#[test]
fn tickets_and_places_that_were_never_given_do_nothing() {
    let mut parts = Parts::new(5, &[Given::all(&[0])]);
    let mut engine = parts.engine();
    for bits in [0, 1, 0x1_0000, 0xffff, u32::MAX] {
        assert_eq!(answer(&mut engine, Place::from(bits)), None);
        assert_eq!(u32::from(Place::from(bits)), bits);
    }
    let numbers = [0, 1, 1 << 32, 2 << 32 | 0xffff_0001, 4 << 40 | 2 << 32];
    for number in numbers {
        let ticket = Ticket::new(number);
        assert_eq!(ticket.map(u64::from), (number >> 32 != 0).then_some(number));
        if let Some(ticket) = ticket {
            engine.complete(ticket, Ok(()));
        }
    }
    for number in [3 << 32, 5 << 40 | 1 << 32, 1 << 48 | 1 << 32, u64::MAX] {
        assert_eq!(Ticket::new(number), None);
    }
    assert_eq!(event(&mut engine, 0), None);
}
