// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's kernel: Debian's source of Linux 6.12, the smallest configuration that has our
//! drivers, and two fixes to User-Mode Linux.
//!
//! No distribution's kernel has them all: Debian's lacks I2C_VIRTIO, GPIO_VIRTIO and
//! ARM_SCMI_TRANSPORT_VIRTIO.
//!
//! Modules that Linux lacks are ours, [`device::modules`]. They are built beside the kernel, as
//! anybody else would, so that a change to one costs a minute and no kernel.

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
use crate::device;
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
    fn build(&self, tree: &Tree<'_>) -> Result<()> {
        let scratch = tempfile::tempdir_in(tree.into)?;
        let build = scratch.path();
        self.configure(tree, build)?;
        self.make(tree, build, &[self.target, "modules"])?;
        self.make(tree, build, &["modules_install"])?;
        fs::copy(build.join(".config"), tree.into.join("config"))?;
        fs::copy(build.join(self.image), tree.into.join("vmlinuz"))?;
        Ok(())
    }

    /// Our drivers under `lib/modules`.
    fn build_drivers(&self, tree: &Tree<'_>, drivers: &[PathBuf]) -> Result<()> {
        let scratch = tempfile::tempdir_in(tree.into)?;
        let (build, module) = (scratch.path().join("build"), scratch.path().join("module"));
        fs::create_dir_all(&build)?;
        fs::create_dir_all(&module)?;
        let mut objects = "obj-m :=".to_owned();
        for driver in drivers {
            let name = driver.file_name().context("driver without a name")?;
            fs::copy(driver, module.join(name))?;
            let object = Path::new(name).with_extension("o");
            objects += &format!(" {}", object.display());
        }
        fs::write(module.join("Kbuild"), objects)?;
        tree.check_style(drivers)?;
        self.configure(tree, &build)?;
        self.make(tree, &build, &["modules_prepare"])?;
        let module = format!("M={}", module.display());
        // Without the kernel nobody knows its symbols. The guest's will, when it loads the driver.
        let quality = ["KBUILD_MODPOST_WARN=1", "KCFLAGS=-Werror", "W=1"];
        self.make(
            tree,
            &build,
            &[&[&*module, "modules"], &quality[..]].concat(),
        )?;
        self.make(tree, &build, &[&module, "modules_install"])
    }

    fn configure(&self, tree: &Tree<'_>, build: &Path) -> Result<()> {
        self.make(tree, build, &["tinyconfig"])?;
        // Where an option is set twice, the second one counts.
        let config = build.join(".config");
        let tiny = fs::read_to_string(&config)?;
        fs::write(&config, [&tiny, COMMON_CONFIG, self.config].concat())?;
        self.make(tree, build, &["olddefconfig"])
    }

    fn make(&self, tree: &Tree<'_>, build: &Path, targets: &[&str]) -> Result<()> {
        let mut make = Command::new("sh");
        make.args(["-c", r#"exec make "$@" 2>&1"#, "make"]);
        make.arg(format!("--jobs={}", thread::available_parallelism()?));
        make.arg(format!("ARCH={}", self.arch));
        make.arg(format!("CROSS_COMPILE={}", self.prefix));
        make.arg(format!("O={}", build.display()));
        make.arg(format!("INSTALL_MOD_PATH={}", tree.into.display()));
        // It may lie where only root looks for programs. The guest has one.
        make.arg("DEPMOD=true");
        make.args(targets).current_dir(&tree.source);
        run_with_progress(make, &format!("kernel for {}", self.arch), &tree.log)
    }
}

/// What something is built from, what becomes of it, and what is said meanwhile.
struct Tree<'a> {
    source: PathBuf,
    into: &'a Path,
    log: PathBuf,
}

impl Tree<'_> {
    /// What Linux's own script finds, but for asking which Linux it is: a driver outside has to.
    fn check_style(&self, drivers: &[PathBuf]) -> Result<()> {
        let mut check = Command::new("perl");
        check.args(["scripts/checkpatch.pl", "--no-tree", "--strict"]);
        check.arg("--ignore=LINUX_VERSION_CODE,CONSTANT_COMPARISON");
        check.arg("--file").args(drivers).current_dir(&self.source);
        run_with_progress(check, "style of our drivers", &self.log)
    }
}

/// Linux's source, fetched at once since its version decides whether a kernel in the cache is the
/// right one, but unpacked only if one has to be built. It goes when this is dropped.
pub(super) struct Source<'a> {
    cache: &'a Cache,
    /// As Debian's package has it in its name.
    version: &'static str,
    patch: &'static str,
    package: PathBuf,
    unpacked: OnceCell<TempDir>,
}

impl<'a> Source<'a> {
    /// The guests' Linux.
    pub(super) fn fetch(cache: &'a Cache) -> Result<Self> {
        Self::of(cache, "6.12", PATCH)
    }

    /// The oldest Linux that our drivers are for.
    pub(super) fn fetch_oldest(cache: &'a Cache) -> Result<Self> {
        Self::of(cache, "6.1", "")
    }

    fn of(cache: &'a Cache, version: &'static str, patch: &'static str) -> Result<Self> {
        let name = format!("linux-source-{version}");
        Ok(Self {
            cache,
            version,
            patch,
            package: packages::fetch(cache, &name, Architecture::All)?,
            unpacked: OnceCell::new(),
        })
    }

    /// The folder that holds this front end's kernel.
    pub(super) fn kernel(&self, front: Front) -> Result<PathBuf> {
        let recipe = Recipe::of(front);
        let inputs = self.inputs(&recipe)?;
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let name = format!("kernel-{}", recipe.arch);
        self.cache.entry(&name, &inputs, |into| {
            eprintln!(
                "building the {front} guest's kernel, which is done once and takes some minutes"
            );
            recipe.build(&self.tree(into, &name)?)
        })
    }

    /// The folder that holds our drivers for this front end's kernel.
    pub(super) fn drivers(&self, front: Front) -> Result<PathBuf> {
        let recipe = Recipe::of(front);
        let drivers = device::modules()?;
        let mut inputs = self.inputs(&recipe)?;
        for driver in &drivers {
            let name = driver.file_name().context("driver without a name")?;
            inputs.push(name.as_encoded_bytes().to_vec());
            inputs.push(fs::read(driver)?);
        }
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let name = format!("drivers-{}-{}", self.version, recipe.arch);
        self.cache.entry(&name, &inputs, |into| {
            eprintln!(
                "building our drivers for {front} and Linux {}",
                self.version
            );
            recipe.build_drivers(&self.tree(into, &name)?, &drivers)
        })
    }

    /// Whatever makes another kernel.
    fn inputs(&self, recipe: &Recipe) -> Result<Vec<Vec<u8>>> {
        tools::require(&[recipe.compiler])?;
        let compiler = Command::new(recipe.compiler.file)
            .arg("--version")
            .output()?
            .stdout;
        let version = self.package.file_name().context("source without a name")?;
        Ok(vec![
            version.as_encoded_bytes().to_vec(),
            compiler,
            COMMON_CONFIG.into(),
            recipe.config.into(),
            self.patch.into(),
        ])
    }

    fn tree<'b>(&self, into: &'b Path, name: &str) -> Result<Tree<'b>> {
        tools::require(&TOOLS)?;
        let log = self.cache.folder("logs")?.join(format!("{name}.log"));
        File::create(&log)?;
        let source = self.unpack(&log)?;
        Ok(Tree { source, into, log })
    }

    fn unpack(&self, log: &Path) -> Result<PathBuf> {
        if let Some(unpacked) = self.unpacked.get() {
            return Ok(unpacked.path().join("linux"));
        }
        let folder = self.cache.scratch()?;
        packages::unpack(&self.package, folder.path())?;
        fs::create_dir(folder.path().join("linux"))?;
        fs::write(folder.path().join("patch"), self.patch)?;
        let mut unpack = Command::new("sh");
        unpack.current_dir(folder.path()).args(["-ec", UNPACK]);
        run_with_progress(unpack, "kernel source", log)?;
        let folder = self.unpacked.get_or_init(|| folder);
        Ok(folder.path().join("linux"))
    }
}

const UNPACK: &str = "exec 2>&1
echo unpacking
tar --extract --strip-components=1 --directory=linux --file=$(echo usr/src/linux-source-*.tar.xz)
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
