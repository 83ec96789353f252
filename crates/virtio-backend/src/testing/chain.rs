// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Descriptors and chains of them (virtio 2.7.5).

use super::Memory;

/// `struct virtq_desc`: a piece of a chain.
///
/// | bytes | field |
/// |---|---|
/// | 0..8 | addr |
/// | 8..12 | len |
/// | 12..14 | flags |
/// | 14..16 | next |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Guest physical address.
    pub addr: u64,
    /// Bytes at that address.
    pub len: u32,
    /// [`NEXT`](Self::NEXT), [`WRITE`](Self::WRITE), [`INDIRECT`](Self::INDIRECT).
    pub flags: u16,
    /// The descriptor that follows, if `NEXT` is set.
    pub next: u16,
}

impl Descriptor {
    /// `VIRTQ_DESC_F_NEXT`: the chain goes on at `next`.
    pub const NEXT: u16 = 1;
    /// `VIRTQ_DESC_F_WRITE`: the device writes here, and does not read.
    pub const WRITE: u16 = 2;
    /// `VIRTQ_DESC_F_INDIRECT`: a table of descriptors is here.
    pub const INDIRECT: u16 = 4;
    /// Bytes in guest memory.
    pub const SIZE: usize = 16;

    /// As it is in guest memory.
    pub fn emit(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.addr.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.flags.to_le_bytes());
        bytes[14..].copy_from_slice(&self.next.to_le_bytes());
        bytes
    }
}

/// Chains are slices of descriptors that count from 0, as in an indirect table; a
/// [`Ring`](super::Ring) puts them where it has place.
impl Memory {
    /// A chain of new buffers: what the device reads, with these bytes in them, then those that it
    /// writes, so long.
    #[track_caller]
    pub fn chain(&self, readable: &[&[u8]], writable: &[usize]) -> Vec<Descriptor> {
        let mut chain = Vec::with_capacity(readable.len() + writable.len());
        for bytes in readable {
            let addr = self.allocate(bytes.len());
            self.write(addr, bytes);
            chain.push(Descriptor {
                addr,
                len: bytes.len().try_into().unwrap(),
                ..Descriptor::default()
            });
        }
        for &length in writable {
            let (addr, len) = (self.allocate(length), length.try_into().unwrap());
            chain.push(Descriptor {
                addr,
                len,
                flags: Descriptor::WRITE,
                next: 0,
            });
        }
        for (next, descriptor) in (1..).zip(chain.iter_mut().rev().skip(1).rev()) {
            descriptor.flags |= Descriptor::NEXT;
            descriptor.next = next;
        }
        chain
    }

    /// A descriptor of a new indirect table that holds `chain`.
    #[track_caller]
    pub fn indirect(&self, chain: &[Descriptor]) -> Descriptor {
        let table: Vec<u8> = chain.iter().flat_map(Descriptor::emit).collect();
        let addr = self.allocate(table.len());
        self.write(addr, &table);
        Descriptor {
            addr,
            len: table.len().try_into().unwrap(),
            flags: Descriptor::INDIRECT,
            next: 0,
        }
    }

    /// The first `length` bytes of what the device writes in `chain`: its answer, by the used
    /// ring's word.
    #[track_caller]
    pub fn answer(&self, chain: &[Descriptor], length: u32) -> Vec<u8> {
        let mut answer = vec![0; length.try_into().unwrap()];
        let mut rest = answer.as_mut_slice();
        for buffer in chain
            .iter()
            .filter(|descriptor| descriptor.flags & Descriptor::WRITE != 0)
        {
            let (now, later) = rest.split_at_mut(rest.len().min(buffer.len.try_into().unwrap()));
            self.read(buffer.addr, now);
            rest = later;
        }
        assert!(
            rest.is_empty(),
            "the device says that it wrote more than it had room for"
        );
        answer
    }
}
