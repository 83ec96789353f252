// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whose daemons are compared, and how each is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::device::{Device, PREFIX, Peer, socket};
use crate::process::Answers;

/// The daemons of one revision, or of peers.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) name: String,
    programs: PathBuf,
    pub(crate) is_peer: bool,
}

impl Build {
    /// Of `NAME=FOLDER`.
    pub(crate) fn parse(text: &str, is_peer: bool) -> Result<Self, String> {
        let (name, folder) = text.split_once('=').ok_or("no =")?;
        Ok(Self {
            name: name.to_owned(),
            programs: folder.into(),
            is_peer,
        })
    }

    /// Starts the daemon of one guest, whose socket is in `folder`, with `more` arguments.
    ///
    /// # Errors
    /// Says why it does not start.
    pub(crate) fn one(
        &self,
        device: &Device,
        folder: &Path,
        more: &[&str],
    ) -> Result<Answers, String> {
        // A revision may have a slash.
        let path = folder.join(self.name.replace('/', "-"));
        let mut command = self.command(device)?;
        command.arg("--socket-path").arg(&path);
        let mut socket = path.into_os_string();
        if !self.is_peer {
            command.args(device.arguments);
        } else if matches!(device.peer, Some(Peer::Many)) {
            socket.push("0");
        }
        Answers::start(command.args(more), vec![socket.into()])
    }

    /// Starts a daemon with so many guests, whose sockets are in `folder`.
    ///
    /// # Errors
    /// Says why it does not start.
    pub(crate) fn many(
        &self,
        device: &Device,
        guests: usize,
        folder: &Path,
    ) -> Result<Answers, String> {
        let sockets = (0..guests).map(|number| folder.join(socket(number)));
        let mut command = self.command(device)?;
        if !self.is_peer {
            let file = folder.join("guests.toml");
            fs::write(&file, device.file(guests, folder)).unwrap();
            command.arg("--config").arg(file);
        } else if matches!(device.peer, Some(Peer::Many)) {
            command.args(["--socket-count", &guests.to_string()]);
            command.arg("--socket-path").arg(folder.join(PREFIX));
        } else if guests == 1 {
            return self.one(device, folder, &[]);
        } else {
            return Err("serves one guest only".into());
        }
        Answers::start(&mut command, sockets.collect())
    }

    fn command(&self, device: &Device) -> Result<Command, String> {
        let kind = match device.peer {
            _ if !self.is_peer => "vhost-user",
            Some(_) => "vhost-device",
            None => return Err("has no simulated hardware".into()),
        };
        let program = format!("{kind}-{}", device.name);
        Ok(Command::new(self.programs.join(program)))
    }
}
