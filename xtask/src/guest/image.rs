// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a guest is made of: a kernel, and a root file system with busybox and every device's check.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Front;
use super::kernel::Source;
use super::packages::{self, Architecture};
use crate::cache::Cache;
use crate::device::Device;
use crate::tools::{self, Tool};

const INIT: &str = include_str!("../../guest/init");

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
    let cache = Cache::open()?;
    let source = Source::fetch(&cache)?;
    let devices = Device::all()?;
    let image = |front: &Front| {
        let kernel = source.kernel(*front)?;
        let drivers = source.drivers(*front)?;
        Ok(Image {
            initramfs: initramfs(&cache, *front, [&kernel, &drivers], &devices)?,
            kernel: kernel.join("vmlinuz"),
            device_tree: None,
        })
    };
    fronts.iter().map(image).collect()
}

/// For checks: builds our drivers for the oldest Linux that they are for.
pub fn build_drivers_for_oldest() -> Result<()> {
    let cache = Cache::open()?;
    Source::fetch_oldest(&cache)?.drivers(Front::default_here())?;
    Ok(())
}

/// `modules` are the folders in whose `lib` some are.
fn initramfs(
    cache: &Cache,
    front: Front,
    modules: [&Path; 2],
    devices: &[Device],
) -> Result<PathBuf> {
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
    let packages = wanted
        .into_iter()
        .map(|package| packages::fetch(cache, package, architecture))
        .collect::<Result<Vec<_>>>()?;

    let mut inputs = vec![INIT.as_bytes().to_vec()];
    let paths = modules
        .into_iter()
        .chain(packages.iter().map(PathBuf::as_path));
    inputs.extend(paths.map(|path| path.as_os_str().as_encoded_bytes().to_vec()));
    for device in devices {
        inputs.push(device.package.as_bytes().to_vec());
        inputs.push(fs::read(device.check())?);
    }
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let folder = cache.entry(&format!("initramfs-{front}"), &inputs, |into| {
        let root = tempfile::tempdir_in(into)?;
        let root = root.path();
        for package in &packages {
            packages::unpack(package, root)?;
        }
        for folder in ["dev", "checks"] {
            fs::create_dir_all(root.join(folder))?;
        }
        for device in devices {
            fs::copy(device.check(), root.join("checks").join(&device.package))?;
        }
        fs::write(root.join("init"), INIT)?;
        fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
        pack(root, modules, &into.join("initramfs"))
    })?;
    Ok(folder.join("initramfs"))
}

/// Not compressed: unpacking costs an emulated processor more than reading.
const PACK: &str = r#"cp -r "$1/lib" "$2/lib" .
find . | cpio --quiet --create --format=newc --owner=+0:+0 >"$3""#;

fn pack(root: &Path, modules: [&Path; 2], initramfs: &Path) -> Result<()> {
    tools::require(&[Tool {
        file: "cpio",
        package: "cpio",
    }])?;
    let mut pack = Command::new("sh");
    pack.args(["-ec", PACK, "pack"])
        .args(modules)
        .arg(initramfs)
        .current_dir(root);
    let status = pack.status()?;
    ensure!(status.success(), "pack the root file system: {status}");
    Ok(())
}
