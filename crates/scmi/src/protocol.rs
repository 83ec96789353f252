// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What all protocols have in common: versions, and the messages with which an agent finds out what there is.

use crate::engine::Engine;
use crate::memory::{Agent, Kind, PerKind, Ticket};
use crate::platform::Platform;
use crate::wire::{Header, Request, Response};
use crate::{Status, base, clock, power, reset, sensor, voltage};

/// A version of SCMI, which is a version of each protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// SCMI 2.0.
    V2_0,
    /// SCMI 3.0, with voltage domains.
    V3_0,
    /// SCMI 3.1, with long names and notifications of clock rates.
    V3_1,
    /// SCMI 3.2, with parents of clocks. What Linux 6.12 speaks.
    #[default]
    V3_2,
}

impl Profile {
    const ALL: [Self; 4] = [Self::V2_0, Self::V3_0, Self::V3_1, Self::V3_2];
}

/// A protocol.
pub(crate) struct Protocol {
    pub(crate) id: u8,
    /// The protocol's version in each profile; 0 before there was one.
    pub(crate) versions: [u32; 4],
    /// What there is beside what all protocols have.
    pub(crate) messages: &'static [Message],
}

/// A command.
pub(crate) struct Message {
    id: u8,
    since: Profile,
    /// It asks for notifications.
    notifies: bool,
    /// It is for trusted agents.
    trusted: bool,
}

impl Message {
    pub(crate) const fn new(id: u8, since: Profile) -> Self {
        Self {
            id,
            since,
            notifies: false,
            trusted: false,
        }
    }

    pub(crate) const fn notifies(id: u8, since: Profile) -> Self {
        Self {
            id,
            since,
            notifies: true,
            trusted: false,
        }
    }

    pub(crate) const fn trusted(id: u8, since: Profile) -> Self {
        Self {
            id,
            since,
            notifies: false,
            trusted: true,
        }
    }

    fn is_for(&self, agent: &Agent, profile: Profile) -> bool {
        self.since <= profile
            && (agent.events || !self.notifies)
            && (agent.trusted || !self.trusted)
    }
}

const PROTOCOL_VERSION: u8 = 0x0;
const PROTOCOL_ATTRIBUTES: u8 = 0x1;
const PROTOCOL_MESSAGE_ATTRIBUTES: u8 = 0x2;
const NEGOTIATE_PROTOCOL_VERSION: u8 = 0x10;

impl Protocol {
    pub(crate) fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Power => &power::PROTOCOL,
            Kind::Clock => &clock::PROTOCOL,
            Kind::Sensor => &sensor::PROTOCOL,
            Kind::Reset => &reset::PROTOCOL,
            Kind::Voltage => &voltage::PROTOCOL,
        }
    }

    pub(crate) fn version(&self, profile: Profile) -> u32 {
        let version = self.versions.get(profile as usize);
        version.copied().unwrap_or(0)
    }
}

impl Kind {
    /// What the resources of a protocol are.
    pub fn of_protocol(id: u8) -> Option<Self> {
        let is = |kind: &Self| Protocol::of(*kind).id == id;
        Self::ALL.into_iter().find(is)
    }
}

/// A command that is being worked on.
pub(crate) struct Call<'c, 'a, P> {
    pub(crate) engine: &'c mut Engine<'a, P>,
    pub(crate) agent: u16,
    pub(crate) header: Header,
    pub(crate) request: Request<'c>,
    /// The operation whose end the response waits for.
    pub(crate) later: Option<Ticket>,
}

impl<P: Platform> Call<'_, '_, P> {
    /// Does what the agent asks, and adds the return values to `response`.
    pub(crate) fn answer(&mut self, response: &mut Response<'_>) -> Result<(), Status> {
        if !self.header.is_command() {
            return Err(Status::ProtocolError);
        }
        let id = self.header.protocol();
        if id == base::PROTOCOL.id {
            let profile = self.engine.agent(self.agent)?.profile;
            return self.message(&base::PROTOCOL, profile, response, base::handle);
        }
        let kind = Kind::of_protocol(id).ok_or(Status::NotSupported)?;
        if !self.engine.offers(self.agent, kind) {
            return Err(Status::NotSupported);
        }
        let profile = self.engine.profile(self.agent, kind)?;
        let handle = match kind {
            Kind::Power => power::handle,
            Kind::Clock => clock::handle,
            Kind::Sensor => sensor::handle,
            Kind::Reset => reset::handle,
            Kind::Voltage => voltage::handle,
        };
        self.message(Protocol::of(kind), profile, response, handle)
    }

    fn message(
        &mut self,
        protocol: &Protocol,
        profile: Profile,
        response: &mut Response<'_>,
        handle: fn(&mut Self, u8, &mut Response<'_>) -> Result<(), Status>,
    ) -> Result<(), Status> {
        let agent = self.engine.agent(self.agent)?;
        let configured = agent.profile;
        let exists = |id: u32| match u8::try_from(id) {
            Ok(PROTOCOL_VERSION | PROTOCOL_ATTRIBUTES | PROTOCOL_MESSAGE_ATTRIBUTES) => true,
            Ok(NEGOTIATE_PROTOCOL_VERSION) => configured >= Profile::V3_2,
            Ok(id) => {
                let mut messages = protocol.messages.iter();
                messages.any(|message| message.id == id && message.is_for(agent, profile))
            }
            Err(_) => false,
        };
        let message = self.header.message();
        if !exists(message.into()) {
            return Err(Status::NotSupported);
        }
        match message {
            PROTOCOL_VERSION => response.word(protocol.version(configured)),
            PROTOCOL_MESSAGE_ATTRIBUTES => {
                if !exists(self.request.word()?) {
                    return Err(Status::NotFound);
                }
                response.word(0);
            }
            NEGOTIATE_PROTOCOL_VERSION => {
                let version = self.request.word()?;
                self.negotiate(protocol, version)?;
            }
            _ => handle(self, message, response)?,
        }
        Ok(())
    }

    /// From now on messages are as in this version. Who may negotiate speaks the latest profile, and so all of them.
    fn negotiate(&mut self, protocol: &Protocol, version: u32) -> Result<(), Status> {
        let agent = self.engine.agent_mut(self.agent)?;
        let spoken = |profile: &Profile| version != 0 && protocol.version(*profile) == version;
        // Of profiles with the same version the latest: they do not differ in this protocol.
        let profile = Profile::ALL.into_iter().rev().find(spoken);
        let profile = profile.ok_or(Status::NotSupported)?;
        for kind in Kind::ALL {
            if Protocol::of(kind).id == protocol.id {
                *agent.negotiated.of_mut(kind) = profile;
            }
        }
        Ok(())
    }

    /// The grant that the agent calls `id`: its place among all grants.
    pub(crate) fn grant(&self, kind: Kind, id: u32) -> Result<u16, Status> {
        let grant = self.visible(kind, id)?;
        if self.engine.grant(grant)?.is_denied() {
            return Err(Status::Denied);
        }
        Ok(grant)
    }

    /// The same also if the agent may not use it, but does know that it is there.
    pub(crate) fn visible(&self, kind: Kind, id: u32) -> Result<u16, Status> {
        let grants = self.engine.agent(self.agent)?.grants(kind);
        let index = u16::try_from(id).ok();
        let index = index.and_then(|id| grants.start.checked_add(id));
        index
            .filter(|index| grants.contains(index))
            .ok_or(Status::NotFound)
    }

    /// The grant that the next parameter names, and the platform's resource that it is of.
    pub(crate) fn resource(&mut self, kind: Kind) -> Result<(u16, u16), Status> {
        let id = self.request.word()?;
        let grant = self.grant(kind, id)?;
        Ok((grant, self.engine.grant(grant)?.resource))
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
    pub(crate) fn subscription(&mut self, kind: Kind) -> Result<(u16, u16, bool), Status> {
        let (id, control) = (self.request.word()?, self.request.word()?);
        let grant = self.grant(kind, id)?;
        Ok((grant, self.engine.grant(grant)?.resource, flag(control)?))
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

/// Each protocol spoken in the configured profile.
pub(crate) fn negotiated(profile: Profile) -> PerKind<Profile> {
    PerKind {
        power: profile,
        clock: profile,
        sensor: profile,
        reset: profile,
        voltage: profile,
    }
}
