// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A front end that moves its guest to another host while the guest runs: it wants to know which pages
//! the device writes (vhost-user, "Migration").

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use virtio_backend::testing::{LIMIT, Server, feature};

use crate::device::{Echo, serve};
use crate::machine::Machine;
use crate::wire::{
    GET_FEATURES, SET_FEATURES, SET_LOG_BASE, SET_LOG_FD, SET_OWNER, SET_PROTOCOL_FEATURES, Wire,
    longs, message,
};

const LOG_SHMFD: u64 = 1 << 1;
const LOG_ALL: u64 = 1 << 26;
const FEATURES: u64 = feature::PROTOCOL_FEATURES | feature::VERSION_1;

/// The machine's second region of memory, and a log that just has a bit for its first 32,768 pages.
const HIGH: u64 = 0x1_0000_0000;
const SIZE: u64 = 0x2_1000;

/// A guest that runs, whose front end has a log.
struct Guest {
    server: Server<Echo>,
    wire: Wire,
    machine: Machine,
    log: File,
}

impl Guest {
    fn start(size: u64) -> Self {
        let (server, _) = serve("guest");
        let wire = Wire::connect(&server.socket());
        let machine = Machine::new(&[64]);
        wire.tell(SET_OWNER, &[], &[]);
        assert_ne!(wire.number(GET_FEATURES) & LOG_ALL, 0);
        wire.tell(SET_PROTOCOL_FEATURES, &longs(&[LOG_SHMFD]), &[]);
        wire.tell(SET_FEATURES, &longs(&[FEATURES]), &[]);
        machine.set_mem_table(&wire);
        let queue = &machine.queues[0];
        queue.set_num(&wire);
        queue.set_base(&wire, 0);
        queue.set_addr(&wire);
        queue.set_kick(&wire);
        queue.set_call(&wire);
        queue.enable(&wire, 1);
        let log = File::from(memfd_create("log", MemfdFlags::CLOEXEC).unwrap());
        ftruncate(&log, size).unwrap();
        let guest = Self {
            server,
            wire,
            machine,
            log,
        };
        // Size and offset in the file. The answer says the same.
        let base = longs(&[size, 0]);
        let base_message = message(SET_LOG_BASE, 0, &base);
        guest.wire.send(&base_message, &[guest.log.as_fd()]);
        assert_eq!(guest.wire.answer(SET_LOG_BASE), Some(base));
        guest
    }

    fn logs(&self, wanted: bool) {
        let log = if wanted { LOG_ALL } else { 0 };
        let features = longs(&[FEATURES | log]);
        self.wire.tell(SET_FEATURES, &features, &[]);
        self.wire.number(GET_FEATURES);
    }

    /// The driver has the device write 6 bytes from `address` on.
    fn has_written(&mut self, address: u64) {
        let mut chain = self.machine.memory.chain(&[b"hello"], &[8]);
        chain[1].addr = address;
        self.machine.queues[0].submit(&chain);
        assert_eq!(self.machine.queues[0].wait().unwrap().len, 6);
    }

    /// The pages that the log has, which it has no more.
    fn pages(&self) -> Vec<u64> {
        let size = self.log.metadata().unwrap().len();
        let mut bytes = vec![0; size.try_into().unwrap()];
        self.log.read_exact_at(&mut bytes, 0).unwrap();
        self.log.write_all_at(&vec![0; bytes.len()], 0).unwrap();
        let is_set = |page: &u64| bytes[usize::try_from(page / 8).unwrap()] & 1 << (page % 8) != 0;
        (0..size * 8).filter(is_set).collect()
    }

    fn used_ring(&self) -> u64 {
        self.machine.queues[0].layout.used / 4096
    }
}

#[test]
fn pages_are_noted_that_the_device_writes_while_the_front_end_wants_to_know() {
    let mut guest = Guest::start(SIZE);
    guest.has_written(HIGH);
    assert!(guest.pages().is_empty());

    guest.logs(true);
    // Before the end of a page.
    guest.has_written(HIGH + 0x3000 - 2);
    let written = HIGH / 4096 + 2;
    assert_eq!(guest.pages(), [guest.used_ring(), written, written + 1]);
    guest.has_written(HIGH + 0x5000 - 6);
    assert_eq!(guest.pages(), [guest.used_ring(), HIGH / 4096 + 4]);

    guest.logs(false);
    guest.has_written(HIGH);
    assert!(guest.pages().is_empty());
}

#[test]
fn a_page_for_which_the_log_has_no_bit_is_written_all_the_same() {
    let mut guest = Guest::start(4096);
    guest.logs(true);

    guest.has_written(HIGH);

    assert_eq!(guest.pages(), [guest.used_ring()]);
}

#[test]
fn a_log_that_is_lost_ends_its_guests_session_alone() {
    let mut guest = Guest::start(4096);
    guest.logs(true);
    ftruncate(&guest.log, 0).unwrap();

    let chain = guest.machine.memory.chain(&[b"hello"], &[8]);
    guest.machine.queues[0].submit(&chain);

    assert!(guest.wire.is_hung_up(LIMIT));
    let again = Wire::connect(&guest.server.socket());
    assert_ne!(again.number(GET_FEATURES), 0);
}

#[test]
fn a_log_that_cannot_be_is_refused_in_its_answer() {
    let mut guest = Guest::start(4096);
    // Without a file; of no size; beyond all addresses; at no page.
    guest
        .wire
        .send(&message(SET_LOG_BASE, 0, &longs(&[4096, 0])), &[]);
    assert_eq!(guest.wire.answer(SET_LOG_BASE), Some(longs(&[1])));
    for base in [[0, 0], [u64::MAX, 1], [4096, u64::MAX - 4095], [4096, 1]] {
        let base = message(SET_LOG_BASE, 0, &longs(&base));
        guest.wire.send(&base, &[guest.log.as_fd()]);
        assert_eq!(guest.wire.answer(SET_LOG_BASE), Some(longs(&[1])));
    }
    guest.wire.tell(SET_LOG_FD, &[], &[guest.log.as_fd()]);

    guest.logs(true);
    guest.has_written(HIGH);
    assert_eq!(guest.pages(), [guest.used_ring()]);
}
