// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Clock management protocol (SCMI 3.2).

use crate::Status;
use crate::engine::Engine;
use crate::events::CHANGE_REQUESTED;
use crate::memory::{Changed, Kind, Rights, Wanted};
use crate::platform::Platform;
use crate::protocol::Profile::{V2_0, V3_1, V3_2};
use crate::protocol::{Call, Message, Protocol, bit, flag};
use crate::values::{Round, describe, part, word};
use crate::wire::{Response, is_long};

pub(crate) const PROTOCOL: Protocol = Protocol {
    id: 0x14,
    versions: [0x10000, 0x10000, 0x20000, 0x30000],
    messages: &[
        Message::new(ATTRIBUTES, V2_0),
        Message::new(DESCRIBE_RATES, V2_0),
        Message::new(RATE_SET, V2_0),
        Message::new(RATE_GET, V2_0),
        Message::new(CONFIG_SET, V2_0),
        Message::new(NAME_GET, V3_1),
        Message::notifies(RATE_NOTIFY, V3_1),
        Message::notifies(RATE_CHANGE_REQUESTED_NOTIFY, V3_1),
        Message::new(CONFIG_GET, V3_2),
        Message::new(POSSIBLE_PARENTS_GET, V3_2),
        Message::new(PARENT_SET, V3_2),
        Message::new(PARENT_GET, V3_2),
        Message::new(GET_PERMISSIONS, V3_2),
    ],
};

const ATTRIBUTES: u8 = 0x3;
const DESCRIBE_RATES: u8 = 0x4;
const RATE_SET: u8 = 0x5;
const RATE_GET: u8 = 0x6;
const CONFIG_SET: u8 = 0x7;
const NAME_GET: u8 = 0x8;
const RATE_NOTIFY: u8 = 0x9;
const RATE_CHANGE_REQUESTED_NOTIFY: u8 = 0xa;
const CONFIG_GET: u8 = 0xb;
const POSSIBLE_PARENTS_GET: u8 = 0xc;
const PARENT_SET: u8 = 0xd;
const PARENT_GET: u8 = 0xe;
const GET_PERMISSIONS: u8 = 0xf;

const RATE_CHANGED: u8 = 0;

pub(crate) fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        ATTRIBUTES => attributes(call, response),
        DESCRIBE_RATES => {
            let (_, clock) = call.resource(Kind::Clock)?;
            let index = call.request.word()?;
            let clock = call.engine.platform.clock(call.agent, clock)?;
            describe(clock.rates, index, response)
        }
        RATE_SET => rate_set(call),
        RATE_GET => {
            let (grant, _) = call.resource(Kind::Clock)?;
            rate_now(call.engine, grant, response)
        }
        CONFIG_SET => config_set(call),
        NAME_GET => {
            let (_, clock) = call.resource(Kind::Clock)?;
            response.word(0);
            response.long_name(call.engine.platform.clock(call.agent, clock)?.name);
            Ok(())
        }
        RATE_NOTIFY => call.subscribe(Kind::Clock, RATE_CHANGED),
        RATE_CHANGE_REQUESTED_NOTIFY => call.subscribe(Kind::Clock, CHANGE_REQUESTED),
        CONFIG_GET => config_get(call, response),
        POSSIBLE_PARENTS_GET => possible_parents_get(call, response),
        PARENT_SET => parent_set(call),
        PARENT_GET => {
            let (_, clock) = call.resource(Kind::Clock)?;
            let parents = call.engine.platform.clock(call.agent, clock)?.parents;
            if parents.is_empty() {
                return Err(Status::NotSupported);
            }
            let parent = call.engine.platform.parent(clock)?;
            let id = call.engine.id_of(call.agent, Kind::Clock, parent);
            response.word(id.ok_or(Status::NotFound)?);
            Ok(())
        }
        GET_PERMISSIONS => {
            let (grant, _) = call.resource(Kind::Clock)?;
            let rights = call.engine.grant(grant)?.rights;
            response
                .word(bit(31, rights.switch) | bit(30, rights.reparent) | bit(29, rights.change));
            Ok(())
        }
        _ => {
            let clocks = word(call.engine.count_of(call.agent, Kind::Clock));
            response.word(clocks | call.max_async()? << 16);
            Ok(())
        }
    }
}

fn attributes<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (grant, resource) = call.resource(Kind::Clock)?;
    let engine = &*call.engine;
    let profile = engine.profile(call.agent, Kind::Clock)?;
    let events = engine.agent(call.agent)?.events;
    let grant = engine.grant(grant)?;
    let clock = engine.platform.clock(call.agent, resource)?;
    let has_parents = visible_parents(engine, call.agent, clock.parents)
        .next()
        .is_some();
    response.word(
        bit(31, profile >= V3_1 && events)
            | bit(30, profile >= V3_1 && events)
            | bit(29, profile >= V3_1 && is_long(clock.name))
            | bit(28, profile >= V3_2 && has_parents)
            | bit(1, profile >= V3_2 && grant.rights != Rights::ALL)
            // Whether the agent itself has it on. Others who do are not its business.
            | bit(0, grant.on),
    );
    response.short_name(clock.name);
    // Linux 5.15 to 5.17 has no room for it, whatever version it is told.
    if profile >= V3_1 && response.room() >= 4 {
        response.word(clock.enable_latency);
    }
    Ok(())
}

fn rate_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    const ASYNC: u32 = 1 << 0;
    const NO_RESPONSE: u32 = 1 << 1;
    const ROUND_UP: u32 = 1 << 2;
    const ROUND_NEAREST: u32 = 1 << 3;

    let flags = call.request.word()?;
    let (index, clock) = call.resource(Kind::Clock)?;
    let rate = call.request.double()?;
    if flags & !(ASYNC | NO_RESPONSE | ROUND_UP | ROUND_NEAREST) != 0 {
        return Err(Status::InvalidParameters);
    }
    let wanted = match call.wanted(flags & ASYNC != 0)? {
        Wanted::DelayedResponse if flags & NO_RESPONSE != 0 => Wanted::Nothing,
        wanted => wanted,
    };
    let round = match flags & (ROUND_UP | ROUND_NEAREST) {
        0 => Round::Down,
        ROUND_UP => Round::Up,
        _ => Round::Nearest,
    };
    let rates = call.engine.platform.clock(call.agent, clock)?.rates;
    let rate = rates.round(rate, round).ok_or(Status::InvalidParameters)?;
    if call.engine.grant(index)?.rights.change {
        call.engine.requested(Kind::Clock, clock, call.agent, rate);
    }
    call.change(Kind::Clock, index, wanted, |platform, ticket| {
        platform.set_rate(clock, rate, ticket)
    })
}

/// CLOCK_CONFIG_SET. Since version 3 of the protocol a value follows the attributes, for what their bits 23:16 name, of
/// which no clock has any. It is not asked for, as Linux 6.1 does not send it, whatever version it is told.
fn config_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (grant, _) = call.resource(Kind::Clock)?;
    let attributes = call.request.word()?;
    call.vote(Kind::Clock, grant, flag(attributes)?)
}

fn config_get<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (grant, _) = call.resource(Kind::Clock)?;
    // Bits 7:0 name what else to tell, which no clock has.
    if call.request.word()? != 0 {
        return Err(Status::InvalidParameters);
    }
    response.word(0);
    response.word(bit(0, call.engine.grant(grant)?.on));
    response.word(0);
    Ok(())
}

/// | bits | field |
/// |---|---|
/// | 7:0 | how many follow |
/// | 31:24 | how many remain |
fn possible_parents_get<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (_, clock) = call.resource(Kind::Clock)?;
    let skip = call.request.word()? as usize;
    let engine = &*call.engine;
    let parents = engine.platform.clock(call.agent, clock)?.parents;
    let all = || visible_parents(engine, call.agent, parents);
    let rest = all().count().checked_sub(skip);
    let rest = rest.ok_or(Status::OutOfRange)?;
    let count = part(rest, 4, response)?;
    response.word(word(count) | word(rest - count) << 24);
    for id in all().skip(skip).take(count) {
        response.word(id);
    }
    Ok(())
}

/// The agent's numbers for those parents that it was given too.
fn visible_parents<P: Platform>(
    engine: &Engine<'_, P>,
    agent: u16,
    parents: &[u16],
) -> impl Iterator<Item = u32> {
    let id = move |parent: &u16| engine.id_of(agent, Kind::Clock, *parent);
    parents.iter().filter_map(id)
}

fn parent_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (index, clock) = call.resource(Kind::Clock)?;
    let (_, parent) = call.resource(Kind::Clock)?;
    let parents = call.engine.platform.clock(call.agent, clock)?.parents;
    if !parents.contains(&parent) {
        return Err(Status::InvalidParameters);
    }
    let may = call.engine.grant(index)?.rights.reparent;
    if !may || !call.engine.is_free(Kind::Clock, clock, call.agent) {
        return Err(Status::Denied);
    }
    call.engine.platform.set_parent(clock, parent)?;
    call.engine.resource_mut(Kind::Clock, clock)?.changed = Changed::By(call.agent);
    rate_changed(call.engine, clock, call.agent);
    Ok(())
}

/// What is left to say of CLOCK_RATE_CHANGED or CLOCK_RATE_CHANGE_REQUESTED.
pub(crate) fn event<P: Platform>(
    engine: &Engine<'_, P>,
    index: u16,
    event: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    if event == RATE_CHANGED {
        return rate_now(engine, index, response);
    }
    let clock = engine.grant(index)?.resource;
    let clock = engine.resource(Kind::Clock, clock)?;
    response.double(u64::from_le_bytes(clock.requested));
    Ok(())
}

/// A rate: what CLOCK_RATE_GET returns, and the end of CLOCK_RATE_SET_COMPLETE and CLOCK_RATE_CHANGED.
pub(crate) fn rate_now<P: Platform>(
    engine: &Engine<'_, P>,
    index: u16,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let clock = engine.grant(index)?.resource;
    response.double(engine.platform.rate(clock)?);
    Ok(())
}

/// Tells all who subscribed to a clock, or to one that follows it.
pub(crate) fn rate_changed<P: Platform>(engine: &mut Engine<'_, P>, clock: u16, cause: u16) {
    engine.notify(Kind::Clock, clock, RATE_CHANGED, Some(cause));
    for at in 0.. {
        let dependents = engine.dependents(clock).unwrap_or_default();
        let Some(&clock) = dependents.get(at) else {
            return;
        };
        engine.notify(Kind::Clock, clock, RATE_CHANGED, Some(cause));
    }
}
