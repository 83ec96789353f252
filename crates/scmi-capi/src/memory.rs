// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Who there is, and the memory for what the engine knows of it.

use core::ffi::c_char;
use core::marker::PhantomData;
use core::ptr;

use scmi::{
    Agent, AgentId, Grant, Kind, Memory, Pending, PerKind, Platform as _, Profile, Resource,
    ResourceId, Rights, Trip,
};

use crate::description::{entry, text};
use crate::platform::{Hardware, scmi_engine_platform};

/// An agent speaks SCMI 2.0.
pub const SCMI_ENGINE_2_0: u8 = 0;
/// An agent speaks SCMI 3.0.
pub const SCMI_ENGINE_3_0: u8 = 1;
/// An agent speaks SCMI 3.1.
pub const SCMI_ENGINE_3_1: u8 = 2;
/// An agent speaks SCMI 3.2.
pub const SCMI_ENGINE_3_2: u8 = 3;

/// The right to switch a resource on and off, by a vote.
pub const SCMI_ENGINE_SWITCH: u8 = 1;
/// The right to change a rate or a level, to reset a domain, or to set a sensor's interval.
pub const SCMI_ENGINE_CHANGE: u8 = 2;
/// The right to change a clock's parent.
pub const SCMI_ENGINE_REPARENT: u8 = 4;

/// A resource that an agent was given.
#[repr(C)]
pub struct scmi_engine_grant {
    /// `sizeof` of this structure.
    pub size: usize,
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
pub struct scmi_engine_agent {
    /// `sizeof` of this structure.
    pub size: usize,
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
    pub power_domains: *const scmi_engine_grant,
    /// Its clocks.
    pub clocks: *const scmi_engine_grant,
    /// Its sensors.
    pub sensors: *const scmi_engine_grant,
    /// Its reset domains.
    pub reset_domains: *const scmi_engine_grant,
    /// Its voltage domains.
    pub voltage_domains: *const scmi_engine_grant,
}

/// What the engine knows of an agent.
#[repr(C)]
pub struct scmi_engine_agent_state {
    bytes: [u32; 20],
}

/// What an agent made of a resource.
#[repr(C)]
pub struct scmi_engine_grant_state {
    bytes: [u32; 11],
}

/// What agents have to agree on.
#[repr(C)]
pub struct scmi_engine_resource_state {
    bytes: [u32; 8],
}

/// An agent's trip point.
#[repr(C)]
pub struct scmi_engine_trip_state {
    bytes: [u64; 2],
}

/// An operation that goes on.
#[repr(C)]
pub struct scmi_engine_pending_state {
    bytes: [u32; 8],
}

/// Memory for the engine, which `scmi_engine_init` fills.
#[repr(C)]
pub struct scmi_engine_memory {
    /// `sizeof` of this structure.
    pub size: usize,
    /// One for each agent.
    pub agents: *mut scmi_engine_agent_state,
    /// One for each resource that each agent was given.
    pub grants: *mut scmi_engine_grant_state,
    /// One for each resource of the platform.
    pub resources: *mut scmi_engine_resource_state,
    /// As many as a sensor has trip points for each agent that was given that.
    pub trips: *mut scmi_engine_trip_state,
    /// The same number for each agent: how many of its operations may go on at a time. At least 1.
    pub pending: *mut scmi_engine_pending_state,
    /// How many there are.
    pub grant_count: u16,
    /// How many there are.
    pub resource_count: u16,
    /// How many there are.
    pub trip_count: u16,
    /// How many there are.
    pub pending_count: u16,
}

impl scmi_engine_agent {
    fn table(&self, kind: Kind) -> (*const scmi_engine_grant, u16) {
        match kind {
            Kind::POWER => (self.power_domains, self.power_domain_count),
            Kind::CLOCK => (self.clocks, self.clock_count),
            Kind::SENSOR => (self.sensors, self.sensor_count),
            Kind::RESET => (self.reset_domains, self.reset_domain_count),
            Kind::VOLTAGE => (self.voltage_domains, self.voltage_domain_count),
            _ => (ptr::null(), 0),
        }
    }

    /// # Safety
    /// Its name is as [`scmi_engine_init`](crate::scmi_engine_init) asks.
    unsafe fn state(&self) -> Agent {
        let profile = match self.profile {
            SCMI_ENGINE_2_0 => Profile::V2_0,
            SCMI_ENGINE_3_0 => Profile::V3_0,
            SCMI_ENGINE_3_1 => Profile::V3_1,
            _ => Profile::V3_2,
        };
        let mut count = PerKind::default();
        *count.of_mut(Kind::POWER) = self.power_domain_count;
        *count.of_mut(Kind::CLOCK) = self.clock_count;
        *count.of_mut(Kind::SENSOR) = self.sensor_count;
        *count.of_mut(Kind::RESET) = self.reset_domain_count;
        *count.of_mut(Kind::VOLTAGE) = self.voltage_domain_count;
        // SAFETY: what the caller promises.
        let agent = Agent::new(unsafe { text(self.name) }, profile, count);
        if self.trusted { agent.trusted() } else { agent }
    }
}

impl scmi_engine_grant {
    fn state(&self) -> Grant {
        let rights = Rights {
            switch: self.rights & SCMI_ENGINE_SWITCH != 0,
            change: self.rights & SCMI_ENGINE_CHANGE != 0,
            reparent: self.rights & SCMI_ENGINE_REPARENT != 0,
        };
        Grant::new(ResourceId(self.resource), rights, self.starts_on).of_device(self.device)
    }
}

impl scmi_engine_memory {
    /// The memory, with what an engine begins with as far as there is room. The engine finds out whether that is all.
    ///
    /// # Safety
    /// The pointers of all three are as [`scmi_engine_init`](crate::scmi_engine_init) asks, and this is the only
    /// engine's.
    pub(crate) unsafe fn lend(
        &self,
        platform: &'static scmi_engine_platform,
        agents: *const scmi_engine_agent,
        agent_count: u16,
    ) -> Memory<'static> {
        // SAFETY: what the caller promises; for agents, no more are put there than there are.
        let (mut states, mut granted, mut resources, mut tripped, mut operations) = unsafe {
            (
                Places::new(self.agents, agent_count),
                Places::new(self.grants, self.grant_count),
                Places::new(self.resources, self.resource_count),
                Places::new(self.trips, self.trip_count),
                Places::new(self.pending, self.pending_count),
            )
        };
        for at in 0..agent_count {
            // SAFETY: what the caller promises.
            let Ok(agent) = (unsafe { entry(agents, agent_count, at) }) else {
                break;
            };
            // SAFETY: what the caller promises.
            states.put(unsafe { agent.state() });
            for kind in Kind::ALL {
                let (grants, count) = agent.table(kind);
                for at in 0..count {
                    // SAFETY: what the caller promises.
                    let Ok(grant) = (unsafe { entry(grants, count, at) }) else {
                        break;
                    };
                    granted.put(grant.state());
                    // SAFETY: what the caller promises.
                    let hardware = unsafe { Hardware::new(platform) };
                    let sensor = hardware.sensor(AgentId(0), ResourceId(grant.resource));
                    if let (Kind::SENSOR, Ok(sensor)) = (kind, sensor) {
                        (0..sensor.trip_points).for_each(|_| tripped.put(Trip::default()));
                    }
                }
            }
        }
        (0..self.pending_count).for_each(|_| operations.put(Pending::default()));
        let resources = PerKind::from_fn(|kind| {
            let count = match kind {
                Kind::POWER => platform.power_domain_count,
                Kind::CLOCK => platform.clock_count,
                Kind::SENSOR => platform.sensor_count,
                Kind::RESET => platform.reset_domain_count,
                Kind::VOLTAGE => platform.voltage_domain_count,
                _ => 0,
            };
            (0..count).for_each(|_| resources.put(Resource::default()));
            resources.take()
        });
        Memory {
            agents: states.take(),
            grants: granted.take(),
            resources,
            trips: tripped.take(),
            pending: operations.take(),
        }
    }
}

/// Memory of C for so many of something.
struct Places<C, R> {
    next: *mut C,
    left: u16,
    /// How many were put there since some were taken, behind each other and before `next`.
    count: u16,
    of: PhantomData<R>,
}

impl<C, R: 'static> Places<C, R> {
    /// # Safety
    /// There is room for `count`, or for as many as are ever put there if those are fewer, which nothing else uses. None
    /// if `first` is null.
    unsafe fn new(first: *mut C, count: u16) -> Self {
        const {
            assert!(size_of::<R>() <= size_of::<C>(), "C has too little room");
            assert!(align_of::<R>() <= align_of::<C>(), "C has other places");
        }
        Self {
            next: first,
            left: if first.is_null() { 0 } else { count },
            count: 0,
            of: PhantomData,
        }
    }

    /// Puts a value where there is place for one.
    fn put(&mut self, value: R) {
        if self.left != 0 {
            let at = usize::from(self.count);
            // SAFETY: what was promised to `new`. What is written is no larger than what there is room for.
            unsafe { self.next.cast::<R>().add(at).write(value) };
            self.left -= 1;
            self.count += 1;
        }
    }

    /// The values that were put there.
    fn take(&mut self) -> &'static mut [R] {
        let (first, count) = (self.next.cast::<R>(), usize::from(self.count));
        if count == 0 {
            return &mut [];
        }
        // SAFETY: these are behind all that were written, or at the end.
        self.next = unsafe { self.next.add(count) };
        self.count = 0;
        // SAFETY: these were written, and are nothing else's, as was promised to `new`.
        unsafe { core::slice::from_raw_parts_mut(first, count) }
    }
}
