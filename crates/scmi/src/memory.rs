// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All that the engine knows, in slices that the caller lends: nothing here grows.

use core::ops::Range;

use crate::protocol::Profile;

/// The end of a list of grants, and the grant of nobody.
pub(crate) const NONE: u16 = u16::MAX;

/// What a protocol's resources are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Power domains.
    Power,
    /// Clocks.
    Clock,
    /// Sensors.
    Sensor,
    /// Reset domains.
    Reset,
    /// Voltage domains.
    Voltage,
}

impl Kind {
    /// In the order of their protocols' numbers.
    pub const ALL: [Self; 5] = [
        Self::Power,
        Self::Clock,
        Self::Sensor,
        Self::Reset,
        Self::Voltage,
    ];
}

/// One of something for each kind of resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind<T> {
    /// For power domains.
    pub power: T,
    /// For clocks.
    pub clock: T,
    /// For sensors.
    pub sensor: T,
    /// For reset domains.
    pub reset: T,
    /// For voltage domains.
    pub voltage: T,
}

impl<T> PerKind<T> {
    /// The one of a kind.
    pub fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Power => &self.power,
            Kind::Clock => &self.clock,
            Kind::Sensor => &self.sensor,
            Kind::Reset => &self.reset,
            Kind::Voltage => &self.voltage,
        }
    }

    /// The one of a kind, to change it.
    pub fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Power => &mut self.power,
            Kind::Clock => &mut self.clock,
            Kind::Sensor => &mut self.sensor,
            Kind::Reset => &mut self.reset,
            Kind::Voltage => &mut self.voltage,
        }
    }
}

/// What the engine works on, lent by the caller. What one agent has is all the engine looks at for it, so that no agent
/// can use up what another one needs.
#[derive(Debug)]
pub struct Memory<'a> {
    /// The agents, by whose place the caller names them.
    pub agents: &'a mut [Agent],
    /// What they were given: the first agent's power domains, clocks, sensors, reset domains and voltage domains, in
    /// the order of its numbers for them, then the second's.
    pub grants: &'a mut [Grant],
    /// The platform's resources, which begin as `Resource::default()`.
    pub resources: PerKind<&'a mut [Resource]>,
    /// As many for each sensor that an agent was given as it has trip points. They begin as `Trip::default()`.
    pub trips: &'a mut [Trip],
    /// The same number for each agent: how many of its operations may go on, or have their delayed response wait to be
    /// fetched, at a time. At most 65,535 together. They begin as `Pending::default()`.
    pub pending: &'a mut [Pending],
}

/// Somebody who sends commands: a guest, a processor.
#[derive(Clone, Debug)]
pub struct Agent {
    pub(crate) name: [u8; 16],
    /// As configured. An agent may negotiate less, protocol by protocol.
    pub(crate) profile: Profile,
    pub(crate) negotiated: PerKind<Profile>,
    pub(crate) count: PerKind<u16>,
    /// Its first grants.
    pub(crate) first: PerKind<u16>,
    /// Whether notifications and delayed responses reach it.
    pub(crate) events: bool,
    /// Whether it wants to know what failed that it does not wait for.
    pub(crate) errors: bool,
    /// Whether it knows of the others and may do something to them.
    pub(crate) trusted: bool,
    /// The first and the last of its grants that have something to notify.
    pub(crate) due: Option<(u16, u16)>,
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
            negotiated: PerKind::default(),
            count,
            first: PerKind::default(),
            events: false,
            errors: false,
            trusted: false,
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

    /// Its grants of a kind.
    pub(crate) fn grants(&self, kind: Kind) -> Range<u16> {
        let first = *self.first.of(kind);
        first..first.saturating_add(*self.count.of(kind))
    }
}

/// What an agent may do with a resource beyond looking at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Switch it on and off, by a vote.
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

/// A resource that an agent was given, and what the agent made of it.
#[derive(Clone, Debug)]
pub struct Grant {
    pub(crate) resource: u16,
    pub(crate) agent: u16,
    /// The next agent's grant of the same resource.
    pub(crate) next: u16,
    /// The same agent's next grant that has something to notify, while this one has.
    pub(crate) next_due: u16,
    pub(crate) rights: Rights,
    /// Whether the agent wants it on before it has said anything.
    pub(crate) starts_on: bool,
    /// The device that it belongs to; 0 if it belongs to none.
    pub(crate) device: u16,
    /// In which ways it was taken away.
    pub(crate) denied: Bits,
    pub(crate) on: bool,
    pub(crate) subscribed: Bits,
    pub(crate) due: Bits,
    /// Which of what is due the agent itself caused.
    pub(crate) own: Bits,
    /// The first of its trip points.
    pub(crate) trip: u16,
    /// SENSOR_CONFIG.
    pub(crate) config: u32,
}

impl Grant {
    /// The platform's `resource`, for an agent with these `rights`. It `starts_on` if the agent wants it on at boot,
    /// before it says anything: a sensor that shall measure, a clock that runs from the beginning.
    #[must_use]
    pub fn new(resource: u16, rights: Rights, starts_on: bool) -> Self {
        Self {
            resource,
            agent: 0,
            next: NONE,
            next_due: NONE,
            rights,
            starts_on,
            device: 0,
            denied: Bits::default(),
            on: false,
            subscribed: Bits::default(),
            due: Bits::default(),
            own: Bits::default(),
            trip: 0,
            config: 0,
        }
    }

    /// The grant, of what belongs to `device`, a number from 1 on by which a trusted agent or the host takes it away.
    #[must_use]
    pub fn of_device(self, device: u16) -> Self {
        Self { device, ..self }
    }

    /// Whether it was taken away.
    pub(crate) fn is_denied(&self) -> bool {
        self.denied.first().is_some()
    }

    /// Whether the agent has it on when it boots.
    pub(crate) fn boots_on(&self) -> bool {
        self.starts_on && !self.is_denied()
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
    pub(crate) first: u16,
    /// How many agents want it on.
    pub(crate) votes: u16,
    /// Whether the hardware is.
    pub(crate) on: bool,
    /// Whether its rate, level or parent is one that an agent chose, and who.
    pub(crate) changed: Changed,
    /// The rate that an agent asked for last, or the power state; as bytes, which need no place of their own.
    pub(crate) requested: [u8; 8],
}

impl Default for Resource {
    fn default() -> Self {
        Self {
            first: NONE,
            votes: 0,
            on: false,
            changed: Changed::No,
            requested: [0; 8],
        }
    }
}

/// Who chose what a resource runs at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Nobody: it is as it was at boot.
    No,
    By(u16),
    /// An agent that was reset since, when another one had it on.
    ByNobodyLeft,
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

/// An operation that takes its time, or one whose delayed response waits to be fetched.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Which of the operations in this place it is.
    pub(crate) generation: u16,
    pub(crate) grant: u16,
    /// Of the command.
    pub(crate) header: u32,
    pub(crate) state: State,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Free,
    Running(Wanted),
    /// Its result waits to be fetched.
    Done(Wanted, Result<(), crate::Status>),
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

/// Names an operation that goes on, in whose place there is never another with the same ticket for the next 65,535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(crate) place: u16,
    pub(crate) generation: u16,
}

impl From<Ticket> for u32 {
    fn from(ticket: Ticket) -> Self {
        Self::from(ticket.generation) << 16 | Self::from(ticket.place)
    }
}

impl From<u32> for Ticket {
    fn from(bits: u32) -> Self {
        let [a, b, c, d] = bits.to_le_bytes();
        Self {
            place: u16::from_le_bytes([a, b]),
            generation: u16::from_le_bytes([c, d]),
        }
    }
}
