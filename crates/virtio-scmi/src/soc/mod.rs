// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A system on a chip that is made up: the engine's hardware.
//!
//! It has no time of its own: somebody sets [`now`](Soc::now), and asks for what is [due](Soc::due).

mod clocks;
mod sensors;
mod supplies;
mod tree;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use log::warn;
use scmi::{Identity, Kind, PerKind, Status, Switch, Ticket, When};

use crate::board::PLACES;
use crate::description::{Description, Mistake};
use clocks::Clocks;
use sensors::Sensors;
use supplies::{Domains, Lines, Regulators};
use values::Limits;

/// The longest operation: Linux waits 2 s for a delayed response.
const LONGEST: Duration = Duration::from_micros(1_800_000);

/// How soon what has failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Longest name (SCMI 3.2, CLOCK_NAME_GET and its like).
const LONGEST_NAME: usize = 63;

/// The most that there may be of a kind.
const MOST: u16 = u16::MAX - 1;

/// The resources' numbers by their names.
pub(crate) type Names = PerKind<HashMap<String, u16>>;

pub(crate) struct Soc {
    /// Since the platform started.
    pub(crate) now: Duration,
    pub(crate) clocks: Clocks,
    sensors: Sensors,
    lines: Lines,
    domains: Domains,
    regulators: Regulators,
    /// What is another resource to an agent than it is to the platform.
    pub(crate) terms: Vec<PerKind<HashMap<u16, Terms>>>,
    /// When what is to be done, and again by what it is about.
    schedule: BTreeSet<(Duration, Due)>,
    operations: HashMap<u16, (Duration, Ticket)>,
    updates: HashMap<u16, Duration>,
    /// Agents that have something to fetch.
    pub(crate) woken: Vec<u16>,
    /// Nothing that is to be done is done.
    pub(crate) is_broken: bool,
}

/// What a resource is to an agent that was given it under another name, or with limits.
pub(crate) struct Terms {
    pub(crate) alias: Option<String>,
    pub(crate) limits: Option<Limits>,
}

/// What is to be done when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// An operation is complete: the one in this place.
    Operation(u16),
    /// A sensor measures.
    Update(u16),
    /// Something failed, and is tried again.
    Retry,
}

/// What has become due.
pub(crate) enum Event {
    Complete(Ticket),
    Updated(u16),
    Retry,
}

impl Soc {
    pub(crate) fn new(description: &Description) -> Result<(Self, Names), Mistake> {
        let names = names(description)?;
        let wrong = |kind| move |(index, mistake): (usize, Mistake)| mistake.of(kind, index);
        let soc = Self {
            now: Duration::ZERO,
            clocks: Clocks::new(&description.clocks, &names).map_err(wrong(Kind::Clock))?,
            sensors: Sensors::new(&description.sensors, &names).map_err(wrong(Kind::Sensor))?,
            lines: Lines::new(&description.resets).map_err(wrong(Kind::Reset))?,
            domains: Domains::new(&description.power_domains, &names)
                .map_err(wrong(Kind::Power))?,
            regulators: Regulators::new(&description.regulators).map_err(wrong(Kind::Voltage))?,
            terms: Vec::new(),
            schedule: BTreeSet::new(),
            operations: HashMap::new(),
            updates: HashMap::new(),
            woken: Vec::new(),
            is_broken: false,
        };
        Ok((soc, names))
    }

    /// When something is due next.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.schedule.first().map(|(when, _)| *when)
    }

    /// What has become due, one at a time.
    pub(crate) fn due(&mut self) -> Option<Event> {
        let (when, due) = *self.schedule.first()?;
        if when > self.now {
            return None;
        }
        self.schedule.remove(&(when, due));
        Some(match due {
            Due::Operation(place) => Event::Complete(self.operations.remove(&place)?.1),
            Due::Update(sensor) => {
                self.updates.remove(&sensor);
                self.schedule_update(sensor);
                // Nobody hears of one that fails.
                self.measure_now(sensor).ok();
                Event::Updated(sensor)
            }
            Due::Retry => Event::Retry,
        })
    }

    /// Something failed, and is tried again soon. `false` if that was known.
    pub(crate) fn retry(&mut self) -> bool {
        let is_retry = |(_, due): &(Duration, Due)| *due == Due::Retry;
        let is_new = !self.schedule.iter().any(is_retry);
        if is_new {
            self.schedule.insert((self.now + RETRY, Due::Retry));
        }
        is_new
    }

    /// The operation of a ticket is complete after some time.
    fn later(&mut self, ticket: Ticket, after: Duration) -> When {
        if after.is_zero() {
            return When::Now;
        }
        let place = place(ticket);
        let when = self.now + after;
        if let Some((before, _)) = self.operations.insert(place, (when, ticket)) {
            self.schedule.remove(&(before, Due::Operation(place)));
        }
        self.schedule.insert((when, Due::Operation(place)));
        When::Later
    }

    /// When a sensor measures by itself next, if it does. Not later than it would have before: who sets it up again and
    /// again does not keep it from that.
    fn schedule_update(&mut self, sensor: u16) {
        let before = self.updates.remove(&sensor);
        if let Some(before) = before {
            self.schedule.remove(&(before, Due::Update(sensor)));
        }
        if let Ok(Some(interval)) = self.sensors.interval(sensor) {
            let next = self.now + interval;
            let next = before.map_or(next, |before| before.min(next));
            self.updates.insert(sensor, next);
            self.schedule.insert((next, Due::Update(sensor)));
        }
    }

    fn measure_now(&mut self, sensor: u16) -> Result<(), Status> {
        self.works()?;
        self.sensors
            .measure(sensor, self.now, &self.clocks, &self.regulators)
    }

    fn works(&self) -> Result<(), Status> {
        match self.is_broken {
            true => Err(Status::HardwareError),
            false => Ok(()),
        }
    }

    pub(crate) fn trip_points(&self, sensor: u16) -> usize {
        let sensor = self.sensors.describe(sensor);
        sensor.map_or(0, |sensor| sensor.trip_points.into())
    }

    fn terms(&self, agent: u16, kind: Kind, resource: u16) -> Option<&Terms> {
        self.terms.get(usize::from(agent))?.of(kind).get(&resource)
    }

    /// What an agent calls a resource.
    fn name<'a>(&'a self, agent: u16, kind: Kind, resource: u16, own: &'a [u8]) -> &'a [u8] {
        let terms = self.terms(agent, kind, resource);
        let alias = terms.and_then(|terms| terms.alias.as_ref());
        alias.map_or(own, |alias| alias.as_bytes())
    }

    fn limits(&self, agent: u16, kind: Kind, resource: u16) -> Option<Limits> {
        self.terms(agent, kind, resource)?.limits.clone()
    }

    /// An agent's limits; or what is wrong with them.
    pub(crate) fn limit(
        &self,
        kind: Kind,
        resource: u16,
        min: Option<i64>,
        max: Option<i64>,
    ) -> Result<Limits, &'static str> {
        let clock = self.clocks.choice(resource);
        let regulator = self.regulators.choice(resource);
        match (kind, clock, regulator) {
            (Kind::Clock, Ok(clock), _) => clock.limits(min, max),
            (Kind::Voltage, _, Ok(regulator)) => regulator.limits(min, max),
            _ => Err("only clocks and regulators have min and max"),
        }
    }

    /// What a resource does, in words for tests: a clock's hertz, a regulator's microvolts, 0 or 1.
    pub(crate) fn state(&self, kind: Kind, resource: u16) -> Result<i64, Status> {
        Ok(match kind {
            Kind::Clock => i64::try_from(self.clocks.frequency(resource)?).unwrap_or(i64::MAX),
            Kind::Voltage => self.regulators.output(resource, self.now)?.into(),
            Kind::Power => self.domains.is_up(resource)?.into(),
            Kind::Reset => self.lines.runs(resource)?.into(),
            Kind::Sensor => self.sensors.interval(resource)?.is_some().into(),
        })
    }
}

/// The engine's place for an operation, in which there is one at a time: the lower half of its ticket.
fn place(ticket: Ticket) -> u16 {
    let [low, high, ..] = u32::from(ticket).to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// All names of a description, which are in order.
fn names(description: &Description) -> Result<Names, Mistake> {
    let mut names = Names::default();
    let Description {
        clocks,
        sensors,
        resets,
        power_domains,
        regulators,
    } = description;
    let named: [(Kind, Vec<&String>); 5] = [
        (Kind::Clock, clocks.iter().map(|one| &one.name).collect()),
        (Kind::Sensor, sensors.iter().map(|one| &one.name).collect()),
        (Kind::Reset, resets.iter().map(|one| &one.name).collect()),
        (
            Kind::Power,
            power_domains.iter().map(|one| &one.name).collect(),
        ),
        (
            Kind::Voltage,
            regulators.iter().map(|one| &one.name).collect(),
        ),
    ];
    for (kind, all) in named {
        for (index, name) in all.into_iter().enumerate() {
            let number = u16::try_from(index).ok().filter(|number| *number < MOST);
            let mistake = match number {
                None => Some("too many"),
                Some(_) if !is_name(name) => Some(NO_NAME),
                Some(number) => {
                    let before = names.of_mut(kind).insert(name.clone(), number);
                    before.map(|_| "another one of its kind has this name")
                }
            };
            if let Some(mistake) = mistake {
                return Err(Mistake::new("name", mistake).of(kind, index));
            }
        }
    }
    Ok(names)
}

pub(crate) const NO_NAME: &str = "a name has 1 to 63 printable characters of ASCII, and no space";

/// Linux makes file names of them.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

fn find(names: &Names, kind: Kind, key: &'static str, name: &str) -> Result<u16, Mistake> {
    let number = names.of(kind).get(name).copied();
    number.ok_or_else(|| Mistake::new(key, format!("{} is called {name:?}", nothing(kind))))
}

/// That there is none, in the words of the configuration file.
pub(crate) fn nothing(kind: Kind) -> &'static str {
    match kind {
        Kind::Power => "no [[power-domain]]",
        Kind::Clock => "no [[clock]]",
        Kind::Sensor => "no [[sensor]]",
        Kind::Reset => "no [[reset]]",
        Kind::Voltage => "no [[regulator]]",
    }
}

fn at<T>(all: &[T], index: u16) -> Result<&T, Status> {
    all.get(usize::from(index)).ok_or(Status::NotFound)
}

fn at_mut<T>(all: &mut [T], index: u16) -> Result<&mut T, Status> {
    all.get_mut(usize::from(index)).ok_or(Status::NotFound)
}

fn micros(key: &'static str, count: u32) -> Result<Duration, Mistake> {
    let time = Duration::from_micros(count.into());
    if time > LONGEST {
        return Err(Mistake::new(
            key,
            "more than 1.8 s, which Linux does not wait",
        ));
    }
    Ok(time)
}

fn range_is_right<T: PartialOrd + Default + Copy>(min: T, max: T, step: T) -> bool {
    min <= max && step > T::default()
}

impl scmi::Platform for Soc {
    fn identity(&self) -> Identity<'_> {
        Identity {
            vendor: b"virtio-backends",
            sub_vendor: b"simulated",
            version: 1,
        }
    }

    fn wake(&mut self, agent: u16) {
        if !self.woken.contains(&agent) {
            self.woken.push(agent);
        }
    }

    fn unfinished(&mut self) {
        // Once, until it is done: guests may be reset as often as they like.
        if self.retry() {
            warn!("scmi: not all could be undone that a guest had set up, which is tried again");
        }
    }
}

impl scmi::PowerDomains for Soc {
    fn power_domain(&self, agent: u16, domain: u16) -> Result<&[u8], Status> {
        Ok(self.name(agent, Kind::Power, domain, self.domains.name(domain)?))
    }

    fn switch_power(&mut self, domain: u16, to: Switch) -> Result<(), Status> {
        self.works()?;
        self.domains.switch(domain, to == Switch::On);
        Ok(())
    }
}

impl scmi::Clocks for Soc {
    fn clock(&self, agent: u16, clock: u16) -> Result<scmi::Clock<'_>, Status> {
        let one = self.clocks.describe(clock)?;
        let choice = self.clocks.choice(clock)?;
        let limits = self.limits(agent, Kind::Clock, clock);
        Ok(scmi::Clock {
            name: self.name(agent, Kind::Clock, clock, one.name),
            rates: limits.map_or(one.rates, |limits| choice.within(&limits)),
            ..one
        })
    }

    fn switch_clock(&mut self, clock: u16, to: Switch) -> Result<(), Status> {
        self.works()?;
        self.clocks.switch(clock, to == Switch::On);
        Ok(())
    }

    fn rate(&self, clock: u16) -> Result<u64, Status> {
        self.clocks.rate(clock)
    }

    fn set_rate(&mut self, clock: u16, rate: u64, ticket: Ticket) -> Result<When, Status> {
        self.works()?;
        // All agents have the same number of places.
        let limits = self.limits(place(ticket) / PLACES, Kind::Clock, clock);
        let after = self.clocks.set_rate(clock, rate, limits.as_ref())?;
        Ok(self.later(ticket, after))
    }

    fn parent(&self, clock: u16) -> Result<u16, Status> {
        self.clocks.parent(clock)
    }

    fn set_parent(&mut self, clock: u16, parent: u16) -> Result<(), Status> {
        self.works()?;
        self.clocks.set_parent(clock, parent);
        Ok(())
    }

    fn restore_clock(&mut self, clock: u16) -> Result<(), Status> {
        self.works()?;
        self.clocks.restore(clock)
    }
}

impl scmi::Sensors for Soc {
    fn sensor(&self, agent: u16, sensor: u16) -> Result<scmi::Sensor<'_>, Status> {
        let mut one = self.sensors.describe(sensor)?;
        one.scale.name = self.name(agent, Kind::Sensor, sensor, one.scale.name);
        Ok(one)
    }

    fn axis(&self, _agent: u16, sensor: u16, axis: u8) -> Result<scmi::Axis<'_>, Status> {
        self.sensors.axis(sensor, axis)
    }

    fn switch_sensor(&mut self, sensor: u16, to: Switch) -> Result<(), Status> {
        self.works()?;
        self.sensors.switch(sensor, to == Switch::On)?;
        self.schedule_update(sensor);
        Ok(())
    }

    fn set_interval(&mut self, sensor: u16, nanoseconds: u64) -> Result<(), Status> {
        self.works()?;
        self.sensors.set_interval(sensor, nanoseconds)?;
        self.schedule_update(sensor);
        Ok(())
    }

    fn measure(&mut self, sensor: u16, _ticket: Ticket) -> Result<When, Status> {
        self.measure_now(sensor)?;
        Ok(When::Now)
    }

    fn reading(&self, sensor: u16, axis: u8) -> Result<scmi::Reading, Status> {
        self.sensors.reading(sensor, axis)
    }
}

impl scmi::Resets for Soc {
    fn reset_domain(&self, agent: u16, domain: u16) -> Result<scmi::ResetDomain<'_>, Status> {
        let one = self.lines.describe(domain)?;
        Ok(scmi::ResetDomain {
            name: self.name(agent, Kind::Reset, domain, one.name),
            ..one
        })
    }

    fn switch_reset(&mut self, domain: u16, to: Switch) -> Result<(), Status> {
        self.works()?;
        self.lines.switch(domain, to == Switch::On)
    }

    fn reset(&mut self, domain: u16, ticket: Ticket) -> Result<When, Status> {
        self.works()?;
        let after = self.lines.reset(domain)?;
        Ok(self.later(ticket, after))
    }
}

impl scmi::Voltages for Soc {
    fn voltage_domain(&self, agent: u16, domain: u16) -> Result<scmi::VoltageDomain<'_>, Status> {
        let one = self.regulators.describe(domain)?;
        let choice = self.regulators.choice(domain)?;
        let limits = self.limits(agent, Kind::Voltage, domain);
        Ok(scmi::VoltageDomain {
            name: self.name(agent, Kind::Voltage, domain, one.name),
            levels: limits.map_or(one.levels, |limits| choice.within(&limits)),
        })
    }

    fn switch_voltage(&mut self, domain: u16, to: Switch) -> Result<(), Status> {
        self.works()?;
        self.regulators.switch(domain, to == Switch::On)
    }

    fn level(&self, domain: u16) -> Result<i32, Status> {
        self.regulators.level(domain, self.now)
    }

    fn set_level(&mut self, domain: u16, level: i32, ticket: Ticket) -> Result<When, Status> {
        self.works()?;
        let after = self.regulators.set_level(domain, level, self.now)?;
        Ok(self.later(ticket, after))
    }

    fn restore_voltage(&mut self, domain: u16) -> Result<(), Status> {
        self.works()?;
        self.regulators.restore(domain)
    }
}
