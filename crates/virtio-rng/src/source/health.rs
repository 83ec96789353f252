// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The continuous health tests of NIST SP 800-90B, section 4.4, over bytes: they notice a noise source that died.
//!
//! They assume 4 bits of min-entropy in a byte, half of what fits: far less than a source worth the name has, and yet a
//! stuck one is noticed within a few bytes. A source with just so much fails a test by chance once in 2^30 times, a
//! better one practically never.

/// Repetition count test: so many equal bytes in a row are a failure. 1 + ⌈30 / 4⌉.
const REPETITIONS: usize = 9;

/// Adaptive proportion test: a window, and how often the byte that begins it may not occur in it. The latter is one more
/// than the critical value of a binomial distribution of 512 tries at 2^-4, for a false alarm in 2^30.
const WINDOW: usize = 512;
const OCCURRENCES: usize = 71;

/// Start-up test (section 4.3): nothing is handed out before so many bytes in a row have passed.
const START_UP: usize = 1024;

/// The tests, and what they remember.
#[derive(Default)]
pub(super) struct Health {
    passed: usize,
    last: u8,
    repetitions: usize,
    first: u8,
    occurrences: usize,
    /// Where in its window the next byte is.
    position: usize,
}

impl Health {
    /// Tests the next bytes of the source. The error is the name of the test that one of them fails.
    pub(super) fn test(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        for &byte in bytes {
            if byte != self.last {
                self.last = byte;
                self.repetitions = 0;
            }
            self.repetitions += 1;
            if self.repetitions >= REPETITIONS {
                return Err("repetition count");
            }

            if self.position == 0 {
                self.first = byte;
                self.occurrences = 0;
            }
            self.occurrences += usize::from(byte == self.first);
            if self.occurrences >= OCCURRENCES {
                return Err("adaptive proportion");
            }
            self.position = (self.position + 1) % WINDOW;
        }
        self.passed = self.passed.saturating_add(bytes.len());
        Ok(())
    }

    /// Whether the start-up test is over.
    pub(super) fn started(&self) -> bool {
        self.passed >= START_UP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FALSE_ALARM: f64 = 1.0 / (1u64 << 30) as f64;
    const MIN_ENTROPY: f64 = 4.0;

    /// Bytes of which no two neighbours are equal, and none is 0.
    fn varied() -> impl Iterator<Item = u8> {
        (1..=255).cycle()
    }

    #[test]
    fn the_cutoffs_are_those_of_the_standard() {
        assert_eq!(
            REPETITIONS as f64,
            1.0 + (-FALSE_ALARM.log2() / MIN_ENTROPY).ceil()
        );

        // The probability that a byte as likely as can be occurs `count` times in a window.
        let (tries, likely) = (WINDOW as f64, (-MIN_ENTROPY).exp2());
        let mut probability = vec![(1.0 - likely).powf(tries)];
        for count in 1..=WINDOW {
            let more = (tries - count as f64 + 1.0) / count as f64 * likely / (1.0 - likely);
            probability.push(probability[count - 1] * more);
        }
        // The critical value is the smallest that is exceeded with a probability of no more than a false alarm.
        let exceeded = |value: usize| probability[value + 1..].iter().rev().sum::<f64>();
        let critical = (0..WINDOW).find(|&value| exceeded(value) <= FALSE_ALARM);
        assert_eq!(critical, Some(OCCURRENCES - 1));
    }

    #[test]
    fn one_byte_too_often_in_a_row_fails_and_one_less_passes() {
        let mut health = Health::default();
        assert_eq!(health.test(&[7; REPETITIONS - 1]), Ok(()));
        assert_eq!(health.test(&[8; REPETITIONS - 1]), Ok(()));
        assert_eq!(health.test(&[8]), Err("repetition count"));
    }

    #[test]
    fn the_first_byte_of_a_window_too_often_in_it_fails_and_one_less_passes() {
        let mut window: Vec<u8> = varied().take(WINDOW).map(|byte| byte | 1).collect();
        for index in (0..OCCURRENCES - 1).map(|count| 2 * count) {
            window[index] = 0;
        }
        let mut health = Health::default();
        assert_eq!(health.test(&window), Ok(()));

        window[WINDOW - 1] = 0;
        assert_eq!(health.test(&window[..WINDOW - 1]), Ok(()));
        assert_eq!(health.test(&[0]), Err("adaptive proportion"));
    }

    #[test]
    fn start_up_ends_after_so_many_bytes_in_however_many_pieces() {
        let mut health = Health::default();
        let bytes: Vec<u8> = varied().take(START_UP).collect();
        assert_eq!(health.test(&bytes[..1]), Ok(()));
        assert_eq!(health.test(&bytes[1..1023]), Ok(()));
        assert!(!health.started());
        assert_eq!(health.test(&bytes[1023..]), Ok(()));
        assert!(health.started());
    }
}
