// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The virtio entropy device (virtio 1.4, "Entropy Device"): the driver lends a buffer, the device puts random bytes
//! into it. There are no features, no configuration and no message format.
//!
//! A request is answered in full, or waits: drivers do not bear less. One for more than 64 KiB ([`MAX_ANSWER`]) gets 64 KiB.
//!
//! [`Rng`] is the device, a [`Source`] is where its bytes come from, a [`Limit`] how many of them one guest may have.
//! The example `rng_in_process` drives all three without a socket or a thread.

mod device;
mod limit;
mod source;

pub use device::{MAX_ANSWER, Rng};
pub use limit::Limit;
#[cfg(feature = "daemon")]
pub use source::File;
pub use source::{Kernel, Source, System};
