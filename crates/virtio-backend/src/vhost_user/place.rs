// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where a driver has its ring.

use virtio_queue::{Queue, QueueT};
use vm_memory::GuestAddress;

/// Guest-physical addresses of a ring's parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) size: u16,
    pub(super) descriptors: u64,
    pub(super) available: u64,
    pub(super) used: u64,
}

impl Place {
    /// Has `queue` be here, from index `base` on. What virtio-queue does step by step.
    pub(super) fn put(
        self,
        queue: &mut Queue,
        base: u16,
        event_idx: bool,
    ) -> Result<(), &'static str> {
        queue.set_size(self.size);
        if queue.size() != self.size {
            return Err("queue size is not a power of 2 up to 1024");
        }
        queue
            .try_set_desc_table_address(GuestAddress(self.descriptors))
            .and_then(|()| queue.try_set_avail_ring_address(GuestAddress(self.available)))
            .and_then(|()| queue.try_set_used_ring_address(GuestAddress(self.used)))
            .map_err(|_| "misaligned ring")?;
        queue.set_next_avail(base);
        queue.set_event_idx(event_idx);
        Ok(())
    }
}
