// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device, its limit and the sources that need no file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use virtio_backend::testing::reply;
use virtio_backend::{Device, Reply};
use virtio_rng::{Kernel, Limit, MAX_ANSWER, Source, System};

use common::Guest;

fn generator() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([7; 32])
}

fn limit(rate: u32, burst: u32) -> Option<Limit> {
    Some(Limit::new(
        NonZeroU32::new(rate).unwrap(),
        NonZeroU32::new(burst),
        Instant::now(),
    ))
}

#[test]
fn buffers_of_one_byte_64_bytes_and_a_mebibyte_are_filled_up_to_the_longest_answer() {
    let mut guest = Guest::new(None, |_| generator());
    assert_eq!(guest.ask(1).now().unwrap().len(), 1);
    assert_eq!(guest.ask(64).now().unwrap().len(), 64);
    assert_eq!(guest.ask(1 << 20).now().unwrap().len(), MAX_ANSWER);
}

#[test]
fn a_request_without_room_is_answered_with_nothing_also_while_others_wait() {
    let mut guest = Guest::new(limit(1, 64), |_| generator());
    assert_eq!(guest.ask(0).now().unwrap(), []);
    guest.ask(64);
    guest.ask(64);
    let (reply, answer) = reply(0);
    guest.rng.handle(0, b"readable", reply);
    assert_eq!(answer.now().unwrap(), []);
}

#[test]
fn readable_bytes_are_ignored() {
    let mut guest = Guest::new(None, |_| generator());
    let (reply, answer) = reply(64);
    guest.rng.handle(0, b"readable", reply);
    assert_eq!(answer.now().unwrap().len(), 64);
}

#[test]
fn answers_have_the_bytes_of_the_source_in_order() {
    let mut guest = Guest::new(None, |_| generator());
    let mut expected = [0; 128];
    generator().fill_bytes(&mut expected);
    assert_eq!(guest.ask(64).now().unwrap(), expected[..64]);
    assert_eq!(guest.ask(64).now().unwrap(), expected[64..]);
}

#[test]
fn system_and_kernel_answer_at_once_and_never_the_same() {
    let mut system = Guest::new(None, |_| System::new("guest"));
    let mut kernel = Guest::new(None, |_| Kernel::new("guest"));
    let mut answers: Vec<_> = [
        system.ask(64),
        system.ask(64),
        kernel.ask(64),
        kernel.ask(64),
    ]
    .iter()
    .map(|answer| answer.now().unwrap())
    .collect();
    answers.sort();
    answers.dedup();
    assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [64; 4]);
}

/// Has nothing while it is told so.
struct Dry(Arc<AtomicBool>);

impl Source for Dry {
    fn answer(&mut self, reply: Reply, length: usize) -> Result<(), Reply> {
        if self.0.load(Ordering::Relaxed) {
            Err(reply)
        } else {
            generator().answer(reply, length)
        }
    }
}

#[test]
fn a_request_waits_for_a_source_that_has_nothing() {
    let dry = Arc::new(AtomicBool::new(true));
    let mut guest = Guest::new(None, |_| Dry(Arc::clone(&dry)));
    let answer = guest.ask(64);
    assert_eq!(answer.now(), None);
    dry.store(false, Ordering::Relaxed);
    assert_eq!(guest.wait(&answer).len(), 64);
}

#[test]
fn throttled_requests_wait_for_the_timer_and_their_turn() {
    let start = Instant::now();
    let mut guest = Guest::new(limit(1000, 64), |_| generator());
    let mut expected = [0; 192];
    generator().fill_bytes(&mut expected);

    let answers = [guest.ask(64), guest.ask(64), guest.ask(64)];
    assert_eq!(
        answers.each_ref().map(|answer| guest.wait(answer)).concat(),
        expected
    );
    assert!(start.elapsed() >= Duration::from_millis(128));
}

#[test]
fn a_request_that_is_longer_than_the_burst_waits_until_it_is_answered_in_full() {
    let start = Instant::now();
    let mut guest = Guest::new(limit(100_000, 64), |_| generator());
    let mut expected = [0; 5000];
    generator().fill_bytes(&mut expected);
    let answers = [guest.ask(4096), guest.ask(904)];
    assert_eq!(answers.each_ref().map(|answer| answer.now()), [None, None]);
    let answers = answers.each_ref().map(|answer| guest.wait(answer));
    assert_eq!(answers.each_ref().map(Vec::len), [4096, 904]);
    assert_eq!(answers.concat(), expected);
    assert!(start.elapsed() >= Duration::from_micros(49_360));
}

#[test]
fn a_request_of_a_mebibyte_gets_64_kibibytes_however_small_the_burst() {
    let mut guest = Guest::new(limit(u32::MAX, 64), |_| generator());
    let answer = guest.ask(1 << 20);
    assert_eq!(guest.wait(&answer).len(), MAX_ANSWER);
}

#[test]
fn what_was_saved_up_for_a_request_is_not_had_at_once_after_a_reset() {
    let dry = Arc::new(AtomicBool::new(true));
    let mut guest = Guest::new(limit(100_000, 64), |_| Dry(Arc::clone(&dry)));
    drop(guest.ask(10_000));
    guest.turn(); // Now the limit allows it, and the source has nothing.
    guest.rng.reset();

    dry.store(false, Ordering::Relaxed);
    let start = Instant::now();
    let answer = guest.ask(5000);
    assert_eq!(guest.wait(&answer).len(), 5000);
    assert!(start.elapsed() >= Duration::from_micros(49_360));
}

#[test]
fn a_request_that_waits_when_the_queue_stops_is_answered_when_it_goes_on() {
    let resume: [fn(&mut Guest); 3] = [
        |guest| guest.rng.drained(0),
        |guest| guest.rng.negotiated(0),
        |guest| drop(guest.ask(64)),
    ];
    for resume in resume {
        let mut guest = Guest::new(limit(1000, 64), |_| generator());
        guest.ask(64).now().unwrap();
        let answer = guest.ask(64);
        guest.rng.stop(0, virtio_backend::Stopped::default());
        guest.turn();
        assert_eq!(answer.now(), None);

        resume(&mut guest);
        assert_eq!(guest.wait(&answer).len(), 64);
    }
}

#[test]
fn a_reset_drops_what_waits_but_not_the_limit() {
    let start = Instant::now();
    let mut guest = Guest::new(limit(100, 64), |_| generator());
    let mut expected = [0; 128];
    generator().fill_bytes(&mut expected);
    assert_eq!(guest.ask(64).now().unwrap(), expected[..64]);
    drop(guest.ask(64));
    guest.rng.reset();

    let answer = guest.ask(64);
    assert_eq!(guest.wait(&answer), expected[64..]);
    assert!(start.elapsed() >= Duration::from_millis(640));
}
