// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device inside a VMM: no socket, no thread, only the VMM's own queues and its own loop.
//!
//! `cargo run -p virtio-scmi --no-default-features --example scmi_in_process`
#![expect(clippy::print_stdout, reason = "the example shows what it got")]

use std::error::Error;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use scmi::Profile;
use virtio_backend::{Device, Events, Reply, Ring, Urgency, Watch};
use virtio_scmi::{Agent, Board, Clock, ClockType, Description, Regulator};

/// A queue whose one buffer is ordinary memory. A VMM has guest memory and a used ring here.
#[derive(Default)]
struct Queue {
    buffer: Mutex<Vec<u8>>,
}

impl Queue {
    fn show(&self, what: &str) {
        let buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        println!("{what}: {buffer:02x?}");
    }
}

impl Ring for Queue {
    fn answer(
        &self,
        _life: u32,
        _chain: u16,
        range: Range<usize>,
        source: &mut dyn FnMut(&mut [u8]),
    ) {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.resize(range.end, 0);
        if let Some(bytes) = buffer.get_mut(range) {
            source(bytes);
        }
    }

    fn emit(&self, _life: u32, message: &[u8], _urgency: Urgency) -> bool {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        *buffer = message.to_vec();
        true
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let board = Board::new(&Description {
        clocks: vec![Clock {
            name: "osc".to_owned(),
            r#type: ClockType::Oscillator,
            rate: Some(24_000_000),
            ..Clock::default()
        }],
        regulators: vec![Regulator {
            name: "vdd".to_owned(),
            level: 1_800_000,
            levels: vec![1_800_000, 3_300_000],
            ..Regulator::default()
        }],
        ..Description::default()
    })?;
    let watch = Watch::new()?;
    let agent = Agent {
        name: "example",
        profile: Profile::V3_2,
        trusted: false,
        grants: &board.everything(),
    };
    let mut scmi = board.guest(&agent, &watch)?;

    let queues = [0, 1].map(|_| Arc::new(Queue::default()));
    let [cmdq, eventq] = &queues;
    let weak = |queue: &Arc<Queue>| -> Weak<Queue> { Arc::downgrade(queue) };
    // The driver accepts VIRTIO_SCMI_F_P2A_CHANNELS.
    scmi.negotiated(1);
    scmi.events(1, Events::new(weak(eventq), 0));

    // CLOCK_RATE_GET of clock 0.
    let request = [0x06, 0x50, 0, 0, 0, 0, 0, 0];
    scmi.handle(0, &request, Reply::new(weak(cmdq), 0, 0, 16));
    cmdq.show("rate");
    // VOLTAGE_LEVEL_SET of regulator 0, asynchronously, to 3.3 V.
    let request = [
        0x07, 0x5c, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xa0, 0x5a, 0x32, 0,
    ];
    scmi.handle(0, &request, Reply::new(weak(cmdq), 0, 0, 8));
    cmdq.show("accepted");
    // A VMM waits for the watch, which is a file descriptor, in its own loop.
    watch.poll(|token| scmi.ready(token));
    eventq.show("complete");
    Ok(())
}
