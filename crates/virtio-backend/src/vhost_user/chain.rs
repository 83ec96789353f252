// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Descriptor chains: from the driver's list of buffers to a request, and from an answer into the
//! buffers.

use std::ops::Range;

use virtio_queue::DescriptorChain;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, VolatileSlice};

/// Most descriptors in a chain. The specification's limit is the queue's size (2.7.5.3.1), which
/// Linux keeps only without an indirect table; a table can claim 65,535.
const MAX_DESCRIPTORS: usize = 1024;

/// Bytes that go from a device to guest memory at a time: few enough that the copy costs little
/// beside a fast generator, and enough that asking for them does.
pub(super) const PIECE: usize = 512;

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
        chain: DescriptorChain<&GuestMemoryMmap>,
        memory: &GuestMemoryMmap,
        request: &mut Vec<u8>,
        limit: usize,
    ) -> Option<usize> {
        self.0.clear();
        request.clear();
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

    /// Writes the bytes `range`, which come from `source`. Returns the used length: how many bytes,
    /// from the first there is room for, were written (2.7.8.2).
    ///
    /// Goes on after a buffer that is not in memory: a status at the end shall reach the driver.
    pub(super) fn write(
        &self,
        memory: &GuestMemoryMmap,
        range: Range<usize>,
        piece: &mut [u8; PIECE],
        source: &mut dyn FnMut(&mut [u8]),
    ) -> usize {
        let (mut skip, mut rest) = (range.start, range.len());
        let (mut prefix, mut whole) = (0, skip == 0);
        for &(start, size) in &self.0 {
            let skipped = size.min(skip);
            skip -= skipped;
            let start = GuestAddress(start.0.saturating_add(skipped as u64));
            let mut left = rest.min(size - skipped);
            rest -= left;
            // Looked up once for a buffer: that takes as long as to fill a piece of it.
            for slice in GuestMemoryBackend::get_slices(memory, start, left) {
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
        }
        prefix
    }
}
