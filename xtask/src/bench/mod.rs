// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The benchmarks: whole daemons beside their floors, earlier builds and published peers, and those of
//! each crate.

mod chart;
mod peers;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use xtask::device::workspace;
use xtask::results::Results;

use crate::test::{cargo, crates_with};

/// The devices, each with a package and a daemon.
const DEVICES: [&str; 4] = ["rng", "i2c", "gpio", "scmi"];

/// Below the target folder.
const FOLDER: &str = "target/bench";

const REPORT: &str = "BENCHMARKS.md";
const CHART: &str = "BENCHMARKS.svg";

#[derive(clap::Args)]
#[command(
    after_help = "What is measured goes into target/bench: results.json, BENCHMARKS.md, and BENCHMARKS.svg, a chart.

Driver and daemon have one processor, and real-time priority if you may give that (chrt), so that
other load counts little; still, leave the machine alone meanwhile. System calls are counted if
there is strace. A thousand guests need a limit of 20,000 open files (ulimit -n). What cannot be
measured is listed at the end, with the reason.

Examples:
  cargo xtask bench                       all devices; ten minutes once it is built
  cargo xtask bench --quick               whether it runs: the figures are not worth much
  cargo xtask bench --device i2c          one device
  cargo xtask bench --against HEAD~10     beside an earlier build; six minutes more
  cargo xtask bench --peer                beside vhost-device-rng and -scmi, which cargo installs
  cargo xtask bench --peer --save         and put the report into the checkout
  cargo xtask bench --crates              the benchmarks of all crates by themselves"
)]
pub(crate) struct Arguments {
    /// As short as it can be, with ten guests at most, and without optimization
    #[arg(long)]
    quick: bool,
    /// Measure the daemons of this revision, too; may be given more than once
    #[arg(long, value_name = "REV")]
    against: Vec<String>,
    /// Measure published daemons that do the same, too: installs them with cargo in target/bench
    #[arg(long)]
    peer: bool,
    /// Measure these devices alone
    #[arg(long, value_parser = DEVICES)]
    device: Vec<String>,
    /// Write BENCHMARKS.md and its chart in the checkout
    #[arg(long, conflicts_with_all = ["quick", "device"])]
    save: bool,
    /// Run the benchmarks of all crates instead, each inside one process
    #[arg(long, conflicts_with_all = ["quick", "against", "peer", "device", "save"])]
    crates: bool,
}

impl Arguments {
    fn profile(&self) -> &'static str {
        // Which is built already if there were tests.
        if self.quick { "dev" } else { "release" }
    }

    fn devices(&self) -> impl Iterator<Item = &str> {
        let all = if self.device.is_empty() {
            &DEVICES[..]
        } else {
            &[]
        };
        let some = self.device.iter().map(String::as_str);
        all.iter().copied().chain(some)
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.crates {
        return crates();
    }
    let folder = workspace().join(FOLDER);
    fs::create_dir_all(&folder)?;
    let mut builds = vec![Build::of_this_tree(arguments)?];
    for revision in &arguments.against {
        builds.push(Build::of(revision, &folder, arguments)?);
    }
    let mut lacking = Results::default();
    if arguments.peer {
        builds.extend(Build::of_peers(&folder, &mut lacking));
    }
    let json = folder.join("results.json");
    measure(arguments, &builds, &json)?;
    let mut results: Results = serde_json::from_str(&fs::read_to_string(&json)?)?;
    results.left_out.extend(lacking.left_out);
    results.machine.rustc = output(Command::new("rustc").arg("--version"))?;
    results.machine.builds = builds
        .into_iter()
        .map(|build| (build.name, build.revision))
        .collect();
    fs::write(&json, serde_json::to_string_pretty(&results)? + "\n")?;
    let report = report::report(&results, CHART);
    let chart = chart::chart(&results);
    let checkout = arguments.save.then(|| workspace().to_owned());
    for folder in [folder].into_iter().chain(checkout) {
        fs::write(folder.join(REPORT), &report)?;
        fs::write(folder.join(CHART), &chart)?;
    }
    println!("{report}");
    Ok(ExitCode::SUCCESS)
}

/// Daemons that were built.
struct Build {
    name: String,
    revision: String,
    programs: PathBuf,
    is_peer: bool,
}

impl Build {
    fn of_this_tree(arguments: &Arguments) -> Result<Self> {
        let mut describe = Command::new("git");
        describe.args(["describe", "--always", "--dirty"]);
        Ok(Self {
            name: "this".into(),
            revision: output(describe.current_dir(workspace()))?,
            programs: build(workspace(), arguments)?,
            is_peer: false,
        })
    }

    /// Of a revision that is checked out for this, and stays for the next time.
    fn of(revision: &str, folder: &Path, arguments: &Arguments) -> Result<Self> {
        let mut parse = Command::new("git");
        parse.args(["rev-parse", "--short", "--verify"]);
        parse.arg(format!("{revision}^{{commit}}"));
        let commit = output(parse.current_dir(workspace()))?;
        let tree = folder.join(&commit);
        if !tree.join("Cargo.toml").exists() {
            let mut add = Command::new("git");
            add.args(["worktree", "add", "--force", "--detach"]);
            output(add.arg(&tree).arg(&commit).current_dir(workspace()))?;
        }
        Ok(Self {
            name: revision.into(),
            revision: commit,
            programs: build(&tree, arguments)?,
            is_peer: false,
        })
    }

    /// `None` if none of them can be had.
    fn of_peers(folder: &Path, lacking: &mut Results) -> Option<Self> {
        let root = folder.join("peers");
        Some(Self {
            name: "peer".into(),
            revision: peers::install(&root, lacking)?,
            programs: root.join("bin"),
            is_peer: true,
        })
    }
}

/// Builds the daemons of a checkout. Returns where they are.
fn build(tree: &Path, arguments: &Arguments) -> Result<PathBuf> {
    let target = tree.join("target");
    let mut build = cargo(&["build", "--bins", "--profile", arguments.profile()]);
    build.current_dir(tree).arg("--target-dir").arg(&target);
    for device in arguments.devices() {
        build.args(["--package", &format!("virtio-{device}")]);
    }
    succeed(&mut build)?;
    Ok(target.join(if arguments.quick { "debug" } else { "release" }))
}

/// Runs what drives the daemons. It is a program of its own, as the front end takes long to build.
fn measure(arguments: &Arguments, builds: &[Build], json: &Path) -> Result<()> {
    let mut bench = cargo(&["bench", "--package", "xtask", "--bench", "daemons"]);
    if arguments.quick {
        bench.args(["--profile", arguments.profile()]);
    }
    bench.arg("--");
    for build in builds {
        bench.arg(if build.is_peer { "--peer" } else { "--build" });
        bench.arg(format!("{}={}", build.name, build.programs.display()));
    }
    for device in &arguments.device {
        bench.args(["--device", device]);
    }
    if arguments.quick {
        bench.arg("--quick");
    }
    succeed(bench.arg("--output").arg(json))
}

fn crates() -> Result<ExitCode> {
    let mut bench = cargo(&["bench"]);
    for package in crates_with("benches")? {
        bench.args(["--package", &package]);
    }
    succeed(&mut bench)?;
    Ok(ExitCode::SUCCESS)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().context("cargo")?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// What a command prints, in one line.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
