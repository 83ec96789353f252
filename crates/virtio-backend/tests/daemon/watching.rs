// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device that waits for the world: file descriptors and timers.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use virtio_backend::testing::{Direct, LIMIT, Layout, Memory, Ring, Server, Vm, feature};
use virtio_backend::{Device, Queue, Reply, Timer, Token, Watch};

use crate::common::REQUESTS;

const WORLD: Token = Token(0);
const TIMER: Token = Token(u32::MAX);

/// What makes a listener wait for what comes next, and do nothing else.
const WAIT: u8 = b'w';
/// What a listener hears of its driver besides requests.
const NEGOTIATED: u8 = b'N';
const RESET: u8 = b'R';

/// Answers a request with what the world says next, or with "late" when that takes too long.
struct Listener {
    world: UnixStream,
    timer: Timer,
    held: Vec<Reply>,
    heard: Sender<u8>,
}

impl Device for Listener {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests]
    }

    fn max_request(&self) -> usize {
        8
    }

    fn handle(&mut self, _queue: u16, request: &[u8], reply: Reply) {
        self.heard.send(request[0]).unwrap();
        if request == b"soon" {
            self.timer.arm(Duration::from_millis(1));
        }
        self.held.push(reply);
    }

    fn ready(&mut self, token: Token) {
        match token {
            WORLD => {
                let mut word = [0];
                self.world.read_exact(&mut word).unwrap();
                if word == [WAIT] {
                    self.heard.send(WAIT).unwrap();
                    self.world.read_exact(&mut word).unwrap();
                }
                self.held.drain(..).for_each(|reply| reply.send(&word));
                self.heard.send(word[0]).unwrap();
            }
            _ => self.held.drain(..).for_each(|reply| reply.send(b"late")),
        }
    }

    fn negotiated(&mut self, _features: u64) {
        self.heard.send(NEGOTIATED).unwrap();
    }

    fn reset(&mut self) {
        self.timer.disarm();
        self.held.clear();
        self.heard.send(RESET).unwrap();
    }
}

impl Listener {
    fn new(world: UnixStream, heard: Sender<u8>, watch: &Watch) -> Self {
        watch.add(&world, WORLD).unwrap();
        let timer = watch.timer(TIMER);
        Self {
            world,
            timer,
            held: Vec::new(),
            heard,
        }
    }
}

/// A listener, the world that it listens to, and what it heard of the driver and of the world.
///
/// In this order, since the last is dropped first: the world outlives its listener.
fn listener() -> (UnixStream, Receiver<u8>, Server<Listener>) {
    let (ours, world) = UnixStream::pair().unwrap();
    let (heard, hears) = mpsc::channel();
    let server = Server::new(|watch| Listener::new(world, heard, watch));
    (ours, hears, server)
}

/// Waits until the listener hears `what`. `false` if it does not.
fn comes(hears: &Receiver<u8>, what: u8) -> bool {
    std::iter::from_fn(|| hears.recv_timeout(LIMIT).ok()).any(|heard| heard == what)
}

#[test]
fn a_timer_answers_a_request() {
    let (_world, _hears, server) = listener();
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    for _ in 0..10 {
        let answer = vm.rings[REQUESTS].ask(&[b"soon"], &[8]);
        assert_eq!(answer.as_deref(), Some(&b"late"[..]));
    }
}

/// The worker may come to what is watched before it comes to the driver's kick.
#[test]
fn what_the_driver_asked_for_before_comes_before_what_is_watched() {
    let (mut ours, world) = UnixStream::pair().unwrap();
    let (heard, hears) = mpsc::channel();
    let memory = Memory::new(&[(0x10_0000, 0x1_0000)]);
    let layout = Layout::new(&memory, 4);
    let mut ring = Ring::new(&memory, layout);
    let mut device = Direct::new(&memory, |watch| Listener::new(world, heard, watch));
    assert!(device.start(REQUESTS, &layout, 0));

    let head = ring.add(&memory.chain(&[b"?"], &[8]));
    ring.push(head);
    ours.write_all(b"x").unwrap();
    device.poll();
    assert_eq!(hears.try_iter().collect::<Vec<_>>(), b"?x");
    assert_eq!(ring.pop().map(|used| used.len), Some(1));
}

#[test]
fn what_is_watched_answers_a_request_also_while_stopped() {
    let (mut world, hears, server) = listener();
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let chain = vm.memory.chain(&[b"?"], &[8]);
    vm.rings[REQUESTS].submit(&chain);
    assert!(comes(&hears, b'?'));

    let bases = vm.stop().unwrap();
    world.write_all(b"x").unwrap();
    assert!(comes(&hears, b'x'));
    vm.start(&bases).unwrap();

    let used = vm.rings[REQUESTS].wait().unwrap();
    assert_eq!(vm.memory.answer(&chain, used.len), b"x");
}

#[test]
fn what_is_watched_is_looked_after_with_and_without_a_front_end() {
    let (mut world, hears, server) = listener();
    world.write_all(b"a").unwrap();
    assert!(comes(&hears, b'a'));

    let vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    world.write_all(b"b").unwrap();
    assert!(comes(&hears, b'b'));

    drop(vm);
    world.write_all(b"c").unwrap();
    assert!(comes(&hears, b'c'));
}

#[test]
fn a_chain_that_the_device_has_already_stops_its_ring() {
    let (mut world, hears, server) = listener();
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let chain = vm.memory.chain(&[b"?"], &[8]);
    let head = vm.rings[REQUESTS].submit(&chain);
    assert!(comes(&hears, b'?'));

    vm.rings[REQUESTS].push(head);
    vm.rings[REQUESTS].kick();
    world.write_all(b"x").unwrap();

    // The world comes after the kick: by now the device would have been asked again.
    assert_eq!(hears.recv_timeout(LIMIT), Ok(b'x'));
    vm.reboot().unwrap();
    vm.rings[REQUESTS].submit(&chain);
    assert!(comes(&hears, b'?'));
    world.write_all(b"y").unwrap();
    let used = vm.rings[REQUESTS].wait().unwrap();
    assert_eq!(vm.memory.answer(&chain, used.len), b"y");
}

/// A front end accepts features before it says where the rings begin, which shows the reset.
#[test]
fn a_device_that_was_reset_hears_the_features_afterwards() {
    let (mut world, hears, server) = listener();
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    vm.rings[REQUESTS].submit(&vm.memory.chain(&[b"?"], &[8]));
    assert!(comes(&hears, b'?'));
    vm.stop().unwrap();

    vm.front_end.set_features(feature::ALL).unwrap();
    world.write_all(b"x").unwrap();
    assert!(comes(&hears, b'x'));
    vm.front_end
        .set_up(REQUESTS, &vm.rings[REQUESTS], 0)
        .unwrap();
    vm.front_end.enable(REQUESTS).unwrap();

    assert!(comes(&hears, RESET));
    assert!(comes(&hears, NEGOTIATED));
}

/// The front end's mistake, or a race with it.
#[test]
fn a_kick_that_is_gone_when_it_is_looked_at_does_no_harm() {
    let (mut world, hears, server) = listener();
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    // The kick at the start is over when this is heard.
    world.write_all(b"a").unwrap();
    assert!(comes(&hears, b'a'));

    // The next time that the worker looks, it finds the world and a kick, in this order.
    world.write_all(b"w").unwrap();
    assert!(comes(&hears, WAIT));
    vm.rings[REQUESTS].kick();
    world.write_all(b"xw").unwrap();
    assert!(comes(&hears, WAIT));
    vm.rings[REQUESTS].take_kick_back();
    world.write_all(b"y").unwrap();
    assert!(comes(&hears, b'y'));
    // When this is heard, the worker has looked for the kick.
    world.write_all(b"z").unwrap();
    assert!(comes(&hears, b'z'));

    assert!(vm.rings[REQUESTS].ask(&[b"soon"], &[8]).is_some());
}
