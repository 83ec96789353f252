// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What one guest's device hears, and in which order.

use virtio_backend::testing::events;
use virtio_backend::{Device, Queue, Stopped};

use crate::common::{Bench, HOLD, ask};

#[test]
fn what_happens_to_a_guest_arrives_in_order() {
    let bench = Bench::new();
    let (mut device, _) = bench.guest("a");
    device.connected();
    device.negotiated(5);
    let answers = [ask(&mut device, b"1"), ask(&mut device, b"2")];
    device.drained(0);
    device.events(1, events(4).0);
    device.lent(1);
    device.stop(0, Stopped::default());
    let heard = [
        "a connected",
        "a negotiated 5",
        "a 1 on 0",
        "a 2 on 0",
        "a drained 0",
        "a events 1",
        "a lent 1",
        "a stop 0",
    ];
    assert_eq!(bench.next_of(heard.len()), heard);
    assert_eq!(answers.map(|answer| answer.wait().unwrap()), [b"1", b"2"]);

    device.reset();
    assert_eq!(bench.next(), "a reset");
    device.disconnected();
    assert_eq!(bench.next(), "a disconnected");
    drop(device);
    assert_eq!(bench.next(), "a dropped");
}

#[test]
fn a_device_looks_the_same_from_outside_as_on_its_worker() {
    let bench = Bench::new();
    let (device, _) = bench.guest("a");
    assert_eq!(device.device_type(), 7);
    assert_eq!(device.queues(), [Queue::Requests, Queue::Events]);
    assert_eq!(device.queue_size(), 64);
    assert_eq!(device.max_request(), 64);
    assert_eq!(device.features(), 0);
    assert!(device.config().is_empty());
}

/// A driver may kick, and a front end connect and leave, as often as they like while hardware takes its
/// time: what waits for the hardware does not grow.
#[test]
fn what_a_device_does_not_know_yet_is_told_once_however_often_it_happens() {
    let bench = Bench::new();
    let (mut device, go_on) = bench.guest("a");
    ask(&mut device, HOLD);
    assert_eq!(bench.next(), "a hold on 0");
    for features in 0..1000 {
        device.negotiated(features);
        device.drained(0);
        device.lent(1);
    }
    go_on.send(()).unwrap();
    assert_eq!(
        bench.next_of(4),
        [
            "a negotiated 0",
            "a drained 0",
            "a lent 1",
            "a negotiated 999"
        ]
    );

    ask(&mut device, HOLD);
    assert_eq!(bench.next(), "a hold on 0");
    for _ in 0..1000 {
        device.reset();
        device.disconnected();
        device.connected();
        device.reset();
        device.reset();
    }
    go_on.send(()).unwrap();
    assert_eq!(
        bench.next_of(3),
        ["a disconnected", "a connected", "a reset"]
    );
    drop(device);
    assert_eq!(bench.next(), "a dropped");
}

#[test]
fn a_device_hears_nothing_of_a_front_end_that_left_before_it_could_hear_that_it_came() {
    let bench = Bench::new();
    let (mut device, go_on) = bench.guest("a");
    ask(&mut device, HOLD);
    assert_eq!(bench.next(), "a hold on 0");
    device.disconnected();
    device.connected();
    device.negotiated(1);
    ask(&mut device, b"never");
    device.disconnected();
    go_on.send(()).unwrap();
    drop(device);
    assert_eq!(bench.next_of(2), ["a disconnected", "a dropped"]);
}

#[test]
fn a_queue_is_empty_again_after_each_request_that_follows() {
    let bench = Bench::new();
    let (mut device, go_on) = bench.guest("a");
    ask(&mut device, HOLD);
    for _ in 0..2 {
        device.drained(0);
        ask(&mut device, b"next");
    }
    device.drained(0);
    go_on.send(()).unwrap();
    let heard = [
        "a hold on 0",
        "a drained 0",
        "a next on 0",
        "a drained 0",
        "a next on 0",
        "a drained 0",
    ];
    assert_eq!(bench.next_of(heard.len()), heard);
}
