// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How agents share: a resource is on while any of them wants it on, and what it runs at changes only while no other
//! one has it on. A reset domain is "on" while it is not held in reset.

use crate::engine::Engine;
use crate::memory::{Changed, Grant, Kind, NONE, Resource, Ticket, Wanted};
use crate::platform::{Platform, Switch, When};
use crate::protocol::Call;
use crate::{Status, clock, power, reset, sensor};

impl<P: Platform> Call<'_, '_, P> {
    /// What the agent may only do with the right to.
    pub(crate) fn vote(&mut self, kind: Kind, grant: u16, on: bool) -> Result<(), Status> {
        if !self.engine.grant(grant)?.rights.switch {
            return Err(Status::Denied);
        }
        self.engine.vote(kind, grant, on)
    }

    /// Changes what a resource runs at, which the agent needs the right to, and nobody else may have it on.
    pub(crate) fn change(
        &mut self,
        kind: Kind,
        index: u16,
        wanted: Wanted,
        operation: impl FnOnce(&mut P, Ticket) -> Result<When, Status>,
    ) -> Result<(), Status> {
        let &Grant {
            resource, rights, ..
        } = self.engine.grant(index)?;
        if !rights.change || !self.engine.is_free(kind, resource, self.agent) {
            return Err(Status::Denied);
        }
        self.operate(kind, index, wanted, operation)?;
        self.engine.resource_mut(kind, resource)?.changed = Changed::By(self.agent);
        Ok(())
    }
}

impl<P: Platform> Engine<'_, P> {
    /// Casts the vote of the agent whose grant this is. The first vote and the last one's withdrawal reach the
    /// hardware; the same vote again does not count again.
    pub(crate) fn vote(&mut self, kind: Kind, index: u16, on: bool) -> Result<(), Status> {
        let before = self.grant(index)?.on;
        self.count(kind, index, on)?;
        let settled = self.settle(kind, index);
        if settled.is_err() {
            self.count(kind, index, before)?;
        }
        settled
    }

    /// Counts a vote without a word to the hardware.
    pub(crate) fn count(&mut self, kind: Kind, index: u16, on: bool) -> Result<(), Status> {
        let grant = self.grant_mut(index)?;
        let resource = grant.resource;
        let before = core::mem::replace(&mut grant.on, on);
        let votes = &mut self.resource_mut(kind, resource)?.votes;
        *votes = *votes - u16::from(before) + u16::from(on);
        Ok(())
    }

    /// Has the hardware be what the votes say, and tells who wants to know.
    pub(crate) fn settle(&mut self, kind: Kind, index: u16) -> Result<(), Status> {
        let &Grant {
            resource, agent, ..
        } = self.grant(index)?;
        self.settle_for(kind, resource, Some(agent))
    }

    /// The same, because of an agent or of none.
    pub(crate) fn settle_for(
        &mut self,
        kind: Kind,
        resource: u16,
        cause: Option<u16>,
    ) -> Result<(), Status> {
        let switched = self.switch(kind, resource, cause);
        match kind {
            // Who has a sensor on has a say in how often it measures.
            Kind::Sensor => switched.and(sensor::settle_interval(self, resource)),
            _ => switched,
        }
    }

    fn switch(&mut self, kind: Kind, resource: u16, cause: Option<u16>) -> Result<(), Status> {
        let &Resource { votes, on, .. } = self.resource(kind, resource)?;
        let to = match votes {
            0 if on => Switch::Off,
            1.. if !on => Switch::On,
            _ => return Ok(()),
        };
        match kind {
            Kind::Power => self.platform.switch_power(resource, to)?,
            Kind::Clock => self.platform.switch_clock(resource, to)?,
            Kind::Sensor => self.platform.switch_sensor(resource, to)?,
            Kind::Reset => self.platform.switch_reset(resource, to)?,
            Kind::Voltage => self.platform.switch_voltage(resource, to)?,
        }
        self.resource_mut(kind, resource)?.on = to == Switch::On;
        match (kind, to) {
            (Kind::Power, _) => self.notify(kind, resource, power::STATE_CHANGED, cause),
            (Kind::Reset, Switch::Off) => self.notify(kind, resource, reset::RESET_ISSUED, cause),
            _ => {}
        }
        Ok(())
    }

    /// Whether it is nobody's business but `agent`'s what a resource runs at: no other agent has it on, nor anything
    /// whose rate would follow.
    pub(crate) fn is_free(&self, kind: Kind, resource: u16, agent: u16) -> bool {
        let dependents = match kind {
            Kind::Clock => self.dependents(resource),
            _ => Ok(&[][..]),
        };
        let dependents = dependents.unwrap_or_default();
        let mut all = dependents.iter().chain(core::iter::once(&resource));
        all.all(|&resource| {
            let mut holders = self.holders(kind, resource);
            !holders.any(|(_, grant)| grant.on && grant.agent != agent)
        })
    }

    /// The clocks whose rates follow, which are the same whoever asks.
    pub(crate) fn dependents(&self, clock: u16) -> Result<&[u16], Status> {
        let agent = self.grant(self.resource(Kind::Clock, clock)?.first)?.agent;
        Ok(self.platform.clock(agent, clock)?.dependents)
    }

    /// Gives a resource back what it booted with, if it lost that to `agent` and nobody else minds.
    pub(crate) fn give_back(
        &mut self,
        kind: Kind,
        resource: u16,
        agent: u16,
    ) -> Result<(), Status> {
        let free = self.is_free(kind, resource, agent);
        let changed = &mut self.resource_mut(kind, resource)?.changed;
        match *changed {
            Changed::No => return Ok(()),
            Changed::By(by) if by != agent => return Ok(()),
            Changed::By(_) | Changed::ByNobodyLeft => *changed = Changed::ByNobodyLeft,
        }
        if !free {
            return Ok(());
        }
        match kind {
            Kind::Clock => {
                self.platform.restore_clock(resource)?;
                clock::rate_changed(self, resource, agent);
            }
            _ => self.platform.restore_voltage(resource)?,
        }
        self.resource_mut(kind, resource)?.changed = Changed::No;
        Ok(())
    }

    /// All grants of a resource.
    pub(crate) fn holders(&self, kind: Kind, resource: u16) -> impl Iterator<Item = (u16, &Grant)> {
        let first = self.resource(kind, resource).map_or(NONE, |it| it.first);
        let with = |index| Some((index, self.grant(index).ok()?));
        core::iter::successors(with(first), move |(_, grant)| with(grant.next))
    }
}
