// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device against a chip that is the test's: what virtio 1.4 ("GPIO Device") asks of it, and
//! what Linux's driver does.
use std::sync::Arc;

use virtio_backend::{Device, Reply, Ring, Watch};
use virtio_gpio::{Edges, Gpio, Grant, Usage};

use crate::common::{FakeChip, Guest, Log, LoggedRing, lines, status};

const OK: [u8; 2] = [0, 0];
const ERR: [u8; 2] = [1, 0];

fn named(names: &[&str]) -> Vec<Grant> {
    let grant = |name: &&str| Grant {
        name: (*name).to_owned(),
        ..Grant::default()
    };
    names.iter().map(grant).collect()
}

#[test]
fn d2_the_configuration_space_tells_how_many_lines_and_how_long_their_names() {
    let guest = Guest::new(&named(&["led", "", "key"]));
    assert_eq!(guest.gpio.config(), [3, 0, 0, 0, 9, 0, 0, 0]);
}

#[test]
fn d3_without_names_their_size_is_zero_and_asking_for_them_an_error() {
    let mut guest = Guest::new(&lines(300));
    assert_eq!(guest.gpio.config(), [0x2c, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(guest.ask(&[1, 0, 0, 0, 0, 0, 0, 0], 301), ERR);
}

#[test]
fn interrupts_are_offered() {
    assert_eq!(Guest::new(&lines(1)).gpio.features(), 1);
}

#[test]
fn d4_a_name_is_ascii_and_no_other_lines() {
    let mut gpio = Gpio::new("guest", &Watch::new().unwrap());
    let chip = FakeChip::new(8);
    let mut offsets = 0..8;
    let mut grant = |name| {
        let offset = offsets.next().unwrap();
        gpio.grant(&chip, offset, &named(&[name])[0]).is_ok()
    };
    assert!(grant("led"));
    assert!(grant("le"));
    assert!(!grant("led"));
    assert!(!grant("käse"));
    assert!(!grant("a\0b"));
    assert!(!grant("a\nb"));
    assert!(grant(""));
    assert!(grant(""));
    assert_eq!(gpio.config(), [4, 0, 0, 0, 9, 0, 0, 0]);
}

// The vectors of our reference, by their numbers.

#[test]
fn vector_10_lines_that_are_not_there_and_types_that_do_not_exist_are_errors() {
    let mut guest = Guest::new(&lines(3));
    for kind in 2..=6 {
        for line in [3, 255] {
            assert_eq!(guest.request([kind, 0, line, 0, 0, 0, 0, 0]), ERR);
            assert_eq!(guest.request([kind, 0, 0, line, 0, 0, 0, 0]), ERR);
        }
    }
    for kind in [[0, 0], [7, 0], [0xff, 0xff]] {
        assert_eq!(guest.request([kind[0], kind[1], 0, 0, 0, 0, 0, 0]), ERR);
    }
}

#[test]
fn vector_11_a_value_that_was_set_before_the_direction_comes_up_without_another_before() {
    let mut guest = Guest::new(&lines(1));
    assert_eq!(guest.request([5, 0, 0, 0, 1, 0, 0, 0]), OK);
    assert_eq!(guest.request([3, 0, 0, 0, 1, 0, 0, 0]), OK);
    let history = guest.chip.with(0, |wire| wire.history.clone());
    assert_eq!(history, [Usage::Output(true)]);
    assert_eq!(guest.request([4, 0, 0, 0, 0, 0, 0, 0]), [0, 1]);
}

#[test]
fn vector_12_names_need_room_for_all_of_them() {
    let mut guest = Guest::new(&named(&["led", "key"]));
    let names = [1, 0, 0, 0, 0, 0, 0, 0];
    let answer = b"\0led\0key\0";
    assert_eq!(guest.ask(&names, 9), answer);
    assert_eq!(guest.ask(&names, 8), ERR);
    assert_eq!(guest.ask(&names, 1), [1]);
    assert_eq!(guest.ask(&names, 19), answer);
}

#[test]
fn vector_13_an_edge_on_an_enabled_unmasked_line_is_told() {
    for (kind, from) in [(1, false), (2, true), (3, false), (3, true)] {
        let mut guest = Guest::new(&lines(2));
        guest.drive(1, from);
        assert_eq!(guest.request([6, 0, 1, 0, kind, 0, 0, 0]), OK);
        let pair = guest.unmask(1);
        assert_eq!(status(&pair), None);
        guest.drive(1, !from);
        assert_eq!(status(&pair), Some(1));
    }
}

#[test]
fn edges_of_the_other_direction_are_not_told() {
    for (kind, from) in [(1, true), (2, false)] {
        let mut guest = Guest::new(&lines(1));
        guest.drive(0, from);
        guest.request([6, 0, 0, 0, kind, 0, 0, 0]);
        let pair = guest.unmask(0);
        guest.drive(0, !from);
        assert_eq!(status(&pair), None);
    }
}

#[test]
fn vector_14_d8_d16_edges_while_masked_are_told_once_when_unmasked() {
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    for level in [true, false, true, false] {
        guest.drive(0, level);
    }
    assert_eq!(status(&guest.unmask(0)), Some(1));
    let pair = guest.unmask(0);
    assert_eq!(status(&pair), None);
    guest.drive(0, true);
    assert_eq!(status(&pair), Some(1));
}

#[test]
fn vector_15_d15_an_active_level_is_told_at_each_unmask_and_an_inactive_one_is_not() {
    for (kind, active) in [(4, true), (8, false)] {
        let mut guest = Guest::new(&lines(1));
        guest.drive(0, active);
        guest.request([6, 0, 0, 0, kind, 0, 0, 0]);
        assert_eq!(status(&guest.unmask(0)), Some(1));
        assert_eq!(status(&guest.unmask(0)), Some(1));
        guest.drive(0, !active);
        let pair = guest.unmask(0);
        assert_eq!(status(&pair), None);
        guest.drive(0, active);
        assert_eq!(status(&pair), Some(1));
    }
}

#[test]
fn d9_a_level_that_was_active_only_while_masked_is_not_told() {
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 4, 0, 0, 0]);
    guest.drive(0, true);
    guest.drive(0, false);
    assert_eq!(status(&guest.unmask(0)), None);
}

#[test]
fn vector_16_d12_disabling_returns_the_buffers_as_invalid_before_it_is_answered() {
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    let log = Arc::new(Log::default());
    let [eventq, requestq]: [Arc<dyn Ring>; 2] =
        ["eventq", "requestq"].map(|name| Arc::new(LoggedRing(name, log.clone())) as _);
    let reply = |ring, room| Reply::new(Arc::downgrade(ring), 0, 0, room);
    guest.gpio.handle(1, &[0, 0], reply(&eventq, 1));
    // The hardware is told last, so a fault of it changes nothing for the driver.
    guest.chip.with(0, |wire| wire.fails = true);
    let disable = [6, 0, 0, 0, 0, 0, 0, 0];
    guest.gpio.handle(0, &disable, reply(&requestq, 2));
    let expected = [("eventq", vec![0]), ("requestq", ERR.to_vec())];
    assert_eq!(*log.lock().unwrap(), expected);
}

#[test]
fn vector_17_input_again_does_not_disturb_an_interrupt() {
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    let pair = guest.unmask(0);
    assert_eq!(guest.request([3, 0, 0, 0, 2, 0, 0, 0]), OK);
    guest.drive(0, true);
    assert_eq!(status(&pair), Some(1));
}

#[test]
fn vector_18_another_type_without_disabling_keeps_the_buffers_and_forgets_edges() {
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    guest.drive(0, true);
    assert_eq!(guest.request([6, 0, 0, 0, 2, 0, 0, 0]), OK);
    let pair = guest.unmask(0);
    assert_eq!(status(&pair), None);
    assert_eq!(guest.request([6, 0, 0, 0, 3, 0, 0, 0]), OK);
    assert_eq!(status(&pair), None);
    guest.drive(0, false);
    assert_eq!(status(&pair), Some(1));
}

#[test]
fn vector_19_d13_buffers_that_cannot_be_for_an_interrupt_are_returned_as_invalid() {
    let mut guest = Guest::new(&lines(2));
    assert_eq!(status(&guest.unmask(0)), Some(0));
    assert_eq!(status(&guest.unmask(2)), Some(0));
    assert_eq!(status(&guest.unmask(0xffff)), Some(0));
    guest.request([6, 0, 1, 0, 1, 0, 0, 0]);
    let (first, second) = (guest.unmask(1), guest.unmask(1));
    assert_eq!(status(&second), Some(0));
    for request in [&[][..], &[1], &[1, 0, 0]] {
        assert_eq!(status(&guest.queue(request, 1)), Some(0));
    }
    guest.drive(1, true);
    assert_eq!(status(&first), Some(1));
}

#[test]
fn vector_20_d10_disabling_forgets_edges() {
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    guest.drive(0, true);
    guest.request([6, 0, 0, 0, 0, 0, 0, 0]);
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(status(&guest.unmask(0)), None);
}

// The checklist: what the specification demands of the device, by our reference's numbers. D6 is a
// permission: lines may be worked on in parallel.

#[test]
fn d1_a_response_has_all_its_fields_whatever_room_there_is() {
    let mut guest = Guest::new(&lines(1));
    for request in [[2, 0, 0, 0, 0, 0, 0, 0], [2, 0, 9, 0, 0, 0, 0, 0]] {
        let status = request[2].min(1);
        assert_eq!(guest.ask(&request, 0), []);
        assert_eq!(guest.ask(&request, 1), [status]);
        assert_eq!(guest.ask(&request, 2), [status, 0]);
        assert_eq!(guest.ask(&request, 100), [status, 0]);
    }
}

#[test]
fn a_short_or_long_request_is_an_error() {
    let mut guest = Guest::new(&lines(1));
    for length in [0, 1, 7, 9] {
        assert_eq!(guest.ask(&[2; 9][..length], 2), ERR);
    }
}

#[test]
fn d5_messages_of_a_line_are_answered_at_once_and_in_order() {
    let mut guest = Guest::new(&lines(1));
    for (request, answer) in [
        ([2, 0, 0, 0, 0, 0, 0, 0], [0, 0]),
        ([3, 0, 0, 0, 1, 0, 0, 0], [0, 0]),
        ([2, 0, 0, 0, 0, 0, 0, 0], [0, 1]),
        ([5, 0, 0, 0, 1, 0, 0, 0], [0, 0]),
        ([4, 0, 0, 0, 0, 0, 0, 0], [0, 1]),
        ([3, 0, 0, 0, 2, 0, 0, 0], [0, 0]),
        ([2, 0, 0, 0, 0, 0, 0, 0], [0, 2]),
        ([4, 0, 0, 0, 0, 0, 0, 0], [0, 0]),
        ([3, 0, 0, 0, 0, 0, 0, 0], [0, 0]),
        ([2, 0, 0, 0, 0, 0, 0, 0], [0, 0]),
    ] {
        assert_eq!(guest.request(request), answer);
    }
}

#[test]
fn d7_no_direction_forgets_value_interrupt_edges_and_buffers() {
    let mut guest = Guest::new(&lines(1));
    guest.request([5, 0, 0, 0, 1, 0, 0, 0]);
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    let pair = guest.unmask(0);
    assert_eq!(guest.request([3, 0, 0, 0, 0, 0, 0, 0]), OK);
    assert_eq!(status(&pair), Some(0));
    guest.drive(0, true);
    assert_eq!(status(&guest.unmask(0)), Some(0));
    guest.request([3, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(guest.chip.usage(0), Usage::Output(false));
}

#[test]
fn d7_no_direction_ends_what_the_line_drove_before_it_is_free() {
    let mut guest = Guest::new(&lines(1));
    guest.request([5, 0, 0, 0, 1, 0, 0, 0]);
    guest.request([3, 0, 0, 0, 1, 0, 0, 0]);
    guest.request([3, 0, 0, 0, 0, 0, 0, 0]);
    let history = guest.chip.with(0, |wire| wire.history.clone());
    let expected = [Usage::Output(true), Usage::Input(Edges::None), Usage::Free];
    assert_eq!(history, expected);
}

#[test]
fn d11_masked_or_disabled_lines_have_no_events() {
    let mut guest = Guest::new(&lines(2));
    guest.request([3, 0, 0, 0, 2, 0, 0, 0]);
    guest.request([6, 0, 1, 0, 3, 0, 0, 0]);
    let pair = guest.unmask(1);
    guest.drive(0, true);
    assert_eq!(status(&pair), None);
    guest.drive(1, true);
    assert_eq!(status(&pair), Some(1));
}

#[test]
fn d14_buffers_that_came_back_leave_the_line_masked() {
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    let first = guest.unmask(0);
    guest.drive(0, true);
    assert_eq!(status(&first), Some(1));
    guest.drive(0, false);
    guest.drive(0, true);
    assert_eq!(status(&first), None);
    assert_eq!(status(&guest.unmask(0)), Some(1));
}

#[test]
fn d17_a_reset_restores_every_line() {
    let mut guest = Guest::new(&lines(2));
    guest.request([5, 0, 0, 0, 1, 0, 0, 0]);
    guest.request([3, 0, 0, 0, 1, 0, 0, 0]);
    guest.request([6, 0, 1, 0, 1, 0, 0, 0]);
    guest.drive(1, true);
    guest.gpio.reset();
    assert_eq!(guest.chip.usage(0), Usage::Free);
    assert_eq!(guest.chip.usage(1), Usage::Free);
    guest.gpio.negotiated(1);
    for line in [0, 1] {
        assert_eq!(guest.request([2, 0, line, 0, 0, 0, 0, 0]), OK);
    }
    guest.request([6, 0, 1, 0, 1, 0, 0, 0]);
    assert_eq!(status(&guest.unmask(1)), None);
    guest.request([3, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(guest.chip.usage(0), Usage::Output(false));
}

#[test]
fn the_rising_edge_that_a_guest_arms_for_again_after_it_read_the_line_is_not_lost() {
    // gpio-keys: edge, read, re-arm, with the release in between.
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 3, 0, 0, 0]);
    let pair = guest.unmask(0);
    guest.drive(0, true);
    assert_eq!(status(&pair), Some(1));
    assert_eq!(guest.request([4, 0, 0, 0, 0, 0, 0, 0]), [0, 1]);
    guest.drive(0, false);
    assert_eq!(status(&guest.unmask(0)), Some(1));
    assert_eq!(guest.request([4, 0, 0, 0, 0, 0, 0, 0]), [0, 0]);
    assert_eq!(status(&guest.unmask(0)), None);
}

#[test]
fn an_interrupt_needs_no_direction_and_makes_the_line_an_input() {
    let mut guest = Guest::new(&lines(1));
    assert_eq!(guest.request([6, 0, 0, 0, 1, 0, 0, 0]), OK);
    assert_eq!(guest.chip.usage(0), Usage::Input(Edges::Rising));
    assert_eq!(guest.request([2, 0, 0, 0, 0, 0, 0, 0]), [0, 2]);
}

#[test]
fn an_output_has_no_interrupt_and_a_line_with_an_interrupt_is_no_output() {
    let mut guest = Guest::new(&lines(2));
    guest.request([3, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(guest.request([6, 0, 0, 0, 1, 0, 0, 0]), ERR);
    assert_eq!(guest.request([6, 0, 0, 0, 0, 0, 0, 0]), OK);
    guest.request([6, 0, 1, 0, 1, 0, 0, 0]);
    assert_eq!(guest.request([3, 0, 1, 0, 1, 0, 0, 0]), ERR);
    assert_eq!(guest.chip.usage(1), Usage::Input(Edges::Rising));
}

#[test]
fn without_the_feature_interrupts_are_errors() {
    let mut guest = Guest::new(&lines(1));
    guest.gpio.negotiated(0);
    for kind in [0, 1] {
        assert_eq!(guest.request([6, 0, 0, 0, kind, 0, 0, 0]), ERR);
    }
    assert_eq!(status(&guest.unmask(0)), Some(0));
}

#[test]
fn buffers_without_room_for_a_status_come_back_at_once() {
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(guest.queue(&[0, 0], 0).now(), Some(Vec::new()));
    assert_eq!(status(&guest.queue(&[0, 0], 20)), None);
}

#[test]
fn a_line_that_somebody_else_has_is_an_error_until_it_is_free() {
    let mut guest = Guest::new(&lines(1));
    guest.chip.with(0, |wire| wire.fails = true);
    for request in [
        [3, 0, 0, 0, 1, 0, 0, 0],
        [3, 0, 0, 0, 2, 0, 0, 0],
        [4, 0, 0, 0, 0, 0, 0, 0],
        [6, 0, 0, 0, 1, 0, 0, 0],
    ] {
        assert_eq!(guest.request(request), ERR);
    }
    assert_eq!(guest.request([2, 0, 0, 0, 0, 0, 0, 0]), OK);
    guest.chip.with(0, |wire| wire.fails = false);
    assert_eq!(guest.request([3, 0, 0, 0, 1, 0, 0, 0]), OK);
}
