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
    (Duration::from_millis(20)..Duration::from_secs(1)).contains(&time)
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
    let over = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut asked = 0;
            while !over.load(Ordering::Relaxed) {
                first.rings[0].ask(&[&[0, 0x40, 0, 0]], &[12]).unwrap();
                asked += 1;
            }
            asked
        });
        let slowest = slowest(&mut second);
        over.store(true, Ordering::Relaxed);
        assert!(in_time(slowest), "{slowest:?}");
        flood.join().unwrap()
    });
    assert!(asked > 100, "{asked}");
}

/// Messages of one guest, and at least how many another one's are answered meanwhile.
const MUCH: usize = 300;
const TURNS: usize = 30;

#[test]
fn a_guest_gets_its_turn_beside_one_whose_messages_are_much_work() {
    let mut platform = "[[clock]]\nname = 'osc'\ntype = 'oscillator'\nrate = 24\n\
        [[clock]]\nname = 'pll'\ntype = 'pll'\nparent = 'osc'\nrates = [100, 200]\nrate = 100\nshared = true\n"
        .to_owned();
    let clocks: Vec<_> = (0..2000).map(|clock| format!("c{clock}")).collect();
    for name in &clocks {
        platform +=
            &format!("[[clock]]\nname = '{name}'\ntype = 'gate'\nparent = 'pll'\nshared = true\n");
    }
    for guest in ["first", "second"] {
        platform += &format!("[[guest]]\nname = '{guest}'\nsocket = 'DIR/{guest}'\n");
        platform += &format!(
            "clocks = {:?}\n",
            [&["pll".to_owned()], &clocks[..]].concat()
        );
    }
    let daemon = Program::configured(env!("CARGO_BIN_EXE_vhost-user-scmi"), &platform);
    let (mut first, mut second) = (boot(&daemon, "first"), boot(&daemon, "second"));
    // The last clock is the second guest's to use: to see that, all are looked at.
    let on = [0x07, 0x50, 0, 0, 0xd0, 0x07, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(second.rings[0].ask(&[&on], &[8]).unwrap()[4], 0);
    let denied = vec![0x05, 0x50, 0, 0, 0xfd, 0xff, 0xff, 0xff];
    assert_eq!(first.rings[0].ask(&[&set_rate(200)], &[8]), Some(denied));

    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let chain = first.memory.chain(&[&set_rate(200)], &[8]);
    let turns = thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..32 {
                let head = first.rings[0].add(&chain);
                first.rings[0].push(head);
            }
            first.rings[0].notify();
            while !over.load(Ordering::Relaxed) {
                let used = first.rings[0].wait().unwrap();
                first.rings[0].push(used.id.try_into().unwrap());
                first.rings[0].notify();
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        while answered.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        let end = answered.load(Ordering::Relaxed) + MUCH;
        let mut turns = 0;
        while answered.load(Ordering::Relaxed) < end {
            second.rings[0].ask(&[&[0, 0x40, 0, 0]], &[12]).unwrap();
            turns += 1;
        }
        over.store(true, Ordering::Relaxed);
        turns
    });
    assert!(turns >= TURNS, "{turns} turns beside {MUCH}");
}
