// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What takes its time. Each agent has places for so many operations; a delayed response stays in its operation's place
//! until it is fetched, so that it cannot be lost and there is never one too many.

use core::ops::Range;

use crate::engine::{Engine, Reason};
use crate::memory::{Grant, Kind, NONE, Pending, State, Ticket, Wanted};
use crate::platform::{Platform, When};
use crate::protocol::Call;
use crate::wire::{Header, Response};
use crate::{Status, clock, reset, sensor};

impl<P: Platform> Call<'_, '_, P> {
    /// Has the platform do what may take its time, and sees to it that the agent is told what it `wanted`.
    pub(crate) fn operate(
        &mut self,
        kind: Kind,
        grant: u16,
        wanted: Wanted,
        operation: impl FnOnce(&mut P, Ticket) -> Result<When, Status>,
    ) -> Result<(), Status> {
        let ticket = self.engine.reserve(self.agent).ok_or(Status::Busy)?;
        let when = operation(&mut self.engine.platform, ticket)?;
        let state = match (when, wanted) {
            (When::Later, _) => State::Running(wanted),
            (When::Now, Wanted::DelayedResponse) => State::Done(wanted, Ok(())),
            (When::Now, _) => State::Free,
        };
        if (when, wanted) == (When::Later, Wanted::Response) {
            self.later = Some(ticket);
        }
        if let Some(pending) = self.engine.pending(ticket) {
            pending.grant = grant;
            pending.header = self.header.0;
            pending.state = state;
        }
        if when == When::Now {
            self.engine.done(kind, grant);
        }
        if let State::Done(..) = state {
            self.engine.platform.wake(self.agent);
        }
        Ok(())
    }

    /// What the agent wants to be told, by the flags of its command, of which bit 0 makes it asynchronous.
    pub(crate) fn wanted(&self, asynchronous: bool) -> Result<Wanted, Status> {
        match asynchronous {
            false => Ok(Wanted::Response),
            true if self.engine.agent(self.agent)?.events => Ok(Wanted::DelayedResponse),
            true => Err(Status::NotSupported),
        }
    }
}

impl<P: Platform> Engine<'_, P> {
    /// The operation is complete that was begun with `ticket`. Does nothing if its agent was reset meanwhile.
    pub fn complete(&mut self, ticket: Ticket, result: Result<(), Status>) {
        let Some((kind, grant)) = self.operation(ticket) else {
            return;
        };
        let Some(pending) = self.pending(ticket) else {
            return;
        };
        let State::Running(wanted) = pending.state else {
            return;
        };
        pending.state = State::Done(wanted, result);
        match (result, kind) {
            (Ok(()), _) => self.done(kind, grant),
            (Err(_), Kind::Reset) => self.not_reset(grant),
            _ => {}
        }
        let Ok(&Grant { agent, .. }) = self.grant(grant) else {
            return;
        };
        let errors = self.agent(agent).is_ok_and(|agent| agent.errors);
        if wanted == Wanted::Nothing && !(errors && result.is_err()) {
            self.free(ticket);
        } else {
            self.platform.wake(agent);
        }
    }

    /// Puts the response to a command that was to be answered [later](crate::Answer::Later) into `response`, and
    /// returns its length. `None` as long as the operation is not complete, and if its agent is
    /// [gone](Reason::Gone) since.
    pub fn answer(&mut self, ticket: Ticket, response: &mut [u8]) -> Option<usize> {
        let (kind, grant) = self.operation(ticket)?;
        let pending = self.pending(ticket)?;
        let State::Done(Wanted::Response, result) = pending.state else {
            return None;
        };
        pending.state = State::Free;
        let header = Header(pending.header);
        Some(Response::new(response).answer(header, |response| {
            result?;
            match kind {
                Kind::Sensor => sensor::readings(self, grant, response),
                _ => Ok(()),
            }
        }))
    }

    /// Tells all who want to know what an operation has changed.
    fn done(&mut self, kind: Kind, index: u16) {
        let Ok(grant) = self.grant(index) else {
            return;
        };
        let (resource, agent) = (grant.resource, grant.agent);
        match kind {
            Kind::Clock => clock::rate_changed(self, resource, agent),
            Kind::Reset => self.notify(kind, resource, reset::RESET_ISSUED, Some(agent)),
            _ => {}
        }
    }

    /// A reset did not end well, and may have left its domain held in reset or running: it is told again what it is to
    /// be.
    fn not_reset(&mut self, index: u16) {
        let domain = self.grant(index).map_or(NONE, |grant| grant.resource);
        if let Ok(resource) = self.resource_mut(Kind::Reset, domain) {
            resource.on = resource.votes == 0;
        }
        if self.settle(Kind::Reset, index).is_err() {
            self.platform.unfinished();
        }
    }

    /// A free place of the agent, and the ticket of what is to happen there.
    pub(crate) fn reserve(&mut self, agent: u16) -> Option<Ticket> {
        for place in self.places(agent) {
            let pending = self.memory.pending.get_mut(usize::from(place))?;
            if pending.state == State::Free {
                pending.generation = pending.generation.wrapping_add(1);
                return Some(Ticket {
                    place,
                    generation: pending.generation,
                });
            }
        }
        None
    }

    /// An operation whose end the agent is to be told with an event: by a delayed response, or because it failed.
    pub(crate) fn next_done(
        &self,
        agent: u16,
    ) -> Option<(Ticket, Header, Wanted, Result<(), Status>)> {
        self.places(agent).find_map(|place| {
            let pending = self.memory.pending.get(usize::from(place))?;
            let State::Done(wanted, result) = pending.state else {
                return None;
            };
            if wanted == Wanted::Response {
                return None;
            }
            let ticket = Ticket {
                place,
                generation: pending.generation,
            };
            Some((ticket, Header(pending.header), wanted, result))
        })
    }

    /// What an operation is about.
    pub(crate) fn operation(&mut self, ticket: Ticket) -> Option<(Kind, u16)> {
        let pending = self.pending(ticket)?;
        let (grant, protocol) = (pending.grant, Header(pending.header).protocol());
        Some((Kind::of_protocol(protocol)?, grant))
    }

    fn pending(&mut self, ticket: Ticket) -> Option<&mut Pending> {
        let pending = self.memory.pending.get_mut(usize::from(ticket.place))?;
        (pending.generation == ticket.generation).then_some(pending)
    }

    pub(crate) fn free(&mut self, ticket: Ticket) {
        if let Some(pending) = self.pending(ticket) {
            pending.state = State::Free;
        }
    }

    /// Ends all operations of an agent, who is told if it waits for the response and is there. What the platform still
    /// does of them is nobody's any longer.
    pub(crate) fn end_operations(&mut self, agent: u16, reason: Reason) {
        let mut waits = false;
        for place in self.places(agent) {
            if let Some(pending) = self.memory.pending.get_mut(usize::from(place)) {
                pending.state = match pending.state {
                    State::Running(wanted @ Wanted::Response)
                    | State::Done(wanted @ Wanted::Response, _)
                        if reason == Reason::Asked =>
                    {
                        waits = true;
                        State::Done(wanted, Err(Status::GenericError))
                    }
                    _ => State::Free,
                };
            }
        }
        if waits {
            self.platform.wake(agent);
        }
    }

    /// How many operations of one agent may go on at a time.
    pub(crate) fn places_each(&self) -> u16 {
        let each = self
            .memory
            .pending
            .len()
            .checked_div(self.memory.agents.len());
        u16::try_from(each.unwrap_or(0)).unwrap_or(0)
    }

    fn places(&self, agent: u16) -> Range<u16> {
        let each = self.places_each();
        let first = agent.saturating_mul(each);
        first..first.saturating_add(each)
    }
}
