// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Simulated clocks: rates follow the tree, and a clock runs while somebody wants it or what comes from it.

use std::collections::BTreeSet;
use std::time::Duration;

use scmi::{Kind, ResourceId, Status};

use super::tree::Tree;
use super::values::Choice;
use super::{Names, at, at_mut, find, micros, range_is_right};
use crate::description::{Clock, ClockType, Mistake, RateRange};

/// How long it may take to switch a clock on, in microseconds: a message to the platform and back. Linux does not wait
/// for longer ones with its interrupts off.
const ENABLE_LATENCY: u32 = 1000;

#[derive(Default)]
pub(crate) struct Clocks {
    clocks: Vec<One>,
    tree: Tree,
    /// What may come from each clock.
    children: Vec<Vec<ResourceId>>,
    /// Each clock's place in an order in which it is after what it may come from.
    ranks: Vec<usize>,
}

/// What a clock is to be set to for a rate: what a PLL runs at or a divider divides by, or what a mux comes from.
#[derive(Clone, Copy)]
pub(super) enum Setting {
    Value(u64),
    Parent(ResourceId),
}

struct One {
    name: String,
    source: ClockType,
    lock_time: Duration,
    dividers: Vec<u64>,
    parents: Vec<ResourceId>,
    /// All that comes from it as muxes are set, directly or not.
    dependents: Vec<ResourceId>,
    rates: Choice<u64>,
    /// The rate of what has its own; what a divider divides by.
    value: u64,
    boot: (u64, Option<ResourceId>),
}

impl Clocks {
    pub(super) fn new(clocks: &[Clock], names: &Names) -> Result<Self, (usize, Mistake)> {
        let mut all = Self::default();
        let mut parents = Vec::new();
        for (index, clock) in clocks.iter().enumerate() {
            let (one, parent) = One::new(clock, names).map_err(|mistake| (index, mistake))?;
            all.clocks.push(one);
            parents.push(parent);
        }
        all.tree = Tree::new(parents.into_iter());
        all.children = all.children();
        let order = all.order().map_err(|index| {
            let key = if clocks
                .get(index)
                .is_some_and(|clock| clock.r#type == ClockType::Mux)
            {
                "parents"
            } else {
                "parent"
            };
            (index, Mistake::new(key, "it would come from itself"))
        })?;
        all.ranks = vec![0; clocks.len()];
        for (rank, &index) in order.iter().enumerate() {
            *at_mut(&mut all.ranks, index).unwrap_or(&mut 0) = rank;
            all.above(index, |dependents| dependents.push(index));
            if all.rates_now(index).is_some_and(|rates| rates.contains(&0)) {
                let mistake = Mistake::new("dividers", "they leave nothing of its parent's rate");
                return Err((index.0.into(), mistake));
            }
            all.refresh(index);
        }
        Ok(all)
    }

    /// All clocks, each after what it may come from; or one that comes from itself.
    fn order(&self) -> Result<Vec<ResourceId>, usize> {
        let mut waits: Vec<_> = self.clocks.iter().map(|one| one.parents.len()).collect();
        let mut order: Vec<ResourceId> = (0..)
            .map(ResourceId)
            .zip(&waits)
            .filter(|(_, waits)| **waits == 0)
            .map(|(index, _)| index)
            .collect();
        let mut next = 0;
        while let Some(&index) = order.get(next) {
            next += 1;
            for &child in self
                .children
                .get(usize::from(index.0))
                .into_iter()
                .flatten()
            {
                if let Ok(waits) = at_mut(&mut waits, child) {
                    *waits = waits.saturating_sub(1);
                    if *waits == 0 {
                        order.push(child);
                    }
                }
            }
        }
        match waits.iter().position(|waits| *waits != 0) {
            Some(circle) => Err(circle),
            None => Ok(order),
        }
    }

    /// What may come from each clock.
    fn children(&self) -> Vec<Vec<ResourceId>> {
        let mut children = vec![Vec::new(); self.clocks.len()];
        for (index, one) in (0..).map(ResourceId).zip(&self.clocks) {
            for &parent in &one.parents {
                if let Ok(children) = at_mut(&mut children, parent) {
                    children.push(index);
                }
            }
        }
        children
    }

    /// Changes what follows each clock that `clock` comes from.
    fn above(&mut self, mut clock: ResourceId, change: impl Fn(&mut Vec<ResourceId>)) {
        while let Some(parent) = self.tree.parent(clock) {
            if let Ok(parent) = at_mut(&mut self.clocks, parent) {
                change(&mut parent.dependents);
            }
            clock = parent;
        }
    }

    /// The rates that a clock can have as what is above is now; `None` if they are given.
    fn rates_now(&self, index: ResourceId) -> Option<Vec<u64>> {
        let one = at(&self.clocks, index).ok()?;
        let mut rates = match one.source {
            ClockType::Oscillator | ClockType::Pll => return None,
            ClockType::Gate => vec![self.rate(index).ok()?],
            ClockType::Mux => one
                .parents
                .iter()
                .filter_map(|&parent| self.rate(parent).ok())
                .collect(),
            ClockType::Divider => {
                let rate = self.rate(self.tree.parent(index)?).ok()?;
                one.dividers
                    .iter()
                    .filter_map(|&by| rate.checked_div(by))
                    .collect()
            }
        };
        rates.sort_unstable();
        rates.dedup();
        Some(rates)
    }

    /// Has a clock and what may come from it have the rates that they can have now.
    fn refresh(&mut self, clock: ResourceId) {
        let rank = |ranks: &[usize], clock| (at(ranks, clock).map_or(0, |rank| *rank), clock);
        let mut changed = BTreeSet::from([rank(&self.ranks, clock)]);
        while let Some((_, clock)) = changed.pop_first() {
            let rates = self.rates_now(clock);
            if let (Ok(one), Some(rates)) = (at_mut(&mut self.clocks, clock), rates) {
                one.rates = Choice::List(rates);
            }
            let children = at(&self.children, clock).into_iter().flatten();
            changed.extend(children.map(|&child| rank(&self.ranks, child)));
        }
    }

    pub(super) fn choice(&self, clock: ResourceId) -> Result<&Choice<u64>, Status> {
        Ok(&at(&self.clocks, clock)?.rates)
    }

    pub(super) fn describe(&self, clock: ResourceId) -> Result<scmi::Clock<'_>, Status> {
        let one = at(&self.clocks, clock)?;
        Ok(scmi::Clock {
            name: one.name.as_bytes(),
            rates: one.rates.all(),
            parents: &one.parents,
            dependents: &one.dependents,
            enable_latency: ENABLE_LATENCY,
        })
    }

    /// Whether there is a rate to be set, or a parent to be chosen.
    pub(crate) fn is_settable(&self, clock: ResourceId) -> bool {
        let source = at(&self.clocks, clock).map(|one| one.source);
        matches!(
            source,
            Ok(ClockType::Pll | ClockType::Divider | ClockType::Mux)
        )
    }

    pub(super) fn switch(&mut self, clock: ResourceId, on: bool) {
        self.tree.want(clock, on);
    }

    /// At how many hertz a clock runs or would run.
    pub(super) fn rate(&self, clock: ResourceId) -> Result<u64, Status> {
        let (mut clock, mut divider) = (clock, 1u64);
        loop {
            let one = at(&self.clocks, clock)?;
            match (one.source, self.tree.parent(clock)) {
                (ClockType::Divider, Some(parent)) => {
                    divider = divider.saturating_mul(one.value);
                    clock = parent;
                }
                (ClockType::Mux | ClockType::Gate, Some(parent)) => clock = parent,
                _ => return one.value.checked_div(divider).ok_or(Status::GenericError),
            }
        }
    }

    /// At how many hertz a clock runs: 0 if it does not.
    pub(super) fn frequency(&self, clock: ResourceId) -> Result<u64, Status> {
        let rate = self.rate(clock)?;
        Ok(if self.tree.runs(clock) { rate } else { 0 })
    }

    /// How much of what a clock can do it does, in thousandths.
    pub(super) fn load(&self, clock: ResourceId) -> u64 {
        let ends = at(&self.clocks, clock).map(|one| one.rates.ends());
        let most = ends.ok().flatten().map_or(0, |(_, highest)| highest);
        let now = self.frequency(clock).unwrap_or(0);
        now.saturating_mul(1000)
            .checked_div(most)
            .unwrap_or(0)
            .min(1000)
    }

    /// What a clock is to be set to for a rate, if it can have it as what is above is now.
    pub(super) fn setting(&self, clock: ResourceId, rate: u64) -> Result<Setting, Status> {
        let one = at(&self.clocks, clock)?;
        let setting = match one.source {
            ClockType::Oscillator | ClockType::Gate => return Err(Status::Denied),
            ClockType::Pll => Some(Setting::Value(rate)),
            ClockType::Divider => {
                let whole = self.rate(self.tree.parent(clock).ok_or(Status::GenericError)?)?;
                let mut dividers = one.dividers.iter().copied();
                let by = dividers.find(|by| whole.checked_div(*by) == Some(rate));
                by.map(Setting::Value)
            }
            ClockType::Mux => {
                let mut parents = one.parents.iter().copied();
                let parent = parents.find(|parent| self.rate(*parent) == Ok(rate));
                parent.map(Setting::Parent)
            }
        };
        setting.ok_or(Status::InvalidParameters)
    }

    /// How long it takes until a clock runs at another rate.
    pub(super) fn lock_time(&self, clock: ResourceId) -> Duration {
        at(&self.clocks, clock).map_or(Duration::ZERO, |one| one.lock_time)
    }

    pub(super) fn set(&mut self, clock: ResourceId, setting: Setting) {
        match setting {
            Setting::Parent(parent) => self.set_parent(clock, parent),
            Setting::Value(value) => {
                if let Ok(one) = at_mut(&mut self.clocks, clock) {
                    one.value = value;
                }
                self.refresh(clock);
            }
        }
    }

    pub(super) fn parent(&self, clock: ResourceId) -> Result<ResourceId, Status> {
        self.tree.parent(clock).ok_or(Status::NotSupported)
    }

    /// With it goes what comes from it.
    pub(super) fn set_parent(&mut self, clock: ResourceId, parent: ResourceId) {
        let Ok(one) = at(&self.clocks, clock) else {
            return;
        };
        let mut moved = one.dependents.clone();
        moved.push(clock);
        moved.sort_unstable();
        self.above(clock, |dependents| {
            dependents.retain(|one| moved.binary_search(one).is_err());
        });
        self.tree.set_parent(clock, parent);
        self.above(clock, |dependents| dependents.extend(&moved));
        self.refresh(clock);
    }

    pub(super) fn restore(&mut self, clock: ResourceId) -> Result<(), Status> {
        let one = at_mut(&mut self.clocks, clock)?;
        let (value, parent) = one.boot;
        one.value = value;
        match parent {
            Some(parent) => self.set_parent(clock, parent),
            None => self.refresh(clock),
        }
        Ok(())
    }
}

/// What a mux can come from.
fn parents(clock: &Clock, names: &Names) -> Result<Vec<ResourceId>, Mistake> {
    let mut parents = Vec::new();
    for (element, name) in clock.parents.iter().enumerate() {
        let parent = find(names, Kind::CLOCK, "parents", name);
        let parent = parent.map_err(|mistake| mistake.at(element))?;
        if parents.contains(&parent) {
            let twice = format!("{name:?} is there twice");
            return Err(Mistake::new("parents", twice).at(element));
        }
        parents.push(parent);
    }
    Ok(parents)
}

impl One {
    fn new(clock: &Clock, names: &Names) -> Result<(Self, Option<ResourceId>), Mistake> {
        unused(clock)?;
        let mut parents = parents(clock, names)?;
        let mut parent = clock
            .parent
            .as_ref()
            .map(|name| find(names, Kind::CLOCK, "parent", name))
            .transpose()?;
        let missing = |key| {
            Err(Mistake::new(
                key,
                format!("needed for type {}", clock.r#type),
            ))
        };
        match clock.r#type {
            ClockType::Mux if parents.is_empty() => return missing("parents"),
            ClockType::Mux => {
                if parent.is_some_and(|parent| !parents.contains(&parent)) {
                    return Err(Mistake::new("parent", "not one of its parents"));
                }
                parent = parent.or(parents.first().copied());
            }
            ClockType::Oscillator => {}
            _ if parent.is_none() => return missing("parent"),
            _ => parents.extend(parent),
        }
        let (value, rates) = match clock.r#type {
            ClockType::Oscillator | ClockType::Pll => match clock.rate {
                Some(rate) if rate != 0 => (rate, choice(clock, rate)?),
                _ => return missing("rate"),
            },
            ClockType::Divider => (first_divider(clock)?, Choice::List(Vec::new())),
            ClockType::Mux | ClockType::Gate => (0, Choice::List(Vec::new())),
        };
        let one = Self {
            name: clock.name.clone(),
            source: clock.r#type,
            lock_time: micros("lock-time", clock.lock_time)?,
            dividers: clock.dividers.clone(),
            parents,
            dependents: Vec::new(),
            rates,
            value,
            boot: (value, parent),
        };
        Ok((one, parent))
    }
}

/// By what a divider divides at boot.
fn first_divider(clock: &Clock) -> Result<u64, Mistake> {
    let mistake = |what: &str| Mistake::new("dividers", what);
    let mut seen = BTreeSet::new();
    for divider in &clock.dividers {
        if !seen.insert(divider) {
            return Err(mistake(&format!("{divider} is there twice")));
        }
    }
    let first = clock.dividers.first().copied();
    first
        .filter(|_| !seen.contains(&0))
        .ok_or_else(|| mistake("a divider has some, and none is 0"))
}

/// What an oscillator or a PLL can be set to, of which it has one rate at boot.
fn choice(clock: &Clock, rate: u64) -> Result<Choice<u64>, Mistake> {
    if clock.r#type == ClockType::Oscillator {
        return Ok(Choice::List(vec![rate]));
    }
    let choice = match clock.range {
        Some(RateRange { min, max, step }) => {
            if !range_is_right(min, max, step) || min == 0 {
                return Err(Mistake::new(
                    "range",
                    "not from a lowest above 0 to a highest, in whole steps",
                ));
            }
            Choice::Range {
                lowest: min,
                highest: max,
                step,
            }
        }
        None if clock.rates.is_empty() => {
            return Err(Mistake::new("rates", "a pll has some, or a range"));
        }
        None if !clock.rates.is_sorted_by(|a, b| a < b) || clock.rates.first() == Some(&0) => {
            return Err(Mistake::new("rates", "not ascending, from above 0 on"));
        }
        None => Choice::List(clock.rates.clone()),
    };
    if !choice.all().contain(rate) {
        return Err(Mistake::new("rate", "not one that it can be set to"));
    }
    Ok(choice)
}

/// What is said of a clock that its type does not have.
fn unused(clock: &Clock) -> Result<(), Mistake> {
    use ClockType::{Divider, Gate, Mux, Oscillator, Pll};
    let said: [(_, _, &[ClockType]); 7] = [
        ("rate", clock.rate.is_some(), &[Oscillator, Pll]),
        ("rates", !clock.rates.is_empty(), &[Pll]),
        ("range", clock.range.is_some(), &[Pll]),
        ("parent", clock.parent.is_some(), &[Pll, Divider, Mux, Gate]),
        ("parents", !clock.parents.is_empty(), &[Mux]),
        ("dividers", !clock.dividers.is_empty(), &[Divider]),
        ("lock-time", clock.lock_time != 0, &[Pll]),
    ];
    for (key, is_said, of) in said {
        if is_said && !of.contains(&clock.r#type) {
            return Err(Mistake::new(key, format!("no {} has that", clock.r#type)));
        }
    }
    if clock.range.is_some() && !clock.rates.is_empty() {
        return Err(Mistake::new("range", "it has rates already"));
    }
    Ok(())
}
