// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a grant allows, and what a line does while no driver uses it.
use virtio_backend::{Device, Watch};
use virtio_gpio::{Access, Edges, Gpio, Grant, Rest, Usage};

use crate::common::{FakeChip, Guest};

const OK: [u8; 2] = [0, 0];
const ERR: [u8; 2] = [1, 0];

fn one(grant: Grant) -> Guest {
    Guest::new(&[grant])
}

#[test]
fn a_line_that_is_only_an_input_is_never_driven() {
    let mut guest = one(Grant {
        access: Access::Input,
        ..Grant::default()
    });
    assert_eq!(guest.request([5, 0, 0, 0, 1, 0, 0, 0]), ERR);
    assert_eq!(guest.request([3, 0, 0, 0, 1, 0, 0, 0]), ERR);
    assert_eq!(guest.request([3, 0, 0, 0, 2, 0, 0, 0]), OK);
    let history = guest.chip.with(0, |wire| wire.history.clone());
    assert_eq!(history, [Usage::Input(Edges::None)]);
}

#[test]
fn a_line_that_is_only_an_input_is_not_to_be_driven_without_a_driver_either() {
    let input = Grant {
        access: Access::Input,
        ..Grant::default()
    };
    for rest in [Rest::Low, Rest::High] {
        for grant in [
            Grant {
                initial: rest,
                ..input.clone()
            },
            Grant {
                on_reset: rest,
                ..input.clone()
            },
            Grant {
                on_disconnect: rest,
                ..input.clone()
            },
        ] {
            let chip = FakeChip::new(1);
            let mut gpio = Gpio::new("guest", &Watch::new().unwrap());
            assert!(gpio.grant(&chip, 0, &grant).is_err());
            assert!(chip.with(0, |wire| wire.history.is_empty()));
        }
    }
}

#[test]
fn a_line_that_is_only_an_output_is_no_input_and_has_no_interrupt() {
    let mut guest = one(Grant {
        access: Access::Output,
        ..Grant::default()
    });
    assert_eq!(guest.request([3, 0, 0, 0, 2, 0, 0, 0]), ERR);
    assert_eq!(guest.request([6, 0, 0, 0, 1, 0, 0, 0]), ERR);
    assert_eq!(guest.request([3, 0, 0, 0, 1, 0, 0, 0]), OK);
}

#[test]
fn a_line_is_at_first_what_the_grant_says() {
    for (initial, usage) in [
        (Rest::Keep, Usage::Free),
        (Rest::Low, Usage::Output(false)),
        (Rest::High, Usage::Output(true)),
    ] {
        let mut guest = one(Grant {
            initial,
            ..Grant::default()
        });
        assert_eq!(guest.chip.usage(0), usage);
        assert_eq!(guest.request([2, 0, 0, 0, 0, 0, 0, 0]), OK);
    }
}

#[test]
fn safe_states_after_a_reset_and_after_a_disconnect_are_different_ones() {
    let driven = Usage::Output(true);
    for (rest, usage) in [
        (Rest::Keep, driven),
        (Rest::Input, Usage::Free),
        (Rest::Low, Usage::Output(false)),
        (Rest::High, driven),
    ] {
        let drive = |guest: &mut Guest| {
            guest.request([5, 0, 0, 0, 1, 0, 0, 0]);
            guest.request([3, 0, 0, 0, 1, 0, 0, 0]);
            assert_eq!(guest.chip.usage(0), driven);
        };
        let mut guest = one(Grant {
            on_reset: rest,
            ..Grant::default()
        });
        drive(&mut guest);
        guest.gpio.reset();
        assert_eq!(guest.chip.usage(0), usage);
        drive(&mut guest);
        guest.gpio.disconnected();
        assert_eq!(guest.chip.usage(0), Usage::Free);

        let mut guest = one(Grant {
            on_disconnect: rest,
            ..Grant::default()
        });
        drive(&mut guest);
        guest.gpio.disconnected();
        assert_eq!(guest.chip.usage(0), usage);
    }
}

#[test]
fn an_input_that_is_kept_is_free_and_a_line_that_was_not_used_is_not_touched() {
    let mut guest = Guest::new(&vec![
        Grant {
            on_reset: Rest::Keep,
            ..Grant::default()
        };
        2
    ]);
    guest.request([6, 0, 0, 0, 1, 0, 0, 0]);
    guest.gpio.reset();
    let history = guest.chip.with(0, |wire| wire.history.clone());
    assert_eq!(history, [Usage::Input(Edges::Rising), Usage::Free]);
    guest.gpio.disconnected();
    assert!(guest.chip.with(1, |wire| wire.history.is_empty()));
}

#[test]
fn a_safe_state_that_cannot_be_applied_is_applied_when_it_can() {
    for used_as in [1, 2] {
        let mut guest = one(Grant {
            on_disconnect: Rest::Low,
            ..Grant::default()
        });
        guest.request([5, 0, 0, 0, 1, 0, 0, 0]);
        guest.request([3, 0, 0, 0, used_as, 0, 0, 0]);
        guest.chip.with(0, |wire| wire.fails = true);
        guest.gpio.disconnected();
        guest.mend(0);
        assert_eq!(guest.chip.usage(0), Usage::Output(false));
    }
}

#[test]
fn an_output_is_driven_at_the_value_that_was_set_last_even_if_that_failed() {
    let mut guest = one(Grant::default());
    guest.request([5, 0, 0, 0, 1, 0, 0, 0]);
    guest.request([3, 0, 0, 0, 1, 0, 0, 0]);
    guest.chip.with(0, |wire| wire.fails = true);
    assert_eq!(guest.request([5, 0, 0, 0, 0, 0, 0, 0]), ERR);
    guest.mend(0);
    assert_eq!(guest.chip.usage(0), Usage::Output(false));
}

#[test]
fn a_direction_that_was_refused_is_not_taken_later() {
    let mut guest = one(Grant::default());
    for (before, asked) in [(0, 1), (0, 2), (1, 2), (2, 1)] {
        assert_eq!(guest.request([3, 0, 0, 0, before, 0, 0, 0]), OK);
        let usage = guest.chip.usage(0);
        guest.chip.with(0, |wire| wire.fails = true);
        assert_eq!(guest.request([3, 0, 0, 0, asked, 0, 0, 0]), ERR);
        guest.mend(0);
        assert_eq!(guest.chip.usage(0), usage);
        assert_eq!(guest.request([2, 0, 0, 0, 0, 0, 0, 0]), [0, before]);
    }
}
