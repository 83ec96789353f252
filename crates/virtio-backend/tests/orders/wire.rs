// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Messages as bytes (vhost-user, "Message Specification"), written and read without a library.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | request |
//! | 4..8 | flags: version 1, bit 2 an answer, bit 3 a wish for one |
//! | 8..12 | size of the payload |

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use virtio_backend::testing::LIMIT;

pub(crate) const GET_FEATURES: u32 = 1;
pub(crate) const SET_FEATURES: u32 = 2;
pub(crate) const SET_OWNER: u32 = 3;
pub(crate) const SET_MEM_TABLE: u32 = 5;
pub(crate) const SET_LOG_BASE: u32 = 6;
pub(crate) const SET_LOG_FD: u32 = 7;
pub(crate) const SET_VRING_NUM: u32 = 8;
pub(crate) const SET_VRING_ADDR: u32 = 9;
pub(crate) const SET_VRING_BASE: u32 = 10;
pub(crate) const GET_VRING_BASE: u32 = 11;
pub(crate) const SET_VRING_KICK: u32 = 12;
pub(crate) const SET_VRING_CALL: u32 = 13;
pub(crate) const SET_VRING_ERR: u32 = 14;
pub(crate) const GET_PROTOCOL_FEATURES: u32 = 15;
pub(crate) const SET_PROTOCOL_FEATURES: u32 = 16;
pub(crate) const GET_QUEUE_NUM: u32 = 17;
pub(crate) const SET_VRING_ENABLE: u32 = 18;
pub(crate) const SET_BACKEND_REQ_FD: u32 = 21;
pub(crate) const GET_CONFIG: u32 = 24;
pub(crate) const GET_INFLIGHT_FD: u32 = 31;
pub(crate) const SET_INFLIGHT_FD: u32 = 32;
pub(crate) const RESET_DEVICE: u32 = 34;
pub(crate) const ADD_MEM_REG: u32 = 37;
pub(crate) const REM_MEM_REG: u32 = 38;

pub(crate) const NEED_REPLY: u32 = 1 << 3;
const VERSION: u32 = 1;
const ANSWER: u32 = 1 << 2;

/// A front end's end of the socket.
pub(crate) struct Wire {
    pub(crate) socket: UnixStream,
    /// Wants to know of each message whether it was done.
    pub(crate) asks: bool,
}

impl Wire {
    pub(crate) fn connect(socket: &Path) -> Self {
        let socket = UnixStream::connect(socket).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
        Self {
            socket,
            asks: false,
        }
    }

    /// Asks for something, and returns the answer's payload. `None` if the back end hangs up.
    pub(crate) fn ask(&self, request: u32, payload: &[u8]) -> Option<Vec<u8>> {
        self.send(&message(request, 0, payload), &[]);
        self.answer(request)
    }

    /// Asks for a number.
    #[track_caller]
    pub(crate) fn number(&self, request: u32) -> u64 {
        let answer = self.ask(request, &[]).unwrap();
        u64::from_ne_bytes(answer.try_into().unwrap())
    }

    /// Says something that the back end has to do, without which the test cannot go on.
    #[track_caller]
    pub(crate) fn tell(&self, request: u32, payload: &[u8], files: &[BorrowedFd<'_>]) {
        if self.asks {
            assert!(self.is_done(request, payload, files), "message {request}");
        } else {
            self.send(&message(request, 0, payload), files);
        }
    }

    /// Says something, and wants to know of that whether it was done.
    #[track_caller]
    pub(crate) fn is_done(&self, request: u32, payload: &[u8], files: &[BorrowedFd<'_>]) -> bool {
        self.send(&message(request, NEED_REPLY, payload), files);
        self.answer(request).unwrap() == 0_u64.to_ne_bytes()
    }

    /// Sends these bytes, and the files with the first of them.
    #[track_caller]
    pub(crate) fn send(&self, bytes: &[u8], files: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(files)));
        let pieces = [IoSlice::new(bytes)];
        let sent = sendmsg(&self.socket, &pieces, &mut control, SendFlags::NOSIGNAL).unwrap();
        (&self.socket).write_all(&bytes[sent..]).unwrap();
    }

    /// The payload of the answer to `request`. `None` if the back end hangs up.
    #[track_caller]
    pub(crate) fn answer(&self, request: u32) -> Option<Vec<u8>> {
        let mut header = [0; 12];
        (&self.socket).read_exact(&mut header).ok()?;
        let size = header_word(&header, 8);
        let mut payload = vec![0; size.try_into().unwrap()];
        (&self.socket).read_exact(&mut payload).ok()?;
        assert_eq!(header_word(&header, 0), request);
        assert_eq!(header_word(&header, 4), VERSION | ANSWER);
        Some(payload)
    }

    /// The same with the file descriptor that may come with it.
    #[track_caller]
    pub(crate) fn answer_with_file(&self, request: u32) -> (Vec<u8>, Option<OwnedFd>) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        // The first byte alone, which the file comes with, and which is looked at again.
        let flags = RecvFlags::PEEK;
        recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut [0])],
            &mut control,
            flags,
        )
        .unwrap();
        let file = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        (self.answer(request).unwrap(), file)
    }

    /// Waits for so long until the back end hangs up. `false` if it does not. Reads nothing.
    pub(crate) fn is_hung_up(&self, within: Duration) -> bool {
        let within = Timespec::try_from(within).unwrap();
        let mut polled = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        matches!(poll(&mut polled, Some(&within)), Ok(1))
    }
}

/// A message of a front end.
pub(crate) fn message(request: u32, flags: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap();
    [&words(&[request, VERSION | flags, size]), payload].concat()
}

/// Words of 32 bits.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Words of 64 bits.
pub(crate) fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_ne_bytes()).collect()
}

fn header_word(header: &[u8; 12], at: usize) -> u32 {
    u32::from_ne_bytes(header[at..at + 4].try_into().unwrap())
}

/// Waits until `file` is readable. `false` if it never is.
pub(crate) fn is_readable(file: impl AsFd) -> bool {
    let within = Timespec::try_from(LIMIT).unwrap();
    matches!(
        poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&within)),
        Ok(1)
    )
}
