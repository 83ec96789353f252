// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Sensor management protocol (SCMI 3.2): what sensors there are, and how they are read and configured. Trip
//! points are in [`trip`].

use super::interval::{INTERVAL, choose, interval, nanoseconds};
use super::trip;
use crate::Status;
use crate::share::protocol::{Call, Message, Protocol, bit, flag};
use crate::state::Engine;
use crate::state::describe::{Axis, Sensor};
use crate::state::ids::Profile::{self, V2_0, V3_0, V3_1};
use crate::state::ids::{AgentId, GrantId, Kind, ProtocolId, ResourceId};
use crate::state::memory::{Double, Wish};
use crate::state::platform::Platform;
use crate::state::task::{Doing, Slot, Wanted};
use crate::wire::values::{Round, describe, part, word};
use crate::wire::{Response, is_long};

impl Kind {
    /// Sensors.
    pub const SENSOR: Self = Self(2);
}

impl<P: Platform> Protocol<P> {
    /// Sensor management.
    pub(crate) const SENSOR: Self = Self {
        id: ProtocolId(0x15),
        versions: [0x10000, 0x20000, 0x30000, 0x30001],
        messages: &[
            Message::describes(DESCRIPTION_GET, V2_0),
            Message::notifies(TRIP_POINT_NOTIFY, V2_0),
            Message::notifies(TRIP_POINT_CONFIG, V2_0),
            Message::new(READING_GET, V2_0),
            Message::describes(AXIS_DESCRIPTION_GET, V3_0),
            Message::describes(LIST_UPDATE_INTERVALS, V3_0),
            Message::new(CONFIG_GET, V3_0),
            Message::new(CONFIG_SET, V3_0),
            Message::notifies(CONTINUOUS_UPDATE_NOTIFY, V3_0),
            Message::describes(NAME_GET, V3_1),
            Message::describes(AXIS_NAME_GET, V3_1),
        ],
        kinds: &[Kind::SENSOR],
        rank: 1,
        check: |platform, agent, sensor| Ok(platform.sensor(agent, sensor)?.trip_points),
        name_get: NAME_GET,
        name: |platform, agent, sensor| Ok(platform.sensor(agent, sensor)?.scale.name),
        handle,
        respond: |engine, grant, message, response| match message {
            READING_GET => readings(engine, grant, response),
            _ => Ok(()),
        },
        respond_delayed: |engine, grant, _, response| readings(engine, grant, response),
        event,
        switch: P::switch_sensor,
        settle: settle_interval,
        failed: unsettled,
        ..Self::NOTHING
    };
}

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

fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        DESCRIPTION_GET => description_get(call, response),
        TRIP_POINT_NOTIFY => trip::subscribe(call),
        TRIP_POINT_CONFIG => trip::config(call),
        READING_GET => reading_get(call, response),
        AXIS_DESCRIPTION_GET => axis_description_get(call, response),
        LIST_UPDATE_INTERVALS => {
            let (_, sensor) = call.resource(Kind::SENSOR)?;
            let index = call.request.word()?;
            let sensor = call.engine.platform.sensor(call.agent, sensor)?;
            describe(sensor.intervals, index, Status::InvalidParameters, response)
        }
        CONFIG_GET => {
            let (grant, sensor) = call.resource(Kind::SENSOR)?;
            let sensor = call.engine.platform.sensor(call.agent, sensor)?;
            let wish = call.grant(grant)?.wish;
            let interval = interval(config(wish), &sensor.intervals);
            response.word(interval | config(wish) & TIMESTAMPS | bit(0, wish.on));
            Ok(())
        }
        CONFIG_SET => config_set(call),
        CONTINUOUS_UPDATE_NOTIFY => update_notify(call),
        AXIS_NAME_GET => axis_name_get(call, response),
        _ => {
            let sensors = u32::from(call.engine.count_of(call.agent, Kind::SENSOR));
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
    let (engine, profile) = (&*call.engine, call.profile);
    let events = engine.agent(call.agent)?.events;
    let sensors = usize::from(engine.count_of(call.agent, Kind::SENSOR));
    let rest = sensors
        .checked_sub(index as usize)
        .filter(|rest| *rest != 0);
    let rest = rest.ok_or(Status::InvalidParameters)?;
    let counts = response.reserve();
    let mut count = 0;
    for id in (index..).take(rest) {
        let grant = engine.grant(call.visible(Kind::SENSOR, id)?)?;
        let sensor = engine.platform.sensor(call.agent, grant.resource)?;
        if response.room() < description_size(&sensor, profile) {
            break;
        }
        put_description(id, &sensor, profile, events, response);
        count += 1;
    }
    if count == 0 {
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
) -> Result<(ResourceId, core::ops::Range<u8>), Status> {
    let (_, sensor) = call.resource(Kind::SENSOR)?;
    let index = call.request.word()?;
    let axes = call.engine.platform.sensor(call.agent, sensor)?.axes;
    if axes == 0 {
        return Err(Status::NotSupported);
    }
    let index = u8::try_from(index).map_err(|_| Status::InvalidParameters)?;
    let rest = axes.checked_sub(index).filter(|rest| *rest != 0);
    let rest = rest.ok_or(Status::InvalidParameters)?;
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
    let long_names = call.profile >= V3_1;
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
        Err(Status::InvalidParameters) => return Err(Status::NotFound),
        axes => axes?,
    };
    for id in ids {
        response.word(id.into());
        response.long_name(call.engine.platform.axis(call.agent, sensor, id)?.name);
    }
    Ok(())
}

/// Not every sensor measures by itself.
fn update_notify<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (grant, sensor, enable) = call.subscription(Kind::SENSOR)?;
    if !call.engine.platform.sensor(call.agent, sensor)?.updates {
        return Err(Status::NotSupported);
    }
    let grant = call.engine.grant_mut(grant)?;
    grant.subscribed.set(UPDATE, enable);
    grant.measured = Double::default();
    Ok(())
}

fn reading_get<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (grant, sensor) = call.resource(Kind::SENSOR)?;
    let asynchronous = flag(call.request.word()?)?;
    let by = call.agent;
    // What its description does not advertise.
    if asynchronous && !call.engine.platform.sensor(by, sensor)?.slow {
        return Err(Status::NotSupported);
    }
    let wanted = call.wanted(asynchronous)?;
    call.operate_or_join(grant, wanted, |platform, by, sensor, _, ticket| {
        platform.measure(by, sensor, ticket)
    })?;
    if wanted == Wanted::Response && call.later.is_none() {
        readings(call.engine, grant, response)?;
    }
    Ok(())
}

/// Of each axis its value and, since SCMI 3.0, when it was measured.
fn readings<P: Platform>(
    engine: &Engine<'_, P>,
    grant: GrantId,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let grant = engine.grant(grant)?;
    let row = const { &Protocol::<P>::SENSOR };
    let profile = row.profile(engine.agent(grant.agent)?);
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
            let stamped = config(grant.wish) & TIMESTAMPS != 0;
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
const ROUND: u32 = 0x600;
const TIMESTAMPS: u32 = 1 << 1;
const ENABLE: u32 = 1 << 0;

/// What an agent has set of SENSOR_CONFIG, but for the last bit.
fn config(wish: Wish) -> u32 {
    let [a, b, c, d, ..] = wish.value.get().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// SENSOR_CONFIG_SET. An interval of 0 leaves it as it is: Linux writes that when it reads by hand.
fn config_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (grant, sensor) = call.resource(Kind::SENSOR)?;
    let new = call.request.word()?;
    if new & !(INTERVAL | ROUND | TIMESTAMPS | ENABLE) != 0 {
        return Err(Status::InvalidParameters);
    }
    let sensor = call.engine.platform.sensor(call.agent, sensor)?;
    if new & TIMESTAMPS != 0 && sensor.timestamp.is_none() {
        return Err(Status::NotSupported);
    }
    let (rights, before) = (call.grant(grant)?.rights, config(call.grant(grant)?.wish));
    let round = match (new & ROUND) >> 9 {
        0 => Round::Down,
        1 => Round::Up,
        _ => Round::Nearest,
    };
    let now = interval(before, &sensor.intervals);
    let wanted = match new & INTERVAL {
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
    if !rights.switch || interval != before & INTERVAL && !rights.change {
        return Err(Status::Denied);
    }
    let wish = Wish {
        on: new & ENABLE != 0,
        value: Double::from(u64::from(interval | new & TIMESTAMPS)),
    };
    call.wish(grant, wish, 0, Wanted::Response)
}

/// How often an agent wants a sensor to measure, in nanoseconds: as it asked, or as it reads if it has not.
pub(super) fn interval_of<P: Platform>(
    engine: &Engine<'_, P>,
    grant: GrantId,
) -> Result<u64, Status> {
    let grant = engine.grant(grant)?;
    let sensor = engine.platform.sensor(grant.agent, grant.resource)?;
    let interval = interval(config(grant.wish), &sensor.intervals);
    Ok(nanoseconds(interval >> 11))
}

/// Has a sensor measure as often as the most demanding agent wants that has it on. An agent that has asked for nothing
/// counts on what it reads, so that another one makes that shorter, but not longer.
fn settle_interval<P: Platform>(
    engine: &mut Engine<'_, P>,
    by: AgentId,
    sensor: ResourceId,
) -> Result<(), Status> {
    let at = Kind::SENSOR.at(sensor);
    let (mut asked, mut shortest) = (false, u64::MAX);
    for (id, grant) in engine.holders(at) {
        if grant.is_on() {
            asked |= config(grant.wish) & INTERVAL != 0;
            shortest = shortest.min(interval_of(engine, id)?);
        }
    }
    let period = match (shortest, asked) {
        (u64::MAX, _) => 0,
        (period, false) => period.min(!ASKED),
        (period, true) => period | ASKED,
    };
    if engine.resource(at)?.value.get() == period {
        return Ok(());
    }
    unsettled(engine, sensor);
    let interval = if asked { shortest } else { 0 };
    let slot = (Slot::Settling, Doing::Other);
    engine.begin(at, slot, by, &|platform, ticket| {
        platform.set_interval(by, sensor, interval, ticket)
    })?;
    engine.resource_mut(at)?.value = Double::from(period);
    Ok(())
}

/// How often a sensor measures is not known.
fn unsettled<P: Platform>(engine: &mut Engine<'_, P>, sensor: ResourceId) {
    if let Ok(sensor) = engine.resource_mut(Kind::SENSOR.at(sensor)) {
        sensor.value = Double::from(ASKED);
    }
}

/// Of what is kept of a sensor: its nanoseconds are what an agent has asked for.
const ASKED: u64 = 1 << 63;

/// How often a sensor measures, in nanoseconds; 0 if it does for no agent.
pub(super) fn period<P: Platform>(engine: &Engine<'_, P>, sensor: ResourceId) -> u64 {
    let sensor = engine.resource(Kind::SENSOR.at(sensor));
    sensor.map_or(0, |sensor| sensor.value.get() & !ASKED)
}

/// What is left to say of SENSOR_TRIP_POINT_EVENT or SENSOR_UPDATE.
fn event<P: Platform>(
    engine: &mut Engine<'_, P>,
    grant: GrantId,
    event: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match event {
        TRIP_POINT_EVENT => trip::event(engine, grant, response),
        _ => readings(engine, grant, response),
    }
}
