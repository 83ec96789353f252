// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long a driver waits for an answer, beside how long it would have to.

use std::path::Path;
use std::thread;
use std::time::Duration;

use virtio_backend::testing::{Driver, median};
use xtask::results::{Latency, Results, Spread};

use crate::Effort;
use crate::build::Build;
use crate::device::Device;
use crate::process::{Answers, Pinned, folder, processor_time, processors, system_calls};

/// Requests of a round, to each.
const REQUESTS: usize = 400;

/// Requests whose system calls are counted.
const COUNTED: usize = 100;
const PAUSE: Duration = Duration::from_millis(3);

const FLOORS: [&str; 2] = ["read", "epoll"];

/// For longer than a driver that goes on at once needs for its next request.
const POLL: [&str; 2] = ["--poll-us", "100"];

/// The p50 and p99 in microseconds, of each round.
type Rounds = Vec<[f64; 2]>;

/// Driver and daemon have one processor: to wake another that is idle takes longer than the
/// request.
pub(crate) fn measure(device: &Device, builds: &[Build], effort: Effort, results: &mut Results) {
    let folder = folder();
    let pinned = Pinned::here();
    let mut all = Vec::from(FLOORS.map(|waits| floor(device, waits, folder.path())));
    for build in builds {
        match build.one(device, folder.path(), &[]) {
            Ok(daemon) => all.push((build.name.clone(), daemon)),
            Err(why) => results.leave_out(&format!("{} of {}", device.name, build.name), &why),
        }
    }
    let rows = compare(device, &all, pinned, effort);
    if rows.iter().all(|row| row.system_calls.is_none()) {
        results.leave_out("system calls", "strace is not there, or may not look");
    }
    results.latency.extend(rows);
}

/// Driver and daemon have a processor each, and the daemon looks for requests without a kick.
pub(crate) fn poll(device: &Device, builds: &[Build], effort: Effort, results: &mut Results) {
    if processors() < 2 {
        return results.leave_out("polling", "there is one processor");
    }
    let folder = folder();
    let pinned = Pinned::here();
    let floor = |waits| pinned.elsewhere(|| floor(device, waits, folder.path()));
    let mut all = Vec::from(FLOORS.map(floor));
    for build in builds.iter().filter(|build| !build.is_peer) {
        match pinned.elsewhere(|| build.one(device, folder.path(), &POLL)) {
            Ok(daemon) => all.push((build.name.clone(), daemon)),
            Err(why) => {
                let what = format!("polling, {} of {}", device.name, build.name);
                results.leave_out(&what, &why);
            }
        }
    }
    let rows = compare(device, &all, pinned, effort);
    results.polling.extend(rows.into_iter().map(|row| Latency {
        // Counted between pauses, in which it stops polling.
        system_calls: None,
        ..row
    }));
}

fn floor(device: &Device, waits: &str, folder: &Path) -> (String, Answers) {
    let floor = Answers::floor(waits, device.room, &folder.join(waits));
    (format!("{}{waits}", Latency::FLOOR), floor)
}

/// Two floors and what is beside them.
fn compare(
    device: &Device,
    all: &[(String, Answers)],
    pinned: Pinned,
    effort: Effort,
) -> Vec<Latency> {
    let mut drivers: Vec<_> = all
        .iter()
        .map(|(_, who)| driver(device, &who.sockets[0]))
        .collect();
    let before: Vec<_> = all
        .iter()
        .map(|(_, who)| processor_time(who.id()))
        .collect();
    let rounds = take_turns(&mut drivers, effort.rounds);
    let after: Vec<_> = all
        .iter()
        .map(|(_, who)| processor_time(who.id()))
        .collect();
    drop(pinned);

    let requests = (REQUESTS * effort.rounds) as f64;
    let row = |who: usize| {
        let (build, answers) = &all[who];
        let time = after[who].zip(before[who]);
        let counted = system_calls(answers.id(), || {
            for _ in 0..COUNTED {
                drivers[who].ask();
                // Until it waits for the next: to be looked at makes it slow, and what comes before
                // it waits costs it no call.
                thread::sleep(PAUSE);
            }
        });
        Latency {
            processor_time: time.map(|(after, before)| (after - before) / requests),
            system_calls: counted.map(|calls| calls / COUNTED as f64),
            ..summary(device.name, build, &rounds, who)
        }
    };
    (0..all.len()).map(row).collect()
}

/// Short rounds, each in another order.
pub(crate) fn take_turns(drivers: &mut [Driver], count: usize) -> Vec<Rounds> {
    let mut rounds = vec![Vec::new(); drivers.len()];
    for round in 0..count {
        for turn in 0..drivers.len() {
            let who = (round + turn) % drivers.len();
            rounds[who].push(drivers[who].latency::<REQUESTS>());
        }
    }
    rounds
}

/// Of the rounds of one of them. The first two are floors.
pub(crate) fn summary(device: &str, build: &str, rounds: &[Rounds], who: usize) -> Latency {
    let over = |other: usize| {
        let pairs = rounds[who].iter().zip(&rounds[other]);
        Spread::of(pairs.map(|(own, other)| own[0] / other[0]))
    };
    Latency {
        device: device.to_owned(),
        build: build.to_owned(),
        p50: median(rounds[who].iter().map(|round| round[0])),
        p99: median(rounds[who].iter().map(|round| round[1])),
        over_read: over(0),
        over_epoll: over(1),
        over_first: over(FLOORS.len().min(rounds.len() - 1)),
        ..Latency::default()
    }
}

pub(crate) fn driver(device: &Device, socket: &Path) -> Driver {
    Driver::boot(socket, device.features, device.request, device.room, 1)
}
