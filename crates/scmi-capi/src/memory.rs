// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Who there is, and the memory for what the engine knows of it.

use core::ffi::c_char;
use core::slice::Iter;

use scmi::{
    Agent, Grant, Kind, Memory, Pending, PerKind, Profile, Resource, Rights, Sensors as _, Trip,
};

use crate::description::{array, text};
use crate::platform::{Hardware, scmi_platform};

/// An agent speaks SCMI 2.0.
pub const SCMI_2_0: u8 = 0;
/// An agent speaks SCMI 3.0.
pub const SCMI_3_0: u8 = 1;
/// An agent speaks SCMI 3.1.
pub const SCMI_3_1: u8 = 2;
/// An agent speaks SCMI 3.2.
pub const SCMI_3_2: u8 = 3;

/// The right to switch a resource on and off, by a vote.
pub const SCMI_SWITCH: u8 = 1;
/// The right to change a rate or a level, to reset a domain, or to set a sensor's interval.
pub const SCMI_CHANGE: u8 = 2;
/// The right to change a clock's parent.
pub const SCMI_REPARENT: u8 = 4;

/// A resource that an agent was given.
#[repr(C)]
pub struct scmi_grant {
    /// The platform's number.
    pub resource: u16,
    /// What the agent may do beyond looking at it.
    pub rights: u8,
    /// Whether the agent wants it on before it says anything.
    pub starts_on: bool,
    /// The device that it belongs to, by which a trusted agent takes it away; 0 if it belongs to none.
    pub device: u16,
}

/// An agent, and what it was given, which it numbers from 0.
#[repr(C)]
pub struct scmi_agent {
    /// At most 15 characters.
    pub name: *const c_char,
    /// The version that it speaks.
    pub profile: u8,
    /// Whether it knows of the others, may take devices from them, and reset them.
    pub trusted: bool,
    /// How many.
    pub power_domain_count: u16,
    /// How many.
    pub clock_count: u16,
    /// How many.
    pub sensor_count: u16,
    /// How many.
    pub reset_domain_count: u16,
    /// How many.
    pub voltage_domain_count: u16,
    /// Its power domains.
    pub power_domains: *const scmi_grant,
    /// Its clocks.
    pub clocks: *const scmi_grant,
    /// Its sensors.
    pub sensors: *const scmi_grant,
    /// Its reset domains.
    pub reset_domains: *const scmi_grant,
    /// Its voltage domains.
    pub voltage_domains: *const scmi_grant,
}

/// What the engine knows of an agent.
#[repr(C)]
pub struct scmi_agent_state {
    bytes: [u32; 13],
}

/// What an agent made of a resource.
#[repr(C)]
pub struct scmi_grant_state {
    bytes: [u32; 7],
}

/// What agents have to agree on.
#[repr(C)]
pub struct scmi_resource_state {
    bytes: [u16; 9],
}

/// An agent's trip point.
#[repr(C)]
pub struct scmi_trip_state {
    bytes: [u64; 2],
}

/// An operation that goes on.
#[repr(C)]
pub struct scmi_pending_state {
    bytes: [u32; 3],
}

/// Memory for the engine, which `scmi_init` fills.
#[repr(C)]
pub struct scmi_memory {
    /// One for each agent.
    pub agents: *mut scmi_agent_state,
    /// One for each resource that each agent was given.
    pub grants: *mut scmi_grant_state,
    /// One for each resource of the platform.
    pub resources: *mut scmi_resource_state,
    /// As many as a sensor has trip points for each agent that was given that.
    pub trips: *mut scmi_trip_state,
    /// The same number for each agent: how many of its operations may go on at a time. At least 1.
    pub pending: *mut scmi_pending_state,
    /// How many there are.
    pub grant_count: u16,
    /// How many there are.
    pub resource_count: u16,
    /// How many there are.
    pub trip_count: u16,
    /// How many there are.
    pub pending_count: u16,
}

impl scmi_agent {
    /// # Safety
    /// Its pointers are as [`scmi_init`](crate::scmi_init) asks.
    unsafe fn grants(&self, kind: Kind) -> &[scmi_grant] {
        let (first, count) = match kind {
            Kind::Power => (self.power_domains, self.power_domain_count),
            Kind::Clock => (self.clocks, self.clock_count),
            Kind::Sensor => (self.sensors, self.sensor_count),
            Kind::Reset => (self.reset_domains, self.reset_domain_count),
            Kind::Voltage => (self.voltage_domains, self.voltage_domain_count),
        };
        // SAFETY: what the caller promises.
        unsafe { array(first, count) }
    }

    /// # Safety
    /// Its name is as [`scmi_init`](crate::scmi_init) asks.
    unsafe fn state(&self) -> Agent {
        let profile = match self.profile {
            SCMI_2_0 => Profile::V2_0,
            SCMI_3_0 => Profile::V3_0,
            SCMI_3_1 => Profile::V3_1,
            _ => Profile::V3_2,
        };
        let count = PerKind {
            power: self.power_domain_count,
            clock: self.clock_count,
            sensor: self.sensor_count,
            reset: self.reset_domain_count,
            voltage: self.voltage_domain_count,
        };
        // SAFETY: what the caller promises.
        let agent = Agent::new(unsafe { text(self.name) }, profile, count);
        if self.trusted { agent.trusted() } else { agent }
    }
}

impl scmi_grant {
    fn state(&self) -> Grant {
        let rights = Rights {
            switch: self.rights & SCMI_SWITCH != 0,
            change: self.rights & SCMI_CHANGE != 0,
            reparent: self.rights & SCMI_REPARENT != 0,
        };
        Grant::new(self.resource, rights, self.starts_on).of_device(self.device)
    }
}

impl scmi_memory {
    /// The memory, with what an engine begins with as far as there is room. The engine finds out whether that is all.
    ///
    /// # Safety
    /// The pointers of all three are as [`scmi_init`](crate::scmi_init) asks, and this is the only engine's.
    pub(crate) unsafe fn lend(
        &self,
        platform: &'static scmi_platform,
        agents: &[scmi_agent],
    ) -> Memory<'static> {
        // SAFETY: what the caller promises.
        let hardware = unsafe { Hardware::new(platform) };
        // SAFETY: what the caller promises.
        let of_kind: fn(&scmi_agent, Kind) -> Iter<'_, scmi_grant> =
            |agent, kind| unsafe { agent.grants(kind) }.iter();
        // SAFETY: what the caller promises.
        let agent_states = agents.iter().map(|agent| unsafe { agent.state() });
        let trips = |grant: &scmi_grant| {
            let sensor = hardware.sensor(0, grant.resource);
            sensor.map_or(0, |sensor| sensor.trip_points.into())
        };
        let sensors = agents.iter().flat_map(|agent| of_kind(agent, Kind::Sensor));
        let trips: usize = sensors.map(trips).sum();
        let grants = agents.iter().flat_map(|agent| {
            let grants = move |kind| of_kind(agent, kind);
            Kind::ALL.into_iter().flat_map(grants)
        });
        // SAFETY: what the caller promises; for agents, no more are put there than there are.
        let (mut resources, mut states, mut granted, mut tripped, mut operations) = unsafe {
            (
                Place::new(self.resources, self.resource_count),
                Place::new(self.agents, u16::MAX),
                Place::new(self.grants, self.grant_count),
                Place::new(self.trips, self.trip_count),
                Place::new(self.pending, self.pending_count),
            )
        };
        let mut of = |count| resources.fill((0..count).map(|_: u16| Resource::default()));
        let pending = (0..self.pending_count).map(|_| Pending::default());
        Memory {
            resources: PerKind {
                power: of(platform.power_domain_count),
                clock: of(platform.clock_count),
                sensor: of(platform.sensor_count),
                reset: of(platform.reset_domain_count),
                voltage: of(platform.voltage_domain_count),
            },
            agents: states.fill(agent_states),
            grants: granted.fill(grants.map(scmi_grant::state)),
            trips: tripped.fill((0..trips).map(|_| Trip::default())),
            pending: operations.fill(pending),
        }
    }
}

/// Memory of C for so many of something.
struct Place<C> {
    next: *mut C,
    left: u16,
}

impl<C> Place<C> {
    /// # Safety
    /// There is room for `count`, or for as many as are ever filled if those are fewer, which nobody else uses. None if
    /// `first` is null.
    unsafe fn new(first: *mut C, count: u16) -> Self {
        Self {
            next: first,
            left: if first.is_null() { 0 } else { count },
        }
    }

    /// Puts values where there is place, each into that of one of C's.
    fn fill<R>(&mut self, values: impl Iterator<Item = R>) -> &'static mut [R] {
        const {
            assert!(size_of::<R>() <= size_of::<C>(), "C has too little room");
            assert!(align_of::<R>() <= align_of::<C>(), "C has other places");
        }
        if self.left == 0 {
            return &mut [];
        }
        let first: *mut R = self.next.cast();
        let mut count = 0;
        for value in values.take(self.left.into()) {
            // SAFETY: what was promised to `new`. What is written is no larger than what there is room for.
            unsafe { first.add(count.into()).write(value) };
            count += 1;
        }
        self.left -= count;
        // SAFETY: as above; these are behind all that were written, or at the end.
        self.next = unsafe { self.next.add(count.into()) };
        // SAFETY: these were just written, and are nobody else's, as was promised to `new`.
        unsafe { core::slice::from_raw_parts_mut(first, count.into()) }
    }
}
