// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Sensor management protocol (SCMI 3.2): what sensors there are, and how they are read and configured. Trip
//! points are in [`trip`](crate::trip).

use crate::Status;
use crate::engine::Engine;
use crate::memory::{Kind, Wanted};
use crate::platform::{Axis, Platform, Sensor};
use crate::protocol::Profile::{self, V2_0, V3_0, V3_1};
use crate::protocol::{Call, Message, Protocol, bit, flag};
use crate::trip;
use crate::values::{Round, Values, describe, part, word};
use crate::wire::{Response, is_long};

pub(crate) const PROTOCOL: Protocol = Protocol {
    id: 0x15,
    versions: [0x10000, 0x20000, 0x30000, 0x30001],
    messages: &[
        Message::new(DESCRIPTION_GET, V2_0),
        Message::notifies(TRIP_POINT_NOTIFY, V2_0),
        Message::notifies(TRIP_POINT_CONFIG, V2_0),
        Message::new(READING_GET, V2_0),
        Message::new(AXIS_DESCRIPTION_GET, V3_0),
        Message::new(LIST_UPDATE_INTERVALS, V3_0),
        Message::new(CONFIG_GET, V3_0),
        Message::new(CONFIG_SET, V3_0),
        Message::notifies(CONTINUOUS_UPDATE_NOTIFY, V3_0),
        Message::new(NAME_GET, V3_1),
        Message::new(AXIS_NAME_GET, V3_1),
    ],
};

const DESCRIPTION_GET: u8 = 0x3;
const TRIP_POINT_NOTIFY: u8 = 0x4;
const TRIP_POINT_CONFIG: u8 = 0x5;
const READING_GET: u8 = 0x6;
const AXIS_DESCRIPTION_GET: u8 = 0x7;
const LIST_UPDATE_INTERVALS: u8 = 0x8;
const CONFIG_GET: u8 = 0x9;
const CONFIG_SET: u8 = 0xa;
const CONTINUOUS_UPDATE_NOTIFY: u8 = 0xb;
const NAME_GET: u8 = 0xc;
const AXIS_NAME_GET: u8 = 0xd;

pub(crate) const TRIP_POINT_EVENT: u8 = 0;
pub(crate) const UPDATE: u8 = 1;

pub(crate) fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        DESCRIPTION_GET => description_get(call, response),
        TRIP_POINT_NOTIFY => subscribe(call, TRIP_POINT_EVENT, |sensor| sensor.trip_points != 0),
        TRIP_POINT_CONFIG => trip::config(call),
        READING_GET => reading_get(call, response),
        AXIS_DESCRIPTION_GET => axis_description_get(call, response),
        LIST_UPDATE_INTERVALS => {
            let (_, sensor) = call.resource(Kind::Sensor)?;
            let index = call.request.word()?;
            let sensor = call.engine.platform.sensor(call.agent, sensor)?;
            describe(sensor.intervals, index, response)
        }
        CONFIG_GET => {
            let (grant, sensor) = call.resource(Kind::Sensor)?;
            let sensor = call.engine.platform.sensor(call.agent, sensor)?;
            let grant = call.engine.grant(grant)?;
            let interval = interval(grant.config, &sensor.intervals);
            response.word(interval | grant.config & TIMESTAMPS | bit(0, grant.on));
            Ok(())
        }
        CONFIG_SET => config_set(call),
        CONTINUOUS_UPDATE_NOTIFY => subscribe(call, UPDATE, |sensor| sensor.updates),
        NAME_GET => {
            let (_, sensor) = call.resource(Kind::Sensor)?;
            response.word(0);
            response.long_name(call.engine.platform.sensor(call.agent, sensor)?.scale.name);
            Ok(())
        }
        AXIS_NAME_GET => axis_name_get(call, response),
        _ => {
            let sensors = word(call.engine.count_of(call.agent, Kind::Sensor));
            response.word(sensors | call.max_async()? << 16);
            response.double(0); // No shared memory.
            response.word(0);
            Ok(())
        }
    }
}

/// | bits | field |
/// |---|---|
/// | 11:0 | how many follow |
/// | 31:16 | how many remain |
fn description_get<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let index = call.request.word()?;
    let engine = &*call.engine;
    let profile = engine.profile(call.agent, Kind::Sensor)?;
    let events = engine.agent(call.agent)?.events;
    let sensors = engine.count_of(call.agent, Kind::Sensor);
    let rest = sensors.checked_sub(index as usize);
    let rest = rest.ok_or(Status::InvalidParameters)?;
    let counts = response.reserve();
    let mut count = 0;
    for id in (index..).take(rest) {
        let grant = engine.grant(call.visible(Kind::Sensor, id)?)?;
        let sensor = engine.platform.sensor(call.agent, grant.resource)?;
        if response.room() < description_size(&sensor, profile) {
            break;
        }
        put_description(id, &sensor, profile, events, response);
        count += 1;
    }
    if count == 0 && rest != 0 {
        return Err(Status::ProtocolError);
    }
    response.set(counts, word(count) | word(rest - count) << 16);
    Ok(())
}

fn description_size(sensor: &Sensor<'_>, profile: Profile) -> usize {
    match sensor.scale.range {
        Some(_) if profile >= V3_0 && sensor.axes == 0 => 52,
        _ => 28,
    }
}

/// A sensor descriptor.
///
/// | bytes | field |
/// |---|---|
/// | 0..4 | sensor_id |
/// | 4..8 | attributes_low: 31 asynchronous, 30 updates, 29 long name, 14:10 unit of timestamps, 9 timestamps, 8 more follows the name, 7:0 trip points |
/// | 8..12 | attributes_high: 21:16 axes, 15:11 exponent, 8 has axes, 7:0 type |
/// | 12..28 | name |
/// | 28..32 | power, which is not known |
/// | 32..52 | resolution and range |
fn put_description(
    id: u32,
    sensor: &Sensor<'_>,
    profile: Profile,
    events: bool,
    response: &mut Response<'_>,
) {
    let trip_points = if events { sensor.trip_points } else { 0 };
    let mut low = bit(31, events && sensor.slow) | u32::from(trip_points);
    let mut high = exponent(sensor.scale.exponent) << 11 | u32::from(sensor.scale.unit);
    let range = sensor
        .scale
        .range
        .filter(|_| profile >= V3_0 && sensor.axes == 0);
    if profile >= V3_0 {
        low |= bit(30, events && sensor.updates) | bit(8, range.is_some());
        if let Some(unit) = sensor.timestamp {
            low |= exponent(unit) << 10 | bit(9, true);
        }
        if sensor.axes != 0 {
            high |= u32::from(sensor.axes) << 16 | bit(8, true);
        }
    }
    if profile >= V3_1 {
        low |= bit(29, is_long(sensor.scale.name));
    }
    response.word(id);
    response.word(low);
    response.word(high);
    response.short_name(sensor.scale.name);
    if range.is_some() {
        response.word(0);
        put_range(&sensor.scale, response);
    }
}

fn put_range(axis: &Axis<'_>, response: &mut Response<'_>) {
    if let Some(range) = axis.range {
        response.word(range.resolution & 0x7ff_ffff | exponent(range.exponent) << 27);
        for end in [range.lowest, range.highest] {
            response.double(u64::from_le_bytes(end.to_le_bytes()));
        }
    }
}

/// A power of ten in five bits.
fn exponent(exponent: i8) -> u32 {
    let [bits] = exponent.to_le_bytes();
    u32::from(bits & 0x1f)
}

/// The axes from an index on.
///
/// | bits | field |
/// |---|---|
/// | 5:0 | how many follow |
/// | 31:26 | how many remain |
fn axes<P: Platform>(
    call: &mut Call<'_, '_, P>,
    size: usize,
    response: &mut Response<'_>,
) -> Result<(u16, core::ops::Range<u8>), Status> {
    let (_, sensor) = call.resource(Kind::Sensor)?;
    let index = call.request.word()?;
    let axes = call.engine.platform.sensor(call.agent, sensor)?.axes;
    if axes == 0 {
        return Err(Status::NotSupported);
    }
    let index = u8::try_from(index).map_err(|_| Status::InvalidParameters)?;
    let rest = axes.checked_sub(index).ok_or(Status::InvalidParameters)?;
    let count = part(rest.into(), size, response)?;
    response.word(word(count) | word(usize::from(rest) - count) << 26);
    let count = u8::try_from(count).unwrap_or(rest);
    Ok((sensor, index..index.saturating_add(count)))
}

/// An axis descriptor is like a sensor's; resolution and range, if they follow, are in all of them.
///
/// | bytes | field |
/// |---|---|
/// | 0..4 | axis_id |
/// | 4..8 | attributes_low: 9 long name, 8 more follows the name |
/// | 8..12 | attributes_high: 15:11 exponent, 7:0 type |
/// | 12..28 | name |
/// | 28..48 | resolution and range |
fn axis_description_get<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let long_names = call.engine.profile(call.agent, Kind::Sensor)? >= V3_1;
    let (sensor, ids) = axes(call, 48, response)?;
    for id in ids {
        let axis = call.engine.platform.axis(call.agent, sensor, id)?;
        let long_name = long_names && is_long(axis.name);
        response.word(id.into());
        response.word(bit(9, long_name) | bit(8, axis.range.is_some()));
        response.word(exponent(axis.exponent) << 11 | u32::from(axis.unit));
        response.short_name(axis.name);
        put_range(&axis, response);
    }
    Ok(())
}

fn axis_name_get<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (sensor, ids) = match axes(call, 68, response) {
        // What is an index elsewhere is an axis_id here, which there is or is not.
        Ok((_, ids)) if ids.is_empty() => return Err(Status::NotFound),
        Err(Status::InvalidParameters) => return Err(Status::NotFound),
        axes => axes?,
    };
    for id in ids {
        response.word(id.into());
        response.long_name(call.engine.platform.axis(call.agent, sensor, id)?.name);
    }
    Ok(())
}

/// Not every sensor has something to notify of.
fn subscribe<P: Platform>(
    call: &mut Call<'_, '_, P>,
    event: u8,
    notifies: fn(&Sensor<'_>) -> bool,
) -> Result<(), Status> {
    let (grant, sensor, enable) = call.subscription(Kind::Sensor)?;
    if !notifies(&call.engine.platform.sensor(call.agent, sensor)?) {
        return Err(Status::NotSupported);
    }
    call.engine.grant_mut(grant)?.subscribed.set(event, enable);
    Ok(())
}

fn reading_get<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (index, sensor) = call.resource(Kind::Sensor)?;
    let wanted = flag(call.request.word()?)?;
    let wanted = call.wanted(wanted)?;
    call.operate(Kind::Sensor, index, wanted, |platform, ticket| {
        platform.measure(sensor, ticket)
    })?;
    if wanted == Wanted::Response && call.later.is_none() {
        readings(call.engine, index, response)?;
    }
    Ok(())
}

/// Of each axis its value and, since SCMI 3.0, when it was measured.
pub(crate) fn readings<P: Platform>(
    engine: &Engine<'_, P>,
    index: u16,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let grant = engine.grant(index)?;
    let profile = engine.profile(grant.agent, Kind::Sensor)?;
    let axes = match profile {
        V2_0 => 1,
        _ => engine
            .platform
            .sensor(grant.agent, grant.resource)?
            .axes
            .max(1),
    };
    for axis in 0..axes {
        let reading = engine.platform.reading(grant.resource, axis)?;
        response.double(u64::from_le_bytes(reading.value.to_le_bytes()));
        if profile >= V3_0 {
            let stamped = grant.config & TIMESTAMPS != 0;
            response.double(if stamped { reading.timestamp } else { 0 });
        }
    }
    Ok(())
}

/// SENSOR_CONFIG.
///
/// | bits | field |
/// |---|---|
/// | 31:16 | seconds between updates |
/// | 15:11 | their power of ten |
/// | 10:9 | how to round: 0 down, 1 up, else to the nearest |
/// | 1 | timestamps |
/// | 0 | on |
const INTERVAL: u32 = 0xffff_f800;
const ROUND: u32 = 0x600;
const TIMESTAMPS: u32 = 1 << 1;
const ENABLE: u32 = 1 << 0;

/// SENSOR_CONFIG_SET. An interval of 0 leaves it as it is: Linux writes that when it reads by hand.
fn config_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (index, resource) = call.resource(Kind::Sensor)?;
    let config = call.request.word()?;
    if config & !(INTERVAL | ROUND | TIMESTAMPS | ENABLE) != 0 {
        return Err(Status::InvalidParameters);
    }
    let sensor = call.engine.platform.sensor(call.agent, resource)?;
    if config & TIMESTAMPS != 0 && sensor.timestamp.is_none() {
        return Err(Status::NotSupported);
    }
    let before = call.engine.grant(index)?.config;
    let round = match (config & ROUND) >> 9 {
        0 => Round::Down,
        1 => Round::Up,
        _ => Round::Nearest,
    };
    let now = interval(before, &sensor.intervals);
    let wanted = match config & INTERVAL {
        0 => now,
        wanted => {
            let interval = choose(sensor.intervals, wanted >> 11, round);
            interval.ok_or(Status::InvalidParameters)? << 11
        }
    };
    let interval = match wanted == now {
        true => before & INTERVAL,
        false => wanted,
    };
    let rights = call.engine.grant(index)?.rights;
    if !rights.switch || interval != before & INTERVAL && !rights.change {
        return Err(Status::Denied);
    }
    call.engine.grant_mut(index)?.config = interval | config & TIMESTAMPS;
    let voted = call.engine.vote(Kind::Sensor, index, config & ENABLE != 0);
    if voted.is_err() {
        call.engine.grant_mut(index)?.config = before;
        // It may have been switched before that failed.
        if call.engine.settle(Kind::Sensor, index).is_err() {
            call.engine.platform.unfinished();
        }
    }
    voted
}

/// The interval in a configuration, the first that there is if an agent has asked for none: Linux divides by what it
/// reads.
fn interval(config: u32, intervals: &Values<'_, u32>) -> u32 {
    let first = match *intervals {
        Values::List(list) => list.first().copied().unwrap_or(0),
        Values::Range { lowest, .. } => lowest,
    };
    match config & INTERVAL {
        0 => first << 11,
        interval => interval,
    }
}

/// The interval to take for `wanted`, of those that there are: in a range all between its ends. Linux counts on being
/// rounded, as it computes intervals from frequencies.
fn choose(intervals: Values<'_, u32>, wanted: u32, round: Round) -> Option<u32> {
    let time = |interval: &u32| nanoseconds(*interval);
    let want = time(&wanted);
    let range;
    let all = match intervals {
        Values::List(list) => list,
        Values::Range {
            lowest, highest, ..
        } => {
            let within = (time(&lowest)..=time(&highest)).contains(&want);
            range = [lowest, if within { wanted } else { lowest }, highest];
            &range
        }
    };
    let all = || all.iter().copied();
    let below = all().filter(|one| time(one) <= want).max_by_key(time);
    let above = all().filter(|one| time(one) >= want).min_by_key(time);
    match (round, below, above) {
        (Round::Down, ..) => below,
        (Round::Up, ..) => above,
        (_, Some(b), Some(a)) if time(&a) - want >= want - time(&b) => below,
        _ => above.or(below),
    }
}

/// An interval: seconds in bits 20:5, times ten to the power of the signed bits 4:0.
fn nanoseconds(interval: u32) -> u64 {
    let seconds = u64::from(interval >> 5 & 0xffff);
    // Of a nanosecond, from -7 up.
    let power = match interval & 0x1f {
        negative @ 0x10.. => 9u32.checked_sub(32 - negative),
        positive => Some(9 + positive),
    };
    let Some(power) = power else {
        return 0; // Less than a nanosecond.
    };
    let scale = 10u64.checked_pow(power).unwrap_or(u64::MAX);
    seconds.saturating_mul(scale)
}

/// Has a sensor measure as often as the most demanding agent wants that has it on. Who has asked for nothing counts on
/// what it reads, so that another one makes that shorter, but not longer.
pub(crate) fn settle_interval<P: Platform>(
    engine: &mut Engine<'_, P>,
    sensor: u16,
) -> Result<(), Status> {
    let mut asked = false;
    let mut shortest = u64::MAX;
    for (_, grant) in engine.holders(Kind::Sensor, sensor) {
        if grant.on {
            let intervals = engine.platform.sensor(grant.agent, sensor)?.intervals;
            asked |= grant.config & INTERVAL != 0;
            shortest = shortest.min(nanoseconds(interval(grant.config, &intervals) >> 11));
        }
    }
    let interval = if asked { shortest } else { 0 };
    engine.platform.set_interval(sensor, interval)
}

/// What is left to say of SENSOR_TRIP_POINT_EVENT or SENSOR_UPDATE.
pub(crate) fn event<P: Platform>(
    engine: &mut Engine<'_, P>,
    index: u16,
    event: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match event {
        TRIP_POINT_EVENT => trip::event(engine, index, response),
        _ => readings(engine, index, response),
    }
}
