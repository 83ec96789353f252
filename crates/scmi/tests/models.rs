// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Random commands, resets and hardware, against models of what agents notice of each other and of what is on.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::collections::BTreeMap;

use common::agent::*;
use common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use scmi::{Answer, Engine, Kind, PerKind, Reason, Status};

#[derive(Clone, Debug)]
enum Step {
    Ask { agent: u16, request: Vec<u32> },
    Reset { agent: u16 },
    Complete(Result<(), Status>),
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
        2 => prop_oneof![Just(Ok(())), Just(Err(Status::HardwareError))].prop_map(Step::Complete),
        1 => (0u16..5, -2i64..3).prop_map(|(sensor, value)| Step::Measure { sensor, value }),
    ]
}

/// What the agent is told because of a step: the response, that it was woken, and all events.
fn take(engine: &mut Engine<'_, Board>, step: &Step, observer: u16) -> Vec<Vec<u8>> {
    let mut told = Vec::new();
    let mut room = [0; 136];
    engine.platform.woken.clear();
    match step {
        Step::Ask { agent, request } => {
            let answer = engine.handle(*agent, &bytes(request), &mut room);
            if let (Answer::Now(length), true) = (answer, *agent == observer) {
                told.push(room[..length].to_vec());
            }
        }
        Step::Reset { agent } => engine.reset_agent(*agent, Reason::Gone).unwrap(),
        Step::Complete(result) => end(engine, *result),
        Step::Measure { sensor, value } => {
            engine.platform.reading[0] = *value;
            engine.sensor_updated(*sensor);
        }
    }
    if engine.platform.woken.contains(&observer) {
        told.push(b"woken".to_vec());
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
                engine.reset_agent(*agent, Reason::Gone).unwrap();
                self.0.retain(|(of, ..), _| of != agent);
            }
            Step::Complete(result) => end(engine, *result),
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
