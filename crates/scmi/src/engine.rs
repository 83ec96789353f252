// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The engine: commands in, responses and events out.

use crate::Status;
use crate::memory::{Agent, Bits, Grant, Kind, Memory, NONE, Resource, Ticket, Trip};
use crate::platform::Platform;
use crate::protocol::{Call, Profile, Protocol, negotiated};
use crate::wire::{Header, Request, Response};

/// An SCMI platform that serves agents.
///
/// Whoever owns it calls it for one thing at a time, and may do so from wherever.
pub struct Engine<'a, P> {
    /// The hardware.
    pub platform: P,
    pub(crate) memory: Memory<'a>,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// The response has this many bytes; none if the agent sent no header or left no room for a status.
    Now(usize),
    /// [`Engine::answer`] will have the response when the operation is complete.
    Later(Ticket),
}

/// Why an agent is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not there any longer, or begins anew: it crashed, it was rebooted, it went away. Nobody waits for what it
    /// asked, which is forgotten.
    Gone,
    /// Somebody else asked for that, and it may still be there. It is answered what it waits for: with GENERIC_ERROR.
    Asked,
}

/// What is stopped first is what may use the rest.
const STOP: [Kind; 5] = [
    Kind::Reset,
    Kind::Sensor,
    Kind::Clock,
    Kind::Voltage,
    Kind::Power,
];

impl<'a, P: Platform> Engine<'a, P> {
    /// An engine for `platform`, on which everything is off. What agents want on from the beginning is switched on.
    ///
    /// # Errors
    /// What does not fit together in `memory`:
    /// * `NotFound`: a grant of a resource that the platform does not have.
    /// * `InvalidParameters`: the second grant of the same to one agent; more or fewer grants than the agents count
    ///   together, or trip points than the sensors count that they were given.
    /// * `OutOfRange`: more than 65,534 grants, or 65,535 trip points or operations.
    pub fn new(platform: P, memory: Memory<'a>) -> Result<Self, Status> {
        let mut engine = Self { platform, memory };
        engine.lay_out()?;
        for agent in 0..engine.agents() {
            // What fails stays off, which the agent may find out and try again.
            engine.start_votes(agent).ok();
        }
        Ok(engine)
    }

    /// Finds each agent's grants and each resource's.
    fn lay_out(&mut self) -> Result<(), Status> {
        let Memory {
            agents,
            grants,
            resources,
            trips,
            pending,
        } = &mut self.memory;
        // A ticket counts no further.
        if pending.len() > u16::MAX.into() {
            return Err(Status::OutOfRange);
        }
        let (mut first, mut trip) = (0u16, 0u16);
        for (number, agent) in (0..).zip(agents.iter_mut()) {
            agent.negotiated = negotiated(agent.profile);
            for kind in Kind::ALL {
                *agent.first.of_mut(kind) = first;
                for index in agent.grants(kind) {
                    let grant = grants.get_mut(usize::from(index));
                    let grant = grant.ok_or(Status::InvalidParameters)?;
                    let resource = resources.of_mut(kind).get_mut(usize::from(grant.resource));
                    let resource = resource.ok_or(Status::NotFound)?;
                    grant.agent = number;
                    grant.next = resource.first;
                    if kind == Kind::Sensor {
                        let sensor = self.platform.sensor(number, grant.resource);
                        grant.trip = trip;
                        trip = trip
                            .checked_add(sensor?.trip_points.into())
                            .ok_or(Status::OutOfRange)?;
                    }
                    let before = resource.first;
                    resource.first = index;
                    if grants
                        .get(usize::from(before))
                        .is_some_and(|other| other.agent == number)
                    {
                        return Err(Status::InvalidParameters);
                    }
                }
                first = agent.grants(kind).end;
            }
        }
        if first == u16::MAX {
            return Err(Status::OutOfRange);
        }
        if usize::from(first) != grants.len() || usize::from(trip) != trips.len() {
            return Err(Status::InvalidParameters);
        }
        Ok(())
    }

    /// Lets notifications and delayed responses reach `agent`, or not: virtio's VIRTIO_SCMI_F_P2A_CHANNELS. Without
    /// them, as it is at first, neither is offered nor accepted.
    pub fn set_events(&mut self, agent: u16, reach: bool) {
        if let Ok(agent) = self.agent_mut(agent) {
            agent.events = reach;
        }
    }

    /// Does what `agent` asks in `request`, and puts the response into `response`, whose length is all the room that
    /// there is.
    pub fn handle(&mut self, agent: u16, request: &[u8], response: &mut [u8]) -> Answer {
        let mut request = Request(request);
        let Ok(header) = request.word().map(Header) else {
            return Answer::Now(0);
        };
        let mut call = Call {
            engine: self,
            agent,
            header,
            request,
            later: None,
        };
        let length = Response::new(response).answer(header, |response| call.answer(response));
        match call.later {
            Some(ticket) => Answer::Later(ticket),
            None => Answer::Now(length),
        }
    }

    /// Undoes all that `agent` set up. It finds everything as it was at its first boot, but for what it shares with
    /// others who need it otherwise.
    ///
    /// What it holds is first put into reset, so that nothing of it uses what goes away next. Whatever fails, the rest
    /// is done.
    ///
    /// [Permissions](Self::permit) stay: those that it was denied, and those that it denied others if it is trusted.
    ///
    /// # Errors
    /// The first thing that failed. The platform is told that it is [`unfinished`](Platform::unfinished).
    pub fn reset_agent(&mut self, agent: u16, reason: Reason) -> Result<(), Status> {
        self.end_operations(agent, reason);
        self.forget_settings(agent)?;
        let mut result = Ok(());
        for kind in STOP {
            for index in self.agent(agent)?.grants(kind) {
                let stays = self.grant(index)?.boots_on() && kind != Kind::Reset;
                if !stays {
                    self.count(kind, index, false)?;
                    // Also if that vote is none, as what failed before is tried again.
                    result = result.and(self.settle(kind, index));
                }
            }
        }
        result = result.and(self.give_all_back(agent));
        result = result.and(self.start_votes(agent));
        if result.is_err() {
            self.platform.unfinished();
        }
        result
    }

    /// Tries again what is [`unfinished`](Platform::unfinished): hardware that nobody wants on and that did not go off, a
    /// rate or a level that could not be given back.
    ///
    /// # Errors
    /// The first thing that failed. It is still unfinished.
    pub fn try_again(&mut self) -> Result<(), Status> {
        let mut result = Ok(());
        for kind in STOP {
            for resource in (0..).take(self.memory.resources.of(kind).len()) {
                result = result.and(self.settle_for(kind, resource, None));
            }
        }
        result.and(self.give_all_back(NONE))
    }

    fn give_all_back(&mut self, agent: u16) -> Result<(), Status> {
        let mut result = Ok(());
        for kind in [Kind::Clock, Kind::Voltage] {
            for resource in (0..).take(self.memory.resources.of(kind).len()) {
                result = result.and(self.give_back(kind, resource, agent));
            }
        }
        result
    }

    /// What an agent has negotiated and subscribed to, its trip points and intervals.
    fn forget_settings(&mut self, number: u16) -> Result<(), Status> {
        let agent = self.agent_mut(number)?;
        agent.negotiated = negotiated(agent.profile);
        agent.errors = false;
        agent.due = None;
        for kind in Kind::ALL {
            for index in self.agent(number)?.grants(kind) {
                let grant = self.grant_mut(index)?;
                grant.subscribed = Bits::default();
                grant.due = Bits::default();
                grant.config = 0;
                if kind == Kind::Sensor {
                    self.trips(index)?.fill(Trip::default());
                }
            }
        }
        Ok(())
    }

    /// Switches on what an agent wants on from the beginning, in the order in which it depends on each other.
    fn start_votes(&mut self, agent: u16) -> Result<(), Status> {
        let start = [
            Kind::Power,
            Kind::Voltage,
            Kind::Clock,
            Kind::Sensor,
            Kind::Reset,
        ];
        let mut result = Ok(());
        for kind in start {
            for index in self.agent(agent)?.grants(kind) {
                if self.grant(index)?.boots_on() {
                    result = result.and(self.vote(kind, index, true));
                }
            }
        }
        result
    }

    pub(crate) fn agents(&self) -> u16 {
        u16::try_from(self.memory.agents.len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn agent(&self, agent: u16) -> Result<&Agent, Status> {
        let agent = self.memory.agents.get(usize::from(agent));
        agent.ok_or(Status::NotFound)
    }

    pub(crate) fn agent_mut(&mut self, agent: u16) -> Result<&mut Agent, Status> {
        let agent = self.memory.agents.get_mut(usize::from(agent));
        agent.ok_or(Status::NotFound)
    }

    pub(crate) fn grant(&self, index: u16) -> Result<&Grant, Status> {
        let grant = self.memory.grants.get(usize::from(index));
        grant.ok_or(Status::NotFound)
    }

    pub(crate) fn grant_mut(&mut self, index: u16) -> Result<&mut Grant, Status> {
        let grant = self.memory.grants.get_mut(usize::from(index));
        grant.ok_or(Status::NotFound)
    }

    pub(crate) fn resource(&self, kind: Kind, resource: u16) -> Result<&Resource, Status> {
        let resources = self.memory.resources.of(kind);
        resources.get(usize::from(resource)).ok_or(Status::NotFound)
    }

    pub(crate) fn resource_mut(
        &mut self,
        kind: Kind,
        resource: u16,
    ) -> Result<&mut Resource, Status> {
        let resources = self.memory.resources.of_mut(kind);
        resources
            .get_mut(usize::from(resource))
            .ok_or(Status::NotFound)
    }

    /// The version in which an agent speaks of a kind of resource.
    pub(crate) fn profile(&self, agent: u16, kind: Kind) -> Result<Profile, Status> {
        Ok(*self.agent(agent)?.negotiated.of(kind))
    }

    /// How many resources of a kind an agent was given.
    pub(crate) fn count_of(&self, agent: u16, kind: Kind) -> usize {
        self.agent(agent)
            .map_or(0, |agent| agent.grants(kind).len())
    }

    /// Whether a protocol exists for an agent: of what it was given nothing of, it does not know.
    pub(crate) fn offers(&self, agent: u16, kind: Kind) -> bool {
        let exists = |agent: &Agent| Protocol::of(kind).version(agent.profile) != 0;
        self.agent(agent).is_ok_and(exists) && self.count_of(agent, kind) != 0
    }

    /// What an agent calls the resource of one of its grants.
    pub(crate) fn id(&self, kind: Kind, index: u16) -> Result<u32, Status> {
        let first = *self.agent(self.grant(index)?.agent)?.first.of(kind);
        Ok(index.wrapping_sub(first).into())
    }

    /// What an agent calls a resource, if it was given that.
    pub(crate) fn id_of(&self, agent: u16, kind: Kind, resource: u16) -> Option<u32> {
        let mut holders = self.holders(kind, resource);
        let (index, _) = holders.find(|(_, grant)| grant.agent == agent)?;
        self.id(kind, index).ok()
    }

    /// What kind of resource one of an agent's grants is of.
    pub(crate) fn kind(&self, agent: u16, index: u16) -> Option<Kind> {
        let agent = self.agent(agent).ok()?;
        let of = |kind: &Kind| agent.grants(*kind).contains(&index);
        Kind::ALL.into_iter().find(of)
    }
}
