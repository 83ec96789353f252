// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Debian's own kernel for 64-bit Arm, untouched, as a guest's.
//!
//! Drivers of Linux that it lacks, and ours, are built outside its tree, against its headers: as
//! Debian's users would, with Debian's compiler, from a package root in the cache.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::image::{TOOLS, initramfs};
use super::kernel::run_with_progress;
use super::packages::{self, Architecture, Suite};
use super::{Front, Ground, Image, Linux};
use crate::apt::depends;
use crate::cache::Cache;
use crate::device::{self, Device};
use crate::root::Root;
use crate::tools;

const LINUX: Linux = Linux::V7_3;

/// What kbuild runs. Packages do not depend on those that every Debian has.
const PROGRAMS: [&str; 14] = [
    "bash",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "gcc-aarch64-linux-gnu",
    "grep",
    "gzip",
    "kmod",
    "make",
    "mawk",
    "sed",
    "tar",
    "xz-utils",
];

/// Has a root's paths be where its programs expect them. A user who is not root may do this in a
/// namespace where he is, which Linux allows unless it is told not to.
const NAMESPACE: [&str; 3] = ["unshare", "--map-root-user", "--mount"];

const ENTER: &str = r#"exec 2>&1
root=$1
mount --rbind /dev "$root/dev"
mount --rbind "$2" "$root/tmp"
shift 2
exec chroot "$root" "$@""#;

/// Builds what is in `drivers`, and has that and modules of Debian in `image`. Debian compresses
/// its modules, and busybox's programs expect them plain.
const BUILD: &str = r#"release=$1
shift
mkdir /tmp/bin
ln -s /usr/bin/mawk /tmp/bin/awk
export PATH=/tmp/bin:/usr/sbin:/usr/bin
modules=/usr/lib/modules/$release
make ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- -C "$modules/build" M=/tmp/drivers modules
image=/tmp/image/lib/modules/$release
mkdir -p "$image"
for module in /tmp/drivers/*.ko; do
    aarch64-linux-gnu-strip --strip-debug -o "$image/${module##*/}" "$module"
done
for module; do
    xz --decompress --stdout "$(find "$modules/kernel" -name "$module.ko.xz")" >"$image/$module.ko"
done
depmod --basedir /tmp/image "$release"
cp "$modules/vmlinuz" /tmp/image"#;

/// What keeps this machine from having such a guest now, if so.
pub fn lacks() -> Result<Option<String>> {
    if Ground::chosen().linux != LINUX {
        let version = LINUX.version();
        return Ok(Some(format!("Debian's own kernel is tested as {version}")));
    }
    let [unshare, options @ ..] = NAMESPACE;
    let output = Command::new(unshare).args(options).arg("true").output()?;
    let reason = "this machine does not let its users make namespaces";
    Ok((!output.status.success()).then(|| reason.to_owned()))
}

/// What boots on this board.
pub(super) fn image(device_tree: Option<PathBuf>) -> Result<Image> {
    tools::require(&TOOLS)?;
    let cache = Cache::open()?;
    let devices = Device::all()?;
    let built = build(&cache, &devices)?;
    Ok(Image {
        initramfs: initramfs(&cache, Front::QemuArm64, LINUX, &[&built], &devices)?,
        kernel: built.join("vmlinuz"),
        device_tree,
    })
}

/// The folder that has the kernel, and its modules in `lib`.
fn build(cache: &Cache, devices: &[Device]) -> Result<PathBuf> {
    let release = release(cache)?;
    let root = root(cache, &release)?.path();
    let name = format!("linux-source-{}", LINUX.version());
    let source = packages::fetch(cache, LINUX.suite(), &name, Architecture::All)?;
    let drivers = device::modules()?;
    let mut inputs = vec![ENTER.as_bytes().to_vec(), BUILD.as_bytes().to_vec()];
    for path in [&root, &source].into_iter().chain(&drivers) {
        inputs.push(path.as_os_str().as_encoded_bytes().to_vec());
    }
    for driver in &drivers {
        inputs.push(fs::read(driver)?);
    }
    inputs.extend(devices.iter().map(|d| format!("{:?}", d.debian).into()));
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    cache.entry(&format!("debian-{}", LINUX.version()), &inputs, |into| {
        eprintln!("building drivers for Debian's own Linux {release}");
        let log = cache.folder("logs")?.join("debian.log");
        File::create(&log)?;
        let work = tempfile::tempdir_in(into)?;
        lay_out(&source, devices, &drivers, work.path(), &log)?;
        let [unshare, options @ ..] = NAMESPACE;
        let mut build = Command::new(unshare);
        build.args(options).args(["sh", "-ec", ENTER, "enter"]);
        build.args([&root, work.path()]);
        build.args(["/usr/bin/sh", "-ec", BUILD, "build", &release]);
        build.args(devices.iter().flat_map(|device| &device.debian.modules));
        run_with_progress(build, "drivers", &log)?;
        for built in ["lib", "vmlinuz"] {
            fs::rename(work.path().join("image").join(built), into.join(built))?;
        }
        Ok(())
    })
}

/// What Debian calls its newest kernel: `7.3.4+deb13-arm64`.
fn release(cache: &Cache) -> Result<String> {
    let newest = "linux-headers-arm64";
    let package = packages::fetch(cache, LINUX.suite(), newest, Architecture::Arm64)?;
    let depends = depends(&package)?;
    let names = depends.split([' ', ',']);
    let mut releases = names.filter_map(|name| name.strip_prefix("linux-headers-"));
    let release = releases.next().context("headers without a version")?;
    let expected = LINUX.version();
    ensure!(
        release.starts_with(&format!("{expected}.")),
        "Debian's newest Linux is {release}, not {expected}"
    );
    Ok(release.to_owned())
}

/// Debian's compiler for the host, and kernel and headers for the guest.
fn root(cache: &Cache, release: &str) -> Result<Root> {
    let version = release.trim_end_matches("-arm64");
    let kbuild = format!("linux-kbuild-{version}");
    let common = format!("linux-headers-{version}-common");
    let guest = ["binary", "modules", "headers"].map(|part| format!("linux-{part}-{release}"));
    let guest = guest.iter().map(|name| (&**name, Architecture::Arm64));
    let alone: Vec<_> = guest.chain([(&*common, Architecture::All)]).collect();
    let programs: Vec<_> = PROGRAMS.into_iter().chain([&*kbuild]).collect();
    Root::fetch(cache, "debian", Suite::TrixieBackports, &programs, &alone)
}

/// The folder `drivers` in `work`: sources, and what kbuild is to make of them.
fn lay_out(
    source: &Path,
    devices: &[Device],
    ours: &[PathBuf],
    work: &Path,
    log: &Path,
) -> Result<()> {
    let drivers = work.join("drivers");
    fs::create_dir(&drivers)?;
    packages::unpack(source, work)?;
    let builds = || devices.iter().flat_map(|device| &device.debian.build);
    let mut extract = Command::new("sh");
    extract.args(["-ec", EXTRACT, "extract"]).current_dir(work);
    extract.args(builds().flat_map(|(_, files)| files));
    run_with_progress(extract, "sources", log)?;
    let mut kbuild = String::new();
    for (name, files) in builds() {
        writeln!(kbuild, "obj-m += {name}.o")?;
        for object in files.iter().filter_map(|file| file.strip_suffix(".c")) {
            writeln!(kbuild, "{name}-y += {object}.o")?;
        }
    }
    for driver in ours {
        let name = driver.file_name().context("driver without a name")?;
        fs::copy(driver, drivers.join(name))?;
        writeln!(
            kbuild,
            "obj-m += {}",
            Path::new(name).with_extension("o").display()
        )?;
    }
    fs::write(drivers.join("Kbuild"), kbuild)?;
    Ok(())
}

const EXTRACT: &str = r#"exec 2>&1
for file; do
    set -- "$@" "$(basename usr/src/linux-source-*.tar.xz .tar.xz)/$file"
    shift
done
tar --extract --use-compress-program='xz --decompress --threads=0' --strip-components=1 \
    --directory=drivers --file="$(echo usr/src/linux-source-*.tar.xz)" "$@""#;
