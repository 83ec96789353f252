// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! An SCMI platform: the side of Arm's System Control and Management Interface (DEN0056, version 3.2) that owns the
//! clocks, sensors, resets, power and voltage domains, and serves agents that want to use them.
//!
//! It is bytes in, bytes out: no transport, no clock, no thread, no allocation, no `std`. The same [`Engine`] serves
//! virtual machines and, in firmware, processors.
//!
//! # Nouns
//!
//! * A [`Platform`] is the hardware: what clocks, sensors, resets, power and voltage domains there are, and what can be
//!   done with them.
//! * An [`Agent`] sends commands. It sees what it was given, a [`Grant`] each, numbered from 0. Nothing else exists for
//!   it, nor does any other agent, unless it is [trusted](Agent::trusted).
//! * The [`Engine`] is between them, in [`Memory`] that the caller lends.
//!
//! # What holds
//!
//! * A resource that several agents have is what comes of the wishes of them all: on while any of them wants that, and
//!   within the limits of each that does. Each reads its own wish back.
//! * What a resource runs at, a rate or a level, changes only while no other agent has it on, nor anything that would
//!   change with it.
//! * When an agent is [reset](Engine::reset_agent) all that it set up is undone, and nothing that another agent set up. It
//!   finds what it found at first, but for what it was denied: that stays denied until a trusted agent or the host
//!   [gives it back](Engine::permit).
//! * Whatever the hardware does may be done [later](When::Later), and may fail then. No other agent waits for it.
//! * Whatever the bytes, nothing panics and nothing is written beyond the room for a response.
//! * An agent's operations and events take up its own places, never another's. Delayed responses are never lost.
//!
//! # Layers
//!
//! Each knows those above it, and none below, which a test makes sure of.
//!
//! | | | |
//! |---|---|---|
//! | [`wire`] | words, names, status codes, lists of values | |
//! | [`state`] | [`Memory`], and the [`Platform`] that it is about | what there is |
//! | [`share`] | wishes, operations that take their time, events | what all protocols have in common |
//! | [`protocols`] | base, power, clock, sensor, reset, voltage | a [row](share::protocol::Protocol) of a table each, and a file |
//! | [`engine`] | dispatch | from a message to its protocol, from the platform to those that wait |
//!
//! A protocol with one more kind of resource, or none, is one more row and one more file.
//!
//! # The walk of a CLOCK_RATE_SET
//!
//! Down, from the ring to the platform (in `virtio-scmi`, whose platform is simulated):
//!
//! 1. `device.rs`, `Scmi::handle`: the bytes of the command, and how much room there is for the response.
//! 2. `board.rs`, `Board::with`: the lock around the platform, for this message.
//! 3. [`engine`], `Engine::handle`: the header, the protocol's row, and whether the message exists for this agent.
//! 4. `protocols/clock.rs`, `rate_set`: the parameters, the grant, and the rate as rounded to one that the clock can have
//!    now.
//! 5. `share/operations.rs`, `Call::change`: the agent's right, and whether another agent has the clock or what follows it
//!    on. A ticket, if there is a place to wait in.
//! 6. `soc/platform.rs`, `Soc::set_rate`: the agent's limits, the divider, and how long that takes.
//!
//! Back:
//!
//! 7. `share/operations.rs`, `Call::operate`: done now, or a place for the command to wait in.
//! 8. `protocols/clock.rs`, `changed`: notifications for those that subscribed to this clock, or to one that follows it.
//! 9. [`engine`], `Engine::handle`: the status, and the length of the response.
//! 10. `board.rs`, `Platform::settle`: the guests that have something to fetch are woken, and the timer is set.
//! 11. `device.rs`, `Scmi::handle`: the reply is sent.
//!
//! What takes its time turns round at 7 with [`Answer::Later`], and the device keeps the reply. When the timer expires,
//! [`Engine::complete`] goes from 7 on, and in place of 9 [`Engine::answer`] or [`Engine::next_event`] has the message.
#![no_std]
#![forbid(unsafe_code)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "a map for who reads the code"
)]

#[cfg(test)]
extern crate std;

mod engine;
mod protocols;
mod share;
mod state;
mod wire;

pub use engine::Answer;
pub use share::operations::Reason;
pub use state::Engine;
pub use state::describe::{
    Axis, Clock, Identity, Reading, ResetDomain, Sensor, SensorRange, VoltageDomain,
};
pub use state::ids::{AgentId, Kind, PerKind, Profile, ProtocolId, ResourceId};
pub use state::memory::{Agent, Grant, Memory, Resource, Rights, Trip};
pub use state::platform::{Platform, Switch, When};
pub use state::task::{Pending, Place, Ticket};
pub use wire::status::Status;
pub use wire::values::Values;
