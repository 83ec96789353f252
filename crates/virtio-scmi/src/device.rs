// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device of one guest: commands to the engine, its responses and events back.

use std::time::Duration;

use log::debug;
use scmi::{AgentId, Answer, Place, Reason};
use virtio_backend::{Device, Events, Queue, Reply, Timer, Token};

use crate::board::{Board, PAUSED, PLACES, TIME, WOKEN};

/// `VIRTIO_SCMI_F_P2A_CHANNELS`: there are notifications and delayed responses.
const P2A_CHANNELS: u64 = 1 << 0;

/// The longest message that is looked at: a header, and as many parameters as the transport carries.
const LONGEST_REQUEST: usize = 4 + 128;

/// The longest response or event: header, status, values.
const LONGEST_RESPONSE: usize = 8 + 124;

/// From a response to what the same command makes the platform say. The two have interrupts of their own: sent at once, a
/// delayed response overtakes its response, which Linux complains of.
const PAUSE: Duration = Duration::from_millis(1);

/// The SCMI device of one guest, from [`Board::guest`].
pub struct Scmi {
    guest: String,
    agent: AgentId,
    board: Board,
    /// Expires when it is time for what the guest has caused itself.
    pause: Timer,
    events: Option<Events>,
    /// An event that the driver has lent no buffer for. The engine has the others, where a second change of the same
    /// thing is no second event.
    held: Option<Message>,
    /// Commands that are answered when their operation is complete.
    waiting: Vec<(Place, Reply)>,
}

struct Message {
    bytes: [u8; LONGEST_RESPONSE],
    length: usize,
}

impl Message {
    fn new() -> Self {
        Self {
            bytes: [0; LONGEST_RESPONSE],
            length: 0,
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Scmi {
    /// Longest request that the device accepts, in bytes.
    pub const MAX_REQUEST: usize = LONGEST_REQUEST;

    pub(crate) fn new(guest: &str, agent: AgentId, board: Board, pause: Timer) -> Self {
        Self {
            guest: guest.to_owned(),
            agent,
            board,
            pause,
            events: None,
            held: None,
            waiting: Vec::with_capacity(PLACES.into()),
        }
    }

    /// Answers commands whose operation is complete.
    fn answer_waiting(&mut self) {
        let mut message = Message::new();
        for at in (0..self.waiting.len()).rev() {
            let Some(&(place, _)) = self.waiting.get(at) else {
                return;
            };
            let answer =
                |engine: &mut scmi::Engine<'_, _>| engine.answer(place, &mut message.bytes);
            if let Some((Some(length), _)) = self.board.with(Some(self.agent), answer) {
                message.length = length;
                self.waiting.swap_remove(at).1.send(message.bytes());
            }
        }
    }

    /// Sends events as long as there are any and the driver has lent buffers for them.
    fn send_events(&mut self) {
        let Some(events) = &self.events else {
            return;
        };
        loop {
            let message = match self.held.take() {
                Some(held) => held,
                None => {
                    let mut message = Message::new();
                    let next = |engine: &mut scmi::Engine<'_, _>| {
                        engine.next_event(self.agent, &mut message.bytes)
                    };
                    let Some((Some(length), _)) = self.board.with(Some(self.agent), next) else {
                        return;
                    };
                    message.length = length;
                    message
                }
            };
            if !events.offer(message.bytes()) {
                self.held = Some(message);
                return;
            }
        }
    }
}

impl Device for Scmi {
    fn device_type(&self) -> u32 {
        32
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests, Queue::Events]
    }

    fn max_request(&self) -> usize {
        Self::MAX_REQUEST
    }

    fn features(&self) -> u64 {
        P2A_CHANNELS
    }

    fn negotiated(&mut self, features: u64) {
        let reach = features & P2A_CHANNELS != 0;
        self.board.with(Some(self.agent), |engine| {
            engine.set_events(self.agent, reach);
        });
    }

    fn handle(&mut self, _queue: u16, request: &[u8], reply: Reply) {
        let mut message = Message::new();
        let room = reply.room().min(LONGEST_RESPONSE);
        let room = message.bytes.get_mut(..room).unwrap_or_default();
        let handle = |engine: &mut scmi::Engine<'_, _>| engine.handle(self.agent, request, room);
        let Some((answer, woken)) = self.board.with(Some(self.agent), handle) else {
            return;
        };
        match answer {
            Answer::Now(length) => {
                if length == 0 {
                    debug!("{}: no header, or no room for a status", self.guest);
                }
                message.length = length;
                reply.send(message.bytes());
            }
            Answer::Later(place) => self.waiting.push((place, reply)),
        }
        if woken {
            self.pause.arm(PAUSE);
        }
    }

    fn events(&mut self, _queue: u16, events: Events) {
        self.events = Some(events);
    }

    fn lent(&mut self, _queue: u16) {
        self.send_events();
    }

    fn ready(&mut self, token: Token) {
        match token {
            TIME => self.board.tick(),
            WOKEN | PAUSED => {
                self.answer_waiting();
                self.send_events();
            }
            _ => {}
        }
    }

    fn reset(&mut self) {
        self.waiting.clear();
        self.held = None;
        self.events = None;
        self.board.with(Some(self.agent), |engine| {
            engine.set_events(self.agent, false);
            // What fails, the platform is told to try again.
            engine.reset_agent(self.agent, Reason::Disconnected).ok();
        });
    }
}
