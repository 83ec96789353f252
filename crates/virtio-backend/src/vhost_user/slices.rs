// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where guest-physical addresses are in our address space.
//!
//! A request costs a dozen look-ups: virtio-queue reads and writes a ring's words one by one. As a rule
//! all are in one region, and none crosses its end.

use std::iter::FusedIterator;
use std::sync::atomic::{AtomicUsize, Ordering};

use vm_memory::guest_memory::GuestMemorySliceIterator;
use vm_memory::{
    Address, GuestAddress, GuestMemory, GuestMemoryBackend, GuestMemoryError, GuestMemoryMmap,
    GuestMemoryRegion, GuestRegionMmap, MemoryRegionAddress, Permissions, VolatileSlice,
};

use super::lost::Guarded;

/// The region that was asked for last, by its number.
#[derive(Default)]
pub(super) struct Last(AtomicUsize);

/// The pieces of memory from an address on: one for each region.
pub(super) struct Slices<'a> {
    memory: &'a Guarded,
    address: GuestAddress,
    /// Bytes that are left.
    count: usize,
}

impl Guarded {
    pub(super) fn slices(&self, address: GuestAddress, count: usize) -> Slices<'_> {
        Slices {
            memory: self,
            address,
            count,
        }
    }
}

impl Last {
    /// The region of `memory` that has `address`, and where it is in there.
    fn find<'m>(
        &self,
        memory: &'m GuestMemoryMmap,
        address: GuestAddress,
    ) -> Option<(&'m GuestRegionMmap, MemoryRegionAddress)> {
        let inside = |region: &'m GuestRegionMmap| {
            let offset = address.checked_offset_from(region.start_addr())?;
            (offset < region.len()).then_some((region, MemoryRegionAddress(offset)))
        };
        let last = self.0.load(Ordering::Relaxed);
        memory.iter().nth(last).and_then(inside).or_else(|| {
            let mut regions = memory.iter().map(inside).enumerate();
            let (number, found) = regions.find_map(|(number, it)| Some((number, it?)))?;
            self.0.store(number, Ordering::Relaxed);
            Some(found)
        })
    }
}

impl GuestMemory for Guarded {
    type PhysicalMemory = GuestMemoryMmap;
    type Bitmap = ();

    fn check_range(&self, address: GuestAddress, count: usize, _access: Permissions) -> bool {
        self.slices(address, count).all(|slice| slice.is_ok())
    }

    fn get_slices<'a>(
        &'a self,
        address: GuestAddress,
        count: usize,
        _access: Permissions,
    ) -> Result<impl GuestMemorySliceIterator<'a, ()>, GuestMemoryError> {
        Ok(self.slices(address, count))
    }
}

impl<'a> Iterator for Slices<'a> {
    type Item = Result<VolatileSlice<'a>, GuestMemoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.count == 0 {
            return None;
        }
        let Slices {
            memory,
            address,
            count,
        } = *self;
        let Some((region, offset)) = memory.last.find(&memory.memory, address) else {
            // The last there is.
            self.count = 0;
            return Some(Err(GuestMemoryError::InvalidGuestAddress(address)));
        };
        let here = usize::try_from(region.len() - offset.0).map_or(count, |room| count.min(room));
        self.count = count - here;
        self.address = address.unchecked_add(here as u64);
        Some(region.get_slice(offset, here))
    }
}

impl FusedIterator for Slices<'_> {}

impl<'a> GuestMemorySliceIterator<'a, ()> for Slices<'a> {
    fn stop_on_error(
        mut self,
    ) -> Result<impl Iterator<Item = VolatileSlice<'a>>, GuestMemoryError> {
        let first = self.next().transpose()?;
        Ok(first.into_iter().chain(self.map_while(Result::ok)))
    }
}
