// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A system on a chip that is made up: the engine's hardware.
//!
//! It has no time of its own: somebody sets [`now`](Soc::now), and asks for what is [due](Soc::due).

mod clocks;
mod platform;
mod sensors;
mod supplies;
mod tree;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use scmi::{AgentId, Kind, PerKind, ResourceId, Status, Ticket, When};

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
pub(crate) type Names = PerKind<HashMap<String, ResourceId>>;

pub(crate) struct Soc {
    /// Since the platform started.
    pub(crate) now: Duration,
    pub(crate) clocks: Clocks,
    sensors: Sensors,
    lines: Lines,
    domains: Domains,
    regulators: Regulators,
    /// What is another resource to an agent than it is to the platform.
    pub(crate) terms: Vec<PerKind<HashMap<ResourceId, Terms>>>,
    /// When what is to be done, and again by what it is about.
    schedule: BTreeSet<(Duration, Due)>,
    /// Of each resource there is one at a time.
    operations: BTreeMap<(Kind, ResourceId), (Duration, Ticket)>,
    updates: HashMap<ResourceId, Duration>,
    /// Agents that have something to fetch.
    pub(crate) woken: Vec<AgentId>,
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
    /// The operation on this resource is complete.
    Operation(Kind, ResourceId),
    /// A sensor measures.
    Update(ResourceId),
    /// Something failed, and is tried again.
    Retry,
}

/// What has become due.
pub(crate) enum Event {
    Complete(Ticket),
    Updated(ResourceId),
    Retry,
}

impl Soc {
    pub(crate) fn new(description: &Description) -> Result<(Self, Names), Mistake> {
        let names = names(description)?;
        let wrong = |kind| move |(index, mistake): (usize, Mistake)| mistake.of(kind, index);
        let soc = Self {
            now: Duration::ZERO,
            clocks: Clocks::new(&description.clocks, &names).map_err(wrong(Kind::CLOCK))?,
            sensors: Sensors::new(&description.sensors, &names).map_err(wrong(Kind::SENSOR))?,
            lines: Lines::new(&description.resets).map_err(wrong(Kind::RESET))?,
            domains: Domains::new(&description.power_domains, &names)
                .map_err(wrong(Kind::POWER))?,
            regulators: Regulators::new(&description.regulators).map_err(wrong(Kind::VOLTAGE))?,
            terms: Vec::new(),
            schedule: BTreeSet::new(),
            operations: BTreeMap::new(),
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
            Due::Operation(kind, resource) => {
                let operation = self.operations.remove(&(kind, resource));
                Event::Complete(operation?.1)
            }
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

    /// An operation on a resource is complete after some time, if that is not at once. It takes the place of one before.
    fn later(
        &mut self,
        kind: Kind,
        resource: ResourceId,
        ticket: Option<Ticket>,
        after: Duration,
    ) -> Result<When, Status> {
        let due = Due::Operation(kind, resource);
        if !after.is_zero() && ticket.is_none() {
            return Err(Status::Busy);
        }
        if let Some((before, _)) = self.operations.remove(&(kind, resource)) {
            self.schedule.remove(&(before, due));
        }
        let Some(ticket) = ticket.filter(|_| !after.is_zero()) else {
            return Ok(When::Now);
        };
        let when = self.now + after;
        self.operations.insert((kind, resource), (when, ticket));
        self.schedule.insert((when, due));
        Ok(When::Later)
    }

    /// When a sensor measures by itself next, if it does. Not later than it would have before: who sets it up again and
    /// again does not keep it from that.
    fn schedule_update(&mut self, sensor: ResourceId) {
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

    fn measure_now(&mut self, sensor: ResourceId) -> Result<(), Status> {
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

    pub(crate) fn trip_points(&self, sensor: ResourceId) -> usize {
        let sensor = self.sensors.describe(sensor);
        sensor.map_or(0, |sensor| sensor.trip_points.into())
    }

    fn terms(&self, agent: AgentId, kind: Kind, resource: ResourceId) -> Option<&Terms> {
        self.terms
            .get(usize::from(agent.0))?
            .of(kind)
            .get(&resource)
    }

    /// What an agent calls a resource.
    fn name<'a>(
        &'a self,
        agent: AgentId,
        (kind, resource): (Kind, ResourceId),
        own: &'a [u8],
    ) -> &'a [u8] {
        let terms = self.terms(agent, kind, resource);
        let alias = terms.and_then(|terms| terms.alias.as_ref());
        alias.map_or(own, |alias| alias.as_bytes())
    }

    fn limits(&self, agent: AgentId, kind: Kind, resource: ResourceId) -> Option<Limits> {
        self.terms(agent, kind, resource)?.limits.clone()
    }

    /// An agent's limits; or what is wrong with them.
    pub(crate) fn limit(
        &self,
        kind: Kind,
        resource: ResourceId,
        min: Option<i64>,
        max: Option<i64>,
    ) -> Result<Limits, &'static str> {
        let clock = self.clocks.choice(resource);
        let regulator = self.regulators.choice(resource);
        match (kind, clock, regulator) {
            (Kind::CLOCK, Ok(clock), _) => clock.limits(min, max),
            (Kind::VOLTAGE, _, Ok(regulator)) => regulator.limits(min, max),
            _ => Err("only clocks and regulators have min and max"),
        }
    }

    /// What a resource does, in words for tests: a clock's hertz, a regulator's microvolts, 0 or 1.
    pub(crate) fn state(&self, kind: Kind, resource: ResourceId) -> Result<i64, Status> {
        Ok(match kind {
            Kind::CLOCK => i64::try_from(self.clocks.frequency(resource)?).unwrap_or(i64::MAX),
            Kind::POWER => self.domains.is_up(resource)?.into(),
            Kind::RESET => self.lines.runs(resource)?.into(),
            Kind::SENSOR => self.sensors.interval(resource)?.is_some().into(),
            _ => self.regulators.output(resource, self.now)?.into(),
        })
    }
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
        (Kind::CLOCK, clocks.iter().map(|one| &one.name).collect()),
        (Kind::SENSOR, sensors.iter().map(|one| &one.name).collect()),
        (Kind::RESET, resets.iter().map(|one| &one.name).collect()),
        (
            Kind::POWER,
            power_domains.iter().map(|one| &one.name).collect(),
        ),
        (
            Kind::VOLTAGE,
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
                    let number = ResourceId(number);
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

fn find(names: &Names, kind: Kind, key: &'static str, name: &str) -> Result<ResourceId, Mistake> {
    let number = names.of(kind).get(name).copied();
    number.ok_or_else(|| Mistake::new(key, format!("{} is called {name:?}", nothing(kind))))
}

/// That there is none, in the words of the configuration file.
pub(crate) fn nothing(kind: Kind) -> &'static str {
    match kind {
        Kind::POWER => "no [[power-domain]]",
        Kind::CLOCK => "no [[clock]]",
        Kind::SENSOR => "no [[sensor]]",
        Kind::RESET => "no [[reset]]",
        _ => "no [[regulator]]",
    }
}

fn at<T>(all: &[T], index: ResourceId) -> Result<&T, Status> {
    all.get(usize::from(index.0)).ok_or(Status::NotFound)
}

fn at_mut<T>(all: &mut [T], index: ResourceId) -> Result<&mut T, Status> {
    all.get_mut(usize::from(index.0)).ok_or(Status::NotFound)
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

/// Whether a range ends with a step.
fn range_is_right<T: Copy + Into<i128>>(min: T, max: T, step: T) -> bool {
    let (min, max, step) = (min.into(), max.into(), step.into());
    min <= max && step > 0 && (max - min) % step == 0
}
