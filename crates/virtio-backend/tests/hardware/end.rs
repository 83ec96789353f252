// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How devices on a thread of their hardware's end, and the thread.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use virtio_backend::testing::{Answer, LIMIT};
use virtio_backend::{Device, Hardware, Token, Watch};

use crate::common::{Bench, HOLD, PANIC, Told, ask};

#[test]
fn dropping_the_last_device_waits_until_all_is_done_that_was_asked_for() {
    let bench = Bench::new();
    let (mut device, go_on) = bench.guest("a");
    let answers: Vec<_> = (0..100).map(|_| ask(&mut device, HOLD)).collect();
    answers.iter().for_each(|_| go_on.send(()).unwrap());
    let Bench { hardware, .. } = bench;

    drop(hardware);
    drop(device);

    let answered = |answer: &Answer| answer.now().as_deref() == Some(HOLD);
    assert!(answers.iter().all(answered));
}

#[test]
fn a_thread_ends_with_its_last_device_and_not_before() {
    let name = "ends with it";
    let is_there = || {
        fs::read_dir("/proc/self/task").unwrap().any(|task| {
            // Some other may end meanwhile.
            let comm = fs::read_to_string(task.unwrap().path().join("comm"));
            comm.is_ok_and(|comm| comm.trim() == name)
        })
    };
    let bench = Bench::new();
    let hardware = Hardware::start(name).unwrap();
    let watch = Watch::new().unwrap();
    let make = |_: &Watch| Ok::<_, io::Error>(bench.told("a", mpsc::channel().1));
    let mut first = hardware.device(&watch, make).unwrap();
    let second = hardware.device(&watch, make).unwrap();
    drop(hardware);
    drop(second);
    assert!(ask(&mut first, b"x").wait().is_some());
    assert!(is_there());
    drop(first);
    // Linux wakes who joins a thread shortly before it takes the thread off the list.
    let end = Instant::now() + LIMIT;
    while is_there() {
        assert!(Instant::now() < end, "it does not end");
        thread::yield_now();
    }
}

#[test]
fn a_device_that_cannot_be_made_leaves_nothing_behind() {
    let bench = Bench::new();
    let watch = Watch::new().unwrap();
    let fails = |_: &Watch| Err::<Told, _>(io::Error::other("no such bus"));
    let error = bench.hardware.device(&watch, fails).err().unwrap();
    assert_eq!(error.to_string(), "no such bus");
    let (mut device, _) = bench.guest("a");
    assert!(ask(&mut device, b"x").wait().is_some());
    drop((bench, device));
}

#[test]
fn the_name_of_a_thread_may_be_any_text() {
    for name in [
        "",
        "with a \0 in it",
        "longer than the 15 bytes that Linux has",
    ] {
        drop(Hardware::start(name).unwrap());
    }
}

/// What the driver asked for after that is for the session's end, which does not answer it.
#[test]
fn a_device_that_panics_costs_the_others_on_its_hardware_nothing() {
    let bench = Bench::new();
    let (mut other, _) = bench.guest("b");
    let watch = Watch::new().unwrap();
    let (mut device, _) = bench.guest_at(&watch, "a");
    ask(&mut device, PANIC);
    let next = ask(&mut device, b"never");

    let end = ["a panic on 0", "a disconnected", "a dropped"];
    assert_eq!(bench.next_of(3), end);
    assert!(ask(&mut other, b"x").wait().is_some());
    assert_eq!(bench.next(), "b x on 0");
    assert_eq!(next.now(), None);

    // The panic goes on where the device's guest is served.
    let mut tokens = Vec::new();
    let end = Instant::now() + LIMIT;
    while tokens.is_empty() && Instant::now() < end {
        watch.poll(|token| tokens.push(token));
        thread::yield_now();
    }
    assert_eq!(tokens, [Token(0)]);
    let goes_on = |device: &mut dyn Device| {
        let ready = || device.ready(Token(0));
        catch_unwind(AssertUnwindSafe(ready)).is_err()
    };
    assert!(goes_on(&mut device));
    assert!(!goes_on(&mut device));
    device.disconnected();
    drop(device);
    assert!(bench.now().is_empty());
}
