// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest's memory may be lost while it is used.
//!
//! It is a file that the front end shares. Where the file was truncated meanwhile, where the host
//! has no page left for it (a full tmpfs, an empty pool of huge pages) and where the hardware lost
//! a page, an access is a SIGBUS, which ends a process: every guest's device, for one guest's
//! memory. Nothing that is looked at before the access could tell.
//!
//! So the signal is caught, as libwayland and PulseAudio do for their clients' memory. The handler
//! puts anonymous memory in the region's place, and the access goes on into nothing. From then on
//! the region [is lost](Guarded::is_lost): its rings break, and its session ends.

use std::ffi::c_void;
use std::iter;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, compiler_fence};
use std::sync::{Arc, Mutex, OnceLock};

use libc::{BUS_ADRERR, BUS_MCEERR_AR, BUS_OBJERR, c_int, siginfo_t};
use rustix::fs::fstatfs;
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestRegionMmap};

use super::slices::Last;
use crate::lock;

/// What the log says of it.
pub(super) const REASON: &str = "its memory is gone: its file was truncated, or the host has no page for it (QEMU: prealloc=on)";

/// What is replaced at a time if a whole region cannot be. A multiple of every page's size, unless
/// the page is huge.
const PART: usize = 0x1_0000;

/// Every place there ever was: as many as there were regions at a time, each of which has a file
/// descriptor. The handler may look at any of them at any time, so they stay, and are used again.
static PLACES: OnceLock<Box<Place>> = OnceLock::new();
/// Those that nobody has.
static FREE: Mutex<Vec<&'static Place>> = Mutex::new(Vec::new());
/// Something was lost, of whichever guest.
static ANY: AtomicBool = AtomicBool::new(false);
/// What a SIGBUS did before it was caught.
static FORMER: OnceLock<libc::sigaction> = OnceLock::new();

/// A guest's memory, whose loss is survived as long as this exists.
#[derive(Default)]
pub(super) struct Guarded {
    /// Where the memory is. Given back before the memory and the event are.
    places: Vec<&'static Place>,
    pub(super) memory: GuestMemoryMmap,
    pub(super) last: Last,
    _wake: Option<Arc<OwnedFd>>,
}

impl Guarded {
    /// Guards `memory`. Its loss raises `wake`.
    pub(super) fn new(memory: GuestMemoryMmap, wake: &Arc<OwnedFd>) -> Self {
        let guard = |region: &GuestRegionMmap| {
            let place = Place::take();
            place.note(region.as_ptr().addr(), extent(region), wake.as_raw_fd());
            place
        };
        Self {
            places: memory.iter().map(guard).collect(),
            memory,
            last: Last::default(),
            _wake: Some(Arc::clone(wake)),
        }
    }

    /// Whether some of it is lost: what was read may not be the guest's, and what was written does
    /// not reach it. Asked for each request, which is to load one flag until a guest loses
    /// something.
    pub(super) fn is_lost(&self) -> bool {
        // The handler runs within an access, which the compiler does not know.
        compiler_fence(SeqCst);
        ANY.load(SeqCst) && self.places.iter().any(|place| place.is_lost())
    }
}

/// Whether anything was ever lost, of whichever guest.
pub(super) fn any() -> bool {
    ANY.load(SeqCst)
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.places.iter().for_each(|place| place.note(0, 0, -1));
        lock(&FREE).append(&mut self.places);
    }
}

/// How much of our address space a region has. Huge pages are mapped, and replaced, as a whole.
fn extent(region: &GuestRegionMmap) -> usize {
    let file = region.file_offset();
    let system = file.and_then(|file| fstatfs(file.file()).ok());
    let huge = system.filter(|its| i128::from(its.f_type) == i128::from(libc::HUGETLBFS_MAGIC));
    let page = huge.and_then(|its| usize::try_from(its.f_bsize).ok());
    region.size().next_multiple_of(page.unwrap_or(1))
}

/// Where a region is, for the handler.
#[derive(Default)]
struct Place {
    /// Odd while the rest is being changed.
    version: AtomicUsize,
    start: AtomicUsize,
    length: AtomicUsize,
    wake: AtomicI32,
    /// The last version that was lost. A flag would be another's if the place were given to that
    /// one while the handler sets it.
    lost: AtomicUsize,
    next: OnceLock<Box<Place>>,
}

impl Place {
    /// One that nobody has.
    fn take() -> &'static Self {
        let mut free = lock(&FREE);
        free.pop().unwrap_or_else(|| {
            let mut end = &PLACES;
            while let Some(place) = end.get() {
                end = &place.next;
            }
            end.get_or_init(Box::default)
        })
    }

    /// Notes a region. For who has the place.
    fn note(&self, start: usize, length: usize, wake: c_int) {
        self.version.fetch_add(1, SeqCst);
        self.start.store(start, SeqCst);
        self.length.store(length, SeqCst);
        self.wake.store(wake, SeqCst);
        self.version.fetch_add(1, SeqCst);
    }

    fn is_lost(&self) -> bool {
        self.lost.load(SeqCst) == self.version.load(SeqCst)
    }

    /// Replaces the region by anonymous memory, if the `address` of an access is in it. For the
    /// handler: takes no lock, allocates nothing.
    fn replace(&self, address: usize) -> bool {
        let version = self.version.load(SeqCst);
        let (start, length) = (self.start.load(SeqCst), self.length.load(SeqCst));
        let wake = self.wake.load(SeqCst);
        // What changes is not what is accessed: who accesses memory has it guarded meanwhile.
        let settled = version % 2 == 0 && version == self.version.load(SeqCst);
        if !settled || start == 0 || address.wrapping_sub(start) >= length {
            return false;
        }
        // First, so that nobody takes what replaces the memory for the guest's.
        self.lost.fetch_max(version, SeqCst);
        ANY.store(true, SeqCst);
        // In part if the host does not promise so much (vm.overcommit_memory=2).
        let part = (address - address % PART).max(start);
        let parts = [(start, length), (part, PART.min(start + length - part))];
        parts.into_iter().any(|(start, length)| {
            let start = ptr::without_provenance_mut(start);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            #[expect(unsafe_code, reason = "memory is replaced while it is accessed")]
            // SAFETY: all of this is one guest's region, which stays mapped and has `wake` open as
            // long as the access takes: it is guarded. Nobody has a reference into it: it is
            // accessed as what others change at any time. 8 bytes are read from 8 bytes.
            unsafe {
                libc::write(wake, ptr::from_ref(&1_u64).cast(), 8);
                libc::mmap(start, length, access, kind | libc::MAP_FIXED, -1, 0) != libc::MAP_FAILED
            }
        })
    }
}

/// Has the process survive it when guests' memory is lost. Any other SIGBUS does what it did
/// before.
///
/// There is one handler in a process: to have it is a program's decision, not a library's.
pub(crate) fn survive() {
    FORMER.get_or_init(|| {
        #[expect(
            unsafe_code,
            reason = "signal-hook calls the former handler first, and std's gives up"
        )]
        // SAFETY: zeroes are a `sigaction` without flags, and with an empty mask. The handler does
        // what handlers may.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            let mut former = action;
            action.sa_sigaction = handle as *const () as usize;
            // Not on the stack for signals: that is small, and ours is not at its end.
            action.sa_flags = libc::SA_SIGINFO;
            // Cannot fail: the signal exists, and may be caught.
            libc::sigaction(libc::SIGBUS, &raw const action, &raw mut former);
            former
        }
    });
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    #[expect(unsafe_code, reason = "the kernel hands over pointers")]
    // SAFETY: with SA_SIGINFO, it is good until this returns.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // Of an access that goes on when this returns: not what somebody sent, nor what the kernel says
    // of a page before it is accessed (BUS_MCEERR_AO), nor a misaligned one, which would stay that.
    let accessed = matches!(code, BUS_ADRERR | BUS_OBJERR | BUS_MCEERR_AR);
    // All: while a front end changes its memory, a region may be noted for what was and what will
    // be.
    let places = iter::successors(PLACES.get(), |place| place.next.get());
    let survived = accessed && places.fold(false, |some, place| place.replace(address) | some);
    if let (false, Some(former)) = (survived, FORMER.get()) {
        #[expect(unsafe_code, reason = "std has no signals")]
        // SAFETY: this is what the kernel said it was. When this returns, the access comes again.
        unsafe {
            libc::sigaction(signal, former, ptr::null_mut());
        }
    }
}
