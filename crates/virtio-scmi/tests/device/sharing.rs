// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What guests are given, what they share, and what is left of one that went away.

use std::slice::from_ref;

use proptest::collection::vec;
use proptest::prelude::*;
use scmi::Kind;
use virtio_backend::{Device, Watch};
use virtio_scmi::{Access, Agent, Grant};

use crate::common::*;

#[test]
fn a_guest_sees_what_it_was_given_in_its_order_and_by_its_names() {
    let host = Host::new();
    let uart = Grant {
        alias: Some("console".to_owned()),
        ..full(Kind::CLOCK, "uart")
    };
    let mut guest = host.guest_with(&[uart, full(Kind::CLOCK, "bus"), full(Kind::SENSOR, "cold")]);
    // Clocks and sensors, and nothing else.
    assert_eq!(guest.ask(&[0x4006, 0]), [0x4006, SUCCESS, 2, 0x1514]);
    assert_eq!(guest.ask(&[0x5001]), [0x5001, SUCCESS, 2]);
    let name = |text: &[u8; 16]| words(text);
    assert_eq!(
        guest.ask(&[0x5003, 0])[3..7],
        name(b"console\0\0\0\0\0\0\0\0\0")
    );
    assert_eq!(
        guest.ask(&[0x5003, 1])[3..7],
        name(b"bus\0\0\0\0\0\0\0\0\0\0\0\0\0")
    );
    assert_eq!(guest.ask(&[0x5003, 2]), [0x5003, NOT_FOUND]);
    assert_eq!(guest.ask(&[0x5800]), [0x5800, NOT_SUPPORTED]);
}

#[test]
fn access_is_what_the_guest_was_given() {
    let host = Host::new();
    for (access, switch, change) in [
        (Access::Look, DENIED, DENIED),
        (Access::Switch, SUCCESS, DENIED),
        (Access::Full, SUCCESS, SUCCESS),
    ] {
        let host = if access == Access::Look {
            &host
        } else {
            &Host::new()
        };
        let grant = Grant {
            access,
            ..full(Kind::CLOCK, "bus")
        };
        let mut guest = host.guest_with(&[grant]);
        assert_eq!(guest.ask(&[0x5006, 0])[1], SUCCESS);
        assert_eq!(guest.ask(&[0x5007, 0, 1, 0])[1], switch);
        assert_eq!(guest.ask(&[0x5005, 0, 0, 100_000_000, 0])[1], change);
    }
}

fn limited(kind: Kind, name: &str, min: i64, max: i64) -> Grant {
    Grant {
        min: Some(min),
        max: Some(max),
        ..full(kind, name)
    }
}

#[test]
fn a_guest_with_limits_is_told_of_what_is_within_them_and_sets_nothing_else() {
    let host = Host::new();
    let mut guest = host.guest_with(&[
        limited(Kind::CLOCK, "bus", 100_000_000, 200_000_000),
        limited(Kind::CLOCK, "mux", 24_000_000, 25_000_000),
        full(Kind::CLOCK, "osc"),
        // Its steps are of 25 mV from 700 mV on.
        limited(Kind::VOLTAGE, "vdd", 710_000, 810_000),
    ]);
    let mut other = host.guest_with(&[full(Kind::CLOCK, "bus"), full(Kind::VOLTAGE, "vdd")]);
    let rates = [0x5004, SUCCESS, 2, 100_000_000, 0, 200_000_000, 0];
    assert_eq!(guest.ask(&[0x5004, 0, 0]), rates);
    assert_eq!(
        guest.ask(&[0x5005, 0, 0, 400_000_000, 0]),
        [0x5005, INVALID_PARAMETERS]
    );
    assert_eq!(
        guest.ask(&[0x5005, 0, 0, 100_000_000, 0]),
        [0x5005, SUCCESS]
    );
    // Its rate may be set, and what it comes from is what has that.
    assert_eq!(
        guest.ask(&[0x5004, 1, 0]),
        [0x5004, SUCCESS, 1, 24_000_000, 0]
    );
    assert_eq!(guest.ask(&[0x500f, 1]), [0x500f, SUCCESS, 0xa000_0000]);
    assert_eq!(guest.ask(&[0x500d, 1, 2]), [0x500d, DENIED]);
    let levels = [0x5c04, SUCCESS, 0x1003, 725_000, 800_000, 25_000];
    assert_eq!(guest.ask(&[0x5c04, 0, 0]), levels);
    assert_eq!(
        guest.ask(&[0x5c07, 0, 0, 825_000]),
        [0x5c07, INVALID_PARAMETERS]
    );
    assert_eq!(
        guest.ask(&[0x5c07, 0, 0, 700_000]),
        [0x5c07, INVALID_PARAMETERS]
    );
    assert_eq!(guest.ask(&[0x5c07, 0, 0, 725_000]), [0x5c07, SUCCESS]);
    // They are not another one's.
    assert_eq!(other.ask(&[0x5004, 0, 0])[2], 3);
    assert_eq!(
        other.ask(&[0x5005, 0, 0, 400_000_000, 0]),
        [0x5005, SUCCESS]
    );
    assert_eq!(other.ask(&[0x5c04, 0, 0])[3..5], [700_000, 1_100_000]);
    assert_eq!(other.ask(&[0x5c07, 0, 0, 1_100_000]), [0x5c07, SUCCESS]);
}

#[test]
fn what_another_guest_left_is_brought_within_a_guests_limits_before_it_is_on() {
    let host = Host::new();
    let mut other = host.guest_with(&[full(Kind::VOLTAGE, "vdd"), full(Kind::CLOCK, "bus")]);
    let mut guest = host.guest_with(&[
        limited(Kind::VOLTAGE, "vdd", 700_000, 900_000),
        limited(Kind::CLOCK, "bus", 100_000_000, 200_000_000),
    ]);
    assert_eq!(other.ask(&[0x5c07, 0, 0, 1_100_000]), [0x5c07, SUCCESS]);
    assert_eq!(
        other.ask(&[0x5005, 0, 0, 400_000_000, 0]),
        [0x5005, SUCCESS]
    );
    // As long as the other guest has them on, this one cannot.
    other.ask(&[0x5c05, 0, 7]);
    other.ask(&[0x5007, 0, 1, 0]);
    assert_eq!(guest.ask(&[0x5c05, 0, 7]), [0x5c05, BUSY]);
    assert_eq!(guest.ask(&[0x5007, 0, 1, 0]), [0x5007, BUSY]);
    assert_eq!(host.state(Kind::VOLTAGE, 0), 1_100_000);
    assert_eq!(host.state(Kind::CLOCK, 2), 400_000_000);
    other.ask(&[0x5c05, 0, 0]);
    other.ask(&[0x5007, 0, 0, 0]);
    assert_eq!(guest.ask(&[0x5c05, 0, 7]), [0x5c05, SUCCESS]);
    assert_eq!(guest.ask(&[0x5007, 0, 1, 0]), [0x5007, SUCCESS]);
    assert_eq!(host.state(Kind::VOLTAGE, 0), 900_000);
    assert_eq!(host.state(Kind::CLOCK, 2), 200_000_000);
    // The other guest's are theirs again when this one is gone.
    guest.scmi.disconnected();
    other.ask(&[0x5c05, 0, 7]);
    other.ask(&[0x5007, 0, 1, 0]);
    assert_eq!(host.state(Kind::VOLTAGE, 0), 1_100_000);
    assert_eq!(host.state(Kind::CLOCK, 2), 400_000_000);
}

#[test]
fn a_rate_is_not_rounded_to_one_beyond_a_guests_limits() {
    let host = Host::new();
    let mut other = host.guest_with(&[full(Kind::CLOCK, "pll")]);
    let mut guest = host.guest_with(&[limited(Kind::CLOCK, "bus", 250_000_000, 400_000_000)]);
    other.boot(4);
    let set = [0x5005, 0, 0, 400_000_000, 0];
    // From 400 MHz there are 50, 100 and 200.
    other.ask(&[0x5005, 1, 0, 400_000_000, 0]);
    assert_eq!(guest.ask(&set), [0x5005, INVALID_PARAMETERS]);
    assert_eq!(guest.ask(&[0x5006, 0])[2..], [100_000_000, 0]);
    other.ask(&[0x5005, 1, 0, 800_000_000, 0]);
    assert_eq!(guest.ask(&set), [0x5005, SUCCESS]);
    assert_eq!(guest.ask(&[0x5006, 0])[2..], [400_000_000, 0]);
}

#[test]
fn what_a_guest_wants_on_is_on_from_the_beginning_and_after_a_reset() {
    let host = Host::new();
    let vdd = Grant {
        on: true,
        ..full(Kind::VOLTAGE, "vdd")
    };
    let mut guest = host.guest_with(&[vdd]);
    assert_eq!(host.state(Kind::VOLTAGE, 0), 900_000);
    guest.ask(&[0x5c05, 0, 0]);
    assert_eq!(host.state(Kind::VOLTAGE, 0), 0);
    guest.scmi.reset();
    assert_eq!(host.state(Kind::VOLTAGE, 0), 900_000);
}

#[test]
fn what_another_guest_uses_keeps_running_as_it_is() {
    let host = Host::new();
    let mut one = host.guest();
    let mut other = host.guest_with(&[full(Kind::CLOCK, "bus"), full(Kind::CLOCK, "pll")]);
    other.ask(&[0x5007, 0, 1, 0]);
    assert_eq!(one.ask(&[0x5005, 0, 1, 400_000_000, 0]), [0x5005, DENIED]);
    one.ask(&[0x5007, 1, 1, 0]);
    one.ask(&[0x5007, 1, 0, 0]);
    assert_eq!(host.state(Kind::CLOCK, 2), 200_000_000);
    one.scmi.disconnected();
    assert_eq!(host.state(Kind::CLOCK, 2), 200_000_000);
    other.scmi.disconnected();
    assert_eq!(host.states(), Host::new().states());
}

#[test]
fn only_what_a_mux_comes_from_now_keeps_its_rate() {
    let host = Host::new();
    let clock = |name| full(Kind::CLOCK, name);
    let mut guest = host.guest_with(&[clock("uart"), clock("mux"), clock("osc"), clock("bus")]);
    let mut other = host.guest_with(&[clock("bus"), clock("pll")]);
    other.boot(4);
    let mut set = |rate| {
        let bus = other.ask(&[0x5005, 0, 0, rate, 0])[1];
        assert_eq!(other.ask(&[0x5005, 1, 1, 800_000_000, 0])[1], bus);
        bus
    };
    guest.boot(4);
    guest.ask(&[0x5007, 0, 1, 0]);
    // It is told of a change of its rate, which comes from osc.
    guest.ask(&[0x5009, 0, 1]);
    assert_eq!(set(100_000_000), SUCCESS);
    guest.poll();
    assert_eq!(guest.event(), None);
    assert_eq!(guest.ask(&[0x500d, 1, 3]), [0x500d, SUCCESS]);
    assert_eq!(set(400_000_000), DENIED);
    // By its rate it finds back to osc.
    assert_eq!(guest.ask(&[0x5005, 0, 1, 24_000_000, 0])[1], SUCCESS);
    assert_eq!(set(400_000_000), SUCCESS);
    // And by a reset.
    guest.ask(&[0x500d, 1, 3]);
    guest.scmi.reset();
    guest.ask(&[0x5007, 0, 1, 0]);
    assert_eq!(set(100_000_000), SUCCESS);
    assert_eq!(guest.ask(&[0x5006, 0])[2..], [24_000_000, 0]);
}

#[test]
fn a_trusted_guest_takes_a_device_from_another_and_resets_it() {
    let host = Host::new();
    let uart = Grant {
        device: 7,
        ..full(Kind::CLOCK, "uart")
    };
    let mut guest = host.guest_with(&[uart]);
    let mut trusted = host.guest_of(&Agent {
        trusted: true,
        ..agent("warden", &[])
    });
    assert_eq!(guest.ask(&[0x4009, 2, 7, 0])[1], NOT_SUPPORTED);
    assert_eq!(guest.ask(&[0x5007, 0, 1, 0]), [0x5007, SUCCESS]);
    // To the trusted one the guest is the first of all agents, and it itself the second.
    assert_eq!(trusted.ask(&[0x4009, 1, 7, 0]), [0x4009, SUCCESS]);
    assert_eq!(guest.ask(&[0x5007, 0, 1, 0]), [0x5007, DENIED]);
    assert_eq!(host.state(Kind::CLOCK, 4), 0);
    assert_eq!(trusted.ask(&[0x400b, 1, 1]), [0x400b, SUCCESS]);
    assert_eq!(host.state(Kind::CLOCK, 4), 0);
    assert_eq!(guest.ask(&[0x5007, 0, 1, 0]), [0x5007, SUCCESS]);
}

#[test]
fn what_fails_when_a_trusted_guest_resets_another_is_done_when_it_works() {
    let host = Host::new();
    let mut guest = host.guest_with(&[full(Kind::VOLTAGE, "vdd")]);
    let mut trusted = host.guest_of(&Agent {
        trusted: true,
        ..agent("warden", &[])
    });
    guest.ask(&[0x5c05, 0, 7]);
    host.board.set_broken(true);
    assert_eq!(trusted.ask(&[0x400b, 1, 0]), [0x400b, HARDWARE_ERROR]);
    host.board.set_broken(false);
    host.pass(1000);
    guest.tick();
    assert_eq!(host.states(), Host::new().states());
}

#[test]
fn a_trusted_guest_that_resets_itself_is_answered_what_it_waits_for() {
    let host = Host::new();
    let mut trusted = host.guest_of(&Agent {
        trusted: true,
        ..agent("warden", &[full(Kind::CLOCK, "pll")])
    });
    let answer = trusted.begin(&[0x5005, 0, 0, 400_000_000, 0]);
    assert_eq!(trusted.ask(&[0x400b, 1, 0]), [0x400b, SUCCESS]);
    trusted.events();
    assert_eq!(answer.now(), Some(bytes(&[0x5005, GENERIC_ERROR])));
}

#[track_caller]
fn refused(given: &[&[Grant]], key: &str, what: &str) {
    let host = Host::new();
    let watch = Watch::new().unwrap();
    let mut result = Ok(());
    for (number, grants) in given.iter().enumerate() {
        let guest = host
            .board
            .guest(&agent(&format!("g{number}"), grants), &watch);
        result = result.and(guest.map(drop));
    }
    let mistake = result.unwrap_err();
    assert_eq!((mistake.key, mistake.what.as_str()), (key, what));
    assert_eq!(mistake.resource, None);
}

#[test]
fn a_guest_that_the_host_resets_is_answered_and_goes_on() {
    let host = Host::new();
    let mut guest = host.guest();
    assert_eq!(
        host.board.reset("guest").unwrap_err().to_string(),
        "no guest has been there yet"
    );
    guest.boot(8);
    guest.ask(&[0x5007, 4, 1, 0]);
    guest.ask(&[0x5c05, 0, 7]);
    let answer = guest.begin(&[0x5005, 0, 1, 400_000_000, 0]);
    assert_eq!(
        host.board.reset("other").unwrap_err().to_string(),
        "no guest is called \"other\""
    );
    host.board.reset("guest").unwrap();
    guest.poll();
    assert_eq!(answer.now(), Some(bytes(&[0x5005, GENERIC_ERROR])));
    assert_eq!(host.states(), Host::new().states());
    // It is told of what it asks for from now on.
    guest.ask(&[0x4406, 0, 1]);
    guest.ask(&[0x4404, 0, 0, 0]);
    guest.events();
    assert_eq!(guest.event().unwrap(), [0x4700, 1, 0, 0]);
}

#[test]
fn what_cannot_be_given_is_named() {
    let uart = full(Kind::CLOCK, "uart");
    let called = |name: &str| Grant {
        alias: Some(name.to_owned()),
        ..uart.clone()
    };
    refused(
        &[&[full(Kind::CLOCK, "nope")]],
        "clocks",
        "no [[clock]] is called \"nope\"",
    );
    refused(
        &[&[full(Kind::VOLTAGE, "uart")]],
        "regulators",
        "no [[regulator]] is called \"uart\"",
    );
    refused(
        &[&[uart.clone(), uart.clone()]],
        "clocks",
        "\"uart\" is there twice",
    );
    refused(
        &[from_ref(&uart), from_ref(&uart)],
        "clocks",
        "\"uart\" is guest g0's, and not shared",
    );
    refused(
        &[&[called("bus"), full(Kind::CLOCK, "bus")]],
        "clocks",
        "\"bus\" is there twice",
    );
    refused(
        &[&[called("a b")]],
        "clocks",
        "\"a b\": a name has 1 to 63 printable characters of ASCII, and no space",
    );
    let host = Host::new();
    host.guest();
    host.states();
    let late = host
        .board
        .guest(&agent("late", &[]), &Watch::new().unwrap());
    assert_eq!(late.map(drop).unwrap_err().what, "the platform has started");
}

#[test]
fn a_guest_that_cannot_be_added_leaves_nothing_behind() {
    let host = Host::new();
    let watch = Watch::new().unwrap();
    let mut missing = host.board.everything();
    missing.push(full(Kind::VOLTAGE, "nope"));
    assert!(host.board.guest(&agent("bad", &missing), &watch).is_err());
    drop(watch);
    // What is nobody's may be given, and time passes.
    let mut guest = host.guest();
    assert_eq!(guest.ask(&[0x4007, u32::MAX])[2], 1);
    let answer = guest.begin(&[0x5005, 0, 1, 400_000_000, 0]);
    host.pass(300);
    guest.tick();
    assert_eq!(answer.now(), Some(bytes(&[0x5005, SUCCESS])));
}

#[test]
fn limits_that_cannot_be_kept_are_named() {
    for (limited, key, what) in [
        (
            limited(Kind::CLOCK, "pll", 400_000_000, 800_000_001),
            "clocks",
            "\"pll\": min or max is beyond what it can be set to",
        ),
        (
            limited(Kind::VOLTAGE, "vdd", 699_999, 1_100_000),
            "regulators",
            "\"vdd\": min or max is beyond what it can be set to",
        ),
        (
            limited(Kind::VOLTAGE, "vdd", 800_000, 775_000),
            "regulators",
            "\"vdd\": nothing is from min to max",
        ),
        (
            limited(Kind::CLOCK, "bus", 200_000_001, 399_999_999),
            "clocks",
            "\"bus\": nothing is from min to max",
        ),
        (
            limited(Kind::SENSOR, "hot", 0, 1),
            "sensors",
            "\"hot\": only clocks and regulators have min and max",
        ),
    ] {
        refused(&[&[limited]], key, what);
    }
}

/// Commands that mean something more often than random bytes would.
fn request() -> impl Strategy<Value = Vec<u32>> {
    let protocol = prop_oneof![
        Just(0x10u32),
        Just(0x11),
        Just(0x14),
        Just(0x15),
        Just(0x16),
        Just(0x17)
    ];
    let word = prop_oneof![
        8 => 0u32..8,
        3 => prop_oneof![Just(400_000_000), Just(100_000_000), Just(800_000), Just(0x4000_0000)],
        1 => any::<u32>(),
    ];
    let any_of_all = (protocol, 0u32..0x12, vec(word.clone(), 0..4))
        .prop_map(|(protocol, message, rest)| [&[protocol << 10 | message], &rest[..]].concat());
    let rate =
        (0u32..4, 0u32..5, word).prop_map(|(flags, id, rate)| vec![0x5005, flags, id, rate, 0]);
    let switch = (0u32..5, 0u32..5, any::<bool>()).prop_map(|(kind, id, on)| match kind {
        0 => vec![0x4404, 0, id, u32::from(!on) << 30],
        1 => vec![0x5007, id, on.into(), 0],
        2 => vec![0x540a, id, on.into()],
        3 => vec![0x5804, id, if on { 0 } else { 2 }, 0],
        _ => vec![0x5c05, id, if on { 7 } else { 0 }],
    });
    prop_oneof![3 => any_of_all, 2 => rate, 3 => switch]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever guests ask, whenever they come and go: each request is answered once, and when all are gone the
    /// platform is as at boot, and so is what a guest reads.
    #[test]
    fn when_all_guests_are_gone_the_platform_is_as_at_boot(
        steps in vec((0usize..2, prop_oneof![10 => request().prop_map(Some), 1 => Just(None)], 0u64..100), 1..100),
    ) {
        let host = Host::new();
        let mut guests = [host.guest(), host.guest_with(&[
            full(Kind::CLOCK, "bus"),
            full(Kind::CLOCK, "pll"),
            full(Kind::SENSOR, "hot"),
            full(Kind::RESET, "npu"),
            full(Kind::POWER, "soc"),
            full(Kind::VOLTAGE, "vdd"),
        ])];
        guests.iter_mut().for_each(|guest| guest.boot(4));
        let boot = (host.states(), view(&mut guests[0]));
        let mut begun = Vec::new();
        for (who, request, time) in steps {
            match request {
                Some(request) => begun.push((who, guests[who].begin(&request))),
                None => {
                    guests[who].scmi.reset();
                    begun.retain(|(whose, _)| *whose != who);
                    guests[who].boot(4);
                }
            }
            host.pass(time);
            guests[0].tick();
            guests[1].poll();
        }
        host.pass(2000);
        for _ in 0..100 {
            guests[0].tick();
        }
        guests[1].poll();
        for (_, answer) in &begun {
            prop_assert!(answer.now().is_some());
            prop_assert!(answer.now().is_none());
        }
        guests.iter_mut().for_each(|guest| guest.scmi.disconnected());
        guests[0].boot(4);
        prop_assert_eq!(boot, (host.states(), view(&mut guests[0])));
    }

    /// A guest that shares nothing is told the same, word for word, whatever another one does.
    #[test]
    fn a_guest_that_shares_nothing_notices_nothing_of_another(
        steps in vec((0usize..3, prop_oneof![10 => request().prop_map(Some), 1 => Just(None)], 0u64..100), 1..100),
    ) {
        let (together, alone) = (Host::new(), Host::new());
        let [own, others] = apart();
        let mut guests = [together.guest_with(&own), together.guest_with(&others)];
        let mut copies = [alone.guest_with(&own), alone.guest_with(&others)];
        for guest in guests.iter_mut().chain(&mut copies) {
            guest.boot(256);
        }
        for (who, request, time) in steps {
            together.pass(time);
            alone.pass(time);
            let who = who.min(1);
            guests[who].step(request.as_deref());
            if who == 0 {
                copies[0].step(request.as_deref());
            }
            guests[0].tick();
            guests[1].poll();
            copies[0].tick();
            prop_assert_eq!(guests[0].told(), copies[0].told());
        }
    }
}

/// What two guests are given that share nothing, nor anything that depends on what the other one has.
fn apart() -> [Vec<Grant>; 2] {
    let own = vec![
        full(Kind::POWER, "npu"),
        full(Kind::SENSOR, "cold"),
        full(Kind::SENSOR, "volts"),
        full(Kind::SENSOR, "accel"),
        full(Kind::RESET, "npu"),
        full(Kind::VOLTAGE, "vdd"),
    ];
    let mut others = Host::new().board.everything();
    others.retain(|grant| !own.contains(grant));
    [own, others]
}

/// What a guest reads that does not change by itself.
fn view(guest: &mut Guest) -> Vec<Vec<u32>> {
    let mut requests = vec![vec![0x4001]];
    for id in 0..5 {
        for get in [
            0x4403, 0x4405, 0x5003, 0x5006, 0x500b, 0x500e, 0x5409, 0x5803, 0x5c06, 0x5c08,
        ] {
            requests.push(vec![get, id, 0]);
        }
    }
    requests.iter().map(|request| guest.ask(request)).collect()
}
