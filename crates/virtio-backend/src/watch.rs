// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! File descriptors, timers and threads that a device asks the core to look after.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::reactor::{INTERRUPTED, Key, Reactor, Timer, Trigger, Waker};

/// The device's own name for something that it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u32);

/// What one device wants to hear of, as [`Device::ready`](crate::Device::ready).
///
/// In a daemon it is a part of the worker that has the guest. Alone, it is itself a file descriptor,
/// readable when something is ready, so that it fits into a VMM's event loop, which then calls
/// [`poll`](Self::poll).
#[derive(Clone, Debug)]
pub struct Watch {
    reactor: Arc<Reactor>,
    /// What the keys of all that this device watches have beside the token.
    guest: Key,
    /// The process at the other end, or 0.
    peer: Arc<AtomicU32>,
}

impl Watch {
    /// A watch that looks after nothing yet.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self::of(Reactor::new()?, 0))
    }

    /// What one of the guests of `reactor` watches.
    pub(crate) fn of(reactor: Arc<Reactor>, guest: Key) -> Self {
        Self {
            reactor,
            guest,
            peer: Arc::default(),
        }
    }

    /// What the same guest's device watches at another reactor.
    pub(crate) fn at(&self, reactor: Arc<Reactor>, guest: Key) -> Self {
        Self {
            reactor,
            guest,
            peer: Arc::clone(&self.peer),
        }
    }

    /// Says `token` as long as `fd` is readable, or has hung up. Ends by itself when `fd` is
    /// closed, and all of its duplicates are.
    ///
    /// # Errors
    /// When `fd` cannot be waited for (a regular file), or is watched already.
    pub fn add(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        self.reactor.add(fd, self.key(token), Trigger::Level)
    }

    /// Looks after `fd` no longer.
    ///
    /// # Errors
    /// When `fd` is not watched.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        self.reactor.remove(fd)
    }

    /// A timer that says `token` once, each time that it was armed and the time has come.
    pub fn timer(&self, token: Token) -> Timer {
        self.reactor.timer(self.key(token))
    }

    /// What other threads have the device hear `token` with.
    pub fn waker(&self, token: Token) -> Waker {
        self.reactor.waker(self.key(token))
    }

    /// The process of the front end that is connected, if the host tells.
    pub fn peer(&self) -> Option<u32> {
        Some(self.peer.load(Ordering::Relaxed)).filter(|&process| process != 0)
    }

    /// Notes the process of the front end that is about to connect, or that none is connected: for who
    /// made the watch with [`new`](Self::new).
    pub fn set_peer(&self, process: Option<u32>) {
        self.peer.store(process.unwrap_or(0), Ordering::Relaxed);
    }

    /// Calls `ready` for what is ready now. Never waits. For who made it with [`new`](Self::new).
    pub fn poll(&self, mut ready: impl FnMut(Token)) {
        let mut keys = Vec::new();
        self.reactor.wait(false, &mut keys);
        for key in keys.into_iter().filter(|&key| key != INTERRUPTED) {
            ready(Token::of(key));
        }
    }

    fn key(&self, Token(token): Token) -> Key {
        self.guest | Key::from(token)
    }
}

impl Token {
    /// The token in a key.
    pub(crate) fn of(key: Key) -> Self {
        let [_, _, _, _, token @ ..] = key.to_be_bytes();
        Self(u32::from_be_bytes(token))
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reactor.as_fd()
    }
}
