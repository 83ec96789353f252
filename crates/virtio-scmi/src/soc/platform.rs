// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the engine sees of the simulated system on a chip.

use log::warn;
use scmi::{AgentId, Identity, Kind, ResourceId, Status, Switch, Ticket, When};

use super::Soc;

impl scmi::Platform for Soc {
    fn identity(&self) -> Identity<'_> {
        Identity {
            vendor: b"virtio-backends",
            sub_vendor: b"simulated",
            version: 1,
        }
    }

    fn wake(&mut self, agent: AgentId) {
        if !self.woken.contains(&agent) {
            self.woken.push(agent);
        }
    }

    fn retry_later(&mut self) {
        // Once, until it is done: guests may be reset as often as they like.
        if self.retry() {
            warn!("scmi: not all could be undone that a guest had set up, which is tried again");
        }
    }

    fn power_domain(&self, agent: AgentId, domain: ResourceId) -> Result<&[u8], Status> {
        Ok(self.name(agent, (Kind::POWER, domain), self.domains.name(domain)?))
    }

    fn switch_power(
        &mut self,
        _by: AgentId,
        domain: ResourceId,
        to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        self.works()?;
        self.domains.switch(domain, to == Switch::On);
        Ok(When::Now)
    }

    fn clock(&self, agent: AgentId, clock: ResourceId) -> Result<scmi::Clock<'_>, Status> {
        let one = self.clocks.describe(clock)?;
        let choice = self.clocks.choice(clock)?;
        let limits = self.limits(agent, Kind::CLOCK, clock);
        Ok(scmi::Clock {
            name: self.name(agent, (Kind::CLOCK, clock), one.name),
            rates: limits.map_or(one.rates, |limits| choice.within(&limits)),
            ..one
        })
    }

    fn switch_clock(
        &mut self,
        _by: AgentId,
        clock: ResourceId,
        to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        self.works()?;
        self.clocks.switch(clock, to == Switch::On);
        Ok(When::Now)
    }

    fn rate(&self, clock: ResourceId) -> Result<u64, Status> {
        self.clocks.rate(clock)
    }

    fn set_rate(
        &mut self,
        by: AgentId,
        clock: ResourceId,
        rate: u64,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        self.works()?;
        let limits = self.limits(by, Kind::CLOCK, clock);
        if limits.is_some_and(|limits| !limits.contains(&rate.into())) {
            return Err(Status::InvalidParameters);
        }
        let setting = self.clocks.setting(clock, rate)?;
        let when = self.later(Kind::CLOCK, clock, ticket, self.clocks.lock_time(clock))?;
        self.clocks.set(clock, setting);
        Ok(when)
    }

    fn parent(&self, clock: ResourceId) -> Result<ResourceId, Status> {
        self.clocks.parent(clock)
    }

    fn set_parent(
        &mut self,
        _by: AgentId,
        clock: ResourceId,
        parent: ResourceId,
        _ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        self.works()?;
        self.clocks.set_parent(clock, parent);
        Ok(When::Now)
    }

    fn restore_clock(
        &mut self,
        _by: AgentId,
        clock: ResourceId,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        self.works()?;
        self.clocks.restore(clock)?;
        Ok(When::Now)
    }

    fn sensor(&self, agent: AgentId, sensor: ResourceId) -> Result<scmi::Sensor<'_>, Status> {
        let mut one = self.sensors.describe(sensor)?;
        one.scale.name = self.name(agent, (Kind::SENSOR, sensor), one.scale.name);
        Ok(one)
    }

    fn axis(
        &self,
        _agent: AgentId,
        sensor: ResourceId,
        axis: u8,
    ) -> Result<scmi::Axis<'_>, Status> {
        self.sensors.axis(sensor, axis)
    }

    fn switch_sensor(
        &mut self,
        _by: AgentId,
        sensor: ResourceId,
        to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        self.works()?;
        self.sensors.switch(sensor, to == Switch::On)?;
        self.schedule_update(sensor);
        Ok(When::Now)
    }

    fn set_interval(
        &mut self,
        _by: AgentId,
        sensor: ResourceId,
        nanoseconds: u64,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        self.works()?;
        self.sensors.set_interval(sensor, nanoseconds)?;
        self.schedule_update(sensor);
        Ok(When::Now)
    }

    fn measure(
        &mut self,
        _by: AgentId,
        sensor: ResourceId,
        _ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        self.measure_now(sensor)?;
        Ok(When::Now)
    }

    fn reading(&self, sensor: ResourceId, axis: u8) -> Result<scmi::Reading, Status> {
        self.sensors.reading(sensor, axis)
    }

    fn reset_domain(
        &self,
        agent: AgentId,
        domain: ResourceId,
    ) -> Result<scmi::ResetDomain<'_>, Status> {
        let one = self.lines.describe(domain)?;
        Ok(scmi::ResetDomain {
            name: self.name(agent, (Kind::RESET, domain), one.name),
            ..one
        })
    }

    fn switch_reset(
        &mut self,
        _by: AgentId,
        domain: ResourceId,
        to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        self.works()?;
        self.lines.switch(domain, to == Switch::On)?;
        Ok(When::Now)
    }

    fn reset(
        &mut self,
        _by: AgentId,
        domain: ResourceId,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        self.works()?;
        let when = self.later(Kind::RESET, domain, ticket, self.lines.latency(domain)?)?;
        self.lines.switch(domain, true)?;
        Ok(when)
    }

    fn voltage_domain(
        &self,
        agent: AgentId,
        domain: ResourceId,
    ) -> Result<scmi::VoltageDomain<'_>, Status> {
        let one = self.regulators.describe(domain)?;
        let choice = self.regulators.choice(domain)?;
        let limits = self.limits(agent, Kind::VOLTAGE, domain);
        Ok(scmi::VoltageDomain {
            name: self.name(agent, (Kind::VOLTAGE, domain), one.name),
            levels: limits.map_or(one.levels, |limits| choice.within(&limits)),
        })
    }

    fn switch_voltage(
        &mut self,
        _by: AgentId,
        domain: ResourceId,
        to: Switch,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        self.works()?;
        self.regulators.switch(domain, to == Switch::On)?;
        Ok(When::Now)
    }

    fn level(&self, domain: ResourceId) -> Result<i32, Status> {
        self.regulators.level(domain, self.now)
    }

    fn set_level(
        &mut self,
        _by: AgentId,
        domain: ResourceId,
        level: i32,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        self.works()?;
        let after = self.regulators.ramp_time(domain, level, self.now)?;
        let when = self.later(Kind::VOLTAGE, domain, ticket, after)?;
        self.regulators.set_level(domain, level, self.now)?;
        Ok(when)
    }

    fn restore_voltage(
        &mut self,
        _by: AgentId,
        domain: ResourceId,
        _ticket: Ticket,
    ) -> Result<When, Status> {
        self.works()?;
        self.regulators.restore(domain)?;
        Ok(When::Now)
    }
}
