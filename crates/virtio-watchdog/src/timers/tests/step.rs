// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What can happen to timers.

use proptest::prelude::*;

use super::SECOND;
use crate::timers::*;

/// Times are in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Pass(u32),
    Plain,
    Ping(u16),
    Start(u16, u32, u32, bool),
    Stop(u16),
    Set(u16, u32, u32),
    Suspend,
    Resume,
    BootDone,
    Freeze,
    Thaw,
    Reset,
    GuestReset,
    Excuse(u32, bool),
    Expire,
    Settle,
    Dump(u32),
    Begin,
    End,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let channel = 0u16..4;
    let set = (channel.clone(), 0u32..14, 0u32..14);
    let lock = prop::bool::weighted(0.2);
    prop_oneof![
        10 => (0u32..20).prop_map(Step::Pass),
        3 => Just(Step::Plain),
        3 => channel.clone().prop_map(Step::Ping),
        3 => (set.clone(), lock).prop_map(|((channel, timeout, pretimeout), lock)| {
            Step::Start(channel, timeout, pretimeout, lock)
        }),
        1 => channel.prop_map(Step::Stop),
        1 => set.prop_map(|(channel, timeout, pretimeout)| {
            Step::Set(channel, timeout, pretimeout)
        }),
        3 => prop::sample::select(vec![Step::Suspend, Step::Resume]),
        3 => prop::sample::select(vec![Step::Freeze, Step::Thaw, Step::Thaw]),
        3 => prop::sample::select(vec![Step::BootDone, Step::Reset, Step::GuestReset]),
        2 => (1u32..9, any::<bool>()).prop_map(|(time, limited)| Step::Excuse(time, limited)),
        2 => Just(Step::Expire),
        1 => prop::sample::select(vec![Step::Settle, Step::Begin, Step::End]),
        1 => (1u32..30).prop_map(Step::Dump),
    ]
}

pub(super) fn settings() -> impl Strategy<Value = Settings> {
    let maybe = || proptest::option::of((1u32..40).prop_map(|seconds| seconds * SECOND));
    (1u16..4, 3u32..9, 0u32..3, maybe(), maybe(), any::<bool>()).prop_map(
        |(channels, timeout, pretimeout, boot_timeout, max_suspend, lock)| Settings {
            channels,
            timeout: timeout * SECOND,
            pretimeout: pretimeout * SECOND,
            min_timeout: 2 * SECOND,
            max_timeout: 12 * SECOND,
            boot_timeout,
            lock,
            max_suspend,
        },
    )
}
