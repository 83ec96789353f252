// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A driver that repeats itself, for benchmarks.

use std::path::Path;
use std::time::Instant;

use super::{Descriptor, Vm, feature};

/// A guest that makes the same requests over and over, so many at once. Its buffers stay: nothing
/// here allocates.
pub struct Driver {
    vm: Vm,
    chains: Vec<Vec<Descriptor>>,
    room: u32,
}

impl Driver {
    /// Connects to a back end, and accepts these `features` of its device. There will be `depth`
    /// requests at once, each with `room` bytes for the answer.
    pub fn boot(socket: &Path, features: u64, request: &[u8], room: u32, depth: u16) -> Self {
        // QEMU's rings have no fewer than 4 entries.
        let descriptors = depth * if request.is_empty() { 1 } else { 2 };
        let size = descriptors.next_power_of_two().max(4);
        let vm = Vm::boot(socket, feature::ALL | features, &[size]).unwrap();
        Self::of(vm, request, room, depth)
    }

    /// The same in a machine that runs, through its first queue, which has room for that.
    pub fn of(vm: Vm, request: &[u8], room: u32, depth: u16) -> Self {
        let readable: &[&[u8]] = if request.is_empty() { &[] } else { &[request] };
        let chain = |_| vm.memory.chain(readable, &[room as usize]);
        Self {
            chains: (0..depth).map(chain).collect(),
            vm,
            room,
        }
    }

    /// Makes the requests, and waits for the interrupt at the last answer before it looks for any:
    /// what a driver does that looks first depends on which of the two threads is scheduled. Some back
    /// ends interrupt before that, too.
    pub fn ask(&mut self) {
        let ring = &mut self.vm.rings[0];
        let depth = u16::try_from(self.chains.len()).unwrap();
        let answered = ring.used_index().wrapping_add(depth);
        ring.set_used_event(answered.wrapping_sub(1));
        for chain in &self.chains {
            let head = ring.add(chain);
            ring.push(head);
        }
        ring.notify();
        loop {
            assert!(ring.wait_call(), "no interrupt");
            if ring.used_index() == answered {
                break;
            }
        }
        for _ in &self.chains {
            assert_eq!(ring.pop().expect("an answer").len, self.room);
        }
    }

    /// The p50 and p99 of so many turns, in microseconds.
    pub fn latency<const TURNS: usize>(&mut self) -> [f64; 2] {
        let mut times = [0.0; TURNS];
        for time in &mut times {
            let start = Instant::now();
            self.ask();
            *time = start.elapsed().as_secs_f64() * 1e6;
        }
        times.sort_by(f64::total_cmp);
        [50, 99].map(|percent| times[TURNS * percent / 100])
    }
}
