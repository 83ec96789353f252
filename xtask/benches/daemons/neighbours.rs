// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What quiet guests notice of those that do not behave.
//!
//! The daemon and the quiet guests have one processor, the others have another: what there is to notice
//! is what the daemon does for those.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};
use virtio_backend::testing::{Driver, LIMIT, Memory, Vm, Wild, feature, median};
use xtask::results::{Neighbours, Results, Spread};

use crate::Effort;
use crate::build::Build;
use crate::device::Device;
use crate::process::{Answers, Has, Pinned, folder, has, urgent};
use crate::scale::{QUEUE, REGION};

/// Who is beside the quiet guests.
struct Others {
    what: &'static str,
    quiet: usize,
    wild: usize,
    /// Each does nothing for up to so long, and then something.
    pause: Duration,
}

/// What the quiet ones' p99 may be at most, in that without the others.
const AIM: f64 = 2.0;

pub(crate) fn measure(device: &Device, builds: &[Build], effort: Effort, results: &mut Results) {
    let guests = effort.guests.iter().max().unwrap();
    let wild = guests / 10;
    let all = [
        Others {
            what: "one breaks its ring, reboots and dies without end",
            quiet: 1,
            wild: 1,
            pause: Duration::ZERO,
        },
        Others {
            what: "a storm: each breaks its ring, reboots or dies about twice a second",
            quiet: guests - wild,
            wild,
            pause: Duration::from_secs(1),
        },
    ];
    for others in all {
        for build in builds {
            eprintln!("  {}: {}", build.name, others.what);
            // A quiet guest that is not answered panics.
            let measured =
                catch_unwind(AssertUnwindSafe(|| beside(device, &others, build, effort)));
            let lost = || Err("a quiet guest was not answered".to_owned());
            match measured.unwrap_or_else(|_| lost()) {
                Ok(row) => results.neighbours.push(row),
                Err(why) => results.leave_out(&format!("{}: {}", build.name, others.what), &why),
            }
        }
    }
}

fn beside(
    device: &Device,
    others: &Others,
    build: &Build,
    effort: Effort,
) -> Result<Neighbours, String> {
    let folder = folder();
    let pinned = Pinned::here();
    let daemon = build.many(device, others.quiet + others.wild, folder.path())?;
    let (quiet, wild) = daemon.sockets.split_at(others.quiet);
    let memory = Memory::new(&[REGION]);
    let boot = |socket: &PathBuf| {
        let features = feature::ALL | device.features;
        let vm = Vm::light(socket, &memory, features, &[QUEUE]).unwrap();
        Driver::of(vm, device.request, device.room, 1)
    };
    let mut drivers: Vec<_> = quiet.iter().map(boot).collect();
    // The first round is there to be warm.
    p99(&mut drivers, effort.storm);
    let before = has(daemon.id());
    let round = |_| {
        let without = p99(&mut drivers, effort.storm);
        let storm = pinned.elsewhere(|| start(others.pause, wild));
        let among = p99(&mut drivers, effort.storm);
        drop(storm);
        [without, among]
    };
    let rounds: Vec<_> = (0..effort.storms).map(round).collect();
    drop(pinned);
    let after = settled(daemon.id(), before);
    // A driver that was disconnected panics.
    drivers.iter_mut().for_each(Driver::ask);
    Ok(Neighbours {
        what: others.what.to_owned(),
        build: build.name.clone(),
        quiet: others.quiet,
        others: others.wild,
        aim: AIM,
        threads_left: after.threads.saturating_sub(before.threads),
        descriptors_left: after.descriptors.saturating_sub(before.descriptors),
        ..row(&rounds)
    })
}

/// What rounds without others and among them come to.
pub(crate) fn row(rounds: &[[f64; 2]]) -> Neighbours {
    Neighbours {
        p99_without: median(rounds.iter().map(|round| round[0])),
        p99_among: median(rounds.iter().map(|round| round[1])),
        over_without: Spread::of(rounds.iter().map(|round| round[1] / round[0])),
        ..Neighbours::default()
    }
}

/// In microseconds, of all guests, which ask one after the other for so long. Each request has to be
/// answered.
pub(crate) fn p99(guests: &mut [Driver], during: Duration) -> f64 {
    let (mut times, end) = (Vec::new(), Instant::now() + during);
    let mut now = Instant::now();
    while now < end {
        for guest in &mut *guests {
            guest.ask();
            let start = now;
            now = Instant::now();
            times.push((now - start).as_secs_f64() * 1e6);
        }
    }
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}

/// What a process has when it has noticed that guests are gone.
fn settled(process: u32, before: Has) -> Has {
    let end = Instant::now() + LIMIT;
    loop {
        let now = has(process);
        let is_back = now.descriptors <= before.descriptors && now.threads <= before.threads;
        if is_back || Instant::now() > end {
            return now;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a process of wild guests, which ends when this is dropped.
fn start(pause: Duration, sockets: &[PathBuf]) -> Answers {
    let mut storm = Command::new(env::current_exe().unwrap());
    storm.args(["--wild", &pause.as_millis().to_string()]);
    Answers::start(storm.args(sockets), Vec::new()).unwrap()
}

/// Has a wild guest at each of these sockets, until the process that started this one ends it, or ends.
pub(crate) fn be_wild(pause: u64, sockets: &[String]) -> ! {
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    urgent(false);
    for (seed, socket) in (1..).zip(sockets) {
        let mut wild = Wild::new(Path::new(socket).to_owned(), seed);
        thread::spawn(move || {
            loop {
                if pause > 0 {
                    thread::sleep(Duration::from_millis(wild.random() % pause));
                }
                wild.act();
            }
        });
    }
    loop {
        thread::park();
    }
}
