// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A chip in memory, for those who have none.

use std::fmt;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use virtio_backend::{Timer, Token, Waker, Watch};

use crate::{Bias, Chip, Drive, Edges, Pin, Settings, Usage};

/// How long the line that toggles stays at a level.
const PERIOD: Duration = Duration::from_millis(500);

/// The lines: what they are called, and what is at their other end.
const LINES: [(&str, Wiring); 16] = [
    ("out0", Wiring::Open),
    ("out1", Wiring::Open),
    ("out2", Wiring::Open),
    ("out3", Wiring::Open),
    ("in0", Wiring::To(0)),
    ("in1", Wiring::To(1)),
    ("in2", Wiring::To(2)),
    ("in3", Wiring::To(3)),
    ("button0", Wiring::Open),
    ("button1", Wiring::Open),
    ("toggle", Wiring::Toggling),
    ("open-drain", Wiring::OpenDrain),
    ("line12", Wiring::Open),
    ("line13", Wiring::Open),
    ("line14", Wiring::Open),
    ("line15", Wiring::Open),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wiring {
    /// Nothing, until somebody [drives](SimulatedChip::drive) it.
    Open,
    /// Another line.
    To(usize),
    /// Something that changes level each [`PERIOD`].
    Toggling,
    /// A resistor to high, and others who pull the line low: it is high when nobody does.
    OpenDrain,
}

/// A [`Chip`] with 16 lines.
///
/// | line | name | what it is |
/// |---|---|---|
/// | 0 to 3 | out0 to out3 | wired to the inputs in0 to in3 |
/// | 4 to 7 | in0 to in3 | what out0 to out3 drive |
/// | 8, 9 | button0, button1 | low, until somebody outside drives them |
/// | 10 | toggle | changes level twice a second |
/// | 11 | open-drain | high, unless the guest or somebody outside pulls it low |
/// | 12 to 15 | line12 to line15 | what is driven, by the guest or from outside |
///
/// An input that nobody drives is low, unless its bias pulls it up. Clones are the same chip.
#[derive(Clone)]
pub struct SimulatedChip(Arc<Shared>);

struct Shared {
    start: Instant,
    lines: Mutex<[Line; LINES.len()]>,
}

#[derive(Default)]
struct Line {
    /// What somebody outside drives it at.
    outside: Option<bool>,
    /// The pin that there is, if a guest has one.
    pin: Option<Inside>,
    /// What it was at when that was last asked.
    level: bool,
}

/// A line as the guest has set it up.
struct Inside {
    usage: Usage,
    settings: Settings,
    /// There was an edge, of which the device is told.
    edge: bool,
    waker: Waker,
    /// Nobody is told of edges.
    mute: bool,
}

impl SimulatedChip {
    /// A chip that nobody drives.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            start: Instant::now(),
            lines: Mutex::default(),
        }))
    }

    /// Drives a line from outside, at high for `true`. `None` lets it go.
    ///
    /// # Errors
    /// When no line has this name.
    pub fn drive(&self, name: &str, level: Option<bool>) -> io::Result<()> {
        let mut lines = self.0.lock();
        let line = LINES.iter().zip(&mut *lines);
        let mut line = line.filter(|((its, _), _)| *its == name);
        let Some((_, line)) = line.next() else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("no line has the name {name:?}"),
            ));
        };
        line.outside = level;
        self.0.settle(&mut *lines);
        Ok(())
    }

    /// What a line is at: high is `true`. `None` if no line has this name.
    #[must_use]
    pub fn level(&self, name: &str) -> Option<bool> {
        let number = LINES.iter().position(|(its, _)| *its == name)?;
        Some(self.0.level(&*self.0.lock(), number))
    }
}

impl Default for SimulatedChip {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimulatedChip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedChip").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, [Line; LINES.len()]> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn level(&self, lines: &[Line], number: usize) -> bool {
        let (Some(line), Some((_, wiring))) = (lines.get(number), LINES.get(number)) else {
            return false;
        };
        let driven = line.driven();
        match wiring {
            Wiring::OpenDrain => driven != Some(false) && line.outside != Some(false),
            Wiring::Toggling if driven.is_none() && line.outside.is_none() => {
                self.start.elapsed().as_millis() / PERIOD.as_millis() % 2 == 1
            }
            Wiring::To(other) => {
                let other = lines.get(*other).and_then(Line::driven);
                driven.or(line.outside).or(other).unwrap_or(line.pull())
            }
            Wiring::Open | Wiring::Toggling => driven.or(line.outside).unwrap_or(line.pull()),
        }
    }

    /// Tells guests of what has changed.
    fn settle(&self, lines: &mut [Line]) {
        for number in 0..lines.len() {
            let level = self.level(lines, number);
            if let Some(line) = lines.get_mut(number) {
                line.settle(level);
            }
        }
    }
}

impl Line {
    /// What the guest drives it at. Low and high have changed places already.
    fn driven(&self) -> Option<bool> {
        let inside = self.pin.as_ref()?;
        let Usage::Output(level) = inside.usage else {
            return None;
        };
        let level = level != inside.settings.active_low;
        match inside.settings.drive {
            Drive::OpenDrain if level => None,
            Drive::OpenSource if !level => None,
            _ => Some(level),
        }
    }

    fn pull(&self) -> bool {
        let bias = self.pin.as_ref().and_then(|inside| inside.settings.bias);
        bias == Some(Bias::PullUp)
    }

    fn settle(&mut self, level: bool) {
        if mem::replace(&mut self.level, level) == level {
            return;
        }
        let Some(inside) = &mut self.pin else { return };
        let rising = level != inside.settings.active_low;
        if let (false, Usage::Input(Edges::Both), _)
        | (false, Usage::Input(Edges::Rising), true)
        | (false, Usage::Input(Edges::Falling), false) = (inside.mute, inside.usage, rising)
        {
            inside.edge = true;
            inside.waker.wake();
        }
    }
}

impl Chip for SimulatedChip {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(LINES.iter().map(|(name, _)| (*name).to_owned()).collect())
    }

    fn pin(
        &self,
        offset: u32,
        settings: &Settings,
        watch: &Watch,
        token: Token,
    ) -> io::Result<Box<dyn Pin>> {
        let number = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut lines = self.0.lock();
        let (Some(line), Some((_, wiring))) = (lines.get_mut(number), LINES.get(number)) else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no such line"));
        };
        if let Some(inside) = &line.pin {
            let consumer = &inside.settings.consumer;
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("used by {consumer:?}"),
            ));
        }
        if !settings.debounce.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "simulated lines have no debounce",
            ));
        }
        let toggling = (*wiring == Wiring::Toggling).then(|| watch.timer(token));
        line.pin = Some(Inside {
            usage: Usage::Free,
            settings: settings.clone(),
            edge: false,
            waker: watch.waker(token),
            mute: false,
        });
        Ok(Box::new(SimulatedPin {
            chip: Arc::clone(&self.0),
            number,
            toggling,
        }))
    }
}

struct SimulatedPin {
    chip: Arc<Shared>,
    number: usize,
    /// Expires when the level changes that nobody changes.
    toggling: Option<Timer>,
}

impl SimulatedPin {
    /// Lets `action` at the pin, and tells guests of what has changed before and after.
    fn with<T>(&self, action: impl FnOnce(&mut Inside) -> T) -> io::Result<T> {
        let mut lines = self.chip.lock();
        self.chip.settle(&mut *lines);
        let line = lines.get_mut(self.number);
        let inside = line
            .and_then(|line| line.pin.as_mut())
            .ok_or(io::ErrorKind::NotFound)?;
        let done = action(inside);
        self.chip.settle(&mut *lines);
        Ok(done)
    }

    /// Waits for the next change of the level, if edges are asked for.
    fn arm(&self, usage: Usage) {
        let Some(timer) = &self.toggling else { return };
        match usage {
            Usage::Free | Usage::Output(_) | Usage::Input(Edges::None) => timer.disarm(),
            Usage::Input(_) => {
                let elapsed = self.chip.start.elapsed().as_millis() % PERIOD.as_millis();
                let elapsed = Duration::from_millis(elapsed.try_into().unwrap_or(0));
                timer.arm(PERIOD - elapsed);
            }
        }
    }
}

impl Pin for SimulatedPin {
    fn configure(&mut self, usage: Usage) -> io::Result<()> {
        self.with(|inside| {
            if inside.usage != usage {
                inside.take_edge();
            }
            inside.usage = usage;
            inside.mute = false;
        })?;
        self.arm(usage);
        Ok(())
    }

    fn value(&mut self) -> io::Result<bool> {
        let lines = self.chip.lock();
        let inside = lines.get(self.number).and_then(|line| line.pin.as_ref());
        let active_low = inside.is_some_and(|inside| inside.settings.active_low);
        Ok(self.chip.level(&*lines, self.number) != active_low)
    }

    fn edge(&mut self) -> io::Result<bool> {
        let (edge, usage) = self.with(|inside| {
            inside.mute = false;
            (inside.take_edge(), inside.usage)
        })?;
        self.arm(usage);
        Ok(edge)
    }

    fn mute(&mut self) -> io::Result<()> {
        self.arm(Usage::Free);
        self.with(|inside| inside.mute = true)
    }
}

impl Inside {
    /// Whether there was an edge since this was asked last.
    fn take_edge(&mut self) -> bool {
        mem::take(&mut self.edge)
    }
}

impl Drop for SimulatedPin {
    fn drop(&mut self) {
        let mut lines = self.chip.lock();
        if let Some(line) = lines.get_mut(self.number) {
            line.pin = None;
        }
        self.chip.settle(&mut *lines);
    }
}
