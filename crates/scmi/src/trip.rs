// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Trip points of sensors: each agent has its own, and they are watched here, not by the hardware.

use core::cmp::Ordering::{Greater, Less};

use crate::Status;
use crate::engine::Engine;
use crate::memory::{Direction, Kind, NONE, Trip};
use crate::platform::Platform;
use crate::protocol::Call;
use crate::sensor::{TRIP_POINT_EVENT, UPDATE};
use crate::values::word;
use crate::wire::Response;

/// SENSOR_TRIP_POINT_CONFIG.
///
/// | bits | field of trip_point_ev_ctrl |
/// |---|---|
/// | 11:4 | trip point |
/// | 1 | tell when the reading falls to it, or below |
/// | 0 | tell when the reading rises to it, or above |
pub(crate) fn config<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    const RISING: u32 = 1 << 0;
    const FALLING: u32 = 1 << 1;
    const ID: u32 = 0xff << 4;

    let (index, _) = call.resource(Kind::Sensor)?;
    let control = call.request.word()?;
    let value = i64::from_le_bytes(call.request.double()?.to_le_bytes());
    if control & !(RISING | FALLING | ID) != 0 {
        return Err(Status::InvalidParameters);
    }
    let trips = call.engine.trips(index)?;
    if trips.is_empty() {
        return Err(Status::NotSupported);
    }
    let id = (control & ID) >> 4;
    let trip = trips.get_mut(id as usize);
    *trip.ok_or(Status::InvalidParameters)? = Trip {
        value,
        rising: control & RISING != 0,
        falling: control & FALLING != 0,
        side: None,
        crossed: None,
    };
    Ok(())
}

impl<P: Platform> Engine<'_, P> {
    /// `sensor` has measured, unasked. Agents are notified that asked for each update, or for a trip point that was
    /// crossed since the update before.
    pub fn sensor_updated(&mut self, sensor: u16) {
        self.notify(Kind::Sensor, sensor, UPDATE, None);
        let Ok(reading) = self.platform.reading(sensor, 0) else {
            return;
        };
        let mut next = self
            .resource(Kind::Sensor, sensor)
            .map_or(NONE, |it| it.first);
        while let Ok(grant) = self.grant(next) {
            let (index, subscribed) = (next, grant.subscribed.has(TRIP_POINT_EVENT));
            next = grant.next;
            let trips = self.trips(index).unwrap_or_default();
            let mut crossed = false;
            for trip in trips {
                crossed |= trip.measured(reading.value);
            }
            if subscribed && crossed {
                self.due(index, TRIP_POINT_EVENT);
            }
        }
    }

    /// The trip points of a grant of a sensor.
    pub(crate) fn trips(&mut self, index: u16) -> Result<&mut [Trip], Status> {
        let grant = self.grant(index)?;
        let count = self
            .platform
            .sensor(grant.agent, grant.resource)?
            .trip_points;
        let first = usize::from(grant.trip);
        let trips = self.memory.trips.get_mut(first..first + usize::from(count));
        trips.ok_or(Status::NotFound)
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
pub(crate) fn event<P: Platform>(
    engine: &mut Engine<'_, P>,
    index: u16,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let trips = engine.trips(index)?;
    let mut crossed = (0..).zip(trips).filter(|(_, trip)| trip.crossed.is_some());
    let (id, trip) = crossed.next().ok_or(Status::NotFound)?;
    let more = crossed.next().is_some();
    let direction = trip.crossed.take().ok_or(Status::NotFound)?;
    response.word(word(id) | (direction as u32) << 16);
    if more {
        engine.due(index, TRIP_POINT_EVENT);
    }
    Ok(())
}
