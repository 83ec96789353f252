// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the platform says unasked. Nothing is queued by value: a notification that waits tells what is true when it is
//! fetched, and a second one of the same changes nothing (virtio 1.4, SCMI, eventq).

use crate::engine::Engine;
use crate::memory::{Kind, NONE, Ticket, Wanted};
use crate::platform::Platform;
use crate::protocol::Protocol;
use crate::wire::{Header, Response, Type};
use crate::{Status, base, clock, power, reset, sensor, voltage};

/// POWER_STATE_CHANGE_REQUESTED and CLOCK_RATE_CHANGE_REQUESTED. Sensors, which have another event of that number,
/// change unasked.
pub(crate) const CHANGE_REQUESTED: u8 = 1;

impl<P: Platform> Engine<'_, P> {
    /// Tells all other agents who want to know that `agent` asked for a change that it may ask for, before it is known
    /// whether they stand in the way.
    pub(crate) fn requested(&mut self, kind: Kind, resource: u16, agent: u16, value: u64) {
        if let Ok(resource) = self.resource_mut(kind, resource) {
            resource.requested = value.to_le_bytes();
        }
        self.notify(kind, resource, CHANGE_REQUESTED, Some(agent));
    }

    /// Has all subscribers of an event of a resource notified. They learn whether they caused it themselves.
    pub(crate) fn notify(&mut self, kind: Kind, resource: u16, event: u8, cause: Option<u16>) {
        let mut next = self.resource(kind, resource).map_or(NONE, |it| it.first);
        while let Ok(grant) = self.grant_mut(next) {
            let index = next;
            next = grant.next;
            let own = cause == Some(grant.agent);
            // Who asks for a change knows that.
            if grant.subscribed.has(event) && !(own && event == CHANGE_REQUESTED) {
                grant.own.set(event, own);
                self.due(index, event);
            }
        }
    }

    /// Has the agent whose grant this is notified.
    pub(crate) fn due(&mut self, index: u16, event: u8) {
        let Ok(grant) = self.grant_mut(index) else {
            return;
        };
        let waits = grant.due.first().is_some();
        grant.due.set(event, true);
        if waits {
            return;
        }
        grant.next_due = NONE;
        let number = grant.agent;
        let Ok(agent) = self.agent_mut(number) else {
            return;
        };
        let last = agent.due.map(|(_, last)| last);
        agent.due = Some((agent.due.map_or(index, |(first, _)| first), index));
        if let Some(Ok(last)) = last.map(|last| self.grant_mut(last)) {
            last.next_due = index;
        }
        self.platform.wake(number);
    }

    /// What is due first, which then no longer is.
    fn next_due(&mut self, agent: u16) -> Option<(u16, u8)> {
        let (index, last) = self.agent(agent).ok()?.due?;
        let grant = self.grant_mut(index).ok()?;
        let event = grant.due.first()?;
        grant.due.set(event, false);
        if grant.due.first().is_none() {
            let next = grant.next_due;
            self.agent_mut(agent).ok()?.due = (index != last).then_some((next, last));
        }
        Some((index, event))
    }

    /// Puts the next message for `agent` into `buffer`: what became of its operations, or else a notification.
    /// Returns its length, or `None` if there is nothing to say.
    ///
    /// A notification that does not fit is gone. A delayed response is kept if there is no room for its 8 bytes of
    /// header and status; what does not fit otherwise becomes a status of PROTOCOL_ERROR.
    pub fn next_event(&mut self, agent: u16, buffer: &mut [u8]) -> Option<usize> {
        while let Some((ticket, header, wanted, result)) = self.next_done(agent) {
            let length = match (wanted, result) {
                (Wanted::Nothing, Err(status)) => {
                    base::error_event(self.own_id(agent), header, status, buffer)
                }
                _ => Some(self.delayed_response(ticket, header, result, buffer)?),
            };
            self.free(ticket);
            if length.is_some() {
                return length;
            }
        }
        while let Some((grant, event)) = self.next_due(agent) {
            let length = self.notification(agent, grant, event, buffer);
            if length.is_some() {
                return length;
            }
        }
        None
    }

    /// `None` if there is no room even for its status.
    fn delayed_response(
        &mut self,
        ticket: Ticket,
        header: Header,
        result: Result<(), Status>,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let (kind, grant) = self.operation(ticket)?;
        let header = header.with(Type::DelayedResponse);
        let length = Response::new(buffer).answer(header, |response| {
            result?;
            response.word(self.id(kind, grant)?);
            match kind {
                Kind::Clock => clock::rate_now(self, grant, response),
                Kind::Voltage => voltage::level_now(self, grant, response),
                Kind::Sensor => sensor::readings(self, grant, response),
                Kind::Power => power::state_now(self, grant, response),
                Kind::Reset => Ok(()),
            }
        });
        (length != 0).then_some(length)
    }

    fn notification(
        &mut self,
        agent: u16,
        index: u16,
        event: u8,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let kind = self.kind(agent, index)?;
        let grant = self.grant(index).ok()?;
        if !grant.subscribed.has(event) || grant.is_denied() {
            return None; // Not any longer.
        }
        // Others do not exist for an agent: what they cause, the platform does.
        let cause = if grant.own.has(event) {
            self.own_id(agent)
        } else {
            0
        };
        let header = Header::notification(Protocol::of(kind).id, event);
        Response::new(buffer).notify(header, |response| {
            response.word(cause);
            response.word(self.id(kind, index)?);
            match kind {
                Kind::Power => power::event(self, index, event, response),
                Kind::Clock => clock::event(self, index, event, response),
                Kind::Sensor => sensor::event(self, index, event, response),
                Kind::Reset => reset::reset_issued(response),
                Kind::Voltage => Err(Status::NotSupported),
            }
        })
    }
}
