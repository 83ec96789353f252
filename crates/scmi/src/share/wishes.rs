// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How agents share a resource. Each has a [wish](crate::state::memory::Wish) of it; [`Engine::settle`] has the hardware
//! be what comes of them all, whatever changed them: a command, a reset, a denial, an agent that goes away.
//!
//! 1. A resource is on while an agent wants it on that is not denied it. A reset domain is "on" while it is not held in
//!    reset.
//! 2. Before it is switched on, its rate or level is brought within the limits of the agent that wants that. An agent
//!    in whose way another one's stands is answered BUSY.
//! 3. An agent changes what it runs at only while no other one has it on, nor what follows it.
//! 4. When the agent that chose a rate or level lets go of the resource, and none has it on, the resource is set to what
//!    another agent wants, or else to what it had at boot.
//!
//! One step is taken after the other. What the platform does [later](When::Later) is [gone on with](Engine::settled) when
//! it is done.

use super::protocol::{Call, Protocol};
use crate::Status;
use crate::state::Engine;
use crate::state::ids::{AgentId, GrantId, ResourceId, Target};
use crate::state::memory::{Bits, Chosen, Grant, Wish};
use crate::state::platform::{Platform, Switch, When};
use crate::state::task::{Awaits, Doing, Slot, State, Task, Ticket, Wanted};

impl<P: Platform> Call<'_, '_, P> {
    /// Has the agent want a resource on or off, which it needs the right to. `value` is what a delayed response says.
    pub(crate) fn vote(
        &mut self,
        grant: GrantId,
        on: bool,
        value: u64,
        wanted: Wanted,
    ) -> Result<(), Status> {
        let it = self.grant(grant)?;
        if !it.rights.switch {
            return Err(Status::Denied);
        }
        let wish = Wish { on, ..it.wish };
        self.wish(grant, wish, value, wanted)
    }

    /// Has the agent wish something of a resource, and the hardware be what comes of that. What fails changes nothing.
    pub(crate) fn wish(
        &mut self,
        grant: GrantId,
        wish: Wish,
        value: u64,
        wanted: Wanted,
    ) -> Result<(), Status> {
        let (row, by) = (self.row, self.agent);
        let place = self.place(wanted)?;
        let engine = &mut *self.engine;
        let it = engine.grant(grant)?;
        let (at, before) = (it.at(), it.wish);
        if wish.on && !before.on && !engine.is_within_limits(row, grant)? {
            return Err(Status::Busy);
        }
        engine.set_wish(grant, wish)?;
        let settled = engine.settle(row, at, by);
        // What others want on need not be off for an agent that lets go of it.
        let waits =
            engine.is_busy(at, Slot::Settling) && (wish.on || engine.resource(at)?.votes == 0);
        let settled = match (settled, waits, place) {
            (Ok(()), true, None) => Err(Status::Busy),
            _ => settled,
        };
        if settled.is_err() {
            engine.set_wish(grant, before)?;
            if engine.settle(row, at, by).is_err() {
                engine.platform.retry_later();
            }
            return settled;
        }
        if engine.give_back(row, at).is_err() {
            engine.platform.retry_later();
        }
        match (waits, wanted) {
            (true, _) => {
                let to = if wish.on { Switch::On } else { Switch::Off };
                let state = State::Running(Awaits::Settled(to), wanted);
                self.occupy(place, (grant, value), before, state)
            }
            (false, Wanted::DelayedResponse) => {
                let state = State::Done(wanted, Ok(()));
                self.occupy(place, (grant, value), before, state)
            }
            (false, _) => Ok(()),
        }
    }
}

impl<P: Platform> Engine<'_, P> {
    /// Has the agent whose grant it is wish something, without a word to the hardware.
    pub(crate) fn set_wish(&mut self, grant: GrantId, wish: Wish) -> Result<(), Status> {
        let denied = self.grant(grant)?.denied;
        self.update(grant, wish, denied)
    }

    /// Changes a grant, and counts the agents that have its resource on.
    pub(crate) fn update(
        &mut self,
        grant: GrantId,
        wish: Wish,
        denied: Bits,
    ) -> Result<(), Status> {
        let it = self.grant_mut(grant)?;
        let (at, before) = (it.at(), it.is_on());
        it.wish = wish;
        it.denied = denied;
        let after = it.is_on();
        let resource = self.resource_mut(at)?;
        resource.votes = resource.votes - u16::from(before) + u16::from(after);
        resource.is_limited &= resource.votes != 0;
        Ok(())
    }

    /// Has the hardware be what the agents wish, because of one of them.
    pub(crate) fn settle(
        &mut self,
        row: &Protocol<P>,
        at: Target,
        by: AgentId,
    ) -> Result<(), Status> {
        if self.is_busy(at, Slot::Settling) {
            return Ok(());
        }
        let resource = self.resource(at)?;
        if resource.votes != 0 && !resource.is_limited {
            self.bring_within_limits(row, at)?;
            if self.is_busy(at, Slot::Settling) {
                return Ok(());
            }
            self.resource_mut(at)?.is_limited = true;
        }
        if let Some(to) = self.resource(at)?.switch() {
            let slot = (Slot::Settling, Doing::Switch(to));
            let switch =
                |platform: &mut P, ticket| (row.switch)(platform, by, at.resource, to, ticket);
            match self.begin(at, slot, by, &switch)? {
                When::Now => self.switched(row, at, by, to)?,
                When::Later => return Ok(()),
            }
        }
        (row.settle)(self, by, at.resource)
    }

    fn switched(
        &mut self,
        row: &Protocol<P>,
        at: Target,
        by: AgentId,
        to: Switch,
    ) -> Result<(), Status> {
        self.resource_mut(at)?.on = Some(to == Switch::On);
        (row.switched)(self, by, at.resource, to);
        Ok(())
    }

    /// The platform is done with a step of settling a resource, which goes on.
    pub(crate) fn settled(
        &mut self,
        row: &Protocol<P>,
        ticket: Ticket,
        task: Task,
        result: Result<(), Status>,
    ) -> Result<(), Status> {
        let (at, by) = (ticket.at, task.by);
        if let Err(status) = result {
            return self.not_settled(row, at, task, status);
        }
        match task.doing {
            Doing::Switch(to) => self.switched(row, at, by, to)?,
            Doing::Change => (row.changed)(self, by, at.resource),
            Doing::Other | Doing::Nothing => {}
        }
        if let Err(status) = self.settle(row, at, by) {
            // It is the next step that failed.
            let doing = self.resource(at)?.switch();
            let doing = doing.map_or(Doing::Other, Doing::Switch);
            return self.not_settled(row, at, Task { doing, ..task }, status);
        }
        if !self.is_busy(at, Slot::Settling) {
            self.end_waiting(at, Slot::Settling, Ok(()));
            return self.give_back(row, at);
        }
        if let (Doing::Switch(to), Some(_)) = (task.doing, self.resource(at)?.switch()) {
            // It is being switched back: what was wanted has come about all the same.
            self.for_waiting(at, Slot::Settling, &mut |_, _, awaits| {
                (awaits == Awaits::Settled(to)).then_some(Ok(()))
            });
        }
        Ok(())
    }

    /// A step failed. The agents that waited for it do not have what they wished, and wish what they did before.
    fn not_settled(
        &mut self,
        row: &Protocol<P>,
        at: Target,
        task: Task,
        status: Status,
    ) -> Result<(), Status> {
        match task.doing {
            Doing::Change => self.resource_mut(at)?.chosen = Chosen::ByNoneLeft,
            Doing::Other => (row.failed)(self, at.resource),
            Doing::Switch(_) | Doing::Nothing => {}
        }
        let mut is_undone = false;
        self.for_waiting(at, Slot::Settling, &mut |engine, pending, awaits| {
            let is_failed = match task.doing {
                Doing::Switch(to) => awaits == Awaits::Settled(to),
                Doing::Change => awaits == Awaits::Settled(Switch::On),
                Doing::Other | Doing::Nothing => true,
            };
            if !is_failed {
                return Some(Ok(()));
            }
            is_undone = true;
            engine.set_wish(pending.grant, pending.before).ok();
            Some(Err(status))
        });
        match is_undone {
            true => self.settle(row, at, task.by),
            false => Err(status),
        }
    }

    /// Whether a resource runs within the limits of the agent whose grant it is, or would when it is switched on.
    pub(crate) fn is_within_limits(
        &self,
        row: &Protocol<P>,
        grant: GrantId,
    ) -> Result<bool, Status> {
        let it = self.grant(grant)?;
        let mut others = self.holders(it.at());
        let has_others = others.any(|(id, other)| id != grant && other.is_on());
        let Some(setting) = row.setting.as_ref().filter(|_| has_others) else {
            return Ok(true);
        };
        let Ok(now) = (setting.now)(&self.platform, it.resource) else {
            return Ok(true); // The platform cannot tell.
        };
        let (value, _) = self.nearest(row, it.at(), now, grant)?;
        Ok((setting.nearest)(&self.platform, it.agent, it.resource, value)? == value)
    }

    /// The nearest to a value that is within the limits of all agents that have a resource on, but for one of its grants,
    /// and one of these agents whose limits the value itself is not within.
    fn nearest(
        &self,
        row: &Protocol<P>,
        at: Target,
        value: u64,
        except: GrantId,
    ) -> Result<(u64, Option<AgentId>), Status> {
        let mut nearest = (value, None);
        let Some(setting) = &row.setting else {
            return Ok(nearest);
        };
        for (id, grant) in self.holders(at) {
            if grant.is_on() && id != except {
                let its = (setting.nearest)(&self.platform, grant.agent, at.resource, nearest.0)?;
                if its != nearest.0 {
                    nearest = (its, Some(grant.agent));
                }
            }
        }
        Ok(nearest)
    }

    fn bring_within_limits(&mut self, row: &Protocol<P>, at: Target) -> Result<(), Status> {
        let now = row.setting.as_ref();
        let now = now.and_then(|setting| (setting.now)(&self.platform, at.resource).ok());
        let Some(now) = now else {
            return Ok(());
        };
        match self.nearest(row, at, now, GrantId::NONE)? {
            (value, Some(agent)) => self.set(row, at, agent, value),
            _ => Ok(()),
        }
    }

    /// Sets a resource to a value for an agent, whatever a command was to set it to.
    fn set(
        &mut self,
        row: &Protocol<P>,
        at: Target,
        agent: AgentId,
        value: u64,
    ) -> Result<(), Status> {
        let Some(setting) = &row.setting else {
            return Ok(());
        };
        let set = |platform: &mut P, ticket| {
            (setting.set)(platform, agent, at.resource, value, Some(ticket))
        };
        self.begin_change(row, at, agent, &set)?;
        self.resource_mut(at)?.chosen = Chosen::By(agent);
        Ok(())
    }

    fn begin_change(
        &mut self,
        row: &Protocol<P>,
        at: Target,
        by: AgentId,
        change: &dyn Fn(&mut P, Ticket) -> Result<When, Status>,
    ) -> Result<(), Status> {
        let when = self.begin(at, (Slot::Settling, Doing::Change), by, change)?;
        self.overtake(at);
        if when == When::Now {
            (row.changed)(self, by, at.resource);
        }
        Ok(())
    }

    /// Whether what a resource runs at is no other agent's business but `agent`'s: no other one has it on, nor anything
    /// that would follow.
    pub(crate) fn is_free(&self, row: &Protocol<P>, at: Target, agent: AgentId) -> bool {
        let dependents = self.dependents(row, at);
        let mut all = dependents.iter().chain(core::iter::once(&at.resource));
        all.all(|&resource| {
            let mut holders = self.holders(at.kind.at(resource));
            !holders.any(|(_, grant)| grant.is_on() && grant.agent != agent)
        })
    }

    /// The resources that follow one, which are the same whichever agent asks.
    pub(crate) fn dependents(&self, row: &Protocol<P>, at: Target) -> &[ResourceId] {
        let first = self.grant(self.first_holder(at));
        match (&row.setting, first) {
            (Some(setting), Ok(grant)) => {
                (setting.dependents)(&self.platform, grant.agent, at.resource)
            }
            _ => &[],
        }
    }

    /// Gives a resource what it is to have when the agent that chose its rate or level has let go of it, and none has it
    /// on.
    pub(crate) fn give_back(&mut self, row: &Protocol<P>, at: Target) -> Result<(), Status> {
        let Some(setting) = &row.setting else {
            return Ok(());
        };
        if self.resource(at)?.chosen != Chosen::ByNoneLeft
            || self.is_busy(at, Slot::Settling)
            || !self.is_free(row, at, AgentId::PLATFORM)
        {
            return Ok(());
        }
        let wants = |(_, grant): (_, &Grant)| Some((grant.agent, grant.wants()?));
        let wish = self.holders(at).find_map(wants);
        if let Some((agent, value)) = wish {
            if self.set(row, at, agent, value).is_ok() {
                return Ok(());
            }
        }
        let by = AgentId::PLATFORM;
        let restore =
            |platform: &mut P, ticket| (setting.restore)(platform, by, at.resource, ticket);
        self.begin_change(row, at, by, &restore)?;
        self.resource_mut(at)?.chosen = Chosen::No;
        Ok(())
    }
}
