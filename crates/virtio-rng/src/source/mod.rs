// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where random bytes come from.

#[cfg(feature = "daemon")]
mod ahead;
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
    /// Answers with `length` random bytes. Gives the reply back if there are not so many now, without waiting for them.
    ///
    /// `length` is neither 0 nor more than the reply's room, nor more than [`MAX_ANSWER`](crate::MAX_ANSWER).
    ///
    /// # Errors
    /// The reply, to be tried again later with the same `length`, unless the source is to [forget](Self::forget) it.
    fn answer(&mut self, reply: Reply, length: usize) -> Result<(), Reply>;

    /// The guest was reset: a reply that was given back does not come again.
    fn forget(&mut self) {}
}

impl<R: CryptoRng + Send> Source for R {
    fn answer(&mut self, reply: Reply, length: usize) -> Result<(), Reply> {
        reply.fill(length, |piece| self.fill_bytes(piece));
        Ok(())
    }
}
