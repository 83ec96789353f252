// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a trusted agent may do to others (SCMI 3.2, base protocol): take devices from them and give those back, and
//! reset them. To it all agents exist. The host does this with [`Engine::permit`](crate::Engine::permit) and
//! [`Engine::reset_agent`](crate::Engine::reset_agent), and without a trusted agent it alone.
//!
//! A device is what the configuration says belongs to it. An agent is never given what the host did not give it. While a
//! device is taken away the agent's wishes for it do not count; they do again when it is given back.

use super::all;
use crate::Status;
use crate::share::operations::Reason;
use crate::share::protocol::{Call, flag};
use crate::state::ids::ProtocolId;
use crate::state::platform::Platform;

/// BASE_SET_DEVICE_PERMISSIONS.
pub(crate) fn set_device_permissions<P: Platform>(
    call: &mut Call<'_, '_, P>,
) -> Result<(), Status> {
    let (agent, device) = (call.request.word()?, call.request.word()?);
    let allow = flag(call.request.word()?)?;
    let agent = call.engine.agent_called(call.agent, agent)?;
    call.engine.permit_of(all(), agent, (device, None), allow)
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
    let only = Some(ProtocolId(protocol));
    call.engine.permit_of(all(), agent, (device, only), allow)
}

/// BASE_RESET_AGENT_CONFIGURATION.
pub(crate) fn reset_agent_configuration<P: Platform>(
    call: &mut Call<'_, '_, P>,
) -> Result<(), Status> {
    let agent = call.request.word()?;
    let permissions = flag(call.request.word()?)?;
    let agent = call.engine.agent_called(call.agent, agent)?;
    if permissions {
        call.engine.allow_all(all(), agent)?;
    }
    call.engine.reset(all(), agent, Reason::Requested)
}
