// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What takes its time. Each agent has places for so many commands that wait; a delayed response stays in its command's
//! place until it is fetched, so that it cannot be lost and there is never one too many.

use core::ops::Range;

use super::protocol::{Act, Call, Protocol};
use crate::Status;
use crate::state::Engine;
use crate::state::ids::{AgentId, GrantId, Target};
use crate::state::memory::{Chosen, Double, Wish};
use crate::state::platform::{Platform, When};
use crate::state::task::{Awaits, Doing, Pending, Place, Slot, State, Task, Ticket, Wanted};
use crate::wire::Header;

/// Whether, and how, a command ends that waits.
pub(crate) type End<'e, E> = dyn FnMut(&mut E, &Pending, Awaits) -> Option<Result<(), Status>> + 'e;

/// Why an agent is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The agent is not there any longer, or begins anew: it crashed, was rebooted, or went away. It waits for nothing
    /// that it asked for, which is forgotten, and has negotiated nothing.
    Disconnected,
    /// The host or a trusted agent asked for that, and the agent may still be there. What it waits for is answered: with
    /// GENERIC_ERROR. It goes on with the versions that it has negotiated.
    Requested,
}

impl<P: Platform> Call<'_, '_, P> {
    /// What the agent wants to be told, by the flags of its command, of which bit 0 makes it asynchronous.
    pub(crate) fn wanted(&self, asynchronous: bool) -> Result<Wanted, Status> {
        match asynchronous {
            false => Ok(Wanted::Response),
            true if self.engine.agent(self.agent)?.events => Ok(Wanted::DelayedResponse),
            true => Err(Status::NotSupported),
        }
    }

    /// Changes what a resource is set to, to `value`, as far as the agent [may](Self::may_change).
    pub(crate) fn change(
        &mut self,
        grant: GrantId,
        value: u64,
        wanted: Wanted,
    ) -> Result<(), Status> {
        self.may_change(grant)?;
        let setting = self.row.setting.as_ref().ok_or(Status::NotSupported)?;
        self.operate(grant, value, wanted, setting.set)?;
        let at = self.engine.of(grant)?;
        self.engine.grant_mut(grant)?.wish.value = Double::from(value);
        self.engine.resource_mut(at)?.chosen = Chosen::By(self.agent);
        Ok(())
    }

    /// The agent has to have the right to change what a resource runs at, and no other agent may have it on, nor what
    /// follows it.
    pub(crate) fn may_change(&self, grant: GrantId) -> Result<(), Status> {
        let it = self.grant(grant)?;
        let is_free = self.engine.is_free(self.row, it.at(), self.agent);
        match it.rights.change && is_free {
            true => Ok(()),
            false => Err(Status::Denied),
        }
    }

    /// Has the platform do what may take its time, and sees to it that the agent is told what it `wanted`. What another
    /// such operation on the resource was to set is no longer to be.
    pub(crate) fn operate(
        &mut self,
        grant: GrantId,
        value: u64,
        wanted: Wanted,
        act: Act<P, u64, Option<Ticket>>,
    ) -> Result<(), Status> {
        let place = self.place(wanted)?;
        let it = self.grant(grant)?;
        let (at, by) = (it.at(), self.agent);
        let engine = &mut *self.engine;
        let when = engine.begin(
            at,
            (Slot::Command, Doing::Change),
            by,
            &|platform, ticket| act(platform, by, at.resource, value, place.and(Some(ticket))),
        )?;
        engine.end_waiting(at, Slot::Command, Err(Status::Busy));
        if when == When::Now {
            (self.row.changed)(engine, by, at.resource);
        }
        self.wait(place, when, (grant, value), wanted)
    }

    /// The same for what need not be done again if it goes on already: to measure, to reset.
    pub(crate) fn operate_or_join(
        &mut self,
        grant: GrantId,
        wanted: Wanted,
        act: Act<P, u64, Option<Ticket>>,
    ) -> Result<(), Status> {
        let it = self.grant(grant)?;
        if self.engine.is_busy(it.at(), Slot::Command) {
            let place = self.place(wanted)?;
            return self.wait(place, When::Later, (grant, 0), wanted);
        }
        self.operate(grant, 0, wanted, act)
    }

    /// A place of the agent, if there is one. Only a delayed response needs it whatever happens.
    pub(crate) fn place(&self, wanted: Wanted) -> Result<Option<Place>, Status> {
        let place = self.engine.free_place(self.agent);
        match (place, wanted) {
            (None, Wanted::DelayedResponse) => Err(Status::Busy),
            _ => Ok(place),
        }
    }

    /// Has the agent wait until an operation is done, or be told that it is.
    fn wait(
        &mut self,
        place: Option<Place>,
        when: When,
        (grant, value): (GrantId, u64),
        wanted: Wanted,
    ) -> Result<(), Status> {
        let state = match (when, wanted) {
            (When::Later, _) => State::Running(Awaits::Command, wanted),
            (When::Now, Wanted::DelayedResponse) => State::Done(wanted, Ok(())),
            (When::Now, _) => return Ok(()),
        };
        self.occupy(place, (grant, value), Wish::default(), state)
    }

    /// Has the command wait in a place.
    pub(crate) fn occupy(
        &mut self,
        place: Option<Place>,
        (grant, value): (GrantId, u64),
        before: Wish,
        state: State,
    ) -> Result<(), Status> {
        let place = place.ok_or(Status::Busy)?;
        let pending = self.engine.memory.pending.get_mut(usize::from(place.index));
        *pending.ok_or(Status::Busy)? = Pending {
            generation: place.generation,
            grant,
            header: self.header.0,
            value: Double::from(value),
            before,
            state,
        };
        match state {
            State::Running(_, Wanted::Response) => self.later = Some(place),
            State::Done(..) => self.engine.platform.wake(self.agent),
            _ => {}
        }
        Ok(())
    }
}

impl<P: Platform> Engine<'_, P> {
    /// Has the platform do something with a resource.
    pub(crate) fn begin(
        &mut self,
        at: Target,
        (slot, doing): (Slot, Doing),
        by: AgentId,
        operation: &dyn Fn(&mut P, Ticket) -> Result<When, Status>,
    ) -> Result<When, Status> {
        let task = self.task_mut(at, slot)?;
        let generation = task.generation.wrapping_add(1);
        let ticket = Ticket {
            at,
            slot,
            generation,
        };
        let when = operation(&mut self.platform, ticket)?;
        *self.task_mut(at, slot)? = Task {
            generation,
            by,
            doing: match when {
                When::Now => Doing::Nothing,
                When::Later => doing,
            },
        };
        Ok(when)
    }

    /// The task of a ticket, which is the platform's no longer. `None` if it was not any more.
    pub(crate) fn end_task(&mut self, ticket: Ticket) -> Option<Task> {
        let task = self.task_mut(ticket.at, ticket.slot);
        let task = task.ok()?;
        if task.generation != ticket.generation || task.doing == Doing::Nothing {
            return None;
        }
        let ended = *task;
        task.doing = Doing::Nothing;
        Some(ended)
    }

    /// The command that the platform carries out on a resource is done.
    pub(crate) fn end_command(
        &mut self,
        row: &Protocol<P>,
        ticket: Ticket,
        by: AgentId,
        result: Result<(), Status>,
    ) {
        let at = ticket.at;
        match result {
            Ok(()) => (row.changed)(self, by, at.resource),
            Err(_) => (row.failed)(self, at.resource),
        }
        self.end_waiting(at, Slot::Command, result);
        if row.setting.is_some() && self.give_back(row, at).is_err() {
            self.platform.retry_later();
        }
    }

    fn task_mut(&mut self, at: Target, slot: Slot) -> Result<&mut Task, Status> {
        let tasks = &mut self.resource_mut(at)?.tasks;
        tasks.get_mut(slot as usize).ok_or(Status::NotFound)
    }

    /// No command has the platform at work on a resource any longer; what waits for one has failed.
    pub(crate) fn overtake(&mut self, at: Target) {
        if let Ok(task) = self.task_mut(at, Slot::Command) {
            task.doing = Doing::Nothing;
        }
        self.end_waiting(at, Slot::Command, Err(Status::Busy));
    }

    /// What waits for the platform to be done with a resource waits no more.
    pub(crate) fn end_waiting(&mut self, at: Target, slot: Slot, result: Result<(), Status>) {
        self.for_waiting(at, slot, &mut |engine, pending, _| {
            let grant = engine.grant_mut(pending.grant);
            if let (Slot::Command, Err(_), Ok(grant)) = (slot, result, grant) {
                // It is told that it does not have what it wanted.
                if grant.wish.value == pending.value {
                    grant.wish.value = Double::default();
                }
            }
            Some(result)
        });
    }

    /// Asks `end` of each command that waits for the platform to be done with a resource whether, and how, it ends.
    pub(crate) fn for_waiting(&mut self, at: Target, slot: Slot, end: &mut End<'_, Self>) {
        let mut next = self.first_holder(at);
        while let Ok(grant) = self.grant(next) {
            let (id, agent) = (next, grant.agent);
            next = grant.next;
            for index in self.places(agent) {
                let Some(pending) = self.memory.pending.get(usize::from(index)) else {
                    return;
                };
                let State::Running(awaits, wanted) = pending.state else {
                    continue;
                };
                if pending.grant != id || awaits.slot() != slot {
                    continue;
                }
                let pending = pending.clone();
                if let Some(result) = end(self, &pending, awaits) {
                    self.end_place(agent, index, wanted, result);
                }
            }
        }
    }

    fn end_place(
        &mut self,
        agent: AgentId,
        index: u16,
        wanted: Wanted,
        result: Result<(), Status>,
    ) {
        let errors = self.agent(agent).is_ok_and(|agent| agent.errors);
        let is_told = wanted != Wanted::Nothing || errors && result.is_err();
        if let Some(pending) = self.memory.pending.get_mut(usize::from(index)) {
            pending.state = match is_told {
                true => State::Done(wanted, result),
                false => State::Free,
            };
        }
        if is_told {
            self.platform.wake(agent);
        }
    }

    /// A free place of the agent, for a command that has the name it gets.
    fn free_place(&self, agent: AgentId) -> Option<Place> {
        self.places(agent).find_map(|index| {
            let pending = self.memory.pending.get(usize::from(index))?;
            (pending.state == State::Free).then_some(Place {
                index,
                generation: pending.generation.wrapping_add(1),
            })
        })
    }

    /// A command whose end the agent is to be told with an event: by a delayed response, or because it failed.
    pub(crate) fn next_done(&self, agent: AgentId) -> Option<Place> {
        self.places(agent).find_map(|index| {
            let pending = self.memory.pending.get(usize::from(index))?;
            match pending.state {
                State::Done(Wanted::DelayedResponse | Wanted::Nothing, _) => Some(Place {
                    index,
                    generation: pending.generation,
                }),
                _ => None,
            }
        })
    }

    pub(crate) fn pending(&self, place: Place) -> Option<&Pending> {
        let pending = self.memory.pending.get(usize::from(place.index))?;
        (pending.generation == place.generation).then_some(pending)
    }

    pub(crate) fn free(&mut self, place: Place) {
        if let Some(pending) = self.memory.pending.get_mut(usize::from(place.index)) {
            pending.state = State::Free;
        }
    }

    /// Ends all that an agent waits for. If it is there it is told so, and what was done before is still to be fetched.
    pub(crate) fn end_pending(&mut self, agent: AgentId, reason: Reason) {
        let mut is_told = false;
        for index in self.places(agent) {
            let Some(pending) = self.memory.pending.get_mut(usize::from(index)) else {
                return;
            };
            pending.state = match pending.state {
                _ if reason == Reason::Disconnected => State::Free,
                State::Running(_, Wanted::Nothing) | State::Done(Wanted::Nothing, _) => State::Free,
                State::Running(_, wanted) | State::Done(wanted @ Wanted::Response, _) => {
                    State::Done(wanted, Err(Status::GenericError))
                }
                done => done,
            };
            is_told |= pending.state != State::Free;
        }
        if is_told {
            self.platform.wake(agent);
        }
    }

    /// How many commands of one agent may wait at a time.
    pub(crate) fn places_each(&self) -> u16 {
        let agents = self.memory.agents.len();
        let each = self.memory.pending.len().checked_div(agents);
        u16::try_from(each.unwrap_or(0)).unwrap_or(0)
    }

    fn places(&self, agent: AgentId) -> Range<u16> {
        let each = self.places_each();
        let first = agent.0.saturating_mul(each);
        first..first.saturating_add(each)
    }
}

impl Pending {
    /// Of the command.
    pub(crate) fn header(&self) -> Header {
        Header(self.header)
    }
}
