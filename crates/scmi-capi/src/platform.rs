// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The firmware's hardware as a [`Platform`].

use core::ffi::{c_char, c_void};

use scmi::{
    AgentId, Axis, Clock, Identity, Platform, Reading, ResetDomain, ResourceId, Sensor, Status,
    Switch, Ticket, VoltageDomain, When,
};

use crate::description::{
    entry, scmi_engine_clock, scmi_engine_power_domain, scmi_engine_reset_domain,
    scmi_engine_sensor, scmi_engine_voltage_domain, text,
};

/// Switches a resource on or off, for an agent.
#[expect(non_camel_case_types, reason = "it is C's")]
pub type scmi_engine_switching = Option<
    extern "C" fn(context: *mut c_void, agent: u16, resource: u16, on: bool, ticket: u64) -> i32,
>;

/// The hardware: what there is, and functions that do what is asked of it.
///
/// They get the context, and those that act the agent for which they do: `SCMI_ENGINE_NO_AGENT` if for none. They return
/// `SCMI_ENGINE_SUCCESS` or another status. Those that get a ticket may return `SCMI_ENGINE_LATER`, for
/// `scmi_engine_complete` to be called with the ticket when they are done, and do not hold up other agents until then.
/// A ticket of `SCMI_ENGINE_NO_TICKET` is none: what cannot be done at once is not done, and `SCMI_ENGINE_BUSY`.
/// `set_rate`, `set_parent`, `set_level`, and those that restore, take the place of such an operation on the same
/// resource that is not done. A function that is null is not supported.
#[repr(C)]
pub struct scmi_engine_platform {
    /// `sizeof` of this structure.
    pub size: usize,
    /// At most 15 characters.
    pub vendor: *const c_char,
    /// At most 15 characters.
    pub sub_vendor: *const c_char,
    /// The vendor's number.
    pub version: u32,

    /// How many there are.
    pub power_domain_count: u16,
    /// How many there are.
    pub clock_count: u16,
    /// How many there are.
    pub sensor_count: u16,
    /// How many there are.
    pub reset_domain_count: u16,
    /// How many there are.
    pub voltage_domain_count: u16,
    /// Which are numbered from 0, as all that follow.
    pub power_domains: *const scmi_engine_power_domain,
    /// Off at first.
    pub clocks: *const scmi_engine_clock,
    /// Off at first.
    pub sensors: *const scmi_engine_sensor,
    /// Held in reset at first.
    pub reset_domains: *const scmi_engine_reset_domain,
    /// Off at first.
    pub voltage_domains: *const scmi_engine_voltage_domain,

    /// What all functions get.
    pub context: *mut c_void,
    /// There is something for the agent to fetch, with `scmi_engine_next_event` or `scmi_engine_answer`. Must not call either.
    pub wake: Option<extern "C" fn(context: *mut c_void, agent: u16)>,
    /// Something failed that has to be done: `scmi_engine_retry` is to be called after a while, and again until that does
    /// not fail. Must not call it.
    pub retry_later: Option<extern "C" fn(context: *mut c_void)>,

    /// Powers a domain up or down.
    pub switch_power: scmi_engine_switching,

    /// Opens or shuts a clock's gate.
    pub switch_clock: scmi_engine_switching,
    /// Tells at how many hertz a clock runs, or will when it is on.
    pub rate: Option<extern "C" fn(context: *mut c_void, clock: u16, rate: *mut u64) -> i32>,
    /// Makes a clock run at one of its rates.
    pub set_rate: Option<
        extern "C" fn(context: *mut c_void, agent: u16, clock: u16, rate: u64, ticket: u64) -> i32,
    >,
    /// Tells which clock a clock comes from.
    pub parent: Option<extern "C" fn(context: *mut c_void, clock: u16, parent: *mut u16) -> i32>,
    /// Makes a clock come from one of its parents.
    pub set_parent: Option<
        extern "C" fn(
            context: *mut c_void,
            agent: u16,
            clock: u16,
            parent: u16,
            ticket: u64,
        ) -> i32,
    >,
    /// Gives a clock the rate and the parent that it booted with.
    pub restore_clock:
        Option<extern "C" fn(context: *mut c_void, agent: u16, clock: u16, ticket: u64) -> i32>,

    /// Lets a sensor measure, or rest.
    pub switch_sensor: scmi_engine_switching,
    /// Has a sensor measure every so many nanoseconds; 0 if no agent has asked for that, and the first of its intervals
    /// is to be taken.
    pub set_interval: Option<
        extern "C" fn(
            context: *mut c_void,
            agent: u16,
            sensor: u16,
            nanoseconds: u64,
            ticket: u64,
        ) -> i32,
    >,
    /// Measures.
    pub measure:
        Option<extern "C" fn(context: *mut c_void, agent: u16, sensor: u16, ticket: u64) -> i32>,
    /// Tells what was measured last on an axis, which is 0 if there are none.
    pub reading: Option<
        extern "C" fn(
            context: *mut c_void,
            sensor: u16,
            axis: u8,
            value: *mut i64,
            timestamp: *mut u64,
        ) -> i32,
    >,

    /// Releases a domain from reset, or holds it there.
    pub switch_reset: scmi_engine_switching,
    /// Resets a domain and lets it run.
    pub reset:
        Option<extern "C" fn(context: *mut c_void, agent: u16, domain: u16, ticket: u64) -> i32>,

    /// Switches a domain on or off.
    pub switch_voltage: scmi_engine_switching,
    /// Tells the microvolts of a domain, now or when it is on.
    pub level: Option<extern "C" fn(context: *mut c_void, domain: u16, level: *mut i32) -> i32>,
    /// Gives a domain one of its levels.
    pub set_level: Option<
        extern "C" fn(
            context: *mut c_void,
            agent: u16,
            domain: u16,
            level: i32,
            ticket: u64,
        ) -> i32,
    >,
    /// Gives a domain the level that it booted with.
    pub restore_voltage:
        Option<extern "C" fn(context: *mut c_void, agent: u16, domain: u16, ticket: u64) -> i32>,
}

/// What a function with a ticket returns if it is not done yet.
pub const SCMI_ENGINE_LATER: i32 = 1;
/// No agent.
pub const SCMI_ENGINE_NO_AGENT: u16 = 0xffff;
/// No ticket.
pub const SCMI_ENGINE_NO_TICKET: u64 = 0;

/// The platform of a firmware that keeps what [`scmi_engine_init`](crate::scmi_engine_init) asks of it.
pub(crate) struct Hardware(&'static scmi_engine_platform);

impl Hardware {
    /// # Safety
    /// The platform's pointers, and those of its tables, are as [`scmi_engine_init`](crate::scmi_engine_init) asks.
    pub(crate) unsafe fn new(platform: &'static scmi_engine_platform) -> Self {
        Self(platform)
    }

    fn switch(
        &self,
        switching: scmi_engine_switching,
        (by, resource): (AgentId, ResourceId),
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        let switch = switching.ok_or(Status::NotSupported)?;
        let on = to == Switch::On;
        when(switch(self.0.context, by.0, resource.0, on, ticket.into()))
    }
}

fn when(status: i32) -> Result<When, Status> {
    match status {
        SCMI_ENGINE_LATER => Ok(When::Later),
        status => Status::check(status).map(|()| When::Now),
    }
}

/// A ticket's number.
fn number(ticket: Option<Ticket>) -> u64 {
    ticket.map_or(SCMI_ENGINE_NO_TICKET, u64::from)
}

impl Platform for Hardware {
    fn identity(&self) -> Identity<'_> {
        // SAFETY: what was promised to `new`.
        let (vendor, sub_vendor) = unsafe { (text(self.0.vendor), text(self.0.sub_vendor)) };
        Identity {
            vendor,
            sub_vendor,
            version: self.0.version,
        }
    }

    fn wake(&mut self, agent: AgentId) {
        if let Some(wake) = self.0.wake {
            wake(self.0.context, agent.0);
        }
    }

    fn retry_later(&mut self) {
        if let Some(retry_later) = self.0.retry_later {
            retry_later(self.0.context);
        }
    }

    fn power_domain(&self, _agent: AgentId, domain: ResourceId) -> Result<&[u8], Status> {
        let (first, count) = (self.0.power_domains, self.0.power_domain_count);
        // SAFETY: what was promised to `new`.
        unsafe { Ok(text(entry(first, count, domain.0)?.name)) }
    }

    fn clock(&self, _agent: AgentId, clock: ResourceId) -> Result<Clock<'_>, Status> {
        let (first, count) = (self.0.clocks, self.0.clock_count);
        // SAFETY: what was promised to `new`.
        unsafe { Ok(entry(first, count, clock.0)?.describe()) }
    }

    fn rate(&self, clock: ResourceId) -> Result<u64, Status> {
        let mut rate = 0;
        let of = self.0.rate.ok_or(Status::NotSupported)?;
        Status::check(of(self.0.context, clock.0, &raw mut rate))?;
        Ok(rate)
    }

    fn parent(&self, clock: ResourceId) -> Result<ResourceId, Status> {
        let mut parent = 0;
        let of = self.0.parent.ok_or(Status::NotSupported)?;
        Status::check(of(self.0.context, clock.0, &raw mut parent))?;
        Ok(ResourceId(parent))
    }

    fn sensor(&self, _agent: AgentId, sensor: ResourceId) -> Result<Sensor<'_>, Status> {
        let (first, count) = (self.0.sensors, self.0.sensor_count);
        // SAFETY: what was promised to `new`.
        unsafe { entry(first, count, sensor.0)?.describe() }
    }

    fn axis(&self, _agent: AgentId, sensor: ResourceId, axis: u8) -> Result<Axis<'_>, Status> {
        let (first, count) = (self.0.sensors, self.0.sensor_count);
        // SAFETY: what was promised to `new`.
        unsafe {
            let sensor = entry(first, count, sensor.0)?;
            let axis = entry(sensor.axes, sensor.axis_count.into(), axis.into())?;
            Ok(axis.describe())
        }
    }

    fn reading(&self, sensor: ResourceId, axis: u8) -> Result<Reading, Status> {
        let mut reading = Reading {
            value: 0,
            timestamp: 0,
        };
        let of = self.0.reading.ok_or(Status::NotSupported)?;
        let (value, timestamp) = (&raw mut reading.value, &raw mut reading.timestamp);
        Status::check(of(self.0.context, sensor.0, axis, value, timestamp))?;
        Ok(reading)
    }

    fn reset_domain(&self, _agent: AgentId, domain: ResourceId) -> Result<ResetDomain<'_>, Status> {
        let (first, count) = (self.0.reset_domains, self.0.reset_domain_count);
        // SAFETY: what was promised to `new`.
        unsafe { Ok(entry(first, count, domain.0)?.describe()) }
    }

    fn voltage_domain(
        &self,
        _agent: AgentId,
        domain: ResourceId,
    ) -> Result<VoltageDomain<'_>, Status> {
        let (first, count) = (self.0.voltage_domains, self.0.voltage_domain_count);
        // SAFETY: what was promised to `new`.
        unsafe { Ok(entry(first, count, domain.0)?.describe()) }
    }

    fn level(&self, domain: ResourceId) -> Result<i32, Status> {
        let mut level = 0;
        let of = self.0.level.ok_or(Status::NotSupported)?;
        Status::check(of(self.0.context, domain.0, &raw mut level))?;
        Ok(level)
    }

    fn switch_power(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(self.0.switch_power, (by, domain), to, ticket)
    }

    fn switch_clock(
        &mut self,
        by: AgentId,
        clock: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(self.0.switch_clock, (by, clock), to, ticket)
    }

    fn switch_sensor(
        &mut self,
        by: AgentId,
        sensor: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(self.0.switch_sensor, (by, sensor), to, ticket)
    }

    fn switch_reset(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(self.0.switch_reset, (by, domain), to, ticket)
    }

    fn switch_voltage(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(self.0.switch_voltage, (by, domain), to, ticket)
    }

    fn set_rate(
        &mut self,
        by: AgentId,
        clock: ResourceId,
        rate: u64,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        let act = self.0.set_rate.ok_or(Status::NotSupported)?;
        when(act(self.0.context, by.0, clock.0, rate, number(ticket)))
    }

    fn set_parent(
        &mut self,
        by: AgentId,
        clock: ResourceId,
        parent: ResourceId,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        let act = self.0.set_parent.ok_or(Status::NotSupported)?;
        when(act(self.0.context, by.0, clock.0, parent.0, number(ticket)))
    }

    fn restore_clock(
        &mut self,
        by: AgentId,
        clock: ResourceId,
        ticket: Ticket,
    ) -> Result<When, Status> {
        let act = self.0.restore_clock.ok_or(Status::NotSupported)?;
        when(act(self.0.context, by.0, clock.0, ticket.into()))
    }

    fn set_interval(
        &mut self,
        by: AgentId,
        sensor: ResourceId,
        nanoseconds: u64,
        ticket: Ticket,
    ) -> Result<When, Status> {
        let Some(act) = self.0.set_interval else {
            return Ok(When::Now); // It has no intervals to choose from.
        };
        when(act(
            self.0.context,
            by.0,
            sensor.0,
            nanoseconds,
            ticket.into(),
        ))
    }

    fn measure(
        &mut self,
        by: AgentId,
        sensor: ResourceId,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        let Some(act) = self.0.measure else {
            return Ok(When::Now); // Its reading is always the latest.
        };
        when(act(self.0.context, by.0, sensor.0, number(ticket)))
    }

    fn reset(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        let act = self.0.reset.ok_or(Status::NotSupported)?;
        when(act(self.0.context, by.0, domain.0, number(ticket)))
    }

    fn set_level(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        level: i32,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        let act = self.0.set_level.ok_or(Status::NotSupported)?;
        when(act(self.0.context, by.0, domain.0, level, number(ticket)))
    }

    fn restore_voltage(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        ticket: Ticket,
    ) -> Result<When, Status> {
        let act = self.0.restore_voltage.ok_or(Status::NotSupported)?;
        when(act(self.0.context, by.0, domain.0, ticket.into()))
    }
}
