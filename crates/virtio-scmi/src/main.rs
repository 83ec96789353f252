// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `vhost-user-scmi`: clocks, sensors, reset lines, power domains and regulators for virtual machines.
#![forbid(unsafe_code)]

mod control;
mod options;

use std::process::ExitCode;

use anyhow::anyhow;
use virtio_backend::daemon::{self, Blame, Daemon, Fault};
use virtio_backend::{Device, Watch};
use virtio_scmi::{Agent, Board, Mistake};

use options::{Options, Tables};

/// What `--simulate` makes up: the platform of this file, without its guests.
const EXAMPLE: &str = include_str!("../examples/soc.toml");

struct Platform;

impl Daemon for Platform {
    const TYPE: &'static str = "scmi";
    const ABOUT: &'static str = "Clocks, sensors, resets, power domains and regulators for virtual machines: a virtio SCMI device over vhost-user";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const EXAMPLES: &'static str = "\
Examples:
  vhost-user-scmi --socket-path /run/scmi.sock --simulate
  vhost-user-scmi --config /etc/vhost-user-scmi.toml

A configuration file, of which examples/soc.toml is a longer one:
  [[clock]]
  name = \"osc\"
  type = \"oscillator\"                    # or pll, divider, mux, gate
  rate = 24_000_000
  shared = true                          # more than one guest may have it

  [[regulator]]
  name = \"vdd\"
  level = 1_800_000
  levels = [1_800_000, 3_300_000]

  [[guest]]
  name = \"cluster\"
  socket = \"/run/scmi/cluster.sock\"
  profile = \"3.2\"                        # 2.0, 3.0, 3.1, 3.2
  clocks = [\"osc\"]                       # also sensors, resets, power-domains
  regulators = [{ name = \"vdd\", as = \"vmmc\", access = \"switch\", on = true }]

QEMU:
  -chardev socket,id=scmi,path=/run/scmi.sock -device vhost-user-scmi-pci,chardev=scmi
  -object memory-backend-memfd,id=ram,size=1G,share=on -machine memory-backend=ram";

    type Options = Options;
    type Tables = Tables;
    type Host = Board;

    fn host(tables: Tables) -> Result<Board, Fault> {
        let board = Board::new(&tables.description());
        let place = board
            .as_ref()
            .err()
            .and_then(|mistake| tables.place(mistake));
        let board = blame(board).map_err(|fault| match place {
            Some(table) => fault.within(&table),
            None => fault,
        })?;
        if let Some(path) = &tables.control {
            let board = board.clone();
            daemon::control(path, move |command| control::perform(&board, command))
                .blame("control")?;
        }
        Ok(board)
    }

    fn device(
        board: &mut Board,
        guest: &str,
        options: Options,
        watch: &Watch,
    ) -> Result<Box<dyn Device>, Fault> {
        let (profile, trusted) = (options.profile.into(), options.trusted);
        let grants = if options.simulate {
            let mut example = example().blame("simulate")?;
            example.control = options.control;
            *board = Self::host(example)?;
            board.everything()
        } else if options.is_of_file {
            options.grants()
        } else {
            return Err(anyhow!("say that, or which --config")).blame("simulate");
        };
        if grants.is_empty() && !trusted {
            return Err(anyhow!("this guest is given nothing")).blame("name");
        }
        let agent = Agent {
            name: guest,
            profile,
            trusted,
            grants: &grants,
        };
        Ok(Box::new(blame(board.guest(&agent, watch))?))
    }
}

/// Says which key a mistake is about.
fn blame<T>(result: Result<T, Mistake>) -> Result<T, Fault> {
    result.or_else(|mistake| {
        let (key, element) = (mistake.key, mistake.element);
        Err(mistake).blame(key).map_err(|fault| match element {
            Some(element) => fault.element(element),
            None => fault,
        })
    })
}

fn example() -> anyhow::Result<Tables> {
    let platform = EXAMPLE.split("[[guest]]").next();
    Ok(toml::from_str(platform.unwrap_or_default())?)
}

fn main() -> ExitCode {
    daemon::main::<Platform>()
}
