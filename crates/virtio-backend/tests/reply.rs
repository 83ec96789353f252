// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Replies and events without a daemon, as the tests of devices use them.

use std::thread;

use virtio_backend::testing::{events, reply};

#[test]
fn a_reply_is_cut_to_its_room() {
    let (reply, answer) = reply(4);
    assert_eq!(reply.room(), 4);
    assert_eq!(answer.now(), None);

    reply.send(b"123456");

    assert_eq!(answer.now(), Some(b"1234".to_vec()));
}

#[test]
fn a_reply_can_be_filled_in_place() {
    let (reply, answer) = reply(4);
    reply.fill(3, |piece| piece.fill(7));
    assert_eq!(answer.now(), Some(vec![7; 3]));
}

#[test]
fn a_reply_can_be_the_last_bytes_of_its_room_alone() {
    let (long, answer) = reply(usize::MAX);
    long.send_last(b"!");
    assert_eq!(answer.last(), Some(b"!".to_vec()));

    let (exact, answer) = reply(1);
    exact.send_last(b"!");
    assert_eq!(answer.now(), Some(b"!".to_vec()));

    let (none, answer) = reply(0);
    none.send_last(b"!");
    assert_eq!(answer.now(), Some(Vec::new()));
}

#[test]
fn a_dropped_reply_answers_with_nothing() {
    let (reply, answer) = reply(4);
    drop(reply);
    assert_eq!(answer.now(), Some(Vec::new()));
}

#[test]
fn a_reply_answers_from_any_thread() {
    let (reply, answer) = reply(4);
    thread::spawn(move || reply.send(b"late"));
    assert_eq!(answer.wait(), Some(b"late".to_vec()));
}

#[test]
fn a_reply_to_a_guest_that_was_reset_does_nothing() {
    let (reply, answer) = reply(4);
    drop(answer);
    reply.fill(4, |_| panic!("there is nobody to answer"));
}

#[test]
fn events_wait_for_buffers_in_order() {
    let (events, buffers) = events(2);
    assert!(events.send(b"a"));
    events.offer(b"dropped");
    assert!(events.send(b"b"));
    assert!(!events.send(b"too many"));
    assert_eq!(buffers.now(), None);

    buffers.lend(3);
    events.offer(b"c");

    assert_eq!(buffers.wait(), Some(b"a".to_vec()));
    assert_eq!(buffers.wait(), Some(b"b".to_vec()));
    assert_eq!(buffers.wait(), Some(b"c".to_vec()));
    assert_eq!(buffers.now(), None);
}

#[test]
fn events_of_a_guest_that_was_reset_are_not_taken() {
    let (events, buffers) = events(2);
    drop(buffers);
    assert!(!events.send(b"a"));
}
