// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The functions.

use scmi::{AgentId, Answer, Engine, Place, ProtocolId, Reason, ResourceId, Status, Ticket};

use crate::description::{array, entry};
use crate::memory::{scmi_engine_agent, scmi_engine_memory};
use crate::platform::{Hardware, scmi_engine_platform};

/// An SCMI platform that serves agents. Only one function works on it at a time; they are called from wherever.
#[repr(C)]
pub struct scmi_engine {
    /// `sizeof` of this structure.
    pub size: usize,
    state: scmi_engine_state,
}

/// What the engine knows.
#[repr(C)]
pub struct scmi_engine_state {
    bytes: [u64; 19],
}

type Server = Engine<'static, Hardware>;

const _: () = assert!(size_of::<Server>() <= size_of::<scmi_engine_state>());
const _: () = assert!(align_of::<Server>() <= align_of::<scmi_engine_state>());

/// Status: it is done.
pub const SCMI_ENGINE_SUCCESS: i32 = 0;
/// Status: the protocol, the message, or what it asks for, is not supported.
pub const SCMI_ENGINE_NOT_SUPPORTED: i32 = -1;
/// Status: a parameter is out of its definition, or a reserved bit is set.
pub const SCMI_ENGINE_INVALID_PARAMETERS: i32 = -2;
/// Status: the agent may not do that, or another agent would notice.
pub const SCMI_ENGINE_DENIED: i32 = -3;
/// Status: there is no such resource.
pub const SCMI_ENGINE_NOT_FOUND: i32 = -4;
/// Status: an index is beyond the end.
pub const SCMI_ENGINE_OUT_OF_RANGE: i32 = -5;
/// Status: as much as possible is going on already.
pub const SCMI_ENGINE_BUSY: i32 = -6;
/// Status: the hardware cannot be reached.
pub const SCMI_ENGINE_COMMS_ERROR: i32 = -7;
/// Status: for what has no status of its own.
pub const SCMI_ENGINE_GENERIC_ERROR: i32 = -8;
/// Status: the hardware failed.
pub const SCMI_ENGINE_HARDWARE_ERROR: i32 = -9;
/// Status: the message is too short, or leaves too little room for its response.
pub const SCMI_ENGINE_PROTOCOL_ERROR: i32 = -10;

/// An agent is reset that is not there any longer, or begins anew: it crashed, or was rebooted. It waits for nothing that
/// it asked for, which is forgotten.
pub const SCMI_ENGINE_DISCONNECTED: i32 = 0;
/// An agent is reset that may still be there. `scmi_engine_answer` has an error for what it waits for.
pub const SCMI_ENGINE_REQUESTED: i32 = 1;

/// Makes an engine for a platform and its agents, who are numbered from 0. What agents want on from the beginning is
/// switched on.
///
/// Returns `SCMI_ENGINE_SUCCESS`, `SCMI_ENGINE_NOT_FOUND` if something was given that there is not, `SCMI_ENGINE_INVALID_PARAMETERS` if it was
/// given to an agent twice, memory is missing, a clock has no rates or a structure is shorter than this library knows it, or `SCMI_ENGINE_OUT_OF_RANGE` if agents are given too much.
///
/// # Safety
/// Nothing is null but what counts 0, strings end with a NUL, and tables have what they count. All of it stays as it
/// is, but for the dependents of clocks, and the engine's memory the engine's alone, as long as that is in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_init(
    engine: *mut scmi_engine,
    platform: *const scmi_engine_platform,
    agents: *const scmi_engine_agent,
    agent_count: u16,
    memory: *const scmi_engine_memory,
) -> i32 {
    // SAFETY: what the caller promises.
    let made = unsafe { make(&*engine, platform, (agents, agent_count), memory) };
    code(made.map(|server| {
        // SAFETY: what the caller promises; there is room, as is asserted above.
        unsafe { (&raw mut (*engine).state).cast::<Server>().write(server) }
    }))
}

/// # Safety
/// As [`scmi_engine_init`] says.
unsafe fn make(
    engine: &scmi_engine,
    platform: *const scmi_engine_platform,
    (agents, count): (*const scmi_engine_agent, u16),
    memory: *const scmi_engine_memory,
) -> Result<Server, Status> {
    if engine.size < size_of::<scmi_engine>() {
        return Err(Status::InvalidParameters);
    }
    // SAFETY: what the caller promises.
    unsafe {
        let platform = entry(platform, 1, 0)?;
        if count != 0 {
            entry(agents, count, 0)?;
        }
        let memory = entry(memory, 1, 0)?.lend(platform, agents, count);
        Server::new(Hardware::new(platform), memory)
    }
}

/// Lets notifications and delayed responses reach an agent, or not, as at first: without, they do not exist for it.
///
/// # Safety
/// As `scmi_engine_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_set_events(engine: *mut scmi_engine, agent: u16, reach: bool) {
    // SAFETY: what the caller promises.
    unsafe { server(engine) }.set_events(AgentId(agent), reach);
}

/// Does what an agent asks in a request, and puts the response into the room for it. Returns its length, 0 if there is
/// nothing to answer, or -1 if the response comes later: `place` is then what `scmi_engine_answer` wants for it.
///
/// The request must not change meanwhile: shared memory is copied first.
///
/// # Safety
/// As `scmi_engine_init` says, for the request, the response and the place too, and they do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_handle(
    engine: *mut scmi_engine,
    agent: u16,
    request: *const u8,
    request_length: usize,
    response: *mut u8,
    room: usize,
    place: *mut u32,
) -> i32 {
    // SAFETY: what the caller promises.
    let (server, request, response) = unsafe {
        let request = array(request, request_length);
        (server(engine), request, bytes(response, room))
    };
    match server.handle(AgentId(agent), request, response) {
        Answer::Now(length) => i32::try_from(length).unwrap_or(0),
        Answer::Later(later) => {
            // SAFETY: what the caller promises.
            unsafe { place.write(later.into()) };
            -1
        }
    }
}

/// Puts the response to a command that was to be answered later into the room for it. Returns its length, or 0 as long
/// as the operation is not complete, and if its agent is gone since.
///
/// # Safety
/// As `scmi_engine_init` says, for the response too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_answer(
    engine: *mut scmi_engine,
    place: u32,
    response: *mut u8,
    room: usize,
) -> usize {
    // SAFETY: what the caller promises.
    let (server, response) = unsafe { (server(engine), bytes(response, room)) };
    server.answer(Place::from(place), response).unwrap_or(0)
}

/// Puts the next delayed response or notification for an agent into the room for it. Returns its length, or 0 if there
/// is none.
///
/// # Safety
/// As `scmi_engine_init` says, for the message too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_next_event(
    engine: *mut scmi_engine,
    agent: u16,
    message: *mut u8,
    room: usize,
) -> usize {
    // SAFETY: what the caller promises.
    let (server, message) = unsafe { (server(engine), bytes(message, room)) };
    server.next_event(AgentId(agent), message).unwrap_or(0)
}

/// The operation is complete that was begun with a ticket, with this status.
///
/// # Safety
/// As `scmi_engine_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_complete(engine: *mut scmi_engine, ticket: u64, status: i32) {
    if let Some(ticket) = Ticket::new(ticket) {
        // SAFETY: what the caller promises.
        unsafe { server(engine) }.complete(ticket, Status::check(status));
    }
}

/// A sensor has measured, unasked.
///
/// # Safety
/// As `scmi_engine_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_sensor_updated(engine: *mut scmi_engine, sensor: u16) {
    // SAFETY: what the caller promises.
    unsafe { server(engine) }.sensor_updated(ResourceId(sensor));
}

/// Undoes all that an agent set up, because it is gone or because somebody asked for that. Returns the first thing that
/// failed, of which the platform is told by `retry_later`; the rest is done. Permissions stay.
///
/// # Safety
/// As `scmi_engine_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_reset_agent(
    engine: *mut scmi_engine,
    agent: u16,
    reason: i32,
) -> i32 {
    let reason = match reason {
        SCMI_ENGINE_DISCONNECTED => Reason::Disconnected,
        SCMI_ENGINE_REQUESTED => Reason::Requested,
        _ => return SCMI_ENGINE_INVALID_PARAMETERS,
    };
    // SAFETY: what the caller promises.
    code(unsafe { server(engine) }.reset_agent(AgentId(agent), reason))
}

/// Allows or denies an agent what it was given of a device, or of that only what is of a protocol, if that is not 0. It
/// has what is denied in neither way, and what it wants of the rest counts for nothing until that is allowed. Returns `SCMI_ENGINE_NOT_FOUND` if it was given nothing of that.
///
/// # Safety
/// As `scmi_engine_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_permit(
    engine: *mut scmi_engine,
    agent: u16,
    device: u16,
    protocol: u8,
    allow: bool,
) -> i32 {
    let only = (protocol != 0).then_some(ProtocolId(protocol));
    // SAFETY: what the caller promises.
    code(unsafe { server(engine) }.permit(AgentId(agent), device.into(), only, allow))
}

/// Tries again what failed and has to be done: hardware that no agent wants on and that did not go off, a rate or a level that could
/// not be given back. Returns the first thing that still fails.
///
/// # Safety
/// As `scmi_engine_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_engine_retry(engine: *mut scmi_engine) -> i32 {
    // SAFETY: what the caller promises.
    code(unsafe { server(engine) }.retry())
}

fn code(result: Result<(), Status>) -> i32 {
    match result {
        Ok(()) => SCMI_ENGINE_SUCCESS,
        Err(status) => status.code(),
    }
}

/// # Safety
/// [`scmi_engine_init`] made the engine, and nobody else works on it for `'a`.
unsafe fn server<'a>(engine: *mut scmi_engine) -> &'a mut Server {
    // SAFETY: what the caller promises.
    unsafe { &mut *(&raw mut (*engine).state).cast() }
}

/// Memory that C lends for a message: none if it is null.
///
/// # Safety
/// It is as long as `length` says, has values, and is lent to nobody else for `'a`.
unsafe fn bytes<'a>(first: *mut u8, length: usize) -> &'a mut [u8] {
    if first.is_null() {
        return &mut [];
    }
    // SAFETY: what the caller promises.
    unsafe { core::slice::from_raw_parts_mut(first, length) }
}
