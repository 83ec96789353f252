// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Listening sockets: bound by us, or handed over by who started us.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};

/// What a guest lacks that has no socket.
pub(super) const NONE: &str =
    "no socket: give --socket-path, --fd or --config, or hand one over in LISTEN_FDS";

/// Where a guest will be found.
pub(super) enum Socket {
    /// A socket that is to be at this path: handed over, or else bound.
    Path(PathBuf),
    /// The one socket that was handed over.
    HandedOver,
}

/// Opens all `sockets`, some of which were `handed_over`, or none. The paths that were bound for
/// that are removed when dropped.
pub(super) fn open(
    sockets: Vec<Socket>,
    mut handed_over: Vec<UnixListener>,
) -> anyhow::Result<(Vec<UnixListener>, Vec<Bound>)> {
    let (mut listeners, mut bound) = (Vec::new(), Vec::new());
    for socket in sockets {
        listeners.push(match socket {
            Socket::HandedOver => match handed_over.pop() {
                Some(listener) if handed_over.is_empty() => listener,
                Some(_) => bail!("LISTEN_FDS: several sockets, for one guest"),
                None => bail!(NONE),
            },
            Socket::Path(wanted) => match handed_over
                .iter()
                .position(|listener| path(listener) == wanted)
            {
                Some(index) => handed_over.swap_remove(index),
                None => {
                    let (listener, ours) = bind(&wanted)?;
                    bound.push(ours);
                    listener
                }
            },
        });
    }
    // Its front ends would wait for ever.
    if let Some(extra) = handed_over.first() {
        bail!(
            "LISTEN_FDS: no guest is served at {}",
            path(extra).display()
        );
    }
    Ok((listeners, bound))
}

/// Where `listener` listens.
pub(super) fn path(listener: &UnixListener) -> PathBuf {
    let address = listener.local_addr().ok();
    address
        .as_ref()
        .and_then(SocketAddr::as_pathname)
        .unwrap_or(Path::new("a socket without a path"))
        .to_owned()
}

/// A path that we bound: removed when dropped, if it is still ours.
#[derive(Debug)]
pub(super) struct Bound {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Binds a socket at `path`. What a daemon that is gone left there is replaced, and nothing else.
fn bind(path: &Path) -> anyhow::Result<(UnixListener, Bound)> {
    let bound = || -> anyhow::Result<_> {
        clear(path)?;
        let listener = UnixListener::bind(path)?;
        let metadata = fs::symlink_metadata(path)?;
        Ok((
            listener,
            Bound {
                path: path.to_owned(),
                identity: (metadata.dev(), metadata.ino()),
            },
        ))
    };
    bound().with_context(|| format!("socket {}", path.display()))
}

/// Makes room for a socket at `path`.
fn clear(path: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            bail!("exists and is not a socket, so it is left alone")
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!("another process listens there"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
        Err(error) => Err(error.into()),
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == self.identity);
        if ours {
            if let Err(error) = fs::remove_file(&self.path) {
                log::warn!("{}: {error}", self.path.display());
            }
        }
    }
}

/// The listening sockets that who started us handed over: that of `--fd`, or those of `LISTEN_FDS`,
/// of which it may be one.
///
/// Comes before anything of ours is open: whatever has such a number then was handed over.
pub(super) fn handed_over(fd: Option<RawFd>) -> anyhow::Result<Vec<UnixListener>> {
    if let Some(fd) = fd {
        return Ok(vec![adopt(fd).with_context(|| format!("--fd {fd}"))?]);
    }
    let fds = sd_notify::listen_fds().context("LISTEN_FDS")?;
    fds.map(|fd| adopt(fd).with_context(|| format!("LISTEN_FDS: {fd}")))
        .collect()
}

fn adopt(fd: RawFd) -> anyhow::Result<UnixListener> {
    if fd <= 2 {
        bail!("standard input, output and error are not to be handed over");
    }
    fs::read_link(format!("/proc/self/fd/{fd}")).context("not open")?;
    #[expect(
        unsafe_code,
        reason = "a number is all that who starts us can say of a file descriptor"
    )]
    // SAFETY: it is open, and ours: who started us handed it over, since nothing else was open when
    // this was called, and nothing else here knows its number.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if socket_domain(&fd).context("not a socket")? != AddressFamily::UNIX
        || socket_type(&fd)? != SocketType::STREAM
    {
        bail!("not a Unix stream socket");
    }
    if !socket_acceptconn(&fd)? {
        bail!("a connected socket: hand over a listening one");
    }
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(UnixListener::from(fd))
}
