// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `vhost-user-gpio`: GPIO lines for virtual machines.
#![forbid(unsafe_code)]

mod control;
mod options;

use std::collections::BTreeMap;
use std::iter;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use virtio_backend::daemon::{self, Blame, Daemon, Fault};
use virtio_backend::{Device, Hardware, Watch};
use virtio_gpio::{Access, Chip, Drive, Gpio, Grant, LinuxChip, Rest, Settings, SimulatedChip};

use options::{ChipTable, GpioAbi, LineTable, Options, Tables, Which};

struct Lines;

/// What guests share: the chips by their names, that of the command line by none.
type Boards = BTreeMap<String, Board>;

struct Board {
    chip: Box<dyn Chip>,
    /// What the host calls its lines.
    names: Vec<String>,
    /// A guest that asks for none in particular has them all.
    is_simulated: bool,
    /// What a guest was granted, and which.
    granted: BTreeMap<u32, String>,
    /// What tells the chip from others, if it is real.
    id: Option<u64>,
    /// Waits for the chip, if it is real.
    thread: Option<Arc<Hardware>>,
}

impl Daemon for Lines {
    const TYPE: &'static str = "gpio";
    const ABOUT: &'static str =
        "GPIO lines for virtual machines: a virtio GPIO device over vhost-user";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const EXAMPLES: &'static str = "\
Examples:
  vhost-user-gpio --socket-path /run/gpio.sock --simulate
  vhost-user-gpio --socket-path /run/gpio.sock --device /dev/gpiochip0 --lines 4,8-11,LED
  vhost-user-gpio --config /etc/vhost-user-gpio.toml

A configuration file:
  [[chip]]
  name = \"board\"
  device = \"/dev/gpiochip0\"              # or: simulate = true

  [[guest]]
  name = \"cluster\"
  socket = \"/run/gpio/cluster.sock\"
  chip = \"board\"
  lines = [\"8-11\", \"LED\"]

  [[guest.line]]                         # a line about which there is more to say
  line = 4                               # a number or a name
  name = \"relay\"                         # what the guest calls it
  access = \"output\"                      # both, input, output
  active-low = true
  drive = \"open-drain\"                   # push-pull, open-drain, open-source
  bias = \"pull-up\"                       # disabled, pull-up, pull-down
  debounce = 5000                        # in microseconds
  initial = \"low\"                        # what it is before there is a guest: keep, low, high
  on-reset = \"keep\"                      # after the guest is reset: keep, input, low, high
  on-disconnect = \"low\"                  # after it went away, and when the daemon ends

QEMU:
  -chardev socket,id=gpio,path=/run/gpio.sock -device vhost-user-gpio-pci,chardev=gpio
  -object memory-backend-memfd,id=ram,size=1G,share=on -machine memory-backend=ram";

    type Options = Options;
    type Tables = Tables;
    type Host = Boards;

    fn host(tables: Tables) -> Result<Boards, Fault> {
        let mut boards = Boards::new();
        for table in tables.chip {
            let board = name(table.get_ref(), &boards)
                .and_then(|()| open(table.get_ref(), &boards))
                .map_err(|fault| fault.within(&table))?;
            boards.insert(table.into_inner().name, board);
        }
        Ok(boards)
    }

    fn device(
        boards: &mut Boards,
        guest: &str,
        options: Options,
        watch: &Watch,
    ) -> Result<Box<dyn Device>, Fault> {
        if options.chip.is_none() {
            let board = open(&options.hardware, boards)?;
            boards.insert(String::new(), board);
        }
        let thread = thread(boards, &options)?;
        let make = |watch: &Watch| make(boards, guest, options, watch);
        Ok(match thread {
            Some(thread) => Box::new(thread.device(watch, make)?),
            None => Box::new(make(watch)?),
        })
    }
}

/// Where a guest's device waits for its chips: on the thread of the one that it has, on one of its own
/// if it has several, and nowhere if they are simulated.
fn thread(boards: &Boards, options: &Options) -> Result<Option<Arc<Hardware>>, Fault> {
    let lines = options
        .line
        .iter()
        .filter_map(|line| line.get_ref().chip.as_deref());
    let names = iter::once(options.chip.as_deref().unwrap_or_default()).chain(lines);
    let mut boards: Vec<_> = names.filter_map(|name| boards.get(name)).collect();
    boards.retain(|board| board.thread.is_some());
    match boards.split_first() {
        None => Ok(None),
        Some((first, others)) if others.iter().all(|other| other.id == first.id) => {
            Ok(first.thread.clone())
        }
        Some(_) => Hardware::start("several chips").map(Some).blame("chip"),
    }
}

fn make(boards: &mut Boards, guest: &str, options: Options, watch: &Watch) -> Result<Gpio, Fault> {
    let name = options.chip.unwrap_or_default();
    let mut gpio = Gpio::new(guest, watch);
    let board = board(boards, &name).blame("chip")?;
    let mut lines = options.lines;
    if lines.is_empty() && options.line.is_empty() {
        let all = board.all();
        lines.push(
            all.context("none is granted: say which, as 4,8-11,LED")
                .blame("lines")?,
        );
    }
    for (element, which) in lines.iter().enumerate() {
        board
            .give_all(&mut gpio, guest, which)
            .blame("lines")
            .map_err(|fault| fault.element(element))?;
    }
    for table in &options.line {
        let line = table.get_ref();
        let board = self::board(boards, line.chip.as_ref().unwrap_or(&name));
        board
            .blame("chip")
            .and_then(|board| board.add(&mut gpio, guest, line))
            .map_err(|fault| fault.within(table))?;
    }
    Ok(gpio)
}

fn board<'a>(boards: &'a mut Boards, name: &str) -> anyhow::Result<&'a mut Board> {
    boards.get_mut(name).context("no [[chip]] has this name")
}

impl Board {
    /// All lines, for a guest that asks for none in particular.
    fn all(&self) -> Option<Which> {
        let last = u32::try_from(self.names.len()).ok()?.checked_sub(1)?;
        self.is_simulated.then_some(Which::Numbers(0, last))
    }

    /// The numbers of lines.
    fn find(&self, which: &Which) -> anyhow::Result<RangeInclusive<u32>> {
        match which {
            Which::Numbers(first, last) => {
                ensure!(first <= last, "{first} is above {last}");
                let count = self.names.len();
                let exists = usize::try_from(*last).is_ok_and(|last| last < count);
                ensure!(exists, "there is no line {last}: the chip has {count}");
                Ok(*first..=*last)
            }
            Which::Name(name) => {
                let mut named = (0..).zip(&self.names).filter(|(_, its)| *its == name);
                match (named.next(), named.next()) {
                    (Some((offset, _)), None) => Ok(offset..=offset),
                    (None, _) => bail!("no line has the name {name:?}"),
                    _ => bail!("more than one line has the name {name:?}: say which by number"),
                }
            }
        }
    }

    /// What is said of a line of which nothing is said.
    fn grant(&self, guest: &str, offset: u32) -> Grant {
        let name = usize::try_from(offset)
            .ok()
            .and_then(|at| self.names.get(at));
        // Linux lets lines have the same name, virtio does not, and not all characters.
        let name = name.filter(|name| self.names.iter().filter(|its| its == name).count() == 1);
        let name = name.filter(|name| name.chars().all(|char| matches!(char, ' '..='~')));
        Grant {
            name: name.cloned().unwrap_or_default(),
            settings: Settings {
                consumer: format!("virtio-gpio:{guest}"),
                ..Settings::default()
            },
            ..Grant::default()
        }
    }

    /// Grants a line that the guest's table of it is about.
    fn add(&mut self, gpio: &mut Gpio, guest: &str, table: &LineTable) -> Result<(), Fault> {
        let lines = self.find(&table.line).blame("line")?;
        let offset = *lines.start();
        if offset != *lines.end() {
            return Err(anyhow!("more than one line")).blame("line");
        }
        consistent(table)?;
        let default = self.grant(guest, offset);
        let grant = Grant {
            name: table.name.clone().unwrap_or(default.name),
            access: table.access,
            settings: Settings {
                active_low: table.active_low,
                bias: table.bias,
                drive: table.drive,
                debounce: Duration::from_micros(table.debounce.into()),
                ..default.settings
            },
            initial: table.initial.into(),
            on_reset: table.on_reset,
            on_disconnect: table.on_disconnect,
        };
        self.give(gpio, guest, offset, &grant).blame("line")
    }

    /// Gives lines of which nothing more is said.
    fn give_all(&mut self, gpio: &mut Gpio, guest: &str, which: &Which) -> anyhow::Result<()> {
        for offset in self.find(which)? {
            let grant = self.grant(guest, offset);
            self.give(gpio, guest, offset, &grant)?;
        }
        Ok(())
    }

    /// Gives a line to a guest, if nobody else has it.
    fn give(
        &mut self,
        gpio: &mut Gpio,
        guest: &str,
        offset: u32,
        grant: &Grant,
    ) -> anyhow::Result<()> {
        if let Some(other) = self.granted.insert(offset, guest.to_owned()) {
            ensure!(other != guest, "line {offset} is there twice");
            bail!("line {offset} is guest {other}'s");
        }
        let granted = gpio.grant(&*self.chip, offset, grant);
        granted.with_context(|| format!("line {offset}"))
    }
}

/// Guests name the chip that they want.
fn name(table: &ChipTable, others: &Boards) -> Result<(), Fault> {
    if table.name.is_empty() {
        return Err(anyhow!("a chip has one")).blame("name");
    }
    if others.contains_key(&table.name) {
        return Err(anyhow!("another chip has this name")).blame("name");
    }
    Ok(())
}

/// Whether what is said of a line can be had in the directions in which the guest may use it.
fn consistent(table: &LineTable) -> Result<(), Fault> {
    let rests = [
        ("initial", table.initial.into()),
        ("on-reset", table.on_reset),
        ("on-disconnect", table.on_disconnect),
    ];
    for (key, rest) in rests {
        let level = match rest {
            Rest::Keep | Rest::Input => continue,
            Rest::Low => "low",
            Rest::High => "high",
        };
        if table.access == Access::Input {
            return Err(anyhow!("{level} drives what is only an input")).blame(key);
        }
    }
    if table.access == Access::Input && table.drive != Drive::PushPull {
        return Err(anyhow!("only outputs have one, and access is input")).blame("drive");
    }
    if table.access == Access::Output && table.debounce != 0 {
        return Err(anyhow!("only inputs have one, and access is output")).blame("debounce");
    }
    Ok(())
}

/// Opens a chip that is to stand beside `others`.
fn open(table: &ChipTable, others: &Boards) -> Result<Board, Fault> {
    let (chip, id): (Box<dyn Chip>, _) = match (&table.device, table.simulate) {
        (None, true) if table.gpio_abi != GpioAbi::Auto => {
            return Err(anyhow!("a simulated chip has none")).blame("gpio-abi");
        }
        (None, true) => {
            let chip = SimulatedChip::new();
            if let Some(path) = &table.control {
                let driven = chip.clone();
                daemon::control(path, move |command| control::perform(&driven, command))
                    .blame("control")?;
            }
            (Box::new(chip), None)
        }
        (Some(_), false) if table.control.is_some() => {
            return Err(anyhow!("a chip of the host is not driven by us")).blame("control");
        }
        (Some(device), false) => {
            let chip = LinuxChip::new(device, table.gpio_abi.abi())
                .with_context(|| device.clone())
                .blame("device")?;
            let id = chip.id().blame("device")?;
            if others.values().any(|other| other.id == Some(id)) {
                return Err(anyhow!("{device} is another chip's")).blame("device");
            }
            (Box::new(chip), Some(id))
        }
        (None, false) => return Err(anyhow!("say which one, or `simulate`")).blame("device"),
        (Some(_), true) => return Err(anyhow!("there is `simulate` too")).blame("device"),
    };
    let thread = id.map(|_| Hardware::start(&table.name)).transpose();
    Ok(Board {
        thread: thread.blame("device")?,
        names: chip.names().blame("device")?,
        chip,
        is_simulated: table.simulate,
        granted: BTreeMap::new(),
        id,
    })
}

fn main() -> ExitCode {
    daemon::main::<Lines>()
}
