// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Any requests, on the simulated chips. Each is answered once, in the form of the specification,
//! and only what was granted is reached. What the core does with rings, virtio-rng's target shows.
#![no_main]

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use virtio_backend::testing::{Answer, reply};
use virtio_backend::{Device, Token, Watch};
use virtio_i2c::{
    Adapter, Address, Bus, Data, I2c, MAX_LENGTH, MAX_MESSAGES, Message, SimulatedBus,
};

const GRANTED: [Address; 3] = [
    Address::Seven(0x48),
    Address::Seven(0x50),
    Address::Ten(0x123),
];

#[derive(Arbitrary, Debug)]
enum Step {
    /// A request of which much is right.
    Ask {
        chip: Chip,
        flags: u8,
        payload: Vec<u8>,
        room: u16,
    },
    /// A request of which nothing needs to be.
    AskAnything {
        request: Vec<u8>,
        room: u32,
    },
    /// A write or a read near the longest there are.
    AskMuch {
        read: bool,
        over: i8,
    },
    Drained,
    /// What was waited for did not come.
    Late,
    Stop,
    Reset,
    Features(u64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Chip {
    Sensor,
    Eeprom,
    Ten,
    Foreign,
}

impl Chip {
    fn addr(self) -> [u8; 2] {
        match self {
            Self::Sensor => [0x90, 0],
            Self::Eeprom => [0xa0, 0],
            Self::Ten => [0xf2, 0x23],
            Self::Foreign => [0x92, 0],
        }
    }
}

/// The simulated chips, behind a look at what they get.
struct Guarded(SimulatedBus);

impl Bus for Guarded {
    fn transfer(&mut self, messages: &mut [Message<'_>]) -> io::Result<()> {
        assert!((1..=MAX_MESSAGES).contains(&messages.len()));
        for message in &*messages {
            assert!(GRANTED.contains(&message.address));
            let length = match &message.data {
                Data::Write(bytes) => bytes.len(),
                Data::Read(bytes) => bytes.len(),
            };
            assert!(length <= MAX_LENGTH);
        }
        self.0.transfer(messages)
    }
}

struct Guest {
    i2c: I2c,
    asked: Vec<(usize, Answer)>,
}

impl Guest {
    fn new() -> Self {
        let adapter = Adapter::new(Guarded(SimulatedBus::demo()));
        let (watch, granted) = (Watch::new().unwrap(), BTreeSet::from(GRANTED));
        let mut i2c = I2c::new("guest", Arc::new(adapter), granted, &watch).unwrap();
        i2c.negotiated(1);
        Self {
            i2c,
            asked: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask {
                chip,
                flags,
                payload,
                room,
            } => {
                let header = [&chip.addr()[..], &[0, 0, flags & 3, 0, 0, 0]].concat();
                self.ask(&[header, payload].concat(), room.into());
            }
            Step::AskAnything { request, room } => {
                // The core cuts what is longer than the longest.
                let length = request.len().min(I2c::MAX_REQUEST + 1);
                self.ask(&request[..length], room as usize);
            }
            Step::AskMuch { read, over } => {
                let length = MAX_LENGTH.saturating_add_signed(over.into());
                let header = [0xa0, 0, 0, 0, u8::from(read) * 2, 0, 0, 0];
                if read {
                    self.ask(&header, length + 1);
                } else {
                    let request = [&header[..], &vec![0; length]].concat();
                    self.ask(&request[..request.len().min(I2c::MAX_REQUEST + 1)], 1);
                }
            }
            Step::Drained => self.i2c.drained(0),
            Step::Late => {
                // The timer is set when the ring is drained.
                self.i2c.drained(0);
                self.i2c.ready(Token(0));
                self.collect();
            }
            Step::Stop => {
                self.i2c.stop(0, virtio_backend::Stopped::default());
                self.collect();
            }
            Step::Reset => {
                self.asked.clear();
                self.i2c.reset();
            }
            Step::Features(features) => self.i2c.negotiated(features),
        }
    }

    fn ask(&mut self, request: &[u8], room: usize) {
        let (reply, answer) = reply(room);
        self.i2c.handle(0, request, reply);
        self.asked.push((room, answer));
    }

    /// All that was asked for is answered now, with a status at the end of the room there is.
    fn collect(&mut self) {
        for (room, answer) in self.asked.drain(..) {
            let status = if room <= MAX_LENGTH + 1 {
                let bytes = answer.now().expect("an answer");
                assert_eq!(bytes.len(), room);
                bytes.last().copied()
            } else {
                answer.last().expect("an answer").last().copied()
            };
            assert!(room == 0 || matches!(status, Some(0 | 1)));
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let mut guest = Guest::new();
    for step in steps {
        guest.step(step);
    }
    guest.step(Step::Late);
});
