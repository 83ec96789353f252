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
//! * A guest is one device behind one socket. Front ends come and go, one at a time; the device
//!   stays, and is reset whenever one goes. `daemon` runs many guests in a process.
//! * [`Hardware`] is a thread for hardware that may take its time.
//!
//! # Threads
//!
//! | thread | runs | waits for |
//! |---|---|---|
//! | worker, a few in a process | the sockets, rings, timers and devices of its guests | its reactor |
//! | one for each adapter or chip | the devices of the guests that share it | that hardware, and its reactor |
//! | one for each file of entropy | what reads it ahead for the guests that share it | that file, and their requests |
//! | main | start and end of the daemon | signals |
//!
//! A guest belongs to one worker for good. All that happens to it happens there, one at a time: a
//! message of its front end, a kick of its driver, a timer. Nothing on a worker blocks. Sockets and
//! events are non-blocking, a message or an answer that does not go through at once is continued when
//! the reactor says so, and a device that has to wait for hardware is on that hardware's thread, which
//! the worker hands what happens and which answers by itself. A guest has its turn for 64 requests,
//! 256 KiB of answers or 16 messages; then others have theirs. Guests share nothing but what their
//! devices share.
//!
//! # The life of a session
//!
//! ```text
//! (no session) ── a front end connects ──▶ Device::connected
//!      ▲                                        │
//!      │                              SET_FEATURES, SET_MEM_TABLE,
//!      │                              SET_VRING_NUM, _ADDR, _BASE
//!      │                                        ▼
//!      │          ┌───────────── SET_VRING_KICK starts a ring ─────────────┐
//!      │          │ first, or where it was     │ another base: the driver  │
//!      │          │ stopped: goes on           │ is new: Device::reset     │
//!      │          └────────────▶ Device::negotiated, served ◀──────────────┘
//!      │                                        │
//!      │                         GET_VRING_BASE: Device::stop,
//!      │                         answered when `Stopped` is dropped
//!      │                                        ▼
//!      │                          stopped: nothing is written
//!      │
//!      └── the front end hangs up, or sends a broken frame: Device::disconnected
//! ```
//!
//! Any other message that cannot be done is refused, and the session goes on. RESET_DEVICE, and a
//! second SET_OWNER after a ring ran, bring it back to its beginning. A front end that is in the middle
//! of a message, or does not read its answers, for 5 s is hung up on.
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
//! * A device that panics, on a worker or on a thread of its hardware's, costs its own guest the
//!   session, for good. The thread goes on with the other guests.
//! * A ring's lock is never held together with another.
//!
//! # Without a daemon
//!
//! Without the feature `daemon` only the contract remains: a VMM links a device, implements
//! [`Ring`] over its own queues, and polls the [`Watch`] in its own loop.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(feature = "daemon")]
pub mod daemon;
mod device;
mod hardware;
mod panic;
mod reactor;
mod reply;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "daemon")]
mod vhost_user;
mod watch;

pub use device::{Device, Queue};
pub use hardware::{Hardware, Offloaded};
pub use reactor::{Timer, Waker};
pub use reply::{Events, Reply, Ring, Stopped, Urgency};
pub use watch::{Token, Watch};

/// Locks, whatever became of who held the lock before: one guest's panic is not another's.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
