// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a guest's kernel cannot find out by itself, in the words of a device tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::front::{Front, virt_device_tree};
use crate::device::Device;
use crate::tools::Tool;

const UML: &str = include_str!("../../guest/um.dts");

pub(super) const DTC: Tool = Tool {
    file: "dtc",
    package: "device-tree-compiler",
};

/// The device tree of a guest with these devices, compiled into `folder`. There is none where the
/// front end tells everything.
pub(super) fn of(
    front: Front,
    devices: &[(&Device, &Path)],
    folder: &Path,
) -> Result<Option<PathBuf>> {
    let mut parts = String::new();
    for (device, socket) in devices {
        let part = device.board(front)?;
        parts.push_str(&part.replace("SOCKET", &socket.display().to_string()));
    }
    let board = match front {
        Front::Uml => UML.to_owned(),
        Front::QemuArm64 if !parts.is_empty() => decompile(&virt_device_tree(folder)?)?,
        Front::QemuArm64 | Front::QemuX86_64 => {
            ensure!(parts.is_empty(), "{front} takes no device tree");
            return Ok(None);
        }
    };
    compile(&(board + &parts), folder).map(Some)
}

/// Compiles a device tree into a file in `folder`.
pub(super) fn compile(source: &str, folder: &Path) -> Result<PathBuf> {
    let (text, blob) = (folder.join("board.dts"), folder.join("board.dtb"));
    fs::write(&text, source)?;
    dtc(["dts", "dtb"], &text, &blob)?;
    Ok(blob)
}

/// The source of a compiled device tree, without labels: what a board's part refers to, it names by its path.
fn decompile(blob: &Path) -> Result<String> {
    let text = blob.with_extension("dts");
    dtc(["dtb", "dts"], blob, &text)?;
    Ok(fs::read_to_string(text)?)
}

fn dtc([from, to]: [&str; 2], input: &Path, output: &Path) -> Result<()> {
    let mut dtc = Command::new(DTC.file);
    // What QEMU's own tree could do better is not for us to hear.
    dtc.args(["-q", "-I", from, "-O", to, "-o"]);
    dtc.args([output, input]);
    let status = dtc.status()?;
    ensure!(status.success(), "dtc {}: {status}", input.display());
    Ok(())
}
