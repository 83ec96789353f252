// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device: messages go to the line that they are about.

use std::io;
use std::time::{Duration, Instant};

use log::{Level, debug, log};
use virtio_backend::{Device, Queue, Reply, Token, Watch};

use crate::line::{Fault, Line};
use crate::wire::{self, ERR, INVALID, OK, Operation, REQUEST, Request};
use crate::{Chip, Settings};

/// `VIRTIO_GPIO_F_IRQ`: lines have interrupts.
const IRQ: u64 = 1 << 0;

const REQUESTQ: u16 = 0;

/// How often it is said of a line that its hardware fails. A guest may ask for what the hardware
/// cannot do as often as it likes.
const WARNINGS: Duration = Duration::from_secs(60);

/// The GPIO device of one guest: the lines that it was [granted](Self::grant), and no others.
///
/// A pair of buffers on the eventq is a request that is answered when there is an interrupt.
///
/// In a VMM's own process, whose queues make the replies:
///
/// ```
/// # use virtio_backend::testing::reply;
/// use virtio_backend::{Device, Watch};
/// use virtio_gpio::{Gpio, Grant, SimulatedChip};
///
/// let (chip, watch) = (SimulatedChip::new(), Watch::new()?);
/// let mut gpio = Gpio::new("guest", &watch);
/// gpio.grant(&chip, 8, &Grant::default())?;
/// // The driver accepts VIRTIO_GPIO_F_IRQ, asks for rising edges, and queues buffers for them.
/// gpio.negotiated(1);
/// let ((enable, _enabled), (interrupt, told)) = (reply(2), reply(1));
/// gpio.handle(0, &[6, 0, 0, 0, 1, 0, 0, 0], enable);
/// gpio.handle(1, &[0, 0], interrupt);
/// chip.drive("button0", Some(true))?;
/// // The watch is a file descriptor, which is waited for in the VMM's loop.
/// watch.poll(|token| gpio.ready(token));
/// assert_eq!(told.now(), Some(vec![1]));
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Gpio {
    guest: String,
    watch: Watch,
    lines: Vec<Granted>,
    /// The response to a request for names: a status, and the names, each with a zero at its end.
    names: Vec<u8>,
    /// The driver accepted [`IRQ`].
    irq: bool,
}

/// How a guest may use a line.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// What the guest calls it: ASCII, and no other line's. May be empty.
    pub name: String,
    /// In which directions.
    pub access: Access,
    /// How the hardware is set up.
    pub settings: Settings,
    /// What the line is before there is any guest.
    pub initial: Rest,
    /// What the line is after the guest was reset, and when its driver lets the line go. QEMU tells
    /// of a reset only when the next driver starts.
    pub on_reset: Rest,
    /// What the line is after the guest went away, and when the daemon ends.
    pub on_disconnect: Rest,
}

/// In which directions a guest may use a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(serde::Deserialize))]
#[cfg_attr(feature = "daemon", serde(rename_all = "kebab-case"))]
pub enum Access {
    /// In both.
    #[default]
    Both,
    /// As an input.
    Input,
    /// As an output.
    Output,
}

/// What a line is that no driver uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(serde::Deserialize))]
#[cfg_attr(feature = "daemon", serde(rename_all = "kebab-case"))]
pub enum Rest {
    /// As it was: an output stays driven.
    Keep,
    /// An input, and then free for others on the host. A line that was not used stays as it was.
    #[default]
    Input,
    /// Driven low, and not free.
    Low,
    /// Driven high, and not free.
    High,
}

struct Granted {
    line: Line,
    on_reset: Rest,
    on_disconnect: Rest,
    /// When it was said last that the hardware fails.
    warned: Option<Instant>,
}

impl Gpio {
    /// Longest request that the device accepts, in bytes.
    pub const MAX_REQUEST: usize = REQUEST;

    /// The device, without lines yet, of the guest that the log calls `guest`.
    pub fn new(guest: impl Into<String>, watch: &Watch) -> Self {
        Self {
            guest: guest.into(),
            watch: watch.clone(),
            lines: Vec::new(),
            names: vec![OK],
            irq: false,
        }
    }

    /// Grants line `offset` of `chip`, as the guest's next number.
    ///
    /// # Errors
    /// When the chip does not give the line, the name is not one, a line that may only be an input is
    /// to be driven, or there are 65,535 lines.
    pub fn grant(&mut self, chip: &dyn Chip, offset: u32, grant: &Grant) -> io::Result<()> {
        let name = grant.name.as_bytes();
        if !name.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(invalid("a name has printable ASCII characters only"));
        }
        if !name.is_empty() && self.names().split(|byte| *byte == 0).any(|its| its == name) {
            return Err(invalid("another line has this name"));
        }
        if self.lines.len() == usize::from(u16::MAX) {
            return Err(invalid("too many lines"));
        }
        for (key, rest) in [
            ("initial", grant.initial),
            ("on-reset", grant.on_reset),
            ("on-disconnect", grant.on_disconnect),
        ] {
            if grant.access == Access::Input && matches!(rest, Rest::Low | Rest::High) {
                return Err(invalid(&format!("{key} drives what is only an input")));
            }
        }
        let token = u32::try_from(self.lines.len()).map_err(io::Error::other)?;
        let pin = chip.pin(offset, &grant.settings, &self.watch, Token(token))?;
        let mut line = Line::new(pin, grant.access);
        line.rest(grant.initial)?;
        self.lines.push(Granted {
            line,
            on_reset: grant.on_reset,
            on_disconnect: grant.on_disconnect,
            warned: None,
        });
        self.names.extend_from_slice(name);
        self.names.push(0);
        Ok(())
    }

    /// All names, or nothing if no line has one.
    fn names(&self) -> &[u8] {
        let names = self.names.get(1..).unwrap_or_default();
        if names.iter().all(|byte| *byte == 0) {
            &[]
        } else {
            names
        }
    }

    fn send_names(&self, reply: Reply) {
        let names = self.names();
        if names.is_empty() || reply.room() < 1 + names.len() {
            debug!("{}: no names, or no room for them", self.guest);
            return reply.send(&[ERR, 0]);
        }
        reply.send(&self.names);
    }

    /// The `value` of the response, or nothing if it is an error.
    fn perform(&mut self, number: u16, operation: Operation) -> Option<u8> {
        let irq = self.irq;
        let done = self.with(number, |granted| {
            let line = &mut granted.line;
            match operation {
                Operation::Direction => return Ok(wire::direction(line.direction())),
                Operation::SetDirection(Some(direction)) => line.set_direction(direction)?,
                Operation::SetDirection(None) => line.rest(granted.on_reset)?,
                Operation::Value => return Ok(line.value()?.into()),
                Operation::SetValue(value) => line.set_value(value)?,
                Operation::SetIrqType(_) if !irq => return Err(NOT_NEGOTIATED),
                Operation::SetIrqType(Some(kind)) => line.enable(kind)?,
                Operation::SetIrqType(None) => line.disable()?,
            }
            Ok(0)
        });
        if let (Operation::SetIrqType(Some(_)), Some(_)) = (operation, done) {
            // Enabled it is, even if the level cannot be read now.
            self.with(number, |granted| Ok(granted.line.sense()?));
        }
        done
    }

    /// Does something to a line, and says what there is to say of a fault.
    fn with<T>(
        &mut self,
        number: u16,
        action: impl FnOnce(&mut Granted) -> Result<T, Fault>,
    ) -> Option<T> {
        let Some(granted) = self.lines.get_mut(usize::from(number)) else {
            debug!("{}: no line {number}", self.guest);
            return None;
        };
        let done = action(granted);
        match &done {
            Ok(_) => {}
            Err(Fault::Guest(fault)) => debug!("{}: line {number} {fault}", self.guest),
            Err(Fault::Host(error)) => {
                let last = granted.warned.filter(|last| last.elapsed() < WARNINGS);
                let level = last.map_or(Level::Warn, |_| Level::Debug);
                log!(level, "{}: line {number}: {error}", self.guest);
                granted.warned = last.or_else(|| Some(Instant::now()));
            }
        }
        done.ok()
    }

    /// Leaves all lines as they are to be without a driver.
    fn rest(&mut self, rest: impl Fn(&Granted) -> Rest) {
        self.irq = false;
        for number in (0..=u16::MAX).take(self.lines.len()) {
            self.with(number, |granted| Ok(granted.line.rest(rest(granted))?));
        }
    }
}

const NOT_NEGOTIATED: Fault = Fault::Guest("has no interrupt: not negotiated");

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

impl Device for Gpio {
    fn device_type(&self) -> u32 {
        41
    }

    fn queues(&self) -> &'static [Queue] {
        &[Queue::Requests, Queue::Requests]
    }

    fn max_request(&self) -> usize {
        Self::MAX_REQUEST
    }

    fn features(&self) -> u64 {
        IRQ
    }

    fn negotiated(&mut self, features: u64) {
        self.irq = features & IRQ != 0;
    }

    fn config(&self) -> Vec<u8> {
        let ngpio = u16::try_from(self.lines.len()).unwrap_or(u16::MAX);
        wire::config(ngpio, u32::try_from(self.names().len()).unwrap_or(u32::MAX))
    }

    fn handle(&mut self, queue: u16, request: &[u8], reply: Reply) {
        if queue == REQUESTQ {
            match Request::parse(request) {
                Some(Request::LineNames) => self.send_names(reply),
                Some(Request::Line(number, operation)) => match self.perform(number, operation) {
                    Some(value) => reply.send(&[OK, value]),
                    None => reply.send(&[ERR, 0]),
                },
                None => {
                    debug!("{}: malformed request", self.guest);
                    reply.send(&[ERR, 0]);
                }
            }
            return;
        }
        match wire::irq_request(request) {
            // Without room nobody could be told of an interrupt.
            Some(number) if reply.room() > 0 && usize::from(number) < self.lines.len() => {
                self.with(number, |granted| granted.line.unmask(reply));
            }
            _ => {
                debug!("{}: malformed buffers for an interrupt", self.guest);
                reply.send(&[INVALID]);
            }
        }
    }

    fn ready(&mut self, token: Token) {
        if let Ok(number) = u16::try_from(token.0) {
            self.with(number, |granted| Ok(granted.line.ready()?));
        }
    }

    fn reset(&mut self) {
        self.rest(|granted| granted.on_reset);
    }

    fn disconnected(&mut self) {
        self.rest(|granted| granted.on_disconnect);
    }
}

/// Ends with its daemon, or its VMM. There may have been no guest that could go away.
impl Drop for Gpio {
    fn drop(&mut self) {
        self.disconnected();
    }
}
