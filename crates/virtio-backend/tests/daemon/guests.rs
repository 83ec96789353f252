// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Several guests in one process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use virtio_backend::testing::{LIMIT, Vm, feature};

use crate::common::{REQUESTS, echo, hold, serve};

/// The 99th percentile of how long a request takes, among a thousand: in the best of ten rounds,
/// since whatever else this machine does slows some of them, and a lock that guests share slows
/// all.
fn latency(vm: &mut Vm) -> Duration {
    let mut round = || {
        let mut all: Vec<_> = (0..1000)
            .map(|_| {
                let start = Instant::now();
                assert_eq!(
                    vm.rings[REQUESTS].ask(&[b"hello"], &[8]).as_deref(),
                    Some(&b"!hello"[..])
                );
                start.elapsed()
            })
            .collect();
        all.sort_unstable();
        all[990]
    };
    (0..10).map(|_| round()).min().unwrap()
}

/// Breaks its ring in all ways at random, again and again.
fn misbehave(socket: &Path, until: &AtomicBool) {
    let mut seed = 1_u64;
    while !until.load(Ordering::Relaxed) {
        let mut vm = Vm::boot(socket, feature::ALL, &[64]).unwrap();
        vm.misbehave(&mut seed);
        drop(vm.stop().unwrap());
    }
}

fn reboot(socket: &Path, until: &AtomicBool) {
    let mut vm = Vm::boot(socket, feature::ALL, &[64]).unwrap();
    while !until.load(Ordering::Relaxed) {
        assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
        vm.reboot().unwrap();
    }
}

/// How much longer a request takes is not judged here, since the test's own guests compete for the
/// same CPUs: `cargo xtask bench` does.
#[test]
fn a_guest_does_not_notice_that_one_is_hostile_and_another_reboots() {
    let [(hostile, _), (rebooting, _), (quiet, _)] = [serve(echo), serve(echo), serve(echo)];
    let mut vm = Vm::boot(&quiet.socket(), feature::ALL, &[64]).unwrap();
    let alone = latency(&mut vm);
    let over = AtomicBool::new(false);

    let among = thread::scope(|scope| {
        scope.spawn(|| misbehave(&hostile.socket(), &over));
        scope.spawn(|| reboot(&rebooting.socket(), &over));
        let among = latency(&mut vm);
        over.store(true, Ordering::Relaxed);
        among
    });

    // A scheduler's time slice and no more: nobody waited for another guest.
    assert!(
        among < alone + Duration::from_millis(20),
        "{alone:?} {among:?}"
    );
}

#[test]
fn a_guest_whose_device_hangs_holds_up_nobody_else() {
    let (handle, held) = hold();
    let (hanging, _) = serve(handle);
    let (quiet, _) = serve(echo);
    let mut stuck = Vm::boot(&hanging.socket(), feature::ALL, &[64]).unwrap();
    let chain = stuck.memory.chain(&[b"hello"], &[8]);
    stuck.rings[REQUESTS].submit(&chain);
    let reply = held.recv_timeout(LIMIT).unwrap();

    let mut vm = Vm::boot(&quiet.socket(), feature::ALL, &[64]).unwrap();
    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
    vm.reboot().unwrap();
    assert!(vm.rings[REQUESTS].ask(&[b"hello"], &[8]).is_some());
    assert!(
        stuck.front_end.features().is_ok(),
        "its own front end is heard"
    );

    drop(reply);
    assert_eq!(stuck.rings[REQUESTS].wait().map(|used| used.len), Some(0));
}
