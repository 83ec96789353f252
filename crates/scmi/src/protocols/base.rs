// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Base protocol (SCMI 3.2).
//!
//! An agent sees itself as agent 1 and, beside it, the platform: others do not exist for it, unless the configuration
//! [trusts](crate::trust) it.

use super::{all, trust};
use crate::Status;
use crate::share::events::SELF;
use crate::share::protocol::{Call, Message, Protocol, flag};
use crate::state::ids::Profile::V2_0;
use crate::state::ids::ProtocolId;
use crate::state::platform::Platform;
use crate::wire::values::{part, word};
use crate::wire::{Header, Response};

const ID: ProtocolId = ProtocolId(0x10);

impl<P: Platform> Protocol<P> {
    /// The base protocol, which all agents have.
    pub(crate) const BASE: Self = Self {
        id: ID,
        versions: [0x20000, 0x20000, 0x20000, 0x20001],
        messages: &[
            Message::new(DISCOVER_VENDOR, V2_0),
            Message::new(DISCOVER_SUB_VENDOR, V2_0),
            Message::new(DISCOVER_IMPLEMENTATION_VERSION, V2_0),
            Message::new(DISCOVER_LIST_PROTOCOLS, V2_0),
            Message::new(DISCOVER_AGENT, V2_0),
            Message::notifies(NOTIFY_ERRORS, V2_0),
            Message::trusted(SET_DEVICE_PERMISSIONS, V2_0),
            Message::trusted(SET_PROTOCOL_PERMISSIONS, V2_0),
            Message::trusted(RESET_AGENT_CONFIGURATION, V2_0),
        ],
        handle,
        ..Self::NOTHING
    };
}

const DISCOVER_VENDOR: u8 = 0x3;
const DISCOVER_SUB_VENDOR: u8 = 0x4;
const DISCOVER_IMPLEMENTATION_VERSION: u8 = 0x5;
const DISCOVER_LIST_PROTOCOLS: u8 = 0x6;
const DISCOVER_AGENT: u8 = 0x7;
const NOTIFY_ERRORS: u8 = 0x8;
const SET_DEVICE_PERMISSIONS: u8 = 0x9;
const SET_PROTOCOL_PERMISSIONS: u8 = 0xa;
const RESET_AGENT_CONFIGURATION: u8 = 0xb;

const ERROR_EVENT: u8 = 0;

const PLATFORM: u32 = 0;
/// Whoever asks.
const CALLER: u32 = u32::MAX;

fn handle<P: Platform>(
    call: &mut Call<'_, '_, P>,
    message: u8,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let identity = call.engine.platform.identity();
    match message {
        DISCOVER_VENDOR => response.short_name(identity.vendor),
        DISCOVER_SUB_VENDOR => response.short_name(identity.sub_vendor),
        DISCOVER_IMPLEMENTATION_VERSION => response.word(identity.version),
        DISCOVER_LIST_PROTOCOLS => return list_protocols(call, response),
        DISCOVER_AGENT => return discover_agent(call, response),
        NOTIFY_ERRORS => {
            let enable = flag(call.request.word()?)?;
            call.engine.agent_mut(call.agent)?.errors = enable;
        }
        SET_DEVICE_PERMISSIONS => return trust::set_device_permissions(call),
        SET_PROTOCOL_PERMISSIONS => return trust::set_protocol_permissions(call),
        RESET_AGENT_CONFIGURATION => return trust::reset_agent_configuration(call),
        _ => {
            let protocols = word(protocols(call).1);
            let agents = match call.engine.agent(call.agent)?.trusted {
                true => word(call.engine.agents().count()).min(0xff),
                false => SELF,
            };
            response.word(protocols | agents << 8);
        }
    }
    Ok(())
}

/// The numbers of the protocols that the agent has beside this one, and how many they are.
fn protocols<P: Platform>(call: &Call<'_, '_, P>) -> ([u8; 16], usize) {
    let (mut protocols, mut count) = ([0; 16], 0);
    if let Ok(agent) = call.engine.agent(call.agent) {
        for row in all::<P>().iter().filter(|row| row.id != ID) {
            if row.is_offered_to(agent) {
                if let Some(to) = protocols.get_mut(count) {
                    *to = row.id.0;
                }
                count += 1;
            }
        }
    }
    (protocols, count)
}

/// All protocols after the first `skip`: how many, then their numbers, padded to words.
fn list_protocols<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let skip = call.request.word()? as usize;
    let (protocols, count) = protocols(call);
    let rest = count.checked_sub(skip).ok_or(Status::InvalidParameters)?;
    let words = part(rest.div_ceil(4), 4, response)?;
    response.word(word(rest.min(words * 4)));
    for at in 0..words {
        let byte = |byte| protocols.get(skip + at * 4 + byte).copied().unwrap_or(0);
        response.word(u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]));
    }
    Ok(())
}

fn discover_agent<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let id = match call.request.word()? {
        CALLER => call.engine.own_id(call.agent),
        id => id,
    };
    if id == PLATFORM {
        response.word(PLATFORM);
        response.short_name(b"platform");
        return Ok(());
    }
    let agent = call.engine.agent_called(call.agent, id)?;
    response.word(id);
    response.short_name(&call.engine.agent(agent)?.name);
    Ok(())
}

/// BASE_ERROR_EVENT, of one command, which the platform can go on after.
///
/// | bits | field of error_status |
/// |---|---|
/// | 31 | the platform cannot go on |
/// | 9:0 | how many commands follow: their headers, each with its status |
pub(crate) fn error_event(
    agent: u32,
    command: Header,
    status: Status,
    buffer: &mut [u8],
) -> Option<usize> {
    let mut event = Response::event(buffer, Header::notification(ID.0, ERROR_EVENT));
    event.word(agent);
    event.word(1);
    event.word(command.0);
    event.word(u32::from_le_bytes(status.code().to_le_bytes()));
    event.end_event(Ok(()))
}
