// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reset domain management protocol (SCMI 3.2).

use crate::Status;
use crate::share::protocol::{Call, Message, Protocol, bit};
use crate::state::Engine;
use crate::state::ids::Profile::{V2_0, V3_1};
use crate::state::ids::{AgentId, Kind, ProtocolId, ResourceId};
use crate::state::memory::Wish;
use crate::state::platform::{Platform, Switch};
use crate::state::task::Wanted;
use crate::wire::{Response, is_long};

impl Kind {
    /// Reset domains.
    pub const RESET: Self = Self(3);
}

impl<P: Platform> Protocol<P> {
    /// Reset domain management.
    pub(crate) const RESET: Self = Self {
        id: ProtocolId(0x16),
        versions: [0x10000, 0x10000, 0x30000, 0x30001],
        messages: &[
            Message::new(DOMAIN_ATTRIBUTES, V2_0),
            Message::new(RESET, V2_0),
            Message::notifies(NOTIFY, V2_0),
            Message::new(DOMAIN_NAME_GET, V3_1),
        ],
        kinds: &[Kind::RESET],
        rank: 0,
        check: |platform, agent, domain| platform.reset_domain(agent, domain).map(|_| 0),
        name_get: DOMAIN_NAME_GET,
        name: |platform, agent, domain| Ok(platform.reset_domain(agent, domain)?.name),
        handle,
        event: |_, _, _, response| {
            response.word(COLD_RESET);
            Ok(())
        },
        switch: P::switch_reset,
        switched: |engine, by, domain, to| {
            if to == Switch::Off {
                engine.notify(Kind::RESET.at(domain), RESET_ISSUED, by);
            }
        },
        changed: |engine, by, domain| engine.notify(Kind::RESET.at(domain), RESET_ISSUED, by),
        failed,
        ..Self::NOTHING
    };
}

const DOMAIN_ATTRIBUTES: u8 = 0x3;
const RESET: u8 = 0x4;
const NOTIFY: u8 = 0x5;
const DOMAIN_NAME_GET: u8 = 0x6;

const RESET_ISSUED: u8 = 0;

/// The only reset state that there is.
const COLD_RESET: u32 = 0;

/// The latency of a domain of which it is not known.
const UNKNOWN: u32 = u32::MAX;

fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        DOMAIN_ATTRIBUTES => domain_attributes(call, response)?,
        RESET => reset(call)?,
        NOTIFY => call.subscribe(Kind::RESET, RESET_ISSUED)?,
        _ => response.word(call.engine.count_of(call.agent, Kind::RESET).into()),
    }
    Ok(())
}

fn domain_attributes<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (grant, domain) = call.resource(Kind::RESET)?;
    let events = call.engine.agent(call.agent)?.events;
    let may = call.grant(grant)?.rights.change;
    let domain = call.engine.platform.reset_domain(call.agent, domain)?;
    let long_name = call.profile >= V3_1 && is_long(domain.name);
    response.word(bit(31, may && events) | bit(30, events) | bit(29, long_name));
    response.word(domain.latency.unwrap_or(UNKNOWN));
    response.short_name(domain.name);
    Ok(())
}

fn reset<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    const ASSERT: u32 = 1 << 1;
    const AUTONOMOUS: u32 = 1 << 0;
    const ASYNC: u32 = 1 << 2;

    let (grant, domain) = call.resource(Kind::RESET)?;
    let flags = call.request.word()?;
    if call.request.word()? != COLD_RESET {
        return Err(Status::InvalidParameters);
    }
    match flags {
        0 => return call.vote(grant, true, 0, Wanted::Response),
        ASSERT => return call.vote(grant, false, 0, Wanted::Response),
        _ if flags & AUTONOMOUS == 0 || flags > AUTONOMOUS | ASSERT | ASYNC => {
            return Err(Status::InvalidParameters);
        }
        _ => {}
    }
    let wanted = call.wanted(flags & ASYNC != 0)?;
    call.may_change(grant)?;
    call.operate_or_join(grant, wanted, |platform, by, domain, _, ticket| {
        platform.reset(by, domain, ticket)
    })?;
    // It runs afterwards, which is what the agent wants.
    call.engine.resource_mut(Kind::RESET.at(domain))?.on = Some(true);
    let wish = call.grant(grant)?.wish;
    call.engine.set_wish(grant, Wish { on: true, ..wish })
}

/// The domain may have been left held in reset or running: it is told again what it is to be.
fn failed<P: Platform>(engine: &mut Engine<'_, P>, domain: ResourceId) {
    if let Ok(resource) = engine.resource_mut(Kind::RESET.at(domain)) {
        resource.on = None;
    }
    let settled = engine.settle(
        const { &Protocol::RESET },
        Kind::RESET.at(domain),
        AgentId::PLATFORM,
    );
    if settled.is_err() {
        engine.platform.retry_later();
    }
}
