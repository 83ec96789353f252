// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a clock or a regulator can be set to.

use scmi::Values;

/// Hertz, or microvolts.
pub(super) enum Choice<T> {
    /// Ascending.
    List(Vec<T>),
    /// Each of the steps from the lowest on, and the highest.
    Range { lowest: T, highest: T, step: T },
}

impl<T: Copy + Ord + Into<i128>> Choice<T> {
    pub(super) fn values(&self) -> Values<'_, T> {
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

    /// The lowest and the highest; none of an empty list.
    pub(super) fn ends(&self) -> Option<(T, T)> {
        match *self {
            Self::List(ref list) => Some((*list.first()?, *list.last()?)),
            Self::Range {
                lowest, highest, ..
            } => Some((lowest, highest)),
        }
    }

    pub(super) fn contains(&self, value: T) -> bool {
        match *self {
            Self::List(ref list) => list.contains(&value),
            Self::Range {
                lowest,
                highest,
                step,
            } => {
                let over = value.into() - lowest.into();
                (lowest..=highest).contains(&value)
                    && (over.checked_rem(step.into()) == Some(0) || value == highest)
            }
        }
    }
}
