// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A generator of our own, keyed by the operating system: several times as fast as asking it for every byte.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use virtio_backend::Reply;

use super::Source;
use super::kernel::Os;

/// How many bytes, and for how many seconds, one key serves. The next owes nothing to it: who learns a key learns
/// nothing of what was handed out under another.
const KEY_BYTES: usize = 1 << 20;
const KEY_SECONDS: i64 = 60;

/// ChaCha20, as in Linux itself, under keys from the operating system: a new one every MiB and every minute.
pub struct System {
    os: Os,
    keyed: Option<Keyed>,
}

impl System {
    /// A source for the guest that the log calls `guest`.
    pub fn new(guest: &str) -> Self {
        Self {
            os: Os::new(guest),
            keyed: None,
        }
    }
}

impl Source for System {
    fn answer(&mut self, reply: Reply, length: usize) -> Result<(), Reply> {
        // The coarse clock will do, and takes a quarter of the time of the fine one.
        let now = clock_gettime(ClockId::MonotonicCoarse).tv_sec;
        let key = || {
            let mut key = [0; 32];
            (self.os.draw(&mut key) == Some(key.len())).then_some(key)
        };
        let Some(generator) = Keyed::generator(&mut self.keyed, length, now, key) else {
            return Err(reply);
        };
        reply.fill(length, |piece| generator.fill_bytes(piece));
        Ok(())
    }
}

/// A generator, and for how long its key still serves.
struct Keyed {
    generator: ChaCha20Rng,
    left: usize,
    until: i64,
}

impl Keyed {
    /// The generator for the next `length` bytes, at `now` seconds, with a new key if it is time for one. `None` if it
    /// is and there is none.
    fn generator(
        keyed: &mut Option<Self>,
        length: usize,
        now: i64,
        key: impl FnOnce() -> Option<[u8; 32]>,
    ) -> Option<&mut ChaCha20Rng> {
        let serves = |keyed: &Self| length <= keyed.left && now < keyed.until;
        if !keyed.as_ref().is_some_and(serves) {
            let generator = ChaCha20Rng::from_seed(key()?);
            let until = now.saturating_add(KEY_SECONDS);
            *keyed = Some(Self {
                generator,
                left: KEY_BYTES,
                until,
            });
        }
        let keyed = keyed.as_mut()?;
        keyed.left = keyed.left.saturating_sub(length);
        Some(&mut keyed.generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes requests of 64 KiB, and says how many keys they took.
    fn keys(keyed: &mut Option<Keyed>, requests: usize, now: i64) -> usize {
        let mut keys = 0;
        for _ in 0..requests {
            let generator = Keyed::generator(keyed, 64 << 10, now, || {
                keys += 1;
                Some([0; 32])
            });
            assert!(generator.is_some());
        }
        keys
    }

    #[test]
    fn a_key_serves_for_a_mebibyte() {
        let (mut keyed, now) = (None, 5);
        assert_eq!(keys(&mut keyed, 16, now), 1);
        assert_eq!(keys(&mut keyed, 16, now), 1);
        assert_eq!(keys(&mut keyed, 1, now), 1);
        assert_eq!(keys(&mut keyed, 1, now), 0);
    }

    #[test]
    fn a_key_serves_for_a_minute() {
        let (mut keyed, now) = (None, 5);
        assert_eq!(keys(&mut keyed, 1, now), 1);
        assert_eq!(keys(&mut keyed, 1, now + KEY_SECONDS - 1), 0);
        assert_eq!(keys(&mut keyed, 1, now + KEY_SECONDS), 1);
    }

    #[test]
    fn nothing_is_generated_without_a_key_or_under_an_old_one() {
        let (mut keyed, now) = (None, 5);
        assert!(Keyed::generator(&mut keyed, 1, now, || None).is_none());
        assert_eq!(keys(&mut keyed, 16, now), 1);
        assert!(Keyed::generator(&mut keyed, 1, now, || None).is_none());
        assert_eq!(keys(&mut keyed, 1, now), 1);
    }
}
