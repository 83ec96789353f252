// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The hardware seam: a chip of the host, and the use of one of its lines.

use std::io;
use std::time::Duration;

use virtio_backend::{Token, Watch};

/// A GPIO chip of the host, which guests share. No two use the same line.
pub trait Chip {
    /// The names of its lines, in the order of their numbers. A line that has no name is an empty
    /// one.
    ///
    /// # Errors
    /// When the chip is gone.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Line `offset`, to be used with these `settings`. Nothing is asked of it yet. `watch` says
    /// `token` when [`Pin::edge`] is to be called.
    ///
    /// # Errors
    /// When there is no such line, somebody uses it, or the chip cannot do what the settings say.
    fn pin(
        &self,
        offset: u32,
        settings: &Settings,
        watch: &Watch,
        token: Token,
    ) -> io::Result<Box<dyn Pin>>;
}

/// A line of a chip, as a guest uses it.
pub trait Pin: Send {
    /// Uses the line so from now on. It stays ours from one use to the next, without a pulse, as far
    /// as the host allows. What was used so already is not disturbed. Edges that were seen before a
    /// change of `Edges` are forgotten.
    ///
    /// # Errors
    /// When the line is somebody else's, or the hardware fails. It is tried again, until it is used
    /// so or another use is asked for. That a line is [`Free`](Usage::Free) never fails.
    fn configure(&mut self, usage: Usage) -> io::Result<()>;

    /// What the line is at: high is `true`. Also of an output this is what is sensed.
    ///
    /// # Errors
    /// When the line is somebody else's and not in use, or the hardware fails.
    fn value(&mut self) -> io::Result<bool>;

    /// Whether there was an edge of those asked for since this was called last. Many are one.
    ///
    /// # Errors
    /// When the hardware fails.
    fn edge(&mut self) -> io::Result<bool>;

    /// Says nothing of edges, which may be forgotten, until [`edge`](Self::edge) is called or
    /// another use is asked for: what nobody waits for is not to cost the host anything.
    ///
    /// # Errors
    /// When edges go on to be told.
    fn mute(&mut self) -> io::Result<()>;
}

/// What a line is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Nothing: anybody may have it.
    Free,
    /// It is sensed, and these edges are told.
    Input(Edges),
    /// It is driven: high is `true`.
    Output(bool),
}

/// Changes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edges {
    /// None of them.
    None,
    /// From low to high.
    Rising,
    /// From high to low.
    Falling,
    /// Either.
    Both,
}

/// How the hardware is set up for a line, whatever it is used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who uses the line: what other programs on the host see.
    pub consumer: String,
    /// High and low change places, also for edges.
    pub active_low: bool,
    /// What an input is at that nobody drives. If not given, as the host has it.
    pub bias: Option<Bias>,
    /// How an output is driven.
    pub drive: Drive,
    /// How long an input must be at a level before that counts. Zero: not at all.
    pub debounce: Duration,
}

/// A resistor at an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(serde::Deserialize))]
#[cfg_attr(feature = "daemon", serde(rename_all = "kebab-case"))]
pub enum Bias {
    /// There is none.
    Disabled,
    /// It pulls the line up.
    PullUp,
    /// It pulls the line down.
    PullDown,
}

/// How an output is driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "daemon", derive(serde::Deserialize))]
#[cfg_attr(feature = "daemon", serde(rename_all = "kebab-case"))]
pub enum Drive {
    /// High and low.
    #[default]
    PushPull,
    /// Low. High is not driven.
    OpenDrain,
    /// High. Low is not driven.
    OpenSource,
}
