// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Simulated power domains, which are up while what is in them is; regulators, whose levels take their time; and reset
//! lines.

use std::time::Duration;

use scmi::{Kind, ResourceId, Status};

use super::tree::Tree;
use super::values::Choice;
use super::{LONGEST, Names, at, at_mut, find, micros, range_is_right};
use crate::description::{Mistake, PowerDomain, Regulator, Reset, VoltageRange};

/// A resource that is wrong, and how.
type Wrong = (usize, Mistake);

#[derive(Default)]
pub(crate) struct Domains {
    names: Vec<String>,
    tree: Tree,
}

impl Domains {
    pub(super) fn new(domains: &[PowerDomain], names: &Names) -> Result<Self, Wrong> {
        let parent = |(index, domain): (usize, &PowerDomain)| {
            let parent = domain.parent.as_ref();
            let parent = parent.map(|name| find(names, Kind::POWER, "parent", name));
            parent.transpose().map_err(|mistake| (index, mistake))
        };
        let parents: Vec<_> = domains
            .iter()
            .enumerate()
            .map(parent)
            .collect::<Result<_, _>>()?;
        for index in (0..).map(ResourceId).take(parents.len()) {
            let up = |index: &ResourceId| *at(&parents, *index).ok()?;
            // Whoever is further up than there are domains goes round in circles.
            if std::iter::successors(Some(index), up)
                .nth(parents.len())
                .is_some()
            {
                return Err((
                    index.0.into(),
                    Mistake::new("parent", "it would be within itself"),
                ));
            }
        }
        Ok(Self {
            names: domains.iter().map(|domain| domain.name.clone()).collect(),
            tree: Tree::new(parents.into_iter()),
        })
    }

    pub(super) fn name(&self, domain: ResourceId) -> Result<&[u8], Status> {
        Ok(at(&self.names, domain)?.as_bytes())
    }

    pub(super) fn switch(&mut self, domain: ResourceId, on: bool) {
        self.tree.want(domain, on);
    }

    pub(super) fn is_up(&self, domain: ResourceId) -> Result<bool, Status> {
        self.name(domain)?;
        Ok(self.tree.runs(domain))
    }
}

#[derive(Default)]
pub(crate) struct Regulators(Vec<OneRegulator>);

struct OneRegulator {
    name: String,
    levels: Choice<i32>,
    boot: i32,
    ramp: u32,
    on: bool,
    /// The way to its level, since when.
    from: i32,
    to: i32,
    since: Duration,
}

impl Regulators {
    pub(super) fn new(regulators: &[Regulator]) -> Result<Self, Wrong> {
        let one =
            |(index, regulator)| OneRegulator::new(regulator).map_err(|mistake| (index, mistake));
        Ok(Self(
            regulators
                .iter()
                .enumerate()
                .map(one)
                .collect::<Result<_, _>>()?,
        ))
    }

    pub(super) fn choice(&self, regulator: ResourceId) -> Result<&Choice<i32>, Status> {
        Ok(&at(&self.0, regulator)?.levels)
    }

    pub(super) fn describe(
        &self,
        regulator: ResourceId,
    ) -> Result<scmi::VoltageDomain<'_>, Status> {
        let one = at(&self.0, regulator)?;
        Ok(scmi::VoltageDomain {
            name: one.name.as_bytes(),
            levels: one.levels.all(),
        })
    }

    pub(super) fn switch(&mut self, regulator: ResourceId, on: bool) -> Result<(), Status> {
        let one = at_mut(&mut self.0, regulator)?;
        one.on = on;
        // Nothing to go up or down from.
        one.from = one.to;
        Ok(())
    }

    /// One of those that it can be set to, which Linux insists on: on its way from one to another the next below.
    pub(super) fn level(&self, regulator: ResourceId, now: Duration) -> Result<i32, Status> {
        let one = at(&self.0, regulator)?;
        Ok(below(&one.levels, one.level(now)))
    }

    /// In microvolts, 0 while it is off.
    pub(super) fn output(&self, regulator: ResourceId, now: Duration) -> Result<i32, Status> {
        let one = at(&self.0, regulator)?;
        Ok(if one.on { one.level(now) } else { 0 })
    }

    /// How long it would take to get to a level.
    pub(super) fn ramp_time(
        &self,
        regulator: ResourceId,
        level: i32,
        now: Duration,
    ) -> Result<Duration, Status> {
        let one = at(&self.0, regulator)?;
        let from = if one.on { one.level(now) } else { level };
        Ok(time(from, level, one.ramp))
    }

    pub(super) fn set_level(
        &mut self,
        regulator: ResourceId,
        level: i32,
        now: Duration,
    ) -> Result<(), Status> {
        let one = at_mut(&mut self.0, regulator)?;
        one.from = if one.on { one.level(now) } else { level };
        one.to = level;
        one.since = now;
        Ok(())
    }

    pub(super) fn restore(&mut self, regulator: ResourceId) -> Result<(), Status> {
        let one = at_mut(&mut self.0, regulator)?;
        (one.from, one.to) = (one.boot, one.boot);
        Ok(())
    }
}

/// How long it takes to get from one level to another with so many microvolts per millisecond.
fn time(from: i32, to: i32, ramp: u32) -> Duration {
    let micros = u64::from(from.abs_diff(to)) * 1000;
    Duration::from_micros(micros.checked_div(ramp.into()).unwrap_or(0))
}

impl OneRegulator {
    fn new(regulator: &Regulator) -> Result<Self, Mistake> {
        let levels = choice(regulator)?;
        let ends = levels.ends();
        if ends.is_some_and(|(lowest, highest)| time(lowest, highest, regulator.ramp) > LONGEST) {
            return Err(Mistake::new(
                "ramp",
                "more than 1.8 s from the lowest to the highest level",
            ));
        }
        Ok(Self {
            name: regulator.name.clone(),
            levels,
            boot: regulator.level,
            ramp: regulator.ramp,
            on: false,
            from: regulator.level,
            to: regulator.level,
            since: Duration::ZERO,
        })
    }

    /// What it gives or would give, also on its way.
    fn level(&self, now: Duration) -> i32 {
        let gone = now.saturating_sub(self.since);
        let time = time(self.from, self.to, self.ramp);
        if gone >= time {
            return self.to;
        }
        let (from, to) = (i128::from(self.from), i128::from(self.to));
        let part = i128::try_from(gone.as_nanos()).unwrap_or(i128::MAX);
        let whole = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        let way = (to - from).saturating_mul(part).checked_div(whole);
        i32::try_from(from + way.unwrap_or(0)).unwrap_or(self.to)
    }
}

fn choice(regulator: &Regulator) -> Result<Choice<i32>, Mistake> {
    let level = regulator.level;
    let choice = match (regulator.range, regulator.levels.is_empty()) {
        (Some(_), false) => return Err(Mistake::new("range", "it has levels already")),
        (Some(VoltageRange { min, max, step }), true) => {
            if !range_is_right(min, max, step) {
                return Err(Mistake::new(
                    "range",
                    "not from a lowest to a highest, in whole steps",
                ));
            }
            Choice::Range {
                lowest: min,
                highest: max,
                step,
            }
        }
        (None, true) => Choice::List(vec![level]),
        (None, false) if !regulator.levels.is_sorted_by(|a, b| a < b) => {
            return Err(Mistake::new("levels", "not ascending"));
        }
        (None, false) => Choice::List(regulator.levels.clone()),
    };
    if !choice.all().contain(level) {
        return Err(Mistake::new("level", "not one that it can be set to"));
    }
    Ok(choice)
}

/// The highest up to `level`, or that if there is none.
fn below(levels: &Choice<i32>, level: i32) -> i32 {
    match *levels {
        Choice::List(ref list) => {
            let below = list.iter().copied().filter(|&one| one <= level).max();
            below.unwrap_or(level)
        }
        Choice::Range { highest, .. } if level == highest => level,
        Choice::Range { lowest, step, .. } => {
            let over = level.saturating_sub(lowest).checked_rem(step);
            level.saturating_sub(over.unwrap_or(0))
        }
    }
}

#[derive(Default)]
pub(crate) struct Lines(Vec<Line>);

struct Line {
    name: String,
    latency: Duration,
    /// Not held in reset.
    runs: bool,
}

impl Lines {
    pub(super) fn new(resets: &[Reset]) -> Result<Self, Wrong> {
        let line = |(index, reset): (usize, &Reset)| {
            let latency = micros("latency", reset.latency);
            Ok(Line {
                name: reset.name.clone(),
                latency: latency.map_err(|mistake| (index, mistake))?,
                runs: false,
            })
        };
        Ok(Self(
            resets
                .iter()
                .enumerate()
                .map(line)
                .collect::<Result<_, _>>()?,
        ))
    }

    pub(super) fn describe(&self, line: ResourceId) -> Result<scmi::ResetDomain<'_>, Status> {
        let line = at(&self.0, line)?;
        Ok(scmi::ResetDomain {
            name: line.name.as_bytes(),
            latency: u32::try_from(line.latency.as_micros()).ok(),
        })
    }

    pub(super) fn switch(&mut self, line: ResourceId, on: bool) -> Result<(), Status> {
        at_mut(&mut self.0, line)?.runs = on;
        Ok(())
    }

    pub(super) fn latency(&self, line: ResourceId) -> Result<Duration, Status> {
        Ok(at(&self.0, line)?.latency)
    }

    pub(super) fn runs(&self, line: ResourceId) -> Result<bool, Status> {
        Ok(at(&self.0, line)?.runs)
    }
}
