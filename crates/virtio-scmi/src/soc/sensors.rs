// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Simulated sensors: what they measure drifts, and goes up with the load.

use std::time::Duration;

use scmi::{Kind, ResourceId, Status, Values};

use super::clocks::Clocks;
use super::supplies::Regulators;
use super::{Names, at, at_mut, find};
use crate::description::{Mistake, Sensor, SensorType, Value};

/// All readings are in thousandths: Linux divides no negative temperature then.
const EXPONENT: i8 = -3;

/// Timestamps are in nanoseconds.
const TIMESTAMP: i8 = -9;

/// Trip points that one guest may set on a sensor.
const MOST_TRIP_POINTS: u8 = 8;

/// Shortest interval, in milliseconds: who has a sensor measure takes others' time.
const SHORTEST: u16 = 10;

/// From 0 up, down, and back.
const DRIFT: Duration = Duration::from_secs(60);

/// A temperature gets halfway to what it will be within this time.
const WARMTH: Duration = Duration::from_secs(4);

/// Of ±16 g, in thousandths of m/s².
const ACCELERATION: scmi::SensorRange = scmi::SensorRange {
    resolution: 1,
    exponent: EXPONENT,
    lowest: -156_906,
    highest: 156_906,
};

/// Nothing is colder, in thousandths of °C.
const COLDEST: i64 = -273_150;

/// The same for all sensors, and short: Linux knows an axis by what is behind the `_`, and what has more than 15
/// characters loses that where names are not asked for.
const AXES: [&str; 3] = ["accel_X", "accel_Y", "accel_Z"];

#[derive(Default)]
pub(crate) struct Sensors(Vec<One>);

struct One {
    name: String,
    kind: SensorType,
    /// Of each axis, in thousandths of the unit.
    values: [i64; 3],
    drift: i64,
    load: Option<(ResourceId, i64)>,
    regulator: Option<ResourceId>,
    trip_points: u8,
    /// As SENSOR_LIST_UPDATE_INTERVALS has them.
    intervals: Vec<u32>,
    /// How often it measures by itself while it is on.
    interval: Duration,
    first_interval: Duration,
    on: bool,
    warmth: i64,
    measured: [i64; 3],
    /// When it did so last.
    when: Duration,
}

impl Sensors {
    pub(super) fn new(sensors: &[Sensor], names: &Names) -> Result<Self, (usize, Mistake)> {
        let one = |(index, sensor)| One::new(sensor, names).map_err(|mistake| (index, mistake));
        Ok(Self(
            sensors
                .iter()
                .enumerate()
                .map(one)
                .collect::<Result<_, _>>()?,
        ))
    }

    pub(super) fn describe(&self, sensor: ResourceId) -> Result<scmi::Sensor<'_>, Status> {
        let one = at(&self.0, sensor)?;
        Ok(scmi::Sensor {
            scale: one.scale(&one.name, None),
            axes: match one.kind {
                SensorType::Acceleration => 3,
                _ => 0,
            },
            trip_points: one.trip_points,
            slow: false,
            updates: true,
            timestamp: Some(TIMESTAMP),
            intervals: Values::List(&one.intervals),
        })
    }

    pub(super) fn axis(&self, sensor: ResourceId, axis: u8) -> Result<scmi::Axis<'_>, Status> {
        let one = at(&self.0, sensor)?;
        let name = at(&AXES, ResourceId(axis.into()))?;
        Ok(one.scale(name, Some(ACCELERATION)))
    }

    pub(super) fn switch(&mut self, sensor: ResourceId, on: bool) -> Result<(), Status> {
        at_mut(&mut self.0, sensor)?.on = on;
        Ok(())
    }

    /// Each so many nanoseconds; 0 is as often as it does if nobody asks.
    pub(super) fn set_interval(
        &mut self,
        sensor: ResourceId,
        nanoseconds: u64,
    ) -> Result<(), Status> {
        let one = at_mut(&mut self.0, sensor)?;
        one.interval = match nanoseconds {
            0 => one.first_interval,
            _ => Duration::from_nanos(nanoseconds),
        };
        Ok(())
    }

    /// How often it measures by itself, if it does.
    pub(super) fn interval(&self, sensor: ResourceId) -> Result<Option<Duration>, Status> {
        let one = at(&self.0, sensor)?;
        Ok(one.on.then_some(one.interval))
    }

    pub(super) fn measure(
        &mut self,
        sensor: ResourceId,
        now: Duration,
        clocks: &Clocks,
        regulators: &Regulators,
    ) -> Result<(), Status> {
        let one = at_mut(&mut self.0, sensor)?;
        let load = one.load.map_or(0, |(clock, most)| {
            let load = i64::try_from(clocks.load(clock)).unwrap_or(0);
            most.saturating_mul(load) / 1000
        });
        one.warmth = match one.kind {
            SensorType::Temperature => approach(one.warmth, load, now.saturating_sub(one.when)),
            _ => load,
        };
        let output = match one.regulator {
            Some(regulator) => i64::from(regulators.output(regulator, now)? / 1000),
            None => 0,
        };
        let drift = drift(one.drift, now);
        for (measured, value) in one.measured.iter_mut().zip(one.values) {
            *measured = value
                .saturating_add(output)
                .saturating_add(one.warmth)
                .saturating_add(drift);
        }
        one.when = now;
        Ok(())
    }

    pub(super) fn reading(&self, sensor: ResourceId, axis: u8) -> Result<scmi::Reading, Status> {
        let one = at(&self.0, sensor)?;
        Ok(scmi::Reading {
            value: *at(&one.measured, ResourceId(axis.into()))?,
            timestamp: u64::try_from(one.when.as_nanos()).unwrap_or(u64::MAX),
        })
    }
}

/// Where something is that goes towards `to`, of which it makes half in [`WARMTH`].
fn approach(from: i64, to: i64, after: Duration) -> i64 {
    let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
    let half = i64::try_from(WARMTH.as_millis()).unwrap_or(i64::MAX);
    let way = to.saturating_sub(from).saturating_mul(after);
    from.saturating_add(way / half.saturating_add(after))
}

/// Up to `most` more or less than nothing.
fn drift(most: i64, now: Duration) -> i64 {
    let [whole, now] = [DRIFT, now].map(|time| i64::try_from(time.as_millis()).unwrap_or(0));
    let quarter = whole / 4;
    let at = match now % whole {
        rising if rising < quarter => rising,
        falling if falling < 3 * quarter => 2 * quarter - falling,
        rising => rising - whole,
    };
    most.saturating_mul(at) / quarter
}

impl One {
    fn new(sensor: &Sensor, names: &Names) -> Result<Self, Mistake> {
        let is_acceleration = sensor.r#type == SensorType::Acceleration;
        let values = match (sensor.value, is_acceleration) {
            (Some(Value::Axes(values)), true) => values,
            (Some(Value::One(value)), false) => [value; 3],
            (None, false) if sensor.regulator.is_some() => [0; 3],
            (_, true) => return Err(Mistake::new("value", "three are needed, in brackets")),
            (_, false) => return Err(Mistake::new("value", "one number is needed")),
        };
        if sensor.regulator.is_some() && sensor.r#type != SensorType::Voltage {
            return Err(Mistake::new("regulator", "only type voltage has that"));
        }
        if sensor.clock.is_none() && sensor.load != 0 {
            return Err(Mistake::new("load", "of which clock?"));
        }
        if sensor.trip_points > MOST_TRIP_POINTS {
            return Err(Mistake::new(
                "trip-points",
                format!("at most {MOST_TRIP_POINTS}"),
            ));
        }
        let clock = sensor.clock.as_ref();
        let clock = clock
            .map(|name| find(names, Kind::CLOCK, "clock", name))
            .transpose()?;
        let regulator = sensor.regulator.as_ref();
        let regulator = regulator.map(|name| find(names, Kind::VOLTAGE, "regulator", name));
        if clock.is_some() && sensor.load == 0 {
            let missing = "load says how far it goes up with it";
            return Err(Mistake::new("clock", missing));
        }
        can_be_read(sensor, &values)?;
        let intervals = intervals(sensor)?;
        let first_interval =
            Duration::from_millis(intervals.first().copied().unwrap_or(1000).into());
        Ok(Self {
            name: sensor.name.clone(),
            kind: sensor.r#type,
            values,
            drift: sensor.drift,
            load: clock.map(|clock| (clock, sensor.load)),
            regulator: regulator.transpose()?,
            trip_points: sensor.trip_points,
            intervals: intervals.into_iter().map(milliseconds).collect(),
            interval: first_interval,
            first_interval,
            on: false,
            warmth: 0,
            measured: values,
            when: Duration::ZERO,
        })
    }

    fn scale<'a>(&self, name: &'a str, range: Option<scmi::SensorRange>) -> scmi::Axis<'a> {
        scmi::Axis {
            name: name.as_bytes(),
            unit: match self.kind {
                SensorType::Temperature => 2,
                SensorType::Voltage => 5,
                SensorType::Current => 6,
                SensorType::Power => 7,
                SensorType::Acceleration => 0x59,
            },
            exponent: EXPONENT,
            range,
        }
    }
}

/// Whether all that the sensor will measure is something that it can. Linux has a temperature in an
/// int, and on 32 bits all other readings too.
fn can_be_read(sensor: &Sensor, values: &[i64; 3]) -> Result<(), Mistake> {
    let (lowest, highest) = match sensor.r#type {
        SensorType::Acceleration => (ACCELERATION.lowest, ACCELERATION.highest),
        SensorType::Temperature => (COLDEST, i32::MAX.into()),
        _ => (i32::MIN.into(), i32::MAX.into()),
    };
    let drift = sensor.drift.saturating_abs();
    let changes = [
        ("value", 0),
        ("drift", drift.saturating_neg()),
        ("drift", drift),
        ("load", sensor.load.saturating_sub(drift)),
        ("load", sensor.load.saturating_add(drift)),
    ];
    for (key, change) in changes {
        for reading in values.iter().map(|value| value.saturating_add(change)) {
            if !(lowest..=highest).contains(&reading) {
                let range = format!("{lowest} to {highest}, in thousandths of the unit");
                return Err(Mistake::new(
                    key,
                    format!("{reading} is not within {range}"),
                ));
            }
        }
    }
    Ok(())
}

/// In milliseconds.
fn intervals(sensor: &Sensor) -> Result<Vec<u16>, Mistake> {
    let intervals = &sensor.intervals;
    if intervals.is_empty() {
        return Ok(vec![1000, 2000, 10_000]);
    }
    if intervals.first() < Some(&SHORTEST) || !intervals.is_sorted_by(|a, b| a < b) {
        return Err(Mistake::new(
            "intervals",
            format!("not ascending, from {SHORTEST} on"),
        ));
    }
    Ok(intervals.clone())
}

/// So many, as SENSOR_LIST_UPDATE_INTERVALS has it: seconds in bits 20:5, times ten to the power of the signed bits 4:0.
fn milliseconds(count: u16) -> u32 {
    u32::from(count) << 5 | 0x1d
}
