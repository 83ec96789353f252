// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whoever waits for the platform is served before one that comes back.
//!
//! Nothing else runs in this process: whoever sleeps here waits for the platform.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;
use std::{fs, thread};

use scmi::Kind;
use virtio_scmi::{Board, Description};

/// Has a thread use the platform so many times, one after the other, and returns when it waits for it, or has
/// ended.
fn wait_for_turns<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    board: &'scope Board,
    turns: usize,
) {
    let (begin, begun) = channel();
    let wait = move || {
        begin
            .send(fs::read_link("/proc/thread-self").unwrap())
            .unwrap();
        for _ in 0..turns {
            board.state(Kind::CLOCK, 0);
        }
    };
    let named = thread::Builder::new().name(name.to_owned());
    named.spawn_scoped(scope, wait).unwrap();
    let stat = Path::new("/proc").join(begun.recv().unwrap()).join("stat");
    let runs = |stat: String| !stat.contains(") S ");
    while fs::read_to_string(&stat).is_ok_and(runs) {
        thread::yield_now();
    }
}

/// With a lock that is not fair it depends on who is scheduled when, so it is tried more often than once.
#[test]
fn who_waits_has_a_turn_before_one_that_comes_back() {
    let served = Arc::new(Mutex::new(Vec::new()));
    let (held, over) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    // The time is asked for when it is somebody's turn.
    let time = {
        let (served, held, over) = (served.clone(), held.clone(), over.clone());
        move || {
            let name = thread::current().name().unwrap().to_owned();
            if name == "slow" {
                held.wait();
                over.wait();
            }
            served.lock().unwrap().push(name);
            Duration::ZERO
        }
    };
    let board = Board::with_time(&Description::default(), time).unwrap();
    for _ in 0..50 {
        thread::scope(|scope| {
            let slow = thread::Builder::new().name("slow".to_owned());
            let slow = slow.spawn_scoped(scope, || board.state(Kind::CLOCK, 0));
            held.wait();
            wait_for_turns(scope, "first", &board, 2);
            wait_for_turns(scope, "second", &board, 1);
            over.wait();
            slow.unwrap();
        });
        let served = std::mem::take(&mut *served.lock().unwrap());
        assert_eq!(served, ["slow", "first", "second", "first"]);
    }
}
