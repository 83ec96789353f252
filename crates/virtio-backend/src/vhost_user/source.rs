// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a worker's reactor reports of a guest.

use crate::Token;
use crate::reactor::Key;

/// What of a guest the reactor reports. [`Key`]s have a source, and a value that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The device's token.
    Watch(Token),
    /// A front end connects.
    Listener,
    Socket,
    /// The driver kicks this queue.
    Kick(u16),
    /// A queue that stops has.
    Idle,
    /// A message has not ended, an answer was not read, a queue has not stopped, or a front end has
    /// said nothing.
    Overdue,
    /// The guest's memory is to be looked at.
    Look,
    /// A front end that could not be accepted is tried again.
    Retry,
}

impl Source {
    /// The key of this source in a guest whose keys begin with `guest`.
    pub(super) fn key(self, guest: Key) -> Key {
        let (source, value) = match self {
            Self::Watch(Token(token)) => (0_u64, token),
            Self::Listener => (1, 0),
            Self::Socket => (2, 0),
            Self::Kick(queue) => (3, queue.into()),
            Self::Idle => (4, 0),
            Self::Overdue => (5, 0),
            Self::Look => (6, 0),
            Self::Retry => (7, 0),
        };
        guest | (source << 32) | Key::from(value)
    }

    /// The source that a key has.
    pub(super) fn of(key: Key) -> Self {
        let [_, _, _, source, _, _, q0, q1] = key.to_be_bytes();
        match source {
            1 => Self::Listener,
            2 => Self::Socket,
            3 => Self::Kick(u16::from_be_bytes([q0, q1])),
            4 => Self::Idle,
            5 => Self::Overdue,
            6 => Self::Look,
            7 => Self::Retry,
            _ => Self::Watch(Token::of(key)),
        }
    }
}
