// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `vhost-user-rng`: random numbers for virtual machines.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Deserialize;
use virtio_backend::Watch;
use virtio_backend::daemon::{self, Blame, Daemon, Fault, NoTables};
use virtio_rng::{File, Kernel, Limit, Rng, Source, System};

struct Entropy;

/// Options of one guest.
#[derive(Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Options {
    /// Where the bytes come from: `system` is a generator with keys from the operating system,
    /// `kernel` the operating system for every byte, PATH a file or device such as /dev/hwrng,
    /// whose health is tested
    #[arg(long, value_name = "system|kernel|PATH", default_value = "system")]
    source: PathBuf,

    /// Hand out no more than this many bytes per second; the guest's requests wait
    #[arg(long, value_name = "BYTES/S")]
    rate: Option<NonZeroU32>,

    /// Hand out this many bytes at once after a pause [default: a second's worth, at least 64]
    #[arg(long, value_name = "BYTES")]
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

QEMU:
  -chardev socket,id=rng,path=/run/rng.sock -device vhost-user-rng-pci,chardev=rng
  -object memory-backend-memfd,id=ram,size=1G,share=on -machine memory-backend=ram";

    type Options = Options;
    type Tables = NoTables;
    type Host = ();
    type Device = Rng;

    fn host(_tables: NoTables) -> Result<(), Fault> {
        Ok(())
    }

    fn device(_host: &mut (), guest: &str, options: Options, watch: &Watch) -> Result<Rng, Fault> {
        let limit = match (options.rate, options.burst) {
            (Some(rate), burst) => Some(Limit::new(rate, burst, Instant::now())),
            (None, None) => None,
            (None, Some(_)) => return Err(anyhow!("there is no rate to exceed")).blame("burst"),
        };
        let source: Box<dyn Source> = match options.source.to_str() {
            Some("system") => Box::new(System::new(guest)),
            Some("kernel") => Box::new(Kernel::new(guest)),
            _ => {
                let file = File::open(guest, &options.source, watch)
                    .with_context(|| options.source.display().to_string());
                Box::new(file.blame("source")?)
            }
        };
        Rng::new(source, limit, watch).blame("source")
    }
}

fn main() -> ExitCode {
    daemon::main::<Entropy>()
}
