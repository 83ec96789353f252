// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Sockets of those that we act through.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connects to a socket that has to be `process`'s, if that is known: otherwise we would act on
/// another machine. Says whose it is. Does not wait: a listener that is busy is an error. Writing has
/// a `limit`.
pub(super) fn connect(
    path: &Path,
    process: Option<u32>,
    limit: Duration,
) -> io::Result<(UnixStream, u32)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let peer = socket_peercred(&socket)?.pid.as_raw_nonzero().get();
    let peer = u32::try_from(peer).map_err(io::Error::other)?;
    if let Some(process) = process.filter(|process| *process != peer) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("it is process {peer}'s, and the guest is in process {process}"),
        ));
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(limit))?;
    Ok((stream, peer))
}
