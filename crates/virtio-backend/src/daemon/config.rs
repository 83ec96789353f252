// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The configuration file: many guests, in the words of the command line, and what they share.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Fault;
use super::value::{Error, Node};

/// Longest line that an error shows as it is, in characters.
const SHOWN: usize = 80;

/// A configuration file, kept to say where in it a mistake is.
pub(super) struct File {
    path: PathBuf,
    text: String,
}

/// A `[[guest]]` of the file.
#[derive(Debug)]
pub(super) struct GuestTable<O> {
    pub(super) name: String,
    pub(super) socket: PathBuf,
    /// What the device's own options say.
    pub(super) options: O,
    /// Where the table begins.
    pub(super) start: usize,
}

/// The keys of a file that are the same for all devices.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Common {
    max_guests: Option<usize>,
    #[serde(default)]
    guest: Vec<Spanned<CommonOfGuest>>,
}

const COMMON: &[&str] = &["max-guests", "guest"];

/// The keys of a `[[guest]]` that are the same for all devices.
#[derive(Deserialize)]
struct CommonOfGuest {
    name: Spanned<String>,
    socket: Spanned<PathBuf>,
}

const COMMON_OF_GUEST: &[&str] = &["name", "socket"];

impl File {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("--config: {}", path.display()))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let file = Self {
            path: path.to_owned(),
            text,
        };
        let Err(error) = std::str::from_utf8(&bytes) else {
            return Ok(file);
        };
        // Up to there the text is as long as the bytes.
        let at = error.valid_up_to();
        let byte = bytes.get(at).copied().unwrap_or_default();
        Err(file.error(at, &format!("the byte {byte:#04x} is not UTF-8")))
    }

    /// How many guests there may be, those that there are, and what the file has beside them.
    pub(super) fn tables<O: DeserializeOwned, T: DeserializeOwned>(
        &self,
    ) -> anyhow::Result<(usize, Vec<GuestTable<O>>, T)> {
        let root = DeTable::parse(&self.text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            self.error(start, error.message())
        })?;
        let root = Spanned::new(0..0, DeValue::Table(root.into_inner()));
        let place = |error: Error| self.error(error.start(), &error.to_string());
        let rest = Node::new(&root, &self.text, COMMON).read().map_err(place)?;
        let common: Common = Node::new(&root, &self.text, &[]).read().map_err(place)?;
        let max = common.max_guests.unwrap_or(common.guest.len());
        self.check(max, &common.guest)?;
        let tables = root.get_ref().get("guest");
        let tables = tables.and_then(|tables| tables.get_ref().as_array());
        let mut guests = Vec::new();
        for (common, table) in common.guest.into_iter().zip(tables.into_iter().flatten()) {
            let start = common.span().start;
            let common = common.into_inner();
            let options = Node::new(table, &self.text, COMMON_OF_GUEST).read();
            guests.push(GuestTable {
                name: common.name.into_inner(),
                socket: common.socket.into_inner(),
                options: options.map_err(place)?,
                start,
            });
        }
        Ok((max, guests, rest))
    }

    /// There are guests, up to `max`, and each has a name and a socket of its own.
    fn check(&self, max: usize, guests: &[Spanned<CommonOfGuest>]) -> anyhow::Result<()> {
        if guests.is_empty() {
            let at = self.position(None, "guest", None).unwrap_or(0);
            return Err(self.error(at, "guest: no [[guest]], of which each guest has one"));
        }
        if let Some(guest) = guests.get(max) {
            let why = format!("guest[{max}]: more guests than max-guests = {max}");
            return Err(self.error(guest.span().start, &why));
        }
        let (mut names, mut sockets) = (HashSet::new(), HashSet::new());
        for guest in guests {
            let CommonOfGuest { name, socket } = guest.get_ref();
            let (name_at, socket_at) = (name.span().start, socket.span().start);
            let (name, socket) = (name.get_ref(), socket.get_ref());
            if name.is_empty() || name.contains(char::is_control) {
                return Err(self.error(name_at, "name: not a name for the log"));
            }
            if !names.insert(name) {
                return Err(self.error(name_at, "name: another guest has this name"));
            }
            if !sockets.insert(socket) {
                return Err(self.error(socket_at, "socket: another guest has this socket"));
            }
        }
        Ok(())
    }

    /// What is wrong with an option, in this file: in the table that begins at `start`, unless the
    /// fault knows better; beside all tables, if neither says where.
    pub(super) fn fault(&self, start: Option<usize>, fault: &Fault) -> anyhow::Error {
        let start = fault.table.or(start);
        let key = self.position(start, fault.option, None);
        let element = fault.element.and_then(|element| {
            let at = self.position(start, fault.option, Some(element))?;
            Some((at, format!("[{element}]")))
        });
        // What a list is that is not given has no elements in the file.
        let (at, element) = match element {
            Some((at, element)) => (Some(at), element),
            None => (key.or(start), String::new()),
        };
        self.error(
            at.unwrap_or(0),
            &format!("{}{element}: {:#}", fault.option, fault.error),
        )
    }

    /// The place in the file of `key`, or of an `element` of it.
    fn position(&self, start: Option<usize>, key: &str, element: Option<usize>) -> Option<usize> {
        let root = DeTable::parse(&self.text).ok()?;
        let root = DeValue::Table(root.into_inner());
        let (key, value) = find(&root, None, start, key)?;
        match element {
            Some(element) => Some(value.get_ref().get(element)?.span().start),
            None => Some(key),
        }
    }

    /// `message`, with the file, the line and what stands there.
    fn error(&self, at: usize, message: &str) -> anyhow::Error {
        let before = self.text.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let from = |at| self.text.get(at..).and_then(|text| text.lines().next());
        let mut line = from(start).unwrap_or_default().trim();
        let mut dots = "";
        if line.chars().count() > SHOWN {
            line = from(at).unwrap_or_default();
            dots = "…";
        }
        let line: String = line.chars().take(SHOWN).collect();
        let line = line.replace(char::is_control, " ");
        let number = before.matches('\n').count() + 1;
        anyhow!(
            "{}:{number}: `{dots}{line}`: {message}",
            self.path.display()
        )
    }
}

/// The place of `key`, and its value, in the table that begins at `start`, which is `value`'s at
/// `here` or below it. The root begins nowhere: the table at the file's first byte is another.
fn find<'a>(
    value: &'a DeValue<'a>,
    here: Option<usize>,
    start: Option<usize>,
    key: &str,
) -> Option<(usize, &'a Spanned<DeValue<'a>>)> {
    let below = |value: &'a Spanned<DeValue<'a>>| {
        find(value.get_ref(), Some(value.span().start), start, key)
    };
    match value {
        DeValue::Table(table) if here == start => {
            let (key, value) = table.get_key_value(key)?;
            Some((key.span().start, value))
        }
        DeValue::Table(table) => table.values().find_map(below),
        DeValue::Array(values) => values.iter().find_map(below),
        _ => None,
    }
}
