// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What agents share and what they do not, and what is left of one that was reset.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on fails"
)]

mod common;

use common::agent::*;
use common::*;
use scmi::{Grant, Kind, Pending, Reason, Rights, Status, Switch};

#[test]
fn a_resource_is_on_while_any_agent_wants_it_on() {
    for kind in Kind::ALL {
        let mut parts = Parts::new(5, &[Given::all(&[0, 4]), Given::all(&[4])]);
        let mut engine = parts.engine();
        let mut vote = |agent, id, on, expected| {
            assert_eq!(switch(&mut engine, agent, kind, id, on), SUCCESS);
            assert_eq!(engine.platform.state.on.of(kind)[4], expected, "{kind:?}");
        };
        vote(0, 1, true, true);
        vote(1, 0, true, true);
        vote(1, 0, true, true);
        vote(1, 0, false, true);
        vote(1, 0, false, true);
        vote(0, 1, false, false);
    }
}

#[test]
fn each_agent_reads_its_own_vote() {
    let mut parts = Parts::new(5, &[Given::all(&[4]), Given::all(&[4])]);
    let mut engine = parts.engine();
    let before = view(&mut engine, 1);
    for kind in Kind::ALL {
        switch(&mut engine, 0, kind, 0, true);
    }
    assert_eq!(view(&mut engine, 1), before);
}

#[test]
fn what_a_resource_runs_at_changes_only_while_no_other_agent_has_it_on() {
    let mut parts = Parts::new(5, &[Given::all(&[4]), Given::all(&[4])]);
    let mut engine = parts.engine();
    for request in [
        &[0x5005, 0, 0, 200, 0][..],
        &[0x5c07, 0, 0, 900_000],
        &[0x5804, 0, 1, 0],
    ] {
        assert_eq!(ask(&mut engine, 0, request)[1], SUCCESS);
        assert_eq!(
            ask(&mut engine, 1, request)[1],
            if request[0] == 0x5804 {
                DENIED
            } else {
                SUCCESS
            }
        );
    }
    for kind in [Kind::CLOCK, Kind::VOLTAGE] {
        switch(&mut engine, 0, kind, 0, true);
    }
    for request in [&[0x5005, 0, 0, 400, 0][..], &[0x5c07, 0, 0, 1_100_000]] {
        assert_eq!(ask(&mut engine, 1, request)[1], DENIED);
        assert_eq!(ask(&mut engine, 0, request)[1], SUCCESS);
    }
}

#[test]
fn a_parent_changes_only_while_no_other_agent_has_the_clock_on() {
    let mut parts = Parts::new(5, &[Given::all(&[1, 3]), Given::all(&[1])]);
    let mut engine = parts.engine();
    switch(&mut engine, 1, Kind::CLOCK, 0, true);
    assert_eq!(ask(&mut engine, 0, &[0x500d, 0, 1])[1], DENIED);
    switch(&mut engine, 1, Kind::CLOCK, 0, false);
    assert_eq!(ask(&mut engine, 0, &[0x500d, 0, 1])[1], SUCCESS);
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    assert_eq!(engine.platform.state, engine.platform.boot);
}

#[test]
fn a_reset_takes_nothing_back_that_another_agent_chose() {
    let mut parts = Parts::new(5, &[Given::all(&[4]), Given::all(&[4])]);
    let mut engine = parts.engine();
    ask(&mut engine, 0, &[0x5005, 0, 0, 200, 0]);
    engine
        .reset_agent(AgentId(1), Reason::Disconnected)
        .unwrap();
    assert_eq!(engine.platform.state.clocks[4].0, 200);
    // What was given back is not given back again.
    ask(&mut engine, 1, &[0x5009, 0, 1]);
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    assert_eq!(event(&mut engine, 1).unwrap(), [0x5300, 0, 0, 100, 0]);
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    assert_eq!(event(&mut engine, 1), None);
}

#[test]
fn a_reset_stops_masters_first_and_starts_them_last() {
    let mut given = Given::all(&[0]);
    given.grants.of_mut(Kind::RESET)[0].2 = true;
    given.grants.of_mut(Kind::VOLTAGE)[0].2 = true;
    let mut parts = Parts::new(1, &[given]);
    let mut engine = parts.engine();
    for kind in Kind::ALL {
        switch(&mut engine, 0, kind, 0, kind != Kind::VOLTAGE);
    }
    engine.platform.switched.clear();
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    assert_eq!(
        engine.platform.switched,
        [
            (Kind::RESET, 0, Switch::Off),
            (Kind::SENSOR, 0, Switch::Off),
            (Kind::CLOCK, 0, Switch::Off),
            (Kind::POWER, 0, Switch::Off),
            (Kind::VOLTAGE, 0, Switch::On),
            (Kind::RESET, 0, Switch::On),
        ]
    );
}

#[test]
fn memory_that_does_not_fit_together_makes_no_engine() {
    let parts = || Parts::new(2, &[Given::all(&[0, 1]), Given::all(&[1])]);
    let fails = |parts: &mut Parts| parts.try_engine().err();
    assert_eq!(fails(&mut parts()), None);

    let mut more = parts();
    more.grants
        .push(Grant::new(ResourceId(0), Rights::ALL, false));
    assert_eq!(fails(&mut more), Some(Status::InvalidParameters));
    let mut fewer = parts();
    fewer.grants.pop();
    assert_eq!(fails(&mut fewer), Some(Status::InvalidParameters));

    let mut twice = parts();
    twice.grants[1] = Grant::new(ResourceId(0), Rights::ALL, false);
    assert_eq!(fails(&mut twice), Some(Status::InvalidParameters));
    let mut missing = parts();
    missing.resources.of_mut(Kind::CLOCK).pop();
    assert_eq!(fails(&mut missing), Some(Status::NotFound));

    for (operations, expected) in [(65_535, None), (65_536, Some(Status::OutOfRange))] {
        let mut many = parts();
        many.pending.resize(operations, Pending::default());
        assert_eq!(fails(&mut many), expected);
    }

    let mut trips = parts();
    trips.trips.pop();
    assert_eq!(fails(&mut trips), Some(Status::InvalidParameters));
}

#[test]
fn a_rate_that_others_follow_changes_only_while_no_other_agent_has_them_on() {
    let mut parts = Parts::new(5, &[Given::all(&[0]), Given::all(&[1, 3])]);
    let mut engine = parts.engine();
    switch(&mut engine, 1, Kind::CLOCK, 0, true);
    assert_eq!(ask(&mut engine, 0, &[0x5005, 0, 0, 200, 0])[1], DENIED);
    assert_eq!(engine.platform.state.clocks[0], (100, 0));
    switch(&mut engine, 1, Kind::CLOCK, 0, false);
    assert_eq!(ask(&mut engine, 0, &[0x5005, 0, 0, 200, 0])[1], SUCCESS);
    assert_eq!(engine.platform.state.clocks[0], (200, 0));
}

#[test]
fn what_starts_on_is_on_from_the_beginning_and_after_a_reset() {
    let mut given = Given::all(&[0]);
    for kind in Kind::ALL {
        given.grants.of_mut(kind)[0].2 = true;
    }
    let mut parts = Parts::new(1, &[given, Given::all(&[0])]);
    let mut engine = parts.engine();
    let before = view(&mut engine, 0);
    for kind in Kind::ALL {
        assert!(engine.platform.state.on.of(kind)[0]);
        assert_eq!(switch(&mut engine, 0, kind, 0, false), SUCCESS);
        assert!(!engine.platform.state.on.of(kind)[0]);
    }
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    for kind in Kind::ALL {
        assert!(engine.platform.state.on.of(kind)[0]);
    }
    assert_eq!(view(&mut engine, 0), before);
}

#[test]
fn a_reset_brings_back_what_was_changed_when_nobody_else_needs_it() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1, 4]), Given::all(&[0, 1, 4])]);
    let mut engine = parts.engine();
    ask(&mut engine, 0, &[0x5005, 0, 0, 200, 0]);
    ask(&mut engine, 0, &[0x5005, 0, 2, 200, 0]);
    ask(&mut engine, 0, &[0x5c07, 2, 0, 900_000]);
    // The other agent has what follows clock 0, the last clock, and the regulator.
    for (kind, id) in [(Kind::CLOCK, 1), (Kind::CLOCK, 2), (Kind::VOLTAGE, 2)] {
        switch(&mut engine, 1, kind, id, true);
    }
    let shared = engine.platform.state.clone();
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    assert_eq!(engine.platform.state, shared);
    engine
        .reset_agent(AgentId(1), Reason::Disconnected)
        .unwrap();
    assert_eq!(engine.platform.state, engine.platform.boot);
}

#[test]
fn a_reset_does_all_that_can_be_done_when_hardware_fails() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1])]);
    let mut engine = parts.engine();
    for kind in Kind::ALL {
        switch(&mut engine, 0, kind, 1, true);
    }
    ask(&mut engine, 0, &[0x4406, 0, 1]);
    engine.platform.fault = Some(Status::HardwareError);
    assert_eq!(
        engine.reset_agent(AgentId(0), Reason::Disconnected),
        Err(Status::HardwareError)
    );
    engine.platform.fault = None;
    // It wants nothing any longer, and the next one to be reset finds what is left to do.
    for kind in [Kind::POWER, Kind::CLOCK, Kind::SENSOR, Kind::VOLTAGE] {
        assert_eq!(reads_on(&mut engine, 0, kind, 1), Some(false));
    }
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    assert_eq!(engine.platform.state, engine.platform.boot);
}

#[test]
fn what_failed_in_a_reset_is_tried_again_and_nothing_else_is_touched() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1]), Given::all(&[0, 2])]);
    let mut engine = parts.engine();
    for kind in Kind::ALL {
        switch(&mut engine, 0, kind, 1, true);
        switch(&mut engine, 1, kind, 1, true);
    }
    ask(&mut engine, 0, &[0x5005, 0, 1, 200, 0]);
    ask(&mut engine, 0, &[0x5c07, 1, 0, 900_000]);
    ask(&mut engine, 1, &[0x5005, 0, 1, 400, 0]);
    engine.platform.fault = Some(Status::HardwareError);
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap_err();
    assert_eq!(engine.retry(), Err(Status::HardwareError));
    for kind in Kind::ALL {
        assert!(engine.platform.state.on.of(kind)[1], "{kind:?}");
    }
    engine.platform.fault = None;
    assert_eq!(engine.retry(), Ok(()));
    for kind in Kind::ALL {
        assert!(!engine.platform.state.on.of(kind)[1], "{kind:?}");
        assert!(engine.platform.state.on.of(kind)[2], "{kind:?}");
    }
    assert_eq!(engine.platform.state.clocks[1], (100, 0));
    assert_eq!(engine.platform.state.levels[1], 1_000_000);
    assert_eq!(engine.platform.state.clocks[2], (400, 0));
    engine.platform.switched.clear();
    assert_eq!(engine.retry(), Ok(()));
    assert_eq!(engine.platform.switched, []);
}
