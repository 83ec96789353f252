// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Addresses, descriptors and layouts that hit something often, and are right seldom.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use virtio_backend::testing::{Descriptor, Layout};

use crate::machine::{HIGH, MIDDLE, REGION, RING};

/// An address near something, or anywhere.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Place {
    near: Near,
    offset: i16,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Near {
    Descriptors,
    Available,
    Used,
    Middle,
    MiddleEnd,
    High,
    HighEnd,
    /// Memory wraps around here.
    Zero,
    Address(u64),
}

impl Place {
    pub fn address(self) -> u64 {
        let near = match self.near {
            Near::Descriptors => RING.descriptors,
            Near::Available => RING.available,
            Near::Used => RING.used,
            Near::Middle => MIDDLE,
            Near::MiddleEnd => MIDDLE + REGION,
            Near::High => HIGH,
            Near::HighEnd => HIGH + REGION,
            Near::Zero => 0,
            Near::Address(address) => address,
        };
        near.wrapping_add_signed(self.offset.into())
    }
}

/// A descriptor, of a table or of the ring.
#[derive(Arbitrary, Debug)]
pub struct RawDescriptor {
    place: Place,
    len: u32,
    flags: u8,
    next: u8,
}

impl RawDescriptor {
    pub fn descriptor(self) -> Descriptor {
        let known = Descriptor::NEXT | Descriptor::WRITE | Descriptor::INDIRECT;
        Descriptor {
            addr: self.place.address(),
            len: self.len,
            flags: u16::from(self.flags) & known,
            next: self.next.into(),
        }
    }
}

/// Where the VMM says that the ring is.
#[derive(Arbitrary, Debug)]
pub struct RawLayout {
    size: u8,
    descriptors: Place,
    available: Place,
    used: Place,
}

impl RawLayout {
    pub fn layout(self) -> Layout {
        Layout {
            // A power of two as long as there is one, then something odd.
            size: 1u16
                .checked_shl(self.size.into())
                .unwrap_or(self.size.into()),
            descriptors: self.descriptors.address(),
            available: self.available.address(),
            used: self.used.address(),
        }
    }
}
