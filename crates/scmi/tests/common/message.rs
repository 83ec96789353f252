// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Messages, as words.

use scmi::{AgentId, Answer, Engine, Status, Ticket};

use super::Board;

/// A message as words.
pub(crate) fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(crate) fn words(bytes: &[u8]) -> Vec<u32> {
    assert_eq!(bytes.len() % 4, 0);
    let word = |word: &[u8]| u32::from_le_bytes(word.try_into().unwrap());
    bytes.chunks(4).map(word).collect()
}

/// The response to a command that is answered at once, in as much room as Linux leaves for the longest.
#[track_caller]
pub(crate) fn ask(engine: &mut Engine<'_, Board>, agent: u16, request: &[u32]) -> Vec<u32> {
    let mut room = [0xa5; 136];
    let answer = engine.handle(AgentId(agent), &bytes(request), &mut room);
    let Answer::Now(length) = answer else {
        panic!("{answer:?}");
    };
    words(&room[..length])
}

/// The next event, in as much room as Linux leaves.
pub(crate) fn event(engine: &mut Engine<'_, Board>, agent: u16) -> Option<Vec<u32>> {
    let mut room = [0xa5; 136];
    let length = engine.next_event(AgentId(agent), &mut room)?;
    Some(words(&room[..length]))
}

/// Has all operations that go on end well.
pub(crate) fn complete(engine: &mut Engine<'_, Board>) {
    end(engine, Ok(()));
}

/// Has all operations that go on end.
pub(crate) fn end(engine: &mut Engine<'_, Board>, result: Result<(), Status>) {
    for ticket in std::mem::take(&mut engine.platform.tickets) {
        end_one(engine, ticket, result);
    }
}

/// Has an operation end that goes on.
pub(crate) fn end_one(engine: &mut Engine<'_, Board>, ticket: Ticket, result: Result<(), Status>) {
    let begun = &mut engine.platform.begun;
    if let Some(at) = begun.iter().position(|(begun, ..)| *begun == ticket) {
        let (_, kind, resource, to) = begun.remove(at);
        if result.is_ok() {
            engine.platform.set_switch(kind, resource, to);
        }
    }
    engine.complete(ticket, result);
}

/// A name as the words of its field.
pub(crate) fn name16(name: &str) -> [u32; 4] {
    field(name)
}

pub(crate) fn name64(name: &str) -> [u32; 16] {
    field(name)
}

fn field<const WORDS: usize>(name: &str) -> [u32; WORDS] {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(WORDS * 4, 0);
    words(&bytes).try_into().unwrap()
}

pub(crate) const SUCCESS: u32 = 0;
pub(crate) const NOT_SUPPORTED: u32 = -1_i32 as u32;
pub(crate) const INVALID_PARAMETERS: u32 = -2_i32 as u32;
pub(crate) const DENIED: u32 = -3_i32 as u32;
pub(crate) const NOT_FOUND: u32 = -4_i32 as u32;
pub(crate) const OUT_OF_RANGE: u32 = -5_i32 as u32;
pub(crate) const BUSY: u32 = -6_i32 as u32;
pub(crate) const GENERIC_ERROR: u32 = -8_i32 as u32;
pub(crate) const HARDWARE_ERROR: u32 = -9_i32 as u32;
pub(crate) const PROTOCOL_ERROR: u32 = -10_i32 as u32;
