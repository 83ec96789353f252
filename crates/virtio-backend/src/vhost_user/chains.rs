// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The chains that the device has of a ring.

use super::chain::Writable;

/// What the device has of a ring, by numbers of ours: one for each chain that it has at a time, so
/// that a ring of 1,024 entries costs no more than it uses.
#[derive(Default)]
pub(super) struct Chains {
    slots: Vec<Chain>,
    free: Vec<u16>,
    /// A bit for each head that is taken.
    taken: Vec<u64>,
}

/// Where an answer goes.
#[derive(Default)]
pub(super) struct Chain {
    pub(super) head: u16,
    pub(super) writable: Writable,
}

impl Chains {
    /// Takes the chain at `head`. `None` if it is taken.
    pub(super) fn take(&mut self, head: u16) -> Option<u16> {
        let (word, bit) = (usize::from(head / 64), 1 << (head % 64));
        if self.taken.len() <= word {
            self.taken.resize(word + 1, 0);
        }
        let taken = self.taken.get_mut(word)?;
        if *taken & bit != 0 {
            return None;
        }
        *taken |= bit;
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Chain::default());
                // No more than heads.
                u16::try_from(self.slots.len() - 1).ok()?
            }
        };
        self.slots.get_mut(usize::from(index))?.head = head;
        Some(index)
    }

    pub(super) fn get(&self, index: u16) -> Option<&Chain> {
        self.slots.get(usize::from(index))
    }

    pub(super) fn get_mut(&mut self, index: u16) -> Option<&mut Chain> {
        self.slots.get_mut(usize::from(index))
    }

    /// Gives the chain back, which keeps its memory for the next.
    pub(super) fn release(&mut self, index: u16, head: u16) {
        if let Some(taken) = self.taken.get_mut(usize::from(head / 64)) {
            *taken &= !(1 << (head % 64));
        }
        self.free.push(index);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
