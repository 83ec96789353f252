// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A board in memory, and the memory for an engine on it.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod agent;
mod message;

use std::collections::BTreeSet;

pub(crate) use message::*;
use scmi::{
    Agent, Axis, Clock, Clocks, Engine, Grant, Identity, Kind, Memory, Pending, PerKind, Platform,
    PowerDomains, Profile, Reading, ResetDomain, Resets, Resource, Rights, Sensor, SensorRange,
    Sensors, Status, Switch, Ticket, Trip, Values, VoltageDomain, Voltages, When,
};

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
    /// Whether operations take their time.
    pub(crate) late: bool,
    /// What the hardware answers when it is to do something.
    pub(crate) fault: Option<Status>,
    /// The same, of intervals only.
    pub(crate) interval_fault: Option<Status>,
    /// Of operations that go on.
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) woken: BTreeSet<u16>,
    /// Whether it was told so.
    pub(crate) unfinished: bool,
}

pub(crate) const NAMES: [&[u8]; 3] = [b"uart", b"a-name-that-is-longer-than-16", b"spi"];

fn name(of: u16) -> &'static [u8] {
    NAMES[usize::from(of) % 3]
}

impl Board {
    /// A board with so many of everything. Clock 0 is a PLL that feeds the clocks 1 and 2, which can come from clock 3
    /// too.
    pub(crate) fn new(count: u16) -> Self {
        let off = vec![false; count.into()];
        let state = State {
            on: PerKind {
                power: off.clone(),
                clock: off.clone(),
                sensor: off.clone(),
                reset: off.clone(),
                voltage: off,
            },
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
            fault: None,
            interval_fault: None,
            tickets: Vec::new(),
            woken: BTreeSet::new(),
            unfinished: false,
        }
    }

    fn switch(&mut self, kind: Kind, resource: u16, to: Switch) -> Result<(), Status> {
        self.fault.map_or(Ok(()), Err)?;
        self.state.on.of_mut(kind)[usize::from(resource)] = to == Switch::On;
        self.switched.push((kind, resource, to));
        Ok(())
    }

    fn when(&mut self, ticket: Ticket) -> Result<When, Status> {
        self.fault.map_or(Ok(()), Err)?;
        if self.late {
            self.tickets.push(ticket);
            return Ok(When::Later);
        }
        Ok(When::Now)
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

    fn wake(&mut self, agent: u16) {
        self.woken.insert(agent);
    }

    fn unfinished(&mut self) {
        self.unfinished = true;
    }
}

impl PowerDomains for Board {
    fn power_domain(&self, _agent: u16, domain: u16) -> Result<&[u8], Status> {
        Ok(name(domain))
    }

    fn switch_power(&mut self, domain: u16, to: Switch) -> Result<(), Status> {
        self.switch(Kind::Power, domain, to)
    }
}

impl Clocks for Board {
    fn clock(&self, _agent: u16, clock: u16) -> Result<Clock<'_>, Status> {
        Ok(Clock {
            name: name(clock),
            rates: match clock {
                0 => Values::Range {
                    lowest: 100,
                    highest: 0x1_0000_0000,
                    step: 100,
                },
                _ => Values::List(&[
                    100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 102_400, 204_800,
                    409_600, 819_200, 1_638_400, 3_276_800, 6_553_600,
                ]),
            },
            parents: match clock {
                1 | 2 => &[0, 3],
                _ => &[],
            },
            dependents: match clock {
                0 => &[1, 2],
                _ => &[],
            },
            enable_latency: 1000,
        })
    }

    fn switch_clock(&mut self, clock: u16, to: Switch) -> Result<(), Status> {
        self.switch(Kind::Clock, clock, to)
    }

    fn rate(&self, clock: u16) -> Result<u64, Status> {
        Ok(self.state.clocks[usize::from(clock)].0)
    }

    fn set_rate(&mut self, clock: u16, rate: u64, ticket: Ticket) -> Result<When, Status> {
        let when = self.when(ticket)?;
        self.state.clocks[usize::from(clock)].0 = rate;
        Ok(when)
    }

    fn parent(&self, clock: u16) -> Result<u16, Status> {
        Ok(self.state.clocks[usize::from(clock)].1)
    }

    fn set_parent(&mut self, clock: u16, parent: u16) -> Result<(), Status> {
        self.fault.map_or(Ok(()), Err)?;
        self.state.clocks[usize::from(clock)].1 = parent;
        Ok(())
    }

    fn restore_clock(&mut self, clock: u16) -> Result<(), Status> {
        self.fault.map_or(Ok(()), Err)?;
        let clock = usize::from(clock);
        self.state.clocks[clock] = self.boot.clocks[clock];
        Ok(())
    }
}

impl Sensors for Board {
    fn sensor(&self, _agent: u16, sensor: u16) -> Result<Sensor<'_>, Status> {
        Ok(Sensor {
            scale: Axis {
                name: name(sensor),
                unit: 2,
                exponent: -3,
                range: (sensor == 0).then_some(RANGE),
            },
            axes: if sensor == 2 { 3 } else { 0 },
            trip_points: if sensor == 0 { 2 } else { 0 },
            slow: sensor != 1,
            updates: sensor != 1,
            timestamp: (sensor != 1).then_some(-9),
            intervals: match sensor {
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

    fn axis(&self, _agent: u16, _sensor: u16, axis: u8) -> Result<Axis<'_>, Status> {
        Ok(Axis {
            name: [&b"acc_X"[..], b"acc_Y", b"an-axis-with-a-long-name_Z"][usize::from(axis)],
            unit: 0x59,
            exponent: -6,
            range: Some(RANGE),
        })
    }

    fn switch_sensor(&mut self, sensor: u16, to: Switch) -> Result<(), Status> {
        self.switch(Kind::Sensor, sensor, to)
    }

    fn set_interval(&mut self, sensor: u16, nanoseconds: u64) -> Result<(), Status> {
        self.fault.or(self.interval_fault).map_or(Ok(()), Err)?;
        self.state.intervals[usize::from(sensor)] = nanoseconds;
        Ok(())
    }

    fn measure(&mut self, _sensor: u16, ticket: Ticket) -> Result<When, Status> {
        self.when(ticket)
    }

    fn reading(&self, _sensor: u16, axis: u8) -> Result<Reading, Status> {
        Ok(Reading {
            value: self.reading[usize::from(axis)],
            timestamp: 0x0102_0304_0506_0708,
        })
    }
}

const RANGE: SensorRange = SensorRange {
    resolution: 5,
    exponent: -1,
    lowest: -40_000,
    highest: 125_000,
};

impl Resets for Board {
    fn reset_domain(&self, _agent: u16, domain: u16) -> Result<ResetDomain<'_>, Status> {
        Ok(ResetDomain {
            name: name(domain),
            latency: (domain != 0).then_some(250),
        })
    }

    fn switch_reset(&mut self, domain: u16, to: Switch) -> Result<(), Status> {
        self.switch(Kind::Reset, domain, to)
    }

    fn reset(&mut self, domain: u16, ticket: Ticket) -> Result<When, Status> {
        let when = self.when(ticket)?;
        self.resets.push(domain);
        self.state.on.reset[usize::from(domain)] = true;
        Ok(when)
    }
}

impl Voltages for Board {
    fn voltage_domain(&self, _agent: u16, domain: u16) -> Result<VoltageDomain<'_>, Status> {
        Ok(VoltageDomain {
            name: name(domain),
            levels: match domain {
                0 => Values::Range {
                    lowest: -100_000,
                    highest: 1_200_000,
                    step: 50_000,
                },
                _ => Values::List(&[900_000, 1_000_000, 1_100_000]),
            },
        })
    }

    fn switch_voltage(&mut self, domain: u16, to: Switch) -> Result<(), Status> {
        self.switch(Kind::Voltage, domain, to)
    }

    fn level(&self, domain: u16) -> Result<i32, Status> {
        Ok(self.state.levels[usize::from(domain)])
    }

    fn set_level(&mut self, domain: u16, level: i32, ticket: Ticket) -> Result<When, Status> {
        let when = self.when(ticket)?;
        self.state.levels[usize::from(domain)] = level;
        Ok(when)
    }

    fn restore_voltage(&mut self, domain: u16) -> Result<(), Status> {
        self.fault.map_or(Ok(()), Err)?;
        let domain = usize::from(domain);
        self.state.levels[domain] = self.boot.levels[domain];
        Ok(())
    }
}

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
            grants: PerKind {
                power: of_kind.clone(),
                clock: of_kind.clone(),
                sensor: of_kind.clone(),
                reset: of_kind.clone(),
                voltage: of_kind,
            },
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
        let resources = || vec![Resource::default(); count.into()];
        let mut parts = Self {
            count,
            agents: Vec::new(),
            grants: Vec::new(),
            resources: PerKind {
                power: resources(),
                clock: resources(),
                sensor: resources(),
                reset: resources(),
                voltage: resources(),
            },
            trips: Vec::new(),
            pending: vec![Pending::default(); agents.len() * PLACES],
        };
        for (number, given) in (0..).zip(agents) {
            let mut counts = PerKind::default();
            for kind in Kind::ALL {
                for &(resource, rights, starts_on) in given.grants.of(kind) {
                    let grant = Grant::new(resource, rights, starts_on);
                    parts.grants.push(grant.of_device(resource));
                    *counts.of_mut(kind) += 1;
                    if kind == Kind::Sensor {
                        let trips = board.sensor(number, resource).unwrap().trip_points;
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
            engine.set_events(agent, true);
        }
        engine
    }

    pub(crate) fn try_engine(&mut self) -> Result<Engine<'_, Board>, Status> {
        let PerKind {
            power,
            clock,
            sensor,
            reset,
            voltage,
        } = &mut self.resources;
        let memory = Memory {
            agents: &mut self.agents,
            grants: &mut self.grants,
            resources: PerKind {
                power,
                clock,
                sensor,
                reset,
                voltage,
            },
            trips: &mut self.trips,
            pending: &mut self.pending,
        };
        Engine::new(Board::new(self.count), memory)
    }
}
