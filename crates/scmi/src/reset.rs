// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reset domain management protocol (SCMI 3.2).

use crate::Status;
use crate::memory::Kind;
use crate::platform::Platform;
use crate::protocol::Profile::{V2_0, V3_1};
use crate::protocol::{Call, Message, Protocol, bit};
use crate::values::word;
use crate::wire::{Response, is_long};

pub(crate) const PROTOCOL: Protocol = Protocol {
    id: 0x16,
    versions: [0x10000, 0x10000, 0x30000, 0x30001],
    messages: &[
        Message::new(DOMAIN_ATTRIBUTES, V2_0),
        Message::new(RESET, V2_0),
        Message::notifies(NOTIFY, V2_0),
        Message::new(DOMAIN_NAME_GET, V3_1),
    ],
};

const DOMAIN_ATTRIBUTES: u8 = 0x3;
const RESET: u8 = 0x4;
const NOTIFY: u8 = 0x5;
const DOMAIN_NAME_GET: u8 = 0x6;

pub(crate) const RESET_ISSUED: u8 = 0;

/// The only reset state that there is.
const COLD_RESET: u32 = 0;

/// The latency of a domain of which it is not known.
const UNKNOWN: u32 = u32::MAX;

pub(crate) fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        DOMAIN_ATTRIBUTES => domain_attributes(call, response)?,
        RESET => reset(call)?,
        NOTIFY => call.subscribe(Kind::Reset, RESET_ISSUED)?,
        DOMAIN_NAME_GET => {
            let (_, domain) = call.resource(Kind::Reset)?;
            response.word(0);
            response.long_name(call.engine.platform.reset_domain(call.agent, domain)?.name);
        }
        _ => response.word(word(call.engine.count_of(call.agent, Kind::Reset))),
    }
    Ok(())
}

fn domain_attributes<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (_, domain) = call.resource(Kind::Reset)?;
    let long_names = call.engine.profile(call.agent, Kind::Reset)? >= V3_1;
    let events = call.engine.agent(call.agent)?.events;
    let domain = call.engine.platform.reset_domain(call.agent, domain)?;
    response.word(bit(31, events) | bit(30, events) | bit(29, long_names && is_long(domain.name)));
    response.word(domain.latency.unwrap_or(UNKNOWN));
    response.short_name(domain.name);
    Ok(())
}

fn reset<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    const ASSERT: u32 = 1 << 1;
    const AUTONOMOUS: u32 = 1 << 0;
    const ASYNC: u32 = 1 << 2;

    let (index, domain) = call.resource(Kind::Reset)?;
    let flags = call.request.word()?;
    if call.request.word()? != COLD_RESET {
        return Err(Status::InvalidParameters);
    }
    match flags {
        0 => return call.vote(Kind::Reset, index, true),
        ASSERT => return call.vote(Kind::Reset, index, false),
        _ if flags & AUTONOMOUS == 0 || flags > AUTONOMOUS | ASSERT | ASYNC => {
            return Err(Status::InvalidParameters);
        }
        _ => {}
    }
    let wanted = call.wanted(flags & ASYNC != 0)?;
    call.change(Kind::Reset, index, wanted, |platform, ticket| {
        platform.reset(domain, ticket)
    })?;
    // It runs afterwards, which is what the agent wants.
    call.engine.resource_mut(Kind::Reset, domain)?.on = true;
    call.engine.count(Kind::Reset, index, true)
}

/// What is left to say of RESET_ISSUED.
pub(crate) fn reset_issued(response: &mut Response<'_>) -> Result<(), Status> {
    response.word(COLD_RESET);
    Ok(())
}
