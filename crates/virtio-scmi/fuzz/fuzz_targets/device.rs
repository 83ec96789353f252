// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Any messages of two guests that share, with any room, as time goes by and hardware fails. Each message is answered
//! once, by a response to it that has a status and fits; events are such, and come to who wants them; and when the guests
//! are gone the platform is as at boot. What the core does with rings, virtio-rng's target shows.
#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use scmi::{Kind, Profile};
use virtio_backend::testing::{Answer, Buffers, events, reply};
use virtio_backend::{Device, Stopped, Token, Watch};
use virtio_scmi::{
    Access, Agent, Board, Clock, ClockType, Description, Grant, PowerDomain, Regulator, Reset,
    Scmi, Sensor, SensorType, Value, VoltageRange,
};

#[derive(Arbitrary, Debug)]
enum Step {
    /// A message of which much is right.
    Ask {
        who: bool,
        protocol: u8,
        message: u8,
        words: [u8; 3],
        value: u32,
        room: u8,
    },
    /// A message of which nothing needs to be.
    AskAnything {
        who: bool,
        request: Vec<u8>,
        room: u16,
    },
    Lend {
        who: bool,
        buffers: u8,
    },
    Reset {
        who: bool,
    },
    Disconnect {
        who: bool,
    },
    Features {
        who: bool,
        features: u64,
    },
    Stop {
        who: bool,
        queue: u16,
    },
    Pass {
        milliseconds: u16,
    },
    Broken(bool),
    /// By the host, while it is there.
    ResetByName {
        who: bool,
    },
}

const NAMES: [&str; 2] = ["trusted", "other"];

struct Guest {
    scmi: Scmi,
    watch: Watch,
    buffers: Buffers,
    /// Whether it has the feature.
    p2a: bool,
    /// Requests that are not answered yet: the header, and the room.
    waiting: Vec<(u32, usize, Answer)>,
}

struct World {
    board: Board,
    time: Arc<AtomicU64>,
    guests: [Guest; 2],
    boot: Vec<i64>,
}

/// One for all runs: a platform is there as long as its process.
static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::new()));

fn description() -> Description {
    let clock = |name: &str, r#type, parent: Option<&str>| Clock {
        name: name.into(),
        r#type,
        parent: parent.map(Into::into),
        shared: true,
        ..Clock::default()
    };
    Description {
        clocks: vec![
            Clock {
                rate: Some(24_000_000),
                ..clock("osc", ClockType::Oscillator, None)
            },
            Clock {
                rate: Some(200),
                rates: vec![100, 200, 400],
                lock_time: 5000,
                ..clock("a-pll-with-a-long-name", ClockType::Pll, Some("osc"))
            },
            Clock {
                dividers: vec![2, 1, 7],
                ..clock("div", ClockType::Divider, Some("a-pll-with-a-long-name"))
            },
            Clock {
                parents: vec!["osc".into(), "div".into()],
                ..clock("mux", ClockType::Mux, None)
            },
            clock("gate", ClockType::Gate, Some("mux")),
        ],
        sensors: vec![
            Sensor {
                name: "hot".into(),
                value: Some(Value::One(1_000_000_000)),
                drift: 500_000_000,
                clock: Some("gate".into()),
                // To the coldest that there is.
                load: -500_273_150,
                trip_points: 2,
                shared: true,
                ..Sensor::default()
            },
            Sensor {
                name: "accel".into(),
                r#type: SensorType::Acceleration,
                value: Some(Value::Axes([1, -156_906, 156_906])),
                intervals: vec![10, 65_535],
                shared: true,
                ..Sensor::default()
            },
        ],
        resets: vec![
            Reset {
                name: "slow".into(),
                latency: 20_000,
                shared: true,
            },
            Reset {
                name: "quick".into(),
                latency: 0,
                shared: true,
            },
        ],
        power_domains: vec![
            PowerDomain {
                name: "soc".into(),
                parent: None,
                shared: true,
            },
            PowerDomain {
                name: "npu".into(),
                parent: Some("soc".into()),
                shared: true,
            },
        ],
        regulators: vec![Regulator {
            name: "vdd".into(),
            level: -100,
            range: Some(VoltageRange {
                min: -100,
                max: 1000,
                step: 11,
            }),
            ramp: 1000,
            shared: true,
            ..Regulator::default()
        }],
    }
}

impl World {
    fn new() -> Self {
        let time = Arc::new(AtomicU64::new(0));
        let now = Arc::clone(&time);
        let board = Board::with_time(&description(), move || {
            Duration::from_millis(now.load(Ordering::Relaxed))
        })
        .unwrap();
        let everything = board.everything();
        let some = everything
            .iter()
            .rev()
            .filter(|grant| grant.name.len() != 3)
            .map(|grant| Grant {
                access: if grant.name.len() % 2 == 0 {
                    Access::Full
                } else {
                    Access::Switch
                },
                max: grant.name.starts_with("a-pll").then_some(200),
                on: grant.kind == Kind::CLOCK,
                device: 1,
                alias: (grant.kind == Kind::POWER).then(|| "mine".into()),
                ..grant.clone()
            });
        let guest = |profile, grants: &[Grant]| {
            let watch = Watch::new().unwrap();
            // The one that is given everything is trusted.
            let trusted = profile == Profile::V3_2;
            let agent = Agent {
                name: NAMES[usize::from(!trusted)],
                profile,
                trusted,
                grants,
            };
            let scmi = board.guest(&agent, &watch).unwrap();
            Guest {
                scmi,
                watch,
                buffers: events(8).1,
                p2a: false,
                waiting: Vec::new(),
            }
        };
        let guests = [
            guest(Profile::V3_2, &everything),
            guest(Profile::V2_0, &some.collect::<Vec<_>>()),
        ];
        let mut world = Self {
            board,
            time,
            guests,
            boot: Vec::new(),
        };
        world.boot = world.states();
        world
    }

    fn states(&self) -> Vec<i64> {
        let of_kind = |kind| (0..5).filter_map(move |resource| self.board.state(kind, resource));
        Kind::ALL.into_iter().flat_map(of_kind).collect()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask {
                who,
                protocol,
                message,
                words,
                value,
                room,
            } => {
                let ids = [0x10u32, 0x11, 0x14, 0x15, 0x16, 0x17];
                let protocol = ids[usize::from(protocol) % ids.len()];
                let mut request = vec![protocol << 10 | u32::from(message % 18)];
                request.extend(words.map(|word| u32::from(word % 9)));
                request.push(value);
                let bytes: Vec<_> = request.iter().flat_map(|word| word.to_le_bytes()).collect();
                self.guest(who).ask(&bytes, room.into());
            }
            Step::AskAnything { who, request, room } => {
                // The core cuts what is longer than the longest.
                let length = request.len().min(Scmi::MAX_REQUEST + 1);
                self.guest(who).ask(&request[..length], room.into());
            }
            Step::Lend { who, buffers } => {
                let guest = self.guest(who);
                guest.buffers.lend(usize::from(buffers % 4));
                guest.scmi.lent(1);
            }
            Step::Reset { who } => self.guest(who).reset(Scmi::reset),
            Step::Disconnect { who } => self.guest(who).reset(Scmi::disconnected),
            Step::Features { who, features } => {
                let guest = self.guest(who);
                guest.p2a = features & 1 != 0;
                guest.scmi.negotiated(features);
            }
            Step::Stop { who, queue } => {
                self.guest(who).scmi.stop(queue, Stopped::default());
            }
            Step::Pass { milliseconds } => {
                self.time.fetch_add(milliseconds.into(), Ordering::Relaxed);
                self.guests[0].scmi.ready(Token(1));
            }
            Step::Broken(broken) => self.board.set_broken(broken),
            Step::ResetByName { who } => {
                let name = NAMES[usize::from(who)];
                self.board.reset(name).unwrap();
            }
        }
        self.guests.iter_mut().for_each(Guest::poll);
    }

    fn guest(&mut self, who: bool) -> &mut Guest {
        &mut self.guests[usize::from(who)]
    }
}

impl Guest {
    fn ask(&mut self, request: &[u8], room: usize) {
        let (reply, answer) = reply(room);
        self.scmi.handle(0, request, reply);
        match request.first_chunk() {
            Some(header) => self
                .waiting
                .push((u32::from_le_bytes(*header), room, answer)),
            None => assert_eq!(answer.now(), Some(Vec::new())),
        }
        assert!(
            self.waiting.len() <= 17,
            "more operations than there are places for"
        );
    }

    fn poll(&mut self) {
        self.watch.poll(|token| self.scmi.ready(token));
        self.scmi.ready(Token(2));
        self.waiting.retain(|(header, room, answer)| {
            let Some(answer) = answer.now() else {
                return true;
            };
            assert!(answer.len() <= (*room).min(132));
            assert_eq!(answer.len() >= 8, *room >= 8, "{answer:?}");
            if let Some((its, rest)) = answer.split_first_chunk() {
                assert_eq!(u32::from_le_bytes(*its), *header);
                let status = i32::from_le_bytes(rest[..4].try_into().unwrap());
                assert!((-10..=0).contains(&status));
                assert!(status == 0 || rest.len() == 4);
            }
            false
        });
        while let Some(event) = self.buffers.now() {
            let header = u32::from_le_bytes(event[..4].try_into().unwrap());
            assert!(matches!(header & 0x300, 0x200 | 0x300), "{event:?}");
            assert!(event.len() >= 8 && event.len() <= 132);
        }
    }

    fn reset(&mut self, how: fn(&mut Scmi)) {
        self.waiting.clear();
        how(&mut self.scmi);
        let (events, buffers) = events(8);
        self.buffers = buffers;
        self.scmi.negotiated(self.p2a.into());
        self.scmi.events(1, events);
        self.scmi.lent(1);
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let mut world = WORLD.lock().unwrap();
    for step in steps {
        world.step(step);
    }
    world.board.set_broken(false);
    // What the trusted guest took from the other, or itself, stays away until it gives that back, with
    // BASE_RESET_AGENT_CONFIGURATION.
    for agent in [1, 2] {
        world.step(Step::Ask {
            who: false,
            protocol: 0,
            message: 0xb,
            words: [agent, 1, 0],
            value: 0,
            room: 8,
        });
    }
    // All operations end, and what failed is tried again.
    world.step(Step::Pass { milliseconds: 2000 });
    world.step(Step::Pass { milliseconds: 0 });
    assert!(world.guests.iter().all(|guest| guest.waiting.is_empty()));
    for who in [false, true] {
        world.step(Step::Features { who, features: 0 });
        world.step(Step::Disconnect { who });
    }
    assert_eq!(world.states(), world.boot);
});
