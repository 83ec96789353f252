// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a guest is made of: a kernel, and a root file system with busybox and every device's check.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::kernel::{self, Source};
use super::packages::{self, Architecture, Suite};
use super::{Front, Ground, Linux, board};
use crate::cache::Cache;
use crate::device::Device;
use crate::tools::{self, Tool};

const INIT: &str = include_str!("../../guest/init");

/// What a guest is made with, beside its kernel. All are there before the first is used, so that
/// what takes long is not stopped by what is missing.
pub(super) const TOOLS: [Tool; 2] = [
    board::DTC,
    Tool {
        file: "cpio",
        package: "cpio",
    },
];

/// The files a guest is started from.
#[derive(Clone, Debug)]
pub struct Image {
    /// What QEMU takes as `-kernel`, or User-Mode Linux itself.
    pub kernel: PathBuf,
    /// The root file system, which the kernel unpacks into memory.
    pub initramfs: PathBuf,
    /// The board, if it is not the front end that describes it.
    pub(super) device_tree: Option<PathBuf>,
}

impl Image {
    /// What boots behind this front end on this board.
    pub(super) fn of(front: Front, device_tree: Option<PathBuf>) -> Result<Self> {
        let image = prepare(&[front])?.pop().context("no image")?;
        Ok(Self {
            device_tree,
            ..image
        })
    }
}

/// Builds the images of these front ends, as far as they are not in the cache.
pub fn prepare(fronts: &[Front]) -> Result<Vec<Image>> {
    tools::require(&[&kernel::tools(fronts)[..], &TOOLS].concat())?;
    let cache = Cache::open()?;
    let ground = Ground::chosen();
    let devices = Device::all()?;
    let source = Source::fetch(&cache, ground)?;
    // While the host builds daemons: nothing else is done meanwhile.
    for front in fronts {
        programs(&cache, *front, &devices)?;
    }
    let image = |front: &Front| {
        let kernel = source.kernel(*front)?;
        let drivers = source.drivers(*front)?;
        Ok(Image {
            initramfs: initramfs(&cache, *front, ground.linux, &[&kernel, &drivers], &devices)?,
            kernel: kernel.join("vmlinuz"),
            device_tree: None,
        })
    };
    fronts.iter().map(image).collect()
}

/// Builds our drivers, for a Linux that need not be a guest's, with all warnings.
pub fn build_drivers(linux: Linux) -> Result<()> {
    let front = Front::default_here();
    tools::require(&kernel::tools(&[front]))?;
    let cache = Cache::open()?;
    let ground = Ground {
        linux,
        ..Ground::NEWEST
    };
    Source::fetch(&cache, ground)?.drivers(front)?;
    Ok(())
}

/// The packages of all programs that a guest has.
fn programs(cache: &Cache, front: Front, devices: &[Device]) -> Result<Vec<PathBuf>> {
    let architecture = match front {
        Front::Uml | Front::QemuX86_64 => Architecture::Amd64,
        Front::QemuArm64 => Architecture::Arm64,
    };
    let wanted = devices.iter().flat_map(|device| &device.packages);
    let mut wanted: Vec<&str> = wanted
        .map(String::as_str)
        .chain(["busybox-static"])
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    packages::fetch_all(cache, Suite::Trixie, &wanted, architecture)
}

/// `modules` are the folders in whose `lib` some are.
pub(super) fn initramfs(
    cache: &Cache,
    front: Front,
    linux: Linux,
    modules: &[&Path],
    devices: &[Device],
) -> Result<PathBuf> {
    let packages = programs(cache, front, devices)?;
    let mut inputs = vec![INIT.as_bytes().to_vec()];
    let paths = modules
        .iter()
        .copied()
        .chain(packages.iter().map(PathBuf::as_path));
    inputs.extend(paths.map(|path| path.as_os_str().as_encoded_bytes().to_vec()));
    for device in devices {
        inputs.push(device.package.as_bytes().to_vec());
        inputs.push(fs::read(device.check())?);
    }
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let folder = cache.entry(
        &format!("initramfs-{}-{front}", linux.version()),
        &inputs,
        |into| {
            let root = tempfile::tempdir_in(into)?;
            let root = root.path();
            for folder in ["dev", "checks", "usr"] {
                fs::create_dir_all(root.join(folder))?;
            }
            // As an installed Debian has them.
            for folder in ["bin", "sbin", "lib", "lib64"] {
                fs::create_dir_all(root.join("usr").join(folder))?;
                symlink(Path::new("usr").join(folder), root.join(folder))?;
            }
            for package in &packages {
                packages::unpack(package, root)?;
            }
            for device in devices {
                fs::copy(device.check(), root.join("checks").join(&device.package))?;
            }
            fs::write(root.join("init"), INIT)?;
            fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
            pack(root, modules, &into.join("initramfs"))
        },
    )?;
    Ok(folder.join("initramfs"))
}

/// Not compressed: unpacking costs an emulated processor more than reading.
const PACK: &str = r#"initramfs=$1
shift
for modules; do
    cp -r "$modules/lib/." lib/
done
find . | cpio --quiet --create --format=newc --owner=+0:+0 >"$initramfs""#;

fn pack(root: &Path, modules: &[&Path], initramfs: &Path) -> Result<()> {
    let mut pack = Command::new("sh");
    pack.args(["-ec", PACK, "pack"])
        .arg(initramfs)
        .args(modules)
        .current_dir(root);
    let status = pack.status()?;
    ensure!(status.success(), "pack the root file system: {status}");
    Ok(())
}
