// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A protocol as the engine has it, and a command of one.

use crate::Status;
use crate::state::Engine;
use crate::state::ids::{AgentId, GrantId, Kind, PerKind, Profile, ProtocolId, ResourceId};
use crate::state::memory::{Agent, Grant};
use crate::state::platform::{Platform, Switch, When};
use crate::state::task::{Place, Ticket};
use crate::wire::{Header, Request, Response};

/// A protocol: a row in the [table](crate::protocols::all) of them. What it does not have is as in
/// [`NOTHING`](Self::NOTHING).
pub(crate) struct Protocol<P> {
    pub(crate) id: ProtocolId,
    /// The protocol's version in each profile; 0 before there was one.
    pub(crate) versions: [u32; 4],
    /// What there is beside what all protocols have: from message 3 on, without a gap.
    pub(crate) messages: &'static [Message],
    /// What its resources are. An agent has the protocol that was given some of them; one without kinds each agent has.
    pub(crate) kinds: &'static [Kind],
    /// What is stopped first, when an agent lets go of all that it has, is what may use the rest: of rank 0.
    pub(crate) rank: u8,
    /// Whether an agent may be given a resource, and how many trip points that has.
    pub(crate) check: fn(&P, AgentId, ResourceId) -> Result<u8, Status>,
    /// The message that tells the long name of a resource; 0 if there is none.
    pub(crate) name_get: u8,
    /// The name of a resource.
    pub(crate) name: fn(&P, AgentId, ResourceId) -> Result<&[u8], Status>,
    /// Does what a message says.
    pub(crate) handle: fn(&mut Call<'_, '_, P>, u8, &mut Response<'_>) -> Result<(), Status>,
    /// What a command returns, of which the message is given, that the platform took its time for.
    pub(crate) respond: fn(&Engine<'_, P>, GrantId, u8, &mut Response<'_>) -> Result<(), Status>,
    /// What a delayed response says after the identifier: what was set, which is given.
    pub(crate) respond_delayed:
        fn(&Engine<'_, P>, GrantId, u64, &mut Response<'_>) -> Result<(), Status>,
    /// What a notification says after the agent and the identifier.
    pub(crate) event: fn(&mut Engine<'_, P>, GrantId, u8, &mut Response<'_>) -> Result<(), Status>,
    /// Switches a resource.
    pub(crate) switch: Act<P, Switch, Ticket>,
    /// Tells agents that it was switched.
    pub(crate) switched: fn(&mut Engine<'_, P>, AgentId, ResourceId, Switch),
    /// How its resources are set to a value, if they can be.
    pub(crate) setting: Option<Setting<P>>,
    /// Has the hardware be what else agents wish, when it is switched as they do.
    pub(crate) settle: fn(&mut Engine<'_, P>, AgentId, ResourceId) -> Result<(), Status>,
    /// Tells agents that a resource was changed, or reset, or has measured.
    pub(crate) changed: fn(&mut Engine<'_, P>, AgentId, ResourceId),
    /// A command, or what [`settle`](Self::settle) began, failed later: it is not known what that left.
    pub(crate) failed: fn(&mut Engine<'_, P>, ResourceId),
}

/// What the platform does with a resource, for an agent.
pub(crate) type Act<P, To, T> = fn(&mut P, AgentId, ResourceId, To, T) -> Result<When, Status>;

/// How a resource is set to a number: the rate of a clock, the level of a regulator.
pub(crate) struct Setting<P> {
    /// What it is set to.
    pub(crate) now: fn(&P, ResourceId) -> Result<u64, Status>,
    /// The nearest to a value that is within the limits of an agent.
    pub(crate) nearest: fn(&P, AgentId, ResourceId, u64) -> Result<u64, Status>,
    pub(crate) set: Act<P, u64, Option<Ticket>>,
    /// Sets it to what it had at boot.
    pub(crate) restore: fn(&mut P, AgentId, ResourceId, Ticket) -> Result<When, Status>,
    /// The others that follow it.
    pub(crate) dependents: fn(&P, AgentId, ResourceId) -> &[ResourceId],
}

impl<P: Platform> Protocol<P> {
    /// A protocol without resources, which does nothing.
    pub(crate) const NOTHING: Self = Self {
        id: ProtocolId(0),
        versions: [0; 4],
        messages: &[],
        kinds: &[],
        rank: 0,
        check: |_, _, _| Ok(0),
        name_get: 0,
        name: |_, _, _| Err(Status::NotFound),
        handle: |_, _, _| Err(Status::NotFound),
        respond: |_, _, _, _| Ok(()),
        respond_delayed: |_, _, _, _| Ok(()),
        event: |_, _, _, _| Err(Status::NotFound),
        switch: |_, _, _, _, _| Ok(When::Now),
        switched: |_, _, _, _| {},
        setting: None,
        settle: |_, _, _| Ok(()),
        changed: |_, _, _| {},
        failed: |_, _| {},
    };

    pub(crate) fn message(&self, id: u8) -> Option<&'static Message> {
        let message = self.messages.get(usize::from(id.wrapping_sub(3)))?;
        (message.id == id).then_some(message)
    }

    pub(crate) fn version(&self, profile: Profile) -> u32 {
        let version = self.versions.get(profile as usize);
        version.copied().unwrap_or(0)
    }

    /// Whether the protocol exists for an agent: one of which it was given nothing does not.
    pub(crate) fn is_offered_to(&self, agent: &Agent) -> bool {
        agent.offered & self.bit() != 0
    }

    /// Whether all of it was taken away from an agent.
    pub(crate) fn is_denied_to(&self, agent: &Agent) -> bool {
        agent.refused & self.bit() != 0
    }

    /// Finds both out.
    pub(crate) fn offer(&self, agent: &mut Agent) {
        let of = |counts: &PerKind<u16>| -> u32 {
            let counts = self.kinds.iter().map(|kind| u32::from(*counts.of(*kind)));
            counts.sum()
        };
        let (given, denied) = (of(&agent.count), of(&agent.denied));
        if (given != 0 || self.kinds.is_empty()) && self.version(agent.profile) != 0 {
            agent.offered |= self.bit();
        }
        agent.refused &= !self.bit();
        if given != 0 && given == denied {
            agent.refused |= self.bit();
        }
    }

    fn bit(&self) -> u16 {
        1 << self.slot()
    }

    /// In which version an agent speaks it.
    pub(crate) fn profile(&self, agent: &Agent) -> Profile {
        let negotiated = agent.negotiated.get(self.slot());
        *negotiated.unwrap_or(&agent.profile)
    }

    /// The protocol's place in [`Agent::negotiated`].
    pub(crate) fn slot(&self) -> usize {
        self.id.slot()
    }
}

/// A command.
pub(crate) struct Message {
    pub(crate) id: u8,
    since: Profile,
    /// It asks for notifications.
    notifies: bool,
    /// It is for trusted agents.
    trusted: bool,
    /// It only describes, and is answered whether the agent may use what it describes or not: Linux does without all
    /// resources of the protocol if it fails for one.
    pub(crate) describes: bool,
}

impl Message {
    pub(crate) const fn new(id: u8, since: Profile) -> Self {
        Self {
            id,
            since,
            notifies: false,
            trusted: false,
            describes: false,
        }
    }

    pub(crate) const fn notifies(id: u8, since: Profile) -> Self {
        Self {
            notifies: true,
            ..Self::new(id, since)
        }
    }

    pub(crate) const fn trusted(id: u8, since: Profile) -> Self {
        Self {
            trusted: true,
            ..Self::new(id, since)
        }
    }

    pub(crate) const fn describes(id: u8, since: Profile) -> Self {
        Self {
            describes: true,
            ..Self::new(id, since)
        }
    }

    pub(crate) fn is_for(&self, agent: &Agent, profile: Profile) -> bool {
        self.since <= profile
            && (agent.events || !self.notifies)
            && (agent.trusted || !self.trusted)
    }
}

/// A command that is being worked on.
pub(crate) struct Call<'c, 'a, P> {
    pub(crate) engine: &'c mut Engine<'a, P>,
    /// The protocol.
    pub(crate) row: &'c Protocol<P>,
    pub(crate) agent: AgentId,
    /// The version in which the agent speaks the protocol.
    pub(crate) profile: Profile,
    /// Whether it only describes.
    pub(crate) describes: bool,
    pub(crate) header: Header,
    pub(crate) request: Request<'c>,
    /// Where the agent waits for the operation's end before it is answered.
    pub(crate) later: Option<Place>,
}

impl<P: Platform> Call<'_, '_, P> {
    /// The grant that the next parameter names, and the platform's resource that it is of.
    pub(crate) fn resource(&mut self, kind: Kind) -> Result<(GrantId, ResourceId), Status> {
        let id = self.request.word()?;
        self.granted(kind, id)
    }

    fn granted(&self, kind: Kind, id: u32) -> Result<(GrantId, ResourceId), Status> {
        let id = self.visible(kind, id)?;
        let grant = self.engine.grant(id)?;
        if grant.is_denied() && !self.describes {
            return Err(Status::Denied);
        }
        Ok((id, grant.resource))
    }

    /// The grant that the agent calls `id`, which it may be denied.
    pub(crate) fn visible(&self, kind: Kind, id: u32) -> Result<GrantId, Status> {
        let grants = self.engine.agent(self.agent)?.grants(kind);
        let index = u16::try_from(id).ok();
        let index = index.and_then(|id| grants.start.checked_add(id));
        let index = index.filter(|index| grants.contains(index));
        index.map(GrantId).ok_or(Status::NotFound)
    }

    /// How many asynchronous operations the agent may have at a time, as attributes tell it.
    pub(crate) fn max_async(&self) -> Result<u32, Status> {
        let events = self.engine.agent(self.agent)?.events;
        let most = u8::try_from(self.engine.places_each()).unwrap_or(u8::MAX);
        Ok(if events { most.into() } else { 0 })
    }

    /// A `*_NOTIFY` command: an identifier, and whether to notify in bit 0.
    pub(crate) fn subscribe(&mut self, kind: Kind, event: u8) -> Result<(), Status> {
        let (grant, _, enable) = self.subscription(kind)?;
        self.engine.grant_mut(grant)?.subscribed.set(event, enable);
        Ok(())
    }

    /// The parameters of a `*_NOTIFY` command: the grant, its resource, and whether to notify.
    pub(crate) fn subscription(
        &mut self,
        kind: Kind,
    ) -> Result<(GrantId, ResourceId, bool), Status> {
        let (id, control) = (self.request.word()?, self.request.word()?);
        let (grant, resource) = self.granted(kind, id)?;
        Ok((grant, resource, flag(control)?))
    }

    /// The grant of the agent that this command is about.
    pub(crate) fn grant(&self, grant: GrantId) -> Result<&Grant, Status> {
        self.engine.grant(grant)
    }
}

/// A word of which only bit 0 is defined.
pub(crate) fn flag(word: u32) -> Result<bool, Status> {
    match word {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Status::InvalidParameters),
    }
}

/// `bit` of a word of flags, if `when`.
pub(crate) fn bit(bit: u32, when: bool) -> u32 {
    u32::from(when) << bit
}
