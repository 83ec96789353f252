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

use std::collections::BTreeMap;

use common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use scmi::{Answer, Engine, Grant, Kind, Mismatch, PerKind, Rights, Switch};

/// Switches a resource of an agent.
fn switch(engine: &mut Engine<'_, Board>, agent: u16, kind: Kind, id: u32, on: bool) -> u32 {
    let request = match kind {
        Kind::Power => vec![0x4404, 0, id, if on { 0 } else { 0x4000_0000 }],
        Kind::Clock => vec![0x5007, id, on.into(), 0],
        Kind::Sensor => vec![0x540a, id, on.into()],
        Kind::Reset => vec![0x5804, id, if on { 0 } else { 2 }, 0],
        Kind::Voltage => vec![0x5c05, id, if on { 7 } else { 0 }],
    };
    ask(engine, agent, &request)[1]
}

/// Everything that an agent can read, but for the values of sensors.
fn view(engine: &mut Engine<'_, Board>, agent: u16) -> Vec<Vec<u32>> {
    let mut requests = vec![vec![0x4001], vec![0x4006, 0], vec![0x4007, 1]];
    for protocol in [0x4400, 0x5000, 0x5400, 0x5800, 0x5c00] {
        requests.extend([vec![protocol], vec![protocol | 1]]);
    }
    for id in 0..5 {
        for get in [
            0x4403, 0x4405, 0x5003, 0x5006, 0x500e, 0x500f, 0x5409, 0x5803, 0x5c03, 0x5c06, 0x5c08,
        ] {
            requests.push(vec![get, id]);
        }
        for get in [0x5004, 0x500b, 0x500c, 0x5408, 0x5c04] {
            requests.push(vec![get, id, 0]);
        }
        requests.push(vec![0x5403, id]);
    }
    requests
        .iter()
        .map(|request| ask(engine, agent, request))
        .collect()
}

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
    for kind in [Kind::Clock, Kind::Voltage] {
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
    switch(&mut engine, 1, Kind::Clock, 0, true);
    assert_eq!(ask(&mut engine, 0, &[0x500d, 0, 1])[1], DENIED);
    switch(&mut engine, 1, Kind::Clock, 0, false);
    assert_eq!(ask(&mut engine, 0, &[0x500d, 0, 1])[1], SUCCESS);
    engine.reset_agent(0).unwrap();
    assert_eq!(engine.platform.state, engine.platform.boot);
}

#[test]
fn a_reset_takes_nothing_back_that_another_agent_chose() {
    let mut parts = Parts::new(5, &[Given::all(&[4]), Given::all(&[4])]);
    let mut engine = parts.engine();
    ask(&mut engine, 0, &[0x5005, 0, 0, 200, 0]);
    engine.reset_agent(1).unwrap();
    assert_eq!(engine.platform.state.clocks[4].0, 200);
    // What was given back is not given back again.
    ask(&mut engine, 1, &[0x5009, 0, 1]);
    engine.reset_agent(0).unwrap();
    assert_eq!(event(&mut engine, 1).unwrap(), [0x5300, 0, 0, 100, 0]);
    engine.reset_agent(0).unwrap();
    assert_eq!(event(&mut engine, 1), None);
}

#[test]
fn a_reset_stops_masters_first_and_starts_them_last() {
    let mut given = Given::all(&[0]);
    given.grants.reset[0].2 = true;
    given.grants.voltage[0].2 = true;
    let mut parts = Parts::new(1, &[given]);
    let mut engine = parts.engine();
    for kind in Kind::ALL {
        switch(&mut engine, 0, kind, 0, kind != Kind::Voltage);
    }
    engine.platform.switched.clear();
    engine.reset_agent(0).unwrap();
    assert_eq!(
        engine.platform.switched,
        [
            (Kind::Reset, 0, Switch::Off),
            (Kind::Sensor, 0, Switch::Off),
            (Kind::Clock, 0, Switch::Off),
            (Kind::Power, 0, Switch::Off),
            (Kind::Voltage, 0, Switch::On),
            (Kind::Reset, 0, Switch::On),
        ]
    );
}

#[test]
fn memory_that_does_not_fit_together_makes_no_engine() {
    let parts = || Parts::new(2, &[Given::all(&[0, 1]), Given::all(&[1])]);
    let fails = |parts: &mut Parts| parts.try_engine().err();
    assert_eq!(fails(&mut parts()), None);

    let mut more = parts();
    more.grants.push(Grant::new(0, Rights::ALL, false));
    assert_eq!(fails(&mut more), Some(Mismatch::Count));
    let mut fewer = parts();
    fewer.grants.pop();
    assert_eq!(fails(&mut fewer), Some(Mismatch::Count));

    let mut twice = parts();
    twice.grants[1] = Grant::new(0, Rights::ALL, false);
    assert_eq!(fails(&mut twice), Some(Mismatch::Resource));
    let mut missing = parts();
    missing.resources.clock.pop();
    assert_eq!(fails(&mut missing), Some(Mismatch::Resource));

    let mut trips = parts();
    trips.trips.pop();
    assert_eq!(fails(&mut trips), Some(Mismatch::Trips));
}

#[test]
fn a_rate_that_others_follow_changes_only_while_no_other_agent_has_them_on() {
    let mut parts = Parts::new(5, &[Given::all(&[0]), Given::all(&[1, 3])]);
    let mut engine = parts.engine();
    switch(&mut engine, 1, Kind::Clock, 0, true);
    assert_eq!(ask(&mut engine, 0, &[0x5005, 0, 0, 200, 0])[1], DENIED);
    assert_eq!(engine.platform.state.clocks[0], (100, 0));
    switch(&mut engine, 1, Kind::Clock, 0, false);
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
    engine.reset_agent(0).unwrap();
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
    for (kind, id) in [(Kind::Clock, 1), (Kind::Clock, 2), (Kind::Voltage, 2)] {
        switch(&mut engine, 1, kind, id, true);
    }
    let shared = engine.platform.state.clone();
    engine.reset_agent(0).unwrap();
    assert_eq!(engine.platform.state, shared);
    engine.reset_agent(1).unwrap();
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
    engine.platform.fault = Some(scmi::Status::HardwareError);
    assert_eq!(engine.reset_agent(0), Err(scmi::Status::HardwareError));
    engine.platform.fault = None;
    // It wants nothing any longer, and the next one to be reset finds what is left to do.
    for kind in [Kind::Power, Kind::Clock, Kind::Sensor, Kind::Voltage] {
        assert_eq!(reads_on(&mut engine, 0, kind, 1), Some(false));
    }
    engine.reset_agent(0).unwrap();
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
    engine.platform.fault = Some(scmi::Status::HardwareError);
    engine.reset_agent(0).unwrap_err();
    assert_eq!(engine.try_again(), Err(scmi::Status::HardwareError));
    for kind in Kind::ALL {
        assert!(engine.platform.state.on.of(kind)[1], "{kind:?}");
    }
    engine.platform.fault = None;
    assert_eq!(engine.try_again(), Ok(()));
    for kind in Kind::ALL {
        assert!(!engine.platform.state.on.of(kind)[1], "{kind:?}");
        assert!(engine.platform.state.on.of(kind)[2], "{kind:?}");
    }
    assert_eq!(engine.platform.state.clocks[1], (100, 0));
    assert_eq!(engine.platform.state.levels[1], 1_000_000);
    assert_eq!(engine.platform.state.clocks[2], (400, 0));
    engine.platform.switched.clear();
    assert_eq!(engine.try_again(), Ok(()));
    assert_eq!(engine.platform.switched, []);
}

#[derive(Clone, Debug)]
enum Step {
    Ask { agent: u16, request: Vec<u32> },
    Reset { agent: u16 },
    Complete,
    Measure { sensor: u16, value: i64 },
}

/// Commands that mean something more often than random bytes would.
fn request() -> impl Strategy<Value = Vec<u32>> {
    let id = prop_oneof![8 => 0u32..5, 1 => any::<u32>()];
    let word = prop_oneof![
        8 => 0u32..8,
        2 => prop_oneof![Just(200), Just(400), Just(900_000), Just(0x4000_0000), Just(0x0001_0001)],
        1 => any::<u32>(),
    ];
    let protocol = prop_oneof![
        Just(0x10u32),
        Just(0x11),
        Just(0x14),
        Just(0x15),
        Just(0x16),
        Just(0x17)
    ];
    let flags_first = prop_oneof![Just(0x5005u32), Just(0x4404)];
    // What only a trusted agent may do: deny or allow a device or a protocol of it, and reset an agent.
    let trust = (9u32..0xc, 0u32..5, 0u32..6, vec(0u32..2, 3));
    prop_oneof![
        6 => (protocol, 0u32..0x12, id.clone(), vec(word.clone(), 0..4)).prop_map(|(protocol, message, id, rest)| {
            [&[protocol << 10 | message, id], &rest[..]].concat()
        }),
        1 => trust.prop_map(|(message, agent, device, rest)| match message {
            0xa => vec![0x400a, agent, device, 0x14 + rest[1], rest[0]],
            0x9 => vec![0x4009, agent, device, rest[0]],
            _ => vec![0x400b, agent, rest[0]],
        }),
        2 => (flags_first, 0u32..6, id, word).prop_map(|(header, flags, id, word)| vec![header, flags, id, word, 0]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => (0u16..3, request()).prop_map(|(agent, request)| Step::Ask { agent, request }),
        1 => (0u16..3).prop_map(|agent| Step::Reset { agent }),
        2 => Just(Step::Complete),
        1 => (0u16..5, -2i64..3).prop_map(|(sensor, value)| Step::Measure { sensor, value }),
    ]
}

/// What the agent is told because of a step: the response and all events.
fn take(engine: &mut Engine<'_, Board>, step: &Step, observer: u16) -> Vec<Vec<u8>> {
    let mut told = Vec::new();
    let mut room = [0; 136];
    match step {
        Step::Ask { agent, request } => {
            let answer = engine.handle(*agent, &bytes(request), &mut room);
            if let (Answer::Now(length), true) = (answer, *agent == observer) {
                told.push(room[..length].to_vec());
            }
        }
        Step::Reset { agent } => engine.reset_agent(*agent).unwrap(),
        Step::Complete => complete(engine),
        Step::Measure { sensor, value } => {
            engine.platform.reading[0] = *value;
            engine.sensor_updated(*sensor);
        }
    }
    while let Some(length) = engine.next_event(observer, &mut room) {
        told.push(room[..length].to_vec());
    }
    told
}

/// An agent with resources 4 and 3, one with the others, and one that shares 1 with that.
fn neighbours() -> [Given; 3] {
    [
        Given::all(&[4, 3]),
        Given::all(&[2, 1, 0]),
        Given::all(&[1]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The first agent is told the same, word for word, as when it is alone; only its own operations are completed.
    #[test]
    fn an_agent_that_shares_nothing_notices_nothing_of_others(late: bool, steps in vec(step(), 1..80)) {
        let (mut together, mut alone) = (Parts::new(5, &neighbours()), Parts::new(5, &neighbours()));
        let (mut together, mut alone) = (together.engine(), alone.engine());
        together.platform.late = late;
        alone.platform.late = late;
        for step in &steps {
            let told = take(&mut together, step, 0);
            let others = matches!(step, Step::Ask { agent, .. } | Step::Reset { agent } if *agent != 0);
            if others {
                prop_assert_eq!(&told, &Vec::<Vec<u8>>::new(), "{:x?}", step);
            } else {
                prop_assert_eq!(&told, &take(&mut alone, step, 0), "{:x?}", step);
            }
        }
        for resource in [3, 4] {
            for kind in Kind::ALL {
                prop_assert_eq!(together.platform.state.on.of(kind)[resource], alone.platform.state.on.of(kind)[resource]);
            }
            prop_assert_eq!(together.platform.state.levels[resource], alone.platform.state.levels[resource]);
        }
    }

    /// Whatever agents vote, set and ask, and whenever they are reset or lose a device: hardware is on exactly if one of
    /// them has it on by its own account, and when all were reset it is as at boot, for them to read too.
    #[test]
    fn hardware_is_on_exactly_while_an_agent_wants_it_on(late: bool, steps in vec(step(), 1..80)) {
        let agents = [Given::all(&[0, 1, 2, 3, 4]), Given::all(&[4, 1]), Given::all(&[1, 2, 0]).trusted()];
        let mut parts = Parts::new(5, &agents);
        let mut engine = parts.engine();
        engine.platform.late = late;
        let boot = [0, 1, 2].map(|agent| view(&mut engine, agent));
        let mut votes = Votes::default();
        for step in &steps {
            votes.count(step, &mut engine);
            prop_assert_eq!(&votes.any(&agents), &engine.platform.state.on, "{:x?}", step);
        }
        for ((agent, kind, id), on) in votes.0 {
            if let Some(is_on) = reads_on(&mut engine, agent, Kind::ALL[kind], id) {
                prop_assert_eq!(is_on, on);
            }
        }
        for agent in [0, 1, 2] {
            // Permissions too.
            prop_assert_eq!(ask(&mut engine, 2, &[0x400b, agent + 1, 1]), [0x400b, SUCCESS]);
        }
        prop_assert_eq!(&engine.platform.state, &engine.platform.boot);
        for agent in [0, 1, 2] {
            prop_assert_eq!(&view(&mut engine, agent), &boot[usize::from(agent)]);
        }
    }
}

/// What agents want on: agent, kind and the agent's number.
#[derive(Default)]
struct Votes(BTreeMap<(u16, usize, u32), bool>);

impl Votes {
    /// Does a step, and notes what an agent was told that it has voted for.
    fn count(&mut self, step: &Step, engine: &mut Engine<'_, Board>) {
        let mut room = [0; 136];
        match step {
            Step::Ask { agent, request } => {
                let accepted = match engine.handle(*agent, &bytes(request), &mut room) {
                    Answer::Now(length) => words(&room[..length]).get(1) == Some(&SUCCESS),
                    Answer::Later(_) => true,
                };
                if let ([0x400b, target, _, ..], true) = (&request[..], accepted) {
                    self.0.retain(|(of, ..), _| u32::from(*of) + 1 != *target);
                }
                if let (Some((kind, id, on)), true) = (Self::vote(request), accepted) {
                    self.0.insert((*agent, kind, id), on);
                }
            }
            Step::Reset { agent } => {
                engine.reset_agent(*agent).unwrap();
                self.0.retain(|(of, ..), _| of != agent);
            }
            Step::Complete => complete(engine),
            Step::Measure { sensor, .. } => engine.sensor_updated(*sensor),
        }
        for agent in 0..3 {
            while engine.next_event(agent, &mut room).is_some() {}
        }
    }

    /// What a command votes for, if it is accepted.
    fn vote(request: &[u32]) -> Option<(usize, u32, bool)> {
        match *request {
            [0x4404, _, id, state, ..] => Some((0, id, state == 0)),
            [0x5007, id, config, ..] => Some((1, id, config == 1)),
            [0x540a, id, config, ..] => Some((2, id, config & 1 == 1)),
            // Asserted; else released, or reset and released.
            [0x5804, id, flags, ..] => Some((3, id, flags != 2)),
            [0x5c05, id, mode, ..] => Some((4, id, mode == 7)),
            _ => None,
        }
    }

    fn any(&self, agents: &[Given]) -> PerKind<Vec<bool>> {
        let none = || vec![false; 5];
        let mut any = PerKind {
            power: none(),
            clock: none(),
            sensor: none(),
            reset: none(),
            voltage: none(),
        };
        for (&(agent, kind, id), on) in &self.0 {
            let kind = Kind::ALL[kind];
            let (resource, ..) = agents[usize::from(agent)].grants.of(kind)[id as usize];
            any.of_mut(kind)[usize::from(resource)] |= on;
        }
        any
    }
}

/// Whether an agent reads that a resource is on, which of resets it cannot, nor of what was taken from it.
fn reads_on(engine: &mut Engine<'_, Board>, agent: u16, kind: Kind, id: u32) -> Option<bool> {
    let (get, is_on): (_, fn(u32) -> bool) = match kind {
        Kind::Power => (0x4405, |state| state == 0),
        Kind::Clock => (0x5003, |attributes| attributes & 1 == 1),
        Kind::Sensor => (0x5409, |config| config & 1 == 1),
        Kind::Voltage => (0x5c06, |mode| mode == 7),
        Kind::Reset => return None,
    };
    ask(engine, agent, &[get, id]).get(2).copied().map(is_on)
}
