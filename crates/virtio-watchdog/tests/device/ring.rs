// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device and its ring, without a daemon around them.

use rustix::event::{EventfdFlags, eventfd};
use rustix::io;
use virtio_backend::Device;
use virtio_backend::testing::{Direct, Layout, Memory, Ring};
use virtio_watchdog::{Cause, Report, Settings, VERDICT, Verdict, Watchdog};

use crate::common::{SHORT, readable, script, settings};

const REQUESTQ: usize = 0;

/// The worker may hear of a verdict before it hears of a kick that came first.
#[test]
fn dev_21_a_ping_in_the_ring_is_in_time_although_nobody_was_told_of_it() {
    let (script, host, reports) = script();
    let settings = Settings {
        timeout: SHORT,
        boot_timeout: None,
        ..settings()
    };
    let decided = eventfd(0, EventfdFlags::empty()).unwrap();
    let memory = Memory::new(&[(0x10_0000, 0x1_0000)]);
    let layout = Layout::new(&memory, 4);
    let mut ring = Ring::new(&memory, layout);
    let mut watched = None;
    let mut device = Direct::new(&memory, |watch| {
        watch.add(&decided, VERDICT).unwrap();
        watched = Some(watch.clone());
        let mut device = Watchdog::new("guest", settings, host, None, watch).unwrap();
        device.connected();
        device
    });
    assert!(device.start(REQUESTQ, &layout, 0));
    let mut ping = || {
        let head = ring.add(&memory.chain(&[], &[8]));
        ring.push(head);
    };
    ping();
    device.kick(REQUESTQ);
    let due = |report| matches!(report, Report::Due(_));
    while !reports.try_iter().any(due) {
        readable(watched.as_ref().unwrap());
        device.poll();
    }

    ping();
    script.decide(Verdict::Act);
    io::write(&decided, &1u64.to_ne_bytes()).unwrap();
    device.poll();
    let failed = |report| matches!(report, Report::Failed(_));
    assert!(!reports.try_iter().any(failed));

    script.decide(Verdict::Failed(Cause::Panic));
    device.poll();
    assert!(reports.try_iter().any(failed), "nobody heard the host");
}
