// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Any requests, and any that the host may say meanwhile. Each buffer is answered once, in the form of the
//! specification, and a guest that failed stays failed until the host or a reset says otherwise.
#![no_main]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use virtio_backend::testing::{Buffers, events, reply};
use virtio_backend::{Device, Watch};
use virtio_watchdog::{Cause, Host, Report, Settings, VERDICT, Verdict, Watchdog};

#[derive(Arbitrary, Debug)]
enum Step {
    /// A request of which much is right.
    Ask {
        kind: u8,
        channel: u8,
        timeout: u16,
        pretimeout: u16,
        flags: u8,
        room: u8,
    },
    /// A buffer of which nothing needs to be.
    AskAnything {
        queue: u8,
        request: Vec<u8>,
        room: u16,
    },
    Lend(u8),
    Say {
        verdict: u8,
        time: u32,
    },
    Poll,
    Stop(u16),
    Reset,
    Disconnect,
    Connect,
    Features(u64),
}

#[derive(Clone, Default)]
struct Script {
    verdicts: Arc<Mutex<VecDeque<Verdict>>>,
    reports: Arc<Mutex<Vec<Report>>>,
}

impl Host for Script {
    fn report(&mut self, report: Report) {
        self.reports.lock().unwrap().push(report);
    }

    fn verdict(&mut self) -> Option<Verdict> {
        self.verdicts.lock().unwrap().pop_front()
    }

    fn may_restart(&self) -> Option<bool> {
        Some(true)
    }
}

struct Guest {
    device: Watchdog,
    script: Script,
    watch: Watch,
    buffers: Vec<Buffers>,
}

impl Guest {
    fn new() -> Self {
        let (script, watch) = (Script::default(), Watch::new().unwrap());
        let settings = Settings {
            channels: 3,
            boot_timeout: Some(Duration::from_millis(50)),
            ..Settings::default()
        };
        let host = Box::new(script.clone());
        let mut device = Watchdog::new("guest", settings, host, None, &watch).unwrap();
        device.connected();
        device.negotiated(0b111);
        Self {
            device,
            script,
            watch,
            buffers: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask {
                kind,
                channel,
                timeout,
                pretimeout,
                flags,
                room,
            } => {
                let request = [
                    &[kind % 11, 0, channel % 5, 0][..],
                    &u32::from(timeout).to_le_bytes(),
                    &u32::from(pretimeout).to_le_bytes(),
                    &u32::from(flags % 3).to_le_bytes(),
                ];
                self.ask(0, &request.concat(), room.into());
            }
            Step::AskAnything {
                queue,
                request,
                room,
            } => {
                let request = &request[..request.len().min(Watchdog::MAX_REQUEST + 1)];
                self.ask((queue % 2).into(), request, room.into());
            }
            Step::Lend(count) => {
                let (events, buffers) = events(8);
                buffers.lend((count % 8).into());
                self.device.events(1, events);
                self.buffers = vec![buffers];
            }
            Step::Say { verdict, time } => self.say(verdict, Duration::from_millis(time.into())),
            Step::Poll => {}
            Step::Stop(queue) => self.device.stop(queue, virtio_backend::Stopped::default()),
            Step::Reset => self.device.reset(),
            Step::Disconnect => self.device.disconnected(),
            Step::Connect => self.device.connected(),
            Step::Features(features) => self.device.negotiated(features),
        }
        self.watch.poll(|token| self.device.ready(token));
        assert_eq!(self.device.config().len(), 36);
        for buffers in &self.buffers {
            while let Some(event) = buffers.now() {
                assert!(event.len() == 8 && matches!(event[..2], [1 | 2, 0]));
            }
        }
        // It is told of each thing a few times at most.
        assert!(std::mem::take(&mut *self.script.reports.lock().unwrap()).len() < 8);
    }

    fn say(&mut self, verdict: u8, time: Duration) {
        let verdict = match verdict % 11 {
            0 => Verdict::Paused,
            1 => Verdict::Resumed,
            2 => Verdict::NotPaused,
            3 => Verdict::Reset,
            4 => Verdict::Excused {
                time,
                limited: true,
            },
            5 => Verdict::Excused {
                time,
                limited: false,
            },
            6 => Verdict::Act,
            7 => Verdict::Tell,
            8 => Verdict::Failed(Cause::Panic),
            9 => Verdict::Dumping(time),
            _ => Verdict::Settled,
        };
        self.script.verdicts.lock().unwrap().push_back(verdict);
        self.device.ready(VERDICT);
    }

    fn ask(&mut self, queue: u16, request: &[u8], room: usize) {
        let was_expired = self.device.config()[0x16] & 1 << 4 != 0;
        let (reply, answer) = reply(room);
        self.device.handle(queue, request, reply);
        let answer = answer.now().expect("an answer");
        if queue != 0 || room == 0 {
            return assert!(answer.is_empty());
        }
        if request.is_empty() {
            return assert_eq!(answer, [1]);
        }
        assert_eq!(answer.len(), room.min(16));
        assert!((1..=7).contains(&answer[0]));
        if let (true, Some(state)) = (was_expired, answer.get(1)) {
            assert_eq!(*state, 3, "a guest got away");
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let mut guest = Guest::new();
    for step in steps {
        guest.step(step);
    }
});
