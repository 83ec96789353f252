// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Simulated clocks: rates follow the tree, and a clock runs while somebody wants it or what comes from it.

use std::time::Duration;

use scmi::{Kind, Status};

use super::tree::Tree;
use super::values::{Choice, Limits};
use super::{Names, at, at_mut, find, micros, range_is_right};
use crate::description::{Clock, ClockType, Mistake, RateRange};

/// How long it may take to switch a clock on, in microseconds: a message to the platform and back. Linux does not wait
/// for longer ones with its interrupts off.
const ENABLE_LATENCY: u32 = 1000;

#[derive(Default)]
pub(crate) struct Clocks {
    clocks: Vec<One>,
    tree: Tree,
}

struct One {
    name: String,
    source: ClockType,
    lock_time: Duration,
    dividers: Vec<u64>,
    parents: Vec<u16>,
    /// All that comes from it as muxes are set, directly or not.
    dependents: Vec<u16>,
    rates: Choice<u64>,
    /// The rate of what has its own; what a divider divides by.
    value: u64,
    boot: (u64, Option<u16>),
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
        for index in order {
            all.above(index, |dependents| dependents.push(index));
            let rates = all.boot_rates(index);
            let mistake = Mistake::new("dividers", "they leave nothing of its parent's rate");
            if let (Some(one), Some(rates)) = (at_mut(&mut all.clocks, index).ok(), rates) {
                if rates.first() == Some(&0) {
                    return Err((index.into(), mistake));
                }
                one.rates = Choice::List(rates);
            }
        }
        Ok(all)
    }

    /// All clocks, each after what it may come from; or one that comes from itself.
    fn order(&self) -> Result<Vec<u16>, usize> {
        let mut waits: Vec<_> = self.clocks.iter().map(|one| one.parents.len()).collect();
        let mut order: Vec<u16> = (0..)
            .zip(&waits)
            .filter(|(_, waits)| **waits == 0)
            .map(|(index, _)| index)
            .collect();
        let children = self.children();
        let mut next = 0;
        while let Some(&index) = order.get(next) {
            next += 1;
            for &child in children.get(usize::from(index)).into_iter().flatten() {
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
    fn children(&self) -> Vec<Vec<u16>> {
        let mut children = vec![Vec::new(); self.clocks.len()];
        for (index, one) in (0..).zip(&self.clocks) {
            for &parent in &one.parents {
                if let Ok(children) = at_mut(&mut children, parent) {
                    children.push(index);
                }
            }
        }
        children
    }

    /// Changes what follows each clock that `clock` comes from.
    fn above(&mut self, mut clock: u16, change: impl Fn(&mut Vec<u16>)) {
        while let Some(parent) = self.tree.parent(clock) {
            if let Ok(parent) = at_mut(&mut self.clocks, parent) {
                change(&mut parent.dependents);
            }
            clock = parent;
        }
    }

    /// The rates that a clock can have as long as what is above is as at boot; `None` if they are given.
    fn boot_rates(&self, index: u16) -> Option<Vec<u64>> {
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

    pub(super) fn choice(&self, clock: u16) -> Result<&Choice<u64>, Status> {
        Ok(&at(&self.clocks, clock)?.rates)
    }

    pub(super) fn describe(&self, clock: u16) -> Result<scmi::Clock<'_>, Status> {
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
    pub(crate) fn is_settable(&self, clock: u16) -> bool {
        let source = at(&self.clocks, clock).map(|one| one.source);
        matches!(
            source,
            Ok(ClockType::Pll | ClockType::Divider | ClockType::Mux)
        )
    }

    pub(super) fn switch(&mut self, clock: u16, on: bool) {
        self.tree.want(clock, on);
    }

    /// At how many hertz a clock runs or would run.
    pub(super) fn rate(&self, clock: u16) -> Result<u64, Status> {
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
    pub(super) fn frequency(&self, clock: u16) -> Result<u64, Status> {
        let rate = self.rate(clock)?;
        Ok(if self.tree.runs(clock) { rate } else { 0 })
    }

    /// How much of what a clock can do it does, in thousandths.
    pub(super) fn load(&self, clock: u16) -> u64 {
        let ends = at(&self.clocks, clock).map(|one| one.rates.ends());
        let most = ends.ok().flatten().map_or(0, |(_, highest)| highest);
        let now = self.frequency(clock).unwrap_or(0);
        now.saturating_mul(1000)
            .checked_div(most)
            .unwrap_or(0)
            .min(1000)
    }

    /// Comes as near to `rate` as what is above and the agent's limits allow, from below if it can. Returns how long
    /// that takes.
    pub(super) fn set_rate(
        &mut self,
        clock: u16,
        rate: u64,
        limits: Option<&Limits>,
    ) -> Result<Duration, Status> {
        let one = at(&self.clocks, clock)?;
        match one.source {
            ClockType::Oscillator | ClockType::Gate => Err(Status::Denied),
            ClockType::Pll => {
                let one = at_mut(&mut self.clocks, clock)?;
                one.value = rate;
                Ok(one.lock_time)
            }
            ClockType::Divider => {
                let parent = self.tree.parent(clock).ok_or(Status::GenericError)?;
                let whole = self.rate(parent)?;
                let dividers = one.dividers.iter().copied();
                let rate_by = |by| whole.checked_div(by).unwrap_or(0);
                let value = nearest(dividers, rate, limits, rate_by)?;
                at_mut(&mut self.clocks, clock)?.value = value;
                Ok(Duration::ZERO)
            }
            ClockType::Mux => {
                let parents = one.parents.iter().copied();
                let rate_of = |parent| self.rate(parent).unwrap_or(0);
                let parent = nearest(parents, rate, limits, rate_of)?;
                self.set_parent(clock, parent);
                Ok(Duration::ZERO)
            }
        }
    }

    pub(super) fn parent(&self, clock: u16) -> Result<u16, Status> {
        self.tree.parent(clock).ok_or(Status::NotSupported)
    }

    /// With it goes what comes from it.
    pub(super) fn set_parent(&mut self, clock: u16, parent: u16) {
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
    }

    pub(super) fn restore(&mut self, clock: u16) -> Result<(), Status> {
        let one = at_mut(&mut self.clocks, clock)?;
        let (value, parent) = one.boot;
        one.value = value;
        if let Some(parent) = parent {
            self.set_parent(clock, parent);
        }
        Ok(())
    }
}

/// The choice with the highest rate up to `wanted`; if there is none the one with the lowest. Those beyond limits are
/// none.
fn nearest<T: Copy>(
    choices: impl Iterator<Item = T>,
    wanted: u64,
    limits: Option<&Limits>,
    rate: impl Fn(T) -> u64,
) -> Result<T, Status> {
    let key = |choice: &T| match rate(*choice) {
        below if below <= wanted => (true, below),
        above => (false, u64::MAX - above),
    };
    let is_within = |choice: &T| limits.is_none_or(|limits| limits.contains(&rate(*choice).into()));
    let nearest = choices.filter(is_within).max_by_key(key);
    nearest.ok_or(Status::InvalidParameters)
}

impl One {
    fn new(clock: &Clock, names: &Names) -> Result<(Self, Option<u16>), Mistake> {
        unused(clock)?;
        let mut parents = Vec::new();
        for name in &clock.parents {
            let parent = find(names, Kind::Clock, "parents", name)?;
            if parents.contains(&parent) {
                return Err(Mistake::new("parents", format!("{name:?} is there twice")));
            }
            parents.push(parent);
        }
        let mut parent = clock
            .parent
            .as_ref()
            .map(|name| find(names, Kind::Clock, "parent", name))
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
            ClockType::Divider => match clock.dividers.first() {
                Some(&first) if !clock.dividers.contains(&0) => (first, Choice::List(Vec::new())),
                _ => {
                    return Err(Mistake::new(
                        "dividers",
                        "a divider has some, and none is 0",
                    ));
                }
            },
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
                    "not from a lowest above 0 to a highest, in steps",
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
