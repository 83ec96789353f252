// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Debian's packages, whatever the host.
//!
//! apt fetches them, and checks signatures and hashes, with a configuration and a state of its own:
//! the system's is neither used nor changed, and root is not needed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::archive::Archive;
use crate::cache::Cache;
use crate::tools::{self, Tool};

const TOOLS: [Tool; 3] = [
    Tool {
        file: "apt-get",
        package: "apt",
    },
    Tool {
        file: "dpkg-deb",
        package: "dpkg",
    },
    Tool {
        file: "/usr/share/keyrings/debian-archive-keyring.gpg",
        package: "debian-archive-keyring",
    },
];

/// How much of apt's last words an error repeats, in lines.
const LAST_LINES: usize = 12;

/// An architecture, in Debian's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    All,
    Amd64,
    Arm64,
    I386,
}

impl Architecture {
    /// The host's.
    pub(crate) const HOST: Self = if cfg!(target_arch = "aarch64") {
        Self::Arm64
    } else {
        Self::Amd64
    };

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::I386 => "i386",
        }
    }
}

/// One of Debian's suites, with those that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    Bookworm,
    Trixie,
    TrixieBackports,
}

impl Suite {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::TrixieBackports => "trixie-backports",
        }
    }

    fn all(self) -> &'static [&'static str] {
        match self {
            // Its security updates have Linux 6.12.
            Self::Bookworm => &["bookworm", "bookworm-security"],
            Self::Trixie => &["trixie"],
            Self::TrixieBackports => &["trixie", "trixie-backports"],
        }
    }

    /// Which of them has the version that is wanted, where several have the package.
    fn preferred(self) -> &'static str {
        self.all().last().copied().unwrap_or_default()
    }
}

/// apt for one suite and one architecture.
pub(crate) struct Apt {
    suite: Suite,
    architecture: Architecture,
    folder: PathBuf,
    log: PathBuf,
}

impl Apt {
    /// `All` is what all architectures share, and comes with the host's.
    pub(crate) fn new(cache: &Cache, suite: Suite, architecture: Architecture) -> Result<Self> {
        let architecture = match architecture {
            Architecture::All => Architecture::HOST,
            other => other,
        };
        let name = format!("{}-{}", suite.name(), architecture.name());
        Ok(Self {
            suite,
            architecture,
            folder: cache.folder("apt")?.join(&name),
            log: cache.folder("logs")?.join(format!("apt-{name}.log")),
        })
    }

    /// Fetches the files of packages, which have the version in their names, into a folder.
    pub(crate) fn download(&self, packages: &[&str], into: &Path) -> Result<()> {
        self.fetch(&[&["download"], packages].concat(), packages, into)
    }

    /// Fetches the files of packages and of everything that they depend on.
    pub(crate) fn download_all(&self, packages: &[&str], into: &Path) -> Result<()> {
        let install = [
            "install",
            "--download-only",
            "--yes",
            "--no-install-recommends",
        ];
        fs::create_dir_all(into.join("partial"))?;
        self.fetch(&[&install, packages].concat(), packages, into)?;
        fs::remove_dir_all(into.join("partial"))?;
        fs::remove_file(into.join("lock")).ok();
        Ok(())
    }

    fn fetch(&self, command: &[&str], packages: &[&str], into: &Path) -> Result<()> {
        tools::require(&TOOLS)?;
        eprintln!(
            "fetching from Debian's {}: {}",
            self.suite.name(),
            packages.join(" ")
        );
        fs::create_dir_all(self.folder.join("lists/partial"))?;
        File::create(&self.log)?;
        // By itself it prefers the older of two versions where the newer one is a backport.
        let suite = format!("--target-release={}", self.suite.preferred());
        let command = &[command, &[&suite]].concat();
        // The package lists of an earlier run may still be good.
        let updated = self.folder.join("updated");
        if updated.exists() && self.run(command, into).is_ok() {
            return Ok(());
        }
        self.run(&["update"], into)?;
        File::create(updated)?;
        self.run(command, into)
    }

    fn run(&self, command: &[&str], into: &Path) -> Result<()> {
        let file = |name: &str| self.folder.join(name).into_os_string();
        let archive = Archive::find()?;
        let sources: Result<Vec<_>> = self.suite.all().iter().map(|s| archive.source(s)).collect();
        fs::write(file("sources.list"), sources?.join("\n") + "\n")?;
        fs::write(file("status"), "")?;
        let log = File::options().append(true).open(&self.log)?;
        let mut apt = Command::new("apt-get");
        for (option, value) in [
            ("Dir::State", file("")),
            ("Dir::State::lists", file("lists")),
            ("Dir::State::status", file("status")),
            ("Dir::Cache", file("")),
            ("Dir::Cache::archives", into.into()),
            ("Dir::Etc::SourceList", file("sources.list")),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("Dir::Etc::Preferences", "/dev/null".into()),
            ("Dir::Etc::PreferencesParts", "/dev/null".into()),
            ("APT::Architecture", self.architecture.name().into()),
            ("APT::Architectures", self.architecture.name().into()),
            // As root, apt would fetch as a user who may not write into root's cache.
            ("APT::Sandbox::User", "root".into()),
            // By itself it takes a list that it did not get for a small matter.
            ("APT::Update::Error-Mode", "any".into()),
            // Descriptions and icons are of no use here.
            (
                "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled",
                "false".into(),
            ),
            ("Acquire::Languages", "none".into()),
            ("Acquire::Retries", "3".into()),
        ] {
            apt.arg("-o").arg(setting(option, &value));
        }
        let status = apt
            .args(command)
            .current_dir(into)
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .status()
            .context("apt-get")?;
        ensure!(
            status.success(),
            "apt-get {}: {status}; the end of {}:\n{}",
            command.join(" "),
            self.log.display(),
            self.last_words()
        );
        Ok(())
    }

    fn last_words(&self) -> String {
        let said = fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let mut lines: Vec<_> = said.lines().rev().take(LAST_LINES).collect();
        lines.reverse();
        lines.join("\n")
    }
}

/// What a package depends on, in the words of its `Depends`.
pub(crate) fn depends(package: &Path) -> Result<String> {
    let output = Command::new("dpkg-deb")
        .arg("--field")
        .arg(package)
        .arg("Depends")
        .output()?;
    ensure!(
        output.status.success(),
        "{}: {}",
        package.display(),
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Unpacks the files of a package.
pub(crate) fn unpack(package: &Path, into: &Path) -> Result<()> {
    let status = Command::new("dpkg-deb")
        .arg("--extract")
        .args([package, into])
        .status()?;
    ensure!(status.success(), "unpack {}: {status}", package.display());
    Ok(())
}

fn setting(option: &str, value: &OsStr) -> OsString {
    let mut setting = OsString::from(option);
    setting.push("=");
    setting.push(value);
    setting
}
