// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A session without a worker, for fuzzing: what a front end says is done on the caller's thread.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::io::IoSlice;
use std::mem::{self, MaybeUninit};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};

use super::lost::survive;
use super::notice::Notices;
use super::queues::Host;
use super::session::{End, Session};
use super::source::Source;
use crate::reactor::{INTERRUPTED, Reactor};
use crate::{Device, Watch};

/// How often a session may have more to do about what a front end said. One that has more to do
/// after that has no end.
const TURNS: usize = 10_000;

/// Most file descriptors that come with a piece of a message.
const FILES: usize = 64;

/// A front end's dialogue with a session, whose rest a worker does elsewhere.
pub struct Dialogue<D: Device> {
    device: D,
    session: Option<Session>,
    socket: OwnedFd,
    reactor: Arc<Reactor>,
    request: Vec<u8>,
    notices: Notices,
    /// A ring had more than for its turn.
    again: bool,
}

impl<D: Device> Dialogue<D> {
    /// A front end connects to the device that `make` makes.
    pub fn new(make: impl FnOnce(&Watch) -> D) -> Self {
        survive();
        let reactor = Reactor::new().unwrap();
        let mut device = make(&Watch::of(Arc::clone(&reactor), 0));
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        device.connected();
        let session = Session::new(theirs, &device, false, &reactor, 0).unwrap();
        Self {
            device,
            session: Some(session),
            socket,
            reactor,
            request: Vec::new(),
            notices: Notices::new(1),
            again: false,
        }
    }

    /// The front end sends `bytes`, the first of them with `files`, of which there are at most 64.
    /// Returns what the session answers, when it has nothing more to do.
    ///
    /// # Panics
    /// If the session always has more to do.
    pub fn say(&mut self, mut bytes: &[u8], files: &[BorrowedFd<'_>]) -> Vec<u8> {
        let mut files = files.get(..FILES).unwrap_or(files);
        let mut answers = Vec::new();
        for _ in 0..TURNS {
            if !bytes.is_empty() {
                match send(&self.socket, bytes, files) {
                    Ok(sent) => {
                        bytes = bytes.get(sent..).unwrap_or_default();
                        files = &[];
                    }
                    Err(Errno::AGAIN) => {}
                    // The session has ended.
                    Err(_) => bytes = &[],
                }
            }
            let more = self.turn();
            let read = receive(&self.socket, &mut answers);
            if bytes.is_empty() && !more && !read {
                return answers;
            }
        }
        panic!("the session never rests");
    }

    /// Whether the session has not ended.
    pub fn goes_on(&self) -> bool {
        self.session.is_some()
    }

    /// Does what there is to do. `true` if there may be more.
    fn turn(&mut self) -> bool {
        let mut ready = Vec::new();
        self.reactor.wait(false, &mut ready);
        let mut more = !ready.is_empty();
        for source in ready.into_iter().filter(|&key| key != INTERRUPTED) {
            more |= self.happened(Source::of(source));
        }
        if mem::take(&mut self.again) {
            // All of them are looked at, whichever is asked for.
            more |= self.happened(Source::Look);
        }
        more |= self.happened(Source::Socket);
        let lost = |session: &mut Session| session.queues().is_lost();
        if self.session.as_mut().is_some_and(lost) {
            self.end();
        }
        more
    }

    fn happened(&mut self, source: Source) -> bool {
        let Some(session) = &mut self.session else {
            return false;
        };
        let mut host = Host {
            name: "dialogue",
            device: &mut self.device,
            request: &mut self.request,
            polls: false,
            reactor: &self.reactor,
            comings: &self.notices,
            warnings: &self.notices,
        };
        let happened = match source {
            Source::Kick(queue) => {
                self.again |= session.kicked(queue, &mut host);
                Ok(self.again)
            }
            Source::Look => {
                self.again |= session.look(&mut host);
                Ok(self.again)
            }
            Source::Watch(token) => {
                self.again |= session.queues().ready(token, &mut host);
                Ok(self.again)
            }
            Source::Idle => session.idle(&mut host),
            Source::Overdue => session.overdue(&mut host),
            Source::Socket | Source::Listener | Source::Retry => session.converse(&mut host),
        };
        match happened {
            Ok(more) => more,
            Err(End(_)) => {
                self.end();
                false
            }
        }
    }

    fn end(&mut self) {
        if let Some(mut session) = self.session.take() {
            session.queues().close(&self.reactor);
            drop(session);
            self.device.disconnected();
        }
    }
}

impl<D: Device> Drop for Dialogue<D> {
    fn drop(&mut self) {
        self.end();
    }
}

fn send(socket: &OwnedFd, bytes: &[u8], files: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(files)));
    }
    sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )
}

/// Reads all that there is. `true` if there is something.
fn receive(socket: &OwnedFd, answers: &mut Vec<u8>) -> bool {
    let before = answers.len();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = rustix::io::read(socket, &mut piece) {
        answers.extend_from_slice(piece.get(..read).expect("what was read"));
    }
    answers.len() > before
}
