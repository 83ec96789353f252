// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Voltage domain management protocol (SCMI 3.2).

use crate::Status;
use crate::share::protocol::{Call, Message, Protocol, Setting, bit, flag};
use crate::state::ids::Profile::{V3_0, V3_1};
use crate::state::ids::{Kind, ProtocolId};
use crate::state::platform::Platform;
use crate::state::task::Wanted;
use crate::wire::values::describe;
use crate::wire::{Response, is_long};

impl Kind {
    /// Voltage domains.
    pub const VOLTAGE: Self = Self(4);
}

impl<P: Platform> Protocol<P> {
    /// Voltage domain management.
    pub(crate) const VOLTAGE: Self = Self {
        id: ProtocolId(0x17),
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
        kinds: &[Kind::VOLTAGE],
        rank: 3,
        check: |platform, agent, domain| platform.voltage_domain(agent, domain).map(|_| 0),
        name_get: DOMAIN_NAME_GET,
        name: |platform, agent, domain| Ok(platform.voltage_domain(agent, domain)?.name),
        handle,
        respond_delayed: |_, _, value, response| {
            put(level(value), response);
            Ok(())
        },
        switch: P::switch_voltage,
        setting: Some(Setting {
            now: |platform, domain| platform.level(domain).map(value),
            nearest: |platform, agent, domain, wanted| {
                let levels = platform.voltage_domain(agent, domain)?.levels;
                Ok(value(levels.nearest(level(wanted))))
            },
            set: |platform, by, domain, value, ticket| {
                platform.set_level(by, domain, level(value), ticket)
            },
            restore: P::restore_voltage,
            dependents: |_, _, _| &[],
        }),
        ..Self::NOTHING
    };
}

/// A level among the values of all protocols, where 0 is none.
fn value(level: i32) -> u64 {
    u64::from(u32::from_le_bytes(level.to_le_bytes())) | 1 << 32
}

fn level(value: u64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn put(level: i32, response: &mut Response<'_>) {
    response.word(u32::from_le_bytes(level.to_le_bytes()));
}

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

fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        DOMAIN_ATTRIBUTES => domain_attributes(call, response)?,
        DESCRIBE_LEVELS => {
            let (_, domain) = call.resource(Kind::VOLTAGE)?;
            let index = call.request.word()?;
            let domain = call.engine.platform.voltage_domain(call.agent, domain)?;
            describe(domain.levels, index, Status::InvalidParameters, response)?;
        }
        CONFIG_SET => {
            let (grant, _) = call.resource(Kind::VOLTAGE)?;
            let on = match call.request.word()? {
                ON => true,
                OFF => false,
                _ => return Err(Status::InvalidParameters),
            };
            call.vote(grant, on, 0, Wanted::Response)?;
        }
        CONFIG_GET => {
            let (grant, _) = call.resource(Kind::VOLTAGE)?;
            let on = call.grant(grant)?.wish.on;
            response.word(if on { ON } else { OFF });
        }
        LEVEL_SET => level_set(call)?,
        LEVEL_GET => {
            let (_, domain) = call.resource(Kind::VOLTAGE)?;
            put(call.engine.platform.level(domain)?, response);
        }
        _ => response.word(call.engine.count_of(call.agent, Kind::VOLTAGE).into()),
    }
    Ok(())
}

fn domain_attributes<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (grant, domain) = call.resource(Kind::VOLTAGE)?;
    let since_2 = call.profile >= V3_1;
    let events = call.engine.agent(call.agent)?.events;
    let may = call.grant(grant)?.rights.change;
    let domain = call.engine.platform.voltage_domain(call.agent, domain)?;
    response.word(bit(31, since_2 && may && events) | bit(30, since_2 && is_long(domain.name)));
    response.short_name(domain.name);
    Ok(())
}

fn level_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (grant, domain) = call.resource(Kind::VOLTAGE)?;
    let asynchronous = flag(call.request.word()?)?;
    let level = i32::from_le_bytes(call.request.word()?.to_le_bytes());
    if asynchronous && call.profile < V3_1 {
        return Err(Status::InvalidParameters);
    }
    let (wanted, by) = (call.wanted(asynchronous)?, call.agent);
    let levels = call.engine.platform.voltage_domain(by, domain)?.levels;
    if !levels.contain(level) {
        return Err(Status::InvalidParameters);
    }
    call.change(grant, value(level), wanted)
}
