// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A device whose chip is the test's.
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};
use virtio_backend::testing::{Answer, LIMIT, reply};
use virtio_backend::{Device, Ring, Token, Urgency, Watch};
use virtio_gpio::{Chip, Edges, Gpio, Grant, Pin, Settings, Usage};

/// `VIRTIO_GPIO_F_IRQ`.
pub(crate) const F_IRQ: u64 = 1;

/// A chip in which the test drives the lines. It can be looked at from outside.
#[derive(Clone)]
pub(crate) struct FakeChip(Arc<Vec<Mutex<Wire>>>);

/// A line of the chip.
pub(crate) struct Wire {
    pub(crate) usage: Usage,
    /// What it is to be used for, when it works again.
    wanted: Usage,
    /// All uses there were, in order.
    pub(crate) history: Vec<Usage>,
    /// Somebody else has the line, or the hardware is broken.
    pub(crate) fails: bool,
    /// What it is at can be told.
    pub(crate) is_readable: bool,
    /// What it is at while it is no output.
    level: bool,
    /// Readable when there was an edge.
    edge: OwnedFd,
    /// Says that the device looked for an edge.
    read: (Sender<()>, Receiver<()>),
}

impl FakeChip {
    pub(crate) fn new(lines: usize) -> Self {
        let wire = |_| {
            Mutex::new(Wire {
                usage: Usage::Free,
                wanted: Usage::Free,
                history: Vec::new(),
                fails: false,
                is_readable: true,
                level: false,
                edge: eventfd(0, EventfdFlags::NONBLOCK).unwrap(),
                read: mpsc::channel(),
            })
        };
        Self(Arc::new((0..lines).map(wire).collect()))
    }

    /// Lets the test at a line.
    pub(crate) fn with<T>(&self, line: u16, action: impl FnOnce(&mut Wire) -> T) -> T {
        action(&mut self.0[usize::from(line)].lock().unwrap())
    }

    pub(crate) fn usage(&self, line: u16) -> Usage {
        self.with(line, |wire| wire.usage)
    }

    /// Somebody outside drives the line.
    pub(crate) fn drive(&self, line: u16, level: bool) {
        self.with(line, |wire| wire.drive(level));
    }

    /// Waits until the device has looked for an edge.
    pub(crate) fn wait_until_read(&self, line: u16) {
        let (_, never) = mpsc::channel();
        let read = self.with(line, |wire| std::mem::replace(&mut wire.read.1, never));
        read.recv_timeout(LIMIT).unwrap();
    }
}

impl Wire {
    fn drive(&mut self, level: bool) {
        let change = (self.level, level);
        self.level = level;
        if let (Usage::Input(Edges::Rising | Edges::Both), (false, true))
        | (Usage::Input(Edges::Falling | Edges::Both), (true, false)) = (self.usage, change)
        {
            rustix::io::write(&self.edge, &1u64.to_ne_bytes()).unwrap();
        }
    }

    fn configure(&mut self) {
        if self.usage != self.wanted {
            self.take_edge();
        }
        self.usage = self.wanted;
        self.history.push(self.usage);
    }

    /// Whether there was an edge since this was asked last.
    fn take_edge(&mut self) -> bool {
        rustix::io::read(&self.edge, &mut [0; 8]).is_ok()
    }

    fn works(&self) -> io::Result<()> {
        if self.fails {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        Ok(())
    }
}

impl Chip for FakeChip {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(vec![String::new(); self.0.len()])
    }

    fn pin(
        &self,
        offset: u32,
        _settings: &Settings,
        watch: &Watch,
        token: Token,
    ) -> io::Result<Box<dyn Pin>> {
        let offset = u16::try_from(offset).unwrap();
        self.with(offset, |wire| watch.add(&wire.edge, token))?;
        Ok(Box::new(FakePin {
            chip: self.clone(),
            offset,
            watch: watch.clone(),
            token,
            is_mute: false,
        }))
    }
}

struct FakePin {
    chip: FakeChip,
    offset: u16,
    watch: Watch,
    token: Token,
    is_mute: bool,
}

impl FakePin {
    fn with<T>(&self, action: impl FnOnce(&mut Wire) -> io::Result<T>) -> io::Result<T> {
        self.chip.with(self.offset, action)
    }

    fn listen(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_mute) {
            self.with(|wire| self.watch.add(&wire.edge, self.token))?;
        }
        Ok(())
    }
}

impl Pin for FakePin {
    fn configure(&mut self, usage: Usage) -> io::Result<()> {
        self.listen()?;
        self.with(|wire| {
            wire.wanted = usage;
            if usage != Usage::Free {
                wire.works()?;
            }
            wire.configure();
            Ok(())
        })
    }

    fn value(&mut self) -> io::Result<bool> {
        self.with(|wire| {
            wire.works()?;
            if !wire.is_readable {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Ok(match wire.usage {
                Usage::Output(level) => level,
                _ => wire.level,
            })
        })
    }

    fn edge(&mut self) -> io::Result<bool> {
        self.listen()?;
        self.with(|wire| {
            wire.works()?;
            if wire.usage != wire.wanted {
                wire.configure();
            }
            let edge = wire.take_edge();
            // Only tests that wait hear it.
            wire.read.0.send(()).ok();
            Ok(edge)
        })
    }

    fn mute(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_mute, true) {
            self.with(|wire| self.watch.remove(&wire.edge))?;
        }
        Ok(())
    }
}

/// A guest's device, and its chip.
pub(crate) struct Guest {
    pub(crate) gpio: Gpio,
    pub(crate) chip: FakeChip,
    watch: Watch,
}

impl Guest {
    /// A guest with one line for each grant, and a driver that negotiated interrupts.
    pub(crate) fn new(grants: &[Grant]) -> Self {
        let chip = FakeChip::new(grants.len());
        let watch = Watch::new().unwrap();
        let mut gpio = Gpio::new("guest", &watch);
        for (offset, grant) in (0..).zip(grants) {
            gpio.grant(&chip, offset, grant).unwrap();
        }
        gpio.negotiated(F_IRQ);
        Self { gpio, chip, watch }
    }

    /// Sends a message on the requestq, with `room` bytes for the response.
    pub(crate) fn ask(&mut self, request: &[u8], room: usize) -> Vec<u8> {
        let (reply, answer) = reply(room);
        self.gpio.handle(0, request, reply);
        answer.now().unwrap()
    }

    /// Sends a message as Linux does.
    pub(crate) fn request(&mut self, request: [u8; 8]) -> [u8; 2] {
        self.ask(&request, 2).try_into().unwrap()
    }

    /// Queues a pair of buffers on the eventq, as Linux does.
    pub(crate) fn unmask(&mut self, line: u16) -> Answer {
        self.queue(&line.to_le_bytes(), 1)
    }

    /// Queues any buffers on the eventq.
    pub(crate) fn queue(&mut self, request: &[u8], room: usize) -> Answer {
        let (reply, answer) = reply(room);
        self.gpio.handle(1, request, reply);
        answer
    }

    /// A line's hardware works again, and the guest's loop hears of it.
    pub(crate) fn mend(&mut self, line: u16) {
        self.chip.with(line, |wire| {
            (wire.fails, wire.is_readable) = (false, true);
        });
        self.gpio.ready(Token(line.into()));
    }

    /// Somebody outside drives a line, and the guest's loop hears of it.
    pub(crate) fn drive(&mut self, line: u16, level: bool) {
        self.chip.drive(line, level);
        self.hear();
    }

    /// The guest's loop tells the device of what there is, and returns of how many lines.
    pub(crate) fn hear(&mut self) -> usize {
        let mut lines = 0;
        self.watch.poll(|token| {
            self.gpio.ready(token);
            lines += 1;
        });
        lines
    }
}

/// A ring of the test's, which notes its name and what it is answered in a log that rings share.
pub(crate) struct LoggedRing(pub(crate) &'static str, pub(crate) Arc<Log>);

/// The answers there were, in order.
pub(crate) type Log = Mutex<Vec<(&'static str, Vec<u8>)>>;

impl Ring for LoggedRing {
    fn answer(
        &self,
        _life: u32,
        _head: u16,
        range: Range<usize>,
        source: &mut dyn FnMut(&mut [u8]),
    ) {
        let mut bytes = vec![0; range.len()];
        source(&mut bytes);
        self.1.lock().unwrap().push((self.0, bytes));
    }

    fn emit(&self, _life: u32, _message: &[u8], _urgency: Urgency) -> bool {
        false
    }
}

/// Lines with nothing special.
pub(crate) fn lines(count: usize) -> Vec<Grant> {
    vec![Grant::default(); count]
}

/// What came back on the eventq: its one byte.
pub(crate) fn status(answer: &Answer) -> Option<u8> {
    answer.now().map(|answer| {
        let [status] = answer.try_into().unwrap();
        status
    })
}
