// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Clock management protocol (SCMI 3.2).

use crate::Status;
use crate::share::events::CHANGE_REQUESTED;
use crate::share::protocol::{Act, Call, Message, Protocol, Setting, bit, flag};
use crate::state::Engine;
use crate::state::ids::Profile::{V2_0, V3_1, V3_2};
use crate::state::ids::{AgentId, GrantId, Kind, ProtocolId, ResourceId};
use crate::state::memory::{Chosen, Double, Rights};
use crate::state::platform::Platform;
use crate::state::task::{Ticket, Wanted};
use crate::wire::values::{Round, Values, describe, part, word};
use crate::wire::{Response, is_long};

impl Kind {
    /// Clocks.
    pub const CLOCK: Self = Self(1);
}

impl<P: Platform> Protocol<P> {
    /// Clock management.
    pub(crate) const CLOCK: Self = Self {
        id: ProtocolId(0x14),
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
        kinds: &[Kind::CLOCK],
        rank: 2,
        check: |platform, agent, clock| match platform.clock(agent, clock)?.rates {
            // Drivers rely on one.
            Values::List([]) => Err(Status::InvalidParameters),
            _ => Ok(0),
        },
        name_get: NAME_GET,
        name: |platform, agent, clock| Ok(platform.clock(agent, clock)?.name),
        handle,
        respond_delayed: |_, _, rate, response| {
            response.double(rate);
            Ok(())
        },
        event,
        switch: P::switch_clock,
        setting: Some(Setting {
            now: P::rate,
            nearest: |platform, agent, clock, rate| {
                Ok(platform.clock(agent, clock)?.rates.nearest(rate))
            },
            set: P::set_rate,
            restore: P::restore_clock,
            dependents: |platform, agent, clock| {
                let clock = platform.clock(agent, clock);
                clock.map_or(&[], |clock| clock.dependents)
            },
        }),
        changed,
        ..Self::NOTHING
    };
}

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

fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    match message {
        ATTRIBUTES => attributes(call, response),
        DESCRIBE_RATES => {
            let (_, clock) = call.resource(Kind::CLOCK)?;
            let index = call.request.word()?;
            let clock = call.engine.platform.clock(call.agent, clock)?;
            describe(clock.rates, index, Status::OutOfRange, response)
        }
        RATE_SET => rate_set(call),
        RATE_GET => {
            let (_, clock) = call.resource(Kind::CLOCK)?;
            response.double(call.engine.platform.rate(clock)?);
            Ok(())
        }
        CONFIG_SET => config_set(call),
        RATE_NOTIFY => call.subscribe(Kind::CLOCK, RATE_CHANGED),
        RATE_CHANGE_REQUESTED_NOTIFY => call.subscribe(Kind::CLOCK, CHANGE_REQUESTED),
        CONFIG_GET => config_get(call, response),
        POSSIBLE_PARENTS_GET => possible_parents_get(call, response),
        PARENT_SET => parent_set(call),
        PARENT_GET => {
            let (_, clock) = call.resource(Kind::CLOCK)?;
            let parents = call.engine.platform.clock(call.agent, clock)?.parents;
            if parents.is_empty() {
                return Err(Status::NotSupported);
            }
            let parent = call.engine.platform.parent(clock)?;
            let id = call.engine.id_of(call.agent, Kind::CLOCK.at(parent));
            response.word(id.ok_or(Status::NotFound)?);
            Ok(())
        }
        GET_PERMISSIONS => {
            let (grant, _) = call.resource(Kind::CLOCK)?;
            let rights = call.grant(grant)?.rights;
            response
                .word(bit(31, rights.switch) | bit(30, rights.reparent) | bit(29, rights.change));
            Ok(())
        }
        _ => {
            let clocks = u32::from(call.engine.count_of(call.agent, Kind::CLOCK));
            response.word(clocks | call.max_async()? << 16);
            Ok(())
        }
    }
}

fn attributes<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (grant, resource) = call.resource(Kind::CLOCK)?;
    let (engine, profile) = (&*call.engine, call.profile);
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
            // Whether the agent itself has it on. That others do is not its business.
            | bit(0, grant.wish.on),
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
    let (grant, clock) = call.resource(Kind::CLOCK)?;
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
    if !call.grant(grant)?.rights.change {
        return Err(Status::Denied);
    }
    let by = call.agent;
    let rates = call.engine.platform.clock(by, clock)?.rates;
    let rate = rates.round(rate, round).ok_or(Status::InvalidParameters)?;
    call.engine.requested(Kind::CLOCK.at(clock), by, rate);
    call.change(grant, rate, wanted)
}

/// CLOCK_CONFIG_SET. Since version 3 of the protocol a value follows the attributes, for what their bits 23:16 name, of
/// which no clock has any. It is not asked for, as Linux 6.1 does not send it, whatever version it is told.
fn config_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (grant, _) = call.resource(Kind::CLOCK)?;
    let attributes = call.request.word()?;
    call.vote(grant, flag(attributes)?, 0, Wanted::Response)
}

fn config_get<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let (grant, _) = call.resource(Kind::CLOCK)?;
    // Bits 7:0 name what else to tell, which no clock has.
    if call.request.word()? != 0 {
        return Err(Status::InvalidParameters);
    }
    response.word(0);
    response.word(bit(0, call.grant(grant)?.wish.on));
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
    let (_, clock) = call.resource(Kind::CLOCK)?;
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
    agent: AgentId,
    parents: &[ResourceId],
) -> impl Iterator<Item = u32> {
    let id = move |parent: &ResourceId| engine.id_of(agent, Kind::CLOCK.at(*parent));
    parents.iter().filter_map(id)
}

fn parent_set<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (grant, clock) = call.resource(Kind::CLOCK)?;
    let (_, parent) = call.resource(Kind::CLOCK)?;
    let by = call.agent;
    let parents = call.engine.platform.clock(by, clock)?.parents;
    if !parents.contains(&parent) {
        return Err(Status::InvalidParameters);
    }
    let may = call.grant(grant)?.rights.reparent;
    if !may || !call.engine.is_free(call.row, Kind::CLOCK.at(clock), by) {
        return Err(Status::Denied);
    }
    let set_parent: Act<P, u64, Option<Ticket>> = |platform, by, clock, parent, ticket| {
        let parent = u16::try_from(parent).map_err(|_| Status::NotFound)?;
        platform.set_parent(by, clock, ResourceId(parent), ticket)
    };
    call.operate(grant, parent.0.into(), Wanted::Response, set_parent)?;
    // The rate is the parent's now.
    call.engine.grant_mut(grant)?.wish.value = Double::default();
    call.engine.resource_mut(Kind::CLOCK.at(clock))?.chosen = Chosen::By(by);
    Ok(())
}

/// What is left to say of CLOCK_RATE_CHANGED or CLOCK_RATE_CHANGE_REQUESTED.
fn event<P: Platform>(
    engine: &mut Engine<'_, P>,
    grant: GrantId,
    event: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let at = engine.of(grant)?;
    response.double(match event {
        RATE_CHANGED => engine.platform.rate(at.resource)?,
        _ => engine.resource(at)?.value.get(),
    });
    Ok(())
}

/// Tells all agents that subscribed to a clock, or to one that follows it.
fn changed<P: Platform>(engine: &mut Engine<'_, P>, by: AgentId, clock: ResourceId) {
    engine.notify(Kind::CLOCK.at(clock), RATE_CHANGED, by);
    let row = const { &Protocol::CLOCK };
    for at in 0.. {
        let dependents = engine.dependents(row, Kind::CLOCK.at(clock));
        let Some(&clock) = dependents.get(at) else {
            return;
        };
        engine.notify(Kind::CLOCK.at(clock), RATE_CHANGED, by);
    }
}
