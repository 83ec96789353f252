// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a clock or a regulator can be set to.

use std::ops::RangeInclusive;

use scmi::Values;

/// What one agent may set.
pub(crate) type Limits = RangeInclusive<i128>;

/// Hertz, or microvolts.
pub(super) enum Choice<T> {
    /// Ascending.
    List(Vec<T>),
    /// Each of the steps from the lowest to the highest.
    Range { lowest: T, highest: T, step: T },
}

impl<T: Copy + Ord + Into<i128> + TryFrom<i128>> Choice<T> {
    pub(super) fn all(&self) -> Values<'_, T> {
        match *self {
            Self::List(ref list) => Values::List(list),
            Self::Range {
                lowest,
                highest,
                step,
            } => Values::Range {
                lowest,
                highest,
                step,
            },
        }
    }

    /// What is within limits: at least one value, as drivers rely on that. If there is none, it is one that is beyond
    /// them, which the agent is not allowed to set.
    pub(super) fn within(&self, limits: &Limits) -> Values<'_, T> {
        let (min, max) = (*limits.start(), *limits.end());
        match *self {
            Self::List(ref list) => {
                let first = list.partition_point(|&one| one.into() < min);
                let end = list.partition_point(|&one| one.into() <= max);
                let first = first.min(list.len().saturating_sub(1));
                Values::List(list.get(first..end.max(first + 1)).unwrap_or_default())
            }
            Self::Range {
                lowest,
                highest,
                step,
            } => {
                let (first, last, size) = (lowest.into(), highest.into(), step.into());
                let below = |value: i128| value - (value - first) % size;
                let from = below(min.max(first) + size - 1).min(last);
                let to = if max < last { below(max) } else { last };
                Values::Range {
                    lowest: T::try_from(from).unwrap_or(lowest),
                    highest: T::try_from(to).unwrap_or(highest),
                    step,
                }
            }
        }
    }

    /// An agent's limits; or what is wrong with them.
    pub(super) fn limits(
        &self,
        min: Option<i64>,
        max: Option<i64>,
    ) -> Result<Limits, &'static str> {
        let ends = self
            .ends()
            .map(|(lowest, highest)| lowest.into()..=highest.into());
        let exists = |limit: &i64| ends.iter().any(|ends| ends.contains(&(*limit).into()));
        if !min.iter().chain(&max).all(exists) {
            return Err("min or max is beyond what it can be set to");
        }
        let limits = min.unwrap_or(i64::MIN).into()..=max.unwrap_or(i64::MAX).into();
        let is_within = |value: T| limits.contains(&value.into());
        let is_some = match self.within(&limits) {
            Values::List(list) => list.iter().any(|value| is_within(*value)),
            Values::Range {
                lowest, highest, ..
            } => lowest <= highest,
        };
        match is_some {
            true => Ok(limits),
            false => Err("nothing is from min to max"),
        }
    }

    /// The lowest and the highest; none of an empty list.
    pub(super) fn ends(&self) -> Option<(T, T)> {
        match *self {
            Self::List(ref list) => Some((*list.first()?, *list.last()?)),
            Self::Range {
                lowest, highest, ..
            } => Some((lowest, highest)),
        }
    }
}
