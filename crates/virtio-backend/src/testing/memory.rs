// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest memory.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use vhost::VhostUserMemoryRegionInfo;
use vm_memory::{
    Address, Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap,
    GuestMemoryRegion, GuestRegionMmap,
};

/// Where the front end pretends to have guest address 0 in its own memory. Far from all guest
/// addresses, so that a back end that confuses the two finds nothing.
const USER_BASE: u64 = 0x7000_0000_0000;

/// Guest memory: regions at addresses of the test's choice, each on a memfd of its own, and nothing
/// between them.
pub struct Memory {
    map: GuestMemoryMmap,
    /// Where the next allocation begins.
    next: AtomicU64,
}

impl Memory {
    /// Memory of `regions`, each of them a guest physical address and a size, in ascending order.
    pub fn new(regions: &[(u64, usize)]) -> Arc<Self> {
        let map = regions.iter().map(|&(start, size)| {
            let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
            ftruncate(&file, size as u64).unwrap();
            GuestRegionMmap::from_range(GuestAddress(start), size, Some(FileOffset::new(file, 0)))
                .unwrap()
        });
        let map = GuestMemoryMmap::from_regions(map.collect()).unwrap();
        let next = map.iter().next().unwrap().start_addr().raw_value();
        Arc::new(Self {
            map,
            next: AtomicU64::new(next),
        })
    }

    /// The address of `length` bytes in the first region that nobody has yet, aligned to 16 as a
    /// descriptor table is.
    #[track_caller]
    pub fn allocate(&self, length: usize) -> u64 {
        let start = self.mark().next_multiple_of(16);
        let end = start + length as u64;
        assert!(
            end <= self.map.iter().next().unwrap().last_addr().raw_value() + 1,
            "guest memory is full"
        );
        self.release(end);
        start
    }

    /// How far memory is allocated. To [`release`](Self::release) what is allocated from here on.
    pub(super) fn mark(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    pub(super) fn release(&self, mark: u64) {
        self.next.store(mark, Ordering::Relaxed);
    }

    /// Writes `bytes` at `address`.
    #[track_caller]
    pub fn write(&self, address: u64, bytes: &[u8]) {
        self.map.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    /// Cuts the file of the region at `address` to nothing. From then on an access to the region,
    /// by whoever has it, is a SIGBUS.
    pub fn lose(&self, address: u64) {
        let region = self.map.find_region(GuestAddress(address)).unwrap();
        ftruncate(region.file_offset().unwrap().file(), 0).unwrap();
    }

    /// Reads `bytes` at `address`.
    #[track_caller]
    pub(super) fn read(&self, address: u64, bytes: &mut [u8]) {
        self.map.read_slice(bytes, GuestAddress(address)).unwrap();
    }

    /// Every byte there is, region by region.
    pub fn snapshot(&self) -> Vec<Vec<u8>> {
        let regions = self.map.iter().map(|region| {
            let mut bytes = vec![0; usize::try_from(region.len()).unwrap()];
            self.read(region.start_addr().raw_value(), &mut bytes);
            bytes
        });
        regions.collect()
    }

    /// Reads an index or flags of a ring, which the device may be writing, and sees what it wrote
    /// before.
    pub(super) fn load(&self, address: u64) -> u16 {
        u16::from_le(
            self.map
                .load(GuestAddress(address), Ordering::Acquire)
                .unwrap(),
        )
    }

    /// Writes an index or flags of a ring, which the device may be reading, after all that was
    /// written before.
    pub(super) fn store(&self, address: u64, value: u16) {
        self.map
            .store(value.to_le(), GuestAddress(address), Ordering::Release)
            .unwrap();
    }

    /// Zeroes `length` bytes at `address`, as far as they are in memory.
    pub(super) fn zero(&self, address: u64, length: usize) {
        let in_memory = self.map.write(&vec![0; length], GuestAddress(address));
        drop(in_memory);
    }

    /// Its regions as a front end shares them: guest address, size and file, from the file's beginning
    /// on.
    pub fn files(&self) -> Vec<(u64, u64, BorrowedFd<'_>)> {
        let regions = self.map.iter().map(|region| {
            let file = region.file_offset().unwrap().file();
            (region.start_addr().raw_value(), region.len(), file.as_fd())
        });
        regions.collect()
    }

    /// The memory itself, for a device in this process.
    pub(crate) fn map(&self) -> &GuestMemoryMmap {
        &self.map
    }

    /// The regions as a front end announces them.
    pub(super) fn regions(&self) -> Vec<VhostUserMemoryRegionInfo> {
        let announced = self.map.iter().map(|region| VhostUserMemoryRegionInfo {
            userspace_addr: user_address(region.start_addr().raw_value()),
            ..VhostUserMemoryRegionInfo::from_guest_region(region).unwrap()
        });
        announced.collect()
    }
}

/// The guest's `address` in the memory of the front end, which vhost-user speaks of in place of it.
pub(super) fn user_address(address: u64) -> u64 {
    address.wrapping_add(USER_BASE)
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.map
                    .iter()
                    .map(|region| (region.start_addr(), region.len())),
            )
            .finish()
    }
}
