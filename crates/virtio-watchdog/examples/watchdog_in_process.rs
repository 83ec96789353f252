// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device inside a VMM: no socket, no thread, only the VMM's own queue and its own loop. What is
//! done about a guest that failed is the VMM's.
//!
//! `cargo run -p virtio-watchdog --no-default-features --example watchdog_in_process`
#![expect(clippy::print_stdout, reason = "the example shows what it got")]

use std::io;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;

use virtio_backend::{Device, Reply, Ring, Urgency, Watch};
use virtio_watchdog::{Host, Report, Settings, VERDICT, Verdict, Watchdog};

/// A queue. A VMM has guest memory and a used ring here.
struct Queue;

impl Ring for Queue {
    fn answer(
        &self,
        _life: u32,
        _chain: u16,
        range: Range<usize>,
        source: &mut dyn FnMut(&mut [u8]),
    ) {
        let mut buffer = vec![0; range.len()];
        source(&mut buffer);
        println!("answer: {buffer:02x?}");
    }

    fn emit(&self, _life: u32, _message: &[u8], _urgency: Urgency) -> bool {
        false // The driver of this example lends no buffers for events.
    }
}

/// The VMM: it knows whether its guest was able to ping, and can reset it.
struct Vmm {
    verdicts: Vec<Verdict>,
}

impl Host for Vmm {
    fn report(&mut self, report: Report) {
        println!("report: {report:?}");
        match report {
            Report::Due(_) => self.verdicts.push(Verdict::Act),
            Report::Failed(_) => self.verdicts.push(Verdict::Reset),
            _ => {}
        }
    }

    fn verdict(&mut self) -> Option<Verdict> {
        self.verdicts.pop()
    }
}

fn main() -> io::Result<()> {
    let watch = Watch::new()?;
    let settings = Settings {
        timeout: Duration::from_millis(200),
        ..Settings::default()
    };
    let vmm = Box::new(Vmm {
        verdicts: Vec::new(),
    });
    let mut watchdog = Watchdog::new("example", settings, vmm, None, &watch)?;
    watchdog.connected();
    watchdog.negotiated(0);

    let queue = Arc::new(Queue);
    let ring: Weak<Queue> = Arc::downgrade(&queue);
    watchdog.handle(0, &[], Reply::new(ring, 0, 0, 1));

    // Why the guest was reset. A VMM's loop waits for the watch instead.
    while watchdog.config().get(0x18) == Some(&0) {
        watch.poll(|token| watchdog.ready(token));
        watchdog.ready(VERDICT);
    }
    Ok(())
}
