// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Zephyr's driver (drivers/i2c/i2c_virtio.c), as its messages arrive: its draft of 2026-07, which
//! accepts no feature, and what was merged for Zephyr 4.5, which accepts ZERO_LENGTH_REQUEST.
//!
//! Both queue one chain for each message, without indirect tables, and kick once.

use std::sync::Arc;

use virtio_backend::testing::{Descriptor, Server, Used, Vm, feature};
use virtio_i2c::{Adapter, I2c};

use crate::common::{Recorder, ZERO_LENGTH_REQUEST, granted};

/// What Zephyr's transport accepts, and QEMU's bit for vhost-user.
const TRANSPORT: u64 = feature::VERSION_1 | feature::PROTOCOL_FEATURES;

/// What the driver of the draft accepts, and the merged one.
const DRAFT: u64 = TRANSPORT;
const MERGED: u64 = TRANSPORT | ZERO_LENGTH_REQUEST;

/// A Zephyr guest, whose queue has 16 entries for transfers of up to 4 messages.
struct Zephyr {
    vm: Vm,
    bus: Recorder,
    /// Ends after the guest.
    _server: Server<I2c>,
}

impl Zephyr {
    fn boot(features: u64) -> Self {
        let bus = Recorder::default();
        let adapter = Arc::new(Adapter::new(bus.clone()));
        let server = Server::new(|watch| I2c::new("guest", adapter, granted(), watch).unwrap());
        let vm = Vm::boot(&server.socket(), features, &[16]).unwrap();
        Self {
            vm,
            bus,
            _server: server,
        }
    }

    /// Queues a batch of messages, each what is readable and the sizes of what is writable, kicks
    /// and waits for all of them. Returns what came back, in order.
    fn transfer(&mut self, messages: &[(&[&[u8]], &[usize])]) -> Vec<Vec<u8>> {
        let memory = &self.vm.memory;
        let chains: Vec<Vec<Descriptor>> = messages
            .iter()
            .map(|(readable, writable)| memory.chain(readable, writable))
            .collect();
        let ring = &mut self.vm.rings[0];
        let heads: Vec<_> = chains.iter().map(|chain| ring.add(chain)).collect();
        ring.push_all(&heads);
        ring.notify();
        let mut answers: Vec<_> = heads.iter().map(|_| ring.wait().unwrap()).collect();
        let answers = chains.iter().zip(heads).map(|(chain, head)| {
            let its = |used: &Used| used.id == u32::from(head);
            let used = answers.remove(answers.iter().position(its).unwrap());
            memory.answer(chain, used.len)
        });
        answers.collect()
    }
}

/// `i2c_write_read`: FAIL_NEXT in the first message, M_RD in the second.
#[test]
fn a_register_is_read_in_one_transaction_whatever_the_driver_accepts() {
    for features in [DRAFT, MERGED] {
        let mut zephyr = Zephyr::boot(features);
        let answers = zephyr.transfer(&[
            (&[&[0x90, 0, 0, 0, 1, 0, 0, 0], &[0x00]], &[1]),
            (&[&[0x90, 0, 0, 0, 2, 0, 0, 0]], &[2, 1]),
        ]);
        assert_eq!(answers, [vec![0], vec![1, 2, 0]], "{features:#x}");
        assert_eq!(zephyr.bus.transactions(), [["0x48 w[00]", "0x48 r2"]]);
    }
}

/// `i2c_write`, `i2c_read`.
#[test]
fn a_message_by_itself_is_a_transaction_whatever_the_driver_accepts() {
    for features in [DRAFT, MERGED] {
        let mut zephyr = Zephyr::boot(features);
        let write = zephyr.transfer(&[(&[&[0xa0, 0, 0, 0, 0, 0, 0, 0], &[0x10, 0xaa]], &[1])]);
        let read = zephyr.transfer(&[(&[&[0xa0, 0, 0, 0, 2, 0, 0, 0]], &[3, 1])]);
        assert_eq!(
            [write, read],
            [[vec![0]], [vec![1, 2, 3, 0]]],
            "{features:#x}"
        );
        let transactions = zephyr.bus.transactions();
        assert_eq!(transactions, [["0x50 w[10, aa]"], ["0x50 r3"]]);
    }
}

/// `i2c scan` writes nothing to each address, and takes those for there that answer OK.
#[test]
fn a_message_without_bytes_needs_the_feature() {
    let scan: (&[&[u8]], &[usize]) = (&[&[0xa0, 0, 0, 0, 0, 0, 0, 0]], &[1]);
    let read: (&[&[u8]], &[usize]) = (&[&[0xa0, 0, 0, 0, 2, 0, 0, 0]], &[1]);
    let mut draft = Zephyr::boot(DRAFT);
    assert_eq!(draft.transfer(&[scan, read]), [[1], [1]]);
    assert!(draft.bus.transactions().is_empty());
    let mut merged = Zephyr::boot(MERGED);
    assert_eq!(merged.transfer(&[scan, read]), [[0], [0]]);
    assert_eq!(merged.bus.transactions(), [["0x50 w[]"], ["0x50 r0"]]);
}

/// A write that ends with a STOP, and a register that is read: one transfer. The draft knows no
/// STOP; the merged driver queues what follows one when the device has answered.
#[test]
fn the_draft_groups_a_transfer_and_the_merged_driver_groups_by_stop() {
    let mut draft = Zephyr::boot(DRAFT);
    let answers = draft.transfer(&[
        (&[&[0xa0, 0, 0, 0, 1, 0, 0, 0], &[0x10, 0xaa]], &[1]),
        (&[&[0xa0, 0, 0, 0, 1, 0, 0, 0], &[0x10]], &[1]),
        (&[&[0xa0, 0, 0, 0, 2, 0, 0, 0]], &[1, 1]),
    ]);
    assert_eq!(answers, [vec![0], vec![0], vec![1, 0]]);
    let together = ["0x50 w[10, aa]", "0x50 w[10]", "0x50 r1"];
    assert_eq!(draft.bus.transactions(), [together]);

    let mut merged = Zephyr::boot(MERGED);
    let first = merged.transfer(&[(&[&[0xa0, 0, 0, 0, 0, 0, 0, 0], &[0x10, 0xaa]], &[1])]);
    let second = merged.transfer(&[
        (&[&[0xa0, 0, 0, 0, 1, 0, 0, 0], &[0x10]], &[1]),
        (&[&[0xa0, 0, 0, 0, 2, 0, 0, 0]], &[1, 1]),
    ]);
    assert_eq!((first, second), (vec![vec![0]], vec![vec![0], vec![1, 0]]));
    let apart = [vec!["0x50 w[10, aa]"], vec!["0x50 w[10]", "0x50 r1"]];
    assert_eq!(merged.bus.transactions(), apart);
}

/// Five messages, of which the driver queues four and waits for them: all of them have FAIL_NEXT.
#[test]
fn a_transfer_that_is_longer_than_a_batch_goes_on_and_fails_as_one() {
    let write: (&[&[u8]], &[usize]) = (&[&[0xa0, 0, 0, 0, 1, 0, 0, 0], &[0x07]], &[1]);
    let silent: (&[&[u8]], &[usize]) = (&[&[0xa2, 0, 0, 0, 1, 0, 0, 0], &[0x07]], &[1]);
    let last: (&[&[u8]], &[usize]) = (&[&[0xa0, 0, 0, 0, 0, 0, 0, 0], &[0x07]], &[1]);
    for features in [DRAFT, MERGED] {
        let mut zephyr = Zephyr::boot(features);
        assert_eq!(zephyr.transfer(&[write; 4]), [[0]; 4], "{features:#x}");
        assert_eq!(zephyr.transfer(&[last]), [[0]]);
        let transactions = [vec!["0x50 w[07]"; 4], vec!["0x50 w[07]"]];
        assert_eq!(zephyr.bus.transactions(), transactions);
        assert_eq!(zephyr.transfer(&[write, silent, write, write]), [[1]; 4]);
        // The driver does not queue the fifth. What it queues next belongs to another transfer, and
        // by the specification still to the group whose last message had FAIL_NEXT.
        assert_eq!(zephyr.transfer(&[last]), [[1]]);
        assert_eq!(zephyr.transfer(&[last]), [[0]]);
    }
}
