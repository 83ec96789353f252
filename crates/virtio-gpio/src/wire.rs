// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Messages on the wire (virtio 1.4, "GPIO Device", Device Operation).

/// `status` of a response on the requestq.
pub(crate) const OK: u8 = 0;
pub(crate) const ERR: u8 = 1;

/// `status` of a pair of buffers that comes back on the eventq.
pub(crate) const INVALID: u8 = 0;
pub(crate) const VALID: u8 = 1;

/// Length of `struct virtio_gpio_request`.
pub(crate) const REQUEST: usize = 8;

/// `struct virtio_gpio_request`.
///
/// | bytes | field |
/// |---|---|
/// | 0..2 | type |
/// | 2..4 | gpio |
/// | 4..8 | value |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    LineNames,
    Line(u16, Operation),
}

/// What is asked of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Direction,
    SetDirection(Option<Direction>),
    Value,
    SetValue(bool),
    SetIrqType(Option<IrqType>),
}

/// `VIRTIO_GPIO_DIRECTION_…`, of which NONE is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Out,
    In,
}

/// `VIRTIO_GPIO_IRQ_TYPE_…`, of which NONE is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IrqType {
    EdgeRising,
    EdgeFalling,
    EdgeBoth,
    LevelHigh,
    LevelLow,
}

impl Request {
    /// `None` unless `bytes` are exactly one request that we know.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[t0, t1, g0, g1, ref value @ ..] = <&[u8; REQUEST]>::try_from(bytes).ok()?;
        let value = u32::from_le_bytes(*value);
        let operation = match u16::from_le_bytes([t0, t1]) {
            1 => return Some(Self::LineNames),
            2 => Operation::Direction,
            3 => Operation::SetDirection(match value {
                0 => None,
                1 => Some(Direction::Out),
                2 => Some(Direction::In),
                _ => return None,
            }),
            4 => Operation::Value,
            5 => Operation::SetValue(match value {
                0 => false,
                1 => true,
                _ => return None,
            }),
            6 => Operation::SetIrqType(match value {
                0 => None,
                1 => Some(IrqType::EdgeRising),
                2 => Some(IrqType::EdgeFalling),
                3 => Some(IrqType::EdgeBoth),
                4 => Some(IrqType::LevelHigh),
                8 => Some(IrqType::LevelLow),
                _ => return None,
            }),
            _ => return None,
        };
        Some(Self::Line(u16::from_le_bytes([g0, g1]), operation))
    }
}

/// The `value` of a response that tells a direction.
pub(crate) fn direction(direction: Option<Direction>) -> u8 {
    match direction {
        None => 0,
        Some(Direction::Out) => 1,
        Some(Direction::In) => 2,
    }
}

/// The line in a `struct virtio_gpio_irq_request`. `None` unless `bytes` are exactly one.
pub(crate) fn irq_request(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_le_bytes)
}

/// `struct virtio_gpio_config`.
///
/// | bytes | field |
/// |---|---|
/// | 0..2 | ngpio |
/// | 2..4 | padding |
/// | 4..8 | gpio_names_size |
pub(crate) fn config(ngpio: u16, gpio_names_size: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8);
    bytes.extend(ngpio.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(gpio_names_size.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: [u8; 8], operation: Option<Operation>) {
        let request = operation.map(|operation| Request::Line(0x0102, operation));
        assert_eq!(Request::parse(&bytes), request);
    }

    #[test]
    fn every_message_of_the_specification_is_understood() {
        let names = [1, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Request::parse(&names), Some(Request::LineNames));
        check([2, 0, 2, 1, 0, 0, 0, 0], Some(Operation::Direction));
        check(
            [3, 0, 2, 1, 0, 0, 0, 0],
            Some(Operation::SetDirection(None)),
        );
        let out = Operation::SetDirection(Some(Direction::Out));
        check([3, 0, 2, 1, 1, 0, 0, 0], Some(out));
        let input = Operation::SetDirection(Some(Direction::In));
        check([3, 0, 2, 1, 2, 0, 0, 0], Some(input));
        check([4, 0, 2, 1, 0, 0, 0, 0], Some(Operation::Value));
        check([5, 0, 2, 1, 0, 0, 0, 0], Some(Operation::SetValue(false)));
        check([5, 0, 2, 1, 1, 0, 0, 0], Some(Operation::SetValue(true)));
    }

    #[test]
    fn interrupt_types_are_0_to_4_and_8() {
        for (value, kind) in [
            (0, None),
            (1, Some(IrqType::EdgeRising)),
            (2, Some(IrqType::EdgeFalling)),
            (3, Some(IrqType::EdgeBoth)),
            (4, Some(IrqType::LevelHigh)),
            (8, Some(IrqType::LevelLow)),
        ] {
            let operation = Some(Operation::SetIrqType(kind));
            check([6, 0, 2, 1, value, 0, 0, 0], operation);
        }
        for value in (5..8).chain(9..=255) {
            check([6, 0, 2, 1, value, 0, 0, 0], None);
        }
    }

    #[test]
    fn unknown_types_and_values_out_of_range_are_none() {
        for kind in (7..=u16::MAX).chain([0]) {
            let [t0, t1] = kind.to_le_bytes();
            check([t0, t1, 2, 1, 0, 0, 0, 0], None);
        }
        check([3, 0, 2, 1, 3, 0, 0, 0], None);
        check([5, 0, 2, 1, 2, 0, 0, 0], None);
        // The value has four bytes, and all count.
        for kind in [3, 5, 6] {
            check([kind, 0, 2, 1, 1, 1, 0, 0], None);
            check([kind, 0, 2, 1, 1, 0, 0, 0x80], None);
        }
    }

    #[test]
    fn every_truncation_and_a_byte_too_many_is_none() {
        let request = [4, 0, 0, 0, 0, 0, 0, 0, 0];
        for length in (0..8).chain([9]) {
            assert_eq!(Request::parse(&request[..length]), None);
        }
        assert_eq!(irq_request(&[]), None);
        assert_eq!(irq_request(&[1]), None);
        assert_eq!(irq_request(&[2, 1]), Some(0x0102));
        assert_eq!(irq_request(&[2, 1, 0]), None);
    }

    #[test]
    fn the_configuration_space_has_8_bytes() {
        assert_eq!(config(0x0102, 0x0304_0506), [2, 1, 0, 0, 6, 5, 4, 3]);
    }

    #[test]
    fn directions_are_numbered_none_out_in() {
        assert_eq!(direction(None), 0);
        assert_eq!(direction(Some(Direction::Out)), 1);
        assert_eq!(direction(Some(Direction::In)), 2);
    }
}
