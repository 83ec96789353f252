// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The platform that guests share: the engine, behind a lock that is held for one message at a time.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use log::{error, info};
use parking_lot::{FairMutex, Mutex};
use scmi::{
    AgentId, Engine, Kind, Memory, Pending, PerKind, Profile, Reason, Resource, ResourceId, Rights,
    Trip,
};
use virtio_backend::{Timer, Token, Waker, Watch};

use crate::Scmi;
use crate::description::{Description, Mistake};
use crate::soc::{Event, NO_NAME, Names, Soc, Terms, is_name, nothing};

/// How many operations one guest may have going on, or waiting for a buffer to tell their end.
pub(crate) const PLACES: u16 = 16;

/// How much that is due is done in one turn of the first guest's loop.
const TURN: usize = 64;

/// The engine has something for the guest.
pub(crate) const WOKEN: Token = Token(0);
/// The platform's time has come.
pub(crate) const TIME: Token = Token(1);
/// It is time for events.
pub(crate) const PAUSED: Token = Token(2);

/// A platform, made up as described. Guests are [added](Self::guest) before anybody looks at it, and before the first
/// one is served: it starts then.
#[derive(Clone)]
pub struct Board(Arc<Shared>);

struct Shared {
    plan: Mutex<Option<Plan>>,
    /// Whose turn is next is who waits: a guest that never stops asking is not faster back than another one wakes up.
    platform: OnceLock<Option<FairMutex<Platform>>>,
    /// Since some moment, never backwards.
    time: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// What there is before the platform starts.
struct Plan {
    soc: Soc,
    names: Names,
    /// Whether more than one guest may be given it.
    shared: PerKind<Vec<bool>>,
    /// A guest that was given it.
    holders: PerKind<HashMap<ResourceId, String>>,
    /// The guests' names.
    guests: Vec<String>,
    agents: Vec<scmi::Agent>,
    grants: Vec<scmi::Grant>,
    trips: Vec<Trip>,
    wakes: Vec<Waker>,
    timer: Option<Timer>,
}

/// What a guest is given that is to be added.
#[derive(Default)]
struct New {
    resources: PerKind<HashSet<ResourceId>>,
    names: PerKind<HashSet<String>>,
    terms: PerKind<HashMap<ResourceId, Terms>>,
    grants: Vec<scmi::Grant>,
    trips: usize,
}

struct Platform {
    /// Its memory is lent for good: the platform is there as long as the process.
    engine: Engine<'static, Soc>,
    guests: Vec<String>,
    wakes: Vec<Waker>,
    timer: Option<Timer>,
    /// When the timer expires.
    armed: Option<Duration>,
}

/// A guest, as SCMI has it.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a> {
    /// What the log calls it, and so does SCMI, up to 15 characters.
    pub name: &'a str,
    /// The version that it speaks.
    pub profile: Profile,
    /// It knows of the others, may take devices from them, and reset them.
    pub trusted: bool,
    /// What it is given. It numbers that in this order, each kind from 0 on.
    pub grants: &'a [Grant],
}

/// What a guest is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What kind of resource.
    pub kind: Kind,
    /// What the platform calls it.
    pub name: String,
    /// What the guest calls it, if that is something else. Linux wants names that no two clocks have.
    pub alias: Option<String>,
    /// What the guest may do with it.
    pub access: Access,
    /// The lowest rate of a clock, in hertz, or level of a regulator, in microvolts, that the guest may set, with
    /// [`Access::Full`]. One with limits does not choose what a clock comes from.
    pub min: Option<i64>,
    /// The highest.
    pub max: Option<i64>,
    /// It is on from the beginning.
    pub on: bool,
    /// The device that it belongs to, by which a trusted guest takes it away; 0 if to none.
    pub device: u16,
}

/// What a guest may do with a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(serde::Deserialize))]
#[cfg_attr(feature = "daemon", serde(rename_all = "kebab-case"))]
pub enum Access {
    /// Look at it.
    Look,
    /// Also switch it on and off.
    Switch,
    /// Also set its rate, parent, level or interval, and reset it.
    #[default]
    Full,
}

impl Board {
    /// A platform whose time is the host's.
    ///
    /// # Errors
    /// What cannot be as described.
    pub fn new(description: &Description) -> Result<Self, Mistake> {
        let start = Instant::now();
        Self::with_time(description, move || start.elapsed())
    }

    /// A platform with a time of its own, which never goes backwards.
    ///
    /// # Errors
    /// What cannot be as described.
    pub fn with_time(
        description: &Description,
        time: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Result<Self, Mistake> {
        let (soc, names) = Soc::new(description)?;
        let Description {
            clocks,
            sensors,
            resets,
            power_domains,
            regulators,
        } = description;
        let shared = PerKind::from_fn(|kind| match kind {
            Kind::POWER => power_domains.iter().map(|it| it.shared).collect(),
            Kind::CLOCK => clocks.iter().map(|it| it.shared).collect(),
            Kind::SENSOR => sensors.iter().map(|it| it.shared).collect(),
            Kind::RESET => resets.iter().map(|it| it.shared).collect(),
            _ => regulators.iter().map(|it| it.shared).collect(),
        });
        let plan = Plan {
            soc,
            names,
            shared,
            holders: PerKind::default(),
            guests: Vec::new(),
            agents: Vec::new(),
            grants: Vec::new(),
            trips: Vec::new(),
            wakes: Vec::new(),
            timer: None,
        };
        Ok(Self(Arc::new(Shared {
            plan: Mutex::new(Some(plan)),
            platform: OnceLock::new(),
            time: Box::new(time),
        })))
    }

    /// Adds a guest.
    ///
    /// `watch` is what the device is told of. Whoever polls that of the first guest drives the platform's time.
    ///
    /// # Errors
    /// What cannot be given; also when the platform has started, and when the process is out of file descriptors.
    pub fn guest(&self, agent: &Agent<'_>, watch: &Watch) -> Result<Scmi, Mistake> {
        let mut plan = self.0.plan.lock();
        let plan = plan
            .as_mut()
            .ok_or_else(|| Mistake::new("name", "the platform has started"))?;
        let number = plan.add(agent, watch)?;
        let pause = watch.timer(PAUSED);
        Ok(Scmi::new(agent.name, number, self.clone(), pause))
    }

    /// Everything that there is, to be given to one guest; nothing once the platform has started.
    pub fn everything(&self) -> Vec<Grant> {
        let plan = self.0.plan.lock();
        let mut all = Vec::new();
        for kind in Kind::ALL {
            let names = plan.iter().flat_map(|plan| plan.names.of(kind));
            let mut names: Vec<_> = names.collect();
            names.sort_by_key(|(_, number)| **number);
            all.extend(names.into_iter().map(|(name, _)| Grant {
                kind,
                name: name.clone(),
                alias: None,
                access: Access::Full,
                min: None,
                max: None,
                on: false,
                device: 0,
            }));
        }
        all
    }

    /// Undoes what a guest has set up, whether it is there or not. One that is goes on: what it waits for has failed.
    ///
    /// # Errors
    /// No guest has this name, or none has been there yet.
    pub fn reset(&self, guest: &str) -> io::Result<()> {
        let platform = self.0.platform.get().and_then(Option::as_ref);
        let platform = platform.ok_or_else(|| io::Error::other("no guest has been there yet"))?;
        let number = platform.lock().guests.iter().position(|name| name == guest);
        let number = number.and_then(|number| u16::try_from(number).ok());
        let number =
            number.ok_or_else(|| io::Error::other(format!("no guest is called {guest:?}")))?;
        // What fails, the platform is told to try again.
        self.with(None, |engine| {
            engine.reset_agent(AgentId(number), Reason::Requested).ok()
        });
        Ok(())
    }

    /// Has the hardware fail whatever it is asked to do, or work again.
    pub fn set_broken(&self, broken: bool) {
        match self.0.plan.lock().as_mut() {
            Some(plan) => plan.soc.is_broken = broken,
            None => _ = self.with(None, |engine| engine.platform.is_broken = broken),
        }
    }

    /// What a resource does, whoever wants that: the hertz of a clock, the microvolts of a regulator, both 0 while it is
    /// off; of others 1 if they are up, measure by themselves, or are not held in reset. `None` if there is none.
    pub fn state(&self, kind: Kind, resource: u16) -> Option<i64> {
        self.with(None, |engine| {
            engine.platform.state(kind, ResourceId(resource)).ok()
        })?
        .0
    }

    /// Does what is due: much, but not for ever.
    pub(crate) fn tick(&self) {
        if let Some(platform) = self.platform() {
            // It has expired, and is set again.
            platform.lock().armed = None;
        }
        for _ in 0..TURN {
            let step = self.with(None, |engine| {
                match engine.platform.due() {
                    Some(Event::Complete(ticket)) => engine.complete(ticket, Ok(())),
                    Some(Event::Updated(sensor)) => engine.sensor_updated(sensor),
                    Some(Event::Retry) => match engine.retry() {
                        Ok(()) => info!("scmi: what had failed is done"),
                        Err(_) => {
                            engine.platform.retry();
                        }
                    },
                    None => return false,
                }
                true
            });
            if !matches!(step, Some((true, _))) {
                return;
            }
        }
    }

    /// Does something for an agent, or for none. Says also whether there is something for the agent to fetch; others are
    /// woken. `None` if there is no platform.
    pub(crate) fn with<T>(
        &self,
        agent: Option<AgentId>,
        action: impl FnOnce(&mut Engine<'static, Soc>) -> T,
    ) -> Option<(T, bool)> {
        let mut platform = self.platform()?.lock();
        platform.engine.platform.now = (self.0.time)();
        let result = action(&mut platform.engine);
        Some((result, platform.settle(agent)))
    }

    fn platform(&self) -> Option<&FairMutex<Platform>> {
        let start = || {
            let plan = self.0.plan.lock().take()?;
            plan.start().map(FairMutex::new)
        };
        self.0.platform.get_or_init(start).as_ref()
    }
}

impl Plan {
    /// Adds an agent, all of it or nothing. Returns its number.
    fn add(&mut self, agent: &Agent<'_>, watch: &Watch) -> Result<AgentId, Mistake> {
        let mistake = |what: &str| Mistake::new("name", what);
        let number = u16::try_from(self.agents.len()).ok();
        let number = number.filter(|number| *number < u16::MAX / PLACES);
        let number = number.ok_or_else(|| mistake("too many guests"))?;
        let has_regulators = agent.grants.iter().any(|grant| grant.kind == Kind::VOLTAGE);
        if has_regulators && agent.profile == Profile::V2_0 {
            return Err(Mistake::new(
                list_of(Kind::VOLTAGE),
                "SCMI 2.0 has none, 3.0 has",
            ));
        }
        let mut new = New::default();
        for kind in Kind::ALL {
            let grants = agent.grants.iter().filter(|grant| grant.kind == kind);
            for (element, grant) in grants.enumerate() {
                self.give(&mut new, grant)
                    .map_err(|mistake| mistake.at(element))?;
            }
        }
        let trips = self.trips.len() + new.trips;
        if self.grants.len() + new.grants.len() >= u16::MAX.into() || trips > u16::MAX.into() {
            return Err(mistake("all guests together are given too much"));
        }
        self.timer.get_or_insert_with(|| watch.timer(TIME));
        // Nothing fails from here on.
        let mut counts = PerKind::default();
        for kind in Kind::ALL {
            for &resource in new.resources.of(kind) {
                let holders = self.holders.of_mut(kind);
                holders.insert(resource, agent.name.to_owned());
                *counts.of_mut(kind) += 1;
            }
        }
        let name: Vec<u8> = agent.name.bytes().filter(u8::is_ascii_graphic).collect();
        let its = scmi::Agent::new(&name, agent.profile, counts);
        self.agents
            .push(if agent.trusted { its.trusted() } else { its });
        self.soc.terms.push(new.terms);
        self.grants.append(&mut new.grants);
        self.trips.resize(trips, Trip::default());
        self.guests.push(agent.name.to_owned());
        self.wakes.push(watch.waker(WOKEN));
        Ok(AgentId(number))
    }

    /// Has a resource be one of what a new agent is given.
    fn give(&self, new: &mut New, grant: &Grant) -> Result<(), Mistake> {
        let (kind, name) = (grant.kind, &grant.name);
        let mistake = |what| Mistake::new(list_of(kind), what);
        let resource = self.names.of(kind).get(name).copied();
        let resource =
            resource.ok_or_else(|| mistake(format!("{} is called {name:?}", nothing(kind))))?;
        let shared = self.shared.of(kind).get(usize::from(resource.0));
        let its = grant.alias.as_ref().unwrap_or(name);
        if !new.resources.of_mut(kind).insert(resource) {
            return Err(mistake(format!("{name:?} is there twice")));
        }
        if !new.names.of_mut(kind).insert(its.clone()) {
            return Err(mistake(format!("{its:?} is there twice")));
        }
        let other = self.holders.of(kind).get(&resource);
        if let Some(other) = other.filter(|_| shared != Some(&true)) {
            return Err(mistake(format!(
                "{name:?} is guest {other}'s, and not shared"
            )));
        }
        let terms = self.terms(resource, grant)?;
        let rights = match grant.access {
            Access::Look => Rights::default(),
            Access::Switch => Rights {
                switch: true,
                ..Rights::default()
            },
            Access::Full => Rights {
                change: kind != Kind::CLOCK || self.soc.clocks.is_settable(resource),
                reparent: terms.limits.is_none(),
                ..Rights::ALL
            },
        };
        if (&terms.alias, &terms.limits) != (&None, &None) {
            new.terms.of_mut(kind).insert(resource, terms);
        }
        let given = scmi::Grant::new(resource, rights, grant.on);
        new.grants.push(given.of_device(grant.device));
        if kind == Kind::SENSOR {
            new.trips += self.soc.trip_points(resource);
        }
        Ok(())
    }

    fn terms(&self, resource: ResourceId, grant: &Grant) -> Result<Terms, Mistake> {
        let mistake = |what| Mistake::new(list_of(grant.kind), what);
        let alias = grant.alias.clone();
        if let Some(alias) = alias.as_ref().filter(|alias| !is_name(alias)) {
            return Err(mistake(format!("{alias:?}: {NO_NAME}")));
        }
        let limits = if (grant.min, grant.max) == (None, None) {
            None
        } else if grant.access != Access::Full {
            let what = "min and max are for access full, which alone sets anything";
            return Err(mistake(format!("{:?}: {what}", grant.name)));
        } else {
            let limits = self.soc.limit(grant.kind, resource, grant.min, grant.max);
            Some(limits.map_err(|what| mistake(format!("{:?}: {what}", grant.name)))?)
        };
        Ok(Terms { alias, limits })
    }

    fn start(self) -> Option<Platform> {
        let resources = |kind| {
            let count = self.names.of(kind).len();
            vec![Resource::default(); count].leak()
        };
        let pending = self.agents.len() * usize::from(PLACES);
        let memory = Memory {
            agents: self.agents.leak(),
            grants: self.grants.leak(),
            resources: PerKind::from_fn(resources),
            trips: self.trips.leak(),
            pending: vec![Pending::default(); pending].leak(),
        };
        let engine = Engine::new(self.soc, memory);
        Some(Platform {
            // What there can be too much of was counted with each guest.
            engine: engine.map_err(|status| error!("scmi: {status:?}")).ok()?,
            guests: self.guests,
            wakes: self.wakes,
            timer: self.timer,
            armed: None,
        })
    }
}

/// What a guest's resources of a kind are called in the configuration file.
fn list_of(kind: Kind) -> &'static str {
    match kind {
        Kind::POWER => "power-domains",
        Kind::CLOCK => "clocks",
        Kind::SENSOR => "sensors",
        Kind::RESET => "resets",
        _ => "regulators",
    }
}

impl Platform {
    /// Wakes who has something to fetch, and sets the timer. Says whether `agent`, which is here, has something itself.
    fn settle(&mut self, agent: Option<AgentId>) -> bool {
        let mut own = false;
        while let Some(woken) = self.engine.platform.woken.pop() {
            if Some(woken) == agent {
                own = true;
            } else if let Some(wake) = self.wakes.get(usize::from(woken.0)) {
                wake.wake();
            }
        }
        let deadline = self.engine.platform.deadline();
        if deadline != self.armed {
            self.armed = deadline;
            match (&self.timer, deadline) {
                (Some(timer), Some(when)) => {
                    timer.arm(when.saturating_sub(self.engine.platform.now));
                }
                (Some(timer), None) => timer.disarm(),
                (None, _) => {}
            }
        }
        own
    }
}
