// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use scmi::{Answer, Kind, Rights};

use crate::check;
use crate::common::*;

#[test]
fn attributes_tell_of_clocks() {
    let [n0, ..] = name16("uart");
    let [l0, l1, l2, l3] = name16("a-name-that-is-");
    check(&[
        (&[0x5000], &[0x5000, SUCCESS, 0x30000]),
        // Five clocks, three operations at a time.
        (&[0x5001], &[0x5001, SUCCESS, 0x0003_0005]),
        (
            &[0x5003, 0],
            &[0x5003, SUCCESS, 0xc000_0000, n0, 0, 0, 0, 1000],
        ),
        // A long name, and parents.
        (
            &[0x5003, 1],
            &[0x5003, SUCCESS, 0xf000_0000, l0, l1, l2, l3, 1000],
        ),
        (&[0x5007, 0, 1, 0], &[0x5007, SUCCESS]),
        (
            &[0x5003, 0],
            &[0x5003, SUCCESS, 0xc000_0001, n0, 0, 0, 0, 1000],
        ),
        (&[0x5003, 5], &[0x5003, NOT_FOUND]),
        (&[0x5003, u32::MAX], &[0x5003, NOT_FOUND]),
        (&[0x5003], &[0x5003, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn attributes_end_with_the_name_where_there_is_no_room_for_the_latency() {
    let mut parts = Parts::new(1, &[Given::all(&[0])]);
    let mut engine = parts.engine();
    let [n0, ..] = name16("uart");
    let attributes = [0x5003, SUCCESS, 0xc000_0000, n0, 0, 0, 0, 1000];
    for (room, expected) in [
        (27, &[0x5003, PROTOCOL_ERROR][..]),
        (28, &attributes[..7]),
        (31, &attributes[..7]),
        (32, &attributes),
    ] {
        let mut response = vec![0xa5; room];
        let length = expected.len() * 4;
        let answer = engine.handle(AgentId(0), &bytes(&[0x5003, 0]), &mut response);
        assert_eq!(answer, Answer::Now(length));
        assert_eq!(words(&response[..length]), expected);
    }
}

#[test]
fn a_range_of_rates_is_three_values() {
    let range = [0x5004, SUCCESS, 0x1003, 100, 0, 0, 1, 100, 0];
    check(&[
        (&[0x5004, 0, 0], &range),
        (&[0x5004, 0, 1], &[0x5004, OUT_OF_RANGE]),
        (&[0x5004, 0, 3], &[0x5004, OUT_OF_RANGE]),
        (&[0x5004, 5, 0], &[0x5004, NOT_FOUND]),
        (&[0x5004, 0], &[0x5004, PROTOCOL_ERROR]),
        (&[0x5004], &[0x5004, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn a_list_of_rates_is_told_in_parts_of_at_most_124_bytes() {
    let rates: Vec<u32> = (0..17).map(|power| 100 << power).collect();
    let part = |head: u32, rates: &[u32]| {
        let mut part = vec![0x5004, SUCCESS, head];
        part.extend(rates.iter().flat_map(|&rate| [rate, 0]));
        part
    };
    check(&[
        (&[0x5004, 3, 0], &part(0x0002_000f, &rates[..15])),
        (&[0x5004, 3, 15], &part(0x0000_0002, &rates[15..])),
        (&[0x5004, 3, 17], &[0x5004, OUT_OF_RANGE]),
        (&[0x5004, 3, 18], &[0x5004, OUT_OF_RANGE]),
        (&[0x5004, 3, u32::MAX], &[0x5004, OUT_OF_RANGE]),
    ]);
}

#[test]
fn no_rates_are_told_where_there_is_room_for_none() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 3])]);
    let mut engine = parts.engine();
    for (clock, room, length, status) in [
        (0, 35, 8, PROTOCOL_ERROR),
        (0, 36, 36, SUCCESS),
        (1, 19, 8, PROTOCOL_ERROR),
        (1, 20, 20, SUCCESS),
    ] {
        let mut response = vec![0xa5; room];
        let answer = engine.handle(AgentId(0), &bytes(&[0x5004, clock, 0]), &mut response);
        assert_eq!(answer, Answer::Now(length));
        assert_eq!(words(&response[..length])[1], status);
    }
}

#[test]
fn rates_are_set_as_rounded_and_read_back() {
    let get = |rate| [0x5006, SUCCESS, rate, 0];
    check(&[
        (&[0x5006, 3], &get(100)),
        (&[0x5005, 0, 3, 399, 0], &[0x5005, SUCCESS]),
        (&[0x5006, 3], &get(200)),
        (&[0x5005, 4, 3, 201, 0], &[0x5005, SUCCESS]),
        (&[0x5006, 3], &get(400)),
        (&[0x5005, 8, 3, 290, 0], &[0x5005, SUCCESS]),
        (&[0x5006, 3], &get(200)),
        (&[0x5005, 0xc, 3, 301, 0], &[0x5005, SUCCESS]),
        (&[0x5006, 3], &get(400)),
        // Bit 1 means nothing without bit 0.
        (&[0x5005, 2, 3, 100, 0], &[0x5005, SUCCESS]),
        (&[0x5006, 3], &get(100)),
        (&[0x5006, 5], &[0x5006, NOT_FOUND]),
        (&[0x5006], &[0x5006, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn rates_beyond_4_gigahertz_have_two_words() {
    check(&[
        (&[0x5005, 0, 0, 0, 1], &[0x5005, SUCCESS]),
        (&[0x5006, 0], &[0x5006, SUCCESS, 0, 1]),
        (&[0x5005, 0, 0, 1, 1], &[0x5005, INVALID_PARAMETERS]),
    ]);
}

#[test]
fn rates_that_cannot_be_change_nothing() {
    check(&[
        (&[0x5005, 0, 3, 99, 0], &[0x5005, INVALID_PARAMETERS]),
        (&[0x5005, 4, 3, 99, 0], &[0x5005, INVALID_PARAMETERS]),
        (&[0x5005, 0, 3, 6_553_601, 0], &[0x5005, INVALID_PARAMETERS]),
        (
            &[0x5005, 0, 3, u32::MAX, u32::MAX],
            &[0x5005, INVALID_PARAMETERS],
        ),
        (&[0x5005, 0x10, 3, 200, 0], &[0x5005, INVALID_PARAMETERS]),
        (&[0x5005, 0, 5, 200, 0], &[0x5005, NOT_FOUND]),
        (&[0x5005, 0, 3, 200], &[0x5005, PROTOCOL_ERROR]),
        (&[0x5005, 0, 3], &[0x5005, PROTOCOL_ERROR]),
        (&[0x5005, 0], &[0x5005, PROTOCOL_ERROR]),
        (&[0x5005], &[0x5005, PROTOCOL_ERROR]),
        (&[0x5006, 3], &[0x5006, SUCCESS, 100, 0]),
    ]);
}

#[test]
fn configuration_switches_the_gate() {
    check(&[
        (&[0x500b, 2, 0], &[0x500b, SUCCESS, 0, 0, 0]),
        (&[0x5007, 2, 1, 0], &[0x5007, SUCCESS]),
        (&[0x500b, 2, 0], &[0x500b, SUCCESS, 0, 1, 0]),
        (&[0x5007, 2, 0, 0], &[0x5007, SUCCESS]),
        (&[0x500b, 2, 0], &[0x500b, SUCCESS, 0, 0, 0]),
        (&[0x500b, 5, 0], &[0x500b, NOT_FOUND]),
        // A duty cycle.
        (&[0x500b, 2, 1], &[0x500b, INVALID_PARAMETERS]),
        (&[0x500b, 2, 0x100], &[0x500b, INVALID_PARAMETERS]),
        (&[0x500b, 2], &[0x500b, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn configurations_that_do_not_exist_change_nothing() {
    check(&[
        (&[0x5007, 2, 2, 0], &[0x5007, INVALID_PARAMETERS]),
        (&[0x5007, 2, 3, 0], &[0x5007, INVALID_PARAMETERS]),
        (&[0x5007, 2, 5, 0], &[0x5007, INVALID_PARAMETERS]),
        (&[0x5007, 2, 0x0100_0001, 0], &[0x5007, INVALID_PARAMETERS]),
        // A duty cycle.
        (&[0x5007, 2, 0x0001_0003, 50], &[0x5007, INVALID_PARAMETERS]),
        (&[0x5007, 2, 0x0001_0001, 50], &[0x5007, INVALID_PARAMETERS]),
        (&[0x5007, 5, 1, 0], &[0x5007, NOT_FOUND]),
        (&[0x5007, 2], &[0x5007, PROTOCOL_ERROR]),
        (&[0x5007], &[0x5007, PROTOCOL_ERROR]),
        (&[0x500b, 2, 0], &[0x500b, SUCCESS, 0, 0, 0]),
    ]);
}

#[test]
fn long_names_are_told_whole() {
    let mut long = vec![0x5008, SUCCESS, 0];
    long.extend(name64("a-name-that-is-longer-than-16"));
    check(&[
        (&[0x5008, 1], &long),
        (&[0x5008, 5], &[0x5008, NOT_FOUND]),
        (&[0x5008], &[0x5008, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn parents_are_clocks_of_the_agent() {
    check(&[
        (&[0x500c, 1, 0], &[0x500c, SUCCESS, 2, 0, 3]),
        (&[0x500c, 1, 1], &[0x500c, SUCCESS, 1, 3]),
        (&[0x500c, 1, 2], &[0x500c, SUCCESS, 0]),
        (&[0x500c, 1, 3], &[0x500c, OUT_OF_RANGE]),
        (&[0x500c, 0, 0], &[0x500c, SUCCESS, 0]),
        (&[0x500c, 5, 0], &[0x500c, NOT_FOUND]),
        (&[0x500c, 1], &[0x500c, PROTOCOL_ERROR]),
        (&[0x500e, 1], &[0x500e, SUCCESS, 0]),
        (&[0x500d, 1, 3], &[0x500d, SUCCESS]),
        (&[0x500e, 1], &[0x500e, SUCCESS, 3]),
        (&[0x500d, 1, 2], &[0x500d, INVALID_PARAMETERS]),
        (&[0x500d, 1, 5], &[0x500d, NOT_FOUND]),
        (&[0x500d, 5, 3], &[0x500d, NOT_FOUND]),
        (&[0x500d, 1], &[0x500d, PROTOCOL_ERROR]),
        // It has no parents.
        (&[0x500e, 3], &[0x500e, NOT_SUPPORTED]),
        (&[0x500e, 5], &[0x500e, NOT_FOUND]),
        (&[0x500e], &[0x500e, PROTOCOL_ERROR]),
        (&[0x500e, 1], &[0x500e, SUCCESS, 3]),
    ]);
}

#[test]
fn a_parent_that_the_agent_was_not_given_does_not_exist() {
    let mut parts = Parts::new(5, &[Given::all(&[1, 3]), Given::all(&[0])]);
    let mut engine = parts.engine();
    // Clock 1 of the platform is 0 here, and 3 is 1.
    assert_eq!(
        ask(&mut engine, 0, &[0x500c, 0, 0]),
        [0x500c, SUCCESS, 1, 1]
    );
    assert_eq!(ask(&mut engine, 0, &[0x500e, 0]), [0x500e, NOT_FOUND]);
    assert_eq!(ask(&mut engine, 0, &[0x500d, 0, 1]), [0x500d, SUCCESS]);
    assert_eq!(ask(&mut engine, 0, &[0x500e, 0]), [0x500e, SUCCESS, 1]);
    assert_eq!(engine.platform.state.clocks[1].1, 3);
}

#[test]
fn permissions_are_told_and_enforced() {
    let mut given = Given::all(&[1, 3]);
    given.grants.of_mut(Kind::CLOCK)[0].1 = Rights::default();
    let mut parts = Parts::new(5, &[given]);
    let mut engine = parts.engine();
    let attributes = ask(&mut engine, 0, &[0x5003, 0]);
    assert_eq!(attributes[2], 0xf000_0002);
    assert_eq!(ask(&mut engine, 0, &[0x500f, 0]), [0x500f, SUCCESS, 0]);
    assert_eq!(ask(&mut engine, 0, &[0x5007, 0, 1, 0]), [0x5007, DENIED]);
    assert_eq!(
        ask(&mut engine, 0, &[0x5005, 0, 0, 200, 0]),
        [0x5005, DENIED]
    );
    assert_eq!(ask(&mut engine, 0, &[0x500d, 0, 1]), [0x500d, DENIED]);
    assert_eq!(
        ask(&mut engine, 0, &[0x500f, 1]),
        [0x500f, SUCCESS, 0xe000_0000]
    );
    assert_eq!(ask(&mut engine, 0, &[0x500f, 2]), [0x500f, NOT_FOUND]);
    assert_eq!(ask(&mut engine, 0, &[0x500f]), [0x500f, PROTOCOL_ERROR]);
    assert_eq!(engine.platform.state, engine.platform.boot);
}

#[test]
fn a_subscriber_is_told_of_rates_that_follow_another() {
    let mut parts = Parts::new(5, &[Given::all(&[2, 1]), Given::all(&[0])]);
    let mut engine = parts.engine();
    assert_eq!(ask(&mut engine, 0, &[0x5009, 1, 1]), [0x5009, SUCCESS]);
    assert_eq!(ask(&mut engine, 1, &[0x5009, 0, 1]), [0x5009, SUCCESS]);
    ask(&mut engine, 1, &[0x5005, 0, 0, 300, 0]);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x5300, 0, 1, 100, 0]);
    assert_eq!(event(&mut engine, 1).unwrap(), [0x5300, 1, 0, 300, 0]);
    assert_eq!((event(&mut engine, 0), event(&mut engine, 1)), (None, None));
    check(&[
        (&[0x5009, 0, 2], &[0x5009, INVALID_PARAMETERS]),
        (&[0x5009, 5, 1], &[0x5009, NOT_FOUND]),
        (&[0x5009, 0], &[0x5009, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn other_agents_are_told_of_the_rate_that_one_asks_for() {
    let mut parts = Parts::new(5, &[Given::all(&[2, 4]), Given::all(&[4])]);
    let mut engine = parts.engine();
    for agent in [0, 1] {
        let id = u32::from(agent == 0);
        assert_eq!(ask(&mut engine, agent, &[0x500a, id, 1]), [0x500a, SUCCESS]);
    }
    // It stands in the way. What is told is the rate that it would have been.
    ask(&mut engine, 0, &[0x5007, 1, 1, 0]);
    let request = [0x5005, 0, 0, 399, 0];
    assert_eq!(ask(&mut engine, 1, &request), [0x5005, DENIED]);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x5301, 0, 1, 200, 0]);
    // Also if it does not.
    ask(&mut engine, 0, &[0x5007, 1, 0, 0]);
    assert_eq!(ask(&mut engine, 1, &request), [0x5005, SUCCESS]);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x5301, 0, 1, 200, 0]);
    // Not of what cannot be asked for.
    ask(&mut engine, 1, &[0x5005, 0, 0, 99, 0]);
    assert_eq!(event(&mut engine, 0), None);
    assert_eq!(ask(&mut engine, 0, &[0x500a, 1, 0]), [0x500a, SUCCESS]);
    ask(&mut engine, 1, &request);
    assert_eq!((event(&mut engine, 0), event(&mut engine, 1)), (None, None));
    check(&[
        (&[0x500a, 0, 2], &[0x500a, INVALID_PARAMETERS]),
        (&[0x500a, 5, 1], &[0x500a, NOT_FOUND]),
        (&[0x500a, 0], &[0x500a, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn who_may_not_change_a_rate_tells_nobody_that_it_would() {
    let mut given = Given::all(&[4]);
    given.grants.of_mut(Kind::CLOCK)[0].1 = Rights::default();
    let mut parts = Parts::new(5, &[Given::all(&[4]), given]);
    let mut engine = parts.engine();
    ask(&mut engine, 0, &[0x500a, 0, 1]);
    assert_eq!(
        ask(&mut engine, 1, &[0x5005, 0, 0, 200, 0]),
        [0x5005, DENIED]
    );
    assert_eq!(event(&mut engine, 0), None);
}

#[test]
fn each_event_has_a_cause_of_its_own() {
    let mut parts = Parts::new(5, &[Given::all(&[4]), Given::all(&[4])]);
    let mut engine = parts.engine();
    ask(&mut engine, 0, &[0x5009, 0, 1]);
    ask(&mut engine, 0, &[0x500a, 0, 1]);
    ask(&mut engine, 0, &[0x5007, 0, 1, 0]);
    ask(&mut engine, 1, &[0x5005, 0, 0, 400, 0]);
    ask(&mut engine, 0, &[0x5005, 0, 0, 200, 0]);
    assert_eq!(event(&mut engine, 0).unwrap(), [0x5300, 1, 0, 200, 0]);
    // The last that was asked for.
    assert_eq!(event(&mut engine, 0).unwrap(), [0x5301, 0, 0, 200, 0]);
    assert_eq!(event(&mut engine, 0), None);
}

#[test]
fn what_the_hardware_refuses_is_answered_and_changes_nothing() {
    let mut parts = Parts::new(5, &[Given::all(&[1, 3])]);
    let mut engine = parts.engine();
    engine.platform.fault = Some(scmi::Status::HardwareError);
    assert_eq!(
        ask(&mut engine, 0, &[0x5007, 0, 1, 0]),
        [0x5007, HARDWARE_ERROR]
    );
    assert_eq!(
        ask(&mut engine, 0, &[0x5005, 0, 0, 200, 0]),
        [0x5005, HARDWARE_ERROR]
    );
    assert_eq!(
        ask(&mut engine, 0, &[0x5005, 1, 0, 200, 0]),
        [0x5005, HARDWARE_ERROR]
    );
    assert_eq!(
        ask(&mut engine, 0, &[0x500d, 0, 1]),
        [0x500d, HARDWARE_ERROR]
    );
    engine.platform.fault = None;
    assert_eq!(
        ask(&mut engine, 0, &[0x500b, 0, 0]),
        [0x500b, SUCCESS, 0, 0, 0]
    );
    assert_eq!(event(&mut engine, 0), None);
    assert_eq!(engine.platform.state, engine.platform.boot);
}
