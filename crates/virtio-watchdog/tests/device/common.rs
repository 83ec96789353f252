// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device whose host is the test.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use virtio_backend::testing::{Buffers, LIMIT, events, reply};
use virtio_backend::{Device, Watch};
use virtio_watchdog::{Host, Report, Settings, VERDICT, Verdict, Watchdog};

/// `VIRTIO_WATCHDOG_F_CONTROL`, `…_PRETIMEOUT` and `…_RESTART`.
pub(crate) const ALL: u64 = 0b111;

/// Long enough for a test not to see its end.
pub(crate) const LONG: Duration = Duration::from_secs(1000);

/// Short enough to be waited for.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// What the test knows of the host, and has it say.
#[derive(Clone)]
pub(crate) struct Script {
    verdicts: Arc<Mutex<VecDeque<Verdict>>>,
    /// Whether it tells resets, and whether the guest may restart.
    knows: Arc<Mutex<(bool, Option<bool>)>>,
}

struct Scripted {
    script: Script,
    reports: SyncSender<Report>,
}

impl Host for Scripted {
    fn report(&mut self, report: Report) {
        // A test that does not ask is not told.
        let full = Err(TrySendError::Full(report));
        assert_ne!(self.reports.try_send(report), full, "more and more");
    }

    fn verdict(&mut self) -> Option<Verdict> {
        self.script.verdicts.lock().unwrap().pop_front()
    }

    fn tells_resets(&self) -> bool {
        self.script.knows.lock().unwrap().0
    }

    fn may_restart(&self) -> Option<bool> {
        self.script.knows.lock().unwrap().1
    }
}

impl Script {
    /// The host is going to say this.
    pub(crate) fn decide(&self, verdict: Verdict) {
        self.verdicts.lock().unwrap().push_back(verdict);
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        channels: 2,
        timeout: LONG,
        boot_timeout: Some(2 * LONG),
        ..Settings::default()
    }
}

/// The host of a device, which is made with it.
pub(crate) fn script() -> (Script, Box<dyn Host>, Receiver<Report>) {
    let script = Script {
        verdicts: Arc::default(),
        knows: Arc::new(Mutex::new((false, Some(true)))),
    };
    let (told, reports) = mpsc::sync_channel(100);
    let host = Scripted {
        script: script.clone(),
        reports: told,
    };
    (script, Box::new(host), reports)
}

/// A device, with a driver that has accepted all of its features.
pub(crate) struct Guest {
    pub(crate) device: Watchdog,
    pub(crate) buffers: Buffers,
    script: Script,
    reports: Receiver<Report>,
    watch: Watch,
}

impl Guest {
    pub(crate) fn new(settings: Settings) -> Self {
        let (script, host, reports) = script();
        let watch = Watch::new().unwrap();
        let mut device = Watchdog::new("guest", settings, host, None, &watch).unwrap();
        watch.set_peer(Some(7));
        device.connected();
        device.negotiated(ALL);
        let (events, buffers) = events(4);
        device.events(1, events);
        let guest = Self {
            device,
            buffers,
            script,
            reports,
            watch,
        };
        assert_eq!(guest.report(), Report::Connected(Some(7)));
        assert_eq!(guest.report(), Report::Ready);
        guest
    }

    /// Sends a request: type, channel, timeout and pretimeout in ms, flags. Returns the response.
    pub(crate) fn ask(&mut self, words: (u16, u16, u32, u32, u32)) -> [u8; 16] {
        self.send(&request(words), 16).try_into().unwrap()
    }

    /// Sends a request of a type and a channel, which has to be OK.
    pub(crate) fn ok(&mut self, kind: u16, channel: u16) -> [u8; 16] {
        let response = self.ask((kind, channel, 0, 0, 0));
        assert_eq!(response[0], 1, "{response:?}");
        response
    }

    /// Sends any buffer.
    pub(crate) fn send(&mut self, bytes: &[u8], room: usize) -> Vec<u8> {
        let (reply, answer) = reply(room);
        self.device.handle(0, bytes, reply);
        answer.now().unwrap()
    }

    pub(crate) fn plain_ping(&mut self) {
        assert_eq!(self.send(&[], 8), [1]);
    }

    /// The host says something.
    pub(crate) fn say(&mut self, verdict: Verdict) {
        self.script.decide(verdict);
        self.device.ready(VERDICT);
    }

    /// Whether the host tells resets, and whether the guest may restart.
    pub(crate) fn knows(&self, tells_resets: bool, may_restart: Option<bool>) {
        *self.script.knows.lock().unwrap() = (tells_resets, may_restart);
    }

    /// The next report. Lets time pass for it.
    pub(crate) fn wait(&mut self) -> Report {
        loop {
            if let Ok(report) = self.reports.try_recv() {
                return report;
            }
            readable(&self.watch);
            self.watch.poll(|token| self.device.ready(token));
        }
    }

    /// The report that there is.
    pub(crate) fn report(&self) -> Report {
        self.reports.try_recv().unwrap()
    }

    /// The reports that there are.
    pub(crate) fn reports(&self) -> impl Iterator<Item = Report> + '_ {
        self.reports.try_iter()
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.reports.try_recv().is_err()
    }

    /// `flags` of the configuration space.
    pub(crate) fn flags(&self) -> u8 {
        self.device.config()[0x16]
    }

    /// `boot_status` and `reset_count` of the configuration space.
    pub(crate) fn boot_status(&self) -> (u8, u8) {
        let config = self.device.config();
        assert_eq!(
            (&config[0x19..0x1c], &config[0x1d..0x20]),
            (&[0; 3][..], &[0; 3][..])
        );
        (config[0x18], config[0x1c])
    }

    /// `time_left` of the configuration space, in ms.
    pub(crate) fn time_left(&self) -> u32 {
        u32::from_le_bytes(self.device.config()[0x20..].try_into().unwrap())
    }
}

/// Waits until something happens to a device.
pub(crate) fn readable(watch: &Watch) {
    let mut fds = [PollFd::new(watch, PollFlags::IN)];
    let limit = Timespec::try_from(LIMIT).unwrap();
    assert_ne!(poll(&mut fds, Some(&limit)), Ok(0), "nothing happens");
}

/// Lets as much time pass as another guest has.
pub(crate) fn time_passes() {
    let mut other = Guest::new(Settings {
        timeout: SHORT,
        ..settings()
    });
    other.ok(2, 0);
    while !matches!(other.wait(), Report::Due(_)) {}
}

/// A request's bytes: type, channel, timeout, pretimeout, flags.
pub(crate) fn request(words: (u16, u16, u32, u32, u32)) -> Vec<u8> {
    let (kind, channel, timeout, pretimeout, flags) = words;
    [
        &kind.to_le_bytes()[..],
        &channel.to_le_bytes(),
        &timeout.to_le_bytes(),
        &pretimeout.to_le_bytes(),
        &flags.to_le_bytes(),
    ]
    .concat()
}

/// Whether a time on the wire is this many seconds, as good as.
pub(crate) fn is_about(millis: u32, seconds: u32) -> bool {
    (seconds * 1000 - 900..=seconds * 1000).contains(&millis)
}
