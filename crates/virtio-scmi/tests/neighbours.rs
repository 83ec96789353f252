// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What takes its time is done in time for a guest, whatever the first one does, on whose loop the platform's time is.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use virtio_backend::testing::{Program, Vm, feature};

const P2A_CHANNELS: u64 = 1;

/// So many messages are one after the other.
const FLOOD: usize = 100;

/// Each guest has a PLL that takes 20 ms.
const PLATFORM: &str = "
[[clock]]
name = 'osc'
type = 'oscillator'
rate = 24
[[clock]]
name = 'one'
type = 'pll'
parent = 'osc'
rates = [100, 200]
rate = 100
lock-time = 20_000
[[clock]]
name = 'other'
type = 'pll'
parent = 'osc'
rates = [100, 200]
rate = 100
lock-time = 20_000
[[guest]]
name = 'first'
socket = 'DIR/first'
clocks = ['one']
[[guest]]
name = 'second'
socket = 'DIR/second'
clocks = ['other']
";

fn start() -> Program {
    Program::configured(env!("CARGO_BIN_EXE_vhost-user-scmi"), PLATFORM)
}

fn boot(daemon: &Program, guest: &str) -> Vm {
    let socket = daemon.folder().join(guest);
    Vm::boot(&socket, feature::ALL | P2A_CHANNELS, &[64, 64]).unwrap()
}

/// CLOCK_RATE_SET of clock 0.
fn set_rate(rate: u8) -> [u8; 20] {
    let mut request = [0; 20];
    request[..2].copy_from_slice(&[0x05, 0x50]);
    request[12] = rate;
    request
}

/// Has the guest's PLL run at other rates, and returns how long the slowest took.
fn slowest(vm: &mut Vm) -> Duration {
    let once = |rate| {
        let start = Instant::now();
        let answer = vm.rings[0].ask(&[&set_rate(rate)], &[8]);
        assert_eq!(answer, Some(vec![0x05, 0x50, 0, 0, 0, 0, 0, 0]));
        start.elapsed()
    };
    [200, 100, 200, 100].map(once).into_iter().max().unwrap()
}

/// There is no less, and more only on a busy machine.
fn in_time(time: Duration) -> bool {
    (Duration::from_millis(20)..Duration::from_secs(5)).contains(&time)
}

#[test]
fn what_takes_its_time_is_done_while_the_first_guest_is_away_comes_or_goes() {
    let daemon = start();
    let mut second = boot(&daemon, "second");
    assert!(in_time(slowest(&mut second)));
    let first = boot(&daemon, "first");
    assert!(in_time(slowest(&mut second)));
    drop(first);
    assert!(in_time(slowest(&mut second)));
}

#[test]
fn what_takes_its_time_is_done_while_the_first_guest_is_paused() {
    let daemon = start();
    let (mut first, mut second) = (boot(&daemon, "first"), boot(&daemon, "second"));
    let chain = first.memory.chain(&[&set_rate(200)], &[8]);
    let head = first.rings[0].add(&chain);
    first.rings[0].push(head);
    first.rings[0].kick();
    let bases = first.stop().unwrap();
    assert!(in_time(slowest(&mut second)));
    // Its own command was done meanwhile, and is answered when it goes on.
    first.start(&bases).unwrap();
    assert_eq!(first.rings[0].wait().map(|used| used.len), Some(8));
}

#[test]
fn what_takes_its_time_is_done_while_the_first_guest_never_stops_asking() {
    let daemon = start();
    let (mut first, mut second) = (boot(&daemon, "first"), boot(&daemon, "second"));
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let slowest = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                first.rings[0].ask(&[&[0, 0x40, 0, 0]], &[12]).unwrap();
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut all = Vec::new();
        while asked.load(Ordering::Relaxed) < FLOOD && !flood.is_finished() {
            all.push(slowest(&mut second));
        }
        over.store(true, Ordering::Relaxed);
        all
    });
    assert!(slowest.iter().copied().all(in_time), "{slowest:?}");
}
