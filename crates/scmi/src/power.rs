// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Power domain management protocol (SCMI 3.2).

use crate::engine::Engine;
use crate::events::CHANGE_REQUESTED;
use crate::memory::{Kind, Wanted};
use crate::platform::{Platform, When};
use crate::protocol::Profile::{V2_0, V3_1};
use crate::protocol::{Call, Message, Protocol, bit, flag};
use crate::wire::{Response, is_long};
use crate::{Status, values::word};

pub(crate) const PROTOCOL: Protocol = Protocol {
    id: 0x11,
    versions: [0x20000, 0x20000, 0x30000, 0x30001],
    messages: &[
        Message::new(DOMAIN_ATTRIBUTES, V2_0),
        Message::new(STATE_SET, V2_0),
        Message::new(STATE_GET, V2_0),
        Message::notifies(STATE_NOTIFY, V2_0),
        Message::notifies(STATE_CHANGE_REQUESTED_NOTIFY, V2_0),
        Message::new(DOMAIN_NAME_GET, V3_1),
    ],
};

const DOMAIN_ATTRIBUTES: u8 = 0x3;
const STATE_SET: u8 = 0x4;
const STATE_GET: u8 = 0x5;
const STATE_NOTIFY: u8 = 0x6;
const STATE_CHANGE_REQUESTED_NOTIFY: u8 = 0x7;
const DOMAIN_NAME_GET: u8 = 0x8;

/// POWER_STATE_CHANGED.
pub(crate) const STATE_CHANGED: u8 = 0;

const ON: u32 = 0;
/// Context is lost.
const OFF: u32 = 1 << 30;

pub(crate) fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        DOMAIN_ATTRIBUTES => domain_attributes(call, response)?,
        STATE_SET => state_set(call)?,
        STATE_GET => {
            let (grant, _) = call.resource(Kind::Power)?;
            state_now(call.engine, grant, response)?;
        }
        STATE_NOTIFY => call.subscribe(Kind::Power, STATE_CHANGED)?,
        STATE_CHANGE_REQUESTED_NOTIFY => call.subscribe(Kind::Power, CHANGE_REQUESTED)?,
        DOMAIN_NAME_GET => {
            let (_, domain) = call.resource(Kind::Power)?;
            response.word(0);
            response.long_name(call.engine.platform.power_domain(call.agent, domain)?);
        }
        _ => {
            response.word(word(call.engine.count_of(call.agent, Kind::Power)));
            response.double(0); // No statistics.
            response.word(0);
        }
    }
    Ok(())
}

fn domain_attributes<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (_, domain) = call.resource(Kind::Power)?;
    let since_3 = call.engine.profile(call.agent, Kind::Power)? >= V3_1;
    let events = call.engine.agent(call.agent)?.events;
    let name = call.engine.platform.power_domain(call.agent, domain)?;
    let synchronous = bit(29, true);
    let asynchronous = bit(30, events);
    // Those of requests came with version 2 of the protocol, their bit with version 3.
    let notifications = bit(31, events) | bit(28, since_3 && events);
    let long_name = bit(27, since_3 && is_long(name));
    response.word(notifications | asynchronous | synchronous | long_name);
    response.short_name(name);
    Ok(())
}

fn state_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let flags = call.request.word()?;
    let (grant, domain) = call.resource(Kind::Power)?;
    let state = call.request.word()?;
    let wanted = call.wanted(flag(flags)?)?;
    let on = match state {
        ON => true,
        OFF => false,
        _ => return Err(Status::InvalidParameters),
    };
    if call.engine.grant(grant)?.rights.switch {
        call.engine
            .requested(Kind::Power, domain, call.agent, state.into());
    }
    if wanted == Wanted::Response {
        return call.vote(Kind::Power, grant, on);
    }
    // It is done at once all the same, but not if there is no place for the delayed response.
    call.engine.reserve(call.agent).ok_or(Status::Busy)?;
    call.vote(Kind::Power, grant, on)?;
    call.operate(Kind::Power, grant, wanted, |_, _| Ok(When::Now))
}

/// The end of POWER_STATE_SET_COMPLETE, and what POWER_STATE_GET returns: the agent's own vote, not what came of it.
/// Linux insists on reading what it has set.
pub(crate) fn state_now<P: Platform>(
    engine: &Engine<'_, P>,
    index: u16,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    response.word(state(engine.grant(index)?.on));
    Ok(())
}

/// What is left to say of POWER_STATE_CHANGED or POWER_STATE_CHANGE_REQUESTED.
pub(crate) fn event<P: Platform>(
    engine: &Engine<'_, P>,
    index: u16,
    event: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let domain = engine.resource(Kind::Power, engine.grant(index)?.resource)?;
    let on = match event {
        CHANGE_REQUESTED => u64::from_le_bytes(domain.requested) == u64::from(ON),
        _ => domain.votes != 0,
    };
    response.word(state(on));
    Ok(())
}

fn state(on: bool) -> u32 {
    if on { ON } else { OFF }
}
