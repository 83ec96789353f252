// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest memory that is mapped, and not shared.
//!
//! QEMU before 11.1 hands over the file of its guest's memory also where it maps that file privately
//! itself (`share=off`, which is the default of `memory-backend-file`). Each page that the guest writes
//! is then a copy of QEMU's own: kicks arrive, requests do not, and the file stays as it was made, all
//! zeros.

use std::os::unix::fs::FileExt;

use vm_memory::{Address, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

/// How much memory is looked at, on either side of a ring. A ring without a request may be all zeros
/// in shared memory, too. The megabytes around it, in which the guest's kernel runs, are not.
const AROUND: u64 = 2 << 20;

/// What is read at a time.
const PIECE: usize = 0x1_0000;

/// Whether the guest's memory around `address` is as its file was made.
///
/// This reads the file, and not the memory: the host allocates a page of memory that is read, also
/// one that the guest never touched.
pub(super) fn is_blank(memory: &GuestMemoryMmap, address: u64) -> bool {
    let Some(region) = memory.find_region(GuestAddress(address)) else {
        return false;
    };
    let Some(file) = region.file_offset() else {
        return false;
    };
    let inside = address - region.start_addr().raw_value();
    let mut from = file.start() + inside.saturating_sub(AROUND);
    let end = file.start() + region.len().min(inside + AROUND);
    let mut piece = vec![0; PIECE];
    while from < end {
        let rest = usize::try_from(end - from).unwrap_or(PIECE);
        let Some(bytes) = piece.get_mut(..rest.min(PIECE)) else {
            return false;
        };
        // What cannot be read says nothing.
        if file.file().read_exact_at(bytes, from).is_err() || bytes.iter().any(|&byte| byte != 0) {
            return false;
        }
        from += bytes.len() as u64;
    }
    true
}
