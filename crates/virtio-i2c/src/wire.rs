// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests on the wire (virtio 1.4, "I2C Adapter Device", Device Operation).

use crate::{Address, MAX_LENGTH};

/// `struct virtio_i2c_in_hdr`: a status, always the last byte of an answer.
pub(crate) const OK: u8 = 0;
pub(crate) const ERR: u8 = 1;

/// Length of `struct virtio_i2c_out_hdr`.
pub(crate) const HEADER: usize = 8;

/// `flags` of the header.
const FAIL_NEXT: u32 = 1 << 0;
const M_RD: u32 = 1 << 1;

/// One message to a chip, or an attempt at one.
///
/// | bytes | field |
/// |---|---|
/// | 0..2 | addr |
/// | 2..4 | padding, ignored |
/// | 4..8 | flags |
/// | 8.. | buf of a write |
///
/// The length of buf is implied: what follows the header, or what is writable before the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// The next request belongs to the same transaction, and fails with this one.
    pub(crate) fail_next: bool,
    /// Nothing if the request breaks the driver's rules.
    pub(crate) message: Option<(Address, Operation<'a>)>,
}

/// How a driver tells in which direction a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectionBy {
    /// M_RD says it: the driver accepted VIRTIO_I2C_F_ZERO_LENGTH_REQUEST.
    Flag,
    /// The message's bytes are readable or writable. Of a message without bytes nothing tells it.
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    Write(&'a [u8]),
    /// So many bytes.
    Read(usize),
}

impl<'a> Request<'a> {
    /// The request in `bytes`, to be answered in `room` bytes. Nothing if there is no whole header.
    pub(crate) fn parse(bytes: &'a [u8], room: usize, direction_by: DirectionBy) -> Option<Self> {
        let (header, payload) = bytes.split_first_chunk::<HEADER>()?;
        let &[a0, a1, _, _, f0, f1, f2, f3] = header;
        let flags = u32::from_le_bytes([f0, f1, f2, f3]);
        let operation = match (direction_by, flags & M_RD != 0) {
            (DirectionBy::Flag, false) => write(payload, room),
            (DirectionBy::Flag, true) => read(payload, room),
            // A driver that sets M_RD all the same has to mean what the bytes say.
            (DirectionBy::Bytes, false) if !payload.is_empty() => write(payload, room),
            (DirectionBy::Bytes, _) => {
                read(payload, room).filter(|operation| operation.length() != 0)
            }
        };
        let message = Address::parse(u16::from_le_bytes([a0, a1]))
            .zip(operation)
            .filter(|(_, operation)| operation.length() <= MAX_LENGTH)
            // A driver of a later specification means something by them.
            .filter(|_| flags & !(FAIL_NEXT | M_RD) == 0);
        Some(Self {
            fail_next: flags & FAIL_NEXT != 0,
            message,
        })
    }
}

fn write(payload: &[u8], room: usize) -> Option<Operation<'_>> {
    (room == 1).then_some(Operation::Write(payload))
}

fn read(payload: &[u8], room: usize) -> Option<Operation<'_>> {
    let length = room.checked_sub(1);
    length.filter(|_| payload.is_empty()).map(Operation::Read)
}

impl Operation<'_> {
    fn length(&self) -> usize {
        match self {
            Self::Write(bytes) => bytes.len(),
            Self::Read(length) => *length,
        }
    }
}

impl Address {
    /// `addr`: as on the bus, with the direction bit 0. A ten-bit address has 11110 before its two
    /// high bits, and its other bits in the high byte.
    fn parse(addr: u16) -> Option<Self> {
        let [first, second] = addr.to_le_bytes();
        match (first & 1, first >> 3, second) {
            (1, ..) => None,
            (_, 0b11110, _) => Some(Self::Ten(
                u16::from(first >> 1 & 3) << 8 | u16::from(second),
            )),
            (_, _, 0) => Some(Self::Seven(first >> 1)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: [u8; 11] = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0xaa, 0xbb];

    #[track_caller]
    fn check(bytes: &[u8], room: usize, message: Option<(Address, Operation<'_>)>) {
        assert_eq!(
            Request::parse(bytes, room, DirectionBy::Flag),
            Some(Request {
                fail_next: false,
                message
            })
        );
    }

    #[track_caller]
    fn check_address(addr: [u8; 2], address: Option<Address>) {
        let message = address.map(|address| (address, Operation::Write(&[])));
        check(&[addr[0], addr[1], 0, 0, 0, 0, 0, 0], 1, message);
    }

    #[test]
    fn a_write_has_its_bytes_behind_the_header() {
        let message = (Address::Seven(0x50), Operation::Write(&[0x10, 0xaa, 0xbb]));
        check(&WRITE, 1, Some(message));
    }

    #[test]
    fn a_read_is_as_long_as_there_is_room_before_the_status() {
        let read = [0x90, 0, 0, 0, 2, 0, 0, 0];
        for length in [0, 1, 2, 8192] {
            let message = (Address::Seven(0x48), Operation::Read(length));
            check(&read, length + 1, Some(message));
        }
    }

    #[test]
    fn fail_next_is_bit_0_of_the_flags_also_of_a_malformed_request() {
        for addr in [0xa0, 0xa1] {
            let bytes = [addr, 0, 0, 0, 1, 0, 0, 0];
            let request = Request::parse(&bytes, 1, DirectionBy::Flag);
            assert!(request.unwrap().fail_next);
        }
    }

    #[test]
    fn every_truncation_is_a_shorter_write_or_nothing() {
        for length in 0..8 {
            for direction_by in [DirectionBy::Flag, DirectionBy::Bytes] {
                assert_eq!(Request::parse(&WRITE[..length], 1, direction_by), None);
            }
        }
        for length in 8..11 {
            let message = (Address::Seven(0x50), Operation::Write(&WRITE[8..length]));
            check(&WRITE[..length], 1, Some(message));
        }
    }

    #[test]
    fn seven_bit_addresses_are_shifted_by_the_direction_bit() {
        check_address([0x00, 0], Some(Address::Seven(0x00)));
        check_address([0xa0, 0], Some(Address::Seven(0x50)));
        check_address([0xee, 0], Some(Address::Seven(0x77)));
        check_address([0xf8, 0], Some(Address::Seven(0x7c)));
        check_address([0xfe, 0], Some(Address::Seven(0x7f)));
    }

    #[test]
    fn ten_bit_addresses_have_11110_before_their_high_bits() {
        check_address([0xf0, 0x00], Some(Address::Ten(0x000)));
        check_address([0xf0, 0x50], Some(Address::Ten(0x050)));
        check_address([0xf2, 0x23], Some(Address::Ten(0x123)));
        check_address([0xf6, 0xff], Some(Address::Ten(0x3ff)));
    }

    #[test]
    fn odd_addresses_and_high_bytes_without_11110_are_malformed() {
        for addr in [[0xa1, 0], [0xf1, 0], [0xff, 0xff], [0xa0, 1], [0xf8, 1]] {
            check_address(addr, None);
        }
    }

    #[test]
    fn padding_is_ignored() {
        let message = (Address::Seven(0x50), Operation::Write(&[]));
        check(&[0xa0, 0, 0xff, 0xff, 0, 0, 0, 0], 1, Some(message));
    }

    #[test]
    fn reserved_flags_are_malformed() {
        for bit in 2..32 {
            let [f0, f1, f2, f3] = (1u32 << bit).to_le_bytes();
            check(&[0xa0, 0, 0, 0, f0, f1, f2, f3], 1, None);
        }
    }

    #[test]
    fn buffers_that_contradict_the_direction_are_malformed() {
        check(&[0xa0, 0, 0, 0, 2, 0, 0, 0, 0xaa], 2, None);
        check(&WRITE, 2, None);
    }

    #[test]
    fn without_the_feature_bytes_tell_the_direction_and_m_rd_may_not_contradict() {
        let message = |flags, payload: &[u8], room| {
            let bytes = [&[0xa0, 0, 0, 0, flags, 0, 0, 0], payload].concat();
            let request = Request::parse(&bytes, room, DirectionBy::Bytes).unwrap();
            let (address, operation) = request.message?;
            assert_eq!(address, Address::Seven(0x50));
            Some(match operation {
                Operation::Write(bytes) => format!("write {bytes:?}"),
                Operation::Read(length) => format!("read {length}"),
            })
        };
        assert_eq!(message(0, &[1, 2], 1).as_deref(), Some("write [1, 2]"));
        assert_eq!(message(0, &[], 3).as_deref(), Some("read 2"));
        assert_eq!(message(2, &[], 3).as_deref(), Some("read 2"));
        for (flags, payload, room) in [
            (0, &[][..], 1), // nothing is written
            (2, &[], 1),     // nothing is read
            (2, &[1, 2], 1), // M_RD, and bytes to be written
            (0, &[1, 2], 3), // bytes in both directions
            (2, &[1, 2], 3),
            (0, &[1, 2], 0), // nowhere to put the status
            (0, &[], 0),
            (2, &[], 0),
        ] {
            assert_eq!(
                message(flags, payload, room),
                None,
                "{flags} {payload:?} {room}"
            );
        }
    }

    #[test]
    fn nowhere_to_put_the_status_is_malformed() {
        check(&WRITE, 0, None);
        check(&[0x90, 0, 0, 0, 2, 0, 0, 0], 0, None);
    }

    #[test]
    fn more_than_8192_bytes_are_malformed() {
        let long = [&WRITE[..8], &[0; 8193]].concat();
        let longest = &long[..8 + 8192];
        let message = (Address::Seven(0x50), Operation::Write(&longest[8..]));
        check(longest, 1, Some(message));
        check(&long, 1, None);
        check(&[0x90, 0, 0, 0, 2, 0, 0, 0], 8194, None);
        check(&[0x90, 0, 0, 0, 2, 0, 0, 0], usize::MAX, None);
    }
}
