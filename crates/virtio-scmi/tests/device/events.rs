// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the device says, when, and to a driver that lends few buffers or none.

use virtio_backend::Device;
use virtio_backend::testing::reply;

use crate::common::*;

#[test]
fn a_response_fits_the_room_there_is() {
    let mut guest = Host::new().guest();
    for (room, expected) in [
        (0, &[][..]),
        (7, &[]),
        (8, &[0x4000, -10_i32 as u32]),
        (12, &[0x4000, SUCCESS, 0x0002_0001]),
        (4096, &[0x4000, SUCCESS, 0x0002_0001]),
    ] {
        let (reply, answer) = reply(room);
        guest.scmi.handle(0, &bytes(&[0x4000]), reply);
        assert_eq!(answer.now(), Some(bytes(expected)));
    }
}

#[test]
fn requests_may_be_of_any_length() {
    let mut guest = Host::new().guest();
    for length in 0..=virtio_scmi::Scmi::MAX_REQUEST + 1 {
        let (reply, answer) = reply(136);
        guest.scmi.handle(0, &vec![0; length], reply);
        let status = [0u32, NOT_SUPPORTED];
        let expected = if length < 4 { vec![] } else { bytes(&status) };
        assert_eq!(answer.now(), Some(expected));
    }
}

#[test]
fn without_the_feature_there_are_no_events() {
    let host = Host::new();
    let mut guest = host.guest();
    guest.scmi.negotiated(0);
    assert_eq!(guest.ask(&[0x5009, 0, 1]), [0x5009, NOT_SUPPORTED]);
    assert_eq!(guest.ask(&[0x5002, 9]), [0x5002, NOT_FOUND]);
    assert_eq!(
        guest.ask(&[0x5005, 1, 1, 400_000_000, 0]),
        [0x5005, NOT_SUPPORTED]
    );
    guest.scmi.negotiated(F_P2A);
    assert_eq!(guest.ask(&[0x5009, 0, 1]), [0x5009, SUCCESS]);
}

#[test]
fn a_delayed_response_comes_after_the_response_also_if_it_is_there_at_once() {
    let host = Host::new();
    let mut guest = host.guest();
    guest.boot(1);
    assert_eq!(
        guest.ask(&[0x5005, 1, 2, 100_000_000, 0]),
        [0x5005, SUCCESS]
    );
    assert_eq!(guest.event(), None);
    guest.events();
    assert_eq!(guest.event().unwrap(), [0x5205, SUCCESS, 2, 100_000_000, 0]);
}

#[test]
fn a_driver_without_buffers_loses_no_delayed_response_and_hears_the_latest_of_the_rest() {
    let host = Host::new();
    let mut guest = host.guest();
    let mut other = host.guest_with(&[
        full(scmi::Kind::CLOCK, "pll"),
        full(scmi::Kind::POWER, "soc"),
    ]);
    guest.boot(0);
    other.boot(0);
    guest.ask(&[0x4406, 0, 1]);
    guest.ask(&[0x5009, 2, 1]);
    // As many delayed responses as there are places for, in one of which the device holds what it could not send.
    let mut accepted = 0;
    while guest.ask(&[0x5005 | accepted << 18, 1, 2, 100_000_000, 0])[1] == SUCCESS {
        accepted += 1;
        assert!(accepted < 100);
    }
    assert_eq!(guest.ask(&[0x5005, 1, 2, 100_000_000, 0])[1], BUSY);
    for round in 0..100 {
        other.ask(&[0x4404, 0, 0, (round & 1) << 30]);
        guest.poll();
    }
    // One buffer, one event.
    let mut seen = Vec::new();
    for _ in 0..accepted + 2 {
        guest.lend(1);
        seen.push(guest.event().unwrap());
        assert_eq!(guest.event(), None);
    }
    guest.lend(3);
    assert_eq!(guest.event(), None);
    let (delayed, notified): (Vec<_>, Vec<_>) = seen
        .into_iter()
        .partition(|event| event[0] & 0x300 == 0x200);
    let mut tokens: Vec<_> = delayed.iter().map(|event| event[0] >> 18).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, (0..accepted).collect::<Vec<_>>());
    assert!(notified.contains(&vec![0x4700, 0, 0, 0x4000_0000]));
    assert!(notified.contains(&vec![0x5300, 1, 2, 100_000_000, 0]));
    // And there is room for more.
    assert_eq!(guest.ask(&[0x5005, 1, 2, 100_000_000, 0])[1], SUCCESS);
}

#[test]
fn what_another_guest_does_wakes_who_wants_to_know() {
    let host = Host::new();
    let mut guest = host.guest();
    let mut other = host.guest_with(&[full(scmi::Kind::POWER, "soc")]);
    guest.boot(4);
    guest.ask(&[0x4406, 0, 1]);
    guest.poll();
    assert_eq!(guest.event(), None);
    other.ask(&[0x4404, 0, 0, 0]);
    assert_eq!(guest.event(), None);
    guest.poll();
    assert_eq!(guest.event().unwrap(), [0x4700, 0, 0, 0]);
}

#[test]
fn nothing_of_before_a_reset_comes_after_it() {
    let host = Host::new();
    let mut guest = host.guest();
    guest.boot(0);
    guest.ask(&[0x5005, 1, 2, 100_000_000, 0]);
    guest.ask(&[0x5009, 2, 1]);
    let answer = guest.begin(&[0x5005, 0, 1, 400_000_000, 0]);
    guest.scmi.reset();
    drop(answer);
    guest.boot(8);
    host.pass(1000);
    guest.tick();
    assert_eq!(guest.event(), None);
    assert_eq!(guest.ask(&[0x5006, 1])[2], 800_000_000);
}
