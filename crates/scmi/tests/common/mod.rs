// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A board in memory, and the memory for an engine on it.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod agent;
mod message;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use message::*;
use scmi::{
    Agent, Axis, Clock, Engine, Grant, Identity, Kind, Memory, Pending, PerKind, Platform, Profile,
    Reading, ResetDomain, Resource, Rights, Sensor, SensorRange, Status, Switch, Ticket, Trip,
    Values, VoltageDomain, When,
};
pub(crate) use scmi::{AgentId, ResourceId};

/// How many operations an agent may have going on.
pub(crate) const PLACES: usize = 3;

/// What can be seen of the hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) on: PerKind<Vec<bool>>,
    /// Rate and parent.
    pub(crate) clocks: Vec<(u64, u16)>,
    pub(crate) levels: Vec<i32>,
    pub(crate) intervals: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) state: State,
    pub(crate) boot: State,
    /// What was switched, in order.
    pub(crate) switched: Vec<(Kind, u16, Switch)>,
    /// Resources that have been reset.
    pub(crate) resets: Vec<u16>,
    /// Of each axis.
    pub(crate) reading: [i64; 3],
    /// Whether changes, measurements and resets take their time.
    pub(crate) late: bool,
    /// Whether all else does.
    pub(crate) late_switches: bool,
    /// The levels that an agent may set.
    pub(crate) limits: BTreeMap<(u16, u16), &'static [i32]>,
    /// The rates of all clocks but the PLL.
    pub(crate) rates: Vec<u64>,
    /// For which agents it was told to act, in order.
    pub(crate) actors: Vec<AgentId>,
    /// What the hardware answers when it is to do something.
    pub(crate) fault: Option<Status>,
    /// The same, of intervals only.
    pub(crate) interval_fault: Option<Status>,
    /// Of operations that go on.
    pub(crate) tickets: Vec<Ticket>,
    /// Switches that go on.
    pub(crate) begun: Vec<(Ticket, Kind, ResourceId, Switch)>,
    pub(crate) woken: BTreeSet<u16>,
    /// Whether it was told so.
    pub(crate) unfinished: bool,
}

pub(crate) const NAMES: [&[u8]; 3] = [b"uart", b"a-name-that-is-longer-than-16", b"spi"];

fn name(of: ResourceId) -> &'static [u8] {
    NAMES[usize::from(of.0) % 3]
}

impl Board {
    /// A board with so many of everything. Clock 0 is a PLL that feeds the clocks 1 and 2, which can come from clock 3
    /// too.
    pub(crate) fn new(count: u16) -> Self {
        let state = State {
            on: PerKind::from_fn(|_| vec![false; count.into()]),
            clocks: vec![(100, 0); count.into()],
            levels: vec![1_000_000; count.into()],
            intervals: vec![0; count.into()],
        };
        Self {
            boot: state.clone(),
            state,
            switched: Vec::new(),
            resets: Vec::new(),
            reading: [-40_000, 2, 3],
            late: false,
            late_switches: false,
            limits: BTreeMap::new(),
            rates: (0..17).map(|power| 100 << power).collect(),
            actors: Vec::new(),
            fault: None,
            interval_fault: None,
            tickets: Vec::new(),
            begun: Vec::new(),
            woken: BTreeSet::new(),
            unfinished: false,
        }
    }

    fn switch(
        &mut self,
        by: AgentId,
        (kind, resource): (Kind, ResourceId),
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.fault.map_or(Ok(()), Err)?;
        self.actors.push(by);
        if !self.late_switches {
            self.set_switch(kind, resource, to);
        } else {
            self.begun.push((ticket, kind, resource, to));
        }
        Ok(self.when(self.late_switches, ticket))
    }

    /// What a switch does when it is done.
    pub(crate) fn set_switch(&mut self, kind: Kind, resource: ResourceId, to: Switch) {
        self.state.on.of_mut(kind)[usize::from(resource.0)] = to == Switch::On;
        self.switched.push((kind, resource.0, to));
    }

    /// What the engine has it do without a command.
    fn settle(&mut self, by: AgentId, ticket: Ticket) -> Result<When, Status> {
        self.fault.map_or(Ok(()), Err)?;
        self.actors.push(by);
        Ok(self.when(self.late_switches, ticket))
    }

    /// A change, measurement or reset, which without a ticket is done at once or not at all.
    fn change(&mut self, by: AgentId, ticket: Option<Ticket>) -> Result<When, Status> {
        self.fault.map_or(Ok(()), Err)?;
        self.actors.push(by);
        match (self.late, ticket) {
            (true, None) => Err(Status::Busy),
            (late, Some(ticket)) => Ok(self.when(late, ticket)),
            (false, None) => Ok(When::Now),
        }
    }

    fn when(&mut self, late: bool, ticket: Ticket) -> When {
        if late {
            self.tickets.push(ticket);
            return When::Later;
        }
        When::Now
    }
}

impl Platform for Board {
    fn identity(&self) -> Identity<'_> {
        Identity {
            vendor: b"virtio-backends",
            sub_vendor: b"test",
            version: 0x0102_0304,
        }
    }

    fn wake(&mut self, agent: AgentId) {
        self.woken.insert(agent.0);
    }

    fn retry_later(&mut self) {
        self.unfinished = true;
    }

    fn power_domain(&self, _agent: AgentId, domain: ResourceId) -> Result<&[u8], Status> {
        Ok(name(domain))
    }

    fn switch_power(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(by, (Kind::POWER, domain), to, ticket)
    }

    fn clock(&self, _agent: AgentId, clock: ResourceId) -> Result<Clock<'_>, Status> {
        Ok(Clock {
            name: name(clock),
            rates: match clock.0 {
                0 => Values::Range {
                    lowest: 100,
                    highest: 0x1_0000_0000,
                    step: 100,
                },
                _ => Values::List(&self.rates),
            },
            parents: match clock.0 {
                1 | 2 => &[ResourceId(0), ResourceId(3)],
                _ => &[],
            },
            dependents: match clock.0 {
                0 => &[ResourceId(1), ResourceId(2)],
                _ => &[],
            },
            enable_latency: 1000,
        })
    }

    fn switch_clock(
        &mut self,
        by: AgentId,
        clock: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(by, (Kind::CLOCK, clock), to, ticket)
    }

    fn rate(&self, clock: ResourceId) -> Result<u64, Status> {
        Ok(self.state.clocks[usize::from(clock.0)].0)
    }

    fn set_rate(
        &mut self,
        by: AgentId,
        clock: ResourceId,
        rate: u64,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        let when = self.change(by, ticket)?;
        self.state.clocks[usize::from(clock.0)].0 = rate;
        Ok(when)
    }

    fn parent(&self, clock: ResourceId) -> Result<ResourceId, Status> {
        Ok(ResourceId(self.state.clocks[usize::from(clock.0)].1))
    }

    fn set_parent(
        &mut self,
        by: AgentId,
        clock: ResourceId,
        parent: ResourceId,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        let when = self.change(by, ticket)?;
        self.state.clocks[usize::from(clock.0)].1 = parent.0;
        Ok(when)
    }

    fn restore_clock(
        &mut self,
        by: AgentId,
        clock: ResourceId,
        ticket: Ticket,
    ) -> Result<When, Status> {
        let when = self.settle(by, ticket)?;
        let clock = usize::from(clock.0);
        self.state.clocks[clock] = self.boot.clocks[clock];
        Ok(when)
    }

    fn sensor(&self, _agent: AgentId, sensor: ResourceId) -> Result<Sensor<'_>, Status> {
        Ok(Sensor {
            scale: Axis {
                name: name(sensor),
                unit: 2,
                exponent: -3,
                range: (sensor.0 == 0).then_some(RANGE),
            },
            axes: if sensor.0 == 2 { 3 } else { 0 },
            trip_points: if sensor.0 == 0 { 2 } else { 0 },
            slow: sensor.0 != 1,
            updates: sensor.0 != 1,
            timestamp: (sensor.0 != 1).then_some(-9),
            intervals: match sensor.0 {
                0 => Values::List(&[1 << 5, 2 << 5, 0x14 << 5 | 0x1e]), // 1 s, 2 s, 20 × 10^-2 s
                1 => Values::List(&[]),
                _ => Values::Range {
                    lowest: 1 << 5 | 0x1d, // 1 ms
                    highest: 10 << 5,
                    step: 1 << 5 | 0x1d,
                },
            },
        })
    }

    fn axis(&self, _agent: AgentId, _sensor: ResourceId, axis: u8) -> Result<Axis<'_>, Status> {
        Ok(Axis {
            name: [&b"acc_X"[..], b"acc_Y", b"an-axis-with-a-long-name_Z"][usize::from(axis)],
            unit: 0x59,
            exponent: -6,
            range: Some(RANGE),
        })
    }

    fn switch_sensor(
        &mut self,
        by: AgentId,
        sensor: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(by, (Kind::SENSOR, sensor), to, ticket)
    }

    fn set_interval(
        &mut self,
        by: AgentId,
        sensor: ResourceId,
        nanoseconds: u64,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.interval_fault.map_or(Ok(()), Err)?;
        let when = self.settle(by, ticket)?;
        self.state.intervals[usize::from(sensor.0)] = nanoseconds;
        Ok(when)
    }

    fn measure(
        &mut self,
        by: AgentId,
        _sensor: ResourceId,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        self.change(by, ticket)
    }

    fn reading(&self, _sensor: ResourceId, axis: u8) -> Result<Reading, Status> {
        Ok(Reading {
            value: self.reading[usize::from(axis)],
            timestamp: 0x0102_0304_0506_0708,
        })
    }

    fn reset_domain(&self, _agent: AgentId, domain: ResourceId) -> Result<ResetDomain<'_>, Status> {
        Ok(ResetDomain {
            name: name(domain),
            latency: (domain.0 != 0).then_some(250),
        })
    }

    fn switch_reset(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(by, (Kind::RESET, domain), to, ticket)
    }

    fn reset(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        let when = self.change(by, ticket)?;
        self.resets.push(domain.0);
        self.state.on.of_mut(Kind::RESET)[usize::from(domain.0)] = true;
        Ok(when)
    }

    fn voltage_domain(
        &self,
        agent: AgentId,
        domain: ResourceId,
    ) -> Result<VoltageDomain<'_>, Status> {
        let limits = self.limits.get(&(agent.0, domain.0));
        Ok(VoltageDomain {
            name: name(domain),
            levels: match (domain.0, limits) {
                (_, Some(limits)) => Values::List(limits),
                (0, None) => Values::Range {
                    lowest: -100_000,
                    highest: 1_200_000,
                    step: 50_000,
                },
                _ => Values::List(&[900_000, 1_000_000, 1_100_000]),
            },
        })
    }

    fn switch_voltage(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        to: Switch,
        ticket: Ticket,
    ) -> Result<When, Status> {
        self.switch(by, (Kind::VOLTAGE, domain), to, ticket)
    }

    fn level(&self, domain: ResourceId) -> Result<i32, Status> {
        Ok(self.state.levels[usize::from(domain.0)])
    }

    fn set_level(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        level: i32,
        ticket: Option<Ticket>,
    ) -> Result<When, Status> {
        let when = self.change(by, ticket)?;
        self.state.levels[usize::from(domain.0)] = level;
        Ok(when)
    }

    fn restore_voltage(
        &mut self,
        by: AgentId,
        domain: ResourceId,
        ticket: Ticket,
    ) -> Result<When, Status> {
        let when = self.settle(by, ticket)?;
        let domain = usize::from(domain.0);
        self.state.levels[domain] = self.boot.levels[domain];
        Ok(when)
    }
}

const RANGE: SensorRange = SensorRange {
    resolution: 5,
    exponent: -1,
    lowest: -40_000,
    highest: 125_000,
};

/// What an agent was given: for each kind the platform's resources, with rights, and whether on from the beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) profile: Profile,
    pub(crate) trusted: bool,
    pub(crate) grants: PerKind<Vec<(u16, Rights, bool)>>,
}

impl Given {
    /// All rights to these of every kind, which begin off.
    pub(crate) fn all(resources: &[u16]) -> Self {
        let of_kind: Vec<_> = resources
            .iter()
            .map(|&it| (it, Rights::ALL, false))
            .collect();
        Self {
            profile: Profile::V3_2,
            trusted: false,
            grants: PerKind::from_fn(|_| of_kind.clone()),
        }
    }

    pub(crate) fn speaking(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    pub(crate) fn trusted(self) -> Self {
        Self {
            trusted: true,
            ..self
        }
    }
}

/// The memory of an engine.
pub(crate) struct Parts {
    count: u16,
    agents: Vec<Agent>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) resources: PerKind<Vec<Resource>>,
    pub(crate) trips: Vec<Trip>,
    pub(crate) pending: Vec<Pending>,
}

impl Parts {
    /// For a board with `count` of everything. What has the same number is of the device of that number, 0 of none.
    pub(crate) fn new(count: u16, agents: &[Given]) -> Self {
        let board = Board::new(count);
        let mut parts = Self {
            count,
            agents: Vec::new(),
            grants: Vec::new(),
            resources: PerKind::from_fn(|_| vec![Resource::default(); count.into()]),
            trips: Vec::new(),
            pending: vec![Pending::default(); agents.len() * PLACES],
        };
        for (number, given) in (0..).zip(agents) {
            let mut counts = PerKind::default();
            for kind in Kind::ALL {
                for &(resource, rights, starts_on) in given.grants.of(kind) {
                    let grant = Grant::new(ResourceId(resource), rights, starts_on);
                    parts.grants.push(grant.of_device(resource));
                    *counts.of_mut(kind) += 1;
                    if kind == Kind::SENSOR {
                        let sensor = board.sensor(AgentId(number), ResourceId(resource));
                        let trips = sensor.unwrap().trip_points;
                        parts
                            .trips
                            .resize(parts.trips.len() + usize::from(trips), Trip::default());
                    }
                }
            }
            let agent = Agent::new(b"cluster", given.profile, counts);
            parts.agents.push(match given.trusted {
                true => agent.trusted(),
                false => agent,
            });
        }
        parts
    }

    /// With events for all agents.
    pub(crate) fn engine(&mut self) -> Engine<'_, Board> {
        let agents = u16::try_from(self.agents.len()).unwrap();
        let mut engine = self.try_engine().unwrap();
        for agent in 0..agents {
            engine.set_events(AgentId(agent), true);
        }
        engine
    }

    pub(crate) fn try_engine(&mut self) -> Result<Engine<'_, Board>, Status> {
        self.try_engine_on(Board::new(self.count))
    }

    pub(crate) fn try_engine_on(&mut self, board: Board) -> Result<Engine<'_, Board>, Status> {
        let mut resources = self.resources.iter_mut();
        let memory = Memory {
            agents: &mut self.agents,
            grants: &mut self.grants,
            resources: PerKind::from_fn(|_| &mut resources.next().unwrap()[..]),
            trips: &mut self.trips,
            pending: &mut self.pending,
        };
        Engine::new(board, memory)
    }
}
