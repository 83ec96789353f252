// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What it costs that hardware has a thread of its own, and what that is good for.
//!
//! The devices are in this process, since adapters that are simulated have no thread in a daemon.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use virtio_backend::testing::{LIMIT, Server, Vm, feature};
use virtio_backend::{Hardware, Watch};
use virtio_i2c::{Adapter, Address, Bus, I2c, Message, SimulatedBus};
use xtask::results::{Neighbours, Results};

use crate::Effort;
use crate::device::Device;
use crate::latency::{driver, summary, take_turns};
use crate::neighbours::{p99, row};
use crate::process::Pinned;

/// How many guests there are, one of which has the slow adapter.
const GUESTS: usize = 100;

/// How long a transaction takes there.
const SLOW: Duration = Duration::from_secs(2);

/// While one of those is in work, the others ask: for less than that.
const ROUNDS: usize = 10;
const ROUND: Duration = Duration::from_secs(1);

/// What their p99 may be at most, in that without the slow one.
const AIM: f64 = 1.2;

/// The same device on a worker, and on a thread of its adapter.
pub(crate) fn hand_over(device: &Device, effort: Effort, results: &mut Results) {
    let adapter = Arc::new(Adapter::new(SimulatedBus::demo()));
    let pinned = Pinned::here();
    let hardware = Hardware::start("adapter").unwrap();
    let inline = Server::new(|watch| i2c(&adapter, watch).unwrap());
    let handed = Server::new(|watch| {
        let make = |watch: &Watch| i2c(&adapter, watch);
        hardware.device(watch, make).unwrap()
    });
    let sockets = [inline.socket(), handed.socket()];
    let mut drivers = sockets.map(|socket| driver(device, &socket));
    let rounds = take_turns(&mut drivers, effort.rounds);
    drop(pinned);
    for (who, build) in ["on its worker", "on its adapter's thread"]
        .into_iter()
        .enumerate()
    {
        let row = summary(device.name, build, &rounds, who);
        results.hand_over.push(row);
    }
}

/// A hundred guests on one worker, one of which has an adapter that takes 2 s for a transaction.
pub(crate) fn slow(device: &Device, effort: Effort, results: &mut Results) {
    let (begins, begun) = mpsc::channel();
    let fast = Arc::new(Adapter::new(SimulatedBus::demo()));
    let slow = Arc::new(Adapter::new(SlowBus(begins)));
    let pinned = Pinned::here();
    let hardware = Hardware::start("slow").unwrap();
    let mut server = Server::new(|watch| {
        let make = |watch: &Watch| i2c(&slow, watch);
        hardware.device(watch, make).unwrap()
    });
    let mut slow = Vm::boot(&server.socket(), feature::ALL | device.features, &[4]).unwrap();
    let other = |number: usize| {
        let make = |watch: &Watch| i2c(&fast, watch).unwrap();
        driver(device, &server.beside(&number.to_string(), make))
    };
    let mut others: Vec<_> = (1..GUESTS).map(other).collect();
    let chain = slow.memory.chain(&[device.request], &[1, 1]);
    // The first round is there to be warm.
    p99(&mut others, ROUND);
    let round = |_| {
        let without = p99(&mut others, ROUND);
        slow.rings[0].submit(&chain);
        begun.recv_timeout(LIMIT).unwrap();
        let among = p99(&mut others, ROUND);
        assert_eq!(slow.rings[0].pop(), None, "the adapter was not slow enough");
        assert!(slow.rings[0].wait().is_some());
        [without, among]
    };
    let rounds: Vec<_> = (0..ROUNDS.min(effort.rounds)).map(round).collect();
    drop(pinned);
    results.neighbours.push(Neighbours {
        what: "one has an I²C adapter that takes 2 s".to_owned(),
        build: "this, in one process".to_owned(),
        quiet: others.len(),
        others: 1,
        aim: AIM,
        ..row(&rounds)
    });
}

/// Says that a transaction begins.
struct SlowBus(Sender<()>);

impl Bus for SlowBus {
    fn transfer(&mut self, _messages: &mut [Message<'_>]) -> io::Result<()> {
        self.0.send(()).map_err(io::Error::other)?;
        thread::sleep(SLOW);
        Ok(())
    }
}

fn i2c(adapter: &Arc<Adapter>, watch: &Watch) -> io::Result<I2c> {
    let granted = BTreeSet::from([Address::Seven(0x50)]);
    I2c::new("guest", Arc::clone(adapter), granted, watch)
}
