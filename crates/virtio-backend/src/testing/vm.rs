// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A virtual machine: a front end, guest memory and rings, in the order of QEMU.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::front_end::Area;
use super::{Descriptor, FrontEnd, Layout, Memory, Ring, feature, protocol};

/// Guest memory as a PC has it, in small: two regions side by side, and one above the hole below 4
/// GiB.
const REGIONS: [(u64, usize); 3] = [
    (0x10_0000, 0x80_0000),
    (0x90_0000, 0x10_0000),
    (0x1_0000_0000, 0x10_0000),
];

/// What the front end of a machine accepts that outlives its back end.
const LASTING: u64 = protocol::ALL | protocol::INFLIGHT_SHMFD;

/// A virtual machine with one device, whose driver we are.
#[derive(Debug)]
pub struct Vm {
    /// What the VMM says.
    pub front_end: FrontEnd,
    /// Guest memory. 1 MiB to 9 MiB is one region, where buffers are allocated; the MiB that
    /// follows is another, and so is the MiB from 4 GiB on.
    pub memory: Arc<Memory>,
    /// The device's queues.
    pub rings: Vec<Ring>,
    features: u64,
    /// What the back end has of each queue, for the one after it.
    area: Option<Box<Area>>,
}

impl Vm {
    /// Connects to a back end and starts its device with queues of these `sizes`.
    ///
    /// # Errors
    /// When nobody listens at `socket`, or the back end refuses.
    pub fn boot(socket: &Path, features: u64, sizes: &[u16]) -> io::Result<Self> {
        let front_end = FrontEnd::connect(socket, protocol::ALL)?;
        Self::run(front_end, Memory::new(&REGIONS), features, sizes)
    }

    /// The same in a machine that outlives its back end: as cloud-hypervisor has it.
    ///
    /// # Errors
    /// When nobody listens at `socket`, or the back end refuses.
    pub fn lasting(socket: &Path, features: u64, sizes: &[u16]) -> io::Result<Self> {
        let front_end = FrontEnd::connect(socket, LASTING)?;
        let queues = u16::try_from(sizes.len()).unwrap_or(u16::MAX);
        let size = sizes.iter().copied().max().unwrap_or(0);
        let area = front_end.area(queues, size)?;
        front_end.set_area(&area)?;
        let mut vm = Self::run(front_end, Memory::new(&REGIONS), features, sizes)?;
        vm.area = Some(Box::new(area));
        Ok(vm)
    }

    /// A [lasting](Self::lasting) machine connects to the back end that is there now.
    ///
    /// # Errors
    /// When nobody listens at `socket`, or the back end refuses.
    pub fn reconnect(&mut self, socket: &Path) -> io::Result<()> {
        self.front_end = FrontEnd::connect(socket, LASTING)?;
        if let Some(area) = &self.area {
            self.front_end.set_area(area)?;
        }
        let bases: Vec<_> = self.rings.iter().map(Ring::available_index).collect();
        self.start(&bases)
    }

    /// The same in `memory` that other machines may be in, too, and without a channel of the back
    /// end's own: as little as a guest can be.
    ///
    /// # Errors
    /// When nobody listens at `socket`, or the back end refuses.
    pub fn light(
        socket: &Path,
        memory: &Arc<Memory>,
        features: u64,
        sizes: &[u16],
    ) -> io::Result<Self> {
        let front_end = FrontEnd::connect(socket, protocol::ALL & !protocol::BACKEND_REQ)?;
        Self::run(front_end, Arc::clone(memory), features, sizes)
    }

    fn run(
        front_end: FrontEnd,
        memory: Arc<Memory>,
        features: u64,
        sizes: &[u16],
    ) -> io::Result<Self> {
        let rings = sizes
            .iter()
            .map(|&size| Ring::new(&memory, Layout::new(&memory, size)))
            .collect();
        let mut vm = Self {
            front_end,
            memory,
            rings,
            features,
            area: None,
        };
        vm.start(&vec![0; sizes.len()])?;
        Ok(vm)
    }

    /// Starts the device as QEMU does at DRIVER_OK, and when a stopped machine goes on: with the
    /// queues at `bases`.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn start(&mut self, bases: &[u16]) -> io::Result<()> {
        self.front_end.set_features(self.features)?;
        self.front_end.set_memory(&self.memory)?;
        for (queue, (ring, &base)) in self.rings.iter_mut().zip(bases).enumerate() {
            ring.event_idx = self.features & feature::EVENT_IDX != 0;
            self.front_end.set_up(queue, ring, base)?;
            // What was pushed while nobody listened must not be forgotten.
            ring.kick();
        }
        (0..self.rings.len()).try_for_each(|queue| self.front_end.enable(queue))
    }

    /// Stops the device as QEMU does, for whatever reason. Returns the bases at which the queues
    /// would go on.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn stop(&mut self) -> io::Result<Vec<u16>> {
        (0..self.rings.len()).try_for_each(|queue| self.front_end.disable(queue))?;
        (0..self.rings.len())
            .map(|queue| self.front_end.stop(queue))
            .collect()
    }

    /// Stops the device, and starts it with empty queues: the guest was reset.
    ///
    /// # Errors
    /// When the back end refuses, which ends the session.
    pub fn reboot(&mut self) -> io::Result<()> {
        self.stop()?;
        self.rings.iter_mut().for_each(Ring::reset);
        self.start(&vec![0; self.rings.len()])
    }

    /// Breaks the first ring, of 64 entries, in all ways at random.
    pub fn misbehave(&mut self, seed: &mut u64) {
        let ring = &mut self.rings[0];
        for _ in 0..100 {
            let [head, flags, next, shift, ..] = random(seed).to_le_bytes();
            let descriptor = Descriptor {
                addr: random(seed) >> (shift % 64),
                len: u32::MAX >> (shift % 32),
                flags: u16::from(flags) % 8,
                next: u16::from(next),
            };
            ring.set_descriptor(u16::from(head) % 64, descriptor);
            // One in four is out of range.
            ring.push(u16::from(head) / 3);
            ring.kick();
        }
    }
}

/// Marsaglia's xorshift: as random as a misbehaving guest needs to be.
pub(super) fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}
