// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! File descriptors and timers that a device asks the core to look after.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// The device's own name for something that it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What one device wants to hear of, as [`Device::ready`](crate::Device::ready).
///
/// It is itself a file descriptor, readable when something is ready, so that it fits into any event
/// loop: the core's, or that of a VMM, which then calls [`poll`](Self::poll).
#[derive(Clone, Debug)]
pub struct Watch {
    epoll: Arc<OwnedFd>,
}

impl Watch {
    /// A watch that looks after nothing yet.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Arc::new(epoll::create(CreateFlags::CLOEXEC)?),
        })
    }

    /// Says `token` as long as `fd` is readable, or has hung up. Ends by itself when `fd` is
    /// closed, and all of its duplicates are.
    ///
    /// # Errors
    /// When `fd` cannot be waited for (a regular file), or is watched already.
    pub fn add(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            EventData::new_u64(token.0),
            EventFlags::IN,
        )?)
    }

    /// Looks after `fd` no longer.
    ///
    /// # Errors
    /// When `fd` is not watched.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// A timer that says `token` once, each time that it was armed and the time has come.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn timer(&self, token: Token) -> io::Result<Timer> {
        let fd = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        // Edge-triggered, so that an expiry is reported once and need not be read away.
        epoll::add(
            &self.epoll,
            &fd,
            EventData::new_u64(token.0),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(Timer { fd })
    }

    /// Calls `ready` for what is ready now. Never waits.
    pub fn poll(&self, mut ready: impl FnMut(Token)) {
        let mut events = [const { MaybeUninit::uninit() }; 16];
        // The one possible error is an interruption by a signal: what is ready stays ready.
        if let Ok((events, _)) = epoll::wait(
            &self.epoll,
            &mut events,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        ) {
            for event in events {
                ready(Token(event.data.u64()));
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// A timer on the monotonic clock, from [`Watch::timer`]. Ends when it is dropped.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
}

impl Timer {
    /// Expires `after` from now, instead of when it was armed for before. No time at all is the
    /// shortest time there is.
    pub fn arm(&self, after: Duration) {
        self.set(after.max(Duration::from_nanos(1)));
    }

    /// Does not expire.
    pub fn disarm(&self) {
        self.set(Duration::ZERO);
    }

    fn set(&self, after: Duration) {
        let it_value = Timespec::try_from(after).unwrap_or(Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        });
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value,
        };
        // A timerfd of ours and a valid time: there is nothing that could fail.
        if let Err(error) = timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once) {
            log::error!("timer: {error}");
        }
    }
}
