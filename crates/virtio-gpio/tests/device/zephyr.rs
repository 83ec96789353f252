// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Zephyr's driver (drivers/gpio/gpio_virtio.c, Zephyr 4.5), as its messages arrive.
//!
//! It has one request in the requestq at a time, and takes an answer of another length than 2 for an
//! error. It sets a value before the direction, and knows 32 lines of however many there are.

use virtio_backend::testing::{Descriptor, Server, Used, Vm, feature};
use virtio_gpio::{Edges, Gpio, Usage};

use crate::common::{F_IRQ, FakeChip, lines};

const REQUESTQ: usize = 0;
const EVENTQ: usize = 1;

const OK: [u8; 2] = [0, 0];

/// `VIRTIO_GPIO_IRQ_STATUS_INVALID` and `_VALID`.
const INVALID: [u8; 1] = [0];
const VALID: [u8; 1] = [1];

/// A Zephyr guest.
struct Zephyr {
    vm: Vm,
    chip: FakeChip,
    /// Ends after the guest.
    _server: Server<Gpio>,
}

impl Zephyr {
    /// The queues are as long as the driver makes them: 2 descriptors for the one request, and 2 for
    /// each of the lines that it knows.
    fn boot(count: usize) -> Self {
        let chip = FakeChip::new(count);
        let server = Server::new(|watch| {
            let mut gpio = Gpio::new("guest", watch);
            for (offset, grant) in (0..).zip(&lines(count)) {
                gpio.grant(&chip, offset, grant).unwrap();
            }
            gpio
        });
        let features = feature::VERSION_1 | feature::PROTOCOL_FEATURES | F_IRQ;
        let known = u16::try_from(count.min(32)).unwrap();
        let sizes = [2, (2 * known).next_power_of_two()];
        let vm = Vm::boot(&server.socket(), features, &sizes).unwrap();
        Self {
            vm,
            chip,
            _server: server,
        }
    }

    /// What is answered, of which the driver says that it has a length of 2.
    #[track_caller]
    fn request(&mut self, request: [u8; 8]) -> [u8; 2] {
        let answer = self.vm.rings[REQUESTQ].ask(&[&request], &[2]);
        answer.unwrap().try_into().unwrap()
    }

    /// Queues the buffers of a line's interrupt. Returns their head, and where they are.
    fn arm(&mut self, line: u8) -> (u16, Vec<Descriptor>) {
        let chain = self.vm.memory.chain(&[&[line, 0]], &[1]);
        (self.vm.rings[EVENTQ].submit(&chain), chain)
    }

    /// Waits for the buffers with this head, and returns their status.
    #[track_caller]
    fn wait(&mut self, (head, chain): (u16, Vec<Descriptor>)) -> Vec<u8> {
        let id = head.into();
        let used = self.vm.rings[EVENTQ].wait();
        assert_eq!(used, Some(Used { id, len: 1 }));
        self.vm.memory.answer(&chain, 1)
    }
}

/// `gpio_pin_configure` with `GPIO_OUTPUT_HIGH`, and with `GPIO_OUTPUT_LOW` again.
#[test]
fn an_output_has_its_value_before_its_direction_and_no_other_before() {
    let mut zephyr = Zephyr::boot(4);
    assert_eq!(zephyr.request([5, 0, 1, 0, 1, 0, 0, 0]), OK);
    assert_eq!(zephyr.chip.usage(1), Usage::Free);
    assert_eq!(zephyr.request([3, 0, 1, 0, 1, 0, 0, 0]), OK);
    assert_eq!(zephyr.request([5, 0, 1, 0, 0, 0, 0, 0]), OK);
    assert_eq!(zephyr.request([3, 0, 1, 0, 1, 0, 0, 0]), OK);
    let mut history = zephyr.chip.with(1, |wire| wire.history.clone());
    history.dedup();
    assert_eq!(history, [Usage::Output(true), Usage::Output(false)]);
    // `gpio_pin_get`, `gpio_pin_toggle`, `gpio_pin_get_config`, `GPIO_DISCONNECTED`.
    assert_eq!(zephyr.request([4, 0, 1, 0, 0, 0, 0, 0]), [0, 0]);
    assert_eq!(zephyr.request([5, 0, 1, 0, 1, 0, 0, 0]), OK);
    assert_eq!(zephyr.request([4, 0, 1, 0, 0, 0, 0, 0]), [0, 1]);
    assert_eq!(zephyr.request([2, 0, 1, 0, 0, 0, 0, 0]), [0, 1]);
    assert_eq!(zephyr.request([3, 0, 1, 0, 0, 0, 0, 0]), OK);
    assert_eq!(zephyr.chip.usage(1), Usage::Free);
}

/// An answer that is an error has a length of 2, too.
#[test]
fn every_answer_on_the_requestq_has_a_length_of_2() {
    let mut zephyr = Zephyr::boot(1);
    for kind in 2..=6 {
        assert_eq!(zephyr.request([kind, 0, 0, 0, 0, 0, 0, 0]), OK);
        assert_eq!(zephyr.request([kind, 0, 1, 0, 0, 0, 0, 0]), [1, 0]);
    }
    // Without names there is none to be told.
    assert_eq!(zephyr.request([1, 0, 0, 0, 0, 0, 0, 0]), [1, 0]);
}

/// `gpio_pin_interrupt_configure` for a rising edge, three presses, and `GPIO_INT_DISABLE`.
#[test]
fn an_interrupt_is_told_and_armed_again_and_its_buffers_come_back_when_it_is_disabled() {
    let mut zephyr = Zephyr::boot(4);
    assert_eq!(zephyr.request([3, 0, 2, 0, 2, 0, 0, 0]), OK);
    assert_eq!(zephyr.request([6, 0, 2, 0, 1, 0, 0, 0]), OK);
    let mut armed = zephyr.arm(2);
    for _ in 0..3 {
        zephyr.chip.drive(2, true);
        assert_eq!(zephyr.wait(armed), VALID);
        zephyr.chip.drive(2, false);
        armed = zephyr.arm(2);
    }
    // Another type, while the buffers are queued: they stay.
    assert_eq!(zephyr.request([6, 0, 2, 0, 2, 0, 0, 0]), OK);
    zephyr.chip.drive(2, true);
    zephyr.chip.drive(2, false);
    assert_eq!(zephyr.wait(armed), VALID);
    armed = zephyr.arm(2);
    assert_eq!(zephyr.request([6, 0, 2, 0, 0, 0, 0, 0]), OK);
    assert_eq!(zephyr.wait(armed), INVALID);
    assert_eq!(zephyr.chip.usage(2), Usage::Input(Edges::None));
}

/// All that it knows have their buffers queued, in a ring that is full.
#[test]
fn of_forty_lines_the_first_32_have_interrupts_at_once() {
    let mut zephyr = Zephyr::boot(40);
    assert_eq!(zephyr.vm.front_end.config(0, 2).unwrap(), [40, 0]);
    let mut armed = Vec::new();
    for line in 0..32 {
        assert_eq!(zephyr.request([3, 0, line, 0, 2, 0, 0, 0]), OK);
        assert_eq!(zephyr.request([6, 0, line, 0, 3, 0, 0, 0]), OK);
        armed.push(zephyr.arm(line));
    }
    for (line, armed) in (0..32).zip(armed).rev() {
        zephyr.chip.drive(line, true);
        assert_eq!(zephyr.wait(armed), VALID);
    }
}
