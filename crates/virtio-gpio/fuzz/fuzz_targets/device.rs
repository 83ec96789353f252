// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Any messages and any buffers, on the simulated lines, while others drive them. Each message is answered once, in the
//! form of the specification, a line holds one pair of buffers at most, and only what was granted is driven. What the
//! core does with rings, virtio-rng's target shows.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use virtio_backend::testing::{Answer, reply};
use virtio_backend::{Device, Watch};
use virtio_gpio::{Access, Drive, Gpio, Grant, Rest, Settings, SimulatedChip};

/// Lines 0 to 11. The others are not the guest's.
const LINES: u16 = 12;

/// The names of three of them, with zeros.
const NAMES: &[u8] = b"\0a\0\0bc\0\0\0\0\0\0\0\0\0led\0";

#[derive(Arbitrary, Debug)]
enum Step {
    /// A message of which much is right.
    Ask {
        kind: u8,
        line: u8,
        value: u8,
        room: u8,
    },
    /// A message of which nothing needs to be.
    AskAnything {
        request: Vec<u8>,
        room: u16,
    },
    /// Buffers for an interrupt of which much is right.
    Unmask(u8),
    /// Buffers of which nothing needs to be.
    Queue {
        request: Vec<u8>,
        room: u16,
    },
    Outside {
        line: u8,
        level: Option<bool>,
    },
    Poll,
    Stop(u16),
    Reset,
    Disconnect,
    Features(u64),
}

struct Guest {
    gpio: Gpio,
    chip: SimulatedChip,
    watch: Watch,
    held: Vec<Answer>,
}

impl Guest {
    fn new() -> Self {
        let (chip, watch) = (SimulatedChip::new(), Watch::new().unwrap());
        let mut gpio = Gpio::new("guest", &watch);
        for offset in 0..LINES {
            let access = [Access::Both, Access::Input, Access::Output]
                [usize::from(offset).saturating_sub(5) % 3];
            let rest = |number: usize| match access {
                Access::Input => [Rest::Input, Rest::Keep][number % 2],
                _ => [Rest::Input, Rest::Keep, Rest::Low, Rest::High][number % 4],
            };
            let mut grant = Grant {
                access,
                on_reset: rest(offset.into()),
                on_disconnect: rest(usize::from(offset / 2)),
                settings: Settings {
                    active_low: offset % 5 == 4,
                    drive: [Drive::PushPull, Drive::OpenDrain, Drive::OpenSource]
                        [usize::from(offset) % 3],
                    ..Settings::default()
                },
                ..Grant::default()
            };
            grant.name = match offset {
                0 => "a",
                2 => "bc",
                11 => "led",
                _ => "",
            }
            .to_owned();
            gpio.grant(&chip, offset.into(), &grant).unwrap();
        }
        gpio.negotiated(1);
        Self {
            gpio,
            chip,
            watch,
            held: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask {
                kind,
                line,
                value,
                room,
            } => self.ask(
                &[kind % 8, 0, line % 16, 0, value % 10, 0, 0, 0],
                room.into(),
            ),
            Step::AskAnything { request, room } => self.ask(cut(&request), room.into()),
            Step::Unmask(line) => self.queue(&[line % 16, 0], 1),
            Step::Queue { request, room } => self.queue(cut(&request), room.into()),
            Step::Outside { line, level } => {
                let names = ["in0", "button0", "toggle", "open-drain"];
                self.chip
                    .drive(names[usize::from(line) % names.len()], level)
                    .unwrap();
            }
            Step::Poll => {}
            Step::Stop(queue) => self.gpio.stop(queue, virtio_backend::Stopped::default()),
            Step::Reset => {
                self.held.clear();
                self.gpio.reset();
            }
            Step::Disconnect => {
                self.held.clear();
                self.gpio.disconnected();
            }
            Step::Features(features) => self.gpio.negotiated(features),
        }
        self.watch.poll(|token| self.gpio.ready(token));
        self.held.retain(|pair| match pair.now() {
            Some(status) => {
                assert!(matches!(status[..], [] | [0] | [1]));
                false
            }
            None => true,
        });
        assert!(
            self.held.len() <= LINES.into(),
            "more than one pair of buffers for a line"
        );
        for line in ["line12", "line13", "line14", "line15"] {
            assert_eq!(
                self.chip.level(line),
                Some(false),
                "a foreign line is driven"
            );
        }
        // Lines 6 and 9 may only be inputs, of what drives line 2, and of nobody.
        assert_eq!(self.chip.level("in2"), self.chip.level("out2"));
        assert_eq!(self.chip.level("button1"), Some(false));
    }

    fn ask(&mut self, request: &[u8], room: usize) {
        let (reply, answer) = reply(room);
        self.gpio.handle(0, request, reply);
        let answer = answer.now().expect("an answer");
        if answer.len() > 2 {
            assert_eq!(answer, NAMES);
            return;
        }
        assert_eq!(answer.len(), room.min(2));
        assert!(matches!(answer[..], [] | [0 | 1] | [0, 0..=2] | [1, 0]));
    }

    fn queue(&mut self, request: &[u8], room: usize) {
        let (reply, answer) = reply(room);
        self.gpio.handle(1, request, reply);
        self.held.push(answer);
    }
}

/// The core cuts what is longer than the longest.
fn cut(request: &[u8]) -> &[u8] {
    &request[..request.len().min(Gpio::MAX_REQUEST + 1)]
}

fuzz_target!(|steps: Vec<Step>| {
    let mut guest = Guest::new();
    assert_eq!(guest.gpio.config(), [12, 0, 0, 0, 18, 0, 0, 0]);
    for step in steps {
        guest.step(step);
    }
});
