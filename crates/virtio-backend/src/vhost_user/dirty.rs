// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which pages of a guest's memory we wrote, for a front end that moves the guest to another host.
//!
//! The front end shares the log with SET_LOG_BASE and takes the bits out of it, while the guest runs
//! on (vhost-user, "Migration"):
//! ```text
//! byte  page / 8, bit page % 8 (least significant first)   page = guest-physical address / 4096
//! ```

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use vhost::vhost_user::message::{VhostUserLog, VhostUserMemoryRegion};
use vm_memory::{GuestAddress, VolatileMemory};

use super::lost::Guarded;
use super::memory::Table;
use crate::reactor::Reactor;

const PAGE: u64 = 4096;

/// The front end's log. Pages that it has no bit for are not noted.
pub(super) struct Log(Guarded);

impl Log {
    /// Maps the log, which is in `file`.
    pub(super) fn new(
        log: &VhostUserLog,
        file: OwnedFd,
        reactor: &Reactor,
    ) -> Result<Arc<Self>, &'static str> {
        // It is the front end's memory as the guest's is, and may be lost as that.
        let region = VhostUserMemoryRegion {
            memory_size: log.mmap_size,
            mmap_offset: log.mmap_offset,
            ..VhostUserMemoryRegion::default()
        };
        let table = Table::new(&[region], vec![file])?;
        let bits = Guarded::new(table.map().clone(), reactor.interrupt());
        Ok(Arc::new(Self(bits)))
    }

    /// Notes that so many bytes from `start` on were written. To be called afterwards: a bit that is
    /// there before may be taken before.
    pub(super) fn note(&self, start: GuestAddress, length: usize) {
        let Some(last) = (length as u64).checked_sub(1) else {
            return;
        };
        for page in start.0 / PAGE..=start.0.saturating_add(last) / PAGE {
            let byte = self.0.slices(GuestAddress(page / 8), 1).next();
            let Some(Ok(byte)) = byte else {
                return;
            };
            if let Ok(bits) = byte.get_atomic_ref::<AtomicU8>(0) {
                bits.fetch_or(1 << (page % 8), Ordering::Release);
            }
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.is_lost()
    }
}
