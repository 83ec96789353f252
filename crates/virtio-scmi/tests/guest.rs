// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Linux guests that use what they were given. `cargo xtask test` runs them; `cargo test` says so.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::guest::{Front, Guest};
use xtask::trial::{run, trial};

fn main() -> ExitCode {
    use Front::Uml;
    run(vec![trial("uml_uses_a_platform", &[Uml], || uses(Uml))])
}

fn uses(front: Front) -> Result<()> {
    let host = Host::start()?;
    let mut guest = host.boot(front)?;
    guest.check(&host.device.check_command())?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// The daemon, and how it is attached.
struct Host {
    daemon: Daemon,
    device: Device,
    _folder: TempDir,
}

impl Host {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-scmi"));
        Ok(Self {
            daemon: Daemon::start(
                binary,
                &["--simulate".to_owned()],
                &folder.path().join("scmi.sock"),
            )?,
            device: Device::of("virtio-scmi")?,
            _folder: folder,
        })
    }

    fn boot(&self, front: Front) -> Result<Guest> {
        Guest::boot(front, &[(&self.device, self.daemon.socket())])
    }
}
