// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A split virtqueue, as its driver sees it (virtio 2.7).

use std::fmt;
use std::mem;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::{Descriptor, LIMIT, Memory};

/// `VIRTQ_USED_F_NO_NOTIFY`.
const NO_NOTIFY: u16 = 1;

/// Where a ring's parts are. Any addresses can be told to a device.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Entries.
    pub size: u16,
    /// Address of the descriptor table.
    pub descriptors: u64,
    /// Address of the available ring, which the driver writes.
    pub available: u64,
    /// Address of the used ring, which the device writes.
    pub used: u64,
}

impl Layout {
    /// A ring of `size` entries in new memory, as a driver lays it out.
    pub fn new(memory: &Memory, size: u16) -> Self {
        let entries = usize::from(size);
        Self {
            size,
            descriptors: memory.allocate(Descriptor::SIZE * entries),
            available: memory.allocate(available_size(size)),
            used: memory.allocate(used_size(size)),
        }
    }
}

/// Bytes of an available ring: flags, idx, ring, used_event.
fn available_size(size: u16) -> usize {
    6 + 2 * usize::from(size)
}

/// Bytes of a used ring: flags, idx, ring, avail_event.
fn used_size(size: u16) -> usize {
    6 + 8 * usize::from(size)
}

/// `struct virtq_used_elem`: the device is done with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The chain's head.
    pub id: u32,
    /// How many bytes the device wrote, from the first.
    pub len: u32,
}

/// A split virtqueue in guest memory, with its two eventfds.
///
/// The methods from [`ask`](Self::ask) to [`wait`](Self::wait) are a well-behaved driver. The
/// others write and read what they are told to. Nothing from [`push`](Self::push) to
/// [`wait`](Self::wait) allocates.
pub struct Ring {
    /// `VIRTIO_F_EVENT_IDX` was negotiated.
    pub event_idx: bool,
    pub(super) layout: Layout,
    pub(super) kick: EventFd,
    pub(super) call: EventFd,
    /// Says that `call` is readable.
    called: Epoll,
    memory: Arc<Memory>,
    /// The available index after all that was pushed.
    available: u16,
    /// That index when the device was last notified, or had no need of it.
    notified: u16,
    /// The used index after all that was popped.
    used: u16,
    /// Descriptors that no chain has.
    free: Vec<u16>,
    /// The descriptors of the chain at each head.
    chains: Vec<Vec<u16>>,
    /// Interrupts so far.
    calls: u64,
}

impl Ring {
    /// An empty ring at `layout`.
    pub fn new(memory: &Arc<Memory>, layout: Layout) -> Self {
        // Not blocking: a back end that reads a kick twice must not hang, and a driver counts calls
        // without waiting.
        let eventfd = || EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).unwrap();
        let (call, called) = (eventfd(), Epoll::new().unwrap());
        let readable = EpollEvent::new(EventSet::IN, 0);
        called
            .ctl(ControlOperation::Add, call.as_raw_fd(), readable)
            .unwrap();
        let mut ring = Self {
            event_idx: false,
            layout,
            kick: eventfd(),
            call,
            called,
            memory: memory.clone(),
            available: 0,
            notified: 0,
            used: 0,
            free: Vec::new(),
            chains: Vec::new(),
            calls: 0,
        };
        ring.reset();
        ring
    }

    /// Empties the ring, as a driver does when it starts anew.
    pub fn reset(&mut self) {
        self.memory
            .zero(self.layout.available, available_size(self.layout.size));
        self.memory
            .zero(self.layout.used, used_size(self.layout.size));
        (self.available, self.notified, self.used) = (0, 0, 0);
        self.free = (0..self.layout.size).rev().collect();
        self.chains = vec![Vec::new(); self.layout.size.into()];
    }

    /// Asks the device: sends `readable` and returns what it writes into buffers of the sizes of
    /// `writable`. `None` if no answer comes. A chain that is too long for the ring goes through an
    /// indirect table.
    #[track_caller]
    pub fn ask(&mut self, readable: &[&[u8]], writable: &[usize]) -> Option<Vec<u8>> {
        let mark = self.memory.mark();
        let chain = self.memory.chain(readable, writable);
        let head = if chain.len() > self.free.len() {
            self.submit(&[self.memory.indirect(&chain)])
        } else {
            self.submit(&chain)
        };
        let used = self.wait()?;
        assert_eq!(
            used.id,
            u32::from(head),
            "another chain than the one that was asked for"
        );
        let answer = self.memory.answer(&chain, used.len);
        self.memory.release(mark);
        Some(answer)
    }

    /// Makes `chain` available to the device. Returns its head.
    #[track_caller]
    pub fn submit(&mut self, chain: &[Descriptor]) -> u16 {
        let head = self.add(chain);
        self.push(head);
        self.notify();
        head
    }

    /// Writes `chain` into free descriptors, which are free again when the chain is
    /// [popped](Self::pop). Returns its head.
    #[track_caller]
    pub fn add(&mut self, chain: &[Descriptor]) -> u16 {
        let rest = self
            .free
            .len()
            .checked_sub(chain.len())
            .expect("the ring is full");
        let head = *self.free.last().expect("a chain has a descriptor");
        self.chains[usize::from(head)].extend(self.free.drain(rest..).rev());
        let slots = &self.chains[usize::from(head)];
        for (&slot, descriptor) in slots.iter().zip(chain) {
            let mut descriptor = *descriptor;
            if let Some(&next) = slots.get(usize::from(descriptor.next)) {
                descriptor.next = next;
            }
            self.set_descriptor(slot, descriptor);
        }
        head
    }

    /// Makes the chain at `head` available.
    pub fn push(&mut self, head: u16) {
        self.push_all(&[head]);
    }

    /// Makes the chains at `heads` available together: whenever the device looks, it finds all of
    /// them or none.
    pub fn push_all(&mut self, heads: &[u16]) {
        let mut index = self.available;
        for &head in heads {
            let entry = self.layout.available + 4 + 2 * u64::from(index % self.layout.size);
            self.memory.store(entry, head);
            index = index.wrapping_add(1);
        }
        self.set_available_index(index);
    }

    /// Kicks the device if it wants to know of what was pushed since it was last asked (virtio
    /// 2.7.10.1).
    pub fn notify(&mut self) {
        // What was pushed must be visible before the device is asked whether it looks.
        fence(Ordering::SeqCst);
        let new = self.available;
        let old = mem::replace(&mut self.notified, new);
        let wanted = if self.event_idx {
            let event = self
                .memory
                .load(self.layout.used + 4 + 8 * u64::from(self.layout.size));
            new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
        } else {
            self.memory.load(self.layout.used) & NO_NOTIFY == 0
        };
        if wanted {
            self.kick();
        }
    }

    /// The next chain that the device is done with. With EVENT_IDX, asks to be interrupted for the
    /// one after.
    pub fn pop(&mut self) -> Option<Used> {
        if self.used_index() == self.used {
            return None;
        }
        let (mut id, mut len) = ([0; 4], [0; 4]);
        let entry = self.layout.used + 4 + 8 * u64::from(self.used % self.layout.size);
        self.memory.read(entry, &mut id);
        self.memory.read(entry + 4, &mut len);
        let used = Used {
            id: u32::from_le_bytes(id),
            len: u32::from_le_bytes(len),
        };
        if let Some(slots) = usize::try_from(used.id)
            .ok()
            .and_then(|head| self.chains.get_mut(head))
        {
            self.free.extend(slots.drain(..).rev());
        }
        self.used = self.used.wrapping_add(1);
        if self.event_idx {
            self.set_used_event(self.used);
            // The device must see this before we look whether it has done more.
            fence(Ordering::SeqCst);
        }
        Some(used)
    }

    /// The next chain that the device is done with: waits for its interrupt. `None` if it does not
    /// come.
    pub fn wait(&mut self) -> Option<Used> {
        loop {
            let used = self.pop();
            if used.is_some() || !self.wait_call() {
                return used;
            }
        }
    }

    /// Waits until the device interrupts. `false` if it does not.
    pub fn wait_call(&mut self) -> bool {
        let (end, before) = (Instant::now() + LIMIT, self.calls);
        loop {
            let rest = end.saturating_duration_since(Instant::now()).as_millis();
            let mut events = [EpollEvent::default()];
            // A signal may interrupt this: it is the eventfd that counts, not the answer.
            drop(self.called.wait(rest.try_into().unwrap(), &mut events));
            if self.calls() > before || rest == 0 {
                return self.calls > before;
            }
        }
    }

    /// How many interrupts there were since the ring was made.
    pub fn calls(&mut self) -> u64 {
        // Nothing to read is no interrupt.
        self.calls += self.call.read().unwrap_or(0);
        self.calls
    }

    /// Kicks the device, whether it wants that or not.
    pub fn kick(&self) {
        self.kick.write(1).unwrap();
    }

    /// Takes back the kicks that the device has not noticed yet: it finds nothing where it was told
    /// that there is something.
    pub fn take_kick_back(&self) {
        // Fails when the device was faster.
        drop(self.kick.read());
    }

    /// Writes `descriptor` into the table.
    pub fn set_descriptor(&self, index: u16, descriptor: Descriptor) {
        self.memory.write(
            self.layout.descriptors + 16 * u64::from(index),
            &descriptor.emit(),
        );
    }

    /// Says how far the available ring is filled.
    pub fn set_available_index(&mut self, index: u16) {
        self.available = index;
        self.memory.store(self.layout.available + 2, index);
    }

    /// Without EVENT_IDX, 1 asks for no interrupts (`VIRTQ_AVAIL_F_NO_INTERRUPT`).
    pub fn set_available_flags(&self, flags: u16) {
        self.memory.store(self.layout.available, flags);
    }

    /// With EVENT_IDX, asks for an interrupt when the used index passes `index`.
    pub fn set_used_event(&self, index: u16) {
        self.memory.store(
            self.layout.available + 4 + 2 * u64::from(self.layout.size),
            index,
        );
    }

    /// How far the driver has filled the available ring.
    pub fn available_index(&self) -> u16 {
        self.available
    }

    /// How far the device has filled the used ring.
    pub fn used_index(&self) -> u16 {
        self.memory.load(self.layout.used + 2)
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
