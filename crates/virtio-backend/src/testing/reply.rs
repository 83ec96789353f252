// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Replies and events without a ring.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, Weak};

use super::LIMIT;
use crate::{Events, Reply, Ring, Urgency, lock};

/// A [`Reply`] with `room` bytes for the answer, and what becomes of it.
pub fn reply(room: usize) -> (Reply, Answer) {
    let (queue, sent) = Queue::new(0);
    let ring: Weak<Queue> = Arc::downgrade(&queue);
    (
        Reply::new(ring, 0, 0, room),
        Answer {
            _queue: queue,
            sent,
        },
    )
}

/// [`Events`] of a queue with `size` entries, and the buffers that the driver lends on it: none at
/// first.
pub fn events(size: usize) -> (Events, Buffers) {
    let (queue, sent) = Queue::new(size);
    let ring: Weak<Queue> = Arc::downgrade(&queue);
    (Events::new(ring, 0), Buffers { queue, sent })
}

/// What became of a [`Reply`]. Dropping it is a reset of the guest: the reply does nothing from
/// then on.
#[derive(Debug)]
pub struct Answer {
    _queue: Arc<Queue>,
    sent: Receiver<Sent>,
}

impl Answer {
    /// The answer, as long as the used length says. Waits for it; `None` if it does not come.
    pub fn wait(&self) -> Option<Vec<u8>> {
        self.sent.recv_timeout(LIMIT).ok().map(Sent::prefix)
    }

    /// The answer, as long as the used length says, if it was sent already.
    pub fn now(&self) -> Option<Vec<u8>> {
        self.sent.try_recv().ok().map(Sent::prefix)
    }

    /// The answer, if it was sent already as the last bytes of the room, of which the used length
    /// says nothing.
    pub fn last(&self) -> Option<Vec<u8>> {
        let sent = self.sent.try_recv().ok()?;
        (sent.start > 0).then_some(sent.bytes)
    }
}

/// What was written, and where it begins.
#[derive(Debug)]
struct Sent {
    start: usize,
    bytes: Vec<u8>,
}

impl Sent {
    fn prefix(self) -> Vec<u8> {
        if self.start == 0 {
            self.bytes
        } else {
            Vec::new()
        }
    }
}

/// What the driver receives through [`Events`]. Dropping it is a reset of the guest.
#[derive(Debug)]
pub struct Buffers {
    queue: Arc<Queue>,
    sent: Receiver<Sent>,
}

impl Buffers {
    /// Lends the device `count` more buffers.
    pub fn lend(&self, count: usize) {
        let mut state = lock(&self.queue.state);
        state.lent += count;
        state.deliver(&self.queue.sent);
    }

    /// The next message. Waits for it; `None` if it does not come.
    pub fn wait(&self) -> Option<Vec<u8>> {
        self.sent.recv_timeout(LIMIT).ok().map(Sent::prefix)
    }

    /// The next message, if it was sent already.
    pub fn now(&self) -> Option<Vec<u8>> {
        self.sent.try_recv().ok().map(Sent::prefix)
    }
}

#[derive(Debug)]
struct Queue {
    size: usize,
    state: Mutex<State>,
    sent: Sender<Sent>,
}

#[derive(Debug, Default)]
struct State {
    lent: usize,
    waiting: VecDeque<Vec<u8>>,
}

impl Queue {
    fn new(size: usize) -> (Arc<Self>, Receiver<Sent>) {
        let (sent, received) = mpsc::channel();
        (
            Arc::new(Self {
                size,
                state: Mutex::default(),
                sent,
            }),
            received,
        )
    }
}

impl State {
    fn deliver(&mut self, sent: &Sender<Sent>) {
        while self.lent > 0 {
            let Some(message) = self.waiting.pop_front() else {
                return;
            };
            self.lent -= 1;
            sent.send(Sent {
                start: 0,
                bytes: message,
            })
            .expect("the queue is alive, and so is its driver");
        }
    }
}

impl Ring for Queue {
    fn answer(
        &self,
        _life: u32,
        _head: u16,
        range: Range<usize>,
        source: &mut dyn FnMut(&mut [u8]),
    ) {
        let mut bytes = vec![0; range.len()];
        if !range.is_empty() {
            source(&mut bytes);
        }
        self.sent
            .send(Sent {
                start: range.start,
                bytes,
            })
            .expect("the queue is alive, and so is its driver");
    }

    fn emit(&self, _life: u32, message: &[u8], urgency: Urgency) -> bool {
        let mut state = lock(&self.state);
        let room = match urgency {
            Urgency::Keep => state.waiting.len() < state.lent.max(self.size),
            Urgency::Drop => state.waiting.len() < state.lent,
        };
        if room {
            state.waiting.push_back(message.to_vec());
            state.deliver(&self.sent);
        }
        room
    }
}
