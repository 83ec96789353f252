// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Front ends that leave a worker waiting, or never leave it alone: their guests' neighbours on the
//! same worker are served as ever.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use virtio_backend::testing::{LIMIT, Server, feature};

use crate::device::{Counts, counting, echo, was_reset};
use crate::machine::Machine;
use crate::wire::{GET_CONFIG, RESET_DEVICE, SET_FEATURES, SET_OWNER, Wire, longs, message, words};

/// How long a front end may take for the rest of a message, or to read an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A guest whose queue runs.
fn start(socket: &Path) -> (Wire, Machine) {
    let (wire, machine) = (Wire::connect(socket), Machine::new(&[64]));
    wire.tell(SET_OWNER, &[], &[]);
    wire.tell(SET_FEATURES, &longs(&[feature::ALL]), &[]);
    machine.set_mem_table(&wire);
    let queue = &machine.queues[0];
    queue.set_num(&wire);
    queue.set_base(&wire, 0);
    queue.set_addr(&wire);
    queue.set_kick(&wire);
    queue.set_call(&wire);
    queue.enable(&wire, 1);
    (wire, machine)
}

#[test]
fn a_message_that_never_ends_is_ended_and_delays_no_other_guest() {
    let (device, seen) = echo();
    let mut server = Server::new(|_watch| device);
    let beside = server.beside("beside", |_watch| echo().0);
    let (wire, _machine) = start(&server.socket());
    let (_neighbour, mut neighbour) = start(&beside);
    let begun = Instant::now();

    wire.send(&message(GET_CONFIG, 0, &[0; 100])[..50], &[]);

    let mut served = 0;
    while !wire.is_hung_up(Duration::ZERO) && begun.elapsed() < LIMIT {
        assert!(neighbour.works());
        served += 1;
    }
    assert!(wire.is_hung_up(Duration::ZERO));
    assert!(begun.elapsed() >= PATIENCE);
    assert!(served > 100, "{served}");
    assert!(was_reset(&seen));
    // Who comes next is served.
    assert!(start(&server.socket()).1.works());
}

/// Each byte comes before the back end would lose its patience with the one before.
#[test]
fn a_message_that_comes_too_slowly_is_ended() {
    let server = Server::new(|_watch| echo().0);
    let (wire, _machine) = start(&server.socket());
    let begun = Instant::now();

    for byte in message(GET_CONFIG, 0, &[0; 100]).chunks(1) {
        wire.send(byte, &[]);
        if wire.is_hung_up(Duration::from_millis(500)) {
            break;
        }
    }

    assert!(wire.is_hung_up(Duration::ZERO));
    assert!((PATIENCE..LIMIT).contains(&begun.elapsed()));
}

/// It goes on asking, and what it asks is no sign that it reads.
#[test]
fn a_front_end_that_never_reads_its_answers_is_ended_and_delays_no_other_guest() {
    let (device, seen) = echo();
    let mut server = Server::new(|_watch| device);
    let beside = server.beside("beside", |_watch| echo().0);
    let (wire, _machine) = start(&server.socket());
    let (_neighbour, mut neighbour) = start(&beside);
    // Each answer has 4 kB, so that few fill the socket.
    let question = message(GET_CONFIG, 0, &words(&[0, 4084, 0]));
    wire.socket.set_nonblocking(true).unwrap();
    let begun = Instant::now();

    for _ in 0..100 {
        (&wire.socket).write_all(&question).unwrap();
    }
    while !wire.is_hung_up(Duration::from_millis(500)) && begun.elapsed() < LIMIT {
        // Until there is no more room for questions, either, and when the back end hangs up.
        drop((&wire.socket).write_all(&question));
        assert!(neighbour.works());
    }

    assert!(wire.is_hung_up(Duration::ZERO));
    assert!(was_reset(&seen));
    assert!(start(&server.socket()).1.works());
}

#[test]
fn a_flood_of_messages_does_not_delay_another_guest() {
    // How many messages of the flood the worker has read.
    let counts = Counts::default();
    let mut server = Server::new(|_watch| counting(&counts).0);
    let beside = server.beside("beside", |_watch| counting(&counts).0);
    let (_neighbour, mut neighbour) = start(&beside);
    let flood = Wire::connect(&server.socket());
    let over = AtomicBool::new(false);
    // Nothing is answered, so that the back end never has to wait for the flood.
    let messages = message(RESET_DEVICE, 0, &[]).repeat(2000);

    // Nothing in here panics: the flood has to end for that to be seen.
    let mut before_service = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if (&flood.socket).write_all(&messages).is_err() {
                    break;
                }
            }
        });
        let end = Instant::now() + LIMIT;
        while counts.resets.load(Ordering::Relaxed) < 1000 && Instant::now() < end {
            thread::yield_now();
        }
        let mut works = true;
        let before_service = [(); 201].map(|()| {
            let before = counts.resets.load(Ordering::Relaxed);
            works = works && neighbour.works();
            works.then(|| counts.resets_before.load(Ordering::Relaxed) - before)
        });
        over.store(true, Ordering::Relaxed);
        before_service
    });

    assert!(counts.resets.load(Ordering::Relaxed) > 1000);
    assert!(before_service.iter().all(Option::is_some));
    // A turn of the flood's is 16 messages, and one was begun. Nine in ten: now and then the driver's
    // thread has to wait between its look and its kick.
    before_service.sort_unstable();
    assert!(before_service[180] <= Some(64), "{before_service:?}");
}
