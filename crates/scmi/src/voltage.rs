// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Voltage domain management protocol (SCMI 3.2).

use crate::Status;
use crate::engine::Engine;
use crate::memory::Kind;
use crate::platform::Platform;
use crate::protocol::Profile::{V3_0, V3_1};
use crate::protocol::{Call, Message, Protocol, bit, flag};
use crate::values::{describe, word};
use crate::wire::{Response, is_long};

pub(crate) const PROTOCOL: Protocol = Protocol {
    id: 0x17,
    versions: [0, 0x10000, 0x20000, 0x20001],
    messages: &[
        Message::new(DOMAIN_ATTRIBUTES, V3_0),
        Message::new(DESCRIBE_LEVELS, V3_0),
        Message::new(CONFIG_SET, V3_0),
        Message::new(CONFIG_GET, V3_0),
        Message::new(LEVEL_SET, V3_0),
        Message::new(LEVEL_GET, V3_0),
        Message::new(DOMAIN_NAME_GET, V3_1),
    ],
};

const DOMAIN_ATTRIBUTES: u8 = 0x3;
const DESCRIBE_LEVELS: u8 = 0x4;
const CONFIG_SET: u8 = 0x5;
const CONFIG_GET: u8 = 0x6;
const LEVEL_SET: u8 = 0x7;
const LEVEL_GET: u8 = 0x8;
const DOMAIN_NAME_GET: u8 = 0x9;

/// Architectural modes.
const ON: u32 = 0x7;
const OFF: u32 = 0x0;

pub(crate) fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        DOMAIN_ATTRIBUTES => domain_attributes(call, response)?,
        DESCRIBE_LEVELS => {
            let (_, domain) = call.resource(Kind::Voltage)?;
            let index = call.request.word()?;
            let domain = call.engine.platform.voltage_domain(call.agent, domain)?;
            describe(domain.levels, index, response)?;
        }
        CONFIG_SET => {
            let (grant, _) = call.resource(Kind::Voltage)?;
            let on = match call.request.word()? {
                ON => true,
                OFF => false,
                _ => return Err(Status::InvalidParameters),
            };
            call.vote(Kind::Voltage, grant, on)?;
        }
        CONFIG_GET => {
            let (grant, _) = call.resource(Kind::Voltage)?;
            let on = call.engine.grant(grant)?.on;
            response.word(if on { ON } else { OFF });
        }
        LEVEL_SET => level_set(call)?,
        LEVEL_GET => {
            let (grant, _) = call.resource(Kind::Voltage)?;
            level_now(call.engine, grant, response)?;
        }
        DOMAIN_NAME_GET => {
            let (_, domain) = call.resource(Kind::Voltage)?;
            response.word(0);
            response.long_name(
                call.engine
                    .platform
                    .voltage_domain(call.agent, domain)?
                    .name,
            );
        }
        _ => response.word(word(call.engine.count_of(call.agent, Kind::Voltage))),
    }
    Ok(())
}

fn domain_attributes<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (_, domain) = call.resource(Kind::Voltage)?;
    let since_2 = call.engine.profile(call.agent, Kind::Voltage)? >= V3_1;
    let events = call.engine.agent(call.agent)?.events;
    let name = call
        .engine
        .platform
        .voltage_domain(call.agent, domain)?
        .name;
    response.word(bit(31, since_2 && events) | bit(30, since_2 && is_long(name)));
    response.short_name(name);
    Ok(())
}

fn level_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (index, domain) = call.resource(Kind::Voltage)?;
    let asynchronous = flag(call.request.word()?)?;
    let level = i32::from_le_bytes(call.request.word()?.to_le_bytes());
    if asynchronous && call.engine.profile(call.agent, Kind::Voltage)? < V3_1 {
        return Err(Status::InvalidParameters);
    }
    let wanted = call.wanted(asynchronous)?;
    let levels = call
        .engine
        .platform
        .voltage_domain(call.agent, domain)?
        .levels;
    if !levels.contain(level) {
        return Err(Status::InvalidParameters);
    }
    call.change(Kind::Voltage, index, wanted, |platform, ticket| {
        platform.set_level(domain, level, ticket)
    })
}

/// A level: what VOLTAGE_LEVEL_GET returns, and the end of VOLTAGE_LEVEL_SET_COMPLETE.
pub(crate) fn level_now<P: Platform>(
    engine: &Engine<'_, P>,
    index: u16,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let level = engine.platform.level(engine.grant(index)?.resource)?;
    response.word(u32::from_le_bytes(level.to_le_bytes()));
    Ok(())
}
