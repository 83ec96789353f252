// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device's duties (virtio 1.4, "I2C Adapter Device"), one by one. Where a test says so, it is
//! one of the specification's normative statements in their order, D1 to D11.

use virtio_backend::Device;
use virtio_backend::testing::reply;

use crate::common::{FAIL_NEXT, Guest, M_RD, ZERO_LENGTH_REQUEST, header, numbers};

const NOTHING: [&[&str]; 0] = [];

/// D1: the device offers VIRTIO_I2C_F_ZERO_LENGTH_REQUEST.
#[test]
fn d1_zero_length_requests_are_offered() {
    assert_eq!(Guest::new().i2c.features(), ZERO_LENGTH_REQUEST);
}

/// D2, and vector 7: a driver that does not accept it would have to be refused, and cannot be. What
/// it asks is served where bytes tell the direction, and refused where there are none.
#[test]
fn d2_a_driver_without_zero_length_requests_is_served_what_has_bytes() {
    let mut guest = Guest::new();
    guest.i2c.negotiated(0);
    let write = guest.ask(&[&header(0xa0, 0)[..], &[1]].concat(), 1);
    let read = guest.ask(&header(0xa0, M_RD), 3);
    // Before there was the feature, there was no M_RD.
    let read_by_bytes = guest.ask(&header(0xa0, 0), 3);
    assert_eq!(write.now().unwrap(), [0]);
    assert_eq!(read.now().unwrap(), [1, 2, 0]);
    assert_eq!(read_by_bytes.now().unwrap(), [1, 2, 0]);
    let served = [["0x50 w[01]"], ["0x50 r2"], ["0x50 r2"]];
    assert_eq!(guest.bus.transactions(), served);
    for flags in [0, M_RD] {
        assert_eq!(guest.ask(&header(0xa0, flags), 1).now().unwrap(), [1]);
    }
    let contradiction = guest.ask(&[&header(0xa0, M_RD)[..], &[1]].concat(), 1);
    assert_eq!(contradiction.now().unwrap(), [1]);
    assert_eq!(guest.bus.transactions(), NOTHING);
}

/// The next driver may be another one.
#[test]
fn d2_a_driver_that_accepts_zero_length_requests_tells_directions_by_the_flag() {
    let mut guest = Guest::new();
    guest.i2c.negotiated(0);
    guest.i2c.reset();
    guest.i2c.negotiated(ZERO_LENGTH_REQUEST);
    assert_eq!(guest.ask(&header(0xa0, M_RD), 1).now().unwrap(), [0]);
    assert_eq!(guest.ask(&header(0xa0, 0), 1).now().unwrap(), [0]);
    assert_eq!(guest.ask(&header(0xa0, 0), 3).now().unwrap(), [0, 0, 1]);
    assert_eq!(guest.bus.transactions(), [["0x50 r0"], ["0x50 w[]"]]);
}

/// D3: the device behaves as I²C does: a repeated START between the messages of a group, a STOP
/// after the last. And vector 2.
#[test]
fn d3_a_group_is_one_transaction() {
    let mut guest = Guest::new();
    let write = guest.ask(&[&header(0xa0, FAIL_NEXT)[..], &[0x10]].concat(), 1);
    let read = guest.ask(&header(0xa0, M_RD), 3);
    assert_eq!(write.now().unwrap(), [0]);
    assert_eq!(read.now().unwrap(), [1, 2, 0]);
    assert_eq!(guest.bus.transactions(), [["0x50 w[10]", "0x50 r2"]]);
}

#[test]
fn d3_requests_without_fail_next_are_transactions_of_their_own() {
    let mut guest = Guest::new();
    let answers = [
        guest.ask(&[&header(0xa0, 0)[..], &[1]].concat(), 1),
        guest.ask(&[&header(0xa0, 0)[..], &[2]].concat(), 1),
    ];
    assert_eq!(answers.map(|answer| answer.now().unwrap()), [[0], [0]]);
    assert_eq!(guest.bus.transactions(), [["0x50 w[01]"], ["0x50 w[02]"]]);
}

/// D4 and D5: `addr`, `flags` and the bytes of a write are the driver's. Of a write the device
/// answers the status and nothing before it.
#[test]
fn d4_d5_a_write_is_answered_with_its_status_alone() {
    let mut guest = Guest::new();
    let ok = guest.ask(&[&header(0xa0, 0)[..], &[1, 2, 3]].concat(), 1);
    let err = guest.ask(&[&header(0xa2, 0)[..], &[1, 2, 3]].concat(), 1);
    assert_eq!(ok.now().unwrap(), [0]);
    assert_eq!(err.now().unwrap(), [1]);
}

/// D6: a read returns as many bytes as its buffer has, or fails.
#[test]
fn d6_a_read_returns_all_bytes_of_its_buffer() {
    let mut guest = Guest::new();
    for length in [1, 2, 255, 8192] {
        let answer = guest.ask(&header(0xa0, M_RD), length + 1).now();
        let expected = numbers().take(length).chain([0]);
        assert_eq!(answer.unwrap(), expected.collect::<Vec<_>>());
    }
}

/// D7: requests are processed in the order of the ring.
#[test]
fn d7_groups_reach_the_bus_in_their_order() {
    let mut guest = Guest::new();
    for n in 0..10 {
        guest.ask(&[&header(0xa0, FAIL_NEXT)[..], &[n]].concat(), 1);
        guest.ask(&[&header(0x90, 0)[..], &[n]].concat(), 1);
    }
    let expected = (0..10).map(|n| vec![format!("0x50 w[{n:02x}]"), format!("0x48 w[{n:02x}]")]);
    assert_eq!(guest.bus.transactions(), expected.collect::<Vec<_>>());
}

/// D8, D9 and D11: the first request that fails gets ERR, and so do the others of its group. And
/// vector 3.
#[test]
fn d8_d9_d11_all_of_a_group_that_fails_get_errors() {
    let mut guest = Guest::new();
    let answers = [
        guest.ask(&[&header(0xa2, FAIL_NEXT)[..], &[1]].concat(), 1),
        guest.ask(&header(0xa0, M_RD | FAIL_NEXT), 3),
        guest.ask(&[&header(0xa0, 0)[..], &[2]].concat(), 1),
    ];
    let answers = answers.map(|answer| answer.now().unwrap());
    assert_eq!(answers, [vec![1], vec![0, 0, 1], vec![1]]);
    // The second and the third were not executed.
    assert_eq!(guest.bus.transactions(), [["0x51 w[01]"]]);
}

/// D10: a request fails that follows a failed one with FAIL_NEXT, and so on to the group's end.
#[test]
fn d10_a_failure_passes_on_to_the_end_of_the_group_and_not_further() {
    let mut guest = Guest::new();
    let failed = [
        guest.ask(&header(0xa2, FAIL_NEXT), 1),
        guest.ask(&header(0xa0, FAIL_NEXT), 1),
        guest.ask(&header(0xa0, 0), 1),
    ];
    let other = guest.ask(&header(0xa0, 0), 1);
    assert_eq!(failed.map(|answer| answer.now().unwrap()), [[1]; 3]);
    assert_eq!(other.now().unwrap(), [0]);
    assert_eq!(guest.bus.transactions(), [["0x51 w[]"], ["0x50 w[]"]]);
}

#[test]
fn a_group_of_42_messages_is_transferred() {
    let mut guest = Guest::new();
    let answers: Vec<_> = (0..42)
        .map(|n| guest.ask(&header(0xa0, if n < 41 { FAIL_NEXT } else { 0 }), 1))
        .collect();
    assert!(answers.iter().all(|answer| answer.now().unwrap() == [0]));
    assert_eq!(guest.bus.transactions(), [vec!["0x50 w[]"; 42]]);
}

/// Vector 9.
#[test]
fn all_of_a_group_of_43_messages_get_errors_and_the_bus_sees_none() {
    let mut guest = Guest::new();
    let answers: Vec<_> = (0..43)
        .map(|n| guest.ask(&header(0xa0, if n < 42 { FAIL_NEXT } else { 0 }), 1))
        .collect();
    assert!(answers.iter().all(|answer| answer.now().unwrap() == [1]));
    assert_eq!(guest.bus.transactions(), NOTHING);
}

/// Vector 4: Linux kicks what it could queue of a transfer, and waits.
#[test]
fn a_group_without_an_end_is_transferred_when_the_queue_has_no_more() {
    let mut guest = Guest::new();
    let answer = guest.ask(&[&header(0xa0, FAIL_NEXT)[..], &[0x10]].concat(), 1);
    assert_eq!(answer.now(), None);
    guest.drained();
    assert_eq!(answer.now().unwrap(), [0]);
    assert_eq!(guest.bus.transactions(), [["0x50 w[10]"]]);
}

#[test]
fn a_group_whose_end_is_about_to_come_is_one_transaction() {
    let mut guest = Guest::new();
    let first = guest.ask(&header(0xa0, FAIL_NEXT), 1);
    for _ in 0..2 {
        guest.i2c.drained(0);
        assert_eq!(first.now(), None);
    }
    let last = guest.ask(&header(0xa0, M_RD), 2);
    assert_eq!(first.now().unwrap(), [0]);
    assert_eq!(last.now().unwrap(), [1, 0]);
    assert_eq!(guest.bus.transactions(), [["0x50 w[]", "0x50 r1"]]);
}

#[test]
fn the_end_of_a_group_that_comes_late_is_a_transaction_of_its_own() {
    let mut guest = Guest::new();
    guest.ask(&header(0xa0, FAIL_NEXT), 1);
    guest.drained();
    let late = guest.ask(&header(0xa0, M_RD), 2);
    assert_eq!(late.now().unwrap(), [1, 0]);
    assert_eq!(guest.bus.transactions(), [["0x50 w[]"], ["0x50 r1"]]);
}

#[test]
fn the_end_of_a_group_that_has_failed_fails_also_when_it_comes_late() {
    let mut guest = Guest::new();
    guest.ask(&header(0xa2, FAIL_NEXT), 1);
    guest.drained();
    guest.i2c.stop(0, virtio_backend::Stopped::default()); // A pause in between changes nothing.
    guest.i2c.negotiated(ZERO_LENGTH_REQUEST);
    let late = guest.ask(&header(0xa0, 0), 1);
    assert_eq!(late.now().unwrap(), [1]);
    let other = guest.ask(&header(0xa0, 0), 1);
    assert_eq!(other.now().unwrap(), [0]);
    assert_eq!(guest.bus.transactions(), [["0x51 w[]"], ["0x50 w[]"]]);
}

/// Vector 4, its second half.
#[test]
fn a_group_without_an_end_does_not_outlive_a_reset() {
    let mut guest = Guest::new();
    guest.ask(&header(0xa2, FAIL_NEXT), 1);
    guest.drained();
    guest.i2c.reset();
    assert_eq!(guest.ask(&header(0xa0, 0), 1).now().unwrap(), [0]);
}

#[test]
fn a_reset_forgets_what_was_not_transferred() {
    let mut guest = Guest::new();
    guest.ask(&header(0xa0, FAIL_NEXT), 1);
    guest.i2c.reset();
    guest.drained();
    assert_eq!(guest.bus.transactions(), NOTHING);
}

#[test]
fn what_waits_is_transferred_before_the_queue_stops() {
    let mut guest = Guest::new();
    let answer = guest.ask(&header(0xa0, FAIL_NEXT), 1);
    guest.i2c.stop(0, virtio_backend::Stopped::default());
    assert_eq!(answer.now().unwrap(), [0]);
}

/// Vector 5.
#[test]
fn a_group_with_one_message_to_a_foreign_chip_does_not_touch_the_bus() {
    let mut guest = Guest::new();
    let answers = [
        guest.ask(&header(0xa0, FAIL_NEXT), 1),
        guest.ask(&header(0xa4, FAIL_NEXT | M_RD), 2),
        guest.ask(&header(0xa0, 0), 1),
    ];
    let answers = answers.map(|answer| answer.now().unwrap());
    assert_eq!(answers, [vec![1], vec![0, 1], vec![1]]);
    assert_eq!(guest.bus.transactions(), NOTHING);
}

#[test]
fn every_address_that_was_not_granted_is_refused() {
    let mut guest = Guest::new();
    for addr in (0..=0xfe)
        .step_by(2)
        .filter(|addr| !(0x90..=0xa2).contains(addr))
    {
        assert_eq!(guest.ask(&header(addr, 0), 1).now().unwrap(), [1]);
    }
    assert_eq!(guest.bus.transactions(), NOTHING);
}

#[test]
fn ten_bit_addresses_are_granted_apart_from_seven_bit_ones() {
    let mut guest = Guest::new();
    let granted = [0xf2, 0x23, 0, 0, 0, 0, 0, 0];
    let look_alike = [0xf0, 0x50, 0, 0, 0, 0, 0, 0];
    assert_eq!(guest.ask(&granted, 1).now().unwrap(), [0]);
    assert_eq!(guest.ask(&look_alike, 1).now().unwrap(), [1]);
    assert_eq!(guest.bus.transactions(), [["0x123 (10 bits) w[]"]]);
}

/// Vector 6.
#[test]
fn malformed_requests_get_errors_and_no_bus() {
    let mut guest = Guest::new();
    let readable = guest.ask(&[&header(0xa0, M_RD)[..], &[1]].concat(), 3);
    let long = guest.ask(&header(0xa0, M_RD), 9001);
    let odd = guest.ask(&[0xff, 0xff, 0, 0, 0, 0, 0, 0], 1);
    let reserved = guest.ask(&[0xa0, 0, 0, 0, 0, 0, 0, 0x80], 1);
    let roomless = guest.ask(&header(0xa0, 0), 0);
    assert_eq!(readable.now().unwrap(), [0, 0, 1]);
    // Its length is the guest's word: only the status is written.
    assert_eq!(long.last().unwrap(), [1]);
    assert_eq!(odd.now().unwrap(), [1]);
    assert_eq!(reserved.now().unwrap(), [1]);
    assert_eq!(roomless.now().unwrap(), []);
    assert_eq!(guest.bus.transactions(), NOTHING);
}

/// Vector 8.
#[test]
fn quick_commands_have_a_status_and_no_bytes() {
    let mut guest = Guest::new();
    assert_eq!(guest.ask(&header(0xa0, M_RD), 1).now().unwrap(), [0]);
    assert_eq!(guest.ask(&header(0xa0, 0), 1).now().unwrap(), [0]);
    assert_eq!(guest.bus.transactions(), [["0x50 r0"], ["0x50 w[]"]]);
}

#[test]
fn a_write_is_as_long_as_i2c_dev_takes() {
    let mut guest = Guest::new();
    let longest = [&header(0xa0, 0)[..], &[0; 8192]].concat();
    assert_eq!(guest.ask(&longest, 1).now().unwrap(), [0]);
    // The core hands on a byte more than the longest request, of whatever is longer.
    let long = [&longest[..], &[0]].concat();
    assert_eq!(guest.ask(&long, 1).now().unwrap(), [1]);
    assert_eq!(guest.bus.transactions().len(), 1);
}

#[test]
fn a_malformed_request_fails_the_group_that_it_is_in() {
    for malformed in [
        &[0xa1, 0, 0, 0, 1, 0, 0, 0][..], // an odd address
        &[0xa0, 0, 0, 0, 5, 0, 0, 0],     // a reserved flag
        &[0xa0, 0, 0, 0, 0],              // no whole header: nobody knows whether the group goes on
        &[],                              // a broken chain, as the core hands it on
    ] {
        let mut guest = Guest::new();
        let answers = [
            guest.ask(&header(0xa0, FAIL_NEXT), 1),
            guest.ask(malformed, 1),
            guest.ask(&header(0xa0, 0), 1),
            guest.ask(&header(0xa0, 0), 1),
        ];
        let answers = answers.map(|answer| answer.now().unwrap());
        assert_eq!(answers, [[1], [1], [1], [0]]);
        assert_eq!(guest.bus.transactions(), [["0x50 w[]"]]);
    }
}

#[test]
fn a_request_without_a_header_begins_no_group() {
    let mut guest = Guest::new();
    guest.ask(&[], 0);
    assert_eq!(guest.ask(&header(0xa0, 0), 1).now().unwrap(), [0]);
}

#[test]
fn what_a_failed_read_has_read_stays_here() {
    let mut guest = Guest::new();
    let read = guest.ask(&header(0xa0, M_RD | FAIL_NEXT), 5);
    guest.ask(&header(0xa2, 0), 1);
    assert_eq!(guest.bus.transactions(), [["0x50 r4", "0x51 w[]"]]);
    assert_eq!(read.now().unwrap(), [0, 0, 0, 0, 1]);
}

#[test]
fn answers_to_a_guest_that_is_gone_do_nothing() {
    let mut guest = Guest::new();
    let (reply, answer) = reply(1);
    guest.i2c.handle(0, &header(0xa0, FAIL_NEXT), reply);
    drop(answer);
    guest.drained();
    assert_eq!(guest.bus.transactions(), [["0x50 w[]"]]);
}

/// A daemon that takes up what the one before it had in work does not know what of that is done.
#[test]
fn a_write_that_may_have_been_done_is_an_error_and_so_is_the_rest_of_its_group() {
    let mut guest = Guest::new();
    let mut again = |request: &[u8], room| {
        let (reply, answer) = reply(room);
        guest.i2c.handle(0, request, reply.repeated(true));
        answer
    };
    let read = again(&header(0xa0, M_RD), 2);
    let write = again(&[&header(0xa0, FAIL_NEXT)[..], &[0x10]].concat(), 1);
    let rest = again(&header(0xa0, M_RD), 3);
    let other = again(&header(0xa0, M_RD), 3);

    assert_eq!(read.now().unwrap(), [1, 0]);
    assert_eq!(write.now().unwrap(), [1]);
    assert_eq!(rest.now().unwrap(), [0, 0, 1]);
    assert_eq!(other.now().unwrap(), [1, 2, 0]);
    assert_eq!(guest.bus.transactions(), [["0x50 r1"], ["0x50 r2"]]);
}
