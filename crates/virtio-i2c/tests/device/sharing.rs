// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guests that share an adapter, each with a ring, over vhost-user.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use virtio_backend::testing::{Descriptor, LIMIT, Ring, Server, Vm, feature, reply};
use virtio_backend::{Device, Hardware, Offloaded, Token, Watch};
use virtio_i2c::{Adapter, Bus, Data, I2c, Message};

use crate::common::{FAIL_NEXT, M_RD, Recorder, ZERO_LENGTH_REQUEST, device, granted, header};

/// A guest on `adapter`.
fn serve(adapter: &Arc<Adapter>) -> Server<I2c> {
    Server::new(|watch| I2c::new("guest", Arc::clone(adapter), granted(), watch).unwrap())
}

/// A guest's device on `adapter`, which takes its time, on the thread of that.
fn offload(hardware: &Arc<Hardware>, adapter: &Arc<Adapter>, watch: &Watch) -> Offloaded {
    let make = |watch: &Watch| I2c::new("guest", Arc::clone(adapter), granted(), watch);
    hardware.device(watch, make).unwrap()
}

fn boot(server: &Server<I2c>) -> Vm {
    // QEMU's ring for this device has 4 entries.
    boot_with(server, 4)
}

fn boot_with<D: Device>(server: &Server<D>, entries: u16) -> Vm {
    let features = feature::ALL | ZERO_LENGTH_REQUEST;
    Vm::boot(&server.socket(), features, &[entries]).unwrap()
}

/// Makes requests, each a chain of one descriptor, together: a device does not wait long for the rest
/// of a group, and a driver may be kept from running between two requests for longer than that.
fn submit_group(ring: &mut Ring, requests: &[Descriptor]) {
    let heads: Vec<_> = requests
        .iter()
        .map(|&request| ring.add(&[request]))
        .collect();
    ring.push_all(&heads);
    ring.notify();
}

/// Vector 1: a write of 3 bytes, however it is split into descriptors.
#[test]
fn a_request_is_the_same_however_it_is_split() {
    let bus = Recorder::default();
    let server = serve(&Arc::new(Adapter::new(bus.clone())));
    let mut vm = boot(&server);
    let request = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0xaa, 0xbb];
    let (header, payload) = request.split_at(8);
    let bytes: Vec<&[u8]> = request.chunks(1).collect();
    // The last has more descriptors than the ring, and goes through an indirect table.
    for readable in [&[header, payload][..], &[&request], &bytes] {
        assert_eq!(vm.rings[0].ask(readable, &[1]), Some(vec![0]));
        assert_eq!(bus.transactions(), [["0x50 w[10, aa, bb]"]]);
    }
    let read = [0xa0, 0, 0, 0, M_RD, 0, 0, 0];
    for writable in [&[4][..], &[3, 1], &[1, 1, 1, 1]] {
        assert_eq!(vm.rings[0].ask(&[&read], writable), Some(vec![1, 2, 3, 0]));
    }
}

/// Vector 2, as Linux queues it: each request through an indirect table, one kick for both.
#[test]
fn a_group_in_the_ring_is_one_transaction() {
    let bus = Recorder::default();
    let server = serve(&Arc::new(Adapter::new(bus.clone())));
    let mut vm = boot(&server);
    let chains = [
        vm.memory.chain(&[&header(0xa0, FAIL_NEXT), &[0x10]], &[1]),
        vm.memory.chain(&[&header(0xa0, M_RD)], &[2, 1]),
    ];
    let ring = &mut vm.rings[0];
    submit_group(
        ring,
        &chains.each_ref().map(|chain| vm.memory.indirect(chain)),
    );
    let used = chains.each_ref().map(|chain| {
        let used = ring.wait().unwrap();
        (used.len, vm.memory.answer(chain, used.len))
    });
    assert_eq!(used, [(1, vec![0]), (3, vec![1, 2, 0])]);
    assert_eq!(bus.transactions(), [["0x50 w[10]", "0x50 r2"]]);
}

/// Linux's driver waits for its requests in order, and at the first error frees them all.
#[test]
fn a_group_that_fails_is_answered_from_its_end() {
    // Nobody acknowledges; the second message is for a chip that the guest does not have.
    for [first, second] in [[0xa2, 0xa2], [0xa0, 0xa4]] {
        let server = serve(&Arc::new(Adapter::new(Recorder::default())));
        let mut vm = boot(&server);
        let chains = [
            vm.memory.chain(&[&header(first, FAIL_NEXT), &[0x10]], &[1]),
            vm.memory.chain(&[&header(second, M_RD)], &[2, 1]),
        ];
        let ring = &mut vm.rings[0];
        let heads = chains
            .each_ref()
            .map(|chain| ring.add(&[vm.memory.indirect(chain)]));
        ring.push_all(&heads);
        ring.notify();
        let used = [(); 2].map(|()| ring.wait().unwrap().id);
        assert_eq!(used, [heads[1], heads[0]].map(u32::from), "{second:#x}");
    }
}

/// Every truncation of a request, lengths that no memory has, and broken chains: answered, and the
/// neighbour on the same adapter does not notice.
#[test]
fn hostile_requests_are_answered_and_hurt_nobody() {
    let bus = Recorder::default();
    let adapter = Arc::new(Adapter::new(bus.clone()));
    let (server, neighbour) = (serve(&adapter), serve(&adapter));
    let (mut vm, mut neighbour) = (boot(&server), boot(&neighbour));
    let write = [0xa0, 0, 0, 0, 0, 0, 0, 0];
    for length in 0..8 {
        let ring = &mut vm.rings[0];
        assert_eq!(ring.ask(&[&write[..length]], &[1]), Some(vec![1]));
        assert_eq!(ring.ask(&[&write[..length]], &[]), Some(vec![]));
    }
    let huge = |vm: &Vm, writable: usize| {
        let mut chain = vm.memory.chain(&[&header(0xa0, M_RD)], &[1, 1]);
        chain[writable].len = u32::MAX;
        chain
    };
    let nowhere = |vm: &Vm| {
        let mut chain = vm.memory.chain(&[&header(0xa0, M_RD)], &[1, 1]);
        chain[1].addr = 0xdead_0000_0000;
        chain
    };
    let endless = |vm: &Vm| {
        let mut chain = vm.memory.chain(&[&header(0xa0, M_RD)], &[1]);
        chain[1].flags |= Descriptor::NEXT;
        chain[1].next = 0;
        chain
    };
    for chain in [huge(&vm, 1), huge(&vm, 2), endless(&vm), nowhere(&vm)] {
        let ring = &mut vm.rings[0];
        let head = ring.add(&chain);
        ring.push(head);
        ring.notify();
        assert_eq!(ring.wait().unwrap().len, 0);
    }
    // A chip is read before it turns out that there is no memory for what it said.
    assert_eq!(bus.transactions(), [["0x50 r1"]]);
    for vm in [&mut neighbour, &mut vm] {
        assert_eq!(vm.rings[0].ask(&[&write], &[1]), Some(vec![0]));
    }
}

/// A bus that tells who has it, which is the first byte of a write, and is held until it is let go.
struct HeldBus {
    holds: Sender<u8>,
    let_go: Receiver<()>,
}

impl Bus for HeldBus {
    fn transfer(&mut self, messages: &mut [Message<'_>]) -> io::Result<()> {
        if let Data::Write([who, ..]) = messages[0].data {
            self.holds.send(*who).unwrap();
        }
        // Fails when nobody is interested any more, and the bus is not held.
        self.let_go.recv().unwrap_or_default();
        Ok(())
    }
}

/// A write of `who`, each time a transaction.
fn write(who: u8) -> Vec<u8> {
    [&header(0xa0, 0)[..], &[who]].concat()
}

/// Each time that the modest guest asks while the greedy one has the bus and a ring full of requests, it
/// is next.
#[test]
fn a_guest_waits_for_one_transaction_of_another_and_not_for_another_adapter() {
    const COUNT: usize = 64;
    let (holds, holders) = mpsc::channel();
    let (release, let_go) = mpsc::channel();
    let adapter = Arc::new(Adapter::new(HeldBus { holds, let_go }));
    let hardware = Hardware::start("held").unwrap();
    let next = || holders.recv_timeout(LIMIT).unwrap();
    let server = Server::new(|watch| offload(&hardware, &adapter, watch));
    let mut greedy = boot_with(&server, 64);
    let ring = &mut greedy.rings[0];
    let chain = greedy.memory.chain(&[&write(b'g')], &[1]);
    submit_group(ring, &[greedy.memory.indirect(&chain); COUNT]);
    let mut modest = offload(&hardware, &adapter, &Watch::new().unwrap());
    let mut other = device(&Arc::new(Adapter::new(Recorder::default())));

    for _ in 0..COUNT / 4 {
        assert_eq!(next(), b'g');
        let (said, answer) = reply(1);
        other.handle(0, &write(b'o'), said);
        assert_eq!(answer.now(), Some(vec![0]));

        let (said, answer) = reply(1);
        modest.handle(0, &write(b'm'), said);
        release.send(()).unwrap();
        assert_eq!(next(), b'm');
        release.send(()).unwrap();
        assert_eq!(answer.wait(), Some(vec![0]));
    }
    drop(release);
    for _ in 0..COUNT {
        assert_eq!(ring.wait().map(|used| used.len), Some(1));
    }
}

/// The bus is another guest's, too.
#[test]
fn a_bus_is_there_after_a_transaction_on_it_panicked() {
    let adapter = Arc::new(Adapter::new(PanicsOnce(false)));
    let transfer = || adapter.transfer(&mut []);
    thread::scope(|scope| assert!(scope.spawn(transfer).join().is_err()));
    transfer().unwrap();
}

struct PanicsOnce(bool);

impl Bus for PanicsOnce {
    fn transfer(&mut self, _messages: &mut [Message<'_>]) -> io::Result<()> {
        let before = std::mem::replace(&mut self.0, true);
        assert!(before, "as the test wants it");
        Ok(())
    }
}

/// Makes a group of a write and a read, as often as `count`.
fn ask_groups(mut vm: Vm, who: u8, count: usize) {
    let chains = [
        vm.memory.chain(&[&header(0xa0, FAIL_NEXT), &[who]], &[1]),
        vm.memory.chain(&[&header(0xa0, M_RD)], &[2]),
    ];
    let ring = &mut vm.rings[0];
    for _ in 0..count {
        submit_group(
            ring,
            &chains.each_ref().map(|chain| vm.memory.indirect(chain)),
        );
        assert!(ring.wait().is_some() && ring.wait().is_some());
    }
}

#[test]
fn a_group_whose_end_does_not_come_is_transferred_in_the_end() {
    let bus = Recorder::default();
    let server = serve(&Arc::new(Adapter::new(bus.clone())));
    let ring = &mut boot(&server).rings[0];
    let answer = ring.ask(&[&header(0xa0, FAIL_NEXT), &[7]], &[1]);
    assert_eq!(answer, Some(vec![0]));
    assert_eq!(bus.transactions(), [["0x50 w[07]"]]);
}

/// On a thread of the hardware's, what expires while the bus is busy is heard of later.
#[test]
fn a_timer_that_expires_as_the_rest_of_its_group_comes_does_not_break_up_the_next() {
    let bus = Recorder::default();
    let mut i2c = device(&Arc::new(Adapter::new(bus.clone())));
    let ask = |i2c: &mut I2c, flags, byte| {
        let (reply, answer) = reply(1);
        i2c.handle(0, &[&header(0xa0, flags)[..], &[byte]].concat(), reply);
        answer
    };
    let _first = ask(&mut i2c, FAIL_NEXT, 1);
    i2c.drained(0);
    let _rest = ask(&mut i2c, 0, 2);
    let _second = ask(&mut i2c, FAIL_NEXT, 3);
    i2c.ready(Token(0));
    let _rest = ask(&mut i2c, 0, 4);
    assert_eq!(
        bus.transactions(),
        [["0x50 w[01]", "0x50 w[02]"], ["0x50 w[03]", "0x50 w[04]"]]
    );
}

#[test]
fn groups_of_guests_are_never_interleaved() {
    const COUNT: usize = 200;
    let bus = Recorder::default();
    let adapter = Arc::new(Adapter::new(bus.clone()));
    thread::scope(|scope| {
        for who in 0..4 {
            let server = serve(&adapter);
            scope.spawn(move || ask_groups(boot(&server), who, COUNT));
        }
    });
    let groups = bus.transactions();
    assert_eq!(groups.len(), 4 * COUNT);
    for who in 0..4 {
        let group = [format!("0x50 w[{who:02x}]"), "0x50 r1".to_owned()];
        assert_eq!(groups.iter().filter(|its| **its == group).count(), COUNT);
    }
}
