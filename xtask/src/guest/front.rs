// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The front ends: what is between a Linux guest and a daemon's socket, and how it is started.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::{Ground, Image};
use crate::device::Device;
use crate::root;

/// What User-Mode Linux calls itself, and its folder.
const UMID: &str = "guest";

/// Guest memory, in MiB.
const MEMORY: u32 = 256;

/// How QEMU has the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// A file that it shares with back ends
    Shared,
    /// A file that it maps privately: a back end that has it sees nothing of what the guest writes
    Private,
    /// No file, as with `-m` alone
    Plain,
}

impl Memory {
    /// Makes QEMU's arguments for shared memory those for this one.
    pub(super) fn apply(self, args: &mut Vec<OsString>) {
        let is_object = |arg: &OsString| arg.to_string_lossy().starts_with("memory-backend-");
        if let (Self::Plain, Some(object)) = (self, args.iter().position(is_object)) {
            args.drain(object.saturating_sub(1)..=object);
        }
        let (from, to) = match self {
            Self::Shared => return,
            Self::Private => ("share=on", "share=off"),
            Self::Plain => (",memory-backend=mem", ""),
        };
        for arg in args {
            *arg = arg.to_string_lossy().replace(from, to).into();
        }
    }
}

/// A PC's Linux counts ticks as it starts, and panics where an emulated timer makes too few of them
/// because the host is busy.
const NO_TIMER_CHECK: &str = "no_timer_check";

/// A front end, and with it an architecture of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Front {
    /// User-Mode Linux: the guest's kernel is a process and speaks vhost-user itself
    Uml,
    /// QEMU's `virt` board with a 64-bit Arm processor
    QemuArm64,
    /// QEMU's PC
    #[value(name = "qemu-x86-64")]
    QemuX86_64,
}

impl fmt::Display for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uml => "uml",
            Self::QemuArm64 => "qemu-arm64",
            Self::QemuX86_64 => "qemu-x86-64",
        })
    }
}

impl Front {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Uml, Self::QemuArm64, Self::QemuX86_64];

    /// The quickest one that this host can have.
    #[must_use]
    pub fn default_here() -> Self {
        if cfg!(target_arch = "x86_64") {
            Self::Uml
        } else {
            Self::QemuArm64
        }
    }

    /// Whether a kernel for it can be built on this host.
    #[must_use]
    pub fn builds_here(self) -> bool {
        self != Self::Uml || cfg!(target_arch = "x86_64")
    }

    /// Why this host cannot run it, if so.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        if !self.builds_here() {
            return Some("User-Mode Linux needs an x86-64 host".to_owned());
        }
        None
    }

    /// The QEMU that was chosen, if it is QEMU.
    pub fn qemu(self) -> Result<Option<PathBuf>> {
        let program = match self {
            Self::Uml => return Ok(None),
            Self::QemuArm64 => "qemu-system-aarch64",
            Self::QemuX86_64 => "qemu-system-x86_64",
        };
        root::qemu(Ground::chosen().qemu, program).map(Some)
    }

    pub(super) fn program(self, image: &Image) -> Result<PathBuf> {
        Ok(match self.qemu()? {
            Some(qemu) => qemu,
            None if keeps_its_layout() => "setarch".into(),
            None => image.kernel.clone(),
        })
    }

    /// QEMU connects to its monitor's socket, so that nobody has to wait for it to appear.
    pub(super) fn listen_for_monitor(self, folder: &Path) -> Result<Option<UnixListener>> {
        if self == Self::Uml {
            return Ok(None);
        }
        Ok(Some(UnixListener::bind(monitor(folder))?))
    }

    /// The guest's terminal is standard input and output, its kernel's console standard error.
    pub(super) fn arguments(
        self,
        image: &Image,
        folder: &Path,
        devices: &[(&Device, &Path)],
        kernel_arguments: &str,
    ) -> Result<Vec<OsString>> {
        let mut args = match self {
            Self::Uml => uml(image, folder, kernel_arguments),
            Self::QemuArm64 => qemu(
                image,
                folder,
                "-machine virt,memory-backend=mem -cpu cortex-a57 -serial chardev:console \
                 -device pci-serial,chardev=terminal",
                &format!("console=ttyAMA0 tty=/dev/ttyS0 {kernel_arguments}"),
            ),
            Self::QemuX86_64 => qemu(
                image,
                folder,
                "-machine q35,memory-backend=mem -cpu max -serial chardev:console \
                 -serial chardev:terminal",
                &format!("console=ttyS0 tty=/dev/ttyS1 {NO_TIMER_CHECK} {kernel_arguments}"),
            ),
        };
        for (number, (device, socket)) in devices.iter().enumerate() {
            if device.board(self)?.contains("SOCKET") {
                continue;
            }
            let socket = socket.display();
            args.extend(match self {
                Self::Uml => vec![format!("virtio_uml.device={socket}:{}", device.virtio_id)],
                Self::QemuArm64 | Self::QemuX86_64 => vec![
                    "-chardev".to_owned(),
                    format!("socket,id=device{number},path={socket}"),
                    "-device".to_owned(),
                    format!("{},chardev=device{number}", device.qemu),
                ],
            });
        }
        Ok(args.into_iter().map(OsString::from).collect())
    }

    /// Why this front end cannot have a device, if so.
    pub fn lacks(self, device: &Device) -> Result<Option<String>> {
        let Some(qemu) = self.qemu()? else {
            return Ok(None);
        };
        let output = Command::new(&qemu).args(["-device", "help"]).output()?;
        let name = device.qemu.split(',').next().unwrap_or_default();
        let known = String::from_utf8_lossy(&output.stdout).contains(&format!("name \"{name}\""));
        Ok((!known).then(|| format!("this QEMU has no {name}")))
    }
}

/// The device tree that QEMU makes of its `virt` board.
pub(super) fn virt_device_tree(folder: &Path) -> Result<PathBuf> {
    let blob = folder.join("virt.dtb");
    let qemu = Front::QemuArm64.qemu()?.context("no QEMU")?;
    let mut qemu = Command::new(qemu);
    qemu.args(words("-nodefaults -display none -cpu cortex-a57"));
    qemu.args(["-m", &format!("{MEMORY}M"), "-machine"]);
    qemu.arg(format!("virt,dumpdtb={}", blob.display()));
    let output = qemu.output()?;
    ensure!(
        output.status.success(),
        "device tree of virt: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(blob)
}

/// Whether programs can be started without randomized addresses, which a container may forbid.
///
/// User-Mode Linux takes the gap before its heap, of up to a gigabyte, for memory to manage. With some
/// such layouts it hangs before its first message, in one of some forty starts.
fn keeps_its_layout() -> bool {
    static KEEPS: LazyLock<bool> = LazyLock::new(|| {
        let program = Command::new("setarch").args(["-R", "true"]).output();
        program.is_ok_and(|output| output.status.success())
    });
    *KEEPS
}

fn uml(image: &Image, folder: &Path, kernel_arguments: &str) -> Vec<String> {
    let mut args = Vec::new();
    if keeps_its_layout() {
        args.extend(["-R".to_owned(), image.kernel.display().to_string()]);
    }
    args.extend(words(
        "rdinit=/init con=null con0=null,fd:2 con1=fd:0,fd:1 tty=/dev/tty1",
    ));
    args.extend(words(kernel_arguments));
    args.push(format!("mem={MEMORY}M"));
    args.push(format!("initrd={}", image.initramfs.display()));
    args.push(format!("uml_dir={}/", folder.display()));
    args.push(format!("umid={UMID}"));
    let board = image.device_tree.iter();
    args.extend(board.map(|blob| format!("dtb={}", blob.display())));
    args
}

/// Emulated even where the host has KVM: a start-up in three seconds is quick enough, and a /dev/kvm
/// that can be opened need not work (in a nested guest, say).
fn qemu(image: &Image, folder: &Path, board: &str, kernel_arguments: &str) -> Vec<String> {
    let mut args = words("-nodefaults -no-user-config -display none");
    args.extend(words(Ground::chosen().qemu.monitor()));
    args.extend(words(board));
    let memory = format!("memory-backend-memfd,id=mem,size={MEMORY}M,share=on");
    let monitor = format!("socket,id=monitor,path={}", monitor(folder).display());
    let append = format!("rdinit=/init {kernel_arguments}");
    let (kernel, initramfs) = (image.kernel.display(), image.initramfs.display());
    for (option, value) in [
        ("-m", format!("{MEMORY}M")),
        ("-object", memory),
        ("-chardev", monitor),
        ("-chardev", "stdio,id=terminal,signal=off".to_owned()),
        ("-chardev", "file,id=console,path=/dev/stderr".to_owned()),
        ("-kernel", kernel.to_string()),
        ("-initrd", initramfs.to_string()),
        ("-append", append),
    ] {
        args.extend([option.to_owned(), value]);
    }
    let board = image.device_tree.iter();
    args.extend(board.flat_map(|blob| ["-dtb".to_owned(), blob.display().to_string()]));
    args
}

/// Where User-Mode Linux has its management console.
pub(super) fn mconsole(folder: &Path) -> PathBuf {
    folder.join(UMID).join("mconsole")
}

fn monitor(folder: &Path) -> PathBuf {
    folder.join("monitor")
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
