// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The hardware, as the protocols see it: what there is, and what can be done with it.
//!
//! Resources have the platform's numbers here, never an agent's. Descriptions are given for an agent, whose names and
//! limits may be its own; they do not change while the engine lives, but for [`Clock::dependents`].
//!
//! What gets a [`Ticket`] may be done later, and says [`When`]: [`Clocks::set_rate`], [`Sensors::measure`],
//! [`Resets::reset`] and [`Voltages::set_level`]. All else is done when its function returns, switching included. Until
//! then the engine is in use, and whatever keeps others from it meanwhile, such as a lock around it, keeps them waiting:
//! one slow switch holds up all agents.
//!
//! An operation on a resource takes the place of an earlier one that is still going on, of which the engine is to be
//! told too that it is complete: its agent may wait for that. Errors are what the agent is answered.

use crate::{Status, Ticket, Values};

/// A two-way switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Gated, unpowered, held in reset.
    Off,
    /// Running.
    On,
}

/// When an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It is.
    Now,
    /// When [`Engine::complete`](crate::Engine::complete) is told, with the ticket.
    Later,
}

/// All of it.
pub trait Platform: PowerDomains + Clocks + Sensors + Resets + Voltages {
    /// Who made it.
    fn identity(&self) -> Identity<'_>;

    /// There is something for `agent` to fetch: with [`Engine::next_event`](crate::Engine::next_event), or with
    /// [`Engine::answer`](crate::Engine::answer) if it waits for that. Asks to be told, no more: the engine is busy.
    fn wake(&mut self, agent: u16);

    /// Something failed that has to be done, whoever asked for it: [`Engine::try_again`](crate::Engine::try_again) is to
    /// be called after a while, and again until that does not fail. Asks for that, no more: the engine is busy.
    fn unfinished(&mut self);
}

/// Who made the platform. Names have 15 characters of ASCII at most.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// BASE_DISCOVER_VENDOR.
    pub vendor: &'a [u8],
    /// BASE_DISCOVER_SUB_VENDOR.
    pub sub_vendor: &'a [u8],
    /// BASE_DISCOVER_IMPLEMENTATION_VERSION.
    pub version: u32,
}

/// Power domains (protocol 0x11).
pub trait PowerDomains {
    /// The name of `domain`, of at most 63 characters of ASCII.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn power_domain(&self, agent: u16, domain: u16) -> Result<&[u8], Status>;

    /// Powers `domain` up or down.
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_power(&mut self, domain: u16, to: Switch) -> Result<(), Status>;
}

/// Clocks (protocol 0x14).
pub trait Clocks {
    /// What `clock` is.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn clock(&self, agent: u16, clock: u16) -> Result<Clock<'_>, Status>;

    /// Opens or shuts the gate of `clock`.
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_clock(&mut self, clock: u16, to: Switch) -> Result<(), Status>;

    /// At how many hertz `clock` runs, or will when it is switched on.
    ///
    /// # Errors
    /// It cannot be told.
    fn rate(&self, clock: u16) -> Result<u64, Status>;

    /// Makes `clock` run at `rate` hertz, one of its [`Clock::rates`].
    ///
    /// # Errors
    /// It stays as it is.
    fn set_rate(&mut self, clock: u16, rate: u64, ticket: Ticket) -> Result<When, Status>;

    /// Which clock `clock` comes from.
    ///
    /// # Errors
    /// It cannot be told.
    fn parent(&self, clock: u16) -> Result<u16, Status>;

    /// Makes `clock` come from `parent`, one of its [`Clock::parents`].
    ///
    /// # Errors
    /// It stays as it is.
    fn set_parent(&mut self, clock: u16, parent: u16) -> Result<(), Status>;

    /// Gives `clock` the rate and the parent that it booted with.
    ///
    /// # Errors
    /// It stays as it is.
    fn restore_clock(&mut self, clock: u16) -> Result<(), Status>;
}

/// A clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    /// At most 63 characters of ASCII. Linux wants names that no other clock of the guest has.
    pub name: &'a [u8],
    /// In hertz.
    pub rates: Values<'a, u64>,
    /// The clocks that it can come from.
    pub parents: &'a [u16],
    /// The other clocks whose rates follow a change of this one's rate or parent: what it feeds, and what is fed by a
    /// PLL that is set for it. They may change when a clock gets another parent.
    pub dependents: &'a [u16],
    /// How long it may take to switch it on, in microseconds; 0 if that is not known.
    pub enable_latency: u32,
}

/// Sensors (protocol 0x15).
pub trait Sensors {
    /// What `sensor` is.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn sensor(&self, agent: u16, sensor: u16) -> Result<Sensor<'_>, Status>;

    /// What an axis of `sensor` is, of those that [`Sensor::axes`] counts.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn axis(&self, agent: u16, sensor: u16, axis: u8) -> Result<Axis<'_>, Status>;

    /// Lets `sensor` measure, or rest.
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_sensor(&mut self, sensor: u16, to: Switch) -> Result<(), Status>;

    /// Has `sensor` measure every so many nanoseconds, the shortest that an agent counts on which has it on; 0 if none of
    /// them has asked for any, and the first of its [`Sensor::intervals`] is to be taken.
    ///
    /// # Errors
    /// It stays as it is.
    fn set_interval(&mut self, sensor: u16, nanoseconds: u64) -> Result<(), Status>;

    /// Measures. When that is done, [`reading`](Self::reading) tells what.
    ///
    /// # Errors
    /// Nothing was measured. `ProtocolError` if the sensor has to be switched on first.
    fn measure(&mut self, sensor: u16, ticket: Ticket) -> Result<When, Status>;

    /// What was measured last on an axis of `sensor`, on axis 0 if it has none.
    ///
    /// # Errors
    /// It cannot be told.
    fn reading(&self, sensor: u16, axis: u8) -> Result<Reading, Status>;
}

/// A sensor.
#[derive(Clone, Copy, Debug)]
pub struct Sensor<'a> {
    /// What is measured, if it has no axes.
    pub scale: Axis<'a>,
    /// How many axes it has: 0, or up to 7, which is what a message holds.
    pub axes: u8,
    /// Whether it takes its time to measure, so that agents had better not wait for it.
    pub slow: bool,
    /// How many trip points each agent may set.
    pub trip_points: u8,
    /// Whether it measures by itself, and [`Engine::sensor_updated`](crate::Engine::sensor_updated) is told.
    pub updates: bool,
    /// The unit of its timestamps as a power of ten of a second, -16 to 15; `None` if it has none.
    pub timestamp: Option<i8>,
    /// How often it may measure, as SENSOR_LIST_UPDATE_INTERVALS has it: seconds in bits 20:5, times ten to the power
    /// of the signed bits 4:0. The first, or lowest, is what an agent has that asks for none. Linux takes no sensor
    /// with axes that has none.
    pub intervals: Values<'a, u32>,
}

/// What a sensor, or one of its axes, measures.
#[derive(Clone, Copy, Debug)]
pub struct Axis<'a> {
    /// At most 63 characters of ASCII.
    pub name: &'a [u8],
    /// The type: 2 is degrees Celsius, 5 volts, 6 amperes, 7 watts, 8 joules (SCMI 3.2, table of sensor types).
    pub unit: u8,
    /// The unit's power of ten, -16 to 15. Linux wants -3 for temperatures, which may be negative.
    pub exponent: i8,
    /// What is known of its quality.
    pub range: Option<SensorRange>,
}

/// What is known of a sensor's quality.
#[derive(Clone, Copy, Debug)]
pub struct SensorRange {
    /// The smallest difference that it tells, in the unit, at most 2^27 - 1.
    pub resolution: u32,
    /// The resolution's power of ten, -16 to 15.
    pub exponent: i8,
    /// The lowest reading.
    pub lowest: i64,
    /// The highest reading.
    pub highest: i64,
}

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// In the sensor's unit.
    pub value: i64,
    /// In the sensor's unit of time.
    pub timestamp: u64,
}

/// Reset domains (protocol 0x16).
pub trait Resets {
    /// What `domain` is.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn reset_domain(&self, agent: u16, domain: u16) -> Result<ResetDomain<'_>, Status>;

    /// Holds `domain` in reset, or lets it run, also while it is being [reset](Self::reset).
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_reset(&mut self, domain: u16, to: Switch) -> Result<(), Status>;

    /// Resets `domain` and lets it run. If that fails [later](When::Later), it is [switched](Self::switch_reset) to what
    /// agents want, as nobody knows what it was left in.
    ///
    /// # Errors
    /// It was not reset, and is as it was.
    fn reset(&mut self, domain: u16, ticket: Ticket) -> Result<When, Status>;
}

/// A reset domain.
#[derive(Clone, Copy, Debug)]
pub struct ResetDomain<'a> {
    /// At most 63 characters of ASCII.
    pub name: &'a [u8],
    /// How long a reset takes, in microseconds, if that is known.
    pub latency: Option<u32>,
}

/// Voltage domains (protocol 0x17).
pub trait Voltages {
    /// What `domain` is.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn voltage_domain(&self, agent: u16, domain: u16) -> Result<VoltageDomain<'_>, Status>;

    /// Switches `domain` on or off.
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_voltage(&mut self, domain: u16, to: Switch) -> Result<(), Status>;

    /// The level of `domain`, now or when it is switched on, in microvolts.
    ///
    /// # Errors
    /// It cannot be told.
    fn level(&self, domain: u16) -> Result<i32, Status>;

    /// Gives `domain` a level in microvolts, one of its [`VoltageDomain::levels`].
    ///
    /// # Errors
    /// It stays as it is.
    fn set_level(&mut self, domain: u16, level: i32, ticket: Ticket) -> Result<When, Status>;

    /// Gives `domain` the level that it booted with.
    ///
    /// # Errors
    /// It stays as it is.
    fn restore_voltage(&mut self, domain: u16) -> Result<(), Status>;
}

/// A voltage domain.
#[derive(Clone, Copy, Debug)]
pub struct VoltageDomain<'a> {
    /// At most 63 characters of ASCII.
    pub name: &'a [u8],
    /// In microvolts. Linux takes at least one, and no negative ones.
    pub levels: Values<'a, i32>,
}
