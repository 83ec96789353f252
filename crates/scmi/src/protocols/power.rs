// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Power domain management protocol (SCMI 3.2).

use crate::Status;
use crate::share::events::CHANGE_REQUESTED;
use crate::share::protocol::{Call, Message, Protocol, bit, flag};
use crate::state::Engine;
use crate::state::ids::Profile::{V2_0, V3_1};
use crate::state::ids::{GrantId, Kind, ProtocolId};
use crate::state::platform::Platform;
use crate::wire::{Response, is_long};

impl Kind {
    /// Power domains.
    pub const POWER: Self = Self(0);
}

impl<P: Platform> Protocol<P> {
    /// Power domain management.
    pub(crate) const POWER: Self = Self {
        id: ProtocolId(0x11),
        versions: [0x20000, 0x20000, 0x30000, 0x30001],
        messages: &[
            Message::new(DOMAIN_ATTRIBUTES, V2_0),
            Message::new(STATE_SET, V2_0),
            Message::new(STATE_GET, V2_0),
            Message::notifies(STATE_NOTIFY, V2_0),
            Message::notifies(STATE_CHANGE_REQUESTED_NOTIFY, V2_0),
            Message::new(DOMAIN_NAME_GET, V3_1),
        ],
        kinds: &[Kind::POWER],
        rank: 4,
        check: |platform, agent, domain| platform.power_domain(agent, domain).map(|_| 0),
        name_get: DOMAIN_NAME_GET,
        name: P::power_domain,
        handle,
        respond_delayed: |_, _, state, response| {
            response.word(if state == 0 { ON } else { OFF });
            Ok(())
        },
        event,
        switch: P::switch_power,
        switched: |engine, by, domain, _| {
            engine.notify(Kind::POWER.at(domain), STATE_CHANGED, by);
        },
        ..Self::NOTHING
    };
}

const DOMAIN_ATTRIBUTES: u8 = 0x3;
const STATE_SET: u8 = 0x4;
const STATE_GET: u8 = 0x5;
const STATE_NOTIFY: u8 = 0x6;
const STATE_CHANGE_REQUESTED_NOTIFY: u8 = 0x7;
const DOMAIN_NAME_GET: u8 = 0x8;

/// POWER_STATE_CHANGED.
const STATE_CHANGED: u8 = 0;

const ON: u32 = 0;
/// Context is lost.
const OFF: u32 = 1 << 30;

fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        DOMAIN_ATTRIBUTES => domain_attributes(call, response)?,
        STATE_SET => state_set(call)?,
        STATE_GET => {
            // The agent's own wish, not what came of it: Linux insists on reading what it has set.
            let (grant, _) = call.resource(Kind::POWER)?;
            response.word(state(call.grant(grant)?.wish.on));
        }
        STATE_NOTIFY => call.subscribe(Kind::POWER, STATE_CHANGED)?,
        STATE_CHANGE_REQUESTED_NOTIFY => call.subscribe(Kind::POWER, CHANGE_REQUESTED)?,
        _ => {
            response.word(call.engine.count_of(call.agent, Kind::POWER).into());
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
    let (grant, domain) = call.resource(Kind::POWER)?;
    let since_3 = call.profile >= V3_1;
    let events = call.engine.agent(call.agent)?.events;
    let may = call.grant(grant)?.rights.switch;
    let name = call.engine.platform.power_domain(call.agent, domain)?;
    let synchronous = bit(29, may);
    let asynchronous = bit(30, may && events);
    // Those of requests came with version 2 of the protocol, their bit with version 3.
    let notifications = bit(31, events) | bit(28, since_3 && events);
    let long_name = bit(27, since_3 && is_long(name));
    response.word(notifications | asynchronous | synchronous | long_name);
    response.short_name(name);
    Ok(())
}

fn state_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let flags = call.request.word()?;
    let (grant, domain) = call.resource(Kind::POWER)?;
    let state = call.request.word()?;
    let wanted = call.wanted(flag(flags)?)?;
    let on = match state {
        ON => true,
        OFF => false,
        _ => return Err(Status::InvalidParameters),
    };
    if call.grant(grant)?.rights.switch {
        call.engine
            .requested(Kind::POWER.at(domain), call.agent, state.into());
    }
    call.vote(grant, on, state.into(), wanted)
}

/// What is left to say of POWER_STATE_CHANGED or POWER_STATE_CHANGE_REQUESTED.
fn event<P: Platform>(
    engine: &mut Engine<'_, P>,
    grant: GrantId,
    event: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let domain = engine.resource(engine.of(grant)?)?;
    let on = match event {
        CHANGE_REQUESTED => domain.value.get() == u64::from(ON),
        _ => domain.votes != 0,
    };
    response.word(state(on));
    Ok(())
}

fn state(on: bool) -> u32 {
    if on { ON } else { OFF }
}
