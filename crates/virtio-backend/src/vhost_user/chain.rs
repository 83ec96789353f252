// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Descriptor chains: from the driver's list of buffers to a request, and from an answer into the
//! buffers.

use std::ops::Range;

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, VolatileSlice};

use super::dirty::Log;
use super::lost::Guarded;

/// Most descriptors in a chain. The specification's limit is the queue's size (2.7.5.3.1), which
/// Linux keeps only without an indirect table; a table can claim 65,535.
const MAX_DESCRIPTORS: usize = 1024;

/// Bytes that go from a device to guest memory at a time: few enough that the copy costs little
/// beside a fast generator, and enough that asking for them does.
const PIECE: usize = 512;

/// The descriptors of a chain, from its head on (2.7.5). virtio-queue's iterator begins at the available
/// ring, where a chain that [was taken before](super::inflight) is no more.
pub(super) struct Descriptors<'m> {
    memory: &'m Guarded,
    table: GuestAddress,
    /// Of the table: the queue's, or an indirect one.
    entries: u16,
    is_indirect: bool,
    next: u16,
    /// How many there may still be: no more than the table has.
    left: u16,
    /// All in all, which is less than 4 GiB.
    bytes: u32,
}

impl<'m> Descriptors<'m> {
    /// Of the chain at `head`, in the queue's `table` of so many `entries`.
    pub(super) fn new(memory: &'m Guarded, table: u64, entries: u16, head: u16) -> Self {
        Self {
            memory,
            table: GuestAddress(table),
            entries,
            is_indirect: false,
            next: head,
            left: entries,
            bytes: 0,
        }
    }

    /// Goes on in the table that a descriptor refers to, of which no descriptor refers to another
    /// (2.7.5.3).
    fn enter(&mut self, table: Descriptor) -> Option<Descriptor> {
        let size = u32::try_from(size_of::<Descriptor>()).ok()?;
        if self.is_indirect || table.len() % size != 0 {
            return None;
        }
        self.entries = u16::try_from(table.len() / size).ok()?;
        (self.table, self.is_indirect) = (table.addr(), true);
        (self.next, self.left) = (0, self.entries);
        self.next()
    }
}

impl Iterator for Descriptors<'_> {
    type Item = Descriptor;

    /// `None` also at what cannot be: a loop, a descriptor outside its table, or outside memory.
    fn next(&mut self) -> Option<Descriptor> {
        if self.left == 0 || self.next >= self.entries {
            return None;
        }
        let offset = u64::from(self.next) * size_of::<Descriptor>() as u64;
        let address = self.table.0.checked_add(offset)?;
        let descriptor: Descriptor = self.memory.read_obj(GuestAddress(address)).ok()?;
        if descriptor.refers_to_indirect_table() {
            return self.enter(descriptor);
        }
        self.bytes = self.bytes.checked_add(descriptor.len())?;
        self.left -= 1;
        if descriptor.has_next() {
            self.next = descriptor.next();
        } else {
            self.left = 0;
        }
        Some(descriptor)
    }
}

/// The writable part of a chain that the device has. Addresses, not memory: that may be replaced
/// meanwhile.
#[derive(Default)]
pub(super) struct Writable(Vec<(GuestAddress, usize)>);

impl Writable {
    /// Walks `chain`: copies what the driver sent to `request`, at most `limit` + 1 bytes, and
    /// notes where the answer goes. Returns how many bytes the answer has room for, or `None` if
    /// the chain does not end well.
    ///
    /// What cannot be read, or follows a writable buffer (2.7.4.2), leaves `request` empty.
    pub(super) fn walk(
        &mut self,
        chain: Descriptors<'_>,
        request: &mut Vec<u8>,
        limit: usize,
    ) -> Option<usize> {
        self.0.clear();
        request.clear();
        let memory = chain.memory;
        let (mut room, mut readable, mut ended) = (0, true, false);
        for (count, descriptor) in chain.enumerate() {
            if count == MAX_DESCRIPTORS {
                return None;
            }
            // The iterator ends in silence at a loop, a bad index or a bad table: then something
            // was to follow.
            ended = !descriptor.has_next();
            let length = descriptor.len() as usize;
            if length == 0 {
                continue;
            }
            if descriptor.is_write_only() {
                self.0.push((descriptor.addr(), length));
                room += length;
            } else if readable {
                let start = request.len();
                request.resize(limit.saturating_add(1).min(start + length), 0);
                readable = self.0.is_empty()
                    && request
                        .get_mut(start..)
                        .is_some_and(|to| memory.read_slice(to, descriptor.addr()).is_ok());
            }
        }
        if !readable {
            request.clear();
        }
        ended.then_some(room)
    }

    /// Writes the bytes `range`, which come from `source`, and notes that in `log`. Returns the used length: how many bytes,
    /// from the first there is room for, were written (2.7.8.2).
    ///
    /// Goes on after a buffer that is not in memory: a status at the end shall reach the driver.
    pub(super) fn write(
        &self,
        memory: &Guarded,
        log: Option<&Log>,
        range: Range<usize>,
        source: &mut dyn FnMut(&mut [u8]),
    ) -> usize {
        let mut piece = [0; PIECE];
        let (mut skip, mut rest) = (range.start, range.len());
        let (mut prefix, mut whole) = (0, skip == 0);
        for &(start, size) in &self.0 {
            let skipped = size.min(skip);
            skip -= skipped;
            let start = GuestAddress(start.0.saturating_add(skipped as u64));
            let mut left = rest.min(size - skipped);
            rest -= left;
            let written = left;
            // Looked up once for a buffer: that takes as long as to fill a piece of it.
            for slice in memory.slices(start, left) {
                // An error is the last there is: all that is left has no place.
                let here = slice.as_ref().map_or(left, VolatileSlice::len);
                whole &= slice.is_ok();
                prefix += if whole { here } else { 0 };
                left -= here;
                let mut offset = 0;
                while let Some(bytes) = piece
                    .get_mut(..PIECE.min(here - offset))
                    .filter(|bytes| !bytes.is_empty())
                {
                    source(bytes);
                    if let Ok(Ok(to)) = slice.as_ref().map(|slice| slice.offset(offset)) {
                        to.copy_from(bytes);
                    }
                    offset += bytes.len();
                }
            }
            if let Some(log) = log {
                log.note(start, written);
            }
        }
        prefix
    }
}
