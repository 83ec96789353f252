// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which requests the device has, where the front end keeps it: who serves the guest after us takes
//! them up (vhost-user, "Inflight I/O tracking").
//!
//! ```text
//! for each queue, at multiples of 64 bytes
//!   0..8    features: 0            8..10   version: 1      10..12  entries
//!   12..14  head returned last     14..16  used index then
//! then, for each of the entries
//!   0       1: the device has it    6..8   head returned before    8..16  in which order it was taken
//! ```
//! All in the host's byte order. We return chains one by one.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use vhost::vhost_user::message::VhostUserMemoryRegion;
use vm_memory::{AtomicAccess, Bytes, GuestAddress};

use super::MAX_QUEUE_SIZE;
use super::lost::Guarded;
use super::memory::Table;
use crate::reactor::Reactor;

const VERSION: u16 = 1;
/// Where what a queue says of itself is.
const VERSION_AT: u64 = 8;
const ENTRIES_AT: u64 = 10;
const LAST_AT: u64 = 12;
const USED_AT: u64 = 14;
/// How long that is, and each entry.
const HEADER: u64 = 16;
const ENTRY: u64 = 16;
/// Where what an entry says is.
const BEFORE_AT: u64 = 6;
const ORDER_AT: u64 = 8;

/// What the messages about the area say.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) queues: u16,
    /// The queues' size.
    pub(super) entries: u16,
}

/// The area of a guest, which the front end may change at any time.
pub(super) struct Area {
    memory: Guarded,
    extent: Extent,
}

/// A queue's part of it.
pub(super) struct Inflight {
    area: Arc<Area>,
    start: u64,
    /// Of the next chain that is taken.
    order: u64,
}

impl Extent {
    /// How long that is in a message, in bytes: padded as front ends have it in C.
    pub(super) const SIZE: usize = 24;

    /// The same as in a message.
    pub(super) fn bytes(self) -> Vec<u8> {
        let longs = [self.size, self.offset].map(u64::to_ne_bytes);
        let shorts = [self.queues, self.entries, 0, 0].map(u16::to_ne_bytes);
        [longs.concat(), shorts.concat()].concat()
    }

    /// Bytes of a queue.
    fn queue(self) -> u64 {
        (HEADER + ENTRY * u64::from(self.entries)).next_multiple_of(64)
    }

    /// Whether there are such queues, and room for them.
    fn is_possible(self) -> bool {
        (1..=MAX_QUEUE_SIZE).contains(&self.entries)
            && self.queues > 0
            && self.queue() * u64::from(self.queues) <= self.size
    }

    /// A new area for so many queues, which nobody has used.
    pub(super) fn make(mut self) -> Result<(Self, OwnedFd), &'static str> {
        self.size = self.queue() * u64::from(self.queues);
        self.offset = 0;
        if !self.is_possible() {
            return Err("no such queues");
        }
        let make = || -> io::Result<OwnedFd> {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = memfd_create("inflight", flags)?;
            ftruncate(&file, self.size)?;
            fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
            Ok(file)
        };
        let file = make().map_err(|_| "out of memory or file descriptors")?;
        Ok((self, file))
    }
}

impl Area {
    /// Maps the area, which is in `file`.
    pub(super) fn new(
        extent: Extent,
        file: OwnedFd,
        reactor: &Reactor,
    ) -> Result<Arc<Self>, &'static str> {
        if !extent.is_possible() {
            return Err("the area is too small for its queues");
        }
        let region = VhostUserMemoryRegion {
            memory_size: extent.size,
            mmap_offset: extent.offset,
            ..VhostUserMemoryRegion::default()
        };
        let table = Table::new(&[region], vec![file])?;
        let memory = Guarded::new(table.map().clone(), reactor.interrupt());
        Ok(Arc::new(Self { memory, extent }))
    }

    /// The part of a queue. `None` if it has none.
    pub(super) fn queue(self: &Arc<Self>, queue: u16) -> Option<Inflight> {
        (queue < self.extent.queues).then(|| Inflight {
            area: Arc::clone(self),
            start: self.extent.queue() * u64::from(queue),
            order: 0,
        })
    }

    pub(super) fn is_lost(&self) -> bool {
        self.memory.is_lost()
    }
}

impl Inflight {
    /// The heads of what was taken and not returned when the queue, of so many `entries`, was served
    /// last, in the order in which that was taken. `used` is the used ring's index now. `None` if the
    /// queue was never served with this area.
    pub(super) fn recover(&mut self, entries: u16, used: u16) -> Option<Vec<u16>> {
        let known =
            self.load::<u16>(VERSION_AT) == VERSION && self.load::<u16>(ENTRIES_AT) == entries;
        if !known {
            self.forget();
            self.store(ENTRIES_AT, entries);
            self.store(USED_AT, used);
            self.store(VERSION_AT, VERSION);
            return None;
        }
        // What the used ring had when its index was not noted yet.
        let returned = used.wrapping_sub(self.load(USED_AT)).min(entries);
        let mut head: u16 = self.load(LAST_AT);
        for _ in 0..returned {
            self.mark(head, 0);
            head = self.entry(head).map_or(0, |at| self.load(at + BEFORE_AT));
        }
        self.store(USED_AT, used);
        let mut taken: Vec<(u64, u16)> = (0..entries)
            .filter_map(|head| Some((self.entry(head)?, head)))
            .filter(|&(at, _)| self.load::<u8>(at) == 1)
            .map(|(at, head)| (self.load(at + ORDER_AT), head))
            .collect();
        taken.sort_unstable();
        self.order = taken.last().map_or(0, |&(order, _)| order.wrapping_add(1));
        Some(taken.into_iter().map(|(_, head)| head).collect())
    }

    /// The device has what begins at `head`.
    pub(super) fn taken(&mut self, head: u16) {
        if let Some(at) = self.entry(head) {
            self.store(at + ORDER_AT, self.order);
            self.mark(head, 1);
            self.order = self.order.wrapping_add(1);
        }
    }

    /// The chain is about to be in the used ring.
    pub(super) fn returning(&self, head: u16) {
        if let Some(at) = self.entry(head) {
            self.store(at + BEFORE_AT, self.load::<u16>(LAST_AT));
            self.store(LAST_AT, head);
        }
    }

    /// It is, and the used ring has this index.
    pub(super) fn returned(&self, head: u16, used: u16) {
        self.mark(head, 0);
        self.store(USED_AT, used);
    }

    /// The device has nothing.
    pub(super) fn forget(&self) {
        (0..self.area.extent.entries).for_each(|head| self.mark(head, 0));
    }

    fn mark(&self, head: u16, taken: u8) {
        if let Some(at) = self.entry(head) {
            self.store(at, taken);
        }
    }

    /// Where an entry is.
    fn entry(&self, head: u16) -> Option<u64> {
        (head < self.area.extent.entries).then(|| HEADER + ENTRY * u64::from(head))
    }

    // All of a queue's part is there: `is_possible`.

    fn load<T: AtomicAccess + Default>(&self, at: u64) -> T {
        let at = GuestAddress(self.start + at);
        self.area
            .memory
            .load(at, Ordering::Acquire)
            .unwrap_or_default()
    }

    fn store<T: AtomicAccess>(&self, at: u64, value: T) {
        let at = GuestAddress(self.start + at);
        self.area
            .memory
            .store(value, at, Ordering::Release)
            .unwrap_or_default();
    }
}
