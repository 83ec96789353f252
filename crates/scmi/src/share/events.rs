// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the platform says unasked. Nothing is queued by value: a notification that waits tells what is true when it is
//! fetched, and a second one of the same changes nothing (virtio 1.4, SCMI, eventq).

use super::protocol::Protocol;
use crate::Status;
use crate::state::Engine;
use crate::state::ids::{AgentId, GrantId, Target};
use crate::state::memory::Double;
use crate::state::platform::Platform;
use crate::wire::{Header, Response};

/// What each agent is to itself, unless it is trusted and knows of others.
pub(crate) const SELF: u32 = 1;

/// POWER_STATE_CHANGE_REQUESTED and CLOCK_RATE_CHANGE_REQUESTED. Sensors, which have another event of that number,
/// change unasked.
pub(crate) const CHANGE_REQUESTED: u8 = 1;

impl<P: Platform> Engine<'_, P> {
    /// Tells all other agents that subscribed to it that `agent` asked for a change that it may ask for, before it is
    /// known whether they stand in the way.
    pub(crate) fn requested(&mut self, at: Target, agent: AgentId, value: u64) {
        if let Ok(resource) = self.resource_mut(at) {
            resource.value = Double::from(value);
        }
        self.notify(at, CHANGE_REQUESTED, agent);
    }

    /// Has all subscribers of an event of a resource notified. They learn whether they caused it themselves.
    pub(crate) fn notify(&mut self, at: Target, event: u8, cause: AgentId) {
        let mut next = self.first_holder(at);
        while let Ok(grant) = self.grant_mut(next) {
            let id = next;
            next = grant.next;
            let own = cause == grant.agent;
            // The agent that asks for a change knows that.
            if grant.subscribed.has(event) && !(own && event == CHANGE_REQUESTED) {
                grant.own.set(event, own);
                self.due(id, event);
            }
        }
    }

    /// Has the agent whose grant this is notified.
    pub(crate) fn due(&mut self, id: GrantId, event: u8) {
        let Ok(grant) = self.grant_mut(id) else {
            return;
        };
        let waits = grant.due.first().is_some();
        grant.due.set(event, true);
        if waits {
            return;
        }
        grant.next_due = GrantId::NONE;
        let number = grant.agent;
        let Ok(agent) = self.agent_mut(number) else {
            return;
        };
        let last = agent.due.map(|(_, last)| last);
        agent.due = Some((agent.due.map_or(id, |(first, _)| first), id));
        if let Some(Ok(last)) = last.map(|last| self.grant_mut(last)) {
            last.next_due = id;
        }
        self.platform.wake(number);
    }

    /// What is due first, which then no longer is.
    pub(crate) fn next_due(&mut self, agent: AgentId) -> Option<(GrantId, u8)> {
        let (id, last) = self.agent(agent).ok()?.due?;
        let grant = self.grant_mut(id).ok()?;
        let event = grant.due.first()?;
        grant.due.set(event, false);
        if grant.due.first().is_none() {
            let next = grant.next_due;
            self.agent_mut(agent).ok()?.due = (id != last).then_some((next, last));
        }
        Some((id, event))
    }

    /// Puts a notification into `buffer`. `None` if its agent no longer wants it, or it does not fit.
    pub(crate) fn notification(
        &mut self,
        row: &Protocol<P>,
        id: GrantId,
        event: u8,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let grant = self.grant(id).ok()?;
        if !grant.subscribed.has(event) || grant.is_denied() {
            return None;
        }
        // Others do not exist for an agent: what they cause, the platform does.
        let cause = if grant.own.has(event) {
            self.own_id(grant.agent)
        } else {
            0
        };
        let header = Header::notification(row.id.0, event);
        let mut response = Response::event(buffer, header);
        response.word(cause);
        response.word(self.id(id).ok()?);
        let said = (row.event)(self, id, event, &mut response);
        response.end_event(said)
    }

    /// What an agent is to itself.
    pub(crate) fn own_id(&self, agent: AgentId) -> u32 {
        match self.agent(agent) {
            Ok(it) if it.trusted => u32::from(agent.0) + 1,
            _ => SELF,
        }
    }

    /// The agent that `by` calls `id`.
    pub(crate) fn agent_called(&self, by: AgentId, id: u32) -> Result<AgentId, Status> {
        if !self.agent(by)?.trusted {
            return if id == SELF {
                Ok(by)
            } else {
                Err(Status::NotFound)
            };
        }
        let agent = id.checked_sub(1).and_then(|it| u16::try_from(it).ok());
        let agent = AgentId(agent.ok_or(Status::NotFound)?);
        self.agent(agent)?;
        Ok(agent)
    }
}
