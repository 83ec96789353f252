// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's kernel: Debian's source of Linux 6.12, the smallest configuration that has our
//! drivers, and two fixes to User-Mode Linux.
//!
//! No distribution's kernel has them all: Debian's lacks I2C_VIRTIO, GPIO_VIRTIO and
//! ARM_SCMI_TRANSPORT_VIRTIO.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::Front;
use super::packages::{self, Architecture};
use crate::cache::Cache;
use crate::tools::{self, Tool};

const COMMON_CONFIG: &str = include_str!("../../guest/common.config");
const PATCH: &str = concat!(
    include_str!("../../guest/um-set-mem-table.patch"),
    include_str!("../../guest/um-fp-size.patch"),
);

/// How often a build says that it goes on, where nobody watches a terminal.
const REPORT: Duration = Duration::from_secs(30);

const TOOLS: [Tool; 11] = [
    tool("make", "make"),
    tool("flex", "flex"),
    tool("bison", "bison"),
    tool("bc", "bc"),
    tool("perl", "perl"),
    tool("patch", "patch"),
    tool("tar", "tar"),
    tool("xz", "xz-utils"),
    tool("gzip", "gzip"),
    tool("cpio", "cpio"),
    tool("/usr/include/gelf.h", "libelf-dev"),
];

const fn tool(file: &'static str, package: &'static str) -> Tool {
    Tool { file, package }
}

/// How one of the kernels is built.
struct Recipe {
    /// Linux's name of the architecture.
    arch: &'static str,
    config: &'static str,
    compiler: Tool,
    /// What comes before `gcc` in the compiler's name.
    prefix: &'static str,
    /// What to make, and where it is then.
    target: &'static str,
    image: &'static str,
}

impl Recipe {
    fn of(front: Front) -> Self {
        match front {
            Front::Uml => Self {
                arch: "um",
                config: include_str!("../../guest/um.config"),
                compiler: tool("gcc", "gcc"),
                prefix: "",
                target: "linux",
                image: "linux",
            },
            Front::QemuArm64 => Self {
                arch: "arm64",
                config: include_str!("../../guest/arm64.config"),
                compiler: tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
                prefix: "aarch64-linux-gnu-",
                target: "Image",
                image: "arch/arm64/boot/Image",
            },
            Front::QemuX86_64 => Self {
                arch: "x86_64",
                config: include_str!("../../guest/x86_64.config"),
                compiler: tool("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
                prefix: "x86_64-linux-gnu-",
                target: "vmlinux",
                image: "vmlinux",
            },
        }
    }

    /// `vmlinuz`, the modules under `lib/modules`, and the configuration.
    fn build(&self, source: &Path, into: &Path, log: &Path) -> Result<()> {
        let scratch = tempfile::tempdir_in(into)?;
        let build = scratch.path();
        let make = |targets: &[&str]| {
            let mut make = Command::new("sh");
            make.args(["-c", r#"exec make "$@" 2>&1"#, "make"]);
            make.arg(format!("--jobs={}", thread::available_parallelism()?));
            make.arg(format!("ARCH={}", self.arch));
            make.arg(format!("CROSS_COMPILE={}", self.prefix));
            make.arg(format!("O={}", build.display()));
            make.arg(format!("INSTALL_MOD_PATH={}", into.display()));
            // It may lie where only root looks for programs. The guest has one.
            make.arg("DEPMOD=true");
            make.args(targets).current_dir(source);
            run_with_progress(make, &format!("kernel for {}", self.arch), log)
        };
        make(&["tinyconfig"])?;
        // Where an option is set twice, the second one counts.
        let config = build.join(".config");
        let tiny = fs::read_to_string(&config)?;
        fs::write(&config, [&tiny, COMMON_CONFIG, self.config].concat())?;
        make(&["olddefconfig"])?;
        make(&[self.target, "modules"])?;
        make(&["modules_install"])?;
        fs::copy(&config, into.join("config"))?;
        fs::copy(build.join(self.image), into.join("vmlinuz"))?;
        Ok(())
    }
}

/// Linux's source, fetched at once since its version decides whether a kernel in the cache is the
/// right one, but unpacked only if one has to be built. It goes when this is dropped.
pub(super) struct Source<'a> {
    cache: &'a Cache,
    package: PathBuf,
    unpacked: OnceCell<TempDir>,
}

impl<'a> Source<'a> {
    pub(super) fn fetch(cache: &'a Cache) -> Result<Self> {
        let package = packages::fetch(cache, "linux-source-6.12", Architecture::All)?;
        Ok(Self {
            cache,
            package,
            unpacked: OnceCell::new(),
        })
    }

    /// The folder that holds this front end's kernel.
    pub(super) fn kernel(&self, front: Front) -> Result<PathBuf> {
        let recipe = Recipe::of(front);
        tools::require(&[recipe.compiler])?;
        let compiler = Command::new(recipe.compiler.file)
            .arg("--version")
            .output()?
            .stdout;
        let version = self.package.file_name().context("source without a name")?;
        let inputs: [&[u8]; 5] = [
            version.as_encoded_bytes(),
            &compiler,
            COMMON_CONFIG.as_bytes(),
            recipe.config.as_bytes(),
            PATCH.as_bytes(),
        ];
        let name = format!("kernel-{}", recipe.arch);
        self.cache.entry(&name, &inputs, |into| {
            eprintln!(
                "building the {front} guest's kernel, which is done once and takes some minutes"
            );
            tools::require(&TOOLS)?;
            let log = self.cache.folder("logs")?.join(format!("{name}.log"));
            File::create(&log)?;
            recipe.build(&self.unpack(&log)?, into, &log)
        })
    }

    fn unpack(&self, log: &Path) -> Result<PathBuf> {
        if let Some(unpacked) = self.unpacked.get() {
            return Ok(unpacked.path().join("linux"));
        }
        let folder = self.cache.scratch()?;
        packages::unpack(&self.package, folder.path())?;
        fs::create_dir(folder.path().join("linux"))?;
        fs::write(folder.path().join("patch"), PATCH)?;
        let mut unpack = Command::new("sh");
        unpack.current_dir(folder.path()).args(["-ec", UNPACK]);
        run_with_progress(unpack, "kernel source", log)?;
        let folder = self.unpacked.get_or_init(|| folder);
        Ok(folder.path().join("linux"))
    }
}

const UNPACK: &str = "exec 2>&1
echo unpacking
tar --extract --strip-components=1 --directory=linux --file=usr/src/linux-source-6.12.tar.xz
patch --directory=linux --strip=1 <patch";

/// Runs a command whose output goes to the log, and shows that it goes on.
fn run_with_progress(mut command: Command, what: &str, log: &Path) -> Result<()> {
    let mut file = File::options().append(true).open(log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("no output")?;
    let terminal = stderr().is_terminal();
    let start = Instant::now();
    let mut reported = start;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        file.write_all(&line)?;
        file.write_all(b"\n")?;
        let step: String = String::from_utf8_lossy(&line)
            .trim()
            .chars()
            .take(50)
            .collect();
        let elapsed = start.elapsed().as_secs();
        if terminal {
            eprint!("\r\x1b[K{what}: {elapsed} s  {step}");
        } else if reported.elapsed() >= REPORT {
            eprintln!("{what}: {elapsed} s  {step}");
            reported = Instant::now();
        }
    }
    if terminal {
        eprint!("\r\x1b[K");
    }
    let status = child.wait()?;
    ensure!(status.success(), "{what}: {status}; see {}", log.display());
    Ok(())
}
