// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The hardware, as the protocols see it: what there is, and what can be done with it.

use super::describe::{Axis, Clock, Identity, Reading, ResetDomain, Sensor, VoltageDomain};
use super::ids::{AgentId, ResourceId};
use super::task::Ticket;
use crate::Status;

/// A two-way switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Gated, unpowered, held in reset.
    Off,
    /// Running.
    On,
}

/// When an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It is.
    Now,
    /// When [`Engine::complete`](crate::Engine::complete) is told, with the ticket.
    Later,
}

/// The hardware: what there is, and what can be done with it.
///
/// A platform that lacks a protocol leaves out its functions: nothing of that exists then, and a protocol that comes
/// later changes no platform. Resources have the platform's numbers here, never an agent's. Descriptions are given for
/// an agent, whose names and limits may be its own. They do not change while the engine lives, but for
/// [`Clock::rates`] and [`Clock::dependents`].
///
/// # What acts
///
/// 1. A function that acts is told the agent for which it does: [`AgentId::PLATFORM`] if it is for none.
/// 2. It has done what it says when it returns [`When::Now`]. What takes its time returns [`When::Later`] and is done
///    when [`Engine::complete`](crate::Engine::complete) is told, with the ticket and the result: it may fail then. The
///    engine is in use until a function returns, and so are all agents held up.
/// 3. Without a ticket the agent has no place left to wait in: the function does it at once, or returns `Busy` and does
///    nothing.
/// 4. [`set_rate`](Self::set_rate), [`set_parent`](Self::set_parent), [`set_level`](Self::set_level), and the
///    `restore_` of both, take the place of such an operation on the same resource that is not done. The engine answers
///    `Busy` to who waits for that; to be told of its end as well does no harm.
/// 5. Everything else on one resource begins when what went before is done. Only a switch may go on beside a
///    change, a measurement or a reset.
/// 6. An error is what the agent is answered, and the resource stays as it was.
pub trait Platform {
    /// The manufacturer.
    fn identity(&self) -> Identity<'_>;

    /// There is something for `agent` to fetch: with [`Engine::next_event`](crate::Engine::next_event), or with
    /// [`Engine::answer`](crate::Engine::answer) if it waits for that. Asks to be told, no more: the engine is busy.
    fn wake(&mut self, agent: AgentId);

    /// Something failed that has to be done, whichever agent asked for it: [`Engine::retry`](crate::Engine::retry) is to
    /// be called after a while, and again until that does not fail. Asks for that, no more: the engine is busy.
    fn retry_later(&mut self);

    /// The name of power domain `domain`, of at most 63 characters of ASCII.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn power_domain(&self, _agent: AgentId, _domain: ResourceId) -> Result<&[u8], Status> {
        Err(Status::NotFound)
    }

    /// Powers `domain` up or down.
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_power(
        &mut self,
        _by: AgentId,
        _domain: ResourceId,
        _to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// What `clock` is.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn clock(&self, _agent: AgentId, _clock: ResourceId) -> Result<Clock<'_>, Status> {
        Err(Status::NotFound)
    }

    /// Opens or shuts the gate of `clock`.
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_clock(
        &mut self,
        _by: AgentId,
        _clock: ResourceId,
        _to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// At how many hertz `clock` runs, or will when it is switched on: what it was set to, once that is done.
    ///
    /// # Errors
    /// It cannot be told.
    fn rate(&self, _clock: ResourceId) -> Result<u64, Status> {
        Err(Status::NotSupported)
    }

    /// Makes `clock` run at `rate` hertz, one of the [`Clock::rates`] of the agent.
    ///
    /// # Errors
    /// It stays as it is. `InvalidParameters` if it cannot have that rate.
    fn set_rate(
        &mut self,
        _by: AgentId,
        _clock: ResourceId,
        _rate: u64,
        _ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// Which clock `clock` comes from.
    ///
    /// # Errors
    /// It cannot be told.
    fn parent(&self, _clock: ResourceId) -> Result<ResourceId, Status> {
        Err(Status::NotSupported)
    }

    /// Makes `clock` come from `parent`, one of its [`Clock::parents`].
    ///
    /// # Errors
    /// It stays as it is.
    fn set_parent(
        &mut self,
        _by: AgentId,
        _clock: ResourceId,
        _parent: ResourceId,
        _ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// Gives `clock` the rate and the parent that it booted with.
    ///
    /// # Errors
    /// It stays as it is.
    fn restore_clock(
        &mut self,
        _by: AgentId,
        _clock: ResourceId,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// What `sensor` is.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn sensor(&self, _agent: AgentId, _sensor: ResourceId) -> Result<Sensor<'_>, Status> {
        Err(Status::NotFound)
    }

    /// What an axis of `sensor` is, of those that [`Sensor::axes`] counts.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn axis(&self, _agent: AgentId, _sensor: ResourceId, _axis: u8) -> Result<Axis<'_>, Status> {
        Err(Status::NotFound)
    }

    /// Lets `sensor` measure by itself, or rest.
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_sensor(
        &mut self,
        _by: AgentId,
        _sensor: ResourceId,
        _to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// Has `sensor` measure every so many nanoseconds, the shortest interval of the agents that have it on; 0 if none of
    /// them has asked for any, and the first of its [`Sensor::intervals`] is to be taken.
    ///
    /// # Errors
    /// It stays as it is.
    fn set_interval(
        &mut self,
        _by: AgentId,
        _sensor: ResourceId,
        _nanoseconds: u64,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        Ok(When::Now)
    }

    /// Measures. When that is done, [`reading`](Self::reading) tells what.
    ///
    /// # Errors
    /// Nothing was measured. `ProtocolError` if the sensor has to be switched on first.
    fn measure(
        &mut self,
        _by: AgentId,
        _sensor: ResourceId,
        _ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        Ok(When::Now)
    }

    /// What was measured last on an axis of `sensor`, on axis 0 if it has none.
    ///
    /// # Errors
    /// It cannot be told.
    fn reading(&self, _sensor: ResourceId, _axis: u8) -> Result<Reading, Status> {
        Err(Status::NotSupported)
    }

    /// What `domain` is.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn reset_domain(
        &self,
        _agent: AgentId,
        _domain: ResourceId,
    ) -> Result<ResetDomain<'_>, Status> {
        Err(Status::NotFound)
    }

    /// Holds `domain` in reset, or lets it run, also while it is being [reset](Self::reset).
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_reset(
        &mut self,
        _by: AgentId,
        _domain: ResourceId,
        _to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// Resets `domain` and lets it run. If that fails [later](When::Later), it is [switched](Self::switch_reset) to what
    /// agents want, as it is not known what it was left in.
    ///
    /// # Errors
    /// It was not reset, and is as it was.
    fn reset(
        &mut self,
        _by: AgentId,
        _domain: ResourceId,
        _ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// What `domain` is.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    fn voltage_domain(
        &self,
        _agent: AgentId,
        _domain: ResourceId,
    ) -> Result<VoltageDomain<'_>, Status> {
        Err(Status::NotFound)
    }

    /// Switches `domain` on or off.
    ///
    /// # Errors
    /// It stays as it is.
    fn switch_voltage(
        &mut self,
        _by: AgentId,
        _domain: ResourceId,
        _to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// The level of `domain`, now or when it is switched on, in microvolts: what it was set to, once that is done.
    ///
    /// # Errors
    /// It cannot be told.
    fn level(&self, _domain: ResourceId) -> Result<i32, Status> {
        Err(Status::NotSupported)
    }

    /// Gives `domain` a level in microvolts, one of the [`VoltageDomain::levels`] of the agent.
    ///
    /// # Errors
    /// It stays as it is.
    fn set_level(
        &mut self,
        _by: AgentId,
        _domain: ResourceId,
        _level: i32,
        _ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }

    /// Gives `domain` the level that it booted with.
    ///
    /// # Errors
    /// It stays as it is.
    fn restore_voltage(
        &mut self,
        _by: AgentId,
        _domain: ResourceId,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        Err(Status::NotSupported)
    }
}
