// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Xen's front end says of each region how Xen shares it (XEN_MMAP). A build that can serve it serves
//! all others, as the tests beside this one show.

use virtio_backend::testing::feature;

use crate::device::serve;
use crate::machine::Machine;
use crate::wire::{
    ADD_MEM_REG, GET_PROTOCOL_FEATURES, REM_MEM_REG, SET_FEATURES, SET_MEM_TABLE,
    SET_PROTOCOL_FEATURES, Wire, longs, words,
};

const REPLY_ACK: u64 = 1 << 3;
const XEN_MMAP: u64 = 1 << 17;

/// `xen_mmap_flags`: a file like anybody else's. Grants and foreign pages need a Xen.
const UNIX: u32 = 0;

/// A region of the machine's memory, with how it is shared: 40 bytes.
fn region(machine: &Machine, number: usize, flags: u32) -> Vec<u8> {
    let (guest, size, _) = machine.memory.files()[number];
    let domain = 0;
    let plain = crate::machine::region(guest, size);
    [plain, words(&[flags, domain])].concat()
}

#[test]
fn xens_front_end_says_how_its_memory_is_shared() {
    let (server, _) = serve("guest");
    let mut machine = Machine::new(&[64]);
    let mut wire = Wire::connect(&server.socket());
    assert_ne!(wire.number(GET_PROTOCOL_FEATURES) & XEN_MMAP, 0);
    wire.tell(SET_PROTOCOL_FEATURES, &longs(&[REPLY_ACK | XEN_MMAP]), &[]);
    wire.asks = true;
    wire.tell(SET_FEATURES, &longs(&[feature::ALL]), &[]);

    let files = machine.memory.files();
    let table = [
        words(&[2, 0]),
        region(&machine, 0, UNIX),
        region(&machine, 1, UNIX),
    ];
    wire.tell(SET_MEM_TABLE, &table.concat(), &[files[0].2, files[1].2]);
    let single = [longs(&[0]), region(&machine, 1, UNIX)].concat();
    wire.tell(REM_MEM_REG, &single, &[]);
    wire.tell(ADD_MEM_REG, &single, &[files[1].2]);
    // Shared in two ways at once; too short by the way.
    let odd = [longs(&[0]), region(&machine, 1, 3)].concat();
    wire.tell(REM_MEM_REG, &single, &[]);
    assert!(!wire.is_done(ADD_MEM_REG, &odd, &[files[1].2]));
    assert!(!wire.is_done(ADD_MEM_REG, &single[..40], &[files[1].2]));

    let queue = &machine.queues[0];
    queue.set_num(&wire);
    queue.set_base(&wire, 0);
    queue.set_addr(&wire);
    queue.set_kick(&wire);
    queue.set_call(&wire);
    queue.enable(&wire, 1);
    assert!(machine.works());
}
