// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a clock, a regulator or a sensor's timer can be set to, and how that is told in parts.

use core::cmp::Ordering;

use super::Response;
use crate::Status;

/// What something can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values<'a, T> {
    /// These, in ascending order. Linux before 7.2 takes at most 16 rates of a clock.
    List(&'a [T]),
    /// Everything from `lowest` to `highest` in steps of `step`, which is not 0.
    Range {
        /// The lowest.
        lowest: T,
        /// The highest.
        highest: T,
        /// Between one and the next.
        step: T,
    },
}

/// Which of two values to take when neither is the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    Down,
    Up,
    Nearest,
}

/// How a value is written.
pub(crate) trait Value: Copy {
    const SIZE: usize;

    fn put(self, response: &mut Response<'_>);
}

impl Value for u64 {
    const SIZE: usize = 8;

    fn put(self, response: &mut Response<'_>) {
        response.double(self);
    }
}

impl Value for u32 {
    const SIZE: usize = 4;

    fn put(self, response: &mut Response<'_>) {
        response.word(self);
    }
}

impl Value for i32 {
    const SIZE: usize = 4;

    fn put(self, response: &mut Response<'_>) {
        response.word(u32::from_le_bytes(self.to_le_bytes()));
    }
}

/// Describes the values from `index` on, as CLOCK_DESCRIBE_RATES, VOLTAGE_DESCRIBE_LEVELS and
/// SENSOR_LIST_UPDATE_INTERVALS do.
///
/// | bits | field |
/// |---|---|
/// | 11:0 | how many follow |
/// | 12 | they are lowest, highest and step |
/// | 31:16 | how many remain |
///
/// `beyond` is the status if there is nothing at `index`, unless there is nothing at all.
pub(crate) fn describe<T: Value>(
    values: Values<'_, T>,
    index: u32,
    beyond: Status,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    const RANGE: u32 = 1 << 12;
    match values {
        Values::List(list) => {
            let rest = list.get(index as usize..);
            let rest = rest.filter(|rest| index == 0 || !rest.is_empty());
            let rest = rest.ok_or(beyond)?;
            let count = part(rest.len(), T::SIZE, response)?;
            response.word(word(count) | word(rest.len() - count) << 16);
            rest.iter()
                .take(count)
                .for_each(|value| value.put(response));
        }
        Values::Range { .. } if index != 0 => return Err(beyond),
        Values::Range {
            lowest,
            highest,
            step,
        } => {
            response.word(3 | RANGE);
            for value in [lowest, highest, step] {
                value.put(response);
            }
        }
    }
    Ok(())
}

/// How many of `rest` entries of `size` bytes there is room for, behind a word that tells. Some, if there are any: an
/// agent that is told of none stops asking.
pub(crate) fn part(rest: usize, size: usize, response: &Response<'_>) -> Result<usize, Status> {
    let fit = response.room().saturating_sub(4) / size;
    if fit == 0 && rest != 0 {
        return Err(Status::ProtocolError);
    }
    Ok(rest.min(fit))
}

/// A number of things as a field. There are at most `u16::MAX` of anything.
pub(crate) fn word(count: usize) -> u32 {
    u16::try_from(count).unwrap_or(u16::MAX).into()
}

impl Values<'_, u64> {
    /// The value to take for `wanted`, if that is not beyond all of them.
    pub(crate) fn round(self, wanted: u64, round: Round) -> Option<u64> {
        let (below, above) = match self {
            Self::List(list) => (
                list.iter()
                    .copied()
                    .filter(|&value| value <= wanted)
                    .max()?,
                list.iter()
                    .copied()
                    .filter(|&value| value >= wanted)
                    .min()?,
            ),
            Self::Range {
                lowest,
                highest,
                step,
            } => {
                let over = match wanted.cmp(&highest) {
                    Ordering::Less => wanted.checked_sub(lowest)?.checked_rem(step)?,
                    Ordering::Equal => 0, // The steps need not end there.
                    Ordering::Greater => return None,
                };
                let below = wanted - over;
                let above = match over {
                    0 => wanted,
                    _ => below.saturating_add(step).min(highest),
                };
                (below, above)
            }
        };
        Some(match round {
            Round::Up => above,
            Round::Nearest if above - wanted < wanted - below => above,
            Round::Down | Round::Nearest => below,
        })
    }
}

impl<T: Copy + Ord + Into<i128>> Values<'_, T> {
    /// What is nearest to `value` from the lowest to the highest.
    pub(crate) fn nearest(self, value: T) -> T {
        let (lowest, highest) = match self {
            Self::List([lowest, .., highest]) => (*lowest, *highest),
            Self::List([only]) => (*only, *only),
            Self::List([]) => return value,
            Self::Range {
                lowest, highest, ..
            } => (lowest, highest),
        };
        value.min(highest).max(lowest)
    }

    /// Whether something can be set to `value`.
    #[must_use]
    pub fn contain(self, value: T) -> bool {
        match self {
            Self::List(list) => list.contains(&value),
            Self::Range {
                lowest,
                highest,
                step,
            } => {
                let over = value.into() - lowest.into();
                let is_step = over.checked_rem(step.into()) == Some(0);
                (lowest..=highest).contains(&value) && (is_step || value == highest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: Values<'_, u64> = Values::List(&[100, 200, 400]);
    const RANGE: Values<'_, u64> = Values::Range {
        lowest: 100,
        highest: 190,
        step: 40,
    };

    #[track_caller]
    fn check(values: Values<'_, u64>, wanted: u64, expected: [Option<u64>; 3]) {
        let rounds = [Round::Down, Round::Up, Round::Nearest];
        assert_eq!(rounds.map(|round| values.round(wanted, round)), expected);
    }

    #[test]
    fn rates_are_rounded_as_asked_and_refused_beyond_the_ends() {
        check(LIST, 200, [Some(200); 3]);
        check(LIST, 290, [Some(200), Some(400), Some(200)]);
        check(LIST, 310, [Some(200), Some(400), Some(400)]);
        check(LIST, 99, [None; 3]);
        check(LIST, 401, [None; 3]);
        check(RANGE, 140, [Some(140); 3]);
        check(RANGE, 170, [Some(140), Some(180), Some(180)]);
        check(RANGE, 189, [Some(180), Some(190), Some(190)]);
        check(RANGE, 190, [Some(190); 3]);
        check(RANGE, 99, [None; 3]);
        check(RANGE, 191, [None; 3]);
        check(Values::List(&[]), 1, [None; 3]);
    }

    #[test]
    fn a_range_is_told_at_once_or_not_at_all() {
        let mut bytes = [0xa5; 29];
        let mut response = Response::new(&mut bytes[..28]);
        assert_eq!(
            describe(RANGE, 0, Status::OutOfRange, &mut response),
            Ok(())
        );
        assert_eq!(bytes[..4], [3, 0x10, 0, 0]);
        assert_eq!(bytes[4..12], [100, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[20..], [40, 0, 0, 0, 0, 0, 0, 0, 0xa5]);
        let mut response = Response::new(&mut bytes);
        assert_eq!(
            describe(RANGE, 1, Status::OutOfRange, &mut response),
            Err(Status::OutOfRange)
        );
    }
}
