// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The published daemons that do the same, as cargo installs them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::results::Results;

/// Those of rust-vmm, and their versions. The ones for I²C and GPIO need hardware.
const PEERS: [(&str, &str); 2] = [
    ("vhost-device-rng", "0.1.0"),
    ("vhost-device-scmi", "0.4.0"),
];

/// Installs them below `root`. Returns which, with their versions; what does not build is left out.
pub(super) fn install(root: &Path, results: &mut Results) -> Option<String> {
    let mut installed = Vec::new();
    for (package, version) in PEERS {
        let peer = format!("{package} {version}");
        eprintln!("peer: {peer}");
        match install_one(root, package, version) {
            Ok(()) => installed.push(peer),
            Err(error) => results.leave_out(&peer, &format!("{error:#}")),
        }
    }
    (!installed.is_empty()).then(|| installed.join(", "))
}

fn install_one(root: &Path, package: &str, version: &str) -> Result<()> {
    let mut install = Command::new("cargo");
    install.args(["install", "--locked", "--quiet", package]);
    install.arg(format!("--version={version}"));
    let output = install.arg("--root").arg(root).output().context("cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.lines().find(|line| line.starts_with("error"));
    ensure!(
        output.status.success(),
        "does not install here: {}",
        why.unwrap_or("cargo does not say why")
    );
    Ok(())
}
