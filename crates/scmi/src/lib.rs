// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! An SCMI platform: the side of Arm's System Control and Management Interface (DEN0056, version 3.2) that owns the
//! clocks, sensors, resets, power and voltage domains, and serves agents that want to use them.
//!
//! It is bytes in, bytes out: no transport, no clock, no thread, no allocation, no `std`. The same [`Engine`] serves
//! virtual machines and, in firmware, processors.
//!
//! # Nouns
//!
//! * A [`Platform`] is the hardware: what [`Clocks`], [`Sensors`], [`Resets`], [`PowerDomains`] and [`Voltages`] there
//!   are, and what can be done with them.
//! * An [`Agent`] sends commands. It sees what it was given, a [`Grant`] each, numbered from 0. Nothing else exists for
//!   it, nor does any other agent, unless it is [trusted](Agent::trusted).
//! * The [`Engine`] is between them, in [`Memory`] that the caller lends.
//!
//! # What holds
//!
//! * A resource that several agents have is on while any of them wants that. Each reads its own wish back.
//! * What a resource runs at, a rate or a level, changes only while no other agent has it on, nor anything that would
//!   change with it.
//! * When an agent is [reset](Engine::reset_agent) all that it set up is undone. It finds what it found at first, but
//!   for what it was denied: that stays denied until a trusted agent or the host [gives it back](Engine::permit).
//! * Whatever the bytes, nothing panics and nothing is written beyond the room for a response.
//! * An agent's operations and events take up its own places, never another's. Delayed responses are never lost.
//!
//! # The life of a command
//!
//! [`Engine::handle`] reads the header and finds the protocol, which is a module here: [`base`] (with [`trust`]),
//! [`power`], [`clock`], [`sensor`] (with [`trip`]), [`reset`], [`voltage`]. Its table tells whether the message exists
//! for this agent, and its `handle` does what the message says. What may take its time goes through `operations`, what
//! agents share through `votes`, and what others want to know to `events`.
#![no_std]
#![forbid(unsafe_code)]
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "a map for who reads the code"
)]

mod base;
mod clock;
mod engine;
mod events;
mod memory;
mod operations;
mod platform;
mod power;
mod protocol;
mod reset;
mod sensor;
mod status;
mod trip;
mod trust;
mod values;
mod voltage;
mod votes;
mod wire;

pub use engine::{Answer, Engine, Reason};
pub use memory::{Agent, Grant, Kind, Memory, Pending, PerKind, Resource, Rights, Ticket, Trip};
pub use platform::{
    Axis, Clock, Clocks, Identity, Platform, PowerDomains, Reading, ResetDomain, Resets, Sensor,
    SensorRange, Sensors, Switch, VoltageDomain, Voltages, When,
};
pub use protocol::Profile;
pub use status::Status;
pub use values::Values;
