// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Dispatch: commands to the protocols, and what comes of them back; the host's own calls.

use crate::Status;
use crate::protocols::{all, by_id, by_kind, error_event};
use crate::share::operations::Reason;
use crate::share::protocol::{Call, Protocol};
use crate::state::Engine;
use crate::state::ids::{AgentId, GrantId, Profile, ProtocolId};
use crate::state::memory::Memory;
use crate::state::platform::Platform;
use crate::state::task::{Place, Slot, State, Ticket, Wanted};
use crate::wire::{Header, Request, Response, Type};

const PROTOCOL_VERSION: u8 = 0x0;
const PROTOCOL_ATTRIBUTES: u8 = 0x1;
const PROTOCOL_MESSAGE_ATTRIBUTES: u8 = 0x2;
const NEGOTIATE_PROTOCOL_VERSION: u8 = 0x10;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// The response has this many bytes; none if the agent sent no header or left no room for a status.
    Now(usize),
    /// [`Engine::answer`] will have the response when the operation is done.
    Later(Place),
}

impl<'a, P: Platform> Engine<'a, P> {
    /// An engine for `platform`, on which everything is off. What agents want on from the beginning is switched on.
    ///
    /// # Errors
    /// What does not fit together in `memory`:
    /// * `NotFound`: a grant of a resource that the platform does not have.
    /// * `InvalidParameters`: the second grant of the same to one agent; a clock without rates; more or fewer grants
    ///   than the agents count together, or trip points than the sensors count that they were given.
    /// * `OutOfRange`: more than 65,534 grants, or 65,535 trip points or pending commands.
    pub fn new(platform: P, memory: Memory<'a>) -> Result<Self, Status> {
        let mut engine = Self { platform, memory };
        engine.lay_out()?;
        for agent in engine.agents() {
            // What fails stays off, which the agent may find out and try again.
            engine.start(all(), agent).ok();
        }
        Ok(engine)
    }

    /// Finds each agent's grants and each resource's.
    fn lay_out(&mut self) -> Result<(), Status> {
        // A place counts no further.
        if self.memory.pending.len() > u16::MAX.into() {
            return Err(Status::OutOfRange);
        }
        let (mut first, mut trip) = (0u16, 0u16);
        for agent in self.agents() {
            for row in all::<P>() {
                row.offer(self.agent_mut(agent)?);
                for &kind in row.kinds {
                    let it = self.agent_mut(agent)?;
                    *it.first.of_mut(kind) = first;
                    let grants = it.grants(kind);
                    first = grants.end;
                    for id in grants.map(GrantId) {
                        let grant = self.grant_mut(id);
                        let grant = grant.map_err(|_| Status::InvalidParameters)?;
                        grant.agent = agent;
                        grant.kind = kind;
                        grant.trip = trip;
                        let trips = self.lay_out_grant(row, id)?;
                        trip = trip.checked_add(trips.into()).ok_or(Status::OutOfRange)?;
                    }
                }
            }
        }
        if first == u16::MAX {
            return Err(Status::OutOfRange);
        }
        let Memory { grants, trips, .. } = &self.memory;
        if usize::from(first) != grants.len() || usize::from(trip) != trips.len() {
            return Err(Status::InvalidParameters);
        }
        Ok(())
    }

    /// Adds a grant to those of its resource. Returns how many trip points it has.
    fn lay_out_grant(&mut self, row: &Protocol<P>, id: GrantId) -> Result<u8, Status> {
        let (at, agent) = (self.of(id)?, self.grant(id)?.agent);
        let before = self.resource(at)?.first;
        if self.grant(before).is_ok_and(|other| other.agent == agent) {
            return Err(Status::InvalidParameters);
        }
        let trips = (row.check)(&self.platform, agent, at.resource)?;
        let grant = self.grant_mut(id)?;
        grant.next = before;
        grant.trips = trips;
        self.resource_mut(at)?.first = id;
        Ok(trips)
    }

    /// Lets notifications and delayed responses reach `agent`, or not: virtio's VIRTIO_SCMI_F_P2A_CHANNELS. Without
    /// them, as it is at first, neither is offered nor accepted.
    pub fn set_events(&mut self, agent: AgentId, reach: bool) {
        if let Ok(agent) = self.agent_mut(agent) {
            agent.events = reach;
        }
    }

    /// Does what `agent` asks in `request`, and puts the response into `response`, whose length is all the room that
    /// there is.
    pub fn handle(&mut self, agent: AgentId, request: &[u8], response: &mut [u8]) -> Answer {
        let mut request = Request(request);
        let Ok(header) = request.word().map(Header) else {
            return Answer::Now(0);
        };
        let Some(mut response) = Response::begin(response, header) else {
            return Answer::Now(0);
        };
        let (later, status) = match self.command(agent, header, request, &mut response) {
            Ok(later) => (later, Ok(())),
            Err(status) => (None, Err(status)),
        };
        let length = response.end(status);
        later.map_or(Answer::Now(length), Answer::Later)
    }

    /// Finds the protocol, and whether the message exists for this agent.
    fn command(
        &mut self,
        agent: AgentId,
        header: Header,
        request: Request<'_>,
        response: &mut Response<'_>,
    ) -> Result<Option<Place>, Status> {
        if !header.is_command() {
            return Err(Status::ProtocolError);
        }
        let it = self.agent(agent)?;
        let row = by_id(header.protocol()).filter(|row| row.is_offered_to(it));
        let row = row.ok_or(Status::NotSupported)?;
        if row.is_denied_to(it) {
            return Err(Status::Denied);
        }
        let (profile, configured) = (row.profile(it), it.profile);
        if header.message() == PROTOCOL_VERSION {
            response.word(row.version(configured));
            return Ok(None);
        }
        let describes = match header.message() {
            PROTOCOL_ATTRIBUTES | PROTOCOL_MESSAGE_ATTRIBUTES => false,
            NEGOTIATE_PROTOCOL_VERSION if configured >= Profile::V3_2 => false,
            NEGOTIATE_PROTOCOL_VERSION => return Err(Status::NotSupported),
            id => {
                let message = row.message(id).ok_or(Status::NotFound)?;
                if !message.is_for(it, profile) {
                    return Err(Status::NotSupported);
                }
                message.describes
            }
        };
        let mut call = Call {
            engine: self,
            row,
            agent,
            profile,
            describes,
            header,
            request,
            later: None,
        };
        match header.message() {
            PROTOCOL_MESSAGE_ATTRIBUTES => message_attributes(&mut call, response)?,
            NEGOTIATE_PROTOCOL_VERSION => negotiate(&mut call)?,
            message if message == row.name_get => name_get(&mut call, response)?,
            message => (row.handle)(&mut call, message, response)?,
        }
        Ok(call.later)
    }

    /// The platform is done with what a ticket names, and how that ended. Does nothing if the platform need not do that
    /// any longer.
    pub fn complete(&mut self, ticket: Ticket, result: Result<(), Status>) {
        let Some(row) = by_kind(ticket.at.kind) else {
            return;
        };
        let Some(task) = self.end_task(ticket) else {
            return;
        };
        match ticket.slot {
            Slot::Command => self.end_command(row, ticket, task.by, result),
            Slot::Settling => {
                let mut settled = self.settled(row, ticket, task, result);
                let mut next = self.first_holder(ticket.at);
                while let Ok(grant) = self.grant(next) {
                    next = grant.next;
                    let agent = grant.agent;
                    settled = settled.and(self.go_on(all(), agent));
                }
                if settled.is_err() {
                    self.platform.retry_later();
                }
            }
        }
    }

    /// Puts the response to a command that was to be answered [later](Answer::Later) into `response`, and returns its
    /// length. `None` as long as the operation is not done, and if the agent was [reset](Reason::Disconnected) since.
    pub fn answer(&mut self, place: Place, response: &mut [u8]) -> Option<usize> {
        let pending = self.pending(place)?;
        let (grant, header) = (pending.grant, pending.header());
        let State::Done(Wanted::Response, result) = pending.state else {
            return None;
        };
        let row = by_id(header.protocol())?;
        self.free(place);
        let Some(mut response) = Response::begin(response, header) else {
            return Some(0);
        };
        let result =
            result.and_then(|()| (row.respond)(self, grant, header.message(), &mut response));
        Some(response.end(result))
    }

    /// Puts the next message for `agent` into `buffer`: what became of its operations, or else a notification.
    /// Returns its length, or `None` if there is nothing to say.
    ///
    /// The buffer is as long as the one that the agent gets it in. A notification that does not fit is gone. A delayed
    /// response is kept if there is no room for its 8 bytes of header and status; what does not fit otherwise becomes a
    /// status of PROTOCOL_ERROR.
    pub fn next_event(&mut self, agent: AgentId, buffer: &mut [u8]) -> Option<usize> {
        while let Some(place) = self.next_done(agent) {
            let pending = self.pending(place)?;
            let length = match pending.state {
                State::Done(Wanted::Nothing, Err(status)) => {
                    error_event(self.own_id(agent), pending.header(), status, buffer)
                }
                _ => Some(self.delayed_response(place, buffer)?),
            };
            self.free(place);
            if length.is_some() {
                return length;
            }
        }
        while let Some((grant, event)) = self.next_due(agent) {
            let row = by_kind(self.grant(grant).ok()?.kind)?;
            let length = self.notification(row, grant, event, buffer);
            if length.is_some() {
                return length;
            }
        }
        None
    }

    /// `None` if there is no room even for its status.
    fn delayed_response(&self, place: Place, buffer: &mut [u8]) -> Option<usize> {
        let pending = self.pending(place)?;
        let State::Done(_, result) = pending.state else {
            return None;
        };
        let row = by_id(pending.header().protocol())?;
        let header = pending.header().with(Type::DelayedResponse);
        let mut response = Response::begin(buffer, header)?;
        let result = result.and_then(|()| {
            response.word(self.id(pending.grant)?);
            (row.respond_delayed)(self, pending.grant, pending.value.get(), &mut response)
        });
        Some(response.end(result))
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
    /// The first thing that failed at once. The platform is told to [retry](Platform::retry_later).
    pub fn reset_agent(&mut self, agent: AgentId, reason: Reason) -> Result<(), Status> {
        self.reset(all(), agent, reason)
    }

    /// Allows or denies an agent what it was given of a [device](crate::Grant::of_device), or of that only what is of a
    /// protocol. It has what is denied in neither way. While it is denied something, what it wants of it counts for
    /// nothing: it is stopped, and goes on as the agent wants it when that is allowed again. A trusted agent can do the
    /// same, and undo it.
    ///
    /// # Errors
    /// `NotFound` if it was given nothing of that.
    pub fn permit(
        &mut self,
        agent: AgentId,
        device: u32,
        only: Option<ProtocolId>,
        allow: bool,
    ) -> Result<(), Status> {
        self.permit_of(all(), agent, (device, only), allow)
    }

    /// Tries again what failed and has to be done: hardware that no agent wants on and that did not go off, a rate or a
    /// level that could not be given back.
    ///
    /// # Errors
    /// The first thing that failed. It still has to be done.
    pub fn retry(&mut self) -> Result<(), Status> {
        self.settle_resources(all(), true)
    }
}

fn message_attributes<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let id = u8::try_from(call.request.word()?).map_err(|_| Status::NotFound)?;
    let agent = call.engine.agent(call.agent)?;
    let exists = match id {
        PROTOCOL_VERSION | PROTOCOL_ATTRIBUTES | PROTOCOL_MESSAGE_ATTRIBUTES => true,
        NEGOTIATE_PROTOCOL_VERSION => agent.profile >= Profile::V3_2,
        id => {
            let message = call.row.message(id);
            message.is_some_and(|message| message.is_for(agent, call.profile))
        }
    };
    if !exists {
        return Err(Status::NotFound);
    }
    response.word(0);
    Ok(())
}

/// The name of a resource, in its 64 bytes.
fn name_get<P: Platform>(
    call: &mut Call<'_, '_, P>,
    response: &mut Response<'_>,
) -> Result<(), Status> {
    let kind = *call.row.kinds.first().ok_or(Status::NotFound)?;
    let (_, resource) = call.resource(kind)?;
    response.word(0);
    response.long_name((call.row.name)(
        &call.engine.platform,
        call.agent,
        resource,
    )?);
    Ok(())
}

/// From now on messages are as in this version. An agent that may negotiate speaks the latest profile, and so all of
/// them.
fn negotiate<P: Platform>(call: &mut Call<'_, '_, P>) -> Result<(), Status> {
    let (version, row) = (call.request.word()?, call.row);
    let spoken = |profile: &Profile| version != 0 && row.version(*profile) == version;
    // Of profiles with the same version the latest: they do not differ in this protocol.
    let profile = Profile::ALL.into_iter().rev().find(spoken);
    let profile = profile.ok_or(Status::NotSupported)?;
    let agent = call.engine.agent_mut(call.agent)?;
    if let Some(negotiated) = agent.negotiated.get_mut(row.slot()) {
        *negotiated = profile;
    }
    Ok(())
}
