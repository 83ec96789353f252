// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's kernel: Debian's source of Linux, and the smallest configuration that has our drivers.
//!
//! No distribution's kernel has them all: Debian's lacks I2C_VIRTIO, GPIO_VIRTIO and
//! ARM_SCMI_TRANSPORT_VIRTIO.
//!
//! Modules that Linux lacks are ours, [`device::modules`]. They are built beside the kernel, as
//! anybody else would, so that a change to one costs a minute and no kernel.

use std::cell::{OnceCell, RefCell};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::packages::{self, Architecture};
use super::{Front, Ground};
use crate::cache::Cache;
use crate::device;
use crate::tools::Tool;

const COMMON_CONFIG: &str = include_str!("../../guest/common.config");

/// How often a build says that it goes on, where nobody watches a terminal.
const REPORT: Duration = Duration::from_secs(30);

const TOOLS: [Tool; 10] = [
    tool("make", "make"),
    tool("flex", "flex"),
    tool("bison", "bison"),
    tool("bc", "bc"),
    tool("perl", "perl"),
    tool("patch", "patch"),
    tool("tar", "tar"),
    tool("xz", "xz-utils"),
    tool("gzip", "gzip"),
    tool("/usr/include/gelf.h", "libelf-dev"),
];

const fn tool(file: &'static str, package: &'static str) -> Tool {
    Tool { file, package }
}

/// What kernels of these front ends are built with.
pub(super) fn tools(fronts: &[Front]) -> Vec<Tool> {
    let compilers = fronts.iter().map(|front| Recipe::of(*front).compiler);
    TOOLS.into_iter().chain(compilers).collect()
}

/// How one of the kernels is built.
struct Recipe {
    /// Linux's name of the architecture.
    arch: &'static str,
    config: &'static str,
    compiler: Tool,
    /// What comes before `gcc` in the compiler's name.
    prefix: &'static str,
    /// User-Mode Linux runs for seconds: to compile it is most of what a person waits for before the
    /// first guest, and this takes a fifth off `-Os`. The others do not build so.
    flags: &'static str,
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
                flags: "KCFLAGS=-O1",
                target: "linux",
                image: "linux",
            },
            Front::QemuArm64 => Self {
                arch: "arm64",
                config: include_str!("../../guest/arm64.config"),
                compiler: tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
                prefix: "aarch64-linux-gnu-",
                flags: "KCFLAGS=",
                target: "Image",
                image: "arch/arm64/boot/Image",
            },
            Front::QemuX86_64 => Self {
                arch: "x86_64",
                config: include_str!("../../guest/x86_64.config"),
                compiler: tool("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
                prefix: "x86_64-linux-gnu-",
                flags: "KCFLAGS=",
                target: "vmlinux",
                image: "vmlinux",
            },
        }
    }

    /// `vmlinuz`, the modules under `lib/modules`, and the configuration, made in the folder `build`.
    fn build(&self, tree: &Tree<'_>, build: &Path) -> Result<()> {
        self.configure(tree, build)?;
        self.make(tree, build, &[self.target, "modules", self.flags])?;
        self.make(tree, build, &["modules_install"])?;
        fs::copy(build.join(".config"), tree.into.join("config"))?;
        fs::copy(build.join(self.image), tree.into.join("vmlinuz"))?;
        Ok(())
    }

    /// Our drivers under `lib/modules`, for the kernel in the folder `build`.
    fn build_drivers(&self, tree: &Tree<'_>, build: &Path, drivers: &[PathBuf]) -> Result<()> {
        let module = tempfile::tempdir_in(tree.into)?;
        let mut objects = "obj-m :=".to_owned();
        for driver in drivers {
            let name = driver.file_name().context("driver without a name")?;
            fs::copy(driver, module.path().join(name))?;
            let object = Path::new(name).with_extension("o");
            objects += &format!(" {}", object.display());
        }
        fs::write(module.path().join("Kbuild"), objects)?;
        tree.check_style(drivers)?;
        let module = format!("M={}", module.path().display());
        // Where only the headers are prepared, modpost does not know the kernel's symbols. The guest's
        // kernel does, when it loads the driver.
        let quality = ["KBUILD_MODPOST_WARN=1", "KCFLAGS=-Werror", "W=1"];
        self.make(
            tree,
            build,
            &[&[&*module, "modules"], &quality[..]].concat(),
        )?;
        self.make(tree, build, &[&module, "modules_install"])
    }

    fn configure(&self, tree: &Tree<'_>, build: &Path) -> Result<()> {
        let mut all = String::new();
        for tiny in ["tiny-base.config", "tiny.config"] {
            all += &fs::read_to_string(tree.source.join("kernel/configs").join(tiny))?;
        }
        all += &[COMMON_CONFIG, self.config, &tree.config].concat();
        let config = build.join("all.config");
        fs::write(&config, all)?;
        // Where an option is set twice, the second one counts; where none is, Linux's default does not.
        let all = format!("KCONFIG_ALLCONFIG={}", config.display());
        self.make(tree, build, &["allnoconfig", &all])
    }

    fn make(&self, tree: &Tree<'_>, build: &Path, targets: &[&str]) -> Result<()> {
        let mut make = Command::new("sh");
        make.args(["-c", r#"exec make "$@" 2>&1"#, "make"]);
        // One more than processors: some wait for a file.
        make.arg(format!(
            "--jobs={}",
            thread::available_parallelism()?.saturating_add(1)
        ));
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
    /// What the configuration has beside the front end's.
    config: String,
    into: &'a Path,
    log: PathBuf,
}

impl Tree<'_> {
    /// What Linux's own script finds, but for asking which Linux it is, which a driver outside has to,
    /// and for what the oldest Linux does not have (`kzalloc_obj`).
    fn check_style(&self, drivers: &[PathBuf]) -> Result<()> {
        let mut check = Command::new("perl");
        check.args(["scripts/checkpatch.pl", "--no-tree", "--strict"]);
        check.arg("--ignore=LINUX_VERSION_CODE,CONSTANT_COMPARISON,ALLOC_WITH_SIZEOF");
        check.arg("--file").args(drivers).current_dir(&self.source);
        run_with_progress(check, "style of our drivers", &self.log)
    }
}

/// Linux's source, fetched at once since its version decides whether a kernel in the cache is the
/// right one, but unpacked only if one has to be built. It goes when this is dropped.
pub(super) struct Source<'a> {
    cache: &'a Cache,
    ground: Ground,
    package: PathBuf,
    unpacked: OnceCell<TempDir>,
    /// Where kernels were built just now: their drivers need not prepare another folder.
    built: RefCell<Vec<(Front, TempDir)>>,
}

impl<'a> Source<'a> {
    pub(super) fn fetch(cache: &'a Cache, ground: Ground) -> Result<Self> {
        let linux = ground.linux;
        let name = format!("linux-source-{}", linux.version());
        Ok(Self {
            cache,
            ground,
            package: packages::fetch(cache, linux.suite(), &name, Architecture::All)?,
            unpacked: OnceCell::new(),
            built: RefCell::default(),
        })
    }

    /// The folder that holds this front end's kernel.
    pub(super) fn kernel(&self, front: Front) -> Result<PathBuf> {
        let recipe = Recipe::of(front);
        let inputs = self.inputs(&recipe, self.config(front, &recipe)?)?;
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let name = self.name(&recipe);
        self.cache.entry(&name, &inputs, |into| {
            eprintln!(
                "building Linux {} for {front}, once; it takes some minutes",
                self.ground.linux.version()
            );
            let tree = self.tree(front, into, &name)?;
            let build = self.cache.scratch()?;
            recipe.build(&tree, build.path())?;
            self.built.borrow_mut().push((front, build));
            Ok(())
        })
    }

    /// The folder that holds our drivers for this front end's kernel.
    pub(super) fn drivers(&self, front: Front) -> Result<PathBuf> {
        let recipe = Recipe::of(front);
        let drivers = device::modules()?;
        let mut inputs = self.inputs(&recipe, self.config(front, &recipe)?)?;
        for driver in &drivers {
            let name = driver.file_name().context("driver without a name")?;
            inputs.push(name.as_encoded_bytes().to_vec());
            inputs.push(fs::read(driver)?);
        }
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let name = format!("drivers-{}-{}", self.ground.linux.version(), recipe.arch);
        self.cache.entry(&name, &inputs, |into| {
            eprintln!(
                "building our drivers for Linux {} and {front}",
                self.ground.linux.version()
            );
            let tree = self.tree(front, into, &name)?;
            let built = self.built.borrow();
            if let Some((_, build)) = built.iter().find(|(built, _)| *built == front) {
                return recipe.build_drivers(&tree, build.path(), &drivers);
            }
            let build = self.cache.scratch()?;
            recipe.configure(&tree, build.path())?;
            recipe.make(&tree, build.path(), &["modules_prepare"])?;
            recipe.build_drivers(&tree, build.path(), &drivers)
        })
    }

    fn name(&self, recipe: &Recipe) -> String {
        format!("kernel-{}-{}", self.ground.linux.version(), recipe.arch)
    }

    /// What a front end's kernel is configured with, beside what all are: the tests' for the demo too,
    /// if that kernel is there.
    fn config(&self, front: Front, recipe: &Recipe) -> Result<String> {
        let tests = Ground {
            demo: false,
            ..self.ground
        };
        let inputs = self.inputs(recipe, tests.config(front))?;
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let is_there = self.cache.has(&self.name(recipe), &inputs);
        let ground = if is_there { tests } else { self.ground };
        Ok(ground.config(front))
    }

    /// Whatever makes another kernel.
    fn inputs(&self, recipe: &Recipe, config: String) -> Result<Vec<Vec<u8>>> {
        let compiler = Command::new(recipe.compiler.file)
            .arg("--version")
            .output()?
            .stdout;
        let version = self.package.file_name().context("source without a name")?;
        Ok(vec![
            version.as_encoded_bytes().to_vec(),
            compiler,
            recipe.flags.into(),
            COMMON_CONFIG.into(),
            recipe.config.into(),
            config.into(),
            self.ground.linux.patch().into(),
        ])
    }

    fn tree<'b>(&self, front: Front, into: &'b Path, name: &str) -> Result<Tree<'b>> {
        let log = self.cache.folder("logs")?.join(format!("{name}.log"));
        File::create(&log)?;
        let source = self.unpack(&log)?;
        Ok(Tree {
            source,
            config: self.config(front, &Recipe::of(front))?,
            into,
            log,
        })
    }

    fn unpack(&self, log: &Path) -> Result<PathBuf> {
        if let Some(unpacked) = self.unpacked.get() {
            return Ok(unpacked.path().join("linux"));
        }
        let folder = self.cache.scratch()?;
        packages::unpack(&self.package, folder.path())?;
        fs::create_dir(folder.path().join("linux"))?;
        fs::write(folder.path().join("patch"), self.ground.linux.patch())?;
        let mut unpack = Command::new("sh");
        unpack.current_dir(folder.path()).args(["-ec", UNPACK]);
        run_with_progress(unpack, "kernel source", log)?;
        let folder = self.unpacked.get_or_init(|| folder);
        Ok(folder.path().join("linux"))
    }
}

/// Two thirds of the source are of hardware that no guest has. Its Kconfig files and makefiles stay:
/// others refer to them.
const UNPACK: &str = r#"exec 2>&1
echo unpacking
set --
for unused in drivers/accel drivers/gpu drivers/infiniband drivers/media 'drivers/net/*' drivers/scsi \
    drivers/staging drivers/usb drivers/video sound tools/testing; do
    set -- "$@" --exclude="*/$unused/*.[chS]"
done
for unused in alpha arc arm csky hexagon loongarch m68k microblaze mips nios2 openrisc parisc powerpc \
    riscv s390 sh sparc xtensa; do
    set -- "$@" --exclude="*/arch/$unused/*.[chS]"
done
tar --extract --use-compress-program='xz --decompress --threads=0' --strip-components=1 \
    "$@" --exclude='*/boot/dts/*.dts*' --exclude='*/Documentation/*.rst' --exclude='*/Documentation/*.yaml' \
    --directory=linux --file=$(echo usr/src/linux-source-*.tar.xz)
patch --directory=linux --strip=1 <patch"#;

/// Runs a command whose output goes to the log, and shows that it goes on.
pub(super) fn run_with_progress(mut command: Command, what: &str, log: &Path) -> Result<()> {
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
