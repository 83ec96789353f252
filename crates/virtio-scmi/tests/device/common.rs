// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A board, and guests on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scmi::{Kind, Profile};
use serde::Deserialize;
use virtio_backend::testing::{Answer, Buffers, events, reply};
use virtio_backend::{Device, Watch};
use virtio_scmi::{
    Access, Agent, Board, Clock, Description, Grant, PowerDomain, Regulator, Reset, Scmi, Sensor,
};

pub(crate) const SUCCESS: u32 = 0;
pub(crate) const NOT_SUPPORTED: u32 = -1_i32 as u32;
pub(crate) const INVALID_PARAMETERS: u32 = -2_i32 as u32;
pub(crate) const DENIED: u32 = -3_i32 as u32;
pub(crate) const NOT_FOUND: u32 = -4_i32 as u32;
pub(crate) const BUSY: u32 = -6_i32 as u32;
pub(crate) const GENERIC_ERROR: u32 = -8_i32 as u32;
pub(crate) const HARDWARE_ERROR: u32 = -9_i32 as u32;

/// `VIRTIO_SCMI_F_P2A_CHANNELS`.
pub(crate) const F_P2A: u64 = 1;

pub(crate) const SOC: &str = r#"
[[clock]]
name = "osc"
rate = 24_000_000
type = "oscillator"
shared = true
[[clock]]
name = "pll"
type = "pll"
parent = "osc"
rates = [400_000_000, 800_000_000]
rate = 800_000_000
lock-time = 300_000
shared = true
[[clock]]
name = "bus"
type = "divider"
parent = "pll"
dividers = [4, 2, 8]
shared = true
[[clock]]
name = "mux"
type = "mux"
parents = ["osc", "bus"]
[[clock]]
name = "uart"
type = "gate"
parent = "mux"
[[sensor]]
name = "hot"
type = "temperature"
value = 40_000
clock = "pll"
load = 30_000
trip-points = 1
shared = true
[[sensor]]
name = "cold"
type = "temperature"
value = -12_500
drift = 1_000
[[sensor]]
name = "volts"
type = "voltage"
regulator = "vdd"
[[sensor]]
name = "accel"
type = "acceleration"
value = [1, -2, 9_807]
intervals = [10, 100]
[[reset]]
name = "npu"
latency = 20_000
shared = true
[[power-domain]]
name = "soc"
shared = true
[[power-domain]]
name = "npu"
parent = "soc"
[[regulator]]
name = "vdd"
level = 900_000
range = { min = 700_000, max = 1_100_000, step = 25_000 }
ramp = 1_000
shared = true
"#;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
struct Tables {
    clock: Vec<Clock>,
    sensor: Vec<Sensor>,
    reset: Vec<Reset>,
    power_domain: Vec<PowerDomain>,
    regulator: Vec<Regulator>,
}

pub(crate) fn description(text: &str) -> Description {
    let tables: Tables = toml::from_str(text).unwrap();
    Description {
        clocks: tables.clock,
        sensors: tables.sensor,
        resets: tables.reset,
        power_domains: tables.power_domain,
        regulators: tables.regulator,
    }
}

/// The board, and the milliseconds of its time.
pub(crate) struct Host {
    pub(crate) board: Board,
    time: Arc<AtomicU64>,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::of(SOC)
    }

    pub(crate) fn of(text: &str) -> Self {
        let time = Arc::new(AtomicU64::new(0));
        let now = Arc::clone(&time);
        let now = move || Duration::from_millis(now.load(Ordering::Relaxed));
        Self {
            board: Board::with_time(&description(text), now).unwrap(),
            time,
        }
    }

    /// A guest that is given everything.
    pub(crate) fn guest(&self) -> Guest {
        self.guest_with(&self.board.everything())
    }

    pub(crate) fn guest_with(&self, grants: &[Grant]) -> Guest {
        self.guest_of(&agent("guest", grants))
    }

    pub(crate) fn guest_of(&self, agent: &Agent<'_>) -> Guest {
        let watch = Watch::new().unwrap();
        let scmi = self.board.guest(agent, &watch);
        Guest {
            scmi: scmi.unwrap(),
            watch,
            buffers: None,
            begun: Vec::new(),
        }
    }

    pub(crate) fn pass(&self, milliseconds: u64) {
        self.time.fetch_add(milliseconds, Ordering::Relaxed);
    }

    pub(crate) fn state(&self, kind: Kind, resource: u16) -> i64 {
        self.board.state(kind, resource).unwrap()
    }

    /// What each resource does.
    pub(crate) fn states(&self) -> Vec<(Kind, u16, i64)> {
        let of_kind = |kind| {
            let state = move |resource| Some((kind, resource, self.board.state(kind, resource)?));
            (0..).map_while(state)
        };
        Kind::ALL.into_iter().flat_map(of_kind).collect()
    }
}

/// A guest that speaks all of SCMI 3.2.
pub(crate) fn agent<'a>(name: &'a str, grants: &'a [Grant]) -> Agent<'a> {
    Agent {
        name,
        profile: Profile::V3_2,
        trusted: false,
        grants,
    }
}

/// One of the platform's resources, with full access.
pub(crate) fn full(kind: Kind, name: &str) -> Grant {
    Grant {
        kind,
        name: name.to_owned(),
        alias: None,
        access: Access::Full,
        min: None,
        max: None,
        on: false,
        device: 0,
    }
}

pub(crate) struct Guest {
    pub(crate) scmi: Scmi,
    watch: Watch,
    pub(crate) buffers: Option<Buffers>,
    begun: Vec<Answer>,
}

impl Guest {
    /// A driver that wants events, and lends so many buffers for them.
    pub(crate) fn boot(&mut self, buffers: usize) {
        let (events, its) = events(256);
        self.scmi.negotiated(F_P2A);
        self.scmi.events(1, events);
        self.buffers = Some(its);
        self.lend(buffers);
    }

    pub(crate) fn lend(&mut self, count: usize) {
        self.buffers.as_ref().unwrap().lend(count);
        self.scmi.lent(1);
    }

    /// Sees to what is ready.
    pub(crate) fn poll(&mut self) {
        self.watch.poll(|token| self.scmi.ready(token));
    }

    /// Waits for events that the guest has caused itself.
    pub(crate) fn events(&mut self) {
        self.scmi.ready(virtio_backend::Token(2));
    }

    /// Has the platform's time come, which a timer of the host would.
    pub(crate) fn tick(&mut self) {
        self.scmi.ready(virtio_backend::Token(1));
        self.poll();
    }

    /// Makes a request.
    pub(crate) fn begin(&mut self, request: &[u32]) -> Answer {
        let (reply, answer) = reply(136);
        self.scmi.handle(0, &bytes(request), reply);
        answer
    }

    /// Makes a request, or is reset.
    pub(crate) fn step(&mut self, request: Option<&[u32]>) {
        match request {
            Some(request) => {
                let answer = self.begin(request);
                self.begun.push(answer);
            }
            None => {
                self.scmi.reset();
                self.begun.clear();
                self.boot(256);
            }
        }
    }

    /// What it was told since this was asked last: answers to steps, and events.
    pub(crate) fn told(&mut self) -> Vec<Vec<u32>> {
        // That it is time for events, a timer of the host says.
        self.events();
        let answers = self.begun.iter().filter_map(Answer::now);
        let mut told: Vec<_> = answers.map(|answer| words(&answer)).collect();
        told.extend(std::iter::from_fn(|| self.event()));
        told
    }

    /// The answer to a request that is answered at once.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &[u32]) -> Vec<u32> {
        words(&self.begin(request).now().unwrap())
    }

    /// The next event, if there is one.
    pub(crate) fn event(&self) -> Option<Vec<u32>> {
        self.buffers.as_ref()?.now().map(|event| words(&event))
    }
}

pub(crate) fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(crate) fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |word: &[u8]| u32::from_le_bytes(word.try_into().unwrap());
    bytes.chunks(4).map(word).collect()
}
