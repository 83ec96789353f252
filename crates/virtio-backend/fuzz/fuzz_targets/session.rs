// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Any bytes, in any pieces, with any descriptors, from a front end and a driver that may be right in
//! part. The session neither panics nor hangs, and says nothing that is not an answer.
#![no_main]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::pipe;
use virtio_backend::testing::{Descriptor, Dialogue, Layout, Memory, Ring, feature};
use virtio_backend::{Device, Events, Queue, Reply, Stopped, Watch};

/// The guest's memory, and where the front end has it.
const START: u64 = 0x10_0000;
const SIZE: usize = 0x1_0000;
const USER: u64 = 0x5500_0000_0000;
const ENTRIES: u16 = 8;

#[derive(Arbitrary, Debug)]
enum Step {
    /// Anything.
    Bytes {
        bytes: Vec<u8>,
        files: Vec<File>,
    },
    /// A message of any content.
    Message {
        request: u8,
        need_reply: bool,
        payload: Vec<u8>,
        files: Vec<File>,
        /// It comes in pieces of this size.
        piece: u8,
    },
    /// A message about a queue, much of which is right.
    Queue {
        about: About,
        queue: u8,
        value: u16,
    },
    /// A message about the guest's memory.
    Memory {
        about: Region,
        offset: u16,
    },
    /// All that a front end says before its driver runs.
    Start {
        queue: u8,
        base: u16,
        /// The front end wants to know what is written.
        logs: bool,
    },
    /// The driver makes a chain available, and kicks.
    Ask {
        addr: u16,
        len: u16,
        flags: u8,
        head: u8,
    },
    AvailableIndex(u16),
    /// The file of the memory becomes so long.
    Truncate(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum About {
    Num,
    Base,
    Stop,
    Enable,
    Place,
    Kick,
    Call,
    Error,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Region {
    Table,
    Add,
    Remove,
    /// The log of written pages is there, too.
    Log,
    /// So is what says which requests are in flight.
    Inflight,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum File {
    Memory,
    ShortMemory,
    Event,
    Kick,
    Pipe,
    Socket,
    Directory,
}

/// Answers with what it is asked, and sends an event for each buffer that it is given.
#[derive(Default)]
struct Echo {
    events: Option<Events>,
    /// It is a while until a queue has stopped.
    stopped: Option<Stopped>,
}

impl Device for Echo {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests, Queue::Events]
    }

    fn max_request(&self) -> usize {
        64
    }

    fn config(&self) -> Vec<u8> {
        b"8 bytes.".to_vec()
    }

    fn handle(&mut self, _queue: u16, request: &[u8], reply: Reply) {
        reply.send(request);
    }

    fn events(&mut self, _queue: u16, events: Events) {
        self.events = Some(events);
    }

    fn lent(&mut self, _queue: u16) {
        if let Some(events) = &self.events {
            events.offer(b"event");
        }
    }

    fn stop(&mut self, _queue: u16, stopped: Stopped) {
        self.stopped = Some(stopped);
    }

    fn drained(&mut self, _queue: u16) {
        self.stopped = None;
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

struct FrontEnd {
    dialogue: Dialogue<Echo>,
    memory: OwnedFd,
    short: OwnedFd,
    event: OwnedFd,
    kick: OwnedFd,
    pipe: (OwnedFd, OwnedFd),
    socket: (OwnedFd, OwnedFd),
    directory: OwnedFd,
    /// All that the session said.
    heard: Vec<u8>,
}

impl FrontEnd {
    fn new(memory: &Memory) -> Self {
        let short = memfd_create("short", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&short, 100).unwrap();
        let event = || eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let flags = SocketFlags::CLOEXEC;
        Self {
            dialogue: Dialogue::new(|_: &Watch| Echo::default()),
            memory: memory.files()[0].2.try_clone_to_owned().unwrap(),
            short,
            event: event(),
            kick: event(),
            pipe: pipe().unwrap(),
            socket: socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap(),
            directory: std::fs::File::open("/").unwrap().into(),
            heard: Vec::new(),
        }
    }

    fn say(&mut self, request: u32, flags: u32, payload: &[u8], files: &[File], piece: usize) {
        let size = payload.len() as u32;
        let bytes = [&words(&[request, 1 | flags, size]), payload].concat();
        for (index, piece) in bytes.chunks(piece.max(1)).enumerate() {
            self.send(piece, if index == 0 { files } else { &[] });
        }
    }

    fn send(&mut self, bytes: &[u8], files: &[File]) {
        let Self {
            dialogue,
            memory,
            short,
            event,
            kick,
            pipe,
            socket,
            directory,
            heard,
        } = self;
        let file = |file: &File| -> BorrowedFd<'_> {
            match file {
                File::Memory => memory.as_fd(),
                File::ShortMemory => short.as_fd(),
                File::Event => event.as_fd(),
                File::Kick => kick.as_fd(),
                File::Pipe => pipe.1.as_fd(),
                File::Socket => socket.0.as_fd(),
                File::Directory => directory.as_fd(),
            }
        };
        let files: Vec<_> = files.iter().map(file).collect();
        heard.extend(dialogue.say(bytes, &files));
    }

    fn about(&mut self, about: About, queue: u8, value: u16, layout: &Layout) {
        let (index, place) = (u32::from(queue), u64::from(value) + USER);
        let state = words(&[index, value.into()]);
        let event = longs(&[index.into()]);
        let parts = [layout.descriptors, layout.used, layout.available].map(|at| at + place);
        let addresses = [words(&[index, 0]), longs(&parts), longs(&[0])].concat();
        let (request, payload, files): (_, _, &[File]) = match about {
            About::Num => (8, state, &[]),
            About::Base => (10, state, &[]),
            About::Stop => (11, state, &[]),
            About::Enable => (18, words(&[index, (value & 1).into()]), &[]),
            About::Place => (9, addresses, &[]),
            About::Kick => (12, event, &[File::Kick]),
            About::Call => (13, event, &[File::Event]),
            About::Error => (14, event, &[File::Event]),
        };
        self.say(request, 0, &payload, files, usize::MAX);
    }

    fn memory(&mut self, about: Region, offset: u64) {
        let region = longs(&[START, SIZE as u64, USER + START, offset]);
        let single = [longs(&[0]), region.clone()].concat();
        let (request, payload) = match about {
            Region::Table => (5, [words(&[1, 0]), region].concat()),
            Region::Add => (37, single),
            Region::Remove => (38, single),
            Region::Inflight => {
                let queues = [2, ENTRIES, 0, 0].map(u16::to_ne_bytes).concat();
                (32, [longs(&[SIZE as u64, offset]), queues].concat())
            }
            Region::Log => (6, longs(&[SIZE as u64, offset])),
        };
        self.say(request, 0, &payload, &[File::Memory], usize::MAX);
    }

    fn start(&mut self, queue: u8, base: u16, logs: bool, layout: &Layout) {
        let protocol = 1_u64 << 1 | 1 << 3 | 1 << 9 | 1 << 12;
        let features = feature::ALL | u64::from(logs) << 26;
        self.say(16, 0, &longs(&[protocol]), &[], usize::MAX);
        self.say(2, 0, &longs(&[features]), &[], usize::MAX);
        self.memory(Region::Table, 0);
        for (about, value) in [
            (About::Num, ENTRIES),
            (About::Base, base),
            (About::Place, 0),
            (About::Kick, 0),
            (About::Call, 0),
            (About::Enable, 1),
        ] {
            self.about(about, queue, value, layout);
        }
    }

    /// The driver kicks.
    fn kick(&mut self) {
        rustix::io::write(&self.kick, &1_u64.to_ne_bytes()).unwrap();
        self.send(&[], &[]);
    }

    /// All that was said is answers, whole ones.
    fn check(&self) {
        let mut rest = &self.heard[..];
        while let Some((header, behind)) = rest.split_first_chunk::<12>() {
            let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
            assert_eq!(word(4), 1 | 4);
            rest = &behind[word(8) as usize..];
        }
        assert!(rest.is_empty());
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_ne_bytes()).collect()
}

fuzz_target!(|steps: Vec<Step>| {
    let memory = Memory::new(&[(START, SIZE)]);
    let layout = Layout::new(&memory, ENTRIES);
    let mut ring = Ring::new(&memory, layout);
    let mut front_end = FrontEnd::new(&memory);
    let mut length = SIZE;
    for step in steps {
        match step {
            Step::Bytes { bytes, files } => front_end.send(&bytes, &files),
            Step::Message {
                request,
                need_reply,
                payload,
                files,
                piece,
            } => {
                let flags = u32::from(need_reply) << 3;
                front_end.say((request % 50).into(), flags, &payload, &files, piece.into());
            }
            Step::Queue {
                about,
                queue,
                value,
            } => front_end.about(about, queue % 3, value, &layout),
            Step::Memory { about, offset } => front_end.memory(about, offset.into()),
            Step::Start { queue, base, logs } => front_end.start(queue % 2, base, logs, &layout),
            // The driver is in this process, and would lose its memory, too.
            _ if length < SIZE => {}
            Step::Ask {
                addr,
                len,
                flags,
                head,
            } => {
                let descriptor = Descriptor {
                    addr: START + u64::from(addr),
                    len: len.into(),
                    flags: (flags % 8).into(),
                    next: (flags / 8).into(),
                };
                ring.set_descriptor(u16::from(head) % ENTRIES, descriptor);
                ring.push(u16::from(head) % (ENTRIES + 1));
                front_end.kick();
            }
            Step::AvailableIndex(index) => {
                ring.set_available_index(index);
                front_end.kick();
            }
            Step::Truncate(pages) => {
                length = usize::from(pages) << 12;
                ftruncate(&front_end.memory, length as u64).unwrap();
                front_end.kick();
            }
        }
    }
    front_end.check();
});
