// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the simulated parts do.

use scmi::Kind;

use crate::common::*;

const MHZ: i64 = 1_000_000;

#[test]
fn a_clock_runs_with_what_it_comes_from_while_it_is_wanted() {
    let host = Host::new();
    let mut guest = host.guest();
    let rates = |host: &Host| [0, 1, 2, 3, 4].map(|clock| host.state(Kind::CLOCK, clock) / MHZ);
    assert_eq!(rates(&host), [0; 5]);
    // Its gate, and those above.
    assert_eq!(guest.ask(&[0x5007, 4, 1, 0]), [0x5007, SUCCESS]);
    assert_eq!(rates(&host), [24, 0, 0, 24, 24]);
    // From bus in place of osc: what stays comes from osc over the pll.
    assert_eq!(guest.ask(&[0x500d, 3, 2]), [0x500d, SUCCESS]);
    assert_eq!(rates(&host), [24, 800, 200, 200, 200]);
    // What is above stays while something below is wanted; a gate that is shut stops all below it.
    guest.ask(&[0x5007, 1, 1, 0]);
    guest.ask(&[0x5007, 1, 0, 0]);
    assert_eq!(rates(&host), [24, 800, 200, 200, 200]);
    guest.ask(&[0x5007, 1, 1, 0]);
    guest.ask(&[0x5007, 4, 0, 0]);
    assert_eq!(rates(&host), [24, 800, 0, 0, 0]);
}

#[test]
fn rates_follow_the_tree() {
    let host = Host::new();
    let mut guest = host.guest();
    let rate = |guest: &mut Guest, clock| guest.ask(&[0x5006, clock])[2..].to_vec();
    assert_eq!(rate(&mut guest, 2), [200_000_000, 0]);
    // A divider: what its parent gives it now.
    assert_eq!(
        guest.ask(&[0x5004, 2, 0])[2..],
        [3, 100_000_000, 0, 200_000_000, 0, 400_000_000, 0]
    );
    assert_eq!(
        guest.ask(&[0x5005, 0, 2, 399_999_999, 0]),
        [0x5005, SUCCESS]
    );
    assert_eq!(rate(&mut guest, 2), [200_000_000, 0]);
    assert_eq!(
        guest.ask(&[0x5005, 0, 2, 400_000_000, 0]),
        [0x5005, SUCCESS]
    );
    assert_eq!(rate(&mut guest, 2), [400_000_000, 0]);
    // A mux can have what its parents have now, and finds the parent that has the rate.
    assert_eq!(
        guest.ask(&[0x5004, 3, 0])[2..],
        [2, 24_000_000, 0, 400_000_000, 0]
    );
    assert_eq!(
        guest.ask(&[0x5005, 0, 3, 200_000_000, 0]),
        [0x5005, SUCCESS]
    );
    assert_eq!(guest.ask(&[0x500e, 3]), [0x500e, SUCCESS, 0]);
    guest.ask(&[0x5005, 0, 2, 100_000_000, 0]);
    // What none has any longer cannot be had.
    assert_eq!(
        guest.ask(&[0x5005, 0, 3, 200_000_000, 0]),
        [0x5005, INVALID_PARAMETERS]
    );
    assert_eq!(
        guest.ask(&[0x5005, 0, 3, 199_999_999, 0]),
        [0x5005, INVALID_PARAMETERS]
    );
    assert_eq!(
        guest.ask(&[0x5005, 0, 3, 100_000_000, 0]),
        [0x5005, SUCCESS]
    );
    assert_eq!(guest.ask(&[0x500e, 3]), [0x500e, SUCCESS, 2]);
    assert_eq!(rate(&mut guest, 4), [100_000_000, 0]);
    // An oscillator and a gate have theirs.
    assert_eq!(guest.ask(&[0x5005, 0, 0, 24_000_000, 0]), [0x5005, DENIED]);
    assert_eq!(guest.ask(&[0x5005, 0, 4, 24_000_000, 0]), [0x5005, DENIED]);
    assert_eq!(guest.ask(&[0x500f, 4])[2], 0xc000_0000);
}

#[test]
fn a_pll_takes_its_time_and_the_command_is_answered_then() {
    let host = Host::new();
    let mut guest = host.guest();
    let answer = guest.begin(&[0x5005, 0, 1, 400_000_000, 0]);
    guest.tick();
    assert_eq!(answer.now(), None);
    // Others are answered meanwhile.
    assert_eq!(guest.ask(&[0x4000])[1], SUCCESS);
    host.pass(299);
    guest.tick();
    assert_eq!(answer.now(), None);
    host.pass(1);
    guest.tick();
    assert_eq!(answer.now(), Some(bytes(&[0x5005, SUCCESS])));
    assert_eq!(guest.ask(&[0x5006, 2])[2..], [100_000_000, 0]);
}

#[test]
fn a_regulator_goes_to_its_level_bit_by_bit() {
    let host = Host::new();
    let mut guest = host.guest();
    guest.boot(8);
    let level = |guest: &mut Guest| guest.ask(&[0x5c08, 0])[2];
    // Off, it is there at once.
    assert_eq!(guest.ask(&[0x5c07, 0, 0, 1_000_000]), [0x5c07, SUCCESS]);
    assert_eq!(
        (level(&mut guest), host.state(Kind::VOLTAGE, 0)),
        (1_000_000, 0)
    );
    guest.ask(&[0x5c05, 0, 7]);
    assert_eq!(host.state(Kind::VOLTAGE, 0), 1_000_000);
    // On, 1,000 µV a millisecond.
    assert_eq!(
        guest.ask(&[0x0004_5c07, 0, 1, 800_000]),
        [0x0004_5c07, SUCCESS]
    );
    host.pass(60);
    // What it can be set to, and what it gives.
    assert_eq!(level(&mut guest), 925_000);
    assert_eq!(host.state(Kind::VOLTAGE, 0), 940_000);
    guest.tick();
    assert_eq!(guest.event(), None);
    host.pass(140);
    guest.tick();
    assert_eq!(guest.event().unwrap(), [0x0004_5e07, SUCCESS, 0, 800_000]);
    assert_eq!(level(&mut guest), 800_000);
    // Turned round on its way.
    guest.ask(&[0x5c07, 0, 1, 900_000]);
    host.pass(50);
    guest.ask(&[0x5c07, 0, 1, 800_000]);
    host.pass(25);
    assert_eq!(level(&mut guest), 825_000);
    assert_eq!(guest.ask(&[0x5406, 2, 0])[2], 825);
}

#[test]
fn a_reset_takes_its_time() {
    let host = Host::new();
    let mut guest = host.guest();
    guest.boot(8);
    assert_eq!(guest.ask(&[0x5803, 0])[3], 20_000);
    assert_eq!(guest.ask(&[0x5804, 0, 5, 0]), [0x5804, SUCCESS]);
    host.pass(19);
    guest.tick();
    assert_eq!(guest.event(), None);
    host.pass(1);
    guest.tick();
    assert_eq!(guest.event().unwrap(), [0x5a04, SUCCESS, 0]);
    assert_eq!(host.state(Kind::RESET, 0), 1);
}

#[test]
fn a_power_domain_is_up_while_it_or_one_within_it_is_wanted() {
    let host = Host::new();
    let mut guest = host.guest();
    let state = |host: &Host| [0, 1].map(|domain| host.state(Kind::POWER, domain));
    guest.ask(&[0x4404, 0, 1, 0]);
    assert_eq!(state(&host), [1, 1]);
    guest.ask(&[0x4404, 0, 0, 0]);
    guest.ask(&[0x4404, 0, 0, 0x4000_0000]);
    assert_eq!(state(&host), [1, 1]);
    guest.ask(&[0x4404, 0, 1, 0x4000_0000]);
    assert_eq!(state(&host), [0, 0]);
}

#[test]
fn temperatures_follow_the_load_and_drift_below_zero_too() {
    let host = Host::new();
    let mut guest = host.guest();
    let read = |guest: &mut Guest, sensor| {
        let answer = guest.ask(&[0x5406, sensor, 0]);
        i64::from(answer[2]) | i64::from(answer[3]) << 32
    };
    assert_eq!(read(&mut guest, 0), 40_000);
    assert_eq!(read(&mut guest, 1), -12_500);
    host.pass(15_000);
    assert_eq!(read(&mut guest, 0), 40_000);
    assert_eq!(read(&mut guest, 1), -11_500);
    host.pass(30_000);
    assert_eq!(read(&mut guest, 1), -13_500);
    // The pll at its highest rate: half of 30 °C more after four seconds, and so on.
    read(&mut guest, 0);
    guest.ask(&[0x5007, 1, 1, 0]);
    host.pass(4_000);
    assert_eq!(read(&mut guest, 0), 55_000);
    host.pass(4_000);
    assert_eq!(read(&mut guest, 0), 62_500);
    guest.ask(&[0x5007, 1, 0, 0]);
    host.pass(4_000);
    assert_eq!(read(&mut guest, 0), 51_250);
}

#[test]
fn a_sensor_that_is_on_measures_by_itself() {
    let host = Host::new();
    let mut guest = host.guest();
    guest.boot(8);
    assert_eq!(guest.ask(&[0x540b, 3, 1]), [0x540b, SUCCESS]);
    // 10 ms if nothing is said, with timestamps in nanoseconds.
    assert_eq!(guest.ask(&[0x540a, 3, 3]), [0x540a, SUCCESS]);
    assert_eq!(guest.ask(&[0x5409, 3])[2], 10 << 16 | 0x1d << 11 | 3);
    let update = |time: u32| {
        let mut event = vec![0x5701, 0, 3];
        for value in [1i64, -2, 9_807] {
            event.extend(words(&value.to_le_bytes()));
            event.extend([time, 0]);
        }
        event
    };
    host.pass(10);
    guest.tick();
    assert_eq!(guest.event().unwrap(), update(10_000_000));
    // However often it is set up again.
    for _ in 0..3 {
        host.pass(3);
        guest.ask(&[0x540a, 3, 3]);
    }
    host.pass(1);
    guest.tick();
    assert_eq!(guest.event().unwrap(), update(20_000_000));
    // After a pause there is one, and not all that there might have been.
    host.pass(1000);
    guest.tick();
    assert_eq!(guest.event().unwrap(), update(1_020_000_000));
    assert_eq!(guest.event(), None);
    guest.ask(&[0x540a, 3, 0]);
    host.pass(1000);
    guest.tick();
    assert_eq!(guest.event(), None);
}

#[test]
fn axes_have_names_that_linux_knows_whatever_the_sensor_is_called() {
    let host = Host::of(&format!(
        "[[sensor]]\nname = '{:a<63}'\ntype = 'acceleration'\nvalue = [1, 2, 3]",
        ""
    ));
    let mut guest = host.guest();
    for (axis, expected) in (0..).zip([b"accel_X\0", b"accel_Y\0", b"accel_Z\0"]) {
        let answer = guest.ask(&[0x5407, 0, axis]);
        // Its number, and three words on: no longer name, and this.
        assert_eq!((answer[3], answer[4] & 1 << 9), (axis, 0));
        assert_eq!(answer[6..10], [&words(expected)[..], &[0, 0]].concat());
    }
}

#[test]
fn a_guest_is_told_when_it_gets_too_warm() {
    let host = Host::new();
    let mut guest = host.guest();
    guest.boot(8);
    // A trip point at 50 °C, both ways.
    assert_eq!(guest.ask(&[0x5404, 0, 1]), [0x5404, SUCCESS]);
    let trip = guest.ask(&[0x5405, 0, 3, 50_000, 0]);
    assert_eq!(trip, [0x5405, SUCCESS]);
    guest.ask(&[0x540a, 0, 1]);
    let second = |guest: &mut Guest| {
        host.pass(1000);
        guest.tick();
        guest.event()
    };
    assert_eq!(second(&mut guest), None);
    guest.ask(&[0x5007, 1, 1, 0]);
    // 40 + 6, then + 10.8 °C.
    assert_eq!(second(&mut guest), None);
    assert_eq!(second(&mut guest), Some(vec![0x5700, 0, 0, 0x0001_0000]));
    assert_eq!(second(&mut guest), None);
    guest.ask(&[0x5007, 1, 0, 0]);
    let told = (0..10).find_map(|_| second(&mut guest));
    assert_eq!(told, Some(vec![0x5700, 0, 0, 0]));
}

#[test]
fn hardware_that_fails_says_so_and_what_it_missed_is_done_when_it_works() {
    let host = Host::new();
    let mut guest = host.guest();
    guest.boot(8);
    guest.ask(&[0x5007, 4, 1, 0]);
    guest.ask(&[0x5c05, 0, 7]);
    host.board.set_broken(true);
    assert_eq!(guest.ask(&[0x5007, 4, 0, 0]), [0x5007, HARDWARE_ERROR]);
    assert_eq!(guest.ask(&[0x5406, 0, 0]), [0x5406, HARDWARE_ERROR]);
    virtio_backend::Device::disconnected(&mut guest.scmi);
    host.pass(1000);
    guest.tick();
    assert_eq!(host.state(Kind::VOLTAGE, 0), 900_000);
    host.board.set_broken(false);
    host.pass(999);
    guest.tick();
    assert_eq!(host.state(Kind::VOLTAGE, 0), 900_000);
    host.pass(1);
    guest.tick();
    assert_eq!(host.states(), Host::new().states());
}
