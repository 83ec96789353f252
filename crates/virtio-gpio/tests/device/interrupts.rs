// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Interrupts that are refused, masked, or of hardware that fails.
use virtio_backend::Device;

use crate::common::{Guest, lines, status};

const OK: [u8; 2] = [0, 0];
const ERR: [u8; 2] = [1, 0];

#[test]
fn buffers_for_an_interrupt_that_was_refused_are_held_until_it_is_disabled() {
    let end: [fn(&mut Guest); 3] = [
        |guest| assert_eq!(guest.request([6, 0, 0, 0, 0, 0, 0, 0]), OK),
        |guest| assert_eq!(guest.request([3, 0, 0, 0, 0, 0, 0, 0]), OK),
        |guest| guest.gpio.disconnected(),
    ];
    for end in end {
        let mut guest = Guest::new(&lines(1));
        guest.chip.with(0, |wire| wire.fails = true);
        for _ in 0..2 {
            assert_eq!(guest.request([6, 0, 0, 0, 4, 0, 0, 0]), ERR);
        }
        let pair = guest.unmask(0);
        assert_eq!(status(&pair), None);
        assert_eq!(status(&guest.unmask(0)), Some(0));
        guest.chip.with(0, |wire| wire.fails = false);
        guest.drive(0, true);
        assert_eq!(status(&pair), None);
        end(&mut guest);
        assert_eq!(status(&pair), Some(0));
        assert_eq!(status(&guest.unmask(0)), Some(0));
    }
}

#[test]
fn buffers_for_an_interrupt_that_was_refused_serve_when_it_is_enabled() {
    let mut guest = Guest::new(&lines(1));
    guest.request([3, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(guest.request([6, 0, 0, 0, 1, 0, 0, 0]), ERR);
    let pair = guest.unmask(0);
    guest.request([3, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(status(&pair), None);
    assert_eq!(guest.request([6, 0, 0, 0, 1, 0, 0, 0]), OK);
    guest.drive(0, true);
    assert_eq!(status(&pair), Some(1));
}

#[test]
fn a_level_that_could_not_be_read_is_told_when_it_can() {
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    let pair = guest.unmask(0);
    guest.drive(0, true);
    assert_eq!(status(&pair), Some(1));
    let pair = guest.unmask(0);
    guest.chip.with(0, |wire| wire.is_readable = false);
    // The interrupt is enabled, whatever its level is.
    assert_eq!(guest.request([6, 0, 0, 0, 4, 0, 0, 0]), OK);
    assert_eq!(status(&pair), None);
    guest.mend(0);
    assert_eq!(status(&pair), Some(1));
}

#[test]
fn what_happens_to_a_masked_line_costs_the_host_one_edge() {
    for kind in [1, 4] {
        let mut guest = Guest::new(&lines(1));
        guest.request([6, 0, 0, 0, kind, 0, 0, 0]);
        for heard in [1, 0, 0] {
            guest.chip.drive(0, true);
            guest.chip.drive(0, false);
            assert_eq!(guest.hear(), heard);
        }
        // An edge is told of them all, and of a level that is over nothing.
        let first = guest.unmask(0);
        assert_eq!(guest.hear(), 0);
        assert_eq!(status(&first), (kind == 1).then_some(1));
        if kind == 1 {
            assert_eq!(status(&guest.unmask(0)), None);
        }
        guest.chip.drive(0, true);
        assert_eq!(guest.hear(), 1);
    }
}

#[test]
fn an_edge_that_the_device_did_not_hear_of_yet_is_forgotten_with_the_type() {
    // Both are told of rising edges by the host.
    let mut guest = Guest::new(&lines(1));
    guest.request([6, 0, 0, 0, 4, 0, 0, 0]);
    guest.chip.drive(0, true);
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    let pair = guest.unmask(0);
    guest.hear();
    assert_eq!(status(&pair), None);
}
