// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Debian's archive: where the machine's own package sources have it.

use std::env;
use std::process::Command;

use anyhow::{Context, Result};

/// Where Debian's packages are, if the machine's sources do not say.
const PACKAGES: &str = "VIRTIO_BACKENDS_DEBIAN";

/// Where its security updates are.
const SECURITY: &str = "VIRTIO_BACKENDS_DEBIAN_SECURITY";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Debian's releases, by their names and by their roles. Other distributions have other names.
const RELEASES: [&str; 11] = [
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// The addresses of two of Debian's repositories. A source that says it is Debian's and is not
/// fails apt's check of signatures.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Archive {
    packages: String,
    /// A machine that runs Debian's `sid` has none.
    security: Option<String>,
}

impl Archive {
    pub(crate) fn find() -> Result<Self> {
        // apt knows who publishes a repository when it has read that once.
        let mut targets = targets(&[])?;
        targets += &targets_unread()?;
        let named = |variable| env::var(variable).ok();
        Self::among(&targets, named(PACKAGES), named(SECURITY)).with_context(|| {
            format!(
                "the package sources of this machine (apt-get indextargets) name no Debian \
                 archive: set {PACKAGES} to the address of a Debian mirror, and {SECURITY} to \
                 that of a mirror of its security updates"
            )
        })
    }

    /// `packages` and `security` come before what is among the targets.
    fn among(targets: &str, packages: Option<String>, security: Option<String>) -> Option<Self> {
        Some(Self {
            packages: packages.or_else(|| first(targets, false))?,
            security: security.or_else(|| first(targets, true)),
        })
    }

    /// A line of `sources.list` for a suite, which is `bookworm`, or `bookworm-security`.
    pub(crate) fn source(&self, suite: &str) -> Result<String> {
        let address = if suite.ends_with("-security") {
            self.security.as_deref().with_context(|| {
                format!("no source of Debian's security updates: set {SECURITY} to a mirror's")
            })?
        } else {
            &self.packages
        };
        Ok(format!("deb [signed-by={KEYRING}] {address} {suite} main"))
    }
}

/// A line for each index that the machine's sources have: address, suite, component, publisher.
fn targets(options: &[&str]) -> Result<String> {
    let output = Command::new("apt-get")
        .arg("indextargets")
        .args(options)
        .args(["--format", "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"])
        .arg("Created-By: Packages")
        .output()
        .context("apt-get indextargets")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same with the indices that apt has not read yet, as in a new container.
fn targets_unread() -> Result<String> {
    targets(&["--no-release-info"])
}

fn first(targets: &str, is_security: bool) -> Option<String> {
    targets.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (address, suite, component) = (words.next()?, words.next()?, words.next()?);
        let publisher = words.next()?;
        let (release, part) = suite.split_once(['-', '/']).unwrap_or((suite, ""));
        // `$(ORIGIN)` stays as it is where apt does not know.
        let may_be_debian = publisher == "Debian" || publisher.starts_with('$');
        let found = RELEASES.contains(&release)
            && component == "main"
            && may_be_debian
            && !address.starts_with("cdrom:")
            && (part == "security") == is_security;
        found.then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "\
http://vendor.example/debian/ bookworm main Vendor
cdrom:[Debian]/ bookworm main $(ORIGIN)
http://mirror.example/debian/ bookworm-backports main Debian Backports
http://mirror.example/debian/ bookworm main Debian
http://mirror.example/debian-security/ bookworm-security main Debian
http://late.example/debian/ bookworm main $(ORIGIN)
";

    #[test]
    fn archive_is_the_one_that_the_machine_uses() {
        let archive = Archive::among(DEBIAN, None, None).unwrap();
        assert_eq!(archive.packages, "http://mirror.example/debian/");
        let security = archive.security.as_deref();
        assert_eq!(security, Some("http://mirror.example/debian-security/"));
    }

    #[test]
    fn archive_is_found_before_apt_has_read_it() {
        let targets = "\
http://mirror.example/ubuntu/ noble main $(ORIGIN)
http://mirror.example/debian/ trixie main $(ORIGIN)
";
        let archive = Archive::among(targets, None, None).unwrap();
        assert_eq!(archive.packages, "http://mirror.example/debian/");
        let error = archive.source("bookworm-security").unwrap_err();
        assert!(error.to_string().contains(SECURITY), "{error}");
    }

    #[test]
    fn other_distributions_have_no_archive_of_debian() {
        let targets = "http://mirror.example/ubuntu/ noble-security main Ubuntu\n";
        assert_eq!(Archive::among(targets, None, None), None);
    }

    #[test]
    fn named_archive_comes_first() {
        let named = |name: &str| Some(format!("http://{name}.example/"));
        let archive = Archive::among(DEBIAN, named("here"), named("there")).unwrap();
        let source = |suite| archive.source(suite).unwrap();
        assert_eq!(
            source("trixie"),
            format!("deb [signed-by={KEYRING}] http://here.example/ trixie main")
        );
        assert!(source("trixie-security").contains("http://there.example/"));
    }
}
