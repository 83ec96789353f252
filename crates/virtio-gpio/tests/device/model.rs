// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One line against a model of it: random messages, edges, levels and faults, by the
//! specification's rules.
use proptest::prelude::*;
use virtio_backend::Device;
use virtio_backend::testing::Answer;

use crate::common::{F_IRQ, Guest, lines};

/// What may happen to a line.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message on the requestq: its type and value.
    Request(u8, u32),
    /// A pair of buffers on the eventq.
    Unmask,
    /// Somebody outside drives the line. The device does not hear of it yet.
    Drive(bool),
    /// The device hears of what there was.
    Hear,
    /// The hardware fails from now on.
    Break,
    /// It works again, and the device looks at the line.
    Mend,
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![0u32..10, Just(0x100)];
    prop_oneof![
        6 => (2u8..7, value).prop_map(|(kind, value)| Step::Request(kind, value)),
        3 => prop_oneof![Just(1), Just(2), Just(3), Just(4), Just(8)]
            .prop_map(|kind| Step::Request(6, kind)),
        4 => Just(Step::Unmask),
        6 => any::<bool>().prop_map(Step::Drive),
        6 => Just(Step::Hear),
        1 => Just(Step::Break),
        2 => Just(Step::Mend),
        1 => Just(Step::Reset),
    ]
}

/// The line in the words of the specification: what the driver set, and what the device remembers.
#[derive(Debug, Default)]
struct Model {
    /// 0 none, 1 out, 2 in.
    direction: u32,
    value: u32,
    /// 0 while the interrupt is disabled.
    irq_type: u32,
    /// An interrupt was asked for that the line cannot have. Its buffers are held, though it is
    /// disabled.
    refused: bool,
    latched: bool,
    /// There was an edge of which the device did not hear.
    pending: bool,
    /// The hardware fails.
    is_broken: bool,
    /// How many pairs of buffers the device holds: 0 or 1.
    held: usize,
    /// What is driven from outside.
    outside: bool,
}

/// What the driver sees of a step.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// The response on the requestq.
    response: Option<[u8; 2]>,
    /// The statuses of the buffers that came back on the eventq: 0 invalid, 1 valid.
    statuses: Vec<u8>,
}

impl Model {
    fn level(&self) -> bool {
        if self.direction == 1 {
            self.value == 1
        } else {
            self.outside
        }
    }

    fn is_active(&self) -> bool {
        self.irq_type == 4 && self.level() || self.irq_type == 8 && !self.level()
    }

    fn step(&mut self, step: Step) -> Seen {
        let mut seen = Seen::default();
        // Whether the device looks at the level.
        let mut senses = false;
        match step {
            Step::Request(kind, value) => {
                let value = self.request(kind, value, &mut seen.statuses);
                seen.response = Some(value.map_or([1, 0], |value| [0, value]));
                senses = kind == 6 && value.is_some();
            }
            Step::Unmask if self.held == 1 || self.irq_type == 0 && !self.refused => {
                seen.statuses.push(0);
            }
            Step::Unmask => {
                self.held = 1;
                senses = true;
                // Those that followed the one that is told are part of it.
                self.pending &= !self.latched || self.is_broken;
            }
            Step::Drive(level) => {
                let rose = !self.outside && level;
                let fell = self.outside && !level;
                self.outside = level;
                self.pending |= rose && matches!(self.irq_type, 1 | 3 | 4);
                self.pending |= fell && matches!(self.irq_type, 2 | 3 | 8);
            }
            // A line that is latched is mute.
            Step::Hear if self.latched => {}
            Step::Hear => senses = self.hear(),
            Step::Break => self.is_broken = true,
            Step::Mend => {
                self.is_broken = false;
                self.hear();
                senses = true;
            }
            Step::Reset => {
                *self = Self {
                    outside: self.outside,
                    is_broken: self.is_broken,
                    ..Self::default()
                };
            }
        }
        let is_active = senses && !self.is_broken && self.is_active();
        // "The interrupt has been both unmasked and enabled."
        if self.held == 1 && (self.latched || is_active) {
            self.held = 0;
            self.latched = false;
            seen.statuses.push(1);
        }
        seen
    }

    /// Whether there was an edge.
    fn hear(&mut self) -> bool {
        let edge = self.pending && !self.is_broken;
        self.pending &= !edge;
        // A level is not remembered.
        self.latched |= edge && matches!(self.irq_type, 1..=3);
        edge
    }

    /// The response's value, if it is no error.
    fn request(&mut self, kind: u8, value: u32, statuses: &mut Vec<u8>) -> Option<u8> {
        match (kind, value) {
            (2, _) => return u8::try_from(self.direction).ok(),
            (3, 0) => {
                // An output is made an input first.
                let fails = self.is_broken && self.direction == 1;
                self.disable(statuses);
                (self.direction, self.value) = (0, 0);
                return (!fails).then_some(0);
            }
            (3, 2) if self.direction == 2 => {}
            (3, 1 | 2) | (4, _) if self.is_broken => return None,
            (3, 1) if self.irq_type == 0 => self.direction = 1,
            (3, 2) => self.direction = 2,
            (4, _) => return Some(self.level().into()),
            (5, 0 | 1) => {
                self.value = value;
                return (!self.is_broken || self.direction != 1).then_some(0);
            }
            (6, 0) => {
                let fails = self.is_broken && self.irq_type != 0;
                self.disable(statuses);
                return (!fails).then_some(0);
            }
            (6, 1 | 2 | 3 | 4 | 8) => {
                if self.direction == 1 || self.is_broken {
                    self.refused |= self.irq_type == 0;
                    return None;
                }
                self.refused = false;
                self.direction = 2;
                self.irq_type = value;
                (self.latched, self.pending) = (false, false);
            }
            _ => return None,
        }
        Some(0)
    }

    fn disable(&mut self, statuses: &mut Vec<u8>) {
        statuses.extend(vec![0; self.held]);
        (self.irq_type, self.refused) = (0, false);
        (self.latched, self.pending, self.held) = (false, false, 0);
    }
}

/// The device, and the buffers that it was given.
struct Driver {
    guest: Guest,
    pairs: Vec<Answer>,
}

impl Driver {
    fn step(&mut self, step: Step) -> Seen {
        let mut seen = Seen::default();
        match step {
            Step::Request(kind, value) => {
                let [v0, v1, v2, v3] = value.to_le_bytes();
                let request = [kind, 0, 0, 0, v0, v1, v2, v3];
                seen.response = Some(self.guest.request(request));
            }
            Step::Unmask => {
                let pair = self.guest.unmask(0);
                // In the order in which a driver could see them.
                self.pairs.push(pair);
            }
            Step::Drive(level) => self.guest.chip.drive(0, level),
            Step::Hear => {
                self.guest.hear();
            }
            Step::Break => self.guest.chip.with(0, |wire| wire.fails = true),
            Step::Mend => self.guest.mend(0),
            Step::Reset => {
                self.pairs.clear();
                self.guest.gpio.reset();
                self.guest.gpio.negotiated(F_IRQ);
            }
        }
        self.pairs.retain(|pair| match pair.now() {
            Some(status) => {
                seen.statuses.extend(status);
                false
            }
            None => true,
        });
        seen
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn a_line_does_what_the_specification_says(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::default();
        let mut driver = Driver { guest: Guest::new(&lines(1)), pairs: Vec::new() };
        for step in steps {
            prop_assert_eq!(driver.step(step), model.step(step), "after {:?}", step);
            prop_assert_eq!(driver.pairs.len(), model.held);
        }
    }
}
