// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How often a sensor measures, as SENSOR_CONFIG and SENSOR_LIST_UPDATE_INTERVALS have it (SCMI 3.2).

use crate::wire::values::{Round, Values};

/// Bits 31:16 of SENSOR_CONFIG are the seconds between updates, bits 15:11 their power of ten.
pub(super) const INTERVAL: u32 = 0xffff_f800;

/// The interval in a configuration, the first that there is if an agent has asked for none: Linux divides by what it
/// reads.
pub(super) fn interval(config: u32, intervals: &Values<'_, u32>) -> u32 {
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
pub(super) fn choose(intervals: Values<'_, u32>, wanted: u32, round: Round) -> Option<u32> {
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
pub(super) fn nanoseconds(interval: u32) -> u64 {
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
