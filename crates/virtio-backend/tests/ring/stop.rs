// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Stopped, resumed, reset: what becomes of the requests that the device has.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use virtio_backend::testing::{
    Descriptor, Direct, LIMIT, Layout, Memory, Ring, Server, Used, Vm, feature,
};
use virtio_backend::{Device, Queue, Reply, Stopped};

use crate::common::{Endless, REQUESTS, Seen, echo, hold, scripted, serve, was_reset};

/// Makes a request. Returns its buffers.
fn push(vm: &mut Vm) -> Vec<Descriptor> {
    let chain = vm.memory.chain(&[b"hello"], &[8]);
    let ring = &mut vm.rings[REQUESTS];
    ring.submit(&chain);
    chain
}

/// Makes a request, and waits until the device has it.
fn ask(vm: &mut Vm, held: &Receiver<Reply>) -> (Vec<Descriptor>, Reply) {
    let chain = push(vm);
    (chain, held.recv_timeout(LIMIT).unwrap())
}

/// Whether `answer` changes nothing in the guest: not a byte, and no interrupt.
fn is_silent(vm: &mut Vm, answer: impl FnOnce()) -> bool {
    let (memory, calls) = (vm.memory.snapshot(), vm.rings[REQUESTS].calls());
    answer();
    memory == vm.memory.snapshot() && calls == vm.rings[REQUESTS].calls()
}

#[test]
fn an_answer_while_stopped_is_written_when_the_machine_goes_on() {
    let (handle, held) = hold();
    let (server, _) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (chain, reply) = ask(&mut vm, &held);

    let bases = vm.stop().unwrap();
    assert_eq!(bases, [1]);
    assert!(is_silent(&mut vm, || reply.send(b"late")));

    vm.start(&bases).unwrap();
    let used = vm.rings[REQUESTS].wait().unwrap();
    assert_eq!(vm.memory.answer(&chain, used.len), b"late");
}

#[test]
fn a_request_from_before_the_stop_is_answered_after_it() {
    let (handle, held) = hold();
    let (server, seen) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (chain, reply) = ask(&mut vm, &held);

    let bases = vm.stop().unwrap();
    vm.start(&bases).unwrap();
    reply.send(b"resumed");

    let used = vm.rings[REQUESTS].wait().unwrap();
    assert_eq!(vm.memory.answer(&chain, used.len), b"resumed");
    assert!(seen.try_iter().all(|what| !matches!(what, Seen::Reset)));
}

#[test]
fn a_request_from_before_a_reset_is_never_answered() {
    let (handle, held) = hold();
    let (server, seen) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (_, reply) = ask(&mut vm, &held);

    vm.reboot().unwrap();

    assert!(was_reset(&seen));
    assert!(is_silent(&mut vm, || reply.send(b"late")));
    let (_, reply) = ask(&mut vm, &held);
    reply.send(b"anew");
    assert_eq!(vm.rings[REQUESTS].wait(), Some(Used { id: 0, len: 4 }));
    assert_eq!(vm.rings[REQUESTS].pop(), None);
}

#[test]
fn an_answer_between_stop_and_reset_is_never_written() {
    let (handle, held) = hold();
    let (server, seen) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (_, reply) = ask(&mut vm, &held);
    vm.stop().unwrap();

    assert!(is_silent(&mut vm, || reply.send(b"late")));
    vm.rings[REQUESTS].reset();
    vm.start(&[0]).unwrap();

    assert!(was_reset(&seen));
    let (_, reply) = ask(&mut vm, &held);
    reply.send(b"new");
    assert_eq!(vm.rings[REQUESTS].wait(), Some(Used { id: 0, len: 3 }));
    assert_eq!(vm.rings[REQUESTS].pop(), None);
}

/// The index where the ring stopped is 65,536, which is 0.
#[test]
fn a_guest_that_reboots_at_the_base_where_it_stopped_is_reset() {
    let (handle, held) = hold();
    let (server, seen) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[2]).unwrap();
    let head = vm.rings[REQUESTS].add(&vm.memory.chain(&[b"hello"], &[8]));
    for _ in 0..u16::MAX {
        vm.rings[REQUESTS].push(head);
        vm.rings[REQUESTS].notify();
        held.recv_timeout(LIMIT).unwrap().send(b"");
        assert!(vm.rings[REQUESTS].wait().is_some());
    }
    vm.rings[REQUESTS].push(head);
    vm.rings[REQUESTS].notify();
    let reply = held.recv_timeout(LIMIT).unwrap();
    assert_eq!(vm.stop().unwrap(), [0]);
    vm.rings[REQUESTS].reset();

    vm.start(&[0]).unwrap();

    assert!(was_reset(&seen));
    assert!(is_silent(&mut vm, || reply.send(b"late")));
    let (_, reply) = ask(&mut vm, &held);
    reply.send(b"new");
    assert_eq!(vm.rings[REQUESTS].wait(), Some(Used { id: 0, len: 3 }));
}

#[test]
fn nothing_is_written_when_a_stopped_queue_is_stopped_again() {
    let (handle, held) = hold();
    let (server, _) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (_, reply) = ask(&mut vm, &held);
    let base = vm.front_end.stop(REQUESTS).unwrap();
    reply.send(b"late");

    let memory = vm.memory.snapshot();
    assert_eq!(vm.front_end.stop(REQUESTS).unwrap(), base);

    assert!(memory == vm.memory.snapshot());
}

/// Without threads: there is no other sign that the device has seen the ring break.
#[test]
fn a_ring_that_broke_starts_anew_even_where_it_stopped() {
    let (handle, held) = hold();
    let (device, seen) = scripted(handle);
    let memory = Memory::new(&[(0x10_0000, 0x1_0000)]);
    let layout = Layout::new(&memory, 4);
    let mut ring = Ring::new(&memory, layout);
    let mut device = Direct::new(&memory, |_| device);
    assert!(device.start(REQUESTS, &layout, 0));
    let head = ring.add(&memory.chain(&[], &[8]));
    ring.push(head);
    device.kick(REQUESTS);
    let reply = held.try_recv().unwrap();
    ring.set_available_index(60_000);
    device.kick(REQUESTS);
    let base = device.stop(REQUESTS);
    ring.set_available_index(1);

    assert!(device.start(REQUESTS, &layout, base));
    device.kick(REQUESTS);

    assert!(seen.try_iter().any(|what| matches!(what, Seen::Reset)));
    let before = memory.snapshot();
    reply.send(b"late");
    assert!(before == memory.snapshot());
    let head = ring.add(&memory.chain(&[], &[8]));
    ring.push(head);
    device.kick(REQUESTS);
    held.try_recv().unwrap().send(b"new");
    assert_eq!(ring.pop().map(|used| used.len), Some(3));
}

/// User-Mode Linux, and a pause of cloud-hypervisor.
#[test]
fn nothing_is_written_while_a_queue_is_only_disabled() {
    let (handle, held) = hold();
    let (server, _) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (chain, reply) = ask(&mut vm, &held);

    vm.front_end.disable(REQUESTS).unwrap();
    assert!(is_silent(&mut vm, || reply.send(b"late")));

    vm.front_end.enable(REQUESTS).unwrap();
    let used = vm.rings[REQUESTS].wait().unwrap();
    assert_eq!(vm.memory.answer(&chain, used.len), b"late");
}

/// QEMU disables each queue first.
#[test]
fn an_answer_while_disabled_is_written_before_the_base_is_told() {
    let (handle, held) = hold();
    let (server, _) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (_, reply) = ask(&mut vm, &held);

    vm.front_end.disable(REQUESTS).unwrap();
    reply.send(b"done");
    assert_eq!(vm.front_end.stop(REQUESTS).unwrap(), 1);

    assert_eq!(vm.rings[REQUESTS].pop(), Some(Used { id: 0, len: 4 }));
    assert_eq!(vm.rings[REQUESTS].calls(), 1);
}

/// User-Mode Linux never asks for the base, and starts each ring at 0.
#[test]
fn a_queue_that_was_only_disabled_and_starts_anew_is_reset() {
    let (handle, held) = hold();
    let (server, seen) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (_, reply) = ask(&mut vm, &held);

    vm.front_end.disable(REQUESTS).unwrap();
    vm.rings[REQUESTS].reset();
    vm.front_end
        .set_up(REQUESTS, &vm.rings[REQUESTS], 0)
        .unwrap();
    vm.front_end.enable(REQUESTS).unwrap();

    assert!(was_reset(&seen));
    assert!(is_silent(&mut vm, || reply.send(b"late")));
    let (chain, reply) = ask(&mut vm, &held);
    reply.send(b"anew");
    let used = vm.rings[REQUESTS].wait().unwrap();
    assert_eq!(vm.memory.answer(&chain, used.len), b"anew");
}

#[test]
fn nothing_is_written_after_reset_device() {
    let (handle, held) = hold();
    let (server, seen) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (_, reply) = ask(&mut vm, &held);

    vm.front_end.reset_device().unwrap();

    assert!(was_reset(&seen));
    assert!(is_silent(&mut vm, || reply.send(b"late")));
    vm.rings[REQUESTS].reset();
    vm.start(&[0]).unwrap();
    let (_, reply) = ask(&mut vm, &held);
    reply.send(b"new");
    assert_eq!(vm.rings[REQUESTS].wait(), Some(Used { id: 0, len: 3 }));
    assert_eq!(vm.rings[REQUESTS].pop(), None);
}

/// Not even if the front end says nothing new of the ring.
#[test]
fn an_answer_from_before_reset_device_is_never_written() {
    let (handle, held) = hold();
    let (server, _) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (_, first) = ask(&mut vm, &held);
    let (_, second) = ask(&mut vm, &held);

    vm.front_end.reset_device().unwrap();
    first.send(b"disabled");
    vm.front_end.set_features(feature::ALL).unwrap();
    vm.front_end.enable(REQUESTS).unwrap();
    second.send(b"enabled");

    vm.stop().unwrap();
    assert_eq!(vm.rings[REQUESTS].used_index(), 0);
}

/// A device whose hardware takes its time: the test answers, and says when a queue has stopped.
struct Slow(Sender<Reply>, Sender<Stopped>);

impl Device for Slow {
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
        self.0.send(reply).unwrap();
    }

    fn stop(&mut self, _queue: u16, stopped: Stopped) {
        self.1.send(stopped).unwrap();
    }

    fn reset(&mut self) {}
}

#[test]
fn what_is_being_worked_on_is_finished_before_the_base_is_told() {
    let ((reply, held), (stopped, stopping)) = (mpsc::channel(), mpsc::channel());
    let server = Server::new(|_| Slow(reply, stopped));
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (_, working) = ask(&mut vm, &held);
    let (_, waiting) = ask(&mut vm, &held);

    let bases = thread::scope(|scope| {
        let stop = scope.spawn(|| vm.stop().unwrap());
        let stopped = stopping.recv_timeout(LIMIT).unwrap();
        working.send(b"done");
        drop(stopped);
        stop.join().unwrap()
    });

    assert_eq!(bases, [2]);
    assert_eq!(vm.rings[REQUESTS].pop(), Some(Used { id: 0, len: 4 }));
    // What waits for the world waits.
    assert!(is_silent(&mut vm, || waiting.send(b"late")));
}

#[test]
fn requests_made_while_stopped_are_answered_after_it() {
    let (server, seen) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    assert!(vm.rings[REQUESTS].ask(&[b"before"], &[8]).is_some());

    let bases = vm.stop().unwrap();
    assert!(seen.try_iter().any(|what| matches!(what, Seen::Stop(0))));
    push(&mut vm);
    push(&mut vm);
    vm.rings[REQUESTS].kick();
    vm.start(&bases).unwrap();

    assert_eq!(vm.rings[REQUESTS].wait().unwrap().len, 6);
    assert_eq!(vm.rings[REQUESTS].wait().unwrap().len, 6);
}

#[test]
fn a_kick_may_race_with_stop() {
    let (server, seen) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    for round in 0..1000 {
        push(&mut vm);
        let bases = vm.stop().unwrap();
        let answered = vm.rings[REQUESTS].used_index();
        assert_eq!(bases, [answered], "round {round}: taken, and not finished");
        vm.start(&bases).unwrap();
        assert_eq!(
            vm.rings[REQUESTS].wait().map(|used| used.len),
            Some(6),
            "round {round}"
        );
    }

    assert_eq!(vm.rings[REQUESTS].pop(), None);
    assert!(seen.try_iter().all(|what| !matches!(what, Seen::Reset)));
}

#[test]
fn an_answer_may_race_with_stop() {
    let (handle, held) = hold();
    let (server, _) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    for round in 0..50 {
        let (_, reply) = ask(&mut vm, &held);
        let bases = thread::scope(|scope| {
            let answer = scope.spawn(|| reply.send(b"race"));
            let bases = vm.stop().unwrap();
            assert!(
                is_silent(&mut vm, || answer.join().unwrap()),
                "round {round}"
            );
            bases
        });
        vm.start(&bases).unwrap();
        assert_eq!(
            vm.rings[REQUESTS].wait().map(|used| used.len),
            Some(4),
            "round {round}"
        );
        assert_eq!(vm.rings[REQUESTS].pop(), None, "round {round}");
    }
}

#[test]
fn a_guest_that_never_stops_asking_can_be_stopped() {
    let endless = Endless::default();
    let (server, _) = serve(endless.clone().handle());
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    endless.begin(&mut vm);

    vm.front_end.stop(REQUESTS).unwrap();
}

#[test]
fn a_queue_may_be_stopped_before_it_starts_and_twice() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    assert_eq!(vm.front_end.stop(1).unwrap(), 0);
    assert_eq!(vm.stop().unwrap(), [0]);
    assert_eq!(vm.stop().unwrap(), [0]);

    vm.start(&[0]).unwrap();
    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
}

/// QEMU does so when memory is plugged.
#[test]
fn a_request_is_answered_though_memory_was_shared_anew() {
    let (handle, held) = hold();
    let (server, _) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (chain, reply) = ask(&mut vm, &held);

    vm.front_end.set_memory(&vm.memory).unwrap();
    reply.send(b"found");

    let used = vm.rings[REQUESTS].wait().unwrap();
    assert_eq!(vm.memory.answer(&chain, used.len), b"found");
}

#[test]
fn a_resumed_device_hears_again_which_features_hold() {
    let (server, seen) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    assert!(vm.rings[REQUESTS].ask(&[b"before"], &[8]).is_some());

    let bases = vm.stop().unwrap();
    vm.start(&bases).unwrap();
    assert!(vm.rings[REQUESTS].ask(&[b"after"], &[8]).is_some());

    let negotiated = seen
        .try_iter()
        .filter(|what| matches!(what, Seen::Negotiated(feature::ALL)));
    assert_eq!(negotiated.count(), 2);
}
