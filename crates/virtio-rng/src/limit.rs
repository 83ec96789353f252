// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How many bytes a guest may have: a token bucket.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// A request waits for so many bytes rather than being answered with one or two. Linux asks for 64.
const WORTHWHILE: u64 = 64;

/// Levels are in billionths of a byte: nothing is lost between two requests, at any rate.
const NANO: u64 = 1_000_000_000;

/// A limit in bytes per second, with bursts.
pub struct Limit {
    /// Bytes per second, which is billionths of a byte per nanosecond.
    rate: u64,
    burst: u64,
    level: u64,
    at: Instant,
}

impl Limit {
    /// Allows `rate` bytes per second from `now` on, and `burst` bytes at once after a pause; by default a second's
    /// worth, but no less than a request of Linux.
    pub fn new(rate: NonZeroU32, burst: Option<NonZeroU32>, now: Instant) -> Self {
        let rate = u64::from(rate.get());
        let burst = burst.map_or(rate.max(WORTHWHILE), |burst| burst.get().into()) * NANO;
        Self {
            rate,
            burst,
            level: burst,
            at: now,
        }
    }

    /// How many of `wanted` bytes may be had now, or how long to wait for an amount that is worthwhile.
    pub(crate) fn allowed(&mut self, wanted: usize, now: Instant) -> Result<usize, Duration> {
        let pause = now.saturating_duration_since(self.at).as_nanos();
        let earned = u64::try_from(pause)
            .unwrap_or(u64::MAX)
            .saturating_mul(self.rate);
        self.level = self.level.saturating_add(earned).min(self.burst);
        self.at = now;

        let wanted = (wanted as u64).saturating_mul(NANO);
        let worthwhile = wanted.min(WORTHWHILE * NANO).min(self.burst);
        match worthwhile.saturating_sub(self.level) {
            0 => Ok(usize::try_from(wanted.min(self.level) / NANO).unwrap_or(usize::MAX)),
            missing => Err(Duration::from_nanos(missing.div_ceil(self.rate))),
        }
    }

    /// Counts `bytes` that were handed out, of those that were [`allowed`](Self::allowed).
    pub(crate) fn spend(&mut self, bytes: usize) {
        let spent = (bytes as u64).saturating_mul(NANO);
        self.level = self.level.saturating_sub(spent);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(rate: u32, burst: Option<u32>, now: Instant) -> Limit {
        Limit::new(
            NonZeroU32::new(rate).unwrap(),
            burst.map(|burst| NonZeroU32::new(burst).unwrap()),
            now,
        )
    }

    #[test]
    fn a_burst_is_a_second_but_at_least_a_request_of_linux() {
        let now = Instant::now();
        assert_eq!(limit(1000, None, now).allowed(9999, now), Ok(1000));
        assert_eq!(limit(1, None, now).allowed(9999, now), Ok(64));
        assert_eq!(limit(1000, Some(5), now).allowed(9999, now), Ok(5));
    }

    #[test]
    fn an_empty_bucket_waits_for_64_bytes_or_for_all_that_is_wanted() {
        let now = Instant::now();
        let mut limit = limit(100, None, now);
        limit.spend(100);
        assert_eq!(limit.allowed(9999, now), Err(Duration::from_millis(640)));
        assert_eq!(limit.allowed(9, now), Err(Duration::from_millis(90)));
        assert_eq!(limit.allowed(9, now + Duration::from_millis(90)), Ok(9));
    }

    #[test]
    fn a_pause_of_years_fills_the_bucket_and_no_more() {
        let now = Instant::now();
        let mut limit = limit(u32::MAX, Some(u32::MAX), now);
        limit.spend(u32::MAX as usize);
        assert_eq!(
            limit.allowed(usize::MAX, now + Duration::from_secs(1 << 40)),
            Ok(u32::MAX as usize)
        );
    }

    proptest! {
        /// What any limit promises, whatever is asked of it: no stretch of time has more than a burst and what the rate
        /// makes of the time, and a request is answered exactly when it was told to come back.
        #[test]
        fn no_stretch_of_time_has_more_than_its_share(
            rate in 1u32.., burst in proptest::option::of(1u32..),
            steps in proptest::collection::vec((0u64..3_000_000_000, 1usize..70_000), 1..60),
        ) {
            let mut now = Instant::now();
            let mut limit = limit(rate, burst, now);
            let burst = burst.unwrap_or(rate.max(64));
            let mut given: Vec<(Instant, u128)> = Vec::new();
            for (pause, wanted) in steps {
                now += Duration::from_nanos(pause);
                if let Err(after) = limit.allowed(wanted, now) {
                    prop_assert!(limit.allowed(wanted, now + after - Duration::from_nanos(1)).is_err());
                    now += after;
                }
                let allowed = limit.allowed(wanted, now);
                let worthwhile = wanted.min(64).min(burst as usize);
                prop_assert!(allowed.is_ok_and(|allowed| (worthwhile..=wanted).contains(&allowed)));
                limit.spend(allowed.unwrap());
                given.push((now, allowed.unwrap() as u128));

                for (from, (start, _)) in given.iter().enumerate() {
                    let bytes: u128 = given[from..].iter().map(|(_, bytes)| bytes).sum();
                    let share = u128::from(burst) * 1_000_000_000 + (now - *start).as_nanos() * u128::from(rate);
                    prop_assert!(bytes * 1_000_000_000 <= share);
                }
            }
        }
    }
}
