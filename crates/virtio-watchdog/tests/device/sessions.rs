// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device in a daemon: pauses, resets and front ends that come and go.

use std::process;
use std::sync::mpsc::Receiver;

use virtio_backend::testing::{LIMIT, Server, Vm, feature};
use virtio_watchdog::{Report, Watchdog};

use crate::common::{ALL, is_about, request, script, settings, time_passes};

const REQUESTQ: usize = 0;

fn serve() -> (Server<Watchdog>, Receiver<Report>, Vm) {
    let (_script, host, reports) = script();
    let server =
        Server::new(|watch| Watchdog::new("guest", settings(), host, None, watch).unwrap());
    let vm = Vm::boot(&server.socket(), feature::ALL | ALL, &[16, 16]).unwrap();
    let first = reports.recv_timeout(LIMIT);
    assert_eq!(first, Ok(Report::Connected(Some(process::id()))));
    assert_eq!(reports.recv_timeout(LIMIT), Ok(Report::Ready));
    (server, reports, vm)
}

/// Flags of the configuration space, and the time that is left.
fn config(vm: &Vm) -> (u8, u32) {
    let config = vm.front_end.config(0, 36).unwrap();
    let left = u32::from_le_bytes(config[0x20..].try_into().unwrap());
    (config[0x16], left)
}

#[test]
fn pings_and_requests_come_through_the_ring_however_they_are_split() {
    let (_server, _reports, mut vm) = serve();
    let ring = &mut vm.rings[REQUESTQ];
    assert_eq!(ring.ask(&[], &[8]).unwrap(), [1]);
    assert_eq!(ring.ask(&[], &[1, 3, 4]).unwrap(), [1]);
    let start = request((2, 1, 60_000, 0, 0));
    let response = ring.ask(&[&start[..3], &start[3..4], &start[4..]], &[1, 15]);
    assert_eq!(response.unwrap()[..3], [1, 1, 2]);
    let (flags, left) = config(&vm);
    assert_eq!(flags, 1 << 1);
    assert!(is_about(left, 60));
    // Any part of it, as a driver reads it.
    assert_eq!(vm.front_end.config(0x14, 2).unwrap(), [2, 0]);
}

#[test]
fn a_guest_that_is_paused_has_as_much_time_as_before_when_it_goes_on() {
    let (_server, reports, mut vm) = serve();
    vm.rings[REQUESTQ]
        .ask(&[&request((2, 0, 0, 0, 0))], &[16])
        .unwrap();
    let bases = vm.stop().unwrap();
    assert_eq!(reports.recv_timeout(LIMIT), Ok(Report::Stopped));
    let (flags, left) = config(&vm);
    assert_eq!(flags, 1 << 1);
    time_passes();
    assert_eq!(config(&vm), (flags, left));
    vm.start(&bases).unwrap();
    let status = request((5, 0, 0, 0, 0));
    let response = vm.rings[REQUESTQ].ask(&[&status], &[16]).unwrap();
    assert_eq!(response[..3], [1, 1, 1 << 1]);
    time_passes();
    assert!(config(&vm).1 < left);
}

#[test]
fn a_guest_that_is_reset_has_to_boot_again_before_its_driver_says_anything() {
    let (_server, reports, mut vm) = serve();
    vm.rings[REQUESTQ]
        .ask(&[&request((2, 0, 0, 0, 1))], &[16])
        .unwrap();
    vm.reboot().unwrap();
    assert_eq!(reports.recv_timeout(LIMIT), Ok(Report::Stopped));
    assert_eq!(reports.recv_timeout(LIMIT), Ok(Report::Reset));
    assert_eq!(reports.recv_timeout(LIMIT), Ok(Report::Ready));
    let (flags, left) = config(&vm);
    assert_eq!(flags, 1 << 2);
    assert!(is_about(left, 2000));
}

#[test]
fn a_guest_without_an_eventq_is_served() {
    let (_script, host, _reports) = script();
    let server =
        Server::new(|watch| Watchdog::new("guest", settings(), host, None, watch).unwrap());
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[4]).unwrap();
    assert_eq!(vm.rings[REQUESTQ].ask(&[], &[8]).unwrap(), [1]);
}

#[test]
fn a_front_end_that_goes_and_comes_again_finds_a_guest_that_boots() {
    let (server, reports, mut vm) = serve();
    vm.rings[REQUESTQ]
        .ask(&[&request((2, 0, 0, 0, 0))], &[16])
        .unwrap();
    drop(vm);
    while reports.recv_timeout(LIMIT).unwrap() != Report::Disconnected {}
    let vm = Vm::boot(&server.socket(), feature::ALL | ALL, &[16, 16]).unwrap();
    assert_eq!(config(&vm).0, 1 << 2);
}
