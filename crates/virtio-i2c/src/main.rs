// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `vhost-user-i2c`: I²C chips for virtual machines.

mod options;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use virtio_backend::daemon::{self, Blame, Daemon, Fault};
use virtio_backend::{Device, Hardware, Watch};
use virtio_i2c::{Adapter, Address, Eeprom, I2c, LinuxBus, Lm75, Settings, SimulatedBus};

use options::{AdapterTable, ChipTable, ChipType, Options, Range, Tables};

/// Addresses that chips have; the others are reserved (I²C-bus specification, 3.1.12).
const CHIPS: Range = Range::new(0x08, 0x77);
const TEN_BIT_CHIPS: Range = Range::new(0, 0x3ff);

struct Chips;

/// What guests share: the adapters by their names, that of the command line by none.
type Boards = BTreeMap<String, Board>;

struct Board {
    adapter: Arc<Adapter>,
    /// The addresses of a guest that asks for none in particular.
    default: Vec<Range>,
    /// What several guests may be granted.
    shared: BTreeSet<Address>,
    /// What a guest was granted, and which.
    granted: BTreeMap<Address, String>,
    /// What tells the adapter from others, if it is real.
    id: Option<u64>,
    /// Waits for the adapter, if it is real.
    thread: Option<Arc<Hardware>>,
}

impl Daemon for Chips {
    const TYPE: &'static str = "i2c";
    const ABOUT: &'static str =
        "I²C chips for virtual machines: a virtio I²C adapter over vhost-user";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const EXAMPLES: &'static str = "\
Examples:
  vhost-user-i2c --socket-path /run/i2c.sock --simulate
  vhost-user-i2c --socket-path /run/i2c.sock --device /dev/i2c-1 --addresses 0x48,0x50-0x57
  vhost-user-i2c --config /etc/vhost-user-i2c.toml

A configuration file:
  [[adapter]]
  name = \"board\"
  device = \"/dev/i2c-1\"                  # or: simulate = true
  shared = [0x48]                        # what more than one guest may have

  [[guest]]
  name = \"cluster\"
  socket = \"/run/i2c/cluster.sock\"
  adapter = \"board\"
  addresses = [0x48, \"0x50-0x57\"]

QEMU:
  -chardev socket,id=i2c,path=/run/i2c.sock -device vhost-user-i2c-pci,chardev=i2c
  -object memory-backend-memfd,id=ram,size=1G,share=on -machine memory-backend=ram";

    type Options = Options;
    type Tables = Tables;
    type Host = Boards;

    fn host(tables: Tables) -> Result<Boards, Fault> {
        let mut boards = Boards::new();
        for table in tables.adapter {
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
        if options.adapter.is_none() {
            let board = open(&options.hardware, boards)?;
            boards.insert(String::new(), board);
        }
        let board = boards
            .get_mut(&options.adapter.unwrap_or_default())
            .context("no [[adapter]] has this name")
            .blame("adapter")?;
        let mut wanted = options.addresses;
        if wanted.is_empty() && options.ten_bit_addresses.is_empty() {
            wanted.clone_from(&board.default);
        }
        let seven = each(&wanted, "addresses", seven_bit, |some| {
            board.grant(guest, some)
        })?;
        let more = &options.ten_bit_addresses;
        let ten = each(more, "ten-bit-addresses", ten_bit, |some| {
            board.grant(guest, some)
        })?;
        if seven.is_empty() && ten.is_empty() {
            return Err(anyhow!("none is granted: say which, as 0x48,0x50-0x57"))
                .blame("addresses");
        }
        let adapter = Arc::clone(&board.adapter);
        let make = |watch: &Watch| I2c::new(guest, adapter, &seven | &ten, watch);
        Ok(match &board.thread {
            Some(thread) => Box::new(thread.device(watch, make).blame("adapter")?),
            None => Box::new(make(watch).blame("adapter")?),
        })
    }
}

impl Board {
    /// Gives `addresses` to `guest`, if nobody else has them.
    fn grant(&mut self, guest: &str, addresses: &BTreeSet<Address>) -> anyhow::Result<()> {
        for &address in addresses {
            let is_simulated = self.id.is_none();
            ensure!(
                !is_simulated || matches!(address, Address::Seven(_)),
                "{address}: no simulated chip has such an address"
            );
            self.adapter.available(address).with_context(|| {
                format!("{address} cannot be reached, or a driver of the host has it (see force)")
            })?;
            let other = self.granted.insert(address, guest.to_owned());
            if let Some(other) = other.filter(|_| !self.shared.contains(&address)) {
                return Err(anyhow!(
                    "{address} is guest {other}'s, and not among the shared"
                ));
            }
        }
        Ok(())
    }
}

/// Guests name the adapter that they want.
fn name(table: &AdapterTable, others: &Boards) -> Result<(), Fault> {
    if table.name.is_empty() {
        return Err(anyhow!("an adapter has one")).blame("name");
    }
    if others.contains_key(&table.name) {
        return Err(anyhow!("another adapter has this name")).blame("name");
    }
    Ok(())
}

/// Opens an adapter that is to stand beside `others`.
fn open(table: &AdapterTable, others: &Boards) -> Result<Board, Fault> {
    let shared = each(&table.shared, "shared", seven_bit, |_| Ok(()))?;
    let (adapter, default, id) = match (&table.device, table.simulate) {
        (None, true) => (Adapter::new(simulate(table)?), vec![CHIPS], None),
        (Some(_), false) if !table.chip.is_empty() => {
            return Err(anyhow!("a bus of the host has its own")).blame("chip");
        }
        (Some(device), false) => {
            let bus = LinuxBus::new(device, settings(table))
                .with_context(|| device.clone())
                .blame("device")?;
            let id = bus.id().blame("device")?;
            if others.values().any(|other| other.id == Some(id)) {
                return Err(anyhow!("{device} is another adapter's")).blame("device");
            }
            (Adapter::new(bus), Vec::new(), Some(id))
        }
        (None, false) => return Err(anyhow!("say which one, or `simulate`")).blame("device"),
        (Some(_), true) => return Err(anyhow!("there is `simulate` too")).blame("device"),
    };
    let thread = id.map(|_| Hardware::start(&table.name)).transpose();
    Ok(Board {
        thread: thread.blame("device")?,
        adapter: Arc::new(adapter),
        default,
        shared,
        granted: BTreeMap::new(),
        id,
    })
}

fn settings(table: &AdapterTable) -> Settings {
    let default = Settings::default();
    Settings {
        timeout: table.timeout.map_or(default.timeout, |timeout| {
            Duration::from_millis(timeout.get().into())
        }),
        retries: table.retries,
        force: table.force,
    }
}

fn simulate(table: &AdapterTable) -> Result<SimulatedBus, Fault> {
    if table.timeout.is_some() || table.retries.is_some() || table.force {
        let unused = "neither timeout nor retries nor force mean anything here";
        return Err(anyhow!(unused)).blame("simulate");
    }
    if table.chip.is_empty() {
        return Ok(SimulatedBus::demo());
    }
    let (mut bus, mut taken) = (SimulatedBus::new(), BTreeSet::new());
    for chip in &table.chip {
        add(&mut bus, &mut taken, chip.get_ref()).map_err(|fault| fault.within(chip))?;
    }
    Ok(bus)
}

fn add(
    bus: &mut SimulatedBus,
    taken: &mut BTreeSet<Address>,
    chip: &ChipTable,
) -> Result<(), Fault> {
    check(&Range::new(chip.address, chip.address), &CHIPS).blame("address")?;
    let address = seven(chip.address);
    if !taken.insert(address) {
        return Err(anyhow!("another chip has this address")).blame("address");
    }
    match (chip.kind, &chip.contents, chip.celsius) {
        (ChipType::Eeprom, contents, None) => {
            let eeprom = Eeprom::new(contents.as_deref().unwrap_or_default());
            let eeprom = eeprom.context("more than 256 bytes");
            bus.add(address, eeprom.blame("contents")?);
        }
        (ChipType::Lm75, None, None) => bus.add(address, Lm75::default()),
        (ChipType::Lm75, None, Some(celsius)) => {
            let (min, max) = (Lm75::RANGE.start(), Lm75::RANGE.end());
            let sensor = Lm75::new(celsius).with_context(|| {
                format!("{celsius} is not within {min} to {max}, which an lm75 measures")
            });
            bus.add(address, sensor.blame("celsius")?);
        }
        (ChipType::Eeprom, _, Some(_)) => {
            return Err(anyhow!("an EEPROM has none")).blame("celsius");
        }
        (ChipType::Lm75, Some(_), _) => {
            return Err(anyhow!("a sensor has none")).blame("contents");
        }
    }
    Ok(())
}

/// All addresses in the `ranges` of an option, each there once, when they have been granted.
fn each(
    ranges: &[Range],
    option: &'static str,
    addresses: fn(&Range) -> anyhow::Result<BTreeSet<Address>>,
    mut grant: impl FnMut(&BTreeSet<Address>) -> anyhow::Result<()>,
) -> Result<BTreeSet<Address>, Fault> {
    let (mut all, mut parts) = (BTreeSet::new(), Vec::new());
    for (element, range) in ranges.iter().enumerate() {
        let part = addresses(range).and_then(|part| match all.intersection(&part).next() {
            Some(address) => bail!("{address} is there twice"),
            None => Ok(part),
        });
        let part = part.blame(option).map_err(|fault| fault.element(element))?;
        all.extend(&part);
        parts.push(part);
    }
    for (element, part) in parts.iter().enumerate() {
        let granted = grant(part).blame(option);
        granted.map_err(|fault| fault.element(element))?;
    }
    Ok(all)
}

/// The seven-bit addresses in a range: chips can have them.
fn seven_bit(range: &Range) -> anyhow::Result<BTreeSet<Address>> {
    check(range, &CHIPS)?;
    Ok((range.first..=range.last).map(seven).collect())
}

/// The same of ten-bit addresses.
fn ten_bit(range: &Range) -> anyhow::Result<BTreeSet<Address>> {
    check(range, &TEN_BIT_CHIPS)?;
    Ok((range.first..=range.last).map(Address::Ten).collect())
}

fn check(range: &Range, allowed: &Range) -> anyhow::Result<()> {
    ensure!(
        allowed.first <= range.first && range.last <= allowed.last,
        "{range} is not within {allowed}, the addresses that chips have"
    );
    Ok(())
}

/// Of a number that is [checked](check).
fn seven(number: u16) -> Address {
    let [address, _] = number.to_le_bytes();
    Address::Seven(address)
}

fn main() -> ExitCode {
    daemon::main::<Chips>()
}
