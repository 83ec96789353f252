// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Two front ends on one socket.

use std::io::Read;
use std::os::unix::net::UnixStream;

use virtio_backend::Device;
use virtio_backend::testing::{FrontEnd, LIMIT, Server, Vm, feature, protocol};

use crate::common::REQUESTS;
use crate::log::{collect, count, says, serve_as, serve_waiting};

const WAITS: &str = "another front end waits";
const TURNED_AWAY: &str = "another front end is turned away";
const ENDED: &str = "asked for nothing";

fn works(vm: &mut Vm) -> bool {
    vm.rings[REQUESTS].ask(&[b"hello"], &[8]).as_deref() == Some(b"!hello")
}

/// Waits until the back end hangs up. `false` if it does not.
fn is_hung_up(mut socket: &UnixStream) -> bool {
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    // A child of another test may interrupt this, which `read` alone would report.
    socket.read_to_end(&mut Vec::new()).is_ok()
}

/// Returns when a silent front end before which another one waits has lost its place on another
/// socket: the same wait that began on any socket before is over by then.
fn wait_as_long_as_a_silent_one_may(guest: &str) {
    let server = serve_as(guest);
    let silent = UnixStream::connect(server.socket()).unwrap();
    let waiting = UnixStream::connect(server.socket()).unwrap();
    assert!(is_hung_up(&silent));
    drop(waiting);
}

/// Connects and says nothing, until it is the one that is served.
fn connect_silently(server: &Server<impl Device>, guest: &str) -> UnixStream {
    let silent = UnixStream::connect(server.socket()).unwrap();
    assert!(says(guest, ": connected"));
    silent
}

#[test]
fn a_front_end_that_waits_for_another_is_told_of_in_the_log() {
    collect();
    let server = serve_waiting("waited-for");
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    assert!(works(&mut vm));
    assert_eq!(count("waited-for", WAITS), 0);

    let second = UnixStream::connect(server.socket()).unwrap();
    assert!(says("waited-for", WAITS));
    let third = UnixStream::connect(server.socket()).unwrap();
    assert!(works(&mut vm));

    // Once, as long as the same front end is waited for.
    drop(vm);
    drop((second, third));
    assert!(works(
        &mut Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap()
    ));
    // The second disconnects while the third may still wait for it, and the last for that.
    assert!((1..=3).contains(&count("waited-for", WAITS)));
}

#[test]
fn a_connection_that_says_nothing_loses_its_place_to_a_front_end_that_waits() {
    collect();
    let server = serve_as("silent");
    let silent = connect_silently(&server, "silent");

    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    assert!(works(&mut vm));
    assert!(is_hung_up(&silent));
    assert_eq!(count("silent", WAITS), 1);
    assert_eq!(count("silent", ENDED), 1);
}

#[test]
fn a_connection_that_says_nothing_is_left_alone_while_no_other_waits() {
    collect();
    let server = serve_as("alone");
    let silent = connect_silently(&server, "alone");

    wait_as_long_as_a_silent_one_may("silent-beside-alone");

    silent.set_nonblocking(true).unwrap();
    assert!((&silent).read(&mut [0]).is_err());
    assert_eq!(count("alone", ENDED), 0);
}

#[test]
fn a_front_end_that_has_said_something_keeps_its_place() {
    collect();
    let server = serve_waiting("talking");
    let front_end = FrontEnd::connect(&server.socket(), protocol::ALL).unwrap();
    let waiting = UnixStream::connect(server.socket()).unwrap();
    assert!(says("talking", WAITS));

    wait_as_long_as_a_silent_one_may("silent-beside-talking");

    assert!(front_end.features().is_ok());
    assert_eq!(count("talking", ENDED), 0);
    drop(waiting);
}

/// Those are logged a hundred times a minute.
#[test]
fn front_ends_that_come_and_go_do_not_keep_it_out_of_the_log_that_one_waits() {
    collect();
    let server = serve_waiting("busy");
    for _ in 0..100 {
        drop(FrontEnd::connect(&server.socket(), protocol::ALL).unwrap());
    }
    assert!(says("busy", "not logged for a minute"));

    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let waiting = UnixStream::connect(server.socket()).unwrap();

    assert!(says("busy", WAITS));
    assert!(works(&mut vm));
    drop(waiting);
}

#[test]
fn a_second_front_end_is_turned_away_and_the_log_says_so() {
    collect();
    let server = serve_as("taken");
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    let second = UnixStream::connect(server.socket()).unwrap();

    assert!(is_hung_up(&second));
    assert!(says("taken", TURNED_AWAY));
    assert!(works(&mut vm));
    drop(vm);
    assert!(works(
        &mut Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap()
    ));
}
