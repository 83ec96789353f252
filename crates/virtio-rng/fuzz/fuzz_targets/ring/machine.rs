// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A machine with an entropy device, and what must hold whatever its driver and its VMM do.

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use virtio_backend::testing::{Descriptor, Direct, LIMIT, Layout, Memory, Ring, Used, feature};
use virtio_rng::{Limit, Rng};

use crate::tap::Tap;

/// Guest memory: two regions side by side, and one that ends a page before addresses do. The driver's own is the first,
/// where nobody points by chance: unless somebody did on purpose, the used ring is the device's word.
pub const LOW: u64 = 0xc0ff_ee00_0000;
pub const MIDDLE: u64 = LOW + REGION;
pub const HIGH: u64 = 0u64.wrapping_sub(2 * REGION);
pub const REGION: u64 = 0x1000;
/// What the driver has for itself.
const DRIVER: Area = (LOW, REGION as usize);
const REGIONS: [u64; 3] = [LOW, MIDDLE, HIGH];

/// Where the ring is, if the VMM tells the truth.
pub const RING: Layout = Layout {
    size: SIZE as u16,
    descriptors: LOW,
    available: LOW + 0x400,
    used: LOW + 0x800,
};
const SIZE: usize = 16;

/// The first descriptors are for good chains, the others for whatever comes.
const GOOD: usize = 8;

/// A good chain's table and buffers, by its head.
const TABLES: u64 = LOW + 0xc00;
const BUFFERS: u64 = MIDDLE;

static MEMORY: LazyLock<Arc<Memory>> =
    LazyLock::new(|| Memory::new(&REGIONS.map(|start| (start, REGION as usize))));

pub struct Machine {
    pub ring: Ring,
    tap: Tap,
    device: Direct<Rng>,
    phase: Phase,
    life: Life,
}

#[derive(Clone, Copy)]
enum Phase {
    Off,
    Running,
    /// The VMM was told this base.
    Stopped(u16),
}

/// What the driver did since it set the ring up.
#[derive(Default)]
struct Life {
    /// Nothing but the device can have written to the used ring.
    believed: bool,
    /// All that was pushed has to come back.
    sound: bool,
    /// Where the device may be told to write, and where tables for indirect descriptors were set: a table that it
    /// writes over may tell it anything.
    writable: Vec<Area>,
    tables: Vec<Area>,
    /// How often each head was pushed and did not come back.
    owed: [u16; SIZE],
    pushed: u16,
    good: [Option<Good>; GOOD],
}

/// An address, and how many bytes from there on.
type Area = (u64, usize);

/// A chain from [`Ring::add`].
struct Good {
    descriptors: usize,
    room: u32,
}

impl Machine {
    /// A machine that is off. Its device has a source that is open, and perhaps a limit.
    pub fn new(limited: bool) -> Self {
        erase();
        let tap = Tap::new();
        // Short waits, and many: the fuzzer sees them through.
        let [rate, burst] = [1_000_000, 64].map(NonZeroU32::new);
        let limit = limited.then(|| Limit::new(rate.unwrap(), burst, Instant::now()));
        let device = |watch: &_| Rng::new("guest", tap.source(watch), limit, watch).unwrap();
        Self {
            ring: Ring::new(&MEMORY, RING),
            device: Direct::new(&MEMORY, device),
            tap,
            phase: Phase::Off,
            life: Life::default(),
        }
    }

    /// A good driver starts.
    pub fn boot(&mut self) {
        erase();
        self.ring.reset();
        self.life = Life {
            believed: true,
            sound: true,
            ..Life::default()
        };
        self.start(&RING, 0);
    }

    /// The VMM goes on where it stopped, if it did.
    pub fn resume(&mut self) {
        if let Phase::Stopped(base) = self.phase {
            self.start(&RING, base);
        }
    }

    /// The VMM says that there is a ring at `layout`. The driver knows nothing of it.
    pub fn restart(&mut self, layout: &Layout, base: u16) {
        self.life.believed = false;
        self.start(layout, base);
    }

    fn start(&mut self, layout: &Layout, base: u16) {
        self.phase = if self.device.start(0, layout, base) {
            Phase::Running
        } else {
            Phase::Off
        };
    }

    pub fn stop(&mut self) {
        let base = self.act(|device| device.stop(0));
        self.phase = Phase::Stopped(base);
        self.collect();
    }

    pub fn kick(&mut self) {
        self.act(|device| device.kick(0));
        self.collect();
    }

    pub fn poll(&mut self) {
        self.act(Direct::poll);
        self.collect();
    }

    pub fn set_features(&mut self, event_idx: bool) {
        let without = if event_idx { 0 } else { feature::EVENT_IDX };
        self.ring.event_idx = event_idx;
        self.act(|device| device.set_features(feature::ALL & !without));
    }

    pub fn set_source(&mut self, open: bool, byte: u8) {
        if open {
            self.tap.open(byte);
        } else {
            self.tap.close();
        }
    }

    /// Has the device do something. Unless the ring runs, that leaves memory as it is.
    fn act<T>(&mut self, action: impl FnOnce(&mut Direct<Rng>) -> T) -> T {
        let before = (!matches!(self.phase, Phase::Running)).then(|| MEMORY.snapshot());
        let result = action(&mut self.device);
        if let Some(before) = before {
            assert!(
                before == MEMORY.snapshot(),
                "a ring that does not run was written to"
            );
        }
        result
    }

    /// Pushes a chain as a good driver makes it, if there is place: a buffer to read and two to write.
    pub fn lend(&mut self, readable: u8, writable: [u8; 2], indirect: bool) {
        let descriptors = if indirect { 1 } else { 3 };
        let lent = self.life.good.iter().flatten().map(|good| good.descriptors);
        if lent.sum::<usize>() + descriptors > GOOD {
            return;
        }
        let [first, second] = writable.map(u32::from);
        let chain = [
            (u32::from(readable), Descriptor::NEXT),
            (first, Descriptor::NEXT | Descriptor::WRITE),
            (second, Descriptor::WRITE),
        ];
        let chain: Vec<_> = (1..)
            .zip(chain)
            .map(|(next, (len, flags))| Descriptor {
                addr: BUFFERS + 0x100 * u64::from(next),
                len,
                flags,
                next,
            })
            .collect();
        for descriptor in &chain {
            self.life.note(descriptor);
        }
        let head = if indirect {
            self.add_indirect(&chain)
        } else {
            self.ring.add(&chain)
        };
        self.life.good[usize::from(head)] = Some(Good {
            descriptors,
            room: first + second,
        });
        self.push(head);
    }

    fn add_indirect(&mut self, chain: &[Descriptor]) -> u16 {
        let head = self.ring.add(&[Descriptor::default()]);
        let table: Vec<u8> = chain.iter().flat_map(Descriptor::emit).collect();
        let descriptor = Descriptor {
            addr: TABLES + 0x40 * u64::from(head),
            len: table.len().try_into().unwrap(),
            flags: Descriptor::INDIRECT,
            next: 0,
        };
        MEMORY.write(descriptor.addr, &table);
        self.ring.set_descriptor(head, descriptor);
        head
    }

    /// Pushes any head, but for those of good chains that the driver has not lent.
    pub fn push(&mut self, head: u16) {
        let index = usize::from(head);
        if self.life.good.get(index).is_some_and(Option::is_none) {
            return;
        }
        match self.life.owed.get_mut(index) {
            Some(owed) => {
                *owed += 1;
                self.life.sound &= *owed == 1;
            }
            None => self.life.sound = false,
        }
        self.life.pushed = self.life.pushed.wrapping_add(1);
        self.ring.push(head);
    }

    /// Sets one of the descriptors that no good chain has.
    pub fn set_descriptor(&mut self, slot: u8, descriptor: Descriptor) {
        self.life.note(&descriptor);
        let slot = GOOD + usize::from(slot) % (SIZE - GOOD);
        self.ring.set_descriptor(slot as u16, descriptor);
    }

    /// Writes a table for indirect descriptors.
    pub fn set_table(&mut self, address: u64, descriptors: impl Iterator<Item = Descriptor>) {
        let mut table = Vec::new();
        for descriptor in descriptors {
            self.life.note(&descriptor);
            table.extend(descriptor.emit());
        }
        self.life.note_table((address, table.len()));
        write(address, &table);
    }

    /// Writes anything anywhere.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        self.life.believed = false;
        write(address, bytes);
    }

    /// Says that the available ring is filled up to `index`.
    pub fn set_available_index(&mut self, index: u16) {
        self.life.believed = false;
        self.ring.set_available_index(index);
    }

    /// Takes back what the device is done with.
    fn collect(&mut self) {
        for _ in 0..SIZE {
            let Some(used) = self.ring.pop() else { return };
            let good = usize::try_from(used.id)
                .ok()
                .and_then(|head| self.life.good.get_mut(head)?.take());
            if self.life.believed {
                self.life.check(used, good);
            }
        }
    }

    /// Sees to it that the device is done with all that was pushed and asks for a kick, unless the driver did what lets
    /// the device refuse.
    fn settle(&mut self) {
        self.tap.open(0);
        self.kick();
        if !self.life.believed || !self.life.sound {
            return;
        }
        let end = Instant::now() + LIMIT;
        while self.life.is_owed() {
            assert!(Instant::now() < end, "a request is never answered");
            self.poll();
        }
        let asks_for_kick = if self.ring.event_idx {
            word(RING.used + 4 + 8 * u64::from(RING.size)) == self.life.pushed
        } else {
            word(RING.used) == 0
        };
        assert!(asks_for_kick, "the next request is never noticed");
    }

    /// Whatever was before, a driver that starts anew is served.
    pub fn finish(mut self) {
        if matches!(self.phase, Phase::Running) {
            self.settle();
        }
        self.boot();
        self.lend(1, [1, 1], false);
        self.settle();
    }
}

impl Life {
    /// The device may come to this descriptor.
    fn note(&mut self, descriptor: &Descriptor) {
        self.believed &= is_harmless(descriptor);
        if descriptor.flags & Descriptor::WRITE != 0 {
            let area = (descriptor.addr, descriptor.len as usize);
            self.believed &= !self.tables.iter().any(|table| meet(*table, area));
            self.writable.push(area);
        }
    }

    /// The device may come to a table.
    fn note_table(&mut self, area: Area) {
        // Such a table can be read in one way only, and neither is it written over nor does it hit the driver's.
        self.believed &= area.0.is_multiple_of(16) && !meet(area, DRIVER);
        self.believed &= !self.writable.iter().any(|writable| meet(*writable, area));
        self.tables.push(area);
    }

    fn check(&mut self, used: Used, good: Option<Good>) {
        let owed = self.owed.get_mut(used.id as usize);
        let owed = owed.filter(|owed| **owed > 0);
        *owed.expect("a head comes back that was not pushed, or once more than it was") -= 1;
        if let Some(Good { room, .. }) = good {
            assert_eq!(used.len, room, "an answer is as long as there is room for");
        }
    }

    fn is_owed(&self) -> bool {
        self.owed.iter().any(|owed| *owed > 0)
    }
}

/// Whether the device can do what the descriptor says and not touch what is the driver's.
fn is_harmless(descriptor: &Descriptor) -> bool {
    let is_table = descriptor.flags & Descriptor::INDIRECT != 0;
    !meet((descriptor.addr, descriptor.len as usize), DRIVER)
        && !(is_table && !descriptor.addr.is_multiple_of(16))
}

/// Whether some bytes may be in both areas.
fn meet(one: Area, other: Area) -> bool {
    let end = |(address, length): Area| address.saturating_add(length as u64);
    one.0 < end(other) && other.0 < end(one)
}

/// A word in the driver's region.
fn word(address: u64) -> u16 {
    let bytes = &MEMORY.snapshot()[0][(address - LOW) as usize..];
    u16::from_le_bytes([bytes[0], bytes[1]])
}

/// Writes what there is memory for.
fn write(address: u64, bytes: &[u8]) {
    for (offset, byte) in (0..).zip(bytes) {
        let address = address.wrapping_add(offset);
        if REGIONS
            .iter()
            .any(|start| address.wrapping_sub(*start) < REGION)
        {
            MEMORY.write(address, &[*byte]);
        }
    }
}

fn erase() {
    for start in REGIONS {
        MEMORY.write(start, &[0; REGION as usize]);
    }
}
