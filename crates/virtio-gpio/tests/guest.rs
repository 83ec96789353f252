// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Linux guests that use the simulated lines. `cargo xtask test` runs them; `cargo test` says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::guest::{Front, Guest, Memory};
use xtask::trial::{run, trial, trial_of_debian};

/// out3 is driven high, and in3 is waited for, by programs that stay, and say when they are ready.
const HOLD: &str = "gpioset --banner --chip gpiochip0 3=1 >/tmp/set 2>&1 & \
    until grep -q '^Setting' /tmp/set; do :; done; \
    gpiomon --banner --edges falling --chip gpiochip0 7 >/tmp/monitor 2>&1 & \
    until grep -q '^Monitoring' /tmp/monitor; do :; done";

/// How often a line changes in front of a guest.
const TOGGLES: usize = 10_000;

/// Linux asks for no line's direction until it is used again.
const ARE_LINES_FREE: &str = "gpioinfo --chip gpiochip0 | grep -c '[[:space:]]input$'; \
    gpioget --numeric --chip gpiochip0 7";

fn main() -> ExitCode {
    use Front::{QemuArm64, QemuX86_64, Uml};
    run(vec![
        trial("uml_uses_lines", &[Uml], || uses_lines(Uml)),
        trial("qemu_arm64_uses_lines", &[QemuArm64], || {
            uses_lines(QemuArm64)
        }),
        trial("qemu_x86_64_uses_lines", &[QemuX86_64], || {
            uses_lines(QemuX86_64)
        }),
        trial_of_debian("debian_uses_lines", debian_uses_lines),
        trial("uml_loses_no_edge", &[Uml], || loses_no_edge(Uml)),
        trial("qemu_arm64_loses_no_edge", &[QemuArm64], || {
            loses_no_edge(QemuArm64)
        }),
        trial("qemu_x86_64_loses_no_edge", &[QemuX86_64], || {
            loses_no_edge(QemuX86_64)
        }),
        trial(
            "qemu_arm64_starts_clean_after_a_reset",
            &[QemuArm64],
            || starts_clean(QemuArm64),
        ),
        trial(
            "qemu_x86_64_starts_clean_after_a_reset",
            &[QemuX86_64],
            || starts_clean(QemuX86_64),
        ),
        trial("uml_starts_clean_after_a_kill", &[Uml], || killed(Uml)),
        trial("qemu_arm64_starts_clean_after_a_kill", &[QemuArm64], || {
            killed(QemuArm64)
        }),
        trial("uml_has_keys_at_edges", &[Uml], has_keys),
        trial(
            "uml_is_quiet_after_an_interrupt_was_refused",
            &[Uml],
            is_quiet_after_a_refusal,
        ),
        trial(
            "qemu_arm64_runs_on_without_shared_memory",
            &[QemuArm64],
            || runs_on_without_shared_memory(QemuArm64),
        ),
        trial(
            "qemu_x86_64_runs_on_without_shared_memory",
            &[QemuX86_64],
            || runs_on_without_shared_memory(QemuX86_64),
        ),
    ])
}

/// The first mistake of QEMU's users. The machine runs on. Linux's driver asks for the lines' names as
/// it starts, and waits for the answer without limit: this kernel, which has the driver built in,
/// waits with it.
fn runs_on_without_shared_memory(front: Front) -> Result<()> {
    let host = Host::start()?;
    let devices = [(&host.device, host.daemon.socket())];
    let mut guest = Guest::power_on(front, Memory::Plain, &devices)?;
    guest.wait_for_console("share=on")?;
    guest.qmp("system_reset")?;
    guest.wait_for_console("Linux version")?;
    drop(guest);
    host.daemon.stop()?;
    Ok(())
}

fn uses_lines(front: Front) -> Result<()> {
    let host = Host::start()?;
    let mut guest = host.boot(front)?;
    host.check(&mut guest)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// With Debian's own kernel, and Linux's driver built for it.
fn debian_uses_lines() -> Result<()> {
    let host = Host::start()?;
    let mut guest = Guest::boot_debian(&[(&host.device, host.daemon.socket())])?;
    host.check(&mut guest)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// Each edge is made when the guest has seen the one before.
fn loses_no_edge(front: Front) -> Result<()> {
    let host = Host::start()?;
    let mut guest = host.boot(front)?;
    guest.check("gpiomon --banner --format 'edge %E' --chip gpiochip0 8 &")?;
    let ready = "Monitoring line '8'...";
    if !guest.console().contains(ready) {
        guest.wait_for(ready)?;
    }
    let before = host.daemon.resources()?;
    for _ in 0..TOGGLES / 2 {
        for (command, seen) in [
            ("button0=high\n", "edge rising"),
            ("button0=low\n", "edge falling"),
        ] {
            host.control(command)?;
            guest.wait_for(seen)?;
        }
    }
    // The kernel of a PC has more to say of edges.
    let is_seen = |line: &&str| line.starts_with("edge ");
    let edges = guest.console().lines().filter(is_seen).count();
    ensure!(edges == TOGGLES, "gpiomon saw {edges} edges");
    host.daemon.expect_resources(before)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

fn starts_clean(front: Front) -> Result<()> {
    let mut host = Host::start()?;
    let mut guest = host.boot(front)?;
    let before = host.daemon.resources()?;
    for _ in 0..3 {
        guest.check(HOLD)?;
        ensure!(guest.check("gpioget --numeric --chip gpiochip0 5")? == "0");
        guest.qmp("stop")?;
        guest.qmp("cont")?;
        guest.check("gpioinfo --chip gpiochip0 3 | grep -q 'output consumer='")?;
        guest.qmp("system_reset")?;
        guest.wait_for_boot()?;
        host.daemon.wait_for(": reset")?;
        let free = guest.check(ARE_LINES_FREE)?;
        ensure!(free == "16\n0", "{free}");
    }
    host.check(&mut guest)?;
    host.daemon.expect_resources(before)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

fn killed(front: Front) -> Result<()> {
    let mut host = Host::start()?;
    let mut before = None;
    for _ in 0..3 {
        let mut guest = host.boot(front)?;
        let free = guest.check(ARE_LINES_FREE)?;
        ensure!(free == "16\n0", "{free}");
        guest.check(HOLD)?;
        let now = host.daemon.resources()?;
        host.daemon.expect_resources(*before.get_or_insert(now))?;
        drop(guest);
        host.daemon.wait_for(": disconnected")?;
    }
    let mut guest = host.boot(front)?;
    host.check(&mut guest)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// Linux's own driver for keys, at both edges of button1, which it reads and arms again each time.
/// Levels are in `check.sh`.
fn has_keys() -> Result<()> {
    let host = Host::start()?;
    let socket = host.daemon.socket().display().to_string();
    let mut guest = Guest::boot_on(&KEYS.replace("SOCKET", &socket))?;
    guest.check("insmod $(find /lib/modules -name gpio_keys.ko)")?;
    for edges in 1..=100 {
        let level = if edges % 2 == 1 { "high" } else { "low" };
        host.control(&format!("button1={level}\n"))?;
        // Waits for that many, and says how many there are then.
        let seen = guest.check(&format!(
            "count() {{ awk '$NF == \"edge\" {{ print $2 }}' /proc/interrupts; }}; \
             until [ $(count) -ge {edges} ]; do :; done; count"
        ))?;
        ensure!(
            seen == edges.to_string(),
            "{seen} interrupts for {edges} edges"
        );
    }
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// Linux does not look at the answer when it enables an interrupt, and queues buffers for it that
/// were returned again at once.
fn is_quiet_after_a_refusal() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("guests.toml");
    let socket = folder.path().join("gpio.sock");
    let text = format!(
        "[[chip]]\nname = 'board'\nsimulate = true\n\
         [[guest]]\nname = 'a'\nsocket = '{}'\nchip = 'board'\nlines = ['0-7']\n\
         [[guest.line]]\nline = 8\naccess = 'output'\n[[guest.line]]\nline = 9\n",
        socket.display()
    );
    fs::write(&file, text)?;
    let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-gpio"));
    let daemon = Daemon::configured(binary, &file, &socket)?;
    let mut guest = Guest::boot_on(&KEYS.replace("SOCKET", &socket.display().to_string()))?;
    guest.check("insmod $(find /lib/modules -name gpio_keys.ko)")?;
    let count = |guest: &mut Guest| -> Result<usize> {
        let count = guest.check("awk '/eventq/ { print $2 }' /proc/interrupts")?;
        count.parse().with_context(|| count)
    };
    let before = count(&mut guest)?;
    // A hundred times a handful of messages, each of which is answered with one.
    guest.check("for i in $(seq 100); do gpioget --chip gpiochip0 1 >/dev/null; done")?;
    let interrupts = count(&mut guest)? - before;
    ensure!(interrupts < 1000, "{interrupts} interrupts");
    guest.power_off()?;
    daemon.stop()?;
    Ok(())
}

const KEYS: &str = r#"/dts-v1/;
/ {
    compatible = "virtio-backends,guest";
    #address-cells = <2>;
    #size-cells = <1>;
    device {
        compatible = "virtio,uml";
        socket-path = "SOCKET";
        virtio-device-id = <41>;
        gpio: gpio {
            compatible = "virtio,device29";
            gpio-controller;
            #gpio-cells = <2>;
            interrupt-controller;
            #interrupt-cells = <2>;
            #address-cells = <0>;
        };
    };
    keys {
        compatible = "gpio-keys";
        level {
            label = "level";
            linux,code = <30>;
            interrupts-extended = <&gpio 8 4>;
        };
        edge {
            label = "edge";
            linux,code = <31>;
            gpios = <&gpio 9 0>;
            debounce-interval = <0>;
        };
    };
};"#;

/// The daemon, and how it is attached.
struct Host {
    daemon: Daemon,
    device: Device,
    control: PathBuf,
    _folder: TempDir,
}

impl Host {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let control = folder.path().join("control");
        let made = Command::new("mkfifo").arg(&control).status()?;
        ensure!(made.success(), "mkfifo: {made}");
        let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-gpio"));
        let args = ["--simulate", "--control", &control.display().to_string()].map(str::to_owned);
        Ok(Self {
            daemon: Daemon::start(binary, &args, &folder.path().join("gpio.sock"))?,
            device: Device::of("virtio-gpio")?,
            control,
            _folder: folder,
        })
    }

    fn boot(&self, front: Front) -> Result<Guest> {
        Guest::boot(front, &[(&self.device, self.daemon.socket())])
    }

    /// The guest uses the device.
    fn check(&self, guest: &mut Guest) -> Result<()> {
        guest.check(&self.device.check_command())?;
        Ok(())
    }

    /// Somebody outside drives lines.
    fn control(&self, command: &str) -> Result<()> {
        Ok(fs::write(&self.control, command)?)
    }
}
