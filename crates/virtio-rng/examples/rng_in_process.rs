// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device inside a VMM: no socket, no thread, only the VMM's own queue.
//!
//! `cargo run -p virtio-rng --no-default-features --example rng_in_process`
#![expect(clippy::print_stdout, reason = "the example shows what it got")]

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use virtio_backend::{Device, Reply, Ring, Urgency, Watch};
use virtio_rng::{Rng, System};

/// A queue whose one buffer is ordinary memory. A VMM has guest memory and a used ring here.
struct Queue {
    buffer: Mutex<Vec<u8>>,
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

    fn emit(&self, _life: u32, _message: &[u8], _urgency: Urgency) -> bool {
        false // An entropy device has no events.
    }
}

fn main() -> io::Result<()> {
    // A VMM adds `watch` to its event loop, and calls `watch.poll(|token| rng.ready(token))` when it is readable.
    let watch = Watch::new()?;
    let mut rng = Rng::new("example", Box::new(System::new("example")), None, &watch)?;

    let queue = Arc::new(Queue {
        buffer: Mutex::default(),
    });
    let ring: Weak<Queue> = Arc::downgrade(&queue);
    rng.handle(0, &[], Reply::new(ring, 0, 0, 16));

    println!(
        "{:02x?}",
        queue.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    );
    Ok(())
}
