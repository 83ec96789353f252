// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the hardware has, as the protocols describe it to agents.

use super::ids::ResourceId;
use crate::Values;

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

/// A clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    /// At most 63 characters of ASCII. Linux wants names that no other clock of the guest has.
    pub name: &'a [u8],
    /// In hertz, as the clocks above are now. At least one: drivers rely on that.
    pub rates: Values<'a, u64>,
    /// The clocks that it can come from.
    pub parents: &'a [ResourceId],
    /// The other clocks whose rates follow a change of this one's rate or parent: what it feeds, and what is fed by a
    /// PLL that is set for it. They may change when a clock gets another parent.
    pub dependents: &'a [ResourceId],
    /// How long it may take to switch it on, in microseconds; 0 if that is not known.
    pub enable_latency: u32,
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

/// A reset domain.
#[derive(Clone, Copy, Debug)]
pub struct ResetDomain<'a> {
    /// At most 63 characters of ASCII.
    pub name: &'a [u8],
    /// How long a reset takes, in microseconds, if that is known.
    pub latency: Option<u32>,
}

/// A voltage domain.
#[derive(Clone, Copy, Debug)]
pub struct VoltageDomain<'a> {
    /// At most 63 characters of ASCII.
    pub name: &'a [u8],
    /// In microvolts. Linux takes at least one, and no negative ones.
    pub levels: Values<'a, i32>,
}
