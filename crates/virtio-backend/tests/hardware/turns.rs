// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guests on one piece of hardware, one after the other.

use std::iter;

use virtio_backend::Device;

use crate::common::{Bench, HOLD, ask};

#[test]
fn a_guest_with_a_thousand_requests_delays_another_by_no_more_than_the_one_in_work() {
    let bench = Bench::new();
    let (mut greedy, go_on) = bench.guest("greedy");
    let (mut modest, _) = bench.guest("modest");
    let _answers: Vec<_> = (0..1000).map(|_| ask(&mut greedy, HOLD)).collect();
    for _ in 0..100 {
        assert_eq!(bench.next(), "greedy hold on 0");
        let answer = ask(&mut modest, b"one");
        go_on.send(()).unwrap();
        assert_eq!(bench.next(), "modest one on 0");
        assert_eq!(answer.wait().as_deref(), Some(&b"one"[..]));
    }
    greedy.reset();
    go_on.send(()).unwrap();
}

/// Also if the modest one was there first, or did nothing for long: a turn is not saved up.
#[test]
fn guests_that_ask_together_take_turns() {
    let bench = Bench::new();
    let (mut busy, go_on) = bench.guest("busy");
    let mut guests = ["a", "b", "c"].map(|name| bench.guest(name).0);
    ask(&mut busy, HOLD);
    assert_eq!(bench.next(), "busy hold on 0");
    let mut answers = Vec::new();
    for guest in &mut guests {
        answers.extend(iter::repeat_with(|| ask(guest, b"x")).take(20));
    }
    go_on.send(()).unwrap();

    for round in 0..20 {
        let heard = bench.next_of(3);
        assert_eq!(heard, ["a x on 0", "b x on 0", "c x on 0"], "round {round}");
    }
}

/// Each reset puts the guest into the queue for its turn: once, however many there are.
#[test]
fn a_guest_that_resets_itself_over_and_over_has_no_more_turns_than_others() {
    let bench = Bench::new();
    let (mut busy, go_on) = bench.guest("busy");
    let (mut resets, _) = bench.guest("resets");
    let (mut other, _) = bench.guest("other");
    ask(&mut busy, HOLD);
    assert_eq!(bench.next(), "busy hold on 0");
    for _ in 0..100 {
        ask(&mut resets, b"x");
        resets.reset();
    }
    let _answers: Vec<_> = (0..3).map(|_| ask(&mut resets, b"x")).collect();
    let _others: Vec<_> = (0..3).map(|_| ask(&mut other, b"x")).collect();
    go_on.send(()).unwrap();

    let heard = [
        "resets reset",
        "other x on 0",
        "resets x on 0",
        "other x on 0",
        "resets x on 0",
        "other x on 0",
        "resets x on 0",
    ];
    assert_eq!(bench.next_of(heard.len()), heard);
}
