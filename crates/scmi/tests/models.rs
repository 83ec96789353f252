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

use std::collections::{BTreeMap, BTreeSet};

use common::agent::*;
use common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use scmi::{AgentId, Answer, Engine, Kind, PerKind, Reason, Status};

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
            let answer = engine.handle(AgentId(*agent), &bytes(request), &mut room);
            if let (Answer::Now(length), true) = (answer, *agent == observer) {
                told.push(room[..length].to_vec());
            }
        }
        Step::Reset { agent } => engine
            .reset_agent(AgentId(*agent), Reason::Disconnected)
            .unwrap(),
        Step::Complete(result) => end(engine, *result),
        Step::Measure { sensor, value } => {
            engine.platform.reading[0] = *value;
            engine.sensor_updated(ResourceId(*sensor));
        }
    }
    if engine.platform.woken.contains(&observer) {
        told.push(b"woken".to_vec());
    }
    while let Some(length) = engine.next_event(AgentId(observer), &mut room) {
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
    fn an_agent_that_shares_nothing_notices_nothing_of_others(late: bool, late_switches: bool, steps in vec(step(), 1..80)) {
        let (mut together, mut alone) = (Parts::new(5, &neighbours()), Parts::new(5, &neighbours()));
        let (mut together, mut alone) = (together.engine(), alone.engine());
        for engine in [&mut together, &mut alone] {
            engine.platform.late = late;
            engine.platform.late_switches = late_switches;
        }
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
        let mut votes = Votes { given: agents.to_vec(), ..Votes::default() };
        for step in &steps {
            votes.count(step, &mut engine);
            prop_assert_eq!(&votes.any(), &engine.platform.state.on, "{:x?}", step);
        }
        for ((agent, kind, id), on) in votes.on {
            if let Some(is_on) = reads_on(&mut engine, agent, Kind::ALL[kind], id) {
                prop_assert_eq!(is_on, on);
            }
        }
        for agent in [0, 1, 2] {
            // Permissions too.
            prop_assert_eq!(ask(&mut engine, 2, &[0x400b, agent + 1, 1]), [0x400b, SUCCESS]);
        }
        // What one agent let go of may be another one's that is reset before it is there.
        complete(&mut engine);
        prop_assert_eq!(&engine.platform.state, &engine.platform.boot);
        for agent in [0, 1, 2] {
            prop_assert_eq!(&view(&mut engine, agent), &boot[usize::from(agent)]);
        }
    }
}

/// What agents want on: agent, kind and the agent's number. And what they were denied: as a device, or by its protocol.
#[derive(Default)]
struct Votes {
    given: Vec<Given>,
    on: BTreeMap<(u16, usize, u32), bool>,
    denied: BTreeSet<(u16, usize, u32, bool)>,
}

impl Votes {
    /// Does a step, and notes what an agent was told that it has voted for.
    fn count(&mut self, step: &Step, engine: &mut Engine<'_, Board>) {
        let mut room = [0; 136];
        match step {
            Step::Ask { agent, request } => {
                let accepted = match engine.handle(AgentId(*agent), &bytes(request), &mut room) {
                    Answer::Now(length) => words(&room[..length]).get(1) == Some(&SUCCESS),
                    Answer::Later(_) => true,
                };
                if accepted {
                    self.accept(*agent, request);
                }
            }
            Step::Reset { agent } => {
                engine
                    .reset_agent(AgentId(*agent), Reason::Disconnected)
                    .unwrap();
                self.on.retain(|(of, ..), _| of != agent);
            }
            Step::Complete(result) => end(engine, *result),
            Step::Measure { sensor, .. } => engine.sensor_updated(ResourceId(*sensor)),
        }
        for agent in 0..3 {
            while engine.next_event(AgentId(agent), &mut room).is_some() {}
        }
    }

    fn accept(&mut self, agent: u16, request: &[u32]) {
        if let Some((kind, id, on)) = Self::vote(request) {
            self.on.insert((agent, kind, id), on);
        }
        match *request {
            [0x4009, of, device, allow] => self.permit(of - 1, device, None, allow == 1),
            [0x400a, of, device, protocol, allow] => {
                let kind = [0x11, 0x14, 0x15, 0x16, 0x17]
                    .iter()
                    .position(|it| *it == protocol);
                self.permit(of - 1, device, kind, allow == 1);
            }
            [0x400b, target, permissions, ..] => {
                self.on.retain(|(of, ..), _| u32::from(*of) + 1 != target);
                self.denied
                    .retain(|(of, ..)| permissions == 0 || u32::from(*of) + 1 != target);
            }
            _ => {}
        }
    }

    fn permit(&mut self, agent: u32, device: u32, only: Option<usize>, allow: bool) {
        let agent = u16::try_from(agent).unwrap();
        for kind in 0..5 {
            let grants = self.given[usize::from(agent)].grants.of(Kind::ALL[kind]);
            for (id, (resource, ..)) in (0..).zip(grants) {
                if u32::from(*resource) == device && only.is_none_or(|only| only == kind) {
                    let way = (agent, kind, id, only.is_some());
                    if allow {
                        self.denied.remove(&way);
                    } else {
                        self.denied.insert(way);
                    }
                }
            }
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

    fn any(&self) -> PerKind<Vec<bool>> {
        let mut any = PerKind::from_fn(|_| vec![false; 5]);
        for (&(agent, kind, id), on) in &self.on {
            let is_denied = [true, false].map(|way| self.denied.contains(&(agent, kind, id, way)));
            let kind = Kind::ALL[kind];
            let (resource, ..) = self.given[usize::from(agent)].grants.of(kind)[id as usize];
            any.of_mut(kind)[usize::from(resource)] |= *on && is_denied == [false; 2];
        }
        any
    }
}

/// What agents wish of a regulator and of a sensor that they share, what the host does, and what the hardware.
#[derive(Clone, Debug)]
enum Wished {
    Level {
        agent: u16,
        level: u32,
        later: bool,
    },
    Switch {
        agent: u16,
        on: bool,
    },
    Interval {
        agent: u16,
        milliseconds: u32,
        on: bool,
    },
    Allow {
        agent: u32,
        device: u32,
        allow: bool,
    },
    Reset {
        agent: u16,
        requested: bool,
    },
    Late {
        changes: bool,
        switches: bool,
    },
    Broken(bool),
    Done,
}

fn wished() -> impl Strategy<Value = Wished> {
    let level = prop_oneof![Just(900_000), Just(1_000_000), Just(1_100_000)];
    let milliseconds = prop_oneof![Just(0u32), Just(1), Just(5), Just(40), Just(1000)];
    let on = any::<bool>();
    prop_oneof![
        4 => (0u16..3, level, on).prop_map(|(agent, level, later)| Wished::Level { agent, level, later }),
        6 => (0u16..3, on).prop_map(|(agent, on)| Wished::Switch { agent, on }),
        4 => (0u16..3, milliseconds, on)
            .prop_map(|(agent, milliseconds, on)| Wished::Interval { agent, milliseconds, on }),
        2 => (1u32..4, 1u32..3, on).prop_map(|(agent, device, allow)| Wished::Allow { agent, device, allow }),
        1 => (0u16..3, on).prop_map(|(agent, requested)| Wished::Reset { agent, requested }),
        1 => (on, on).prop_map(|(changes, switches)| Wished::Late { changes, switches }),
        1 => on.prop_map(Wished::Broken),
        4 => Just(Wished::Done),
    ]
}

impl Wished {
    fn come_about(&self, engine: &mut Engine<'_, Board>) {
        let command = |engine: &mut Engine<'_, Board>, agent, request: &[u32]| {
            _ = engine.handle(AgentId(agent), &bytes(request), &mut [0; 136]);
        };
        match *self {
            Self::Level {
                agent,
                level,
                later,
            } => {
                command(engine, agent, &[0x5c07, 0, later.into(), level]);
            }
            Self::Switch { agent, on } => {
                command(engine, agent, &[0x5c05, 0, if on { 7 } else { 0 }]);
            }
            Self::Interval {
                agent,
                milliseconds,
                on,
            } => {
                let interval = milliseconds << 16 | if milliseconds == 0 { 0 } else { 0x1d << 11 };
                command(engine, agent, &[0x540a, 1, interval | u32::from(on)]);
            }
            Self::Allow {
                agent,
                device,
                allow,
            } => {
                command(engine, 3, &[0x4009, agent, device, allow.into()]);
            }
            Self::Reset { agent, requested } => {
                let reason = match requested {
                    true => Reason::Requested,
                    false => Reason::Disconnected,
                };
                engine.reset_agent(AgentId(agent), reason).ok();
            }
            Self::Late { changes, switches } => {
                engine.platform.late = changes;
                engine.platform.late_switches = switches;
            }
            Self::Broken(broken) => {
                engine.platform.fault = broken.then_some(Status::HardwareError);
                engine.retry().ok();
            }
            Self::Done => complete(engine),
        }
        for agent in 0..4 {
            while event(engine, agent).is_some() {}
        }
    }
}

/// What each agent may set the regulator to.
const LIMITS: [&[i32]; 3] = [
    &[900_000, 1_000_000, 1_100_000],
    &[900_000],
    &[1_000_000, 1_100_000],
];

/// An agent's interval in nanoseconds, and whether it has the sensor on.
fn interval(engine: &mut Engine<'_, Board>, agent: u16) -> Option<(u64, bool)> {
    let config = *ask(engine, agent, &[0x5409, 1]).get(2)?;
    assert!(matches!(config >> 11 & 0x1f, 0x1d));
    Some((u64::from(config >> 16) * 1_000_000, config & 1 == 1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Whatever agents wish of what they share, in whatever order the hardware does it: when it is done, the regulator is
    /// on exactly if an agent has it on, within the limits of each that has, and the sensor measures as often as the
    /// most demanding that has that on. When all were reset all is as at boot.
    #[test]
    fn what_is_shared_is_what_comes_of_all_wishes(steps in vec(wished(), 1..60)) {
        let given = || Given::all(&[1, 2]);
        let mut parts = Parts::new(5, &[given(), given(), given(), Given::all(&[0]).trusted()]);
        let mut engine = parts.engine();
        for (agent, limits) in (0..).zip(LIMITS) {
            engine.platform.limits.insert((agent, 1), limits);
        }
        let boot = [0, 1, 2].map(|agent| view(&mut engine, agent));
        for step in &steps {
            step.come_about(&mut engine);
            if !engine.platform.tickets.is_empty() || engine.platform.fault.is_some() {
                continue;
            }
            let on = [0, 1, 2].map(|agent| reads_on(&mut engine, agent, Kind::VOLTAGE, 0));
            let state = engine.platform.state.clone();
            prop_assert_eq!(state.on.of(Kind::VOLTAGE)[1], on.contains(&Some(true)), "{:?}", step);
            for (on, limits) in on.iter().zip(LIMITS) {
                prop_assert!(*on != Some(true) || limits.contains(&state.levels[1]), "{:?}", step);
            }
            let intervals = [0, 1, 2].map(|agent| interval(&mut engine, agent));
            let on: Vec<_> = intervals.iter().flatten().filter(|(_, on)| *on).collect();
            prop_assert_eq!(state.on.of(Kind::SENSOR)[2], !on.is_empty(), "{:?}", step);
            let shortest = on.iter().map(|(interval, _)| *interval).min().unwrap_or(0);
            // 0 is the first that there is: 1 ms.
            let asked = state.intervals[2] != 0 || shortest > 1_000_000;
            prop_assert_eq!(state.intervals[2], if asked { shortest } else { 0 }, "{:?}", step);
        }
        engine.platform.fault = None;
        engine.platform.late = false;
        engine.platform.late_switches = false;
        while !engine.platform.tickets.is_empty() {
            complete(&mut engine);
        }
        engine.retry().unwrap();
        for agent in [0, 1, 2] {
            prop_assert_eq!(ask(&mut engine, 3, &[0x400b, agent + 1, 1]), [0x400b, SUCCESS]);
        }
        prop_assert_eq!(&engine.platform.state, &engine.platform.boot);
        for agent in [0, 1, 2] {
            engine.reset_agent(AgentId(agent), Reason::Disconnected).unwrap();
            prop_assert_eq!(&view(&mut engine, agent), &boot[usize::from(agent)]);
        }
    }
}
