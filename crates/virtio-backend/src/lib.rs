// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The shared core of the virtio-backends daemons: virtio devices that serve virtual machines from
//! a process of their own.
//!
//! # Nouns
//!
//! * A [`Device`] is a wire format and a state machine in front of some hardware. It gets bytes,
//!   and answers with bytes, now or later. It knows no ring, no socket and no guest memory.
//! * A [`Reply`] is the duty to answer one request, exactly once. [`Events`] are messages that
//!   nobody asked for. A [`Watch`] tells the device of its file descriptors and timers.
//! * A [`Guest`] is one device behind one socket. Front ends come and go, one at a time; the device
//!   stays, and is reset whenever one goes. [`daemon`] runs many guests in a process.
//!
//! # Threads
//!
//! A guest has a thread that waits for front ends and, while one is connected, two of
//! vhost-user-backend's: one reads the socket, the other is the worker, which serves the rings and
//! the watch. What happens to the device happens one at a time, on whichever of the guest's
//! threads. Guests share nothing but what their devices share.
//!
//! # The life of a request
//!
//! The driver's kick wakes the worker. The ring walks the next descriptor chain: it copies what the
//! driver sent, once, and notes the addresses of what the driver lent. The device gets the copy and
//! a `Reply`. The reply, on whatever thread, locks the ring, copies the answer to those addresses,
//! returns the chain and interrupts the driver if it asked for that.
//!
//! # What holds
//!
//! * Every chain that was taken goes back once, or belongs to a life of the ring that has ended.
//! * Between the answer to GET_VRING_BASE and the ring's next start, nothing writes to the guest's
//!   memory. Answers that come meanwhile are held, and written when a paused guest goes on.
//! * A ring that starts at another base than the one reported when it stopped has a driver that
//!   knows nothing of before: the device is reset, and earlier replies do nothing.
//! * A guest's fault is answered, with the device's own error or with nothing, and the ring goes
//!   on. A ring whose own words cannot be true is left alone until the driver sets it up again.
//! * A guest whose memory goes away, because its file was truncated or the host has no page for it,
//!   loses its session. The daemon catches the SIGBUS; any other ends it, as ever.
//! * Locks are taken in the order device, memory, ring; never two guests' together.
//!
//! # Without a daemon
//!
//! Without the feature `daemon` only the contract remains: a VMM links a device, implements
//! [`Ring`] over its own queues, and polls the [`Watch`] in its own loop.

#[cfg(feature = "daemon")]
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(feature = "daemon")]
pub mod daemon;
mod device;
mod reply;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "daemon")]
mod vhost_user;
mod watch;

pub use device::{Device, Queue};
pub use reply::{Events, Reply, Ring, Urgency};
#[cfg(feature = "daemon")]
pub use vhost_user::Guest;
pub use watch::{Timer, Token, Watch};

/// Locks, whatever became of who held the lock before: one guest's panic is not another's.
#[cfg(feature = "daemon")]
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
