// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device inside a VMM: no socket, no thread, only the VMM's own queues and its own loop.
//!
//! `cargo run -p virtio-gpio --no-default-features --example gpio_in_process`
#![expect(clippy::print_stdout, reason = "the example shows what it got")]

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use virtio_backend::{Device, Reply, Ring, Urgency, Watch};
use virtio_gpio::{Gpio, Grant, SimulatedChip};

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
        _head: u16,
        range: Range<usize>,
        source: &mut dyn FnMut(&mut [u8]),
    ) {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.resize(range.end, 0);
        if let Some(bytes) = buffer.get_mut(range) {
            source(bytes);
        }
    }

    fn emit(&self, _life: u32, _message: &[u8], _urgency: Urgency) -> bool {
        false // A GPIO device answers, and says nothing else.
    }
}

fn main() -> io::Result<()> {
    let (chip, watch) = (SimulatedChip::new(), Watch::new()?);
    let mut gpio = Gpio::new("example", &watch);
    let button = Grant {
        name: "button".to_owned(),
        ..Grant::default()
    };
    gpio.grant(&chip, 8, &button)?;
    // The driver accepts VIRTIO_GPIO_F_IRQ.
    gpio.negotiated(1);

    let queues = [0, 1].map(|_| Arc::new(Queue::default()));
    let [requestq, eventq] = &queues;
    let reply = |queue: &Arc<Queue>, room| {
        let ring: Weak<Queue> = Arc::downgrade(queue);
        Reply::new(ring, 0, 0, room)
    };
    // SET_IRQ_TYPE, rising; and buffers for the interrupt.
    gpio.handle(0, &[6, 0, 0, 0, 1, 0, 0, 0], reply(requestq, 2));
    requestq.show("enabled");
    gpio.handle(1, &[0, 0], reply(eventq, 1));
    eventq.show("before the button is pressed");

    chip.drive("button0", Some(true))?;
    // A VMM waits for the watch, which is a file descriptor, in its own loop.
    watch.poll(|token| gpio.ready(token));
    eventq.show("after");
    Ok(())
}
