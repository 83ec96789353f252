// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the platform does and is not done with, and which commands wait for that.
//!
//! | | is of | named by | ends with |
//! |---|---|---|---|
//! | task | a resource, in one of two [slots](Slot) | [`Ticket`] | [`Engine::complete`](crate::Engine::complete) |
//! | pending command | an agent, in one of its places | [`Place`] | [`Engine::answer`](crate::Engine::answer), [`Engine::next_event`](crate::Engine::next_event) |

use super::ids::{AgentId, GrantId, Kind, ResourceId, Target};
use super::memory::{Double, Wish};
use super::platform::Switch;
use crate::Status;

/// Why the platform does something with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// What agents want has to come about: one step after the other.
    Settling = 0,
    /// A command says so. The next such command takes the place of one that is not done.
    Command = 1,
}

/// What the platform does with a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// Which of the tasks in this slot it is.
    pub(crate) generation: u16,
    /// For which agent.
    pub(crate) by: AgentId,
    pub(crate) doing: Doing,
}

impl Default for Task {
    fn default() -> Self {
        Self {
            generation: 0,
            by: AgentId::PLATFORM,
            doing: Doing::Nothing,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Doing {
    #[default]
    Nothing,
    Switch(Switch),
    /// Another rate, level or parent; a reset, a measurement.
    Change,
    /// Anything else that a protocol settles.
    Other,
}

/// Names a task. No other task of the same resource has the same ticket until 65,535 more have gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(crate) at: Target,
    pub(crate) slot: Slot,
    pub(crate) generation: u16,
}

/// A number of its own, never 0, for those who keep tickets as numbers.
impl From<Ticket> for u64 {
    fn from(ticket: Ticket) -> Self {
        let Target { kind, resource } = ticket.at;
        Self::from(kind.0) << 40
            | (ticket.slot as Self + 1) << 32
            | Self::from(resource.0) << 16
            | Self::from(ticket.generation)
    }
}

impl Ticket {
    /// The ticket of a number, if that is one's.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        let [a, b, c, d, slot, kind, 0, 0] = number.to_le_bytes() else {
            return None;
        };
        Some(Self {
            at: Kind::ALL
                .into_iter()
                .find(|it| it.0 == kind)?
                .at(ResourceId(u16::from_le_bytes([c, d]))),
            slot: match slot {
                1 => Slot::Settling,
                2 => Slot::Command,
                _ => return None,
            },
            generation: u16::from_le_bytes([a, b]),
        })
    }
}

/// A command that waits for a task, or has its end wait to be fetched.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Which of the commands in this place it is.
    pub(crate) generation: u16,
    pub(crate) grant: GrantId,
    /// Of the command.
    pub(crate) header: u32,
    /// What its delayed response says that it set.
    pub(crate) value: Double,
    /// What its agent wanted before.
    pub(crate) before: Wish,
    pub(crate) state: State,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            generation: 0,
            grant: GrantId::NONE,
            header: 0,
            value: Double::default(),
            before: Wish::default(),
            state: State::Free,
        }
    }
}

/// How far a command is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Free,
    Running(Awaits, Wanted),
    /// Its result waits to be fetched.
    Done(Wanted, Result<(), Status>),
}

/// What a command waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// That its resource is settled as its agent wished, who wants it switched so.
    Settled(Switch),
    /// What it has the platform do itself.
    Command,
}

impl Awaits {
    pub(crate) fn slot(self) -> Slot {
        match self {
            Self::Settled(_) => Slot::Settling,
            Self::Command => Slot::Command,
        }
    }
}

/// What an agent wants to be told of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The response to the command.
    Response,
    /// A delayed response.
    DelayedResponse,
    /// Nothing.
    Nothing,
}

/// Names a command that is answered later, in whose place there is none with the same name until 65,535 more were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) index: u16,
    pub(crate) generation: u16,
}

impl From<Place> for u32 {
    fn from(place: Place) -> Self {
        Self::from(place.generation) << 16 | Self::from(place.index)
    }
}

impl From<u32> for Place {
    fn from(bits: u32) -> Self {
        let [a, b, c, d] = bits.to_le_bytes();
        Self {
            index: u16::from_le_bytes([a, b]),
            generation: u16::from_le_bytes([c, d]),
        }
    }
}
