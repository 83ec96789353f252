// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! No guest that cannot be stopped puts off its end without a sign of life.

use proptest::prelude::*;

use super::{Guest, SECOND};
use crate::timers::*;

/// What a guest can do, but for PING, START and SET_TIMEOUT, which give a channel all of its time
/// again, and what looks like a pause.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u32),
    Stop(u16),
    Suspend,
    Resume,
    BootDone,
    Reset,
    Pause,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u32..25).prop_map(Step::Pass),
        1 => (0u16..3).prop_map(Step::Stop),
        3 => Just(Step::Suspend),
        2 => Just(Step::Resume),
        1 => Just(Step::BootDone),
        1 => Just(Step::Reset),
        1 => Just(Step::Pause),
    ]
}

impl Guest {
    /// Whether a timer has run out meanwhile.
    fn takes(&mut self, step: Step) -> bool {
        let (timers, now) = (&mut self.timers, self.now);
        match step {
            Step::Pass(seconds) => {
                return (0..seconds).any(|_| {
                    let happened = self.pass(1);
                    happened
                        .iter()
                        .any(|(_, event)| matches!(event, Event::Due(_)))
                });
            }
            Step::Stop(channel) => drop(timers.stop(channel)),
            Step::Suspend => drop(timers.suspend(now)),
            Step::Resume => drop(timers.resume(now)),
            Step::BootDone => drop(timers.boot_done()),
            Step::Reset => timers.reset(now),
            Step::Pause => {
                timers.freeze(now);
                timers.thaw(now);
            }
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_locked_guest_that_gives_no_sign_of_life_is_due_in_the_end(
        timeout in 1u32..20,
        boot_timeout in 1u32..40,
        max_suspend in 0u32..40,
        steps in proptest::collection::vec(step(), 1..100),
    ) {
        let mut guest = Guest::new(Settings {
            timeout: timeout * SECOND,
            pretimeout: Duration::ZERO,
            boot_timeout: Some(boot_timeout * SECOND),
            max_suspend: Some(max_suspend * SECOND),
            lock: true,
            ..super::settings()
        });
        guest.timers.start(0, None, false, guest.now).unwrap();
        // Until it sleeps, sleeping, since it woke, booting; and what each pause may give.
        let mut limit = guest.now + (timeout + max_suspend + timeout + boot_timeout) * SECOND;
        let rest = std::iter::repeat_n(Step::Pass(1), 1000);
        for step in steps.into_iter().chain(rest) {
            if let Step::Pause = step {
                limit += GRACE;
            }
            let is_due = guest.takes(step);
            prop_assert!(guest.now <= limit, "{:?}", guest.timers.flags());
            if is_due {
                break;
            }
        }
        prop_assert!(guest.timers.expire(guest.now).is_some());
    }
}
