// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is done about a guest that failed, in the words of the configuration.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The shortest and the longest time that one who acts for us has for that.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);

/// One thing that is done, and how long the guest then has to be gone or reset, before the next is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Text")]
pub struct Stage {
    /// What is done.
    pub action: Action,
    /// How long it has to work: a dump, to be written; all else, to have the guest reset or gone.
    pub settle: Duration,
}

impl Stage {
    /// How long whoever acts for us may take to say that it has: a monitor that has just been slow may
    /// be slow again.
    pub(crate) fn limit(&self) -> Duration {
        match self.action {
            Action::Dump(_) => self.settle.max(SHORTEST),
            _ => self.settle.clamp(SHORTEST, LONGEST),
        }
    }

    /// How long the guest then has to be reset or gone.
    pub(crate) fn wait(&self) -> Duration {
        match self.action {
            Action::Dump(_) => Duration::ZERO,
            _ => self.settle,
        }
    }
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The driver is told that a timer has expired.
    Event,
    /// A non-maskable interrupt.
    Nmi,
    /// The guest's memory is written to this file, to whose name the time is added.
    Dump(PathBuf),
    /// The machine is reset.
    Reset,
    /// The machine's power button is pressed.
    PowerDown,
    /// The machine is paused, for somebody to look at.
    Stop,
    /// The machine monitor is told to end.
    Quit,
    /// SIGTERM to the process that holds our socket.
    Term,
    /// SIGKILL to the process that holds our socket.
    Kill,
    /// A command is run: its path, and its arguments.
    Exec(Vec<String>),
    /// A systemd unit is restarted.
    Unit(String),
    /// What happened is told to this socket, or to who started us if there is none.
    Notify(Option<PathBuf>),
}

impl Action {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Nmi => "nmi",
            Self::Dump(_) => "dump",
            Self::Reset => "reset",
            Self::PowerDown => "powerdown",
            Self::Stop => "stop",
            Self::Quit => "quit",
            Self::Term => "term",
            Self::Kill => "kill",
            Self::Exec(_) => "exec",
            Self::Unit(_) => "unit",
            Self::Notify(_) => "notify",
        }
    }

    /// Whether it needs QEMU's monitor or cloud-hypervisor's API.
    pub fn needs_control(&self) -> bool {
        use Action::{Dump, Nmi, PowerDown, Quit, Reset, Stop};
        matches!(self, Nmi | Dump(_) | Reset | PowerDown | Stop | Quit)
    }

    /// The same, with the time added to the name of a file, so that it overwrites no other.
    pub(crate) fn dated(&self, time: SystemTime) -> Self {
        let Self::Dump(path) = self else {
            return self.clone();
        };
        let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut path = path.clone().into_os_string();
        path.push(format!(".{}", time.as_secs()));
        Self::Dump(path.into())
    }

    /// How long it has to work, if the configuration does not say.
    fn settle(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Dump(_) => 120,
            Self::Notify(_) => 0,
            Self::Event => 5,
            Self::PowerDown => 60,
            _ => 10,
        })
    }

    /// The action of this `word`, which may need an argument, or several.
    fn new(word: &str, arguments: Vec<String>) -> Result<Self> {
        let one = || match arguments.as_slice() {
            [argument] if !argument.is_empty() => Ok(argument.clone()),
            _ => bail!("{word} needs one argument, as in {word}=…"),
        };
        let action = match word {
            "dump" => Self::Dump(one()?.into()),
            "unit" => Self::Unit(one()?),
            "notify" if arguments.is_empty() => Self::Notify(None),
            "notify" => Self::Notify(Some(one()?.into())),
            "exec" => {
                let program = arguments.first().context("exec needs a command")?;
                ensure!(
                    program.starts_with('/'),
                    "exec needs the whole path of a command, which {program:?} is not"
                );
                Self::Exec(arguments)
            }
            _ => {
                let action = match word {
                    "event" => Self::Event,
                    "nmi" => Self::Nmi,
                    "reset" => Self::Reset,
                    "powerdown" => Self::PowerDown,
                    "stop" => Self::Stop,
                    "quit" => Self::Quit,
                    "term" => Self::Term,
                    "kill" => Self::Kill,
                    _ => bail!(
                        "{word:?} is none of event, nmi, dump, reset, powerdown, stop, quit, term, \
                         kill, exec, unit, notify"
                    ),
                };
                ensure!(arguments.is_empty(), "{word} has no arguments");
                action
            }
        };
        Ok(action)
    }
}

/// `WORD[@SECONDS][=ARGUMENT…]`
impl FromStr for Stage {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (head, arguments) = match text.split_once('=') {
            Some((head, arguments)) => (head, arguments.split_ascii_whitespace().collect()),
            None => (text, Vec::new()),
        };
        Self::new(head, arguments.into_iter().map(str::to_owned).collect())
    }
}

impl Stage {
    fn new(head: &str, arguments: Vec<String>) -> Result<Self> {
        let (word, settle) = match head.split_once('@') {
            Some((word, settle)) => (word, Some(settle.parse::<Seconds>()?.0)),
            None => (head, None),
        };
        let action = Action::new(word, arguments)?;
        let settle = settle.unwrap_or_else(|| action.settle());
        Ok(Self { action, settle })
    }
}

/// A time in seconds, with or without a fraction, up to a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(pub Duration);

impl TryFrom<f64> for Seconds {
    type Error = anyhow::Error;

    fn try_from(number: f64) -> Result<Self> {
        const YEAR: f64 = 366.0 * 86400.0;
        let is_time = (0.0..=YEAR).contains(&number);
        ensure!(is_time, "{number} is not a time in seconds");
        Ok(Self(Duration::from_secs_f64(number)))
    }
}

impl FromStr for Seconds {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let number: Option<f64> = text.parse().ok();
        let number = number.with_context(|| format!("{text:?} is not a time in seconds"))?;
        number.try_into()
    }
}

/// In a file, a stage whose arguments have spaces in them is an array.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "neither a stage, as \"reset@30\", nor an array of one and its arguments"
)]
enum Text {
    Whole(String),
    Parts(Vec<String>),
}

impl TryFrom<Text> for Stage {
    type Error = anyhow::Error;

    fn try_from(text: Text) -> Result<Self> {
        match text {
            Text::Whole(text) => text.parse(),
            Text::Parts(mut parts) => {
                ensure!(!parts.is_empty(), "an empty array is no stage");
                let arguments = parts.split_off(1);
                Self::new(&parts.concat(), arguments)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, action: Action, settle: u64) {
        let stage: Stage = text.parse().unwrap();
        let settle = Duration::from_secs(settle);
        assert_eq!(stage, Stage { action, settle });
    }

    #[test]
    fn stages_are_a_word_a_time_and_arguments() {
        check("reset", Action::Reset, 10);
        check("reset@30", Action::Reset, 30);
        check("event@0", Action::Event, 0);
        check("dump=/var/dump", Action::Dump("/var/dump".into()), 120);
        check(
            "unit@5=vm@1.service",
            Action::Unit("vm@1.service".into()),
            5,
        );
        check("notify", Action::Notify(None), 0);
        check("notify=/run/s", Action::Notify(Some("/run/s".into())), 0);
        let command = ["/bin/page", "--who", "ops=1"].map(str::to_owned);
        check(
            "exec=/bin/page --who ops=1",
            Action::Exec(command.into()),
            10,
        );
        for (word, action) in [
            ("nmi", Action::Nmi),
            ("stop", Action::Stop),
            ("quit", Action::Quit),
            ("term", Action::Term),
            ("kill", Action::Kill),
        ] {
            check(word, action, 10);
        }
        check("powerdown", Action::PowerDown, 60);
    }

    #[test]
    fn a_dump_has_its_time_to_be_written_and_the_others_to_work() {
        for (text, limit, wait) in [
            ("dump=/x", 120, 0),
            ("dump@600=/x", 600, 0),
            ("dump@0=/x", 1, 0),
            ("reset@0", 1, 0),
            ("reset@5", 5, 5),
            ("reset@600", 10, 600),
        ] {
            let stage: Stage = text.parse().unwrap();
            let times = [stage.limit(), stage.wait()].map(|time| time.as_secs());
            assert_eq!(times, [limit, wait], "{text}");
        }
    }

    #[test]
    fn a_dump_overwrites_no_other() {
        let time = UNIX_EPOCH + Duration::from_millis(1_234_567);
        let dump = Action::Dump("/var/dump".into());
        assert_eq!(dump.dated(time), Action::Dump("/var/dump.1234".into()));
        assert_eq!(Action::Nmi.dated(time), Action::Nmi);
    }

    #[test]
    fn an_array_has_arguments_with_spaces() {
        let parts = ["exec@3", "/bin/page", "the guest failed"].map(str::to_owned);
        let stage = Stage::try_from(Text::Parts(parts.into())).unwrap();
        let command = ["/bin/page", "the guest failed"].map(str::to_owned);
        assert_eq!(stage.action, Action::Exec(command.into()));
        assert_eq!(stage.settle, Duration::from_secs(3));
        assert!(Stage::try_from(Text::Parts(Vec::new())).is_err());
    }

    #[test]
    fn what_is_no_stage_is_an_error_that_says_why() {
        for (text, why) in [
            ("", "is none of"),
            ("reboot", "is none of"),
            ("reset=now", "has no arguments"),
            ("reset@", "not a time"),
            ("reset@soon", "not a time"),
            ("reset@-1", "not a time"),
            ("reset@NaN", "not a time"),
            ("reset@1e99", "not a time"),
            ("dump", "needs one argument"),
            ("dump=", "needs one argument"),
            ("dump=a b", "needs one argument"),
            ("exec", "needs a command"),
            ("exec=reboot", "whole path"),
            ("unit=", "needs one argument"),
        ] {
            let error = text.parse::<Stage>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
