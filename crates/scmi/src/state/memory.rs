// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All that the engine knows, in slices that the caller lends: nothing here grows.

use core::ops::Range;

use super::ids::{AgentId, GrantId, Kind, PerKind, Profile, ResourceId, Target};
use super::platform::Switch;
use super::task::{Pending, Task};

/// What the engine works on, lent by the caller. What one agent has is all the engine looks at for it, so that no agent
/// can use up what another one needs.
#[derive(Debug)]
pub struct Memory<'a> {
    /// The agents, by whose place the caller names them.
    pub agents: &'a mut [Agent],
    /// What they were given: the first agent's resources of each kind, in the order of the kinds and then of its numbers
    /// for them, then the second's.
    pub grants: &'a mut [Grant],
    /// The platform's resources, which begin as `Resource::default()`.
    pub resources: PerKind<&'a mut [Resource]>,
    /// As many for each sensor that an agent was given as it has trip points. They begin as `Trip::default()`.
    pub trips: &'a mut [Trip],
    /// The same number for each agent: how many of its commands may wait for their operation's end, or have their
    /// delayed response wait to be fetched, at a time. At most 65,535 together. They begin as `Pending::default()`.
    pub pending: &'a mut [Pending],
}

/// What sends commands: a guest, a processor.
#[derive(Clone, Debug)]
pub struct Agent {
    pub(crate) name: [u8; 16],
    /// As configured. An agent may negotiate less, protocol by protocol.
    pub(crate) profile: Profile,
    /// By the low bits of the protocols' numbers.
    pub(crate) negotiated: [Profile; 16],
    pub(crate) count: PerKind<u16>,
    /// How many of them the agent was denied.
    pub(crate) denied: PerKind<u16>,
    /// The protocols that it has, and those of which it was denied all: a bit each, by the low bits of their numbers.
    pub(crate) offered: u16,
    pub(crate) refused: u16,
    /// Its first grants.
    pub(crate) first: PerKind<u16>,
    /// Whether notifications and delayed responses reach it.
    pub(crate) events: bool,
    /// Whether it wants to know what failed that it does not wait for.
    pub(crate) errors: bool,
    /// Whether it knows of the others and may do something to them.
    pub(crate) trusted: bool,
    /// How far the engine is with what the agent lets go of; `None` if nothing is left to do.
    pub(crate) stage: Option<u8>,
    /// The first and the last of its grants that have something to notify.
    pub(crate) due: Option<(GrantId, GrantId)>,
}

impl Agent {
    /// An agent that was given `count` resources and speaks `profile`, with a name of up to 15 bytes.
    #[must_use]
    pub fn new(name: &[u8], profile: Profile, count: PerKind<u16>) -> Self {
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(name).take(15) {
            *to = *from;
        }
        Self {
            name: short,
            profile,
            negotiated: [profile; 16],
            count,
            denied: PerKind::default(),
            offered: 0,
            refused: 0,
            first: PerKind::default(),
            events: false,
            errors: false,
            trusted: false,
            stage: None,
            due: None,
        }
    }

    /// The agent, which may take devices from others and reset them.
    #[must_use]
    pub fn trusted(self) -> Self {
        Self {
            trusted: true,
            ..self
        }
    }

    /// All its grants.
    pub(crate) fn all_grants(&self) -> Range<u16> {
        let [first, .., last] = Kind::ALL;
        *self.first.of(first)..self.grants(last).end
    }

    /// Its grants of a kind.
    pub(crate) fn grants(&self, kind: Kind) -> Range<u16> {
        let first = *self.first.of(kind);
        first..first.saturating_add(*self.count.of(kind))
    }
}

/// What an agent may do with a resource beyond looking at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Switch it on and off, as far as other agents do not need it otherwise.
    pub switch: bool,
    /// Change its rate or level, or reset it, while no other agent has it on. Set a sensor's interval.
    pub change: bool,
    /// Change its parent, while no other agent has it on.
    pub reparent: bool,
}

impl Rights {
    /// To do everything.
    pub const ALL: Self = Self {
        switch: true,
        change: true,
        reparent: true,
    };
}

/// What an agent wants a resource to be, as it said last. What the resource is comes of the wishes of all agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) on: bool,
    /// What else it wants, in the words of the protocol: a rate, a level, SENSOR_CONFIG. 0 if nothing.
    pub(crate) value: Double,
}

/// 64 bits, where words are aligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Double([u32; 2]);

impl Double {
    pub(crate) fn get(self) -> u64 {
        let [low, high] = self.0;
        u64::from(low) | u64::from(high) << 32
    }
}

impl From<u64> for Double {
    fn from(value: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        Self([
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        ])
    }
}

/// A resource that an agent was given, and what the agent made of it.
#[derive(Clone, Debug)]
pub struct Grant {
    pub(crate) resource: ResourceId,
    pub(crate) agent: AgentId,
    /// The next agent's grant of the same resource.
    pub(crate) next: GrantId,
    /// The same agent's next grant that has something to notify, while this one has.
    pub(crate) next_due: GrantId,
    /// The device that it belongs to; 0 if it belongs to none.
    pub(crate) device: u16,
    /// The first of its trip points.
    pub(crate) trip: u16,
    /// How many it has.
    pub(crate) trips: u8,
    pub(crate) wish: Wish,
    /// Nanoseconds that a sensor has measured since the agent was notified of an update.
    pub(crate) measured: Double,
    pub(crate) kind: Kind,
    pub(crate) rights: Rights,
    /// Whether the agent wants it on before it has said anything.
    pub(crate) starts_on: bool,
    /// In which ways it was taken away.
    pub(crate) denied: Bits,
    pub(crate) subscribed: Bits,
    pub(crate) due: Bits,
    /// Which of what is due the agent itself caused.
    pub(crate) own: Bits,
}

impl Grant {
    /// The platform's `resource`, for an agent with these `rights`. It `starts_on` if the agent wants it on at boot,
    /// before it says anything: a sensor that shall measure, a clock that runs from the beginning.
    #[must_use]
    pub fn new(resource: ResourceId, rights: Rights, starts_on: bool) -> Self {
        Self {
            resource,
            agent: AgentId(0),
            next: GrantId::NONE,
            next_due: GrantId::NONE,
            device: 0,
            trip: 0,
            trips: 0,
            wish: Wish::default(),
            measured: Double::default(),
            kind: Kind(0),
            rights,
            starts_on,
            denied: Bits::default(),
            subscribed: Bits::default(),
            due: Bits::default(),
            own: Bits::default(),
        }
    }

    /// The grant, of what belongs to `device`, a number from 1 on by which a trusted agent or the host takes it away.
    #[must_use]
    pub fn of_device(self, device: u16) -> Self {
        Self { device, ..self }
    }

    /// What it is of.
    pub(crate) fn at(&self) -> Target {
        self.kind.at(self.resource)
    }

    /// Whether it was taken away.
    pub(crate) fn is_denied(&self) -> bool {
        self.denied.first().is_some()
    }

    /// Whether the agent has it on: what it wants counts for nothing while it is denied.
    pub(crate) fn is_on(&self) -> bool {
        self.wish.on && !self.is_denied()
    }

    /// The rate or level that the agent wants, if any.
    pub(crate) fn wants(&self) -> Option<u64> {
        let value = self.wish.value.get();
        (value != 0 && !self.is_denied()).then_some(value)
    }
}

/// A set of a protocol's notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits(u8);

impl Bits {
    pub(crate) fn has(self, event: u8) -> bool {
        self.0 & Self::bit(event) != 0
    }

    pub(crate) fn set(&mut self, event: u8, to: bool) {
        self.0 = self.0 & !Self::bit(event) | if to { Self::bit(event) } else { 0 };
    }

    /// One of them.
    pub(crate) fn first(self) -> Option<u8> {
        (0..8).find(|event| self.has(*event))
    }

    fn bit(event: u8) -> u8 {
        1u8.checked_shl(event.into()).unwrap_or(0)
    }
}

/// A resource of the platform, as far as agents have to agree on it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The first grant of it.
    pub(crate) first: GrantId,
    /// How many agents have it on.
    pub(crate) votes: u16,
    /// Whether the hardware is; `None` if that is not known.
    pub(crate) on: Option<bool>,
    /// Whether its rate or level was brought within the limits of those that have it on.
    pub(crate) is_limited: bool,
    /// Whether its rate, level or parent is one that an agent chose, and which agent.
    pub(crate) chosen: Chosen,
    /// What the platform does with it because of what agents want, and because of a command.
    pub(crate) tasks: [Task; 2],
    /// What its protocol keeps of it: the rate or the state that an agent asked for last, the nanoseconds between two
    /// measurements.
    pub(crate) value: Double,
}

impl Default for Resource {
    fn default() -> Self {
        Self {
            first: GrantId::NONE,
            votes: 0,
            on: Some(false),
            is_limited: false,
            chosen: Chosen::No,
            tasks: Default::default(),
            value: Double::default(),
        }
    }
}

impl Resource {
    /// What the hardware has to be switched to for the agents to have what they want.
    pub(crate) fn switch(&self) -> Option<Switch> {
        let wanted = self.votes != 0;
        match wanted {
            _ if self.on == Some(wanted) => None,
            true => Some(Switch::On),
            false => Some(Switch::Off),
        }
    }
}

/// Which agent chose what a resource runs at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// None: it is as it was at boot.
    No,
    By(AgentId),
    /// An agent that has let go of it since, when another one had it on.
    ByNoneLeft,
}

/// A trip point that an agent set on a sensor.
#[derive(Clone, Debug, Default)]
pub struct Trip {
    pub(crate) value: i64,
    pub(crate) rising: bool,
    pub(crate) falling: bool,
    /// Where the last reading was, if there was one since the trip point was set.
    pub(crate) side: Option<core::cmp::Ordering>,
    /// It was crossed, and that is not notified yet.
    pub(crate) crossed: Option<Direction>,
}

/// How a trip point was crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Falling = 0,
    Rising = 1,
}
