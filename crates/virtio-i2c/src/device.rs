// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device: requests become groups, and a group becomes one transaction on the bus.

use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{Level, debug, log};
use virtio_backend::{Device, Queue, Reply, Stopped, Timer, Token, Watch};

use crate::wire::{DirectionBy, ERR, HEADER, OK, Operation, Request};
use crate::{Adapter, Address, Data, MAX_LENGTH, MAX_MESSAGES, Message};

/// `VIRTIO_I2C_F_ZERO_LENGTH_REQUEST`. The specification has a device reject a driver that does not
/// accept it, for which vhost-user has no message. Such drivers exist, and a request of theirs that
/// has bytes has one meaning only: it is served.
const ZERO_LENGTH_REQUEST: u64 = 1 << 0;

/// How often the log names a driver that did not accept [`ZERO_LENGTH_REQUEST`]. A guest may start
/// drivers as often as it likes.
const WARNINGS: Duration = Duration::from_secs(60);

/// How long the rest of a group may take to come. The driver makes one request after the other
/// available, where each is seen at once if the device is looking for more, and kicks after the
/// last.
const REST: Duration = Duration::from_millis(10);

/// The I²C adapter of one guest.
///
/// Requests with FAIL_NEXT and the one after them are a group: one transaction on the bus, without
/// another guest's in between, which succeeds or fails as a whole. A group whose end does not come
/// within 10 ms is transferred as it is: the driver may have run out of descriptors, and waits.
pub struct I2c {
    guest: String,
    adapter: Arc<Adapter>,
    granted: BTreeSet<Address>,
    /// What the driver accepted; until that is known, what it should.
    direction_by: DirectionBy,
    /// When the log last named a driver that did not accept [`ZERO_LENGTH_REQUEST`].
    warned: Option<Instant>,
    /// The last request had FAIL_NEXT: the next one is of the same group.
    open: bool,
    /// A request of the open group failed, and so do the others.
    failing: bool,
    group: Group,
    /// Expires when the rest of the group should have come, if that is waited for.
    rest: Timer,
    waits: bool,
}

/// Requests that wait to be transferred together. It keeps its memory, less than 700 KiB, until a
/// reset.
#[derive(Default)]
struct Group {
    requests: Vec<Waiting>,
    /// The bytes of one request after the other, as the driver sent them or will receive them.
    bytes: Vec<u8>,
}

struct Waiting {
    reply: Reply,
    address: Address,
    direction: Direction,
    /// How many of the group's bytes are its own. A read's have a status at the end.
    length: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

impl I2c {
    /// Longest request that the device accepts, in bytes.
    pub const MAX_REQUEST: usize = HEADER + MAX_LENGTH;

    /// An adapter through which the guest that the log calls `guest` reaches the chips at the
    /// `granted` addresses and no others.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new(
        guest: impl Into<String>,
        adapter: Arc<Adapter>,
        granted: BTreeSet<Address>,
        watch: &Watch,
    ) -> io::Result<Self> {
        Ok(Self {
            guest: guest.into(),
            adapter,
            granted,
            direction_by: DirectionBy::Flag,
            warned: None,
            open: false,
            failing: false,
            group: Group::default(),
            rest: watch.timer(Token(0)),
            waits: false,
        })
    }

    /// The message in a request, if it may be transferred.
    fn permitted<'a>(&self, request: Option<Request<'a>>) -> Option<(Address, Operation<'a>)> {
        let message = request.and_then(|request| request.message);
        match message {
            _ if self.failing => None,
            None => {
                debug!("{}: malformed request", self.guest);
                None
            }
            Some((address, _)) if !self.granted.contains(&address) => {
                debug!("{}: {address}: not granted", self.guest);
                None
            }
            Some(_) if self.group.requests.len() == MAX_MESSAGES => {
                debug!("{}: more than {MAX_MESSAGES} messages", self.guest);
                None
            }
            message => message,
        }
    }

    /// Names a driver that did not accept [`ZERO_LENGTH_REQUEST`].
    fn warn(&mut self) {
        let last = self.warned.filter(|last| last.elapsed() < WARNINGS);
        log!(
            last.map_or(Level::Warn, |_| Level::Debug),
            "{}: the driver did not accept VIRTIO_I2C_F_ZERO_LENGTH_REQUEST: requests without \
             bytes (SMBus Quick, a scan of the bus) are answered with an error",
            self.guest
        );
        self.warned = last.or_else(|| Some(Instant::now()));
    }

    /// Transfers and answers what waits.
    fn transfer(&mut self) {
        if !self.group.requests.is_empty() {
            self.failing = !self.group.transfer(&self.adapter);
        }
    }

    /// The rest of the group has come, or is not waited for any longer.
    fn end_wait(&mut self) {
        if mem::take(&mut self.waits) {
            self.rest.disarm();
        }
    }

    /// The driver's next request is of another group.
    fn end_group(&mut self) {
        (self.open, self.failing) = (false, false);
    }
}

impl Device for I2c {
    fn device_type(&self) -> u32 {
        34
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests]
    }

    fn max_request(&self) -> usize {
        Self::MAX_REQUEST
    }

    fn features(&self) -> u64 {
        ZERO_LENGTH_REQUEST
    }

    fn negotiated(&mut self, features: u64) {
        let before = self.direction_by;
        self.direction_by = match features & ZERO_LENGTH_REQUEST {
            0 => DirectionBy::Bytes,
            _ => DirectionBy::Flag,
        };
        // Also comes when a driver goes on that was named when it started.
        if (before, self.direction_by) == (DirectionBy::Flag, DirectionBy::Bytes) {
            self.warn();
        }
    }

    fn handle(&mut self, _queue: u16, request: &[u8], reply: Reply) {
        self.end_wait();
        let request = Request::parse(request, reply.room(), self.direction_by);
        // What has no header leaves the group as open as it was.
        self.open = request.map_or(self.open, |request| request.fail_next);
        // Nobody knows whether a chip had it already.
        let is_harmful = |&(_, operation): &(Address, Operation<'_>)| {
            reply.is_repeated() && matches!(operation, Operation::Write(_))
        };
        match self
            .permitted(request)
            .filter(|message| !is_harmful(message))
        {
            Some((address, operation)) => self.group.push(address, operation, reply),
            None => {
                refuse(reply);
                self.group.refuse();
                self.failing = true;
            }
        }
        if !self.open {
            self.transfer();
            self.end_group();
        }
    }

    fn drained(&mut self, _queue: u16) {
        if !self.group.requests.is_empty() && !mem::replace(&mut self.waits, true) {
            self.rest.arm(REST);
        }
    }

    fn ready(&mut self, _token: Token) {
        // The rest may have come before this, and another group have begun.
        if mem::take(&mut self.waits) {
            self.transfer();
        }
    }

    fn stop(&mut self, _queue: u16, _stopped: Stopped) {
        self.end_wait();
        self.transfer();
    }

    fn reset(&mut self) {
        self.direction_by = DirectionBy::Flag;
        self.end_wait();
        self.group = Group::default();
        self.end_group();
    }
}

impl Group {
    fn push(&mut self, address: Address, operation: Operation<'_>, reply: Reply) {
        let before = self.bytes.len();
        let direction = match operation {
            Operation::Write(bytes) => {
                self.bytes.extend_from_slice(bytes);
                Direction::Write
            }
            Operation::Read(length) => {
                self.bytes.resize(before + length, 0);
                self.bytes.push(OK);
                Direction::Read
            }
        };
        self.requests.push(Waiting {
            reply,
            address,
            direction,
            length: self.bytes.len() - before,
        });
    }

    /// Transfers the group as one transaction and answers its requests. `false` if it failed.
    fn transfer(&mut self, adapter: &Adapter) -> bool {
        let done = adapter.transfer(&mut self.messages()).is_ok();
        if done {
            self.answer();
        } else {
            self.refuse(); // All of it: which message failed, no bus can say.
        }
        done
    }

    fn messages(&mut self) -> Vec<Message<'_>> {
        let mut bytes = self.bytes.as_mut_slice();
        let requests = self.requests.iter();
        requests
            .map(|request| request.message(request.take(&mut bytes)))
            .collect()
    }

    fn answer(&mut self) {
        let mut bytes = self.bytes.as_mut_slice();
        for request in self.requests.drain(..) {
            let answer = request.take(&mut bytes);
            request.reply.send(match request.direction {
                Direction::Read => answer,
                Direction::Write => &[OK],
            });
        }
        self.bytes.clear();
    }

    /// The last first: at the first error, Linux's driver frees all of a transfer's requests, also those
    /// that are not answered yet (`virtio_i2c_complete_reqs()`, seen with 7.3).
    fn refuse(&mut self) {
        for request in self.requests.drain(..).rev() {
            refuse(request.reply);
        }
        self.bytes.clear();
    }
}

impl Waiting {
    /// Its own bytes, the first of those that are left.
    fn take<'a>(&self, bytes: &mut &'a mut [u8]) -> &'a mut [u8] {
        let (own, others) = mem::take(bytes)
            .split_at_mut_checked(self.length)
            .unwrap_or_default();
        *bytes = others;
        own
    }

    fn message<'a>(&self, bytes: &'a mut [u8]) -> Message<'a> {
        let data = match self.direction {
            Direction::Read => Data::Read(match bytes {
                [bytes @ .., _status] => bytes,
                [] => &mut [],
            }),
            Direction::Write => Data::Write(bytes),
        };
        Message {
            address: self.address,
            data,
        }
    }
}

/// Answers with zeros and the status ERR. A buffer that is longer than any message stays as it is:
/// how long it is, the guest says.
fn refuse(reply: Reply) {
    let mut rest = reply.room();
    if rest > MAX_LENGTH + 1 {
        return reply.send_last(&[ERR]);
    }
    reply.fill(rest, |piece| {
        piece.fill(0);
        rest -= piece.len();
        if let ([.., last], 0) = (piece, rest) {
            *last = ERR;
        }
    });
}
