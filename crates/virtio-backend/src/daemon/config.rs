// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The configuration file: many guests, in the words of the command line, and what they share.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error, ValueDeserializer};

use super::Fault;

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

/// The keys of a `[[guest]]` that are the same for all devices.
#[derive(Deserialize)]
struct Common {
    name: Spanned<String>,
    socket: Spanned<PathBuf>,
}

impl File {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    /// How many guests there may be, those that there are, and what the file has beside them.
    pub(super) fn tables<O: DeserializeOwned, T: DeserializeOwned>(
        &self,
    ) -> anyhow::Result<(usize, Vec<GuestTable<O>>, T)> {
        let root = DeTable::parse(&self.text).map_err(|error| self.toml_error(&error))?;
        let span = root.span();
        let mut root = root.into_inner();
        let max = root
            .remove("max-guests")
            .map(|max| usize::deserialize(ValueDeserializer::from(max)))
            .transpose();
        let max = max.map_err(|error| self.toml_error(&error))?;
        let tables = match root.remove("guest").map(Spanned::into_inner) {
            Some(DeValue::Array(tables)) if !tables.is_empty() => tables,
            _ => bail!("{}: no [[guest]]", self.path.display()),
        };
        let rest = T::deserialize(Deserializer::from(Spanned::new(span, root)))
            .map_err(|error| self.toml_error(&error))?;
        let max = max.unwrap_or(tables.len());
        if let Some(table) = tables.get(max) {
            return Err(self.error(
                table.span().start,
                &format!("more guests than max-guests = {max}"),
            ));
        }
        let (mut names, mut sockets) = (HashSet::new(), HashSet::new());
        let mut guests = Vec::new();
        for table in tables {
            let (common, guest) = self.guest(table)?;
            if guest.name.is_empty() || guest.name.contains(char::is_control) {
                return Err(self.error(common.name.span().start, "not a name for the log"));
            }
            if !names.insert(guest.name.clone()) {
                return Err(self.error(common.name.span().start, "another guest has this name"));
            }
            if !sockets.insert(guest.socket.clone()) {
                return Err(self.error(common.socket.span().start, "another guest has this socket"));
            }
            guests.push(guest);
        }
        Ok((max, guests, rest))
    }

    fn guest<O: DeserializeOwned>(
        &self,
        table: Spanned<DeValue<'_>>,
    ) -> anyhow::Result<(Common, GuestTable<O>)> {
        let span = table.span();
        let DeValue::Table(mut table) = table.into_inner() else {
            return Err(self.error(span.start, "not a table"));
        };
        let common = Common::deserialize(Deserializer::from(Spanned::new(
            span.clone(),
            table.clone(),
        )))
        .map_err(|error| self.toml_error(&error))?;
        table.remove("name");
        table.remove("socket");
        let options = O::deserialize(Deserializer::from(Spanned::new(span.clone(), table)))
            .map_err(|error| self.toml_error(&error))?;
        let (name, socket) = (
            common.name.get_ref().clone(),
            common.socket.get_ref().clone(),
        );
        Ok((
            common,
            GuestTable {
                name,
                socket,
                options,
                start: span.start,
            },
        ))
    }

    /// What is wrong with an option, in this file: in the table that begins at `start`, unless the
    /// fault knows better; beside all tables, if neither says where.
    pub(super) fn fault(&self, start: Option<usize>, fault: &Fault) -> anyhow::Error {
        let start = fault.table.or(start);
        let root = DeTable::parse(&self.text).ok();
        let key = root.and_then(|root| {
            let root = DeValue::Table(root.into_inner());
            position(&root, None, start, fault.option)
        });
        self.error(
            key.or(start).unwrap_or(0),
            &format!("{}: {:#}", fault.option, fault.error),
        )
    }

    fn toml_error(&self, error: &Error) -> anyhow::Error {
        self.error(error.span().map_or(0, |span| span.start), error.message())
    }

    /// `message`, with the file, the line and what stands there: the key.
    fn error(&self, at: usize, message: &str) -> anyhow::Error {
        let before = self.text.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self
            .text
            .get(start..)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let number = before.matches('\n').count() + 1;
        anyhow!(
            "{}:{number}: `{}`: {message}",
            self.path.display(),
            line.trim()
        )
    }
}

/// Where `key` is in the table that begins at `start`, which is `value`'s at `here` or below it.
/// The root begins nowhere: the table at the file's first byte is another.
fn position(
    value: &DeValue<'_>,
    here: Option<usize>,
    start: Option<usize>,
    key: &str,
) -> Option<usize> {
    let below = |value: &Spanned<DeValue<'_>>| {
        position(value.get_ref(), Some(value.span().start), start, key)
    };
    match value {
        DeValue::Table(table) if here == start => {
            let (key, _) = table.get_key_value(key)?;
            Some(key.span().start)
        }
        DeValue::Table(table) => table.values().find_map(below),
        DeValue::Array(values) => values.iter().find_map(below),
        _ => None,
    }
}
