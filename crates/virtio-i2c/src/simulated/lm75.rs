// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! LM75: a temperature sensor.

use std::ops::RangeInclusive;
use std::time::Instant;

use super::{Chip, Nack};

/// Registers, chosen by the first byte of a write.
const TEMPERATURE: u8 = 0;
const CONFIGURATION: u8 = 1;
const HYSTERESIS: u8 = 2;
const OVERTEMPERATURE: u8 = 3;

/// How long the temperature of a room takes to rise and fall again, in seconds.
const PERIOD: f64 = 300.0;

/// A temperature sensor of the LM75 type: 9 bits, half a degree each, -55 °C to 125 °C.
#[derive(Clone, Debug)]
pub struct Lm75 {
    climate: Climate,
    register: u8,
    configuration: u8,
    hysteresis: [u8; 2],
    overtemperature: [u8; 2],
}

#[derive(Clone, Copy, Debug)]
enum Climate {
    /// Always so many degrees Celsius.
    Constant(f64),
    /// 20 °C to 26 °C.
    RoomSince(Instant),
}

impl Lm75 {
    /// What it measures, in degrees Celsius.
    pub const RANGE: RangeInclusive<f64> = -55.0..=125.0;

    /// A sensor that measures `celsius` degrees. `None` if that is not within its
    /// [`RANGE`](Self::RANGE).
    #[must_use]
    pub fn new(celsius: f64) -> Option<Self> {
        let is_measured = Self::RANGE.contains(&celsius);
        is_measured.then(|| Self::within(Climate::Constant(celsius)))
    }

    fn within(climate: Climate) -> Self {
        Self {
            climate,
            register: TEMPERATURE,
            configuration: 0,
            hysteresis: emit(75.0),
            overtemperature: emit(80.0),
        }
    }

    fn register(&self) -> [u8; 2] {
        match self.register {
            TEMPERATURE => emit(self.climate.celsius()),
            CONFIGURATION => [self.configuration; 2],
            HYSTERESIS => self.hysteresis,
            _ => self.overtemperature,
        }
    }
}

impl Default for Lm75 {
    /// A sensor in a room, where it becomes warmer and colder.
    fn default() -> Self {
        Self::within(Climate::RoomSince(Instant::now()))
    }
}

impl Climate {
    fn celsius(self) -> f64 {
        match self {
            Self::Constant(celsius) => celsius,
            Self::RoomSince(start) => {
                let turns = start.elapsed().as_secs_f64() / PERIOD;
                23.0 + 3.0 * (turns * std::f64::consts::TAU).sin()
            }
        }
    }
}

/// Half degrees in the nine high bits, two's complement.
fn emit(celsius: f64) -> [u8; 2] {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is within what the chip measures"
    )]
    let halves = (celsius * 2.0).round() as i16;
    (halves << 7).to_be_bytes()
}

impl Chip for Lm75 {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Nack> {
        let Some((&register, values)) = bytes.split_first() else {
            return Ok(());
        };
        self.register = register & 3;
        let set = |register: &mut [u8]| {
            for (byte, value) in register.iter_mut().zip(values) {
                *byte = *value;
            }
        };
        match self.register {
            CONFIGURATION => set(std::slice::from_mut(&mut self.configuration)),
            HYSTERESIS => set(&mut self.hysteresis),
            OVERTEMPERATURE => set(&mut self.overtemperature),
            _ => {} // The temperature cannot be written.
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Nack> {
        // One measurement, however long the read: its bytes belong together.
        let register = self.register();
        for (byte, value) in bytes.iter_mut().zip(register.into_iter().cycle()) {
            *byte = value;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sensor: &mut Lm75, register: u8, value: [u8; 2]) {
        let mut bytes = [0; 2];
        assert_eq!(sensor.write(&[register]), Ok(()));
        assert_eq!(sensor.read(&mut bytes), Ok(()));
        assert_eq!(bytes, value);
    }

    #[test]
    fn temperatures_are_those_of_the_data_sheet() {
        let table = [
            (125.0, [0x7d, 0x00]),
            (25.0, [0x19, 0x00]),
            (0.5, [0x00, 0x80]),
            (0.0, [0x00, 0x00]),
            (-0.5, [0xff, 0x80]),
            (-25.0, [0xe7, 0x00]),
            (-55.0, [0xc9, 0x00]),
        ];
        for (celsius, value) in table {
            check(&mut Lm75::new(celsius).unwrap(), 0, value);
        }
    }

    #[test]
    fn a_sensor_measures_no_more_than_its_range() {
        for celsius in [-55.1, 125.1, 9999.0, f64::INFINITY, f64::NAN] {
            assert!(Lm75::new(celsius).is_none());
        }
    }

    #[test]
    fn limits_and_configuration_can_be_written_and_the_temperature_cannot() {
        let mut sensor = Lm75::new(25.0).unwrap();
        check(&mut sensor, 2, [0x4b, 0x00]);
        check(&mut sensor, 3, [0x50, 0x00]);
        for write in [[3, 0x64, 0x80], [2, 0x5f, 0x00], [1, 0x1a, 0x99], [0, 0, 0]] {
            assert_eq!(sensor.write(&write), Ok(()));
        }
        check(&mut sensor, 3, [0x64, 0x80]);
        check(&mut sensor, 2, [0x5f, 0x00]);
        check(&mut sensor, 1, [0x1a, 0x1a]);
        check(&mut sensor, 0, [0x19, 0x00]);
    }

    #[test]
    fn a_room_has_between_20_and_26_degrees() {
        let mut sensor = Lm75::default();
        let mut bytes = [0; 2];
        assert_eq!(sensor.read(&mut bytes), Ok(()));
        assert!((20..=26).contains(&bytes[0]));
    }
}
