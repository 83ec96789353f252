// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Commands, and messages to others on the host.

use std::env;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use close_fds::set_fds_cloexec_threadsafe;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Runs a command, without a shell, which is ended with all that it started after this `limit`.
/// It learns which guest this is about from `VIRTIO_WATCHDOG_GUEST`, in the configuration's words,
/// and of what happened from `VIRTIO_WATCHDOG_CAUSE`, in ours: the guest says nothing to it.
pub(super) fn run(command: &[String], guest: &str, cause: &str, limit: Duration) -> io::Result<()> {
    let (program, arguments) = command.split_first().ok_or(ErrorKind::InvalidInput)?;
    // A front end's file descriptors, or our own parent's: not all are marked when they are made.
    set_fds_cloexec_threadsafe(3, &[]);
    let mut child = Command::new(program)
        .args(arguments)
        .env("VIRTIO_WATCHDOG_GUEST", guest)
        .env("VIRTIO_WATCHDOG_CAUSE", cause)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()?;
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let id = id.ok_or(ErrorKind::InvalidData)?;
    let in_time = ends_within(id, limit);
    if !matches!(in_time, Ok(true)) {
        // Fails when it has just ended by itself.
        kill_process_group(id, Signal::KILL).ok();
    }
    let status = child.wait()?;
    if !in_time? {
        let why = format!("took longer than {} s", limit.as_secs_f64());
        return Err(io::Error::new(ErrorKind::TimedOut, why));
    }
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(status.to_string()))
    }
}

/// Waits for the end of a child of ours.
fn ends_within(child: Pid, limit: Duration) -> io::Result<bool> {
    let ended = pidfd_open(child, PidfdFlags::empty())?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&left)) {
            // A signal, such as that of the end of a child of ours.
            Err(Errno::INTR) => {}
            ended => return Ok(ended? > 0),
        }
    }
}

/// Restarts a unit of systemd. That it is about to is all that is waited for.
pub(super) fn restart_unit(
    unit: &str,
    guest: &str,
    cause: &str,
    limit: Duration,
) -> io::Result<()> {
    let command = ["systemctl", "--no-block", "restart", "--", unit].map(str::to_owned);
    run(&command, guest, cause, limit)
}

/// Sends `message` to the datagram socket at `path`, or to who started us as a status.
pub(super) fn notify(path: Option<&Path>, message: &str) -> io::Result<()> {
    let Some(path) = path else {
        if env::var_os("NOTIFY_SOCKET").is_none() {
            return Err(io::Error::new(ErrorKind::NotFound, "no NOTIFY_SOCKET"));
        }
        return sd_notify::notify(&[sd_notify::NotifyState::Status(message)]);
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(message.as_bytes(), path).map(drop)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
    use rustix::io::retry_on_intr;
    use virtio_backend::testing::LIMIT;

    use super::*;

    fn command(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_command_gets_its_arguments_as_they_are_and_who_it_is_about() {
        let test = "test \"$1 $2\" = '; false a  b' && test $VIRTIO_WATCHDOG_GUEST = radio \
                    && test \"$VIRTIO_WATCHDOG_CAUSE\" = boot";
        let command = command(&["/bin/sh", "-c", test, "sh", "; false", "a  b"]);
        run(&command, "radio", "boot", LIMIT).unwrap();
    }

    #[test]
    fn a_command_that_fails_or_is_not_there_is_an_error() {
        let failed = run(&command(&["/bin/sh", "-c", "exit 3"]), "", "", LIMIT);
        assert!(failed.unwrap_err().to_string().contains('3'));
        let missing = run(&command(&["/nonexistent"]), "", "", LIMIT);
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
        run(&[], "", "", LIMIT).unwrap_err();
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fifo = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        // Two processes that hold the fifo open for writing, and wait for ever.
        let hang = "exec 3<>\"$1\"; cat <&3 & cat <&3";
        let command = command(&["/bin/sh", "-c", hang, "sh", path.to_str().unwrap()]);
        let hung = run(&command, "", "", Duration::from_secs(2));
        assert_eq!(hung.unwrap_err().kind(), ErrorKind::TimedOut);
        // Hangs up when nobody has it open for writing.
        let limit = Timespec::try_from(LIMIT).unwrap();
        let mut fds = [PollFd::new(&fifo, PollFlags::IN)];
        let ended = retry_on_intr(|| poll(&mut fds, Some(&limit)));
        assert_eq!(ended, Ok(1));
        assert!(fds[0].revents().contains(PollFlags::HUP));
    }

    #[test]
    fn a_message_arrives_at_a_datagram_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        notify(Some(&path), "{}").unwrap();
        let mut bytes = [0; 16];
        assert_eq!(socket.recv(&mut bytes).unwrap(), 2);
        // Not one that was: a child that another test is about to start may still hold it.
        notify(Some(&folder.path().join("nowhere")), "{}").unwrap_err();
    }
}
