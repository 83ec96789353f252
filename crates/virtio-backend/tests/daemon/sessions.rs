// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Front ends that come and go, politely or not.

use std::io::Write;
use std::iter;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::mpsc::{self, Sender};
use std::thread;

use virtio_backend::testing::{FrontEnd, LIMIT, Server, Vm, feature, protocol};
use virtio_backend::{Device, Queue, Reply, Watch};

use crate::common::{Endless, REQUESTS, Seen, echo, hold, scripted, serve, was_reset};

fn works(vm: &mut Vm) -> bool {
    vm.rings[REQUESTS].ask(&[b"hello"], &[8]).as_deref() == Some(b"!hello")
}

#[test]
fn a_second_front_end_waits_until_the_first_leaves() {
    let (device, seen) = scripted(echo);
    let server = Server::waiting("guest", |_watch| device);
    let mut first = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let (served, serving) = mpsc::channel();

    thread::scope(|scope| {
        let socket = server.socket();
        scope.spawn(move || served.send(Vm::boot(&socket, feature::ALL, &[64]).unwrap()));
        // As long as that takes, the second is patient.
        for _ in 0..100 {
            assert!(works(&mut first));
        }
        assert!(serving.try_recv().is_err());
        drop(first);
        assert!(was_reset(&seen));
        assert!(works(&mut serving.recv_timeout(LIMIT).unwrap()));
    });
}

#[test]
fn a_late_reply_from_another_thread_after_a_disconnect_does_nothing() {
    let (handle, held) = hold();
    let (server, seen) = serve(handle);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let chain = vm.memory.chain(&[b"hello"], &[8]);
    vm.rings[REQUESTS].submit(&chain);
    let reply = held.recv_timeout(LIMIT).unwrap();
    let Vm {
        memory,
        front_end,
        mut rings,
        ..
    } = vm;

    drop(front_end);
    assert!(was_reset(&seen));
    let before = memory.snapshot();
    thread::spawn(move || reply.send(b"late")).join().unwrap();

    assert!(before == memory.snapshot());
    assert_eq!(rings[REQUESTS].calls(), 0);
}

#[test]
fn a_guest_that_leaves_while_its_device_works_is_forgotten() {
    let (begin, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let (server, seen) = serve(move |request, reply| {
        begin.send(()).unwrap();
        may_go_on.recv().unwrap();
        echo(request, reply);
    });
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let chain = vm.memory.chain(&[b"hello"], &[8]);
    vm.rings[REQUESTS].submit(&chain);
    begun.recv_timeout(LIMIT).unwrap();

    drop(vm);
    go_on.send(()).unwrap();

    assert!(was_reset(&seen));
    go_on.send(()).unwrap();
    assert!(works(
        &mut Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap()
    ));
}

#[test]
fn a_device_hears_what_happens_to_its_guest_in_order() {
    let (server, seen) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64, 64]).unwrap();
    assert!(works(&mut vm));
    let next = || {
        loop {
            return match seen.recv_timeout(LIMIT).unwrap() {
                Seen::Negotiated(features) => format!("negotiated {features:#x}"),
                Seen::Events(events) => format!("events, of use: {}", events.send(b"hello")),
                // At any time that the ring is looked at.
                Seen::Lent => continue,
                Seen::Stop(queue) => format!("stop {queue}"),
                Seen::Reset => "reset".into(),
                Seen::Disconnected => "disconnected".into(),
            };
        }
    };
    assert_eq!(next(), "negotiated 0x170000000");
    assert_eq!(next(), "events, of use: true");

    vm.reboot().unwrap();
    assert_eq!(next(), "stop 0");
    assert_eq!(next(), "stop 1");
    // The features arrive first, and whatever the worker does before the ring's base arrives tells
    // of them.
    let reset = iter::repeat_with(next).find(|what| what != "negotiated 0x170000000");
    assert_eq!(reset.as_deref(), Some("reset"));
    assert_eq!(next(), "negotiated 0x170000000");
    assert_eq!(next(), "events, of use: true");

    drop(vm);
    assert_eq!(next(), "disconnected");
    assert_eq!(next(), "reset");
}

#[test]
fn a_device_hears_of_a_reset_before_its_new_driver_has_anything_to_say() {
    let (server, seen) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    assert!(works(&mut vm));
    vm.stop().unwrap();

    vm.rings[REQUESTS].reset();
    let ring = &vm.rings[REQUESTS];
    vm.front_end.set_up(REQUESTS, ring, 0).unwrap();
    vm.front_end.enable(REQUESTS).unwrap();

    assert!(was_reset(&seen));
}

/// Tells the test which processes connected, and when they went.
struct Doorman(Sender<Option<u32>>, Watch);

impl Device for Doorman {
    fn device_type(&self) -> u32 {
        0
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests]
    }

    fn max_request(&self) -> usize {
        0
    }

    fn connected(&mut self) {
        self.0.send(self.1.peer()).unwrap();
    }

    fn handle(&mut self, _queue: u16, _request: &[u8], _reply: Reply) {}

    fn reset(&mut self) {
        self.0.send(self.1.peer()).unwrap();
    }
}

#[test]
fn a_device_can_tell_which_process_connects_each_time() {
    let (told, seen) = mpsc::channel();
    let server = Server::new(|watch| Doorman(told, watch.clone()));
    for _ in 0..2 {
        let front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();
        let process = seen.recv_timeout(LIMIT).unwrap();
        assert_eq!(process, Some(process::id()));
        drop(front_end);
        assert_eq!(seen.recv_timeout(LIMIT).unwrap(), None);
    }
}

#[test]
fn nonsense_on_the_socket_ends_that_session_alone() {
    let (server, _) = serve(echo);
    let nonsense: [&[u8]; 6] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        // Half a header.
        &[1, 0, 0, 0, 1, 0],
        // GET_FEATURES with a payload of 4 GiB.
        &[1, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        // A request that does not exist.
        &[0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        // SET_VRING_NUM for queue 2^32 - 1, before anything else.
        &[
            8, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0,
        ],
    ];
    for bytes in nonsense {
        let mut socket = UnixStream::connect(server.socket()).unwrap();
        socket.write_all(bytes).unwrap();
        drop(socket);

        let mut next = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
        assert!(works(&mut next), "after {bytes:?}");
    }
}

#[test]
fn a_session_may_end_at_any_point_of_its_beginning() {
    let (server, _) = serve(echo);
    drop(FrontEnd::connect(&server.socket(), protocol::ALL).unwrap());
    drop(FrontEnd::connect(&server.socket(), 0).unwrap());
    let vm = Vm::boot(&server.socket(), feature::ALL, &[64, 64]).unwrap();
    vm.front_end.disable(REQUESTS).unwrap();
    drop(vm);

    assert!(works(
        &mut Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap()
    ));
}

#[test]
fn a_server_can_be_stopped_while_a_front_end_is_connected() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    assert!(works(&mut vm));

    drop(server);

    assert!(vm.front_end.features().is_err());
}

#[test]
fn a_server_can_be_stopped_while_its_guest_never_stops_asking() {
    let endless = Endless::default();
    let (server, _) = serve(endless.clone().handle());
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    endless.begin(&mut vm);

    drop(server);

    assert!(vm.front_end.features().is_err());
}

#[test]
fn a_guest_that_leaves_while_it_never_stops_asking_makes_room_for_the_next() {
    let endless = Endless::default();
    let (server, seen) = serve(endless.clone().handle());
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    endless.begin(&mut vm);

    drop(vm);

    assert!(was_reset(&seen));
}

#[test]
fn a_server_can_be_stopped_before_a_front_end_connects() {
    drop(serve(echo));
}
