// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Who is at the other end of a session.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::net::sockopt::socket_acceptconn;
use rustix::net::{SocketAddrAny, getsockname};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// The process that connected to `listener` last, when one session is open there.
///
/// vhost-user-backend accepts the connection and shows it to nobody. It is found among our own file
/// descriptors by the address that it has from its listener. The kernel hands out a duplicate of
/// each that is looked at: a number alone might be another file's by the time it is used.
pub(super) fn process(listener: &UnixListener) -> io::Result<u32> {
    let address = getsockname(listener)?;
    let ours = pidfd_open(getpid(), PidfdFlags::empty())?;
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_socket = fs::read_link(entry.path())
            .is_ok_and(|to| to.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let (true, Some(number)) = (is_socket, number) else {
            continue;
        };
        let socket = pidfd_getfd(&ours, number, PidfdGetfdFlags::empty());
        if let Some(process) = socket.ok().and_then(|socket| peer(&socket, &address)) {
            return Ok(process);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The process at the other end of `socket`, if it was accepted at `address`.
fn peer(socket: &OwnedFd, address: &SocketAddrAny) -> Option<u32> {
    let is_accepted = getsockname(socket.as_fd()).is_ok_and(|its| its == *address)
        && !socket_acceptconn(socket).ok()?;
    // 0 is a process that our PID namespace does not have. rustix has no value for it.
    let process = getsockopt(socket, PeerCredentials).ok()?.pid();
    u32::try_from(process)
        .ok()
        .filter(|&process| is_accepted && process != 0)
}
