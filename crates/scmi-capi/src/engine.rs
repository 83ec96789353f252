// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The functions.

use scmi::{Answer, Engine, Kind, Reason, Status};

use crate::description::array;
use crate::memory::{scmi_agent, scmi_memory};
use crate::platform::{Hardware, scmi_platform};

/// An SCMI platform that serves agents. Only one function works on it at a time; they are called from wherever.
#[repr(C)]
pub struct scmi_engine {
    bytes: [u64; 19],
}

type Server = Engine<'static, Hardware>;

const _: () = assert!(size_of::<Server>() <= size_of::<scmi_engine>());
const _: () = assert!(align_of::<Server>() <= align_of::<scmi_engine>());

/// Status: it is done.
pub const SCMI_SUCCESS: i32 = 0;
/// Status: the protocol, the message, or what it asks for, is not supported.
pub const SCMI_NOT_SUPPORTED: i32 = -1;
/// Status: a parameter is out of its definition, or a reserved bit is set.
pub const SCMI_INVALID_PARAMETERS: i32 = -2;
/// Status: the agent may not do that, or another agent would notice.
pub const SCMI_DENIED: i32 = -3;
/// Status: there is no such resource.
pub const SCMI_NOT_FOUND: i32 = -4;
/// Status: an index is beyond the end.
pub const SCMI_OUT_OF_RANGE: i32 = -5;
/// Status: as much as possible is going on already.
pub const SCMI_BUSY: i32 = -6;
/// Status: the hardware cannot be reached.
pub const SCMI_COMMS_ERROR: i32 = -7;
/// Status: for what has no status of its own.
pub const SCMI_GENERIC_ERROR: i32 = -8;
/// Status: the hardware failed.
pub const SCMI_HARDWARE_ERROR: i32 = -9;
/// Status: the message is too short, or leaves too little room for its response.
pub const SCMI_PROTOCOL_ERROR: i32 = -10;

/// An agent is reset that is not there any longer, or begins anew: it crashed, it was rebooted. Nobody waits for what it
/// asked, which is forgotten.
pub const SCMI_GONE: i32 = 0;
/// An agent is reset that may still be there. `scmi_answer` has an error for what it waits for.
pub const SCMI_ASKED: i32 = 1;

/// Makes an engine for a platform and its agents, who are numbered from 0. What agents want on from the beginning is
/// switched on.
///
/// Returns `SCMI_SUCCESS`, `SCMI_NOT_FOUND` if something was given that there is not, `SCMI_INVALID_PARAMETERS` if it was
/// given to an agent twice or memory is missing, or `SCMI_OUT_OF_RANGE` if agents are given too much.
///
/// # Safety
/// Nothing is null but what counts 0, strings end with a NUL, and tables have what they count. All of it stays as it
/// is, but for the dependents of clocks, and the engine's memory the engine's alone, as long as that is in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_init(
    engine: *mut scmi_engine,
    platform: *const scmi_platform,
    agents: *const scmi_agent,
    agent_count: u16,
    memory: *const scmi_memory,
) -> i32 {
    // SAFETY: what the caller promises.
    let (hardware, memory) = unsafe {
        let agents = array(agents, agent_count);
        let memory = (*memory).lend(&*platform, agents);
        (Hardware::new(&*platform), memory)
    };
    let server = Server::new(hardware, memory);
    // SAFETY: what the caller promises; there is room, as is asserted above.
    code(server.map(|server| unsafe { engine.cast::<Server>().write(server) }))
}

/// Lets notifications and delayed responses reach an agent, or not, as at first: without, they do not exist for it.
///
/// # Safety
/// As `scmi_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_set_events(engine: *mut scmi_engine, agent: u16, reach: bool) {
    // SAFETY: what the caller promises.
    unsafe { server(engine) }.set_events(agent, reach);
}

/// Does what an agent asks in a request, and puts the response into the room for it. Returns its length, 0 if there is
/// nothing to answer, or -1 if the response comes later: `ticket` is then what `scmi_answer` wants for it.
///
/// The request must not change meanwhile: shared memory is copied first.
///
/// # Safety
/// As `scmi_init` says, for the request, the response and the ticket too, and they do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_handle(
    engine: *mut scmi_engine,
    agent: u16,
    request: *const u8,
    request_length: usize,
    response: *mut u8,
    room: usize,
    ticket: *mut u32,
) -> i32 {
    // SAFETY: what the caller promises.
    let (server, request, response) = unsafe {
        let request = array(request, request_length);
        (server(engine), request, bytes(response, room))
    };
    match server.handle(agent, request, response) {
        Answer::Now(length) => i32::try_from(length).unwrap_or(0),
        Answer::Later(later) => {
            // SAFETY: what the caller promises.
            unsafe { ticket.write(later.into()) };
            -1
        }
    }
}

/// Puts the response to a command that was to be answered later into the room for it. Returns its length, or 0 as long
/// as the operation is not complete, and if its agent is gone since.
///
/// # Safety
/// As `scmi_init` says, for the response too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_answer(
    engine: *mut scmi_engine,
    ticket: u32,
    response: *mut u8,
    room: usize,
) -> usize {
    // SAFETY: what the caller promises.
    let (server, response) = unsafe { (server(engine), bytes(response, room)) };
    server.answer(ticket.into(), response).unwrap_or(0)
}

/// Puts the next delayed response or notification for an agent into the room for it. Returns its length, or 0 if there
/// is none.
///
/// # Safety
/// As `scmi_init` says, for the message too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_next_event(
    engine: *mut scmi_engine,
    agent: u16,
    message: *mut u8,
    room: usize,
) -> usize {
    // SAFETY: what the caller promises.
    let (server, message) = unsafe { (server(engine), bytes(message, room)) };
    server.next_event(agent, message).unwrap_or(0)
}

/// The operation is complete that was begun with a ticket, with this status.
///
/// # Safety
/// As `scmi_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_complete(engine: *mut scmi_engine, ticket: u32, status: i32) {
    // SAFETY: what the caller promises.
    unsafe { server(engine) }.complete(ticket.into(), Status::check(status));
}

/// A sensor has measured, unasked.
///
/// # Safety
/// As `scmi_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_sensor_updated(engine: *mut scmi_engine, sensor: u16) {
    // SAFETY: what the caller promises.
    unsafe { server(engine) }.sensor_updated(sensor);
}

/// Undoes all that an agent set up, because it is gone or because somebody asked for that. Returns the first thing that
/// failed, of which the platform is told as `unfinished`; the rest is done. Permissions stay.
///
/// # Safety
/// As `scmi_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_reset_agent(
    engine: *mut scmi_engine,
    agent: u16,
    reason: i32,
) -> i32 {
    let reason = match reason {
        SCMI_GONE => Reason::Gone,
        SCMI_ASKED => Reason::Asked,
        _ => return SCMI_INVALID_PARAMETERS,
    };
    // SAFETY: what the caller promises.
    code(unsafe { server(engine) }.reset_agent(agent, reason))
}

/// Allows or denies an agent what it was given of a device, or of that only what is of a protocol, if that is not 0. It
/// has what is denied in neither way. Returns `SCMI_NOT_FOUND` if it was given nothing of that.
///
/// # Safety
/// As `scmi_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_permit(
    engine: *mut scmi_engine,
    agent: u16,
    device: u16,
    protocol: u8,
    allow: bool,
) -> i32 {
    let only = Kind::of_protocol(protocol);
    if only.is_none() && protocol != 0 {
        return SCMI_NOT_FOUND;
    }
    // SAFETY: what the caller promises.
    code(unsafe { server(engine) }.permit(agent, device.into(), only, allow))
}

/// Tries again what is unfinished: hardware that nobody wants on and that did not go off, a rate or a level that could
/// not be given back. Returns the first thing that still fails.
///
/// # Safety
/// As `scmi_init` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scmi_try_again(engine: *mut scmi_engine) -> i32 {
    // SAFETY: what the caller promises.
    code(unsafe { server(engine) }.try_again())
}

fn code(result: Result<(), Status>) -> i32 {
    match result {
        Ok(()) => SCMI_SUCCESS,
        Err(status) => status.code(),
    }
}

/// # Safety
/// [`scmi_init`] made the engine, and nobody else works on it for `'a`.
unsafe fn server<'a>(engine: *mut scmi_engine) -> &'a mut Server {
    // SAFETY: what the caller promises.
    unsafe { &mut *engine.cast() }
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
