// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests that belong together.

use std::mem;

use virtio_backend::testing::{Descriptor, Server, Vm, feature};
use virtio_backend::{Device, Queue, Reply};

/// Keeps requests until there are no more, and answers each with how many there were.
#[derive(Default)]
struct Together(Vec<Reply>);

impl Device for Together {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests]
    }

    fn max_request(&self) -> usize {
        8
    }

    fn handle(&mut self, _queue: u16, _request: &[u8], reply: Reply) {
        self.0.push(reply);
    }

    fn drained(&mut self, _queue: u16) {
        let count = u8::try_from(self.0.len()).unwrap();
        for reply in mem::take(&mut self.0) {
            reply.send(&[count]);
        }
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

/// Boots a guest that makes `chains` at once. Returns the bytes it got for each.
fn ask(chains: impl FnOnce(&Vm) -> Vec<Vec<Descriptor>>) -> Vec<Vec<u8>> {
    let server = Server::new(|_watch| Together::default());
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[256]).unwrap();
    let chains = chains(&vm);
    let ring = &mut vm.rings[0];
    let heads: Vec<_> = chains.iter().map(|chain| ring.add(chain)).collect();
    ring.push_all(&heads);
    ring.notify();
    let answers = chains.iter().map(|chain| {
        let used = ring.wait().unwrap();
        vm.memory.answer(chain, used.len)
    });
    answers.collect()
}

#[test]
fn a_device_is_told_when_there_is_no_further_request() {
    assert_eq!(
        ask(|vm| vec![vm.memory.chain(&[b"a"], &[1]); 3]),
        [[3], [3], [3]]
    );
}

/// A ring has 64 requests in its turn.
#[test]
fn a_turn_that_ends_is_not_the_end_of_the_requests() {
    assert_eq!(
        ask(|vm| vec![vm.memory.chain(&[b"a"], &[1]); 100]),
        [[100]; 100]
    );
}

#[test]
fn a_broken_chain_is_a_request_without_room() {
    let broken = |vm: &Vm| {
        let mut chain = vm.memory.chain(&[b"a"], &[1]);
        chain[1].flags |= Descriptor::NEXT;
        chain[1].next = u16::MAX;
        vec![chain, vm.memory.chain(&[b"b"], &[1])]
    };
    assert_eq!(ask(broken), [vec![], vec![2]]);
}
