// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The duty to answer a request, and the means to say something unasked.

use std::fmt;
use std::ops::Range;
use std::sync::Weak;

/// A queue as replies and events see it: the transport's half of the contract.
///
/// The core implements it over vhost-user's rings. A VMM that links a device into its own process
/// implements it over its own.
///
/// All methods may be called from any thread, and do nothing for a `life` of the queue that has
/// ended: a life begins when the driver sets the queue up and ends with the device's reset.
pub trait Ring: Send + Sync {
    /// Returns `chain`, as the ring numbers it, to the driver, with the bytes `range` of its writable
    /// part filled from `source`, which is asked for them in order, in pieces. The
    /// range is not beyond the chain's room. The used length is its end if it begins at 0, and
    /// else 0, since the bytes before are not written.
    fn answer(&self, life: u32, chain: u16, range: Range<usize>, source: &mut dyn FnMut(&mut [u8]));

    /// Puts `message` into the next buffer that the driver lent; without a buffer keeps it until
    /// there is one, or drops it. `false` if it was not taken: it was dropped, the life has ended,
    /// or as many as the queue holds wait already.
    fn emit(&self, life: u32, message: &[u8], urgency: Urgency) -> bool;
}

/// What to do with an event while the driver has lent no buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Keep it: it must not be lost.
    Keep,
    /// Drop it.
    Drop,
}

/// The duty to answer one request exactly once: now, or minutes later, from any thread.
///
/// A reply that is dropped answers with length 0. After the guest's reset a reply does nothing, and
/// holds nothing alive: neither the guest's memory nor its ring.
#[must_use = "dropping a reply answers the driver with nothing"]
pub struct Reply {
    /// `None` once it has answered.
    ring: Option<Weak<dyn Ring>>,
    life: u32,
    chain: u16,
    room: usize,
    is_repeated: bool,
}

impl Reply {
    /// A reply to `chain`, which has `room` writable bytes, in the ring's current `life`.
    pub fn new(ring: Weak<dyn Ring>, life: u32, chain: u16, room: usize) -> Self {
        Self {
            ring: Some(ring),
            life,
            chain,
            room,
            is_repeated: false,
        }
    }

    /// The same to a request that [may have been carried out](Self::is_repeated).
    pub fn repeated(mut self, is_repeated: bool) -> Self {
        self.is_repeated = is_repeated;
        self
    }

    /// Whether the request was in work when the daemon before this one ended: it may have been carried
    /// out. A device answers one with an error that does harm when it is carried out twice.
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// How many bytes the driver left room for.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Answers with `bytes`, cut to the [`room`](Self::room) there is.
    pub fn send(self, bytes: &[u8]) {
        self.fill(bytes.len(), pieces_of(bytes));
    }

    /// Answers with `length` bytes, cut to the [`room`](Self::room) there is, which `source`
    /// provides in pieces.
    ///
    /// `source` runs while the queue is locked: it must not answer another request. It is not
    /// called when the guest was reset. While the queue is stopped the answer waits in memory, so a
    /// device whose answers have no natural bound sets one.
    pub fn fill(mut self, length: usize, mut source: impl FnMut(&mut [u8])) {
        self.answer(0..length.min(self.room), &mut source);
    }

    /// Answers with `bytes` as the last of the [`room`](Self::room) there is, and says that nothing
    /// was written: a status at the end, behind a buffer that is too long to be filled.
    pub fn send_last(mut self, bytes: &[u8]) {
        let bytes = bytes.get(..self.room).unwrap_or(bytes);
        self.answer(self.room - bytes.len()..self.room, &mut pieces_of(bytes));
    }

    fn answer(&mut self, range: Range<usize>, source: &mut dyn FnMut(&mut [u8])) {
        if let Some(ring) = self.ring.take().and_then(|ring| ring.upgrade()) {
            ring.answer(self.life, self.chain, range, source);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.answer(0..0, &mut |_| {});
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("chain", &self.chain)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

/// A source that provides `bytes`.
pub(crate) fn pieces_of(bytes: &[u8]) -> impl FnMut(&mut [u8]) {
    let mut rest = bytes;
    move |piece| {
        if let Some((now, later)) = rest.split_at_checked(piece.len()) {
            piece.copy_from_slice(now);
            rest = later;
        }
    }
}

/// Says that a queue has stopped, when it is dropped: see [`Device::stop`](crate::Device::stop).
#[derive(Default)]
pub struct Stopped(Option<Box<dyn FnOnce() + Send>>);

impl Stopped {
    /// Calls `say` when it is dropped, on whatever thread.
    pub fn new(say: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(say)))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(say) = self.0.take() {
            say();
        }
    }
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopped").finish_non_exhaustive()
    }
}

/// The buffers that the driver lent on an [event queue](crate::Queue::Events), for messages of the
/// device's own accord.
#[derive(Clone)]
pub struct Events {
    ring: Weak<dyn Ring>,
    life: u32,
}

impl Events {
    /// The events of `ring`'s current `life`.
    pub fn new(ring: Weak<dyn Ring>, life: u32) -> Self {
        Self { ring, life }
    }

    /// Sends `message`, at the latest when the driver lends a buffer. Messages arrive in order,
    /// each cut to its buffer.
    ///
    /// `false` if it was not taken: the guest was reset, or as many messages wait already as the
    /// queue has entries.
    #[must_use = "a message that was not taken is lost"]
    pub fn send(&self, message: &[u8]) -> bool {
        self.emit(message, Urgency::Keep)
    }

    /// Sends `message` if the driver has lent a buffer for it, and drops it otherwise.
    ///
    /// `false` if it was dropped. When the driver lends buffers again,
    /// [`Device::lent`](crate::Device::lent) tells.
    pub fn offer(&self, message: &[u8]) -> bool {
        self.emit(message, Urgency::Drop)
    }

    fn emit(&self, message: &[u8], urgency: Urgency) -> bool {
        self.ring
            .upgrade()
            .is_some_and(|ring| ring.emit(self.life, message, urgency))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}
