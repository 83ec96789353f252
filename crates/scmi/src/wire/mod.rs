// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Little-endian words in and out, never beyond the room there is (SCMI 3.2, message headers).

pub(crate) mod status;
pub(crate) mod values;

use crate::Status;

/// Longest return values, in bytes. A message has 128 on Linux's transports, and its raw mode counts the status among
/// them.
const MAX_VALUES: usize = 124;

/// Header and status.
const PREFIX: usize = 8;

/// Names in attributes: 15 characters and a NUL.
const SHORT_NAME: usize = 16;
/// Names of their own, since SCMI 3.1: 63 characters and a NUL.
const LONG_NAME: usize = 64;

/// The first word of every message.
///
/// | bits | field |
/// |---|---|
/// | 7:0 | message_id |
/// | 9:8 | message_type |
/// | 17:10 | protocol_id |
/// | 27:18 | token |
/// | 31:28 | reserved |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(pub(crate) u32);

/// What a header calls `message_type`, which is 0 in a command and its response.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    DelayedResponse = 2,
    Notification = 3,
}

impl Header {
    const TYPE: u32 = 0x3 << 8;

    pub(crate) fn notification(protocol: u8, message: u8) -> Self {
        Self(u32::from(message) | u32::from(protocol) << 10).with(Type::Notification)
    }

    pub(crate) fn with(self, message_type: Type) -> Self {
        Self(self.0 & !Self::TYPE | (message_type as u32) << 8)
    }

    pub(crate) fn is_command(self) -> bool {
        self.0 & Self::TYPE == 0
    }

    pub(crate) fn message(self) -> u8 {
        let [message, ..] = self.0.to_le_bytes();
        message
    }

    pub(crate) fn protocol(self) -> u8 {
        let [protocol, ..] = (self.0 >> 10).to_le_bytes();
        protocol
    }
}

/// The parameters of a command. Reading beyond their end is the agent's fault: it sent too little. More than is read
/// may be there; a later version of a message is longer.
pub(crate) struct Request<'a>(pub(crate) &'a [u8]);

impl Request<'_> {
    pub(crate) fn word(&mut self) -> Result<u32, Status> {
        let (word, rest) = self.0.split_first_chunk().ok_or(Status::ProtocolError)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    /// A low word, then a high one.
    pub(crate) fn double(&mut self) -> Result<u64, Status> {
        Ok(u64::from(self.word()?) | u64::from(self.word()?) << 32)
    }
}

/// A message to an agent, as it grows.
pub(crate) struct Response<'a> {
    bytes: &'a mut [u8],
    length: usize,
    /// Something did not fit.
    cut: bool,
}

impl<'a> Response<'a> {
    /// Nothing yet, in `bytes`.
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        let length = bytes.len().min(PREFIX + MAX_VALUES);
        Self {
            bytes: bytes.split_at_mut_checked(length).unwrap_or_default().0,
            length: 0,
            cut: false,
        }
    }

    /// Room for a status, and for its values behind it, in `bytes`. `None` if there is none even for the status.
    pub(crate) fn begin(bytes: &'a mut [u8], header: Header) -> Option<Self> {
        let mut response = Self::new(bytes);
        response.word(header.0);
        response.word(0);
        (!response.cut).then_some(response)
    }

    /// The status and the values that were added; just the status if it is an error, of an agent that left too little
    /// room for instance. Returns the length.
    pub(crate) fn end(mut self, status: Result<(), Status>) -> usize {
        if let Err(status) = status.and(self.complete()) {
            self.length = 4;
            self.bytes_le(status.code().to_le_bytes());
        }
        self.length
    }

    /// A notification, to which values are added.
    pub(crate) fn event(bytes: &'a mut [u8], header: Header) -> Self {
        let mut event = Self::new(bytes);
        event.word(header.0);
        event
    }

    /// The length of a notification. `None` if it does not fit or there is nothing to say.
    pub(crate) fn end_event(self, said: Result<(), Status>) -> Option<usize> {
        said.and(self.complete()).ok()?;
        Some(self.length)
    }

    fn complete(&self) -> Result<(), Status> {
        if self.cut {
            return Err(Status::ProtocolError);
        }
        Ok(())
    }

    /// How many more bytes there is room for.
    pub(crate) fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.length)
    }

    pub(crate) fn word(&mut self, word: u32) {
        self.bytes_le(word.to_le_bytes());
    }

    /// A low word, then a high one.
    pub(crate) fn double(&mut self, double: u64) {
        self.bytes_le(double.to_le_bytes());
    }

    /// A value to be filled in by [`set`](Self::set) when it is known.
    pub(crate) fn reserve(&mut self) -> usize {
        let at = self.length;
        self.word(0);
        at
    }

    pub(crate) fn set(&mut self, at: usize, word: u32) {
        if let Some(to) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *to = word.to_le_bytes();
        }
    }

    /// A short name, cut to what fits.
    pub(crate) fn short_name(&mut self, name: &[u8]) {
        self.name(name, SHORT_NAME);
    }

    /// A long name, cut to what fits.
    pub(crate) fn long_name(&mut self, name: &[u8]) {
        self.name(name, LONG_NAME);
    }

    fn name(&mut self, name: &[u8], length: usize) {
        let field = self.bytes.get_mut(self.length..self.length + length);
        let Some(field) = field else {
            self.cut = true;
            return;
        };
        field.fill(0);
        // The last byte is a NUL.
        for (to, from) in field.iter_mut().zip(name).take(length - 1) {
            *to = *from;
        }
        self.length += length;
    }

    fn bytes_le<const LENGTH: usize>(&mut self, bytes: [u8; LENGTH]) {
        let rest = self.bytes.get_mut(self.length..);
        match rest.and_then(<[u8]>::first_chunk_mut) {
            Some(to) => {
                *to = bytes;
                self.length += LENGTH;
            }
            None => self.cut = true,
        }
    }
}

/// Whether a name needs a message of its own.
pub(crate) fn is_long(name: &[u8]) -> bool {
    name.len() >= SHORT_NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_their_fields_where_the_specification_says() {
        let header = Header(0x0aac_5107);
        assert!(!header.is_command());
        assert_eq!((header.message(), header.protocol()), (0x07, 0x14));
        assert_eq!(header.with(Type::DelayedResponse), Header(0x0aac_5207));
        assert_eq!(Header::notification(0x15, 1), Header(0x0000_5701));
    }

    #[test]
    fn what_does_not_fit_becomes_a_status() {
        for room in 0..8 {
            let mut bytes = [0xa5; 8];
            assert!(Response::begin(&mut bytes[..room], Header(7)).is_none());
            assert_eq!(bytes[room..], [0xa5; 8][room..]);
        }
        let mut bytes = [0xa5; 11];
        let mut response = Response::begin(&mut bytes, Header(7)).unwrap();
        response.word(1);
        let length = response.end(Ok(()));
        assert_eq!(bytes[..length], [7, 0, 0, 0, 0xf6, 0xff, 0xff, 0xff]);
        assert_eq!(bytes[8..], [0xa5; 3]);
    }

    #[test]
    fn values_are_at_most_124_bytes_whatever_the_room() {
        let mut bytes = [0xa5; 200];
        let mut response = Response::new(&mut bytes);
        response.double(0);
        assert_eq!(response.room(), 124);
    }

    #[test]
    fn names_end_with_a_nul() {
        let mut bytes = [0xa5; 80];
        let mut response = Response::new(&mut bytes);
        response.short_name(b"0123456789abcdef");
        response.long_name(b"pll");
        assert_eq!(bytes[..16], *b"0123456789abcde\0");
        assert_eq!(bytes[16..20], *b"pll\0");
        assert_eq!(bytes[20..], [0; 60]);
    }
}
