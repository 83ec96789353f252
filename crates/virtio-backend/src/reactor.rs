// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What an event loop waits for: file descriptors, timers, and other threads.
//!
//! A reactor has three file descriptors of its own, however many timers and wakers there are.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::lock;

/// Names what is ready. The two highest are the reactor's own.
pub(crate) type Key = u64;

/// Something was written to [`Reactor::interrupt`], perhaps by a waker.
pub(crate) const INTERRUPTED: Key = Key::MAX;
const CLOCK: Key = Key::MAX - 1;

/// How many events are taken from the kernel at a time.
const EVENTS: usize = 64;

const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// When a file descriptor is reported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// As long as it is readable.
    Level,
    /// Each time that it becomes readable.
    Edge,
    /// Each time that it becomes readable or writable, or its peer hangs up.
    #[cfg(feature = "daemon")]
    EdgeOfBoth,
}

pub(crate) struct Reactor {
    epoll: OwnedFd,
    /// Written to by other threads.
    wake: Arc<OwnedFd>,
    /// Expires with the earliest timer, or before.
    clock: OwnedFd,
    timers: Mutex<Timers>,
    woken: Mutex<Vec<Arc<Woken>>>,
}

#[derive(Default)]
struct Timers {
    slots: Vec<Slot>,
    free: Vec<usize>,
    due: BTreeSet<(Instant, usize)>,
    /// When the clock expires.
    armed: Option<Instant>,
}

struct Slot {
    key: Key,
    due: Option<Instant>,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let reactor = Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            wake: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?),
            clock: timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
            )?,
            timers: Mutex::default(),
            woken: Mutex::default(),
        };
        // Neither needs to be read: each write, and each expiry, is an edge.
        reactor.add(&*reactor.wake, INTERRUPTED, Trigger::Edge)?;
        reactor.add(&reactor.clock, CLOCK, Trigger::Edge)?;
        Ok(Arc::new(reactor))
    }

    /// Reports `key` when `fd` is ready, until `fd` is removed, or it and its duplicates are closed.
    pub(crate) fn add(&self, fd: impl AsFd, key: Key, trigger: Trigger) -> io::Result<()> {
        let flags = match trigger {
            Trigger::Level => EventFlags::IN,
            Trigger::Edge => EventFlags::IN | EventFlags::ET,
            #[cfg(feature = "daemon")]
            Trigger::EdgeOfBoth => {
                EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET
            }
        };
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(key), flags)?)
    }

    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// A timer that reports `key`.
    pub(crate) fn timer(self: &Arc<Self>, key: Key) -> Timer {
        let mut timers = lock(&self.timers);
        let slot = Slot { key, due: None };
        let index = match timers.free.pop() {
            Some(index) => {
                if let Some(free) = timers.slots.get_mut(index) {
                    *free = slot;
                }
                index
            }
            None => {
                timers.slots.push(slot);
                timers.slots.len() - 1
            }
        };
        Timer {
            reactor: Arc::clone(self),
            index,
        }
    }

    /// What other threads have the reactor report `key` with.
    pub(crate) fn waker(self: &Arc<Self>, key: Key) -> Waker {
        Waker {
            reactor: Arc::clone(self),
            woken: Arc::new(Woken {
                key,
                pending: AtomicBool::new(false),
            }),
        }
    }

    /// Writing 8 bytes to it makes the reactor report [`INTERRUPTED`].
    #[cfg(feature = "daemon")]
    pub(crate) fn interrupt(&self) -> &Arc<OwnedFd> {
        &self.wake
    }

    /// Adds what is ready to `ready`, after waiting for it without a limit if `wait`. Returns early
    /// if it is interrupted.
    pub(crate) fn wait(&self, wait: bool, ready: &mut Vec<Key>) {
        let mut events = [const { MaybeUninit::uninit() }; EVENTS];
        let timeout = (!wait).then_some(&NO_TIME);
        // The one possible error is an interruption by a signal: what is ready stays ready.
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut events, timeout) else {
            return;
        };
        for event in events {
            match event.data.u64() {
                INTERRUPTED => {
                    let woken = mem::take(&mut *lock(&self.woken));
                    ready.extend(woken.iter().map(|woken| woken.report()));
                    ready.push(INTERRUPTED);
                }
                CLOCK => self.expire(ready),
                key => ready.push(key),
            }
        }
    }

    /// Reports the timers that are due.
    fn expire(&self, ready: &mut Vec<Key>) {
        let mut timers = lock(&self.timers);
        let now = Instant::now();
        timers.armed = None;
        while let Some(&(due, index)) = timers.due.first() {
            if due > now {
                self.set_clock(&mut timers, due, now);
                break;
            }
            timers.due.pop_first();
            if let Some(slot) = timers.slots.get_mut(index) {
                slot.due = None;
                ready.push(slot.key);
            }
        }
    }

    fn set_clock(&self, timers: &mut Timers, due: Instant, now: Instant) {
        timers.armed = Some(due);
        let after = due
            .saturating_duration_since(now)
            .max(Duration::from_nanos(1));
        let once = Itimerspec {
            it_interval: NO_TIME,
            it_value: Timespec::try_from(after).unwrap_or(Timespec {
                tv_sec: i64::MAX,
                tv_nsec: 0,
            }),
        };
        // A timerfd of ours and a valid time: there is nothing that could fail.
        if let Err(error) = timerfd_settime(&self.clock, TimerfdTimerFlags::empty(), &once) {
            log::error!("timer: {error}");
        }
    }
}

impl AsFd for Reactor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

/// A timer on the monotonic clock, from [`Watch::timer`](crate::Watch::timer). Ends when it is
/// dropped.
#[derive(Debug)]
pub struct Timer {
    reactor: Arc<Reactor>,
    index: usize,
}

impl Timer {
    /// Expires `after` from now, instead of when it was armed for before.
    pub fn arm(&self, after: Duration) {
        let now = Instant::now();
        // A time that the clock does not have is never.
        self.set(now.checked_add(after), now);
    }

    /// Does not expire.
    pub fn disarm(&self) {
        // The clock stays set: to expire for nothing costs less.
        self.set(None, Instant::now());
    }

    fn set(&self, due: Option<Instant>, now: Instant) {
        let mut timers = lock(&self.reactor.timers);
        let Some(slot) = timers.slots.get_mut(self.index) else {
            return;
        };
        if let Some(before) = mem::replace(&mut slot.due, due) {
            timers.due.remove(&(before, self.index));
        }
        if let Some(due) = due {
            timers.due.insert((due, self.index));
            if timers.armed.is_none_or(|armed| due < armed) {
                self.reactor.set_clock(&mut timers, due, now);
            }
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.disarm();
        lock(&self.reactor.timers).free.push(self.index);
    }
}

/// Has an event loop call its device from any thread: from [`Watch::waker`](crate::Watch::waker).
#[derive(Clone)]
pub struct Waker {
    reactor: Arc<Reactor>,
    woken: Arc<Woken>,
}

struct Woken {
    key: Key,
    /// It was woken, and has not been reported yet.
    pending: AtomicBool,
}

impl Waker {
    /// Has the event loop report it, once however often it is woken before that.
    pub fn wake(&self) {
        if self.woken.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        lock(&self.reactor.woken).push(Arc::clone(&self.woken));
        raise(&self.reactor.wake);
    }
}

impl Woken {
    fn report(&self) -> Key {
        self.pending.store(false, Ordering::Release);
        self.key
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}

/// Makes an eventfd readable.
pub(crate) fn raise(event: &OwnedFd) {
    // Fails if it was done 2^64 times before: it is readable then.
    rustix::io::write(event, &1_u64.to_ne_bytes()).ok();
}
