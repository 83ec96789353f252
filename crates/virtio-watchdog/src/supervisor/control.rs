// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the machine is controlled through, whichever it is, while there is a connection.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Control;
use super::api::Api;
use super::mailbox::Shared;
use super::qmp::{Qmp, Status};
use super::stage::Action;

/// A connection.
pub(super) enum Connection {
    Qmp(Qmp),
    Api(Api),
}

/// What a monitor says of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Paused,
    Resumed,
    Reset(Origin),
    Panicked,
    /// The guest's crash kernel begins its work.
    Dumping,
    /// Another watchdog expired, whose action is left to us.
    Watchdog,
}

impl Event {
    pub(super) fn is_reset(self) -> bool {
        matches!(self, Self::Reset(_))
    }
}

/// Whose doing a reset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Guest,
    Host,
}

impl Control {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Qmp(path) | Self::Api(path) => path,
        }
    }

    /// Connects to what has to be `process`'s if that is known.
    pub(super) fn connect(
        &self,
        process: Option<u32>,
        number: u64,
        shared: &Arc<Shared>,
    ) -> io::Result<Connection> {
        match self {
            Self::Qmp(path) => Qmp::connect(path, process, number, shared).map(Connection::Qmp),
            Self::Api(path) => Api::connect(path.clone(), process).map(Connection::Api),
        }
    }
}

impl Connection {
    pub(super) fn status(&mut self) -> io::Result<Status> {
        match self {
            Self::Qmp(qmp) => qmp.status(),
            Self::Api(api) => api.status(),
        }
    }

    /// The threads of the machine's processors, if they can be told.
    pub(super) fn vcpus(&mut self) -> Vec<u32> {
        match self {
            Self::Qmp(qmp) => qmp.vcpus().unwrap_or_default(),
            Self::Api(_) => Vec::new(),
        }
    }

    /// Does what `action` says, in about `limit`.
    pub(super) fn act(&mut self, action: &Action, limit: Duration) -> io::Result<()> {
        match self {
            Self::Qmp(qmp) => qmp.act(action, limit),
            Self::Api(api) => api.act(action, limit),
        }
    }

    /// The process of the machine, if that is known from here.
    pub(super) fn process(&self) -> Option<u32> {
        match self {
            Self::Qmp(qmp) => Some(qmp.peer),
            Self::Api(_) => None,
        }
    }

    /// Whether each reset of the machine is heard of.
    pub(super) fn tells_resets(&self) -> bool {
        matches!(self, Self::Qmp(_))
    }

    /// Whether it is the one of this number.
    pub(super) fn is(&self, number: u64) -> bool {
        matches!(self, Self::Qmp(qmp) if qmp.connection() == number)
    }

    /// What the monitor said while something else was waited for.
    pub(super) fn event(&mut self) -> Option<Value> {
        match self {
            Self::Qmp(qmp) => qmp.events.pop_front(),
            Self::Api(_) => None,
        }
    }
}

/// What a message of QEMU's monitor means to a watchdog, if anything.
pub(super) fn event(message: &Value) -> Option<Event> {
    let action = message.pointer("/data/action").and_then(Value::as_str);
    let origin = match message.pointer("/data/guest").and_then(Value::as_bool) {
        Some(true) => Origin::Guest,
        _ => Origin::Host,
    };
    match message.get("event")?.as_str()? {
        "STOP" | "SUSPEND" => Some(Event::Paused),
        "RESUME" | "WAKEUP" => Some(Event::Resumed),
        "RESET" => Some(Event::Reset(origin)),
        "GUEST_PANICKED" => Some(Event::Panicked),
        "GUEST_CRASHLOADED" => Some(Event::Dumping),
        // With any other action QEMU acts itself.
        "WATCHDOG" if action == Some("none") => Some(Event::Watchdog),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_qemu_says_is_understood() {
        for (message, expected) in [
            (json!({"event": "STOP"}), Some(Event::Paused)),
            (json!({"event": "RESUME"}), Some(Event::Resumed)),
            (
                json!({"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}),
                Some(Event::Reset(Origin::Guest)),
            ),
            (
                json!({"event": "RESET", "data": {"guest": false, "reason": "host-qmp-system-reset"}}),
                Some(Event::Reset(Origin::Host)),
            ),
            (
                json!({"event": "GUEST_PANICKED", "data": {"action": "pause"}}),
                Some(Event::Panicked),
            ),
            (
                json!({"event": "GUEST_CRASHLOADED", "data": {"action": "run"}}),
                Some(Event::Dumping),
            ),
            (
                json!({"event": "WATCHDOG", "data": {"action": "none"}}),
                Some(Event::Watchdog),
            ),
            (
                json!({"event": "WATCHDOG", "data": {"action": "reset"}}),
                None,
            ),
            (json!({"event": "SHUTDOWN"}), None),
            (json!({"return": {}}), None),
            (json!({"event": 7}), None),
            (json!([]), None),
        ] {
            assert_eq!(event(&message), expected, "{message}");
        }
    }
}
