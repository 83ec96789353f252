// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a guest notices of its neighbours in one daemon: one that breaks its rings in all ways at
//! random, and one that reboots without end.
//!
//! The daemon is the real one, with the three guests from one file, and each guest is a process, as
//! a VMM is. The quiet guest and its threads in the daemon have one CPU, all others another: what is
//! left for it to notice is what the daemon shares between guests.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints what it measures, and fails if it cannot go on"
)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use virtio_backend::testing::{Vm, feature, median};

const GUESTS: [&str; 3] = ["quiet", "hostile", "rebooting"];
const ROUNDS: usize = 20;
const REQUESTS: usize = 5000;

/// Tells a process of this program which neighbour it is.
const NEIGHBOUR: &str = "NEIGHBOUR";

fn main() {
    if let Some(socket) = env::var_os(NEIGHBOUR) {
        let socket = Path::new(&socket);
        if socket.ends_with(GUESTS[1]) {
            misbehave(socket);
        }
        reboot(socket);
    }
    let directory = tempfile::tempdir().unwrap();
    let sockets = GUESTS.map(|name| directory.path().join(name));
    let mut daemon = serve(&directory.path().join("guests.toml"), &sockets);
    let [ours, theirs] = two_cpus();
    pin_threads(&daemon, ours, theirs);

    let mut quiet = Vm::boot(&sockets[0], feature::ALL, &[4]).unwrap();
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            // Processes inherit it, too.
            sched_setaffinity(None, &ours).unwrap();
            let alone = p99(&mut quiet);
            sched_setaffinity(None, &theirs).unwrap();
            let neighbours = [&sockets[1], &sockets[2]].map(|socket| {
                let mut neighbour = Command::new(env::current_exe().unwrap());
                neighbour.env(NEIGHBOUR, socket).spawn().unwrap()
            });
            sched_setaffinity(None, &ours).unwrap();
            let among = p99(&mut quiet);
            for mut neighbour in neighbours {
                neighbour.kill().unwrap();
                neighbour.wait().unwrap();
            }
            [alone, among]
        })
        .collect();
    daemon.kill().unwrap();
    daemon.wait().unwrap();

    let median = |of: fn(&[f64; 2]) -> f64| median(rounds.iter().map(of));
    println!("A guest's request of 64 bytes, beside a hostile neighbour and one that reboots");
    println!(
        "  alone                p99 {:6.2} µs",
        median(|round| round[0])
    );
    println!(
        "  among them           p99 {:6.2} µs",
        median(|round| round[1])
    );
    let ratio = median(|round| round[1] / round[0]);
    let verdict = if ratio <= 2.0 { "met" } else { "not met" };
    println!("  among them: {ratio:.2} × alone, aim at most 2: {verdict}");
}

/// Starts the daemon, and waits until all its guests are served.
fn serve(file: &Path, sockets: &[impl AsRef<Path>; 3]) -> Child {
    let guests = GUESTS.iter().zip(sockets).map(|(name, socket)| {
        let socket = socket.as_ref().display();
        format!("[[guest]]\nname = '{name}'\nsocket = '{socket}'\n")
    });
    fs::write(file, guests.collect::<String>()).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_vhost-user-rng"))
        .arg("--config")
        .arg(file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let listening = log
        .by_ref()
        .filter(|line| line.as_ref().unwrap().contains("listening"));
    assert_eq!(listening.take(GUESTS.len()).count(), GUESTS.len());
    // Until it ends: nobody reads what it says of its guests.
    thread::spawn(move || log.for_each(drop));
    daemon
}

/// The first and the last CPU there is.
fn two_cpus() -> [CpuSet; 2] {
    let all = sched_getaffinity(None).unwrap();
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| all.is_set(cpu));
    let first = cpus.next().unwrap();
    [first, cpus.next_back().unwrap_or(first)].map(|cpu| {
        let mut set = CpuSet::new();
        set.set(cpu);
        set
    })
}

/// A guest's thread has its name, and the threads of a session inherit its CPU.
fn pin_threads(daemon: &Child, ours: CpuSet, theirs: CpuSet) {
    for task in fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap() {
        let task = task.unwrap();
        let name = fs::read_to_string(task.path().join("comm")).unwrap();
        let thread = task.file_name().to_str().unwrap().parse().unwrap();
        let cpu = if name.trim() == GUESTS[0] {
            ours
        } else {
            theirs
        };
        sched_setaffinity(Pid::from_raw(thread), &cpu).unwrap();
    }
}

/// In microseconds. Each of the requests has to be answered.
fn p99(vm: &mut Vm) -> f64 {
    let mut times: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(vm.rings[0].ask(&[], &[64]).unwrap().len(), 64);
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[REQUESTS * 99 / 100]
}

fn misbehave(socket: &Path) -> ! {
    let mut seed = 1_u64;
    let mut vm = Vm::boot(socket, feature::ALL, &[64]).unwrap();
    loop {
        vm.misbehave(&mut seed);
        restart(&mut vm);
    }
}

fn reboot(socket: &Path) -> ! {
    let mut vm = Vm::boot(socket, feature::ALL, &[4]).unwrap();
    loop {
        assert!(vm.rings[0].ask(&[], &[64]).is_some());
        restart(&mut vm);
    }
}

/// What QEMU says when its guest reboots: nothing of memory, which stays as it is.
fn restart(vm: &mut Vm) {
    vm.front_end.disable(0).unwrap();
    vm.front_end.stop(0).unwrap();
    vm.rings[0].reset();
    vm.front_end.set_up(0, &vm.rings[0], 0).unwrap();
    vm.rings[0].kick();
    vm.front_end.enable(0).unwrap();
}
