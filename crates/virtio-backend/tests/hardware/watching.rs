// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a device on a thread of its hardware's watches.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use virtio_backend::testing::{FrontEnd, LIMIT, Server, protocol};
use virtio_backend::{Device, Hardware, Queue, Reply, Timer, Token, Watch};

use crate::common::{Bench, HOLD, ask};

const WORLD: Token = Token(3);
const TIMER: Token = Token(u32::MAX);

/// Tells on which thread it hears of what it watches, and of which process connects.
struct Listener {
    watch: Watch,
    world: UnixStream,
    timer: Timer,
    /// Leaves in the socket what comes.
    leaves: bool,
    tells: Sender<String>,
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

    fn connected(&mut self) {
        self.tells.send(format!("{:?}", self.watch.peer())).unwrap();
    }

    fn handle(&mut self, _queue: u16, _request: &[u8], _reply: Reply) {
        self.timer.arm(Duration::from_millis(1));
    }

    fn ready(&mut self, token: Token) {
        if token == WORLD && !self.leaves {
            self.world.read_exact(&mut [0]).unwrap();
        }
        let thread = thread::current();
        let heard = format!("{} on {}", token.0, thread.name().unwrap());
        // A test that does not ask is not told.
        drop(self.tells.send(heard));
    }

    fn reset(&mut self) {}
}

/// A listener to be, and the world that it listens to.
fn listener(
    leaves: bool,
    tells: Sender<String>,
) -> (
    impl FnOnce(&Watch) -> Result<Listener, Infallible>,
    UnixStream,
) {
    let (ours, world) = UnixStream::pair().unwrap();
    let make = move |watch: &Watch| {
        watch.add(&world, WORLD).unwrap();
        Ok(Listener {
            timer: watch.timer(TIMER),
            watch: watch.clone(),
            world,
            leaves,
            tells,
        })
    };
    (make, ours)
}

#[test]
fn descriptors_and_timers_are_heard_of_on_the_thread_of_the_hardware() {
    let (tells, told) = mpsc::channel();
    let hardware = Hardware::start("slow bus").unwrap();
    let (make, mut world) = listener(false, tells);
    // What came before there was a device is heard, too.
    world.write_all(b"x").unwrap();
    let mut device = hardware.device(&Watch::new().unwrap(), make).unwrap();
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), "3 on slow bus");
    world.write_all(b"x").unwrap();
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), "3 on slow bus");

    ask(&mut device, b"arm");
    let timer = format!("{} on slow bus", u32::MAX);
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), timer);
}

#[test]
fn a_descriptor_that_stays_ready_keeps_nobody_waiting() {
    let bench = Bench::new();
    let (mut other, go_on) = bench.guest("b");
    let (tells, told) = mpsc::channel();
    let (make, mut world) = listener(true, tells);
    let device = bench.hardware.device(&Watch::new().unwrap(), make).unwrap();
    world.write_all(b"x").unwrap();
    for _ in 0..100 {
        assert_eq!(told.recv_timeout(LIMIT).unwrap(), "3 on bench");
        let answer = ask(&mut other, b"x");
        assert_eq!(answer.wait().as_deref(), Some(&b"x"[..]));
    }

    // However long it is ready while the hardware is busy, it is reported once.
    let answer = ask(&mut other, HOLD);
    while bench.next() != "b hold on 0" {}
    told.try_iter().for_each(drop);
    drop(device);
    go_on.send(()).unwrap();
    assert!(answer.wait().is_some());
    ask(&mut other, b"x").wait().unwrap();
    assert!(told.try_iter().count() <= 1);
}

#[test]
fn a_device_can_tell_which_process_connects() {
    let (tells, told) = mpsc::channel();
    let hardware = Hardware::start("bus").unwrap();
    let (make, _world) = listener(false, tells);
    let server = Server::new(|watch| hardware.device(watch, make).unwrap());
    let _front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();
    let process = format!("{:?}", Some(process::id()));
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), process);
}
