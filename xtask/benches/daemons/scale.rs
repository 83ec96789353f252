// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What each guest of many costs, and how long they wait.

use std::time::Instant;

use virtio_backend::testing::{Driver, Memory, Vm, feature, median};
use xtask::results::{Results, Scale, Spread};

use crate::Effort;
use crate::build::Build;
use crate::device::Device;
use crate::latency::driver;
use crate::process::{Answers, Pinned, folder, has};

/// Requests of a round: one to each of so many guests, in turn.
const REQUESTS: usize = 200;

/// What Linux's drivers have most often.
pub(crate) const QUEUE: u16 = 64;

/// One region, of which all guests have a part: their memory is not what is measured.
pub(crate) const REGION: (u64, usize) = (0x10_0000, 0x80_0000);

pub(crate) fn measure(device: &Device, builds: &[Build], effort: Effort, results: &mut Results) {
    for &guests in effort.guests {
        for build in builds {
            eprintln!("  {}: {guests}", build.name);
            match one(device, build, guests, effort) {
                Ok(row) => results.scale.push(row),
                Err(why) => results.leave_out(&format!("{} of {}", device.name, build.name), &why),
            }
        }
    }
}

/// Says why the daemon does not start, if it does not.
fn one(device: &Device, build: &Build, guests: usize, effort: Effort) -> Result<Scale, String> {
    let start = || {
        // A daemon that is killed leaves its sockets behind.
        let folder = folder();
        let start = Instant::now();
        let daemon = build.many(device, guests, folder.path())?;
        Ok::<_, String>((start.elapsed().as_secs_f64() * 1e3, daemon, folder))
    };
    let pinned = Pinned::here();
    let starts = (0..effort.starts).map(|_| start().map(|(time, ..)| time));
    let starts: Result<Vec<_>, _> = starts.collect();
    let starts = Spread::of(starts?);

    let folder = folder();
    let floor = Answers::floor("read", device.room, &folder.path().join("floor"));
    let mut floor_driver = driver(device, &floor.sockets[0]);
    let (_, daemon, _folder) = start()?;
    let before = has(daemon.id());
    let memory = Memory::new(&[REGION]);
    let boot = |socket| {
        let features = feature::ALL | device.features;
        let vm = Vm::light(socket, &memory, features, &[QUEUE]).unwrap();
        let mut driver = Driver::of(vm, device.request, device.room, 1);
        driver.ask();
        driver
    };
    let mut drivers: Vec<_> = daemon.sockets.iter().map(|path| boot(path)).collect();
    let after = has(daemon.id());

    let rounds = ask(&mut drivers, &mut floor_driver, effort.rounds);
    drop(pinned);

    let each = |after: f64, before: f64| (after - before) / guests as f64;
    Ok(Scale {
        device: device.name.to_owned(),
        build: build.name.clone(),
        guests,
        start: starts,
        threads: each(after.threads as f64, before.threads as f64),
        threads_before: before.threads,
        descriptors: each(after.descriptors as f64, before.descriptors as f64),
        memory: each(after.memory, before.memory),
        p50: median(rounds.iter().map(|round| round[0])),
        p99: median(rounds.iter().map(|round| round[1])),
        over_read: Spread::of(rounds.iter().map(|round| round[0] / round[2])),
    })
}

/// The p50 and p99 of each round, and the floor's p50, in microseconds.
fn ask(drivers: &mut [Driver], floor: &mut Driver, rounds: usize) -> Vec<[f64; 3]> {
    let mut turns = (0..drivers.len()).cycle();
    let round = |_| {
        let ask = |_| {
            let driver = &mut drivers[turns.next().unwrap()];
            let start = Instant::now();
            driver.ask();
            start.elapsed().as_secs_f64() * 1e6
        };
        let mut times: Vec<_> = (0..REQUESTS).map(ask).collect();
        times.sort_by(f64::total_cmp);
        let [p50, p99] = [50, 99].map(|percent| times[REQUESTS * percent / 100]);
        [p50, p99, floor.latency::<REQUESTS>()[0]]
    };
    (0..rounds).map(round).collect()
}
