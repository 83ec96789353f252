// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Any bytes from any agent in any version, with hardware that is slow and fails: nothing panics, nothing is written
//! beyond the room, and when all agents were reset the hardware is as at boot.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use scmi::{AgentId, Answer, Engine, Place, Profile, Reason, ResourceId, Status, Ticket};

use common::{Board, Given, Parts};

#[derive(Arbitrary, Debug)]
struct Input {
    versions: [u8; 3],
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// Bytes, as they are.
    Raw {
        agent: u8,
        request: Vec<u8>,
        room: u8,
    },
    /// A header that is one, and parameters that may be.
    Command {
        agent: u8,
        protocol: u8,
        message: u8,
        parameters: Vec<Parameter>,
        room: u8,
    },
    Event {
        agent: u8,
        room: u8,
    },
    /// Of an operation that goes on, the one at this place.
    Complete {
        which: u8,
        code: i8,
    },
    /// Of any operation there ever was, or none.
    CompleteTicket(u64),
    Answer {
        place: u32,
        room: u8,
    },
    Measure {
        sensor: u8,
        value: i64,
    },
    Hardware {
        late: bool,
        late_switches: bool,
        fault: Option<i8>,
    },
    Events {
        agent: u8,
        reach: bool,
    },
    Reset {
        agent: u8,
        lives: bool,
    },
}

#[derive(Arbitrary, Debug)]
enum Parameter {
    Small(u8),
    Any(u32),
}

const CANARY: u8 = 0xa5;

/// Room for a message, in front of what is not to be written.
struct Room {
    bytes: [u8; 512],
    length: usize,
}

impl Room {
    fn new(length: u8) -> Self {
        Self {
            bytes: [CANARY; 512],
            length: length.into(),
        }
    }

    fn get(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// Of a message of this length.
    fn check(&self, length: usize) {
        assert!(length <= self.length && length <= 132);
        assert!(length == 0 || length >= 8);
        assert!(self.bytes[self.length..].iter().all(|&byte| byte == CANARY));
    }
}

fuzz_target!(|input: Input| {
    let given = [
        Given::all(&[0, 1, 2, 3, 4]),
        Given::all(&[4, 2]),
        Given::all(&[0]).trusted(),
    ];
    let agents: Vec<_> = given
        .into_iter()
        .zip(input.versions)
        .map(|(given, version)| given.speaking(profile(version)))
        .collect();
    let mut parts = Parts::new(5, &agents);
    let mut engine = parts.engine();
    for step in input.steps {
        take(&mut engine, step);
    }
    engine.platform.fault = None;
    engine.platform.late = false;
    engine.platform.late_switches = false;
    while !engine.platform.tickets.is_empty() {
        common::complete(&mut engine);
    }
    engine.retry().unwrap();
    for agent in (0..3).map(AgentId) {
        engine.reset_agent(agent, Reason::Disconnected).unwrap();
        assert_eq!(engine.next_event(agent, &mut [0; 136]), None);
    }
    assert_eq!(engine.platform.state, engine.platform.boot);
});

fn profile(version: u8) -> Profile {
    let profiles = [Profile::V2_0, Profile::V3_0, Profile::V3_1, Profile::V3_2];
    profiles[usize::from(version) % 4]
}

fn status(code: i8) -> Result<(), Status> {
    Status::check(code.into())
}

fn take(engine: &mut Engine<'_, Board>, step: Step) {
    match step {
        Step::Raw {
            agent,
            request,
            room,
        } => handle(engine, agent, &request, room),
        Step::Command {
            agent,
            protocol,
            message,
            parameters,
            room,
        } => {
            let protocol = [0x10, 0x11, 0x14, 0x15, 0x16, 0x17][usize::from(protocol) % 6];
            let mut request = vec![protocol << 10 | u32::from(message % 0x12)];
            request.extend(parameters.iter().map(|parameter| match *parameter {
                Parameter::Small(value) => u32::from(value % 8),
                Parameter::Any(value) => value,
            }));
            handle(engine, agent, &common::bytes(&request), room);
        }
        Step::Event { agent, room } => {
            let mut room = Room::new(room);
            let length = engine.next_event(number(agent), room.get());
            room.check(length.unwrap_or(0));
        }
        Step::Complete { which, code } => {
            let tickets = &mut engine.platform.tickets;
            if !tickets.is_empty() {
                let ticket = tickets.remove(usize::from(which) % tickets.len());
                common::end_one(engine, ticket, status(code));
            }
        }
        Step::CompleteTicket(number) => {
            // One that goes on is the hardware's to end.
            let ticket = Ticket::new(number);
            let ticket = ticket.filter(|it| !engine.platform.tickets.contains(it));
            if let Some(ticket) = ticket {
                engine.complete(ticket, Ok(()));
            }
        }
        Step::Answer { place, room } => {
            let mut room = Room::new(room);
            let length = engine.answer(Place::from(place), room.get());
            room.check(length.unwrap_or(0));
        }
        Step::Measure { sensor, value } => {
            engine.platform.reading[0] = value;
            engine.sensor_updated(ResourceId(u16::from(sensor) % 6));
        }
        Step::Hardware {
            late,
            late_switches,
            fault,
        } => {
            engine.platform.late = late;
            engine.platform.late_switches = late_switches;
            engine.platform.fault = fault.and_then(|code| status(code).err());
        }
        Step::Events { agent, reach } => engine.set_events(number(agent), reach),
        Step::Reset { agent, lives } => {
            let reason = match lives {
                true => Reason::Requested,
                false => Reason::Disconnected,
            };
            engine.platform.unfinished = false;
            let failed = engine.reset_agent(number(agent), reason).is_err();
            // Or it is of an agent that there is not.
            assert!(failed == engine.platform.unfinished || agent % 4 == 3);
        }
    }
}

/// Of an agent, or of one that there is not.
fn number(agent: u8) -> AgentId {
    AgentId(u16::from(agent) % 4)
}

fn handle(engine: &mut Engine<'_, Board>, agent: u8, request: &[u8], room: u8) {
    let mut room = Room::new(room);
    match engine.handle(number(agent), request, room.get()) {
        Answer::Now(length) => {
            room.check(length);
            assert!(length == 0 || room.bytes[..4] == request[..4]);
        }
        Answer::Later(_) => assert!(room.bytes[room.length..].iter().all(|&byte| byte == CANARY)),
    }
}
