// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `vhost-user-rng`: random numbers for virtual machines.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Weak};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;
use virtio_backend::daemon::{self, Blame, Daemon, Fault, NoTables};
use virtio_backend::{Device, Watch};
use virtio_rng::{File, Kernel, Limit, Rng, Source, System};

struct Entropy;

/// The files that guests share. Each is open as long as a guest has it.
type Files = Vec<Weak<File>>;

/// Options of one guest.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Options {
    /// Where the bytes come from: `system` is a generator with keys from the operating system,
    /// `kernel` the operating system for every byte, PATH a file or device such as /dev/hwrng,
    /// whose health is tested
    #[arg(long, value_name = "system|kernel|PATH", default_value = "system")]
    source: PathBuf,

    /// Hand out no more than this many bytes per second; a request waits until all of it may be had,
    /// or 64 KiB of it
    #[arg(long, value_name = "BYTES/S", value_parser = daemon::positive::<NonZeroU32>)]
    rate: Option<NonZeroU32>,

    /// Hand out this many bytes at once after a pause, 64 or more [default: a second's worth, at
    /// least 64]
    #[arg(long, value_name = "BYTES", value_parser = daemon::positive::<NonZeroU32>)]
    burst: Option<NonZeroU32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            source: "system".into(),
            rate: None,
            burst: None,
        }
    }
}

impl Daemon for Entropy {
    const TYPE: &'static str = "rng";
    const ABOUT: &'static str =
        "Random numbers for virtual machines: a virtio entropy device over vhost-user";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const EXAMPLES: &'static str = "\
Examples:
  vhost-user-rng --socket-path /run/rng.sock
  vhost-user-rng --socket-path /run/rng.sock --source /dev/hwrng --rate 1024
  vhost-user-rng --config /etc/vhost-user-rng.toml

A configuration file:
  [[guest]]
  name = \"cluster\"
  socket = \"/run/rng/cluster.sock\"
  source = \"/dev/hwrng\"
  rate = 4096

QEMU:
  -chardev socket,id=rng,path=/run/rng.sock -device vhost-user-rng-pci,chardev=rng
  -object memory-backend-memfd,id=ram,size=1G,share=on -machine memory-backend=ram";

    type Options = Options;
    type Tables = NoTables;
    type Host = Files;

    fn host(_tables: NoTables) -> Result<Files, Fault> {
        Ok(Files::new())
    }

    fn device(
        files: &mut Files,
        guest: &str,
        options: Options,
        watch: &Watch,
    ) -> Result<Box<dyn Device>, Fault> {
        let limit = limit(&options).blame("burst")?;
        let source: Box<dyn Source> = match options.source.to_str() {
            Some("system") => Box::new(System::new(guest)),
            Some("kernel") => Box::new(Kernel::new(guest)),
            _ => {
                let path = &options.source;
                let file = open(files, path).with_context(|| path.display().to_string());
                Box::new(file.blame("source")?.source(watch))
            }
        };
        let rng = Rng::new(guest, source, limit, watch).blame("source")?;
        Ok(Box::new(rng))
    }
}

/// The file at `path`, which another guest may have by the same or another path.
fn open(files: &mut Files, path: &Path) -> io::Result<Arc<File>> {
    let mut others = files.iter().filter_map(Weak::upgrade);
    if let Some(file) = others.find(|other| other.is_at(path)) {
        return Ok(file);
    }
    let file = File::open(path)?;
    files.push(Arc::downgrade(&file));
    Ok(file)
}

/// The guest's limit, or what is wrong with its burst.
fn limit(options: &Options) -> anyhow::Result<Option<Limit>> {
    let least = Limit::MIN_BURST;
    if let Some(burst) = options.burst {
        ensure!(options.rate.is_some(), "there is no rate to exceed");
        ensure!(
            burst.get() >= least,
            "{burst} bytes are fewer than {least}, which Linux asks for at once and gets in full: say {least} or more"
        );
    }
    let limit = |rate| Limit::new(rate, options.burst, Instant::now());
    Ok(options.rate.map(limit))
}

fn main() -> ExitCode {
    daemon::main::<Entropy>()
}
