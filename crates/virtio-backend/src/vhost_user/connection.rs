// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A front end's socket: messages in, answers out, neither of which is waited for.
//!
//! ```text
//! bytes  0..4      4..8      8..12    12..12+size
//!        request   flags     size     payload
//! ```
//! All in the host's byte order (vhost-user, "Message Specification"). File descriptors come along
//! with any of a message's bytes.

use std::io::{IoSlice, IoSliceMut};
use std::mem::{self, MaybeUninit};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
};
use vhost::vhost_user::message::{FrontendReq, MAX_ATTACHED_FD_ENTRIES, MAX_MSG_SIZE};
use vm_memory::ByteValued;

const HEADER: usize = 12;
const VERSION: u32 = 1;
const VERSION_MASK: u32 = 3;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// What a message keeps in memory between two messages, in bytes. Few are longer.
const KEPT: usize = 512;

/// One end of the socket, which never blocks.
pub(super) struct Connection {
    socket: OwnedFd,
    /// What has come of a message, header included.
    incoming: Vec<u8>,
    files: Vec<OwnedFd>,
    /// What is left of answers that did not fit into the socket.
    outgoing: Vec<u8>,
}

/// What the front end said.
pub(super) enum Received {
    Message(Message),
    /// Nothing, or a part of a message.
    Nothing,
    /// It has gone, or speaks something else: why, if it has not just gone.
    End(Option<&'static str>),
}

/// A message of the front end.
pub(super) struct Message {
    /// The number of the request, which need not be one that is known.
    pub(super) request: u32,
    /// The front end asks whether it was done, if REPLY_ACK was accepted.
    pub(super) need_reply: bool,
    payload: Vec<u8>,
    pub(super) files: Vec<OwnedFd>,
}

impl Connection {
    /// `socket` does not block.
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            incoming: Vec::new(),
            files: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    /// Reads the next message, as far as it has come.
    pub(super) fn receive(&mut self) -> Received {
        loop {
            let wanted = match self.missing() {
                Ok(0) => return Received::Message(self.take()),
                Ok(wanted) => wanted,
                Err(fault) => return Received::End(Some(fault)),
            };
            let start = self.incoming.len();
            self.incoming.resize(start + wanted, 0);
            let got = self.read(start);
            self.incoming.truncate(start + *got.as_ref().unwrap_or(&0));
            match got {
                Ok(0) if start == 0 => return Received::End(None),
                Ok(0) => return Received::End(Some("in the middle of a message")),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Received::Nothing,
                Err(Errno::CONNRESET) => return Received::End(None),
                Err(_) => return Received::End(Some("its socket fails")),
            }
        }
    }

    /// Whether a message has begun, and not ended.
    pub(super) fn is_within_message(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Whether the front end has gone, as far as can be told without reading what it said before.
    pub(super) fn has_ended(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(&self.socket, &mut [0; 1], flags), Ok((_, 0)))
    }

    /// How many bytes are still to come of what has begun: the header, or the message.
    fn missing(&self) -> Result<usize, &'static str> {
        let Some(&[_, _, _, _, f0, f1, f2, f3, s0, s1, s2, s3]) =
            self.incoming.first_chunk::<HEADER>()
        else {
            return Ok(HEADER - self.incoming.len());
        };
        let size = u32::from_ne_bytes([s0, s1, s2, s3]) as usize;
        if u32::from_ne_bytes([f0, f1, f2, f3]) & VERSION_MASK != VERSION || size > MAX_MSG_SIZE {
            return Err("what it says is not vhost-user");
        }
        Ok(HEADER + size - self.incoming.len())
    }

    fn take(&mut self) -> Message {
        let word = |at: usize| {
            let bytes = self.incoming.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
        };
        let (request, flags) = (word(0), word(4));
        let payload = self.incoming.get(HEADER..).unwrap_or_default().to_vec();
        self.incoming.clear();
        self.incoming.shrink_to(KEPT);
        Message {
            request,
            need_reply: flags & NEED_REPLY != 0,
            payload,
            files: mem::take(&mut self.files),
        }
    }

    fn read(&mut self, start: usize) -> Result<usize, Errno> {
        const SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_ATTACHED_FD_ENTRIES));
        let mut space = [MaybeUninit::uninit(); SPACE];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = self.incoming.get_mut(start..).unwrap_or_default();
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let got = recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(into)],
            &mut control,
            flags,
        )?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        // Those that no message has are closed.
        self.files.truncate(MAX_ATTACHED_FD_ENTRIES);
        Ok(got.bytes)
    }

    /// Answers the request with this payload, and a file descriptor if there is one.
    pub(super) fn answer(&mut self, request: u32, payload: &[u8], file: Option<BorrowedFd<'_>>) {
        let size = u32::try_from(payload.len()).unwrap_or(0);
        for word in [request, VERSION | REPLY, size] {
            self.outgoing.extend_from_slice(&word.to_ne_bytes());
        }
        self.outgoing.extend_from_slice(payload);
        self.flush_with(file);
    }

    /// Sends what is left, as far as the socket takes it. `false` while some is left.
    pub(super) fn flush(&mut self) -> bool {
        self.flush_with(None);
        self.outgoing.is_empty()
    }

    fn flush_with(&mut self, file: Option<BorrowedFd<'_>>) {
        let mut file = file.as_slice();
        while !self.outgoing.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !file.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(file));
            }
            let bytes = [IoSlice::new(&self.outgoing)];
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match sendmsg(&self.socket, &bytes, &mut control, flags) {
                Ok(sent) => {
                    self.outgoing.drain(..sent);
                    file = &[];
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // It has gone, which reading tells.
                Err(_) => self.outgoing.clear(),
            }
        }
        if self.outgoing.is_empty() {
            self.outgoing.shrink_to(KEPT);
        }
    }
}

impl Message {
    /// What is asked, if it is known.
    pub(super) fn request(&self) -> Option<FrontendReq> {
        FrontendReq::try_from(self.request).ok()
    }

    /// The payload, or its beginning. `None` if it is shorter than this.
    pub(super) fn payload<T: ByteValued + Default>(&self) -> Option<T> {
        self.payload_at(0)
    }

    /// What is in the payload from this byte on. `None` if it is shorter than this.
    pub(super) fn payload_at<T: ByteValued + Default>(&self, offset: usize) -> Option<T> {
        let mut value = T::default();
        let bytes = self.payload.get(offset..)?.get(..size_of::<T>())?;
        value.as_mut_slice().copy_from_slice(bytes);
        Some(value)
    }

    /// The one file descriptor that comes along. More are closed.
    pub(super) fn file(&mut self) -> Option<OwnedFd> {
        let mut files = mem::take(&mut self.files);
        files.truncate(1);
        files.pop()
    }
}
