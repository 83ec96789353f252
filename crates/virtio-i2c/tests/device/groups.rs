// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Random requests, against a model of groups that says only what the specification says.

use proptest::prelude::*;
use virtio_backend::Device;

use crate::common::{FAIL_NEXT, Guest, M_RD, ZERO_LENGTH_REQUEST, header};

/// What a driver does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(Request),
    /// It has made its requests, for now.
    Drained,
    Pause,
    Reset,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    chip: Chip,
    read: bool,
    fail_next: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chip {
    Good,
    /// Nobody acknowledges.
    Silent,
    Foreign,
    /// Not an address.
    Malformed,
}

impl Request {
    fn addr(self) -> u8 {
        match self.chip {
            Chip::Good => 0xa0,
            Chip::Silent => 0xa2,
            Chip::Foreign => 0xa4,
            Chip::Malformed => 0xa1,
        }
    }

    /// As the recorder writes it down.
    fn said(self) -> String {
        let address = self.addr() >> 1;
        if self.read {
            format!("{address:#04x} r1")
        } else {
            format!("{address:#04x} w[07]")
        }
    }
}

/// A driver's requests, as groups: what is transferred together.
#[derive(Default)]
struct Model {
    transactions: Vec<Vec<String>>,
    /// For each request whether it succeeds, once that is known.
    outcomes: Vec<Option<bool>>,
    /// Indices of the requests that wait, and what they are.
    waiting: Vec<(usize, Request)>,
    failed: bool,
}

impl Model {
    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(request) => self.ask(request),
            Step::Drained | Step::Pause => self.transfer(),
            Step::Reset => {
                self.waiting.clear();
                self.failed = false;
            }
        }
    }

    fn ask(&mut self, request: Request) {
        self.outcomes.push(None);
        self.waiting.push((self.outcomes.len() - 1, request));
        let refused = matches!(request.chip, Chip::Foreign | Chip::Malformed);
        if self.failed || refused || self.waiting.len() > 42 {
            self.end(false);
        }
        if !request.fail_next {
            self.transfer();
            self.failed = false;
        }
    }

    fn transfer(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let silent = |(_, request): &(usize, Request)| request.chip == Chip::Silent;
        let silent = self.waiting.iter().position(silent);
        let transferred = silent.map_or(self.waiting.len(), |silent| silent + 1);
        let said = self.waiting[..transferred].iter();
        self.transactions
            .push(said.map(|(_, request)| request.said()).collect());
        self.end(silent.is_none());
    }

    fn end(&mut self, ok: bool) {
        for (request, _) in self.waiting.drain(..) {
            self.outcomes[request] = Some(ok);
        }
        self.failed = !ok;
    }
}

fn step() -> impl Strategy<Value = Step> {
    let chip = prop_oneof![
        30 => Just(Chip::Good),
        2 => Just(Chip::Silent),
        1 => Just(Chip::Foreign),
        1 => Just(Chip::Malformed),
    ];
    let request = (chip, any::<bool>(), prop::bool::weighted(0.8));
    prop_oneof![
        20 => request.prop_map(|(chip, read, fail_next)| Step::Ask(Request { chip, read, fail_next })),
        3 => Just(Step::Drained),
        1 => Just(Step::Pause),
        1 => Just(Step::Reset),
    ]
}

/// Groups that reach the limit, now and then.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let message = Step::Ask(Request {
        chip: Chip::Good,
        read: false,
        fail_next: true,
    });
    let long = (35..50usize).prop_map(move |length| vec![message; length]);
    let some = prop::collection::vec(step(), 0..40);
    prop::collection::vec(prop_oneof![8 => some, 1 => long], 1..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn groups_are_transferred_and_answered_as_the_specification_says(steps in steps()) {
        let mut model = Model::default();
        let mut guest = Guest::new();
        let mut answers = Vec::new();
        for step in steps {
            model.step(step);
            match step {
                Step::Ask(request) => {
                    let flags = u8::from(request.fail_next) * FAIL_NEXT + u8::from(request.read) * M_RD;
                    let payload: &[u8] = if request.read { &[] } else { &[7] };
                    let bytes = [&header(request.addr(), flags)[..], payload].concat();
                    answers.push((request, guest.ask(&bytes, 1 + usize::from(request.read))));
                }
                Step::Drained => guest.drained(),
                Step::Pause => {
                    guest.i2c.stop(0, virtio_backend::Stopped::default());
                    guest.i2c.negotiated(ZERO_LENGTH_REQUEST);
                }
                Step::Reset => {
                    guest.i2c.reset();
                    guest.i2c.negotiated(ZERO_LENGTH_REQUEST);
                }
            }
        }
        prop_assert_eq!(guest.bus.transactions(), model.transactions);
        for ((request, answer), outcome) in answers.iter().zip(model.outcomes) {
            let expected = outcome.map(|ok| match (ok, request.read) {
                (true, true) => vec![1, 0],
                (false, true) => vec![0, 1],
                (ok, false) => vec![u8::from(!ok)],
            });
            // What was reset before it was answered is not.
            let answer = answer.now().filter(|answer| !answer.is_empty());
            prop_assert_eq!(answer, expected);
        }
    }
}
