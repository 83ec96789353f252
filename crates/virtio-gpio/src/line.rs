// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The state of one line (virtio 1.4, "GPIO Device", requestq and eventq Operation).

use std::io;
use std::mem;

use virtio_backend::Reply;

use crate::wire::{Direction, INVALID, IrqType, VALID};
use crate::{Access, Edges, Pin, Rest, Usage};

/// A line, as the guest knows it, and the host's behind it.
pub(crate) struct Line {
    pin: Box<dyn Pin>,
    /// What the host's line is to be used for.
    usage: Usage,
    access: Access,
    state: State,
    /// What it is, or will be, driven at as an output. The driver may say that first.
    value: bool,
    /// Of an interrupt that was asked for and could not be enabled. The specification has buffers of
    /// an interrupt that is not enabled returned at once, but Linux does not look at the answer, and
    /// queues buffers again as soon as they are returned: they would go to and fro without end. Only
    /// such a line holds them, as one that is masked, until the driver disables the interrupt.
    refused: Option<Mask>,
}

/// Only an input has an interrupt.
enum State {
    None,
    Out,
    In(Option<Irq>),
}

/// An interrupt that is enabled.
struct Irq {
    kind: IrqType,
    mask: Mask,
}

enum Mask {
    /// Nobody can be told. With the first edge the line becomes mute: of those to be told the edge is
    /// remembered so, and those that follow are the same one. A level is not remembered.
    Masked { mute: bool },
    /// The driver waits, with these buffers.
    Unmasked(Reply),
}

/// Why something cannot be had.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The guest may not do that, or not now.
    Guest(&'static str),
    Host(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}

impl Line {
    pub(crate) fn new(pin: Box<dyn Pin>, access: Access) -> Self {
        Self {
            pin,
            usage: Usage::Free,
            access,
            state: State::None,
            value: false,
            refused: None,
        }
    }

    /// The direction that the driver set, whatever the host's line is used for: Linux gives no
    /// interrupts to a line that it takes for an output.
    pub(crate) fn direction(&self) -> Option<Direction> {
        match self.state {
            State::None => None,
            State::Out => Some(Direction::Out),
            State::In(_) => Some(Direction::In),
        }
    }

    pub(crate) fn set_direction(&mut self, direction: Direction) -> Result<(), Fault> {
        self.permit(direction)?;
        match (direction, &self.state) {
            (Direction::Out, State::In(Some(_))) => Err(Fault::Guest("has an interrupt")),
            (Direction::Out, _) => {
                self.try_configure(Usage::Output(self.value))?;
                self.state = State::Out;
                Ok(())
            }
            // Linux says so again while an interrupt is enabled, which goes on.
            (Direction::In, State::In(_)) => Ok(()),
            (Direction::In, _) => {
                self.try_configure(Usage::Input(Edges::None))?;
                self.state = State::In(None);
                Ok(())
            }
        }
    }

    pub(crate) fn value(&mut self) -> Result<bool, Fault> {
        Ok(self.pin.value()?)
    }

    pub(crate) fn set_value(&mut self, value: bool) -> Result<(), Fault> {
        self.permit(Direction::Out)?;
        self.value = value;
        if matches!(self.state, State::Out) {
            // Linux has nobody to tell of an error: what was asked for last has to hold.
            self.configure(Usage::Output(value))?;
        }
        Ok(())
    }

    /// Enables the interrupt, whose level is then to be [sensed](Self::sense). Linux asks for that
    /// without a direction, and for another type without disabling first.
    pub(crate) fn enable(&mut self, kind: IrqType) -> Result<(), Fault> {
        let enabled = self.try_enable(kind);
        if enabled.is_err() && !matches!(self.state, State::In(Some(_))) {
            self.refused.get_or_insert(Mask::Masked { mute: false });
        }
        enabled
    }

    fn try_enable(&mut self, kind: IrqType) -> Result<(), Fault> {
        self.permit(Direction::In)?;
        if matches!(self.state, State::Out) {
            return Err(Fault::Guest("is an output"));
        }
        self.try_configure(Usage::Input(kind.edges()))?;
        if matches!(self.state, State::In(Some(_))) {
            // Of edges before now nothing is to be heard, also if they are those to hear of next.
            self.pin.edge().ok();
        }
        let mask = match mem::replace(&mut self.state, State::None) {
            State::In(Some(Irq {
                mask: mask @ Mask::Unmasked(_),
                ..
            })) => mask,
            _ => self.refused.take().unwrap_or(Mask::Masked { mute: false }),
        };
        self.state = State::In(Some(Irq { kind, mask }));
        Ok(())
    }

    /// Disables the interrupt, if there is one.
    pub(crate) fn disable(&mut self) -> Result<(), Fault> {
        give_back(self.refused.take());
        let State::In(irq @ Some(_)) = &mut self.state else {
            return Ok(());
        };
        give_back(irq.take().map(|irq| irq.mask));
        Ok(self.configure(Usage::Input(Edges::None))?)
    }

    /// The driver queued a pair of buffers.
    pub(crate) fn unmask(&mut self, reply: Reply) -> Result<(), Fault> {
        let fault = match (&mut self.state, &mut self.refused) {
            (State::In(Some(irq)), _) => match irq.mask {
                Mask::Masked { mute } => {
                    irq.mask = Mask::Unmasked(reply);
                    if mute {
                        // What the host has kept of edges since then is nothing new.
                        let listening = self.pin.edge();
                        if irq.kind.level().is_none() {
                            irq.signal();
                        }
                        listening?;
                    }
                    return Ok(self.sense()?);
                }
                Mask::Unmasked(_) => "is unmasked already",
            },
            (_, Some(mask @ Mask::Masked { .. })) => {
                *mask = Mask::Unmasked(reply);
                return Ok(());
            }
            _ => "has no interrupt to unmask",
        };
        reply.send(&[INVALID]);
        Err(Fault::Guest(fault))
    }

    /// The host has something to say of the line.
    pub(crate) fn ready(&mut self) -> io::Result<()> {
        let edge = self.pin.edge()?;
        if let State::In(Some(irq)) = &mut self.state {
            match irq.mask {
                Mask::Unmasked(_) if edge && irq.kind.level().is_none() => irq.signal(),
                Mask::Masked { mute } if edge || mute => {
                    irq.mask = Mask::Masked { mute: true };
                    self.pin.mute()?;
                }
                _ => {}
            }
        }
        self.sense()
    }

    /// Forgets all that the driver set up, and leaves the host's line as it is to be without one.
    pub(crate) fn rest(&mut self, rest: Rest) -> io::Result<()> {
        // First the buffers: when the driver has its answer, it may queue them again.
        if let State::In(irq) = mem::replace(&mut self.state, State::None) {
            give_back(irq.map(|irq| irq.mask));
        }
        give_back(self.refused.take());
        self.value = false;
        match (rest, self.usage) {
            (Rest::Low, _) => self.configure(Usage::Output(false)),
            (Rest::High, _) => self.configure(Usage::Output(true)),
            (Rest::Keep, Usage::Output(_)) | (_, Usage::Free) => Ok(()),
            (Rest::Input, Usage::Output(_)) => {
                // One that was just let go would go on driving.
                let input = self.configure(Usage::Input(Edges::None));
                self.configure(Usage::Free)?;
                input
            }
            (Rest::Keep | Rest::Input, Usage::Input(_)) => self.configure(Usage::Free),
        }
    }

    fn permit(&self, direction: Direction) -> Result<(), Fault> {
        match (self.access, direction) {
            (Access::Input, Direction::Out) => Err(Fault::Guest("may only be an input")),
            (Access::Output, Direction::In) => Err(Fault::Guest("may only be an output")),
            _ => Ok(()),
        }
    }

    /// Uses the host's line so: later, if that fails now.
    fn configure(&mut self, usage: Usage) -> io::Result<()> {
        self.usage = usage;
        self.pin.configure(usage)
    }

    /// Uses the host's line so, or as before if that fails: the driver is told, and may ask again.
    fn try_configure(&mut self, usage: Usage) -> io::Result<()> {
        let configured = self.pin.configure(usage);
        if configured.is_ok() {
            self.usage = usage;
        } else {
            self.pin.configure(self.usage).ok();
        }
        configured
    }

    /// Tells the driver of a level that is active, if it waits. A level is not remembered.
    pub(crate) fn sense(&mut self) -> io::Result<()> {
        if let State::In(Some(irq)) = &mut self.state {
            if let (Some(level), Mask::Unmasked(_)) = (irq.kind.level(), &irq.mask) {
                if self.pin.value()? == level {
                    irq.signal();
                }
            }
        }
        Ok(())
    }
}

impl Irq {
    /// Tells the driver, if it waits.
    fn signal(&mut self) {
        if let Mask::Unmasked(reply) = mem::replace(&mut self.mask, Mask::Masked { mute: false }) {
            reply.send(&[VALID]);
        }
    }
}

/// Returns the buffers that the driver waits on, if it does.
fn give_back(mask: Option<Mask>) {
    if let Some(Mask::Unmasked(reply)) = mask {
        reply.send(&[INVALID]);
    }
}

impl IrqType {
    /// The level that is active, if it is not for edges.
    fn level(self) -> Option<bool> {
        match self {
            Self::EdgeRising | Self::EdgeFalling | Self::EdgeBoth => None,
            Self::LevelHigh => Some(true),
            Self::LevelLow => Some(false),
        }
    }

    /// What has to be heard of. The host tells of edges only: a level becomes active with one.
    fn edges(self) -> Edges {
        match self {
            Self::EdgeRising | Self::LevelHigh => Edges::Rising,
            Self::EdgeFalling | Self::LevelLow => Edges::Falling,
            Self::EdgeBoth => Edges::Both,
        }
    }
}
