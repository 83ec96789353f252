// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest's memory and its queues, and the payloads that say where they are.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::pipe::{PipeFlags, pipe_with};
use virtio_backend::testing::{Descriptor, Layout, Memory, Ring, Used};

use crate::wire::{
    ADD_MEM_REG, GET_VRING_BASE, SET_MEM_TABLE, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_CALL,
    SET_VRING_ENABLE, SET_VRING_ERR, SET_VRING_KICK, SET_VRING_NUM, Wire, is_readable, longs,
    words,
};

/// Where the front end has the guest's address 0.
const USER: u64 = 0x5500_0000_0000;

/// Two regions, as a machine with a hole below 4 GiB has them.
const REGIONS: [(u64, usize); 2] = [(0x10_0000, 0x10_0000), (0x1_0000_0000, 0x10_0000)];

pub(crate) struct Machine {
    pub(crate) memory: Arc<Memory>,
    pub(crate) queues: Vec<Queue>,
    /// What the driver asks.
    chain: Vec<Descriptor>,
}

/// A queue, with the file descriptors that its front end gives it.
pub(crate) struct Queue {
    index: u32,
    pub(crate) ring: Ring,
    pub(crate) layout: Layout,
    kick: OwnedFd,
    call: OwnedFd,
    /// The end of `call` that the front end reads.
    called: OwnedFd,
    error: OwnedFd,
}

impl Machine {
    /// A machine whose device has queues of these sizes, with eventfds that do not block.
    pub(crate) fn new(sizes: &[u16]) -> Self {
        Self::with(sizes, |_| {
            let call = event(EventfdFlags::NONBLOCK);
            let called = call.try_clone().unwrap();
            (event(EventfdFlags::NONBLOCK), call, called)
        })
    }

    /// The same with User-Mode Linux's descriptors: kicks are an eventfd that blocks, calls a pipe.
    pub(crate) fn of_user_mode_linux(sizes: &[u16]) -> Self {
        Self::with(sizes, |_| {
            let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
            let (called, call) = pipe_with(flags).unwrap();
            (event(EventfdFlags::empty()), call, called)
        })
    }

    fn with(sizes: &[u16], files: impl Fn(u32) -> (OwnedFd, OwnedFd, OwnedFd)) -> Self {
        let memory = Memory::new(&REGIONS);
        let queue = |(index, &size)| {
            let layout = Layout::new(&memory, size);
            let (kick, call, called) = files(index);
            let mut ring = Ring::new(&memory, layout);
            // A device without EVENT_IDX does not look at what this makes of the ring.
            ring.event_idx = true;
            Queue {
                index,
                ring,
                layout,
                kick,
                call,
                called,
                error: event(EventfdFlags::NONBLOCK),
            }
        };
        let queues = (0..).zip(sizes).map(queue).collect();
        let chain = memory.chain(&[b"hello"], &[8]);
        Self {
            memory,
            queues,
            chain,
        }
    }

    /// The driver starts anew.
    pub(crate) fn reset(&mut self) {
        self.queues.iter_mut().for_each(|queue| queue.ring.reset());
    }

    /// Asks the device on the first queue, and waits for the answer.
    pub(crate) fn works(&mut self) -> bool {
        self.memory.write(self.chain[1].addr, &[0; 8]);
        self.queues[0].submit(&self.chain);
        let used = self.queues[0].wait();
        used.is_some_and(|used| self.memory.answer(&self.chain, used.len) == b"!hello")
    }

    /// All memory with one message.
    #[track_caller]
    pub(crate) fn set_mem_table(&self, wire: &Wire) {
        let files: Vec<_> = self.memory.files().iter().map(|region| region.2).collect();
        wire.tell(SET_MEM_TABLE, &self.table(), &files);
    }

    /// The payload of that message.
    pub(crate) fn table(&self) -> Vec<u8> {
        let regions = self.memory.files();
        let count = u32::try_from(regions.len()).unwrap();
        let regions = regions
            .iter()
            .flat_map(|&(guest, size, _)| region(guest, size));
        words(&[count, 0]).into_iter().chain(regions).collect()
    }

    /// All memory, region by region.
    #[track_caller]
    pub(crate) fn add_mem_regs(&self, wire: &Wire) {
        for (guest, size, file) in self.memory.files() {
            wire.tell(ADD_MEM_REG, &single(guest, size), &[file]);
        }
    }
}

impl Queue {
    #[track_caller]
    pub(crate) fn set_num(&self, wire: &Wire) {
        wire.tell(SET_VRING_NUM, &self.state(self.layout.size.into()), &[]);
    }

    #[track_caller]
    pub(crate) fn set_base(&self, wire: &Wire, base: u32) {
        wire.tell(SET_VRING_BASE, &self.state(base), &[]);
    }

    #[track_caller]
    pub(crate) fn set_addr(&self, wire: &Wire) {
        wire.tell(SET_VRING_ADDR, &self.addresses([0; 3]), &[]);
    }

    #[track_caller]
    pub(crate) fn set_kick(&self, wire: &Wire) {
        wire.tell(SET_VRING_KICK, &self.event(), &[self.kick.as_fd()]);
    }

    #[track_caller]
    pub(crate) fn set_call(&self, wire: &Wire) {
        wire.tell(SET_VRING_CALL, &self.event(), &[self.call.as_fd()]);
    }

    #[track_caller]
    pub(crate) fn set_err(&self, wire: &Wire) {
        wire.tell(SET_VRING_ERR, &self.event(), &[self.error.as_fd()]);
    }

    #[track_caller]
    pub(crate) fn enable(&self, wire: &Wire, enabled: u32) {
        wire.tell(SET_VRING_ENABLE, &self.state(enabled), &[]);
    }

    /// Returns the base at which the queue would go on.
    #[track_caller]
    pub(crate) fn stop(&self, wire: &Wire) -> u32 {
        let answer = wire.ask(GET_VRING_BASE, &self.state(0)).unwrap();
        let [index, base] =
            [&answer[..4], &answer[4..]].map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        assert_eq!(index, self.index);
        base
    }

    /// `struct vhost_vring_state`.
    pub(crate) fn state(&self, number: u32) -> Vec<u8> {
        words(&[self.index, number])
    }

    /// `struct vhost_vring_addr`: the queue's parts (descriptors, available, used) so far beside where
    /// they are.
    pub(crate) fn addresses(&self, beside: [u64; 3]) -> Vec<u8> {
        let Layout {
            descriptors,
            available,
            used,
            ..
        } = self.layout;
        let [descriptors, available, used] =
            [(descriptors, 0), (available, 1), (used, 2)].map(|(at, n)| USER + at + beside[n]);
        let log = u64::MAX;
        [
            words(&[self.index, 0]),
            longs(&[descriptors, used, available, log]),
        ]
        .concat()
    }

    /// The payload of a message that comes with an event's file descriptor.
    pub(crate) fn event(&self) -> Vec<u8> {
        longs(&[self.index.into()])
    }

    /// Says that something is in the queue, whether the device wants to know or not.
    pub(crate) fn kick(&self) {
        rustix::io::write(&self.kick, &1_u64.to_ne_bytes()).unwrap();
    }

    pub(crate) fn submit(&mut self, chain: &[Descriptor]) {
        let head = self.ring.add(chain);
        self.ring.push(head);
        self.kick();
    }

    /// The next chain that the device is done with, once it has interrupted. `None` if it does not.
    pub(crate) fn wait(&mut self) -> Option<Used> {
        loop {
            if !is_readable(&self.called) {
                return None;
            }
            // An eventfd has 8 bytes, and a pipe as many for each interrupt.
            rustix::io::read(&self.called, &mut [0; 8]).unwrap();
            if let Some(used) = self.ring.pop() {
                return Some(used);
            }
        }
    }

    /// Whether the device said that the queue is broken. Waits for that.
    pub(crate) fn is_broken(&self) -> bool {
        is_readable(&self.error)
    }
}

/// `struct vhost_user_mem_region`.
pub(crate) fn region(guest: u64, size: u64) -> Vec<u8> {
    longs(&[guest, size, USER + guest, 0])
}

/// The payload of a message about one region.
pub(crate) fn single(guest: u64, size: u64) -> Vec<u8> {
    [longs(&[0]), region(guest, size)].concat()
}

fn event(flags: EventfdFlags) -> OwnedFd {
    eventfd(0, flags | EventfdFlags::CLOEXEC).unwrap()
}
