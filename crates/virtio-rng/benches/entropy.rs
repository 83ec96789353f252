// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How fast a driver gets its entropy, beside how fast it could.
//!
//! What is compared takes turns in short rounds, so that whatever else the machine does slows all of it alike. Ratios
//! are taken within a round, and what is printed are medians over the rounds.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints what it measures, and fails if it cannot go on"
)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use vhost::vhost_user::Listener;
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::{VhostUserBackend, VhostUserDaemon, VringMutex, VringT};
use virtio_backend::testing::{Descriptor, Server, Vm, feature};
use virtio_backend::{Device, Queue, Reply, Watch};
use virtio_queue::QueueT;
use virtio_rng::{Rng, System};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

/// What Linux asks for, one request at a time.
const SMALL: u32 = 64;
const LATENCY_ROUNDS: usize = 200;
const LATENCY_REQUESTS: usize = 400;

/// As much as a request is answered with at most, so many at a time.
const LARGE: u32 = 64 << 10;
const DEPTH: u16 = 64;
const THROUGHPUT_ROUNDS: usize = 100;

fn main() {
    latency();
    throughput();
}

/// The time from a request to its answer, driver and device on one CPU: to wake another that is idle takes longer than
/// the request.
fn latency() {
    let all = sched_getaffinity(None).unwrap();
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).rfind(|&cpu| all.is_set(cpu)).unwrap());

    let unpinned = Server::new(entropy);
    // Threads inherit it.
    sched_setaffinity(None, &one).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let floor = directory.path().join("floor");
    Floor::serve(&floor);
    let (null, entropy) = (Server::new(|_| Null), Server::new(entropy));
    let mut drivers =
        [&floor, &null.socket(), &entropy.socket()].map(|it| Driver::boot(it, SMALL, 1));
    let mut unpinned = Driver::boot(&unpinned.socket(), SMALL, 1);

    let mut rounds = Vec::new();
    for _ in 0..LATENCY_ROUNDS {
        sched_setaffinity(None, &one).unwrap();
        let [floor, null, entropy] = drivers.each_mut().map(Driver::latency);
        sched_setaffinity(None, &all).unwrap();
        rounds.push([floor, null, entropy, unpinned.latency()]);
    }

    println!("Latency of a request of {SMALL} bytes, driver and device on one CPU");
    let names = ["floor", "null device", "entropy", "entropy, on any CPU"];
    for (who, name) in names.into_iter().enumerate() {
        let [p50, p99] = [0, 1].map(|p| median(rounds.iter().map(|round| round[who][p])));
        println!("  {name:20} p50 {p50:6.2} µs   p99 {p99:6.2} µs");
    }
    let over_floor = |who: usize| median(rounds.iter().map(|round| round[who][0] / round[0][0]));
    println!("  null device: {:.2} × the floor's p50", over_floor(1));
    let ratio = over_floor(2);
    println!(
        "  entropy: {ratio:.2} × the floor's p50, aim at most 1.15: {}",
        verdict(ratio <= 1.15)
    );
}

/// Bytes in a second, driver and device on CPUs of their own if there are two.
fn throughput() {
    let mut generator = ChaCha20Rng::from_seed([0; 32]);
    let mut buffer = vec![0; LARGE as usize];
    let (entropy, urandom) = (Server::new(entropy), Server::new(|_| Urandom::open()));
    let mut drivers =
        [entropy.socket(), urandom.socket()].map(|it| Driver::boot(&it, LARGE, DEPTH));

    let mut rounds = Vec::new();
    for _ in 0..THROUGHPUT_ROUNDS {
        let alone = rate(|| (0..DEPTH).for_each(|_| generator.fill_bytes(&mut buffer)));
        let [entropy, urandom] = drivers.each_mut().map(|driver| rate(|| driver.ask()));
        rounds.push([alone, entropy, urandom]);
    }

    println!("Throughput of requests of {LARGE} bytes, {DEPTH} at a time");
    let names = ["generator alone", "entropy", "/dev/urandom"];
    for (who, name) in names.into_iter().enumerate() {
        println!(
            "  {name:20} {:6.0} MB/s",
            median(rounds.iter().map(|round| round[who]))
        );
    }
    let over = |who: usize| median(rounds.iter().map(|round| round[1] / round[who]));
    let ratio = over(0);
    println!(
        "  entropy: {ratio:.2} × the generator, aim at least 0.80: {}",
        verdict(ratio >= 0.8)
    );
    let ratio = over(2);
    println!(
        "  entropy: {ratio:.2} × /dev/urandom, aim at least 4: {}",
        verdict(ratio >= 4.0)
    );
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "not met" }
}

/// Megabytes in a second of what makes `DEPTH` large answers.
fn rate(make: impl FnOnce()) -> f64 {
    let start = Instant::now();
    make();
    f64::from(LARGE) * f64::from(DEPTH) / start.elapsed().as_secs_f64() / 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A guest that asks for so many bytes, so many times at once.
struct Driver {
    vm: Vm,
    length: u32,
    depth: u16,
    buffers: Vec<Vec<Descriptor>>,
}

impl Driver {
    fn boot(socket: &Path, length: u32, depth: u16) -> Self {
        // QEMU's ring for entropy has no fewer than 4 entries.
        let vm = Vm::boot(socket, feature::ALL, &[depth.max(4)]).unwrap();
        let buffers = (0..depth)
            .map(|_| vm.memory.chain(&[], &[length as usize]))
            .collect();
        Self {
            vm,
            length,
            depth,
            buffers,
        }
    }

    /// Makes the requests, and waits for the interrupt at the last answer before it looks for any: what a driver does
    /// that looks first depends on which of the two threads is scheduled. Allocates nothing.
    fn ask(&mut self) {
        let ring = &mut self.vm.rings[0];
        ring.set_used_event(ring.used_index().wrapping_add(self.depth - 1));
        for buffer in &self.buffers {
            let head = ring.add(buffer);
            ring.push(head);
        }
        ring.notify();
        assert!(ring.wait_call(), "no interrupt");
        for _ in &self.buffers {
            assert_eq!(ring.pop().expect("an answer").len, self.length);
        }
    }

    /// A round's p50 and p99, in microseconds.
    fn latency(&mut self) -> [f64; 2] {
        let mut times = [0.0; LATENCY_REQUESTS];
        for time in &mut times {
            let start = Instant::now();
            self.ask();
            *time = start.elapsed().as_secs_f64() * 1e6;
        }
        times.sort_by(f64::total_cmp);
        [50, 99].map(|percent| times[LATENCY_REQUESTS * percent / 100])
    }
}

fn entropy(watch: &Watch) -> Rng {
    Rng::new(Box::new(System::new("guest")), None, watch).unwrap()
}

/// A device that does nothing: what the core costs by itself.
struct Null;

impl Device for Null {
    const QUEUES: &'static [Queue] = &[Queue::Requests];
    const MAX_REQUEST: usize = 0;

    fn handle(&mut self, _queue: u16, _request: &[u8], reply: Reply) {
        reply.send(&[0; SMALL as usize]);
    }

    fn reset(&mut self) {}
}

/// What a back end does that reads `/dev/urandom` for each request.
struct Urandom {
    file: File,
    bytes: Vec<u8>,
}

impl Urandom {
    fn open() -> Self {
        Self {
            file: File::open("/dev/urandom").unwrap(),
            bytes: vec![0; LARGE as usize],
        }
    }
}

impl Device for Urandom {
    const QUEUES: &'static [Queue] = &[Queue::Requests];
    const MAX_REQUEST: usize = 0;

    fn handle(&mut self, _queue: u16, _request: &[u8], reply: Reply) {
        let bytes = &mut self.bytes[..reply.room()];
        self.file.read_exact(bytes).unwrap();
        reply.send(bytes);
    }

    fn reset(&mut self) {}
}

/// The least that serves a ring: it waits for a kick, takes the chain, returns it and interrupts. vhost-user-backend
/// sets the ring up, and lends its worker for good.
struct Floor {
    memory: GuestMemoryAtomic<GuestMemoryMmap>,
}

impl Floor {
    /// Serves one guest, on a thread that ends with the process.
    fn serve(socket: &Path) {
        let mut listener = Listener::new(socket, false).unwrap();
        let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        let floor = Arc::new(Self {
            memory: memory.clone(),
        });
        let mut daemon = VhostUserDaemon::new("floor".into(), floor, memory).unwrap();
        thread::spawn(move || {
            daemon.start(&mut listener).unwrap();
            daemon.wait()
        });
    }
}

impl VhostUserBackend for Floor {
    type Bitmap = ();
    type Vring = VringMutex;

    fn num_queues(&self) -> usize {
        1
    }

    fn max_queue_size(&self) -> usize {
        DEPTH.into()
    }

    fn features(&self) -> u64 {
        feature::ALL
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::REPLY_ACK
    }

    fn set_event_idx(&self, _enabled: bool) {}

    fn update_memory(&self, _memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        Ok(())
    }

    fn handle_event(
        &self,
        _event: u16,
        _events: EventSet,
        vrings: &[VringMutex],
        _thread: usize,
    ) -> io::Result<()> {
        let memory = self.memory.memory();
        let mut vring = vrings[0].get_mut();
        let kick = vring.get_kick().as_ref().unwrap().try_clone()?;
        // SAFETY: `kick` is open for longer than this is used.
        #[expect(unsafe_code, reason = "vmm-sys-util's events are not AsFd")]
        let fd = unsafe { BorrowedFd::borrow_raw(kick.as_raw_fd()) };
        // The driver made it not to block, and does not mind: it only writes.
        fcntl_setfl(fd, OFlags::empty())?;
        loop {
            kick.consume()?;
            // There is none when the driver starts, and more than one if it was faster than `enable_notification`.
            while let Some(chain) = vring.get_queue_mut().pop_descriptor_chain(&*memory) {
                let (queue, head) = (vring.get_queue_mut(), chain.head_index());
                queue.add_used(&*memory, head, SMALL).unwrap();
                // With EVENT_IDX the driver kicks only if it was asked to since the last time.
                queue.enable_notification(&*memory).unwrap();
                vring.signal_used_queue()?;
            }
        }
    }
}
