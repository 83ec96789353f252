// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where random bytes come from.

#[cfg(feature = "daemon")]
mod file;
#[cfg(feature = "daemon")]
mod health;
mod kernel;
mod system;

use rand_core::CryptoRng;
use virtio_backend::Reply;

#[cfg(feature = "daemon")]
pub use file::File;
pub use kernel::Kernel;
pub use system::System;

/// A source of random bytes for one guest. A cryptographic generator is one as it stands.
pub trait Source: Send {
    /// Answers with random bytes, at least one and at most `length`, and says how many. Gives the reply back if there
    /// are none now, without waiting for any.
    ///
    /// `length` is neither 0 nor more than the reply's room.
    ///
    /// # Errors
    /// The reply, to be tried again later.
    fn answer(&mut self, reply: Reply, length: usize) -> Result<usize, Reply>;
}

impl<R: CryptoRng + Send> Source for R {
    fn answer(&mut self, reply: Reply, length: usize) -> Result<usize, Reply> {
        reply.fill(length, |piece| self.fill_bytes(piece));
        Ok(length)
    }
}
