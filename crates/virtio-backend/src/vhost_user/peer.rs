// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Who is at the other end of a session.

use std::os::fd::BorrowedFd;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// The process that connected `socket`, if our PID namespace has it.
pub(super) fn process(socket: BorrowedFd<'_>) -> Option<u32> {
    // 0 is a process that our PID namespace does not have. rustix has no value for it.
    let process = getsockopt(&socket, PeerCredentials).ok()?.pid();
    u32::try_from(process).ok().filter(|&process| process != 0)
}
