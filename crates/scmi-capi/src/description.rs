// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What there is: constant tables of the firmware, whose entries say how long they are.

use core::ffi::c_char;

use scmi::{
    Axis, Clock, ResetDomain, ResourceId, Sensor, SensorRange, Status, Values, VoltageDomain,
};

/// A power domain.
#[repr(C)]
pub struct scmi_engine_power_domain {
    /// `sizeof` of this structure.
    pub size: usize,
    /// At most 63 characters of ASCII.
    pub name: *const c_char,
}

/// A clock.
#[repr(C)]
pub struct scmi_engine_clock {
    /// `sizeof` of this structure.
    pub size: usize,
    /// At most 63 characters of ASCII.
    pub name: *const c_char,
    /// In hertz and in ascending order, at least one; if `rate_range`, the lowest, the highest and the step between two.
    pub rates: *const u64,
    /// The clocks that it can come from.
    pub parents: *const u16,
    /// The other clocks whose rates follow a change of this one's rate or parent. They, and how many there are, may
    /// change when a clock gets another parent or its own back: in `set_rate`, `set_parent` and `restore_clock`.
    pub dependents: *const u16,
    /// How many there are.
    pub rate_count: u16,
    /// How many there are.
    pub parent_count: u16,
    /// How many there are.
    pub dependent_count: u16,
    /// Whether `rates` is a range.
    pub rate_range: bool,
    /// How long it may take to switch it on, in microseconds; 0 if that is not known.
    pub enable_latency: u32,
}

/// What a sensor, or one of its axes, measures.
#[repr(C)]
pub struct scmi_engine_axis {
    /// `sizeof` of this structure.
    pub size: usize,
    /// At most 63 characters of ASCII.
    pub name: *const c_char,
    /// SCMI's number of the unit: 2 is degrees Celsius, 5 volts, 6 amperes, 7 watts, 8 joules.
    pub unit: u8,
    /// The unit's power of ten, -16 to 15.
    pub exponent: i8,
    /// Whether what follows is known.
    pub has_range: bool,
    /// The resolution's power of ten, -16 to 15.
    pub resolution_exponent: i8,
    /// The smallest difference that it tells, in the unit, at most 2^27 - 1.
    pub resolution: u32,
    /// The lowest reading.
    pub lowest: i64,
    /// The highest reading.
    pub highest: i64,
}

/// A sensor.
#[repr(C)]
pub struct scmi_engine_sensor {
    /// `sizeof` of this structure.
    pub size: usize,
    /// What is measured, if it has no axes; else its name.
    pub scale: *const scmi_engine_axis,
    /// At most 7.
    pub axes: *const scmi_engine_axis,
    /// How often it may measure, as SCMI has it: seconds in bits 20:5, times ten to the power of the signed bits 4:0. In
    /// ascending order; if `interval_range`, the shortest, the longest and the step between two.
    pub intervals: *const u32,
    /// How many there are.
    pub interval_count: u16,
    /// Whether `intervals` is a range.
    pub interval_range: bool,
    /// How many there are.
    pub axis_count: u8,
    /// How many trip points each agent may set.
    pub trip_points: u8,
    /// Whether it measures by itself, and `scmi_engine_sensor_updated` is told.
    pub updates: bool,
    /// Whether it takes its time to measure, so that agents had better not wait for it.
    pub slow: bool,
    /// Whether it knows when it measures.
    pub has_timestamp: bool,
    /// The unit of timestamps as a power of ten of a second, -16 to 15.
    pub timestamp_exponent: i8,
}

/// A reset domain.
#[repr(C)]
pub struct scmi_engine_reset_domain {
    /// `sizeof` of this structure.
    pub size: usize,
    /// At most 63 characters of ASCII.
    pub name: *const c_char,
    /// How long a reset takes, in microseconds; 0 if that is not known.
    pub latency: u32,
}

/// A voltage domain.
#[repr(C)]
pub struct scmi_engine_voltage_domain {
    /// `sizeof` of this structure.
    pub size: usize,
    /// At most 63 characters of ASCII.
    pub name: *const c_char,
    /// In microvolts and in ascending order; if `level_range`, the lowest, the highest and the step between two.
    pub levels: *const i32,
    /// How many there are.
    pub level_count: u16,
    /// Whether `levels` is a range.
    pub level_range: bool,
}

impl scmi_engine_clock {
    /// # Safety
    /// Its pointers are as [`scmi_engine_init`](crate::scmi_engine_init) asks.
    pub(crate) unsafe fn describe(&self) -> Clock<'_> {
        // SAFETY: what the caller promises.
        unsafe {
            Clock {
                name: text(self.name),
                rates: values(self.rates, self.rate_count, self.rate_range),
                parents: array(self.parents.cast::<ResourceId>(), self.parent_count),
                dependents: array(self.dependents.cast::<ResourceId>(), self.dependent_count),
                enable_latency: self.enable_latency,
            }
        }
    }
}

impl scmi_engine_axis {
    /// # Safety
    /// Its pointers are as [`scmi_engine_init`](crate::scmi_engine_init) asks.
    pub(crate) unsafe fn describe(&self) -> Axis<'_> {
        Axis {
            // SAFETY: what the caller promises.
            name: unsafe { text(self.name) },
            unit: self.unit,
            exponent: self.exponent,
            range: self.has_range.then_some(SensorRange {
                resolution: self.resolution,
                exponent: self.resolution_exponent,
                lowest: self.lowest,
                highest: self.highest,
            }),
        }
    }
}

impl scmi_engine_sensor {
    /// # Safety
    /// Its pointers are as [`scmi_engine_init`](crate::scmi_engine_init) asks.
    pub(crate) unsafe fn describe(&self) -> Result<Sensor<'_>, Status> {
        // SAFETY: what the caller promises.
        unsafe {
            Ok(Sensor {
                scale: entry(self.scale, 1, 0)?.describe(),
                axes: self.axis_count,
                trip_points: self.trip_points,
                slow: self.slow,
                updates: self.updates,
                timestamp: self.has_timestamp.then_some(self.timestamp_exponent),
                intervals: values(self.intervals, self.interval_count, self.interval_range),
            })
        }
    }
}

impl scmi_engine_reset_domain {
    /// # Safety
    /// Its pointers are as [`scmi_engine_init`](crate::scmi_engine_init) asks.
    pub(crate) unsafe fn describe(&self) -> ResetDomain<'_> {
        ResetDomain {
            // SAFETY: what the caller promises.
            name: unsafe { text(self.name) },
            latency: (self.latency != 0).then_some(self.latency),
        }
    }
}

impl scmi_engine_voltage_domain {
    /// # Safety
    /// Its pointers are as [`scmi_engine_init`](crate::scmi_engine_init) asks.
    pub(crate) unsafe fn describe(&self) -> VoltageDomain<'_> {
        // SAFETY: what the caller promises.
        unsafe {
            VoltageDomain {
                name: text(self.name),
                levels: values(self.levels, self.level_count, self.level_range),
            }
        }
    }
}

/// # Safety
/// As of [`array`].
unsafe fn values<'a, T: Copy>(first: *const T, count: u16, range: bool) -> Values<'a, T> {
    // SAFETY: what the caller promises.
    match *unsafe { array(first, count) } {
        [lowest, highest, step] if range => Values::Range {
            lowest,
            highest,
            step,
        },
        ref list => Values::List(list),
    }
}

/// An entry of a table, whose entries are as long as the first one says.
///
/// # Safety
/// There are as many as `count` says, which begin with their size and stay as they are for `'a`.
pub(crate) unsafe fn entry<'a, T>(first: *const T, count: u16, at: u16) -> Result<&'a T, Status> {
    if first.is_null() || at >= count {
        return Err(Status::NotFound);
    }
    // SAFETY: what the caller promises.
    let size = unsafe { *first.cast::<usize>() };
    if size < size_of::<T>() {
        return Err(Status::InvalidParameters);
    }
    // SAFETY: what the caller promises.
    Ok(unsafe { &*first.byte_add(size.wrapping_mul(at.into())) })
}

/// What C has at `first`: nothing if that is null.
///
/// # Safety
/// There are as many as `count` says, which stay as they are for `'a`.
pub(crate) unsafe fn array<'a, T>(first: *const T, count: impl Into<usize>) -> &'a [T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: what the caller promises.
    unsafe { core::slice::from_raw_parts(first, count.into()) }
}

/// A string of C, as far as names go: none if it is null.
///
/// # Safety
/// It ends with a NUL, and stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(first: *const c_char) -> &'a [u8] {
    const LONGEST: usize = 63;
    if first.is_null() {
        return &[];
    }
    // SAFETY: what the caller promises; no byte beyond the NUL is read.
    let is_end = |length: &usize| unsafe { *first.add(*length) == 0 };
    let length = (0..LONGEST).find(is_end).unwrap_or(LONGEST);
    // SAFETY: all of these were read.
    unsafe { array(first.cast(), length) }
}
