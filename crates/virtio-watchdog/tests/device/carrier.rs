// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A watchdog that is carried by an entropy device (SPEC.md 6).

use virtio_backend::testing::reply;
use virtio_backend::{Device, Watch};
use virtio_rng::System;
use virtio_watchdog::{Report, Watchdog};

use crate::common::{SHORT, readable, script, settings};

#[test]
fn a_ping_is_answered_with_entropy_and_is_a_sign_of_life() {
    let (_script, host, reports) = script();
    let watch = Watch::new().unwrap();
    let mut settings = settings();
    (settings.timeout, settings.boot_timeout) = (SHORT, None);
    let carrier = Box::new(System::new("guest"));
    let mut device = Watchdog::new("guest", settings, host, Some(carrier), &watch).unwrap();
    assert_eq!((device.features(), device.config()), (0, Vec::new()));
    device.connected();
    device.negotiated(0);
    let mut ask = |request: &[u8], room| {
        let (reply, answer) = reply(room);
        device.handle(0, request, reply);
        answer.now().unwrap()
    };
    let (first, second) = (ask(&[], 64), ask(&[], 64));
    assert_eq!((first.len(), second.len()), (64, 64));
    assert_ne!(first, second);
    assert_eq!(ask(&[5; 16], 1).len(), 1);
    assert_eq!(ask(&[], 1 << 20).len(), 64 << 10);
    assert_eq!(ask(&[], 0), b"");
    assert_eq!(reports.try_iter().next(), Some(Report::Connected(None)));
    let due = |report| matches!(report, Report::Due(_));
    while !reports.try_iter().any(due) {
        readable(&watch);
        watch.poll(|token| device.ready(token));
    }
}
