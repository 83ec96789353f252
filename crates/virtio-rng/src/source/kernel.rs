// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The operating system's generator.

use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};
use virtio_backend::Reply;

use super::Source;

/// Every byte straight from the operating system, with a system call for each request.
pub struct Kernel {
    os: Os,
    /// Drawn before an answer begins, because then nothing may fail any more.
    bytes: Vec<u8>,
}

impl Kernel {
    /// A source for the guest that the log calls `guest`.
    pub fn new(guest: &str) -> Self {
        Self {
            os: Os::new(guest),
            bytes: Vec::new(),
        }
    }
}

impl Source for Kernel {
    fn answer(&mut self, reply: Reply, length: usize) -> Result<(), Reply> {
        self.bytes.resize(length, 0);
        let mut rest = self.bytes.as_mut_slice();
        while !rest.is_empty() {
            let Some(left) = self.os.draw(rest).and_then(|drawn| rest.get_mut(drawn..)) else {
                return Err(reply);
            };
            rest = left;
        }
        reply.send(&self.bytes);
        Ok(())
    }
}

/// getrandom(2), and what became of it the last time.
pub(super) struct Os {
    guest: String,
    refused: bool,
}

impl Os {
    pub(super) fn new(guest: &str) -> Self {
        Self {
            guest: guest.to_owned(),
            refused: false,
        }
    }

    /// Fills `bytes` from the front, and says how far: all of up to 256, perhaps not all of more, if a signal arrives.
    /// `None` while the host has no entropy yet, early in its boot.
    pub(super) fn draw(&mut self, bytes: &mut [u8]) -> Option<usize> {
        // To wait for the host here would be to keep the guest's control messages waiting.
        let drawn = retry_on_intr(|| getrandom(&mut *bytes, GetRandomFlags::NONBLOCK));
        let guest = &self.guest;
        match drawn {
            Err(error) if !self.refused => log::warn!("{guest}: getrandom: {error}"),
            Ok(_) if self.refused => log::info!("{guest}: getrandom: works again"),
            _ => {}
        }
        self.refused = drawn.is_err();
        drawn.ok()
    }
}
