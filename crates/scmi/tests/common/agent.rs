// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What an agent does with its resources of any kind, and what it reads.

use scmi::{Engine, Kind};

use super::{Board, ask};

/// Switches a resource of an agent.
pub(crate) fn switch(
    engine: &mut Engine<'_, Board>,
    agent: u16,
    kind: Kind,
    id: u32,
    on: bool,
) -> u32 {
    let request = match kind {
        Kind::POWER => vec![0x4404, 0, id, if on { 0 } else { 0x4000_0000 }],
        Kind::CLOCK => vec![0x5007, id, on.into(), 0],
        Kind::SENSOR => vec![0x540a, id, on.into()],
        Kind::RESET => vec![0x5804, id, if on { 0 } else { 2 }, 0],
        _ => vec![0x5c05, id, if on { 7 } else { 0 }],
    };
    ask(engine, agent, &request)[1]
}

/// Everything that an agent can read, but for the values of sensors.
pub(crate) fn view(engine: &mut Engine<'_, Board>, agent: u16) -> Vec<Vec<u32>> {
    let mut requests = vec![vec![0x4001], vec![0x4006, 0], vec![0x4007, 1]];
    for protocol in [0x4400, 0x5000, 0x5400, 0x5800, 0x5c00] {
        requests.extend([vec![protocol], vec![protocol | 1]]);
    }
    for id in 0..5 {
        for get in [
            0x4403, 0x4405, 0x5003, 0x5006, 0x500e, 0x500f, 0x5409, 0x5803, 0x5c03, 0x5c06, 0x5c08,
        ] {
            requests.push(vec![get, id]);
        }
        for get in [0x5004, 0x500b, 0x500c, 0x5408, 0x5c04] {
            requests.push(vec![get, id, 0]);
        }
        requests.push(vec![0x5403, id]);
    }
    requests
        .iter()
        .map(|request| ask(engine, agent, request))
        .collect()
}

/// Whether an agent reads that a resource is on, which of resets it cannot, nor of what was taken from it.
pub(crate) fn reads_on(
    engine: &mut Engine<'_, Board>,
    agent: u16,
    kind: Kind,
    id: u32,
) -> Option<bool> {
    let (get, is_on): (_, fn(u32) -> bool) = match kind {
        Kind::POWER => (0x4405, |state| state == 0),
        Kind::CLOCK => (0x5003, |attributes| attributes & 1 == 1),
        Kind::SENSOR => (0x5409, |config| config & 1 == 1),
        Kind::VOLTAGE => (0x5c06, |mode| mode == 7),
        _ => return None,
    };
    ask(engine, agent, &[get, id]).get(2).copied().map(is_on)
}
