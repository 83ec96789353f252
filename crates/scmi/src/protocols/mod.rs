// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The protocols, a file each, which alone names what is in it.

mod base;
mod clock;
mod interval;
mod power;
mod reset;
mod sensor;
mod trip;
mod trust;
mod voltage;

use crate::share::protocol::Protocol;
use crate::state::ids::{Kind, ProtocolId};
use crate::state::platform::Platform;

pub(crate) use base::error_event;

/// All protocols, in the order of their numbers and of their kinds.
pub(crate) fn all<'t, P: Platform + 't>() -> &'t [Protocol<P>] {
    const {
        &[
            Protocol::BASE,
            Protocol::POWER,
            Protocol::CLOCK,
            Protocol::SENSOR,
            Protocol::RESET,
            Protocol::VOLTAGE,
        ]
    }
}

/// The protocol with a number.
pub(crate) fn by_id<'t, P: Platform + 't>(id: u8) -> Option<&'t Protocol<P>> {
    all().iter().find(|row| row.id == ProtocolId(id))
}

/// The protocol that has a kind of resources.
pub(crate) fn by_kind<'t, P: Platform + 't>(kind: Kind) -> Option<&'t Protocol<P>> {
    all().iter().find(|row| row.kinds.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    use crate::{AgentId, Identity};

    struct Nothing;

    impl Platform for Nothing {
        fn identity(&self) -> Identity<'_> {
            Identity {
                vendor: b"",
                sub_vendor: b"",
                version: 0,
            }
        }

        fn wake(&mut self, _agent: AgentId) {}

        fn retry_later(&mut self) {}
    }

    #[test]
    fn rows_are_in_the_order_of_their_numbers_kinds_and_messages() {
        let rows = all::<Nothing>();
        assert!(rows.is_sorted_by(|a, b| a.id.0 < b.id.0));
        let kinds: Vec<_> = rows.iter().flat_map(|row| row.kinds).copied().collect();
        assert_eq!(kinds, Kind::ALL);
        for row in rows {
            for (id, message) in (3..).zip(row.messages) {
                assert_eq!(message.id, id);
                assert!(row.message(id).is_some());
            }
            assert!(
                row.kinds
                    .iter()
                    .all(|kind| by_kind::<Nothing>(*kind).unwrap().id == row.id)
            );
        }
    }
}
