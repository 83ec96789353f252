// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How many bytes a guest may have: a token bucket.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Levels are in billionths of a byte: nothing is lost between two requests, at any rate.
const NANO: u64 = 1_000_000_000;

/// A limit in bytes per second, with bursts. A request that is longer than a burst is saved up for while it waits.
pub struct Limit {
    /// Bytes per second, which is billionths of a byte per nanosecond.
    rate: u64,
    burst: u64,
    /// The level never rises above this: a burst, or the request that waits.
    full: u64,
    level: u64,
    at: Instant,
}

impl Limit {
    /// The shortest burst that is worth having: a request of Linux, which is answered in full or not at all.
    pub const MIN_BURST: u32 = 64;

    /// Allows `rate` bytes per second from `now` on, and `burst` bytes at once after a pause; by default a second's
    /// worth, but no less than [`MIN_BURST`](Self::MIN_BURST).
    pub fn new(rate: NonZeroU32, burst: Option<NonZeroU32>, now: Instant) -> Self {
        let rate = rate.get();
        let burst = burst.map_or(rate.max(Self::MIN_BURST), NonZeroU32::get);
        let burst = u64::from(burst) * NANO;
        Self {
            rate: rate.into(),
            burst,
            full: burst,
            level: burst,
            at: now,
        }
    }

    /// Bytes per second.
    pub(crate) fn rate(&self) -> u64 {
        self.rate
    }

    /// Whether all of `wanted` bytes may be had now, or how long to wait for them. That they are waited for is assumed
    /// until they are [spent](Self::spend) or [forgotten](Self::forget).
    pub(crate) fn allows(&mut self, wanted: usize, now: Instant) -> Result<(), Duration> {
        let pause = now.saturating_duration_since(self.at).as_nanos();
        let earned = u64::try_from(pause)
            .unwrap_or(u64::MAX)
            .saturating_mul(self.rate);
        self.level = self.level.saturating_add(earned).min(self.full);
        self.at = now;

        let wanted = (wanted as u64).saturating_mul(NANO);
        self.full = wanted.max(self.burst);
        match wanted.saturating_sub(self.level) {
            0 => Ok(()),
            missing => Err(Duration::from_nanos(missing.div_ceil(self.rate))),
        }
    }

    /// Counts `bytes` that were handed out, as they were [allowed](Self::allows).
    pub(crate) fn spend(&mut self, bytes: usize) {
        let spent = (bytes as u64).saturating_mul(NANO);
        self.level = self.level.saturating_sub(spent);
        self.forget();
    }

    /// No request waits any more: no more than a burst is kept of what was saved up.
    pub(crate) fn forget(&mut self) {
        self.full = self.burst;
        self.level = self.level.min(self.burst);
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
        let second = Err(Duration::from_secs(1));
        assert_eq!(limit(1000, None, now).allows(1000, now), Ok(()));
        assert_eq!(limit(1000, None, now).allows(2000, now), second);
        assert_eq!(limit(1, None, now).allows(64, now), Ok(()));
        assert_eq!(limit(1, None, now).allows(65, now), second);
        assert_eq!(limit(1000, Some(5), now).allows(1005, now), second);
    }

    #[test]
    fn a_request_waits_for_all_that_it_wants() {
        let now = Instant::now();
        let mut limit = limit(100, None, now);
        limit.spend(100);
        assert_eq!(limit.allows(900, now), Err(Duration::from_secs(9)));
        let later = now + Duration::from_secs(8);
        assert_eq!(limit.allows(900, later), Err(Duration::from_secs(1)));
        assert_eq!(limit.allows(900, now + Duration::from_secs(9)), Ok(()));
    }

    #[test]
    fn a_pause_of_years_fills_the_bucket_and_no_more() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1 << 40);
        let mut limit = limit(u32::MAX, Some(u32::MAX), now);
        limit.spend(u32::MAX as usize);
        assert_eq!(limit.allows(u32::MAX as usize, later), Ok(()));
        limit.spend(u32::MAX as usize);
        assert!(limit.allows(1, later).is_err());
    }

    #[test]
    fn a_pause_saves_nothing_up_for_a_request_that_is_not_there() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1000);
        let saved = Err(Duration::from_secs(9));
        let mut pause = limit(100, None, now);
        assert_eq!(pause.allows(1000, later), saved);

        let mut reset = limit(100, None, now);
        assert_eq!(reset.allows(1000, now), saved);
        assert_eq!(reset.allows(1000, later), Ok(()));
        reset.forget();
        assert_eq!(reset.allows(1000, later), saved);
    }

    proptest! {
        /// What any limit promises, whatever is asked of it: what follows a request has no more than a burst, or what
        /// was saved up for that request, and what the rate makes of the time; and a request is answered exactly when
        /// it was told to come back.
        #[test]
        fn no_stretch_of_time_has_more_than_its_share(
            rate in 1u32.., burst in proptest::option::of(1u32..),
            steps in proptest::collection::vec((0u64..3_000_000_000, 1usize..70_000), 1..60),
        ) {
            let mut now = Instant::now();
            let start = now;
            let mut limit = limit(rate, burst, now);
            let burst = u128::from(burst.unwrap_or(rate.max(64)));
            let mut given: Vec<(Instant, u128)> = Vec::new();
            for (pause, wanted) in steps {
                now += Duration::from_nanos(pause);
                if let Err(after) = limit.allows(wanted, now) {
                    prop_assert!(limit.allows(wanted, now + after - Duration::from_nanos(1)).is_err());
                    now += after;
                }
                prop_assert_eq!(limit.allows(wanted, now), Ok(()));
                limit.spend(wanted);
                given.push((now, wanted as u128));

                let earned = |since: Instant| (now - since).as_nanos() * u128::from(rate);
                let all: u128 = given.iter().map(|(_, bytes)| bytes).sum();
                prop_assert!(all * 1_000_000_000 <= burst * 1_000_000_000 + earned(start));
                for (from, (since, first)) in given.iter().enumerate() {
                    let bytes: u128 = given[from..].iter().map(|(_, bytes)| bytes).sum();
                    prop_assert!(bytes * 1_000_000_000 <= burst.max(*first) * 1_000_000_000 + earned(*since));
                }
            }
        }
    }
}
