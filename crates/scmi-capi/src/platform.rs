// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The firmware's hardware as a [`Platform`].

use core::ffi::{c_char, c_void};

use scmi::{
    Axis, Clock, Clocks, Identity, Platform, PowerDomains, Reading, ResetDomain, Resets, Sensor,
    Sensors, Status, Switch, Ticket, VoltageDomain, Voltages, When,
};

use crate::description::{
    array, scmi_clock, scmi_power_domain, scmi_reset_domain, scmi_sensor, scmi_voltage_domain, text,
};

/// Switches a resource, with the context.
type Switching = Option<extern "C" fn(*mut c_void, u16, bool) -> i32>;

/// The hardware: what there is, and functions that do what is asked of it. They get the context, and return
/// `SCMI_SUCCESS` or another status. Those that get a ticket may return `SCMI_LATER`, for `scmi_complete` to be called
/// with the ticket when they are done, also if another operation on the same resource took its place before. All others
/// are done when they return, and hold up all agents until then. A function that is null is not supported.
#[repr(C)]
pub struct scmi_platform {
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
    pub power_domains: *const scmi_power_domain,
    /// Off at first.
    pub clocks: *const scmi_clock,
    /// Off at first.
    pub sensors: *const scmi_sensor,
    /// Held in reset at first.
    pub reset_domains: *const scmi_reset_domain,
    /// Off at first.
    pub voltage_domains: *const scmi_voltage_domain,

    /// What all functions get.
    pub context: *mut c_void,
    /// There is something for the agent to fetch, with `scmi_next_event` or `scmi_answer`. Must not call either.
    pub wake: Option<extern "C" fn(context: *mut c_void, agent: u16)>,
    /// Something failed that has to be done: `scmi_try_again` is to be called after a while, and again until that does
    /// not fail. Must not call it.
    pub unfinished: Option<extern "C" fn(context: *mut c_void)>,

    /// Powers a domain up or down.
    pub switch_power: Switching,

    /// Opens or shuts a clock's gate.
    pub switch_clock: Switching,
    /// Tells at how many hertz a clock runs, or will when it is on.
    pub rate: Option<extern "C" fn(context: *mut c_void, clock: u16, rate: *mut u64) -> i32>,
    /// Makes a clock run at one of its rates.
    pub set_rate:
        Option<extern "C" fn(context: *mut c_void, clock: u16, rate: u64, ticket: u32) -> i32>,
    /// Tells which clock a clock comes from.
    pub parent: Option<extern "C" fn(context: *mut c_void, clock: u16, parent: *mut u16) -> i32>,
    /// Makes a clock come from one of its parents.
    pub set_parent: Option<extern "C" fn(context: *mut c_void, clock: u16, parent: u16) -> i32>,
    /// Gives a clock the rate and the parent that it booted with.
    pub restore_clock: Option<extern "C" fn(context: *mut c_void, clock: u16) -> i32>,

    /// Lets a sensor measure, or rest.
    pub switch_sensor: Switching,
    /// Has a sensor measure every so many nanoseconds; 0 if nobody has asked for that, and the first of
    /// its intervals is to be taken.
    pub set_interval:
        Option<extern "C" fn(context: *mut c_void, sensor: u16, nanoseconds: u64) -> i32>,
    /// Measures.
    pub measure: Option<extern "C" fn(context: *mut c_void, sensor: u16, ticket: u32) -> i32>,
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
    pub switch_reset: Switching,
    /// Resets a domain and lets it run.
    pub reset: Option<extern "C" fn(context: *mut c_void, domain: u16, ticket: u32) -> i32>,

    /// Switches a domain on or off.
    pub switch_voltage: Switching,
    /// Tells the microvolts of a domain, now or when it is on.
    pub level: Option<extern "C" fn(context: *mut c_void, domain: u16, level: *mut i32) -> i32>,
    /// Gives a domain one of its levels.
    pub set_level:
        Option<extern "C" fn(context: *mut c_void, domain: u16, level: i32, ticket: u32) -> i32>,
    /// Gives a domain the level that it booted with.
    pub restore_voltage: Option<extern "C" fn(context: *mut c_void, domain: u16) -> i32>,
}

/// What a function with a ticket returns if it is not done yet.
pub const SCMI_LATER: i32 = 1;

/// The platform of a firmware that keeps what [`scmi_init`](crate::scmi_init) asks of it.
pub(crate) struct Hardware(&'static scmi_platform);

impl Hardware {
    /// # Safety
    /// The platform's pointers, and those of its tables, are as [`scmi_init`](crate::scmi_init) asks.
    pub(crate) unsafe fn new(platform: &'static scmi_platform) -> Self {
        Self(platform)
    }

    fn switch(&self, switching: Switching, resource: u16, to: Switch) -> Result<(), Status> {
        let switch = switching.ok_or(Status::NotSupported)?;
        Status::check(switch(self.0.context, resource, to == Switch::On))
    }
}

fn when(status: i32) -> Result<When, Status> {
    match status {
        SCMI_LATER => Ok(When::Later),
        status => Status::check(status).map(|()| When::Now),
    }
}

/// # Safety
/// As of [`array`].
unsafe fn entry<'a, T>(first: *const T, count: u16, at: u16) -> Result<&'a T, Status> {
    // SAFETY: what the caller promises.
    let array = unsafe { array(first, count) };
    array.get(usize::from(at)).ok_or(Status::NotFound)
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

    fn wake(&mut self, agent: u16) {
        if let Some(wake) = self.0.wake {
            wake(self.0.context, agent);
        }
    }

    fn unfinished(&mut self) {
        if let Some(unfinished) = self.0.unfinished {
            unfinished(self.0.context);
        }
    }
}

impl PowerDomains for Hardware {
    fn power_domain(&self, _agent: u16, domain: u16) -> Result<&[u8], Status> {
        // SAFETY: what was promised to `new`.
        unsafe {
            let domain = entry(self.0.power_domains, self.0.power_domain_count, domain)?;
            Ok(text(domain.name))
        }
    }

    fn switch_power(&mut self, domain: u16, to: Switch) -> Result<(), Status> {
        self.switch(self.0.switch_power, domain, to)
    }
}

impl Clocks for Hardware {
    fn clock(&self, _agent: u16, clock: u16) -> Result<Clock<'_>, Status> {
        // SAFETY: what was promised to `new`.
        unsafe { Ok(entry(self.0.clocks, self.0.clock_count, clock)?.describe()) }
    }

    fn switch_clock(&mut self, clock: u16, to: Switch) -> Result<(), Status> {
        self.switch(self.0.switch_clock, clock, to)
    }

    fn rate(&self, clock: u16) -> Result<u64, Status> {
        let mut rate = 0;
        let of = self.0.rate.ok_or(Status::NotSupported)?;
        Status::check(of(self.0.context, clock, &raw mut rate))?;
        Ok(rate)
    }

    fn set_rate(&mut self, clock: u16, rate: u64, ticket: Ticket) -> Result<When, Status> {
        let set = self.0.set_rate.ok_or(Status::NotSupported)?;
        when(set(self.0.context, clock, rate, ticket.into()))
    }

    fn parent(&self, clock: u16) -> Result<u16, Status> {
        let mut parent = 0;
        let of = self.0.parent.ok_or(Status::NotSupported)?;
        Status::check(of(self.0.context, clock, &raw mut parent))?;
        Ok(parent)
    }

    fn set_parent(&mut self, clock: u16, parent: u16) -> Result<(), Status> {
        let set = self.0.set_parent.ok_or(Status::NotSupported)?;
        Status::check(set(self.0.context, clock, parent))
    }

    fn restore_clock(&mut self, clock: u16) -> Result<(), Status> {
        let restore = self.0.restore_clock.ok_or(Status::NotSupported)?;
        Status::check(restore(self.0.context, clock))
    }
}

impl Sensors for Hardware {
    fn sensor(&self, _agent: u16, sensor: u16) -> Result<Sensor<'_>, Status> {
        // SAFETY: what was promised to `new`.
        unsafe { Ok(entry(self.0.sensors, self.0.sensor_count, sensor)?.describe()) }
    }

    fn axis(&self, _agent: u16, sensor: u16, axis: u8) -> Result<Axis<'_>, Status> {
        // SAFETY: what was promised to `new`.
        unsafe {
            let sensor = entry(self.0.sensors, self.0.sensor_count, sensor)?;
            let axis = entry(sensor.axes, sensor.axis_count.into(), axis.into())?;
            Ok(axis.describe())
        }
    }

    fn switch_sensor(&mut self, sensor: u16, to: Switch) -> Result<(), Status> {
        self.switch(self.0.switch_sensor, sensor, to)
    }

    fn set_interval(&mut self, sensor: u16, nanoseconds: u64) -> Result<(), Status> {
        match self.0.set_interval {
            Some(set) => Status::check(set(self.0.context, sensor, nanoseconds)),
            None => Ok(()), // Then it has no intervals to choose from.
        }
    }

    fn measure(&mut self, sensor: u16, ticket: Ticket) -> Result<When, Status> {
        match self.0.measure {
            Some(measure) => when(measure(self.0.context, sensor, ticket.into())),
            None => Ok(When::Now), // Then its reading is always the latest.
        }
    }

    fn reading(&self, sensor: u16, axis: u8) -> Result<Reading, Status> {
        let mut reading = Reading {
            value: 0,
            timestamp: 0,
        };
        let of = self.0.reading.ok_or(Status::NotSupported)?;
        let (value, timestamp) = (&raw mut reading.value, &raw mut reading.timestamp);
        Status::check(of(self.0.context, sensor, axis, value, timestamp))?;
        Ok(reading)
    }
}

impl Resets for Hardware {
    fn reset_domain(&self, _agent: u16, domain: u16) -> Result<ResetDomain<'_>, Status> {
        // SAFETY: what was promised to `new`.
        unsafe {
            let domain = entry(self.0.reset_domains, self.0.reset_domain_count, domain)?;
            Ok(domain.describe())
        }
    }

    fn switch_reset(&mut self, domain: u16, to: Switch) -> Result<(), Status> {
        self.switch(self.0.switch_reset, domain, to)
    }

    fn reset(&mut self, domain: u16, ticket: Ticket) -> Result<When, Status> {
        let reset = self.0.reset.ok_or(Status::NotSupported)?;
        when(reset(self.0.context, domain, ticket.into()))
    }
}

impl Voltages for Hardware {
    fn voltage_domain(&self, _agent: u16, domain: u16) -> Result<VoltageDomain<'_>, Status> {
        // SAFETY: what was promised to `new`.
        unsafe {
            let domain = entry(self.0.voltage_domains, self.0.voltage_domain_count, domain)?;
            Ok(domain.describe())
        }
    }

    fn switch_voltage(&mut self, domain: u16, to: Switch) -> Result<(), Status> {
        self.switch(self.0.switch_voltage, domain, to)
    }

    fn level(&self, domain: u16) -> Result<i32, Status> {
        let mut level = 0;
        let of = self.0.level.ok_or(Status::NotSupported)?;
        Status::check(of(self.0.context, domain, &raw mut level))?;
        Ok(level)
    }

    fn set_level(&mut self, domain: u16, level: i32, ticket: Ticket) -> Result<When, Status> {
        let set = self.0.set_level.ok_or(Status::NotSupported)?;
        when(set(self.0.context, domain, level, ticket.into()))
    }

    fn restore_voltage(&mut self, domain: u16) -> Result<(), Status> {
        let restore = self.0.restore_voltage.ok_or(Status::NotSupported)?;
        Status::check(restore(self.0.context, domain))
    }
}
