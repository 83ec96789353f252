// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What an action needs of the host. What can never be there is refused before there is any guest;
//! what may come later is said.

use std::env;
use std::fs::{self, FileType};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use virtio_watchdog::{Action, Stage};

/// Longest name of a unit: systemd's `UNIT_NAME_MAX`.
const UNIT_NAME: usize = 255;

/// Kinds of units that have a file, and what comes at the end of their names (systemd.unit(5)).
const WITH_FILE: [&str; 6] = ["service", "socket", "target", "timer", "path", "automount"];
const WITHOUT: [&str; 5] = ["mount", "swap", "slice", "scope", "device"];

/// Where systemd looks for the files of units (systemd.unit(5), "Unit File Load Path").
const UNIT_FILES: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// What the stages, and the last one, need and is not there, if anything.
pub(crate) fn missing(stages: &[Stage], last: Option<&Stage>) -> Option<String> {
    let numbered = stages.iter().enumerate();
    let named = numbered.map(|(number, stage)| (format!("stage[{number}]"), stage));
    let named = named.chain(last.map(|stage| ("last".to_owned(), stage)));
    let missing = named.filter_map(|(name, stage)| {
        let what = check(&stage.action).ok().flatten()?;
        Some(format!("{name}, {}: {what}", stage.action.word()))
    });
    let missing: Vec<_> = missing.collect();
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// What an action needs and is not there, if anything.
///
/// # Errors
/// If it can never be there.
pub(crate) fn check(action: &Action) -> Result<Option<String>> {
    match action {
        Action::Exec(command) => program(command),
        Action::Unit(name) => unit(name),
        Action::Notify(Some(path)) => receiver(path),
        Action::Notify(None) => {
            let has_manager = env::var_os("NOTIFY_SOCKET").is_some();
            ensure!(
                has_manager,
                "systemd did not start this daemon (no NOTIFY_SOCKET), and notify=SOCKET names \
                 nobody else to tell"
            );
            Ok(None)
        }
        _ => Ok(None),
    }
}

fn program(command: &[String]) -> Result<Option<String>> {
    let program = command.first().context("no command")?;
    ensure!(
        !command.iter().any(|word| word.contains('\0')),
        "{program:?}: no command has a NUL character"
    );
    match fs::metadata(program) {
        Err(error) => return Ok(Some(format!("{program}: {error}"))),
        Ok(metadata) if !metadata.is_file() => {
            bail!(
                "{program} is {}, and no program",
                kind(metadata.file_type())
            )
        }
        Ok(_) => {}
    }
    ensure!(
        access(program, Access::EXEC_OK) != Err(Errno::ACCESS),
        "{program} is not executable"
    );
    Ok(None)
}

fn unit(name: &str) -> Result<Option<String>> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter);
    ensure!(
        (1..=UNIT_NAME).contains(&name.len()) && name.chars().all(is_allowed),
        "{name:?} is no name of a unit: 1 to {UNIT_NAME} letters, digits and :-_.\\@"
    );
    let is_kind = |kind: &str| WITH_FILE.contains(&kind) || WITHOUT.contains(&kind);
    // As systemctl does it.
    let (stem, kind) = match name.rsplit_once('.') {
        Some((stem, kind)) if is_kind(kind) => (stem, kind),
        _ => (name, "service"),
    };
    ensure!(
        !stem.ends_with('@'),
        "{stem}.{kind} is a template: name an instance of it, as {stem}1.{kind}"
    );
    if WITHOUT.contains(&kind) {
        return Ok(None);
    }
    let template = stem
        .split_once('@')
        .map(|(template, _)| format!("{template}@.{kind}"));
    let files = [Some(format!("{stem}.{kind}")), template];
    let is_there = files.iter().flatten().any(|file| {
        let mut folders = UNIT_FILES.iter().map(Path::new);
        folders.any(|folder| folder.join(file).exists())
    });
    Ok((!is_there).then(|| format!("{stem}.{kind}: systemd has no such unit")))
}

/// A socket that datagrams are sent to.
fn receiver(path: &Path) -> Result<Option<String>> {
    socket(path)?;
    let connected = UnixDatagram::unbound()?.connect(path);
    let path = path.display();
    match connected {
        Ok(()) => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::PROTOTYPE.raw_os_error()) => {
            bail!("{path} is no datagram socket")
        }
        Err(error) => Ok(Some(format!("{path}: {error}"))),
    }
}

/// Whether there may be a socket at `path`.
pub(crate) fn socket(path: &Path) -> Result<()> {
    SocketAddr::from_pathname(path).with_context(|| path.display().to_string())?;
    match fs::metadata(path).map(|metadata| metadata.file_type()) {
        Ok(found) if !found.is_socket() => {
            bail!("{} is {}, and no socket", path.display(), kind(found))
        }
        _ => Ok(()),
    }
}

fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        "a directory"
    } else if found.is_file() {
        "a regular file"
    } else if found.is_socket() {
        "a socket"
    } else if found.is_fifo() {
        "a FIFO"
    } else {
        "a device"
    }
}
