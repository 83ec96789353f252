// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest's memory, as the front end shares it: regions of files, each known by a guest-physical
//! address and by the address at which the front end has it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::{FdFlags, fcntl_setfd};
use vhost::vhost_user::message::VhostUserMemoryRegion;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};

/// Most regions that a guest has at a time. Each costs a file descriptor.
pub(super) const MAX_REGIONS: usize = 32;

/// The regions that there are.
#[derive(Clone, Default)]
pub(super) struct Table {
    map: GuestMemoryMmap,
    regions: Vec<Region>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Region {
    guest: u64,
    size: u64,
    /// Where the front end has it.
    user: u64,
}

impl Table {
    /// Maps `regions`, whose files come in the same order.
    pub(super) fn new(
        regions: &[VhostUserMemoryRegion],
        files: Vec<OwnedFd>,
    ) -> Result<Self, &'static str> {
        let mut table = Self::default();
        if files.len() < regions.len() {
            return Err("a region without a file");
        }
        for (region, file) in regions.iter().zip(files) {
            table = table.with(region, file)?;
        }
        Ok(table)
    }

    /// The same and this region.
    pub(super) fn with(
        &self,
        region: &VhostUserMemoryRegion,
        file: OwnedFd,
    ) -> Result<Self, &'static str> {
        if self.regions.len() == MAX_REGIONS {
            return Err("more than 32 regions of memory");
        }
        let (size, offset) = (region.memory_size, region.mmap_offset);
        let added = Region::of(region);
        let fits = [added.guest, added.user, offset]
            .iter()
            .all(|start| start.checked_add(size).is_some());
        if size == 0 || !fits {
            return Err("an empty or endless region of memory");
        }
        // A command that a device runs is not to have it.
        fcntl_setfd(&file, FdFlags::CLOEXEC).map_err(|_| "a bad file descriptor")?;
        let mapping = region
            .mmap_region(File::from(file))
            .map_err(|_| "a region of memory cannot be mapped")?;
        let mapping = GuestRegionMmap::new(mapping, GuestAddress(added.guest))
            .ok_or("an endless region of memory")?;
        let map = self
            .map
            .insert_region(Arc::new(mapping))
            .map_err(|_| "regions of memory overlap")?;
        let mut regions = self.regions.clone();
        regions.push(added);
        Ok(Self { map, regions })
    }

    /// The same without this region.
    pub(super) fn without(&self, region: &VhostUserMemoryRegion) -> Result<Self, &'static str> {
        let removed = Region::of(region);
        let mut table = self.clone();
        table.regions.retain(|region| *region != removed);
        if table.regions.len() == self.regions.len() {
            return Err("no such region of memory");
        }
        let (map, _) = self
            .map
            .remove_region(GuestAddress(removed.guest), removed.size)
            .map_err(|_| "no such region of memory")?;
        table.map = map;
        Ok(table)
    }

    /// All of it.
    pub(super) fn map(&self) -> &GuestMemoryMmap {
        &self.map
    }

    pub(super) fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// The guest-physical address of what the front end has at `user`.
    pub(super) fn guest_address(&self, user: u64) -> Option<u64> {
        self.regions.iter().find_map(|region| {
            let offset = user.checked_sub(region.user)?;
            (offset < region.size).then_some(region.guest + offset)
        })
    }
}

impl Region {
    fn of(region: &VhostUserMemoryRegion) -> Self {
        Self {
            guest: region.guest_phys_addr,
            size: region.memory_size,
            user: region.user_addr,
        }
    }
}
