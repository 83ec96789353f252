// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A machine of QEMU that may hang, and a daemon that watches it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::guest::{Front, prepare};

/// How long a guest may take to boot on a busy host.
const BOOT: Duration = Duration::from_secs(180);

/// How long anything else may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the guest says when it has booted.
const READY: &str = "guest ready";

/// A daemon with one guest.
pub(crate) struct Host {
    pub(crate) daemon: Daemon,
    folder: TempDir,
}

impl Host {
    /// A daemon with these options, and a monitor to act through.
    pub(crate) fn start(options: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut args: Vec<_> = options.split_whitespace().map(str::to_owned).collect();
        args.extend([
            "--qmp".into(),
            path("qmp"),
            "--record".into(),
            path("records"),
        ]);
        let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-watchdog"));
        let daemon = Daemon::start(binary, &args, &folder.path().join("wd.sock"))?;
        Ok(Self { daemon, folder })
    }

    /// Boots a guest whose entropy device carries the watchdog.
    pub(crate) fn boot(&self) -> Result<Machine> {
        self.boot_on(Front::QemuArm64)
    }

    /// The same on this front end. A PC has interrupts that cannot be masked, and a kernel that
    /// panics resets it.
    pub(crate) fn boot_on(&self, front: Front) -> Result<Machine> {
        let panic = if front == Front::QemuX86_64 {
            "panic=-1"
        } else {
            "panic=0"
        };
        let mut machine = self.machine(front, &kernel(front, panic)?)?;
        machine.wait_for_boot()?;
        Ok(machine)
    }

    /// Boots a guest that has the watchdog itself, and its driver.
    pub(crate) fn boot_with_driver(&self, front: Front) -> Result<Machine> {
        let device = Device::of("virtio-watchdog")?.qemu;
        let args = [self.attached(&device), kernel(front, "panic=0")?].concat();
        let mut machine = Machine::start(front, self.folder.path(), &args)?;
        machine.wait_for_driver()?;
        Ok(machine)
    }

    /// The same with QEMU's own watchdog instead, whose action is left to others.
    pub(crate) fn boot_with_i6300esb(&self) -> Result<Machine> {
        let mut args = kernel(Front::QemuArm64, "panic=0")?;
        let more = "-device i6300esb -action watchdog=none";
        args.extend(more.split_whitespace().map(str::to_owned));
        let mut machine = Machine::start(Front::QemuArm64, self.folder.path(), &args)?;
        machine.wait_for_boot()?;
        Ok(machine)
    }

    /// A machine that the daemon watches, with more arguments for QEMU.
    pub(crate) fn machine(&self, front: Front, more: &[String]) -> Result<Machine> {
        let carrier = self.attached("vhost-user-rng-pci");
        let args = [carrier, more.to_vec()].concat();
        Machine::start(front, self.folder.path(), &args)
    }

    /// A PC whose disk has nothing but this to boot.
    pub(crate) fn boot_sector(&self, code: &[u8]) -> Result<Machine> {
        let path = self.folder.path().join("disk");
        let mut sector = code.to_vec();
        sector.resize(510, 0);
        sector.extend([0x55, 0xaa]);
        // SeaBIOS reads no disk that has only this.
        sector.resize(1 << 20, 0);
        fs::write(&path, sector)?;
        let disk = format!("if=none,id=disk,format=raw,file={}", path.display());
        let args = ["-drive", &disk, "-device", "ide-hd,drive=disk"].map(str::to_owned);
        self.machine(Front::QemuX86_64, &args)
    }

    /// This device of QEMU's, which is the daemon's.
    fn attached(&self, device: &str) -> Vec<String> {
        let socket = self.daemon.socket().display();
        let chardev = format!("socket,id=wd,path={socket}");
        let device = format!("{device},chardev=wd");
        ["-chardev", &chardev, "-device", &device]
            .map(str::to_owned)
            .into()
    }

    /// The records that there are.
    pub(crate) fn records(&self) -> Result<Vec<Value>> {
        let path = self.folder.path().join("records");
        let text = fs::read_to_string(path).unwrap_or_default();
        let records = text.lines().map(serde_json::from_str);
        Ok(records.collect::<Result<_, _>>()?)
    }

    /// Waits for a record that ends like this, and returns it.
    pub(crate) fn wait_for(&mut self, outcome: &str) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        let text = format!("\"outcome\":\"{outcome}\"");
        while Instant::now() < deadline && self.daemon.wait_for(&text).is_err() {}
        let found = self.records()?.into_iter().rev();
        let mut found = found.filter(|record| record["outcome"] == outcome);
        found
            .next()
            .with_context(|| format!("no {outcome}:\n{}", self.daemon.log()))
    }
}

/// What a machine needs to boot Linux, with this on the kernel's command line.
fn kernel(front: Front, more: &str) -> Result<Vec<String>> {
    // Or Linux panics where the host is too busy for the ticks that it counts.
    let timer = if front == Front::QemuX86_64 {
        "no_timer_check"
    } else {
        ""
    };
    let images = prepare(&[front])?;
    let image = images.first().context("no image")?;
    Ok(vec![
        "-kernel".into(),
        image.kernel.display().to_string(),
        "-initrd".into(),
        image.initramfs.display().to_string(),
        "-append".into(),
        format!("rdinit=/init tty=/dev/ttyS0 {timer} {more}"),
    ])
}

/// A running machine, which is ended when dropped.
pub(crate) struct Machine {
    qemu: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    monitor: BufReader<UnixStream>,
    /// How often it was reset, as far as its monitor was listened to.
    pub(crate) resets: usize,
}

impl Machine {
    fn start(front: Front, folder: &Path, more: &[String]) -> Result<Self> {
        let (ours, theirs) = (folder.join("control"), folder.join("qmp"));
        let listen = |path: &PathBuf| format!("unix:{},server=on,wait=off", path.display());
        let board = if front == Front::QemuX86_64 {
            "-machine q35,memory-backend=mem -cpu max -serial chardev:terminal"
        } else {
            "-machine virt,memory-backend=mem -cpu cortex-a57 -serial null \
             -device pci-serial,chardev=terminal"
        };
        let all = "-nodefaults -no-user-config -display none -m 256M \
                   -chardev stdio,id=terminal,signal=off \
                   -object memory-backend-memfd,id=mem,size=256M,share=on";
        let mut qemu = Command::new(front.qemu()?.context("no QEMU")?);
        qemu.args(all.split_whitespace())
            .args(board.split_whitespace())
            .args(["-qmp", &listen(&ours), "-qmp", &listen(&theirs)])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut qemu = qemu.spawn()?;
        let input = qemu.stdin.take().context("no stdin")?;
        let output = BufReader::new(qemu.stdout.take().context("no stdout")?);
        let (said, lines) = mpsc::channel();
        // Ends with the machine.
        thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                // A test that has ended does not listen.
                said.send(line).ok();
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let monitor = loop {
            match UnixStream::connect(&ours) {
                Ok(monitor) => break monitor,
                Err(error) if Instant::now() > deadline => {
                    qemu.kill().ok();
                    qemu.wait().ok();
                    return Err(error).context("QEMU's monitor");
                }
                Err(_) => thread::yield_now(),
            }
        };
        monitor.set_read_timeout(Some(PATIENCE))?;
        let mut machine = Self {
            qemu,
            input,
            lines,
            monitor: BufReader::new(monitor),
            resets: 0,
        };
        machine.qmp("qmp_capabilities")?;
        Ok(machine)
    }

    /// Gives the monitor a command, and returns its answer.
    pub(crate) fn qmp(&mut self, command: &str) -> Result<Value> {
        let message = json!({"execute": command, "id": command});
        writeln!(self.monitor.get_mut(), "{message}")?;
        loop {
            let answer = self.message()?;
            if answer["id"] == command {
                return Ok(answer["return"].clone());
            }
        }
    }

    /// Waits for an event of this name.
    pub(crate) fn wait_for_event(&mut self, name: &str) -> Result<()> {
        while self.message()?["event"] != name {}
        Ok(())
    }

    fn message(&mut self) -> Result<Value> {
        let mut line = String::new();
        ensure!(self.monitor.read_line(&mut line)? > 0, "QEMU is gone");
        let message: Value = serde_json::from_str(&line)?;
        self.resets += usize::from(message["event"] == "RESET");
        Ok(message)
    }

    pub(crate) fn wait_for_boot(&mut self) -> Result<()> {
        self.wait_for(BOOT, |line| line == READY)
    }

    /// Waits for the guest, and loads its driver.
    pub(crate) fn wait_for_driver(&mut self) -> Result<()> {
        self.wait_for_boot()?;
        self.run("insmod /lib/modules/*/updates/virtio_wdt.ko")
    }

    fn wait_for(&mut self, patience: Duration, done: impl Fn(&str) -> bool) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if done(&line) => return Ok(()),
                Ok(_) => {}
                Err(error) => bail!("the guest does not answer: {error}"),
            }
        }
    }

    /// Has the guest run a command, for which nobody waits.
    pub(crate) fn send(&mut self, command: &str) -> Result<()> {
        Ok(writeln!(self.input, "word {command}")?)
    }

    /// Runs a command in the guest, which must succeed.
    pub(crate) fn run(&mut self, command: &str) -> Result<()> {
        self.send(command)?;
        self.wait_for(PATIENCE, |line| line.ends_with("word ends 0"))
    }

    /// The guest reads entropy now and then from now on.
    pub(crate) fn reads_entropy(&mut self) -> Result<()> {
        self.run(
            "while dd if=/dev/hwrng of=/dev/null bs=64 count=1 2>/dev/null && sleep 0.5; do :; \
             done >/dev/null &",
        )
    }

    pub(crate) fn id(&self) -> u32 {
        self.qemu.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let id = Pid::from_raw(self.id().try_into()?).context("no process")?;
        Ok(kill_process(id, signal)?)
    }

    /// Waits for the end of the process.
    pub(crate) fn wait_for_end(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .is_ok()
        {}
        ensure!(Instant::now() < deadline, "QEMU lives");
        self.qemu.wait()?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Fails when it has ended.
        self.qemu.kill().ok();
        self.qemu.wait().ok();
    }
}
