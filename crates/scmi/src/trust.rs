// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a trusted agent may do to others (SCMI 3.2, base protocol): take devices from them and give those back, and
//! reset them. To it all agents exist. The host does this with [`Engine::permit`] and [`Engine::reset_agent`], and without
//! a trusted agent it alone.
//!
//! A device is what the configuration says belongs to it. An agent is never given what the host did not give it. What
//! it set of a device that is taken away, its votes too, stays until it is reset.

use crate::Status;
use crate::base::SELF;
use crate::engine::{Engine, Reason};
use crate::memory::{Bits, Kind};
use crate::platform::Platform;
use crate::protocol::{Call, flag};

/// A grant's device is taken from the agent.
const DEVICE: u8 = 0;
/// This protocol of it is.
const PROTOCOL: u8 = 1;

/// BASE_SET_DEVICE_PERMISSIONS.
pub(crate) fn set_device_permissions<P: Platform>(
    call: &mut Call<'_, '_, P>,
) -> Result<(), Status> {
    let (agent, device) = (call.request.word()?, call.request.word()?);
    let allow = flag(call.request.word()?)?;
    let agent = call.engine.agent_called(call.agent, agent)?;
    call.engine.permit(agent, device, None, allow)
}

/// BASE_SET_PROTOCOL_PERMISSIONS, whose command_id has the protocol in bits 7:0.
pub(crate) fn set_protocol_permissions<P: Platform>(
    call: &mut Call<'_, '_, P>,
) -> Result<(), Status> {
    let (agent, device) = (call.request.word()?, call.request.word()?);
    let protocol = u8::try_from(call.request.word()?);
    let allow = flag(call.request.word()?)?;
    let protocol = protocol.map_err(|_| Status::InvalidParameters)?;
    let agent = call.engine.agent_called(call.agent, agent)?;
    let kind = Kind::of_protocol(protocol).ok_or(Status::NotFound)?;
    call.engine.permit(agent, device, Some(kind), allow)
}

/// BASE_RESET_AGENT_CONFIGURATION.
pub(crate) fn reset_agent_configuration<P: Platform>(
    call: &mut Call<'_, '_, P>,
) -> Result<(), Status> {
    let agent = call.request.word()?;
    let permissions = flag(call.request.word()?)?;
    let agent = call.engine.agent_called(call.agent, agent)?;
    if permissions {
        for kind in Kind::ALL {
            for index in call.engine.agent(agent)?.grants(kind) {
                call.engine.grant_mut(index)?.denied = Bits::default();
            }
        }
    }
    call.engine.reset_agent(agent, Reason::Asked)
}

impl<P: Platform> Engine<'_, P> {
    /// Allows or denies an agent what it was given of a [device](crate::Grant::of_device), or of that only what is of a
    /// kind. It has what is denied in neither way. What it set of that, its votes too, stays until it is reset. A trusted
    /// agent can do the same, and undo it.
    ///
    /// # Errors
    /// `NotFound` if it was given nothing of that.
    pub fn permit(
        &mut self,
        agent: u16,
        device: u32,
        only: Option<Kind>,
        allow: bool,
    ) -> Result<(), Status> {
        let what = if only.is_some() { PROTOCOL } else { DEVICE };
        let kinds = Kind::ALL.into_iter();
        let mut status = Err(Status::NotFound);
        for kind in kinds.filter(|kind| only.is_none_or(|only| only == *kind)) {
            for index in self.agent(agent)?.grants(kind) {
                let grant = self.grant_mut(index)?;
                if device != 0 && u32::from(grant.device) == device {
                    grant.denied.set(what, !allow);
                    status = Ok(());
                }
            }
        }
        status
    }

    /// What an agent is to itself.
    pub(crate) fn own_id(&self, agent: u16) -> u32 {
        match self.agent(agent) {
            Ok(it) if it.trusted => u32::from(agent) + 1,
            _ => SELF,
        }
    }

    /// The agent that `by` calls `id`.
    pub(crate) fn agent_called(&self, by: u16, id: u32) -> Result<u16, Status> {
        if !self.agent(by)?.trusted {
            return if id == SELF {
                Ok(by)
            } else {
                Err(Status::NotFound)
            };
        }
        let agent = id.checked_sub(1).and_then(|it| u16::try_from(it).ok());
        let agent = agent.ok_or(Status::NotFound)?;
        self.agent(agent)?;
        Ok(agent)
    }
}
