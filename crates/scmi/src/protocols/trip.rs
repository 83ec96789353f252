// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Trip points of sensors: each agent has its own, and they are watched here, not by the hardware.

use core::cmp::Ordering::{Greater, Less};

use super::sensor::{TRIP_POINT_EVENT, UPDATE, interval_of, period};
use crate::Status;
use crate::share::protocol::Call;
use crate::state::Engine;
use crate::state::ids::{GrantId, Kind, Profile, ResourceId};
use crate::state::memory::{Direction, Double, Trip, Wish};
use crate::state::platform::Platform;
use crate::state::task::Wanted;
use crate::wire::Response;
use crate::wire::values::word;

/// SENSOR_TRIP_POINT_CONFIG.
///
/// | bits | field of trip_point_ev_ctrl |
/// |---|---|
/// | 11:4 | trip point |
/// | 1 | tell when the reading falls to it, or below |
/// | 0 | tell when the reading rises to it, or above |
pub(super) fn config<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    const RISING: u32 = 1 << 0;
    const FALLING: u32 = 1 << 1;
    const ID: u32 = 0xff << 4;

    let (grant, _) = call.resource(Kind::SENSOR)?;
    let control = call.request.word()?;
    let value = i64::from_le_bytes(call.request.double()?.to_le_bytes());
    if control & !(RISING | FALLING | ID) != 0 {
        return Err(Status::InvalidParameters);
    }
    let id = ((control & ID) >> 4) as usize;
    let trip = Trip {
        value,
        rising: control & RISING != 0,
        falling: control & FALLING != 0,
        side: None,
        crossed: None,
    };
    let place = call.engine.trips(grant)?.get_mut(id);
    let before = core::mem::replace(place.ok_or(Status::InvalidParameters)?, trip);
    let measures = measure(call, grant);
    if let (Err(_), Some(place)) = (measures, call.engine.trips(grant)?.get_mut(id)) {
        *place = before;
    }
    measures
}

/// SENSOR_TRIP_POINT_NOTIFY.
pub(super) fn subscribe<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (grant, _, enable) = call.subscription(Kind::SENSOR)?;
    if call.engine.trips(grant)?.is_empty() {
        return Err(Status::NotSupported);
    }
    let subscribed = &mut call.engine.grant_mut(grant)?.subscribed;
    let before = subscribed.has(TRIP_POINT_EVENT);
    subscribed.set(TRIP_POINT_EVENT, enable);
    let measures = measure(call, grant);
    if measures.is_err() {
        let grant = call.engine.grant_mut(grant)?;
        grant.subscribed.set(TRIP_POINT_EVENT, before);
    }
    measures
}

/// Before SCMI 3.0 there is no SENSOR_CONFIG_SET with which an agent has a sensor measure: it does while the agent has
/// set a trip point or subscribed to them.
fn measure<P: Platform>(call: &mut Call<'_, '_, P>, grant: GrantId) -> Result<(), Status> {
    if call.profile >= Profile::V3_0 {
        return Ok(());
    }
    let mut trips = call.engine.trips(grant)?.iter();
    let is_set = trips.any(|trip| trip.rising || trip.falling);
    let it = call.grant(grant)?;
    let wish = Wish {
        on: is_set || it.subscribed.has(TRIP_POINT_EVENT) || it.starts_on,
        ..it.wish
    };
    call.wish(grant, wish, 0, Wanted::Response)
}

impl<P: Platform> Engine<'_, P> {
    /// `sensor` has measured, unasked. Agents are notified that subscribed to trip points of which one was crossed since
    /// the measurement before, or to updates, each as often as it wants them.
    pub fn sensor_updated(&mut self, sensor: ResourceId) {
        let period = period(self, sensor);
        let reading = self.platform.reading(sensor, 0).ok();
        let mut next = self.first_holder(Kind::SENSOR.at(sensor));
        while let Ok(grant) = self.grant(next) {
            let (id, subscribed) = (next, grant.subscribed);
            next = grant.next;
            if subscribed.has(UPDATE) && self.is_time(id, period) {
                self.due(id, UPDATE);
            }
            let mut crossed = false;
            for trip in self.trips(id).unwrap_or_default() {
                crossed |= reading.is_some_and(|reading| trip.measured(reading.value));
            }
            if subscribed.has(TRIP_POINT_EVENT) && crossed {
                self.due(id, TRIP_POINT_EVENT);
            }
        }
    }

    /// Whether an agent has an update now, of a sensor that measures every `period` nanoseconds for the most demanding
    /// of its agents; always if it does for none, but of its own accord.
    fn is_time(&mut self, grant: GrantId, period: u64) -> bool {
        let interval = interval_of(self, grant).unwrap_or(0);
        let Ok(grant) = self.grant_mut(grant) else {
            return false;
        };
        let measured = grant.measured.get().saturating_add(period);
        let is_time = period == 0 || measured >= interval;
        let over = measured.checked_rem(interval).unwrap_or(0);
        grant.measured = Double::from(if is_time { over } else { measured });
        is_time
    }
}

impl Trip {
    /// Whether this reading crosses it in a way that it looks for.
    fn measured(&mut self, reading: i64) -> bool {
        let side = reading.cmp(&self.value);
        let crossed = match self.side.replace(side) {
            Some(Less) if side != Less && self.rising => Direction::Rising,
            Some(Greater) if side != Greater && self.falling => Direction::Falling,
            _ => return false,
        };
        self.crossed = Some(crossed);
        true
    }
}

/// What is left to say of SENSOR_TRIP_POINT_EVENT, of the first trip point that was crossed. The next one gets an event
/// of its own.
///
/// | bits | field |
/// |---|---|
/// | 7:0 | trip point |
/// | 16 | the reading has risen |
pub(super) fn event<P: Platform>(
    engine: &mut Engine<'_, P>,
    grant: GrantId,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let trips = engine.trips(grant)?;
    let mut crossed = (0..).zip(trips).filter(|(_, trip)| trip.crossed.is_some());
    let (id, trip) = crossed.next().ok_or(Status::NotFound)?;
    let more = crossed.next().is_some();
    let direction = trip.crossed.take().ok_or(Status::NotFound)?;
    response.word(word(id) | (direction as u32) << 16);
    if more {
        engine.due(grant, TRIP_POINT_EVENT);
    }
    Ok(())
}
