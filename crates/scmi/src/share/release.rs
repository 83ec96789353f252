// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! An agent lets go of what it has, or is given it back: it is reset, goes away, is denied a device or allowed it again.
//!
//! | stages | what happens to the agent's resources |
//! |---|---|
//! | 0 to 4 | those of protocols of this [rank](Protocol::rank) are switched off that no agent wants on |
//! | 5 | rates and levels are given back |
//! | 6 to 10 | those of rank 10 less the stage are switched on that are wanted |
//!
//! So what the agent has is held in reset before what it uses goes away, and is let run after that is back. A stage ends
//! when the platform is done with it; [`Engine::complete`] goes on with the next.

use super::operations::Reason;
use super::protocol::Protocol;
use crate::Status;
use crate::state::Engine;
use crate::state::ids::{AgentId, GrantId, ProtocolId};
use crate::state::memory::{Bits, Chosen, Double, Trip, Wish};
use crate::state::platform::Platform;
use crate::state::task::Slot;

/// The number of ranks.
const RANKS: u8 = 5;

/// A grant's device is taken from the agent.
const DEVICE: u8 = 0;
/// This protocol of it is.
const PROTOCOL: u8 = 1;

impl<P: Platform> Engine<'_, P> {
    /// What an agent wants at boot is what it wants, and is switched on.
    pub(crate) fn start(&mut self, rows: &[Protocol<P>], agent: AgentId) -> Result<(), Status> {
        let mut result = Ok(());
        self.agent_mut(agent)?.stage = Some(RANKS + 1);
        for grant in self.grants(agent) {
            let row = self.row(rows, grant)?;
            result = result.and(self.wish_as_at_boot(row, grant));
        }
        result.and(self.go_on(rows, agent))
    }

    /// Undoes all that an agent set up.
    pub(crate) fn reset(
        &mut self,
        rows: &[Protocol<P>],
        agent: AgentId,
        reason: Reason,
    ) -> Result<(), Status> {
        self.end_pending(agent, reason);
        let it = self.agent_mut(agent)?;
        if reason == Reason::Disconnected {
            it.negotiated = [it.profile; 16];
        }
        it.errors = false;
        it.due = None;
        it.stage = Some(0);
        for grant in self.grants(agent) {
            let row = self.row(rows, grant)?;
            let it = self.grant_mut(grant)?;
            it.subscribed = Bits::default();
            it.due = Bits::default();
            it.measured = Double::default();
            self.trips(grant)?.fill(Trip::default());
            self.set_wish(grant, Wish::default())?;
            self.let_go(agent, grant)?;
            // What is stopped first is stopped in any case.
            if row.rank != 0 {
                self.wish_as_at_boot(row, grant).ok();
            }
        }
        self.settle_all(rows, agent)
    }

    /// Allows or denies an agent what it was given of a device, or of that only what is of a protocol.
    pub(crate) fn permit_of(
        &mut self,
        rows: &[Protocol<P>],
        agent: AgentId,
        (device, only): (u32, Option<ProtocolId>),
        allow: bool,
    ) -> Result<(), Status> {
        let what = if only.is_some() { PROTOCOL } else { DEVICE };
        let mut status = Err(Status::NotFound);
        self.agent(agent)?;
        for grant in self.grants(agent) {
            let row = self.row(rows, grant)?;
            let is_of = device != 0 && u32::from(self.grant(grant)?.device) == device;
            if is_of && only.is_none_or(|only| only == row.id) {
                let mut denied = self.grant(grant)?.denied;
                denied.set(what, !allow);
                self.deny(row, grant, denied)?;
                status = Ok(());
            }
        }
        status?;
        self.agent_mut(agent)?.stage = Some(0);
        // What fails is tried again.
        self.settle_all(rows, agent).ok();
        Ok(())
    }

    /// Allows an agent all that it was given.
    pub(crate) fn allow_all(&mut self, rows: &[Protocol<P>], agent: AgentId) -> Result<(), Status> {
        for grant in self.grants(agent) {
            self.deny(self.row(rows, grant)?, grant, Bits::default())?;
        }
        Ok(())
    }

    /// Has a grant be taken away in these ways.
    fn deny(&mut self, row: &Protocol<P>, grant: GrantId, denied: Bits) -> Result<(), Status> {
        let it = self.grant(grant)?;
        let (agent, at, wish, before) = (it.agent, it.at(), it.wish, it.is_denied());
        self.update(grant, wish, denied)?;
        let it = self.grant(grant)?;
        let (after, wants) = (it.is_denied(), it.wants().is_some());
        let its = self.agent_mut(agent)?;
        let denied = its.denied.of_mut(at.kind);
        *denied = *denied - u16::from(before) + u16::from(after);
        row.offer(its);
        if after {
            return self.let_go(agent, grant);
        }
        if before && wish.on && !self.is_within_limits(row, grant)? {
            // Another agent has it on by now, otherwise than this one can have it.
            self.set_wish(grant, Wish { on: false, ..wish })?;
        }
        if before && wants {
            self.resource_mut(at)?.chosen = Chosen::ByNoneLeft;
        }
        Ok(())
    }

    /// What an agent chose is no agent's choice any longer.
    fn let_go(&mut self, agent: AgentId, grant: GrantId) -> Result<(), Status> {
        let at = self.of(grant)?;
        let chosen = &mut self.resource_mut(at)?.chosen;
        if *chosen == Chosen::By(agent) {
            *chosen = Chosen::ByNoneLeft;
        }
        Ok(())
    }

    fn wish_as_at_boot(&mut self, row: &Protocol<P>, grant: GrantId) -> Result<(), Status> {
        let (starts_on, wish) = (self.grant(grant)?.starts_on, self.grant(grant)?.wish);
        if !starts_on {
            return Ok(());
        }
        if !self.is_within_limits(row, grant)? {
            return Err(Status::Busy);
        }
        self.set_wish(grant, Wish { on: true, ..wish })
    }

    /// Goes through the stages of an agent. What fails is tried again.
    fn settle_all(&mut self, rows: &[Protocol<P>], agent: AgentId) -> Result<(), Status> {
        let result = self.go_on(rows, agent);
        if result.is_err() {
            self.platform.retry_later();
        }
        result
    }

    /// Goes on with the stages of an agent as far as the platform is done. Whatever fails, the rest is done.
    pub(crate) fn go_on(&mut self, rows: &[Protocol<P>], agent: AgentId) -> Result<(), Status> {
        let mut result = Ok(());
        while let Some(stage) = self.agent(agent)?.stage {
            if stage == RANKS {
                result = result.and(self.settle_resources(rows, false));
            }
            let is_up = stage > RANKS;
            let rank = if is_up { 2 * RANKS - stage } else { stage };
            let mut is_done = true;
            for grant in self.grants(agent) {
                let row = self.row(rows, grant)?;
                if row.rank != rank {
                    continue;
                }
                let at = self.of(grant)?;
                if is_up && rank == 0 {
                    result = result.and(self.wish_as_at_boot(row, grant));
                }
                if is_up || self.resource(at)?.votes == 0 {
                    result = result.and(self.settle(row, at, agent));
                }
                is_done &= !self.is_busy(at, Slot::Settling);
            }
            if !is_done {
                break;
            }
            let it = self.agent_mut(agent)?;
            it.stage = (stage < 2 * RANKS).then_some(stage + 1);
        }
        result
    }

    /// Gives all resources back that agents have let go of and none has on. They are settled before if need be, for no
    /// agent.
    pub(crate) fn settle_resources(
        &mut self,
        rows: &[Protocol<P>],
        settle: bool,
    ) -> Result<(), Status> {
        let mut result = Ok(());
        for row in rows {
            for &kind in row.kinds {
                for at in self.resources(kind).map(|resource| kind.at(resource)) {
                    if settle {
                        result = result.and(self.settle(row, at, AgentId::PLATFORM));
                    }
                    result = result.and(self.give_back(row, at));
                }
            }
        }
        result
    }

    /// The protocol of a grant.
    fn row<'r>(&self, rows: &'r [Protocol<P>], grant: GrantId) -> Result<&'r Protocol<P>, Status> {
        let kind = self.grant(grant)?.kind;
        let row = rows.iter().find(|row| row.kinds.contains(&kind));
        row.ok_or(Status::NotFound)
    }

    /// The trip points of a grant: none unless it is of a sensor.
    pub(crate) fn trips(&mut self, grant: GrantId) -> Result<&mut [Trip], Status> {
        let grant = self.grant(grant)?;
        let first = usize::from(grant.trip);
        let end = first + usize::from(grant.trips);
        self.memory
            .trips
            .get_mut(first..end)
            .ok_or(Status::NotFound)
    }
}
