// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which resets of a machine begin a boot.
//!
//! A PC's firmware resets the machine once more: SeaBIOS, with which QEMU's q35 and pc start, finds
//! itself in memory after a reset, restores its own image, and resets the machine as a guest does.
//! QEMU's monitor tells of both.
//!
//! ```text
//! RESET           RESET, guest      driver ready     RESET
//!   |--- < again ---|                    |             |
//!   begins a boot   is the firmware's                  begins a boot
//! ```
//!
//! Of two resets one is taken for the firmware's, never more: a guest that resets itself again and
//! again before its driver is ready still does so often.

use std::time::{Duration, Instant};

use super::control::Origin;

/// What is known of the last reset.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Boots {
    /// How soon after a reset the firmware makes the next one.
    again: Duration,
    /// When the machine was reset, if the next reset may be the firmware's.
    reset: Option<Instant>,
}

impl Boots {
    pub(super) fn new(again: Duration) -> Self {
        Self { again, reset: None }
    }

    /// Takes note of a reset. `false` if the firmware made it, because of the one before.
    pub(super) fn begins(&mut self, origin: Origin, now: Instant) -> bool {
        let before = self.reset.take();
        let is_soon =
            before.is_some_and(|before| now.saturating_duration_since(before) < self.again);
        let is_firmwares = is_soon && origin == Origin::Guest;
        if !is_firmwares {
            self.reset = Some(now);
        }
        !is_firmwares
    }

    /// The guest runs, as far as its driver or a panic: the firmware does not make the next reset.
    pub(super) fn ran(&mut self) {
        self.reset = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Origin::{Guest, Host};
    use super::*;

    const AGAIN: Duration = Duration::from_millis(1000);

    /// A machine of which a monitor tells, and a clock in milliseconds.
    struct Machine {
        boots: Boots,
        now: Instant,
    }

    impl Machine {
        fn new() -> Self {
            Self {
                boots: Boots::new(AGAIN),
                now: Instant::now(),
            }
        }

        fn is_reset_after(&mut self, millis: u64, origin: Origin) -> bool {
            self.now += Duration::from_millis(millis);
            self.boots.begins(origin, self.now)
        }
    }

    #[test]
    fn of_two_resets_the_firmware_makes_the_second() {
        for origin in [Guest, Host] {
            let mut machine = Machine::new();
            assert!(machine.is_reset_after(0, origin));
            assert!(!machine.is_reset_after(999, Guest));
            assert!(machine.is_reset_after(0, Guest));
            assert!(!machine.is_reset_after(0, Guest));
        }
    }

    #[test]
    fn a_reset_that_comes_late_begins_a_boot() {
        let mut machine = Machine::new();
        assert!(machine.is_reset_after(0, Guest));
        for _ in 0..3 {
            assert!(machine.is_reset_after(1000, Guest));
        }
        assert!(!machine.is_reset_after(200, Guest));
    }

    #[test]
    fn the_host_makes_no_reset_for_the_firmware() {
        let mut machine = Machine::new();
        for _ in 0..3 {
            assert!(machine.is_reset_after(1, Host));
        }
        assert!(!machine.is_reset_after(200, Guest));
        assert!(machine.is_reset_after(1, Host));
    }

    #[test]
    fn a_guest_that_ran_resets_itself() {
        let mut machine = Machine::new();
        for _ in 0..3 {
            assert!(machine.is_reset_after(1, Guest));
            machine.boots.ran();
        }
    }

    #[test]
    fn without_a_time_every_reset_begins_a_boot() {
        let mut boots = Boots::new(Duration::ZERO);
        let now = Instant::now();
        for _ in 0..3 {
            assert!(boots.begins(Guest, now));
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Pass(u64),
        Reset(Origin),
        Ran,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0u64..1500).prop_map(Step::Pass),
            4 => prop::sample::select(vec![Guest, Guest, Guest, Host]).prop_map(Step::Reset),
            1 => Just(Step::Ran),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// What is known of the whole history says the same as what is kept of it.
        #[test]
        fn the_firmwares_reset_follows_one_that_is_not(
            steps in proptest::collection::vec(step(), 1..60),
        ) {
            let mut machine = Machine::new();
            let mut time = 0;
            // When each reset was that began a boot, and whether something ran or was reset since.
            let mut last: Option<(u64, bool)> = None;
            for step in steps {
                match step {
                    Step::Pass(millis) => {
                        time += millis;
                        machine.now += Duration::from_millis(millis);
                    }
                    Step::Ran => {
                        machine.boots.ran();
                        last = last.map(|(at, _)| (at, true));
                    }
                    Step::Reset(origin) => {
                        let is_firmwares = origin == Guest
                            && matches!(last, Some((at, false)) if time - at < 1000);
                        last = if is_firmwares {
                            last.map(|(at, _)| (at, true))
                        } else {
                            Some((time, false))
                        };
                        prop_assert_eq!(machine.is_reset_after(0, origin), !is_firmwares);
                    }
                }
            }
        }
    }
}
