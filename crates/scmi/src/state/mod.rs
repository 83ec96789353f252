// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the engine knows, and the hardware that it stands on.

pub(crate) mod describe;
pub(crate) mod ids;
pub(crate) mod memory;
pub(crate) mod platform;
pub(crate) mod task;

use crate::Status;
use ids::{AgentId, GrantId, Kind, ResourceId, Target};
use memory::{Agent, Grant, Memory, Resource};
use platform::Platform;
use task::{Doing, Slot};

/// An SCMI platform that serves agents.
///
/// Its owner calls it for one thing at a time, on whatever thread.
pub struct Engine<'a, P> {
    /// The hardware.
    pub platform: P,
    pub(crate) memory: Memory<'a>,
}

impl<P: Platform> Engine<'_, P> {
    pub(crate) fn agents(&self) -> impl Iterator<Item = AgentId> + use<P> {
        (0..).map(AgentId).take(self.memory.agents.len())
    }

    pub(crate) fn agent(&self, agent: AgentId) -> Result<&Agent, Status> {
        let agent = self.memory.agents.get(usize::from(agent.0));
        agent.ok_or(Status::NotFound)
    }

    pub(crate) fn agent_mut(&mut self, agent: AgentId) -> Result<&mut Agent, Status> {
        let agent = self.memory.agents.get_mut(usize::from(agent.0));
        agent.ok_or(Status::NotFound)
    }

    pub(crate) fn grant(&self, grant: GrantId) -> Result<&Grant, Status> {
        let grant = self.memory.grants.get(usize::from(grant.0));
        grant.ok_or(Status::NotFound)
    }

    pub(crate) fn grant_mut(&mut self, grant: GrantId) -> Result<&mut Grant, Status> {
        let grant = self.memory.grants.get_mut(usize::from(grant.0));
        grant.ok_or(Status::NotFound)
    }

    pub(crate) fn resource(&self, at: Target) -> Result<&Resource, Status> {
        let resources = self.memory.resources.of(at.kind);
        let resource = resources.get(usize::from(at.resource.0));
        resource.ok_or(Status::NotFound)
    }

    pub(crate) fn resource_mut(&mut self, at: Target) -> Result<&mut Resource, Status> {
        let resources = self.memory.resources.of_mut(at.kind);
        let resource = resources.get_mut(usize::from(at.resource.0));
        resource.ok_or(Status::NotFound)
    }

    /// All resources of a kind.
    pub(crate) fn resources(&self, kind: Kind) -> impl Iterator<Item = ResourceId> + use<P> {
        (0..)
            .map(ResourceId)
            .take(self.memory.resources.of(kind).len())
    }

    /// All grants of an agent; none if there is no such agent.
    pub(crate) fn grants(&self, agent: AgentId) -> impl Iterator<Item = GrantId> + use<P> {
        let grants = self.agent(agent).map(Agent::all_grants);
        grants.unwrap_or(0..0).map(GrantId)
    }

    /// What a grant is of.
    pub(crate) fn of(&self, grant: GrantId) -> Result<Target, Status> {
        Ok(self.grant(grant)?.at())
    }

    /// All grants of a resource.
    pub(crate) fn holders(&self, at: Target) -> impl Iterator<Item = (GrantId, &Grant)> {
        let with = |id| Some((id, self.grant(id).ok()?));
        let first = with(self.first_holder(at));
        core::iter::successors(first, move |(_, grant)| with(grant.next))
    }

    /// The first of all grants of a resource.
    pub(crate) fn first_holder(&self, at: Target) -> GrantId {
        let resource = self.resource(at);
        resource.map_or(GrantId::NONE, |resource| resource.first)
    }

    /// How many resources of a kind an agent was given.
    pub(crate) fn count_of(&self, agent: AgentId, kind: Kind) -> u16 {
        self.agent(agent).map_or(0, |agent| *agent.count.of(kind))
    }

    /// What an agent calls the resource of one of its grants.
    pub(crate) fn id(&self, grant: GrantId) -> Result<u32, Status> {
        let it = self.grant(grant)?;
        let first = *self.agent(it.agent)?.first.of(it.kind);
        Ok(grant.0.wrapping_sub(first).into())
    }

    /// What an agent calls a resource, if it was given that.
    pub(crate) fn id_of(&self, agent: AgentId, at: Target) -> Option<u32> {
        let mut holders = self.holders(at);
        let (id, _) = holders.find(|(_, grant)| grant.agent == agent)?;
        self.id(id).ok()
    }

    /// Whether the platform is doing something with a resource.
    pub(crate) fn is_busy(&self, at: Target, slot: Slot) -> bool {
        let task = self.resource(at);
        let task = task.ok().and_then(|it| it.tasks.get(slot as usize));
        task.is_some_and(|task| task.doing != Doing::Nothing)
    }
}
