// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Linux guests that use what they were given. `cargo xtask test` runs them; `cargo test` says so.
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod messages;
mod raw;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::guest::{Front, Guest};
use xtask::trial::{run, trial, trial_of_debian};

/// What `--simulate` makes up, before its guests.
const EXAMPLE: &str = include_str!("../../examples/soc.toml");

fn main() -> ExitCode {
    use Front::{QemuArm64, Uml};
    run(vec![
        trial("uml_uses_a_platform", &[Uml], || uses(Uml)),
        trial("qemu_arm64_uses_a_platform", &[QemuArm64], || {
            uses(QemuArm64)
        }),
        trial_of_debian("debian_uses_a_platform", debian_uses_a_platform),
        trial("uml_says_every_message_right_and_wrong", &[Uml], says),
        trial("uml_enumerates_a_large_platform", &[Uml], enumerates),
        trial("uml_guests_share_a_platform", &[Uml], shares),
        trial("uml_leaves_nothing_when_it_is_killed", &[Uml], || {
            killed(Uml)
        }),
        trial(
            "qemu_arm64_leaves_nothing_when_it_is_killed",
            &[QemuArm64],
            || killed(QemuArm64),
        ),
        trial(
            "qemu_arm64_starts_clean_after_a_reset",
            &[QemuArm64],
            starts_clean,
        ),
        trial(
            "qemu_arm64_needs_the_reset_line_of_a_device",
            &[QemuArm64],
            needs_its_reset,
        ),
    ])
}

fn uses(front: Front) -> Result<()> {
    let host = Host::start()?;
    let mut guest = host.boot(front)?;
    host.check(&mut guest)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// With Debian's own kernel and its SCMI, and Linux's transport and drivers built for it.
fn debian_uses_a_platform() -> Result<()> {
    let host = Host::start()?;
    let mut guest = Guest::boot_debian(&[(&host.device, host.daemon.socket())])?;
    host.check(&mut guest)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

fn says() -> Result<()> {
    let host = Host::start()?;
    let mut guest = Guest::boot_on(&board(host.daemon.socket()))?;
    messages::all(&mut guest)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// A platform with 1,000 clocks, one of them with 64 rates, and 300 sensors, and a guest that is given all.
fn large() -> [String; 2] {
    let rates: Vec<_> = (1..=64).map(|rate| rate * 1_000_000).collect();
    let mut text = format!(
        "[[clock]]\nname = 'source'\ntype = 'oscillator'\nrate = 64_000_000\n\
         [[clock]]\nname = 'pll'\ntype = 'pll'\nparent = 'source'\nrate = 64_000_000\nrates = {rates:?}\n"
    );
    let clocks = (2..1000).map(|clock| format!("clock{clock:03}"));
    for name in clocks.clone() {
        text += &format!("[[clock]]\nname = '{name}'\ntype = 'gate'\nparent = 'pll'\n");
    }
    let sensors: Vec<_> = (0..300)
        .map(|sensor| format!("sensor{sensor:03}"))
        .collect();
    for (name, value) in sensors.iter().zip((-15_000..).step_by(100)) {
        text += &format!("[[sensor]]\nname = '{name}'\ntype = 'temperature'\nvalue = {value}\n");
    }
    let given = ["source".to_owned(), "pll".to_owned()];
    let clocks: Vec<_> = given.into_iter().chain(clocks).collect();
    [text, format!("clocks = {clocks:?}\nsensors = {sensors:?}")]
}

fn enumerates() -> Result<()> {
    let [platform, grants] = large();
    let host = Host::with(&platform, &[&grants])?;
    let mut guest = Guest::boot_on(&board(host.daemon.socket()))?;
    let counts = guest.check(
        "ls -d /sys/kernel/debug/clk/clock*/ /sys/kernel/debug/clk/pll/ /sys/kernel/debug/clk/source/ | wc -l; \
         cat /sys/class/hwmon/hwmon0/temp*_label | sort -u | wc -l; \
         cat /sys/class/hwmon/hwmon0/temp1_input /sys/class/hwmon/hwmon0/temp300_input; \
         cat /sys/kernel/debug/clk/clock999/clk_parent /sys/kernel/debug/clk/clock999/clk_rate",
    )?;
    ensure!(
        counts == "1000\n300\n-15000\n14900\npll\n64000000",
        "{counts}"
    );
    // All rates, in parts of 15.
    raw::prepare(&mut guest)?;
    for first in (0..64).step_by(15) {
        let count = (64 - first).min(15);
        let mut expected = vec![0x5004, 0, (64 - first - count) << 16 | count];
        expected.extend((first..first + count).flat_map(|rate| [(rate + 1) * 1_000_000, 0]));
        raw::expect(&mut guest, &[(&[0x5004, 1, first], &expected)])?;
    }
    raw::expect(
        &mut guest,
        &[(&[0x5005, 0, 1, 63_000_000, 0], &[0x5005, 0])],
    )?;
    let rate = guest.check("cat /sys/kernel/debug/clk/clock999/clk_rate")?;
    ensure!(rate == "63000000", "{rate}");
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// Two guests of one process, of which each sees its own.
fn shares() -> Result<()> {
    let one =
        "clocks = ['osc24m', 'sys-pll', 'bus']\nsensors = ['vdd-sd']\npower-domains = ['soc']";
    let other = "clocks = [{ name = 'bus', as = 'my-bus' }, 'uart-mux', 'gpio']\nregulators = ['vdd-sd']\n\
        power-domains = ['soc']";
    let host = Host::with(platform(), &[one, other])?;
    let boot = |name| {
        let mut guest = Guest::boot_on(&board(&host.socket(name)))?;
        raw::prepare(&mut guest)?;
        anyhow::Ok(guest)
    };
    let (mut one, mut other) = (boot(0)?, boot(1)?);
    let clocks = "ls -d /sys/kernel/debug/clk/*/ | xargs -n 1 basename | xargs";
    let (seen, expected) = (one.check(clocks)?, "bus osc24m sys-pll");
    ensure!(seen == expected, "{seen}");
    let (seen, expected) = (other.check(clocks)?, "gpio my-bus uart-mux");
    ensure!(seen == expected, "{seen}");
    // The supply that one guest measures is the other's.
    raw::expect(&mut one, &[(&[0x5406, 0, 0], &[0x5406, 0, 0, 0, 0, 0])])?;
    raw::expect(&mut other, &[(&[0x5c05, 0, 7], &[0x5c05, 0])])?;
    raw::expect(&mut one, &[(&[0x5406, 0, 0], &[0x5406, 0, 3300, 0, 0, 0])])?;
    // What the other uses keeps its rate, and its power is its own business.
    raw::expect(
        &mut other,
        &[
            (&[0x5007, 2, 1, 0], &[0x5007, 0]),
            (&[0x4406, 0, 1], &[0x4406, 0]),
        ],
    )?;
    raw::expect(
        &mut one,
        &[
            (&[0x5005, 0, 1, 400_000_000, 0], &[0x5005, u32::MAX - 2]),
            (&[0x4404, 0, 0, 0], &[0x4404, 0]),
        ],
    )?;
    let power = other.check(". /tmp/raw; hear notification")?;
    ensure!(power.trim() == "4700 0 0 0", "{power}");
    raw::expect(&mut other, &[(&[0x4405, 0], &[0x4405, 0, 0x4000_0000])])?;
    drop(other);
    let waits = format!(
        ". /tmp/raw; until ask '{}' | grep -q '^5406 0 0'; do :; done",
        "\\006\\124\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000"
    );
    one.check(&waits)?;
    raw::expect(&mut one, &[(&[0x5005, 0, 1, 400_000_000, 0], &[0x5005, 0])])?;
    one.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// Switches on and sets all that there is.
const EVERYTHING: [&[u32]; 12] = [
    &[0x4404, 0, 2, 0],
    &[0x4404, 0, 1, 0],
    &[0x5007, 8, 1, 0],
    &[0x5007, 2, 1, 0],
    &[0x5005, 0, 2, 1_200_000_000, 0],
    &[0x5005, 0, 4, 400_000_000, 0],
    &[0x500d, 5, 4],
    &[0x540a, 5, 100 << 16 | 0x1d << 11 | 3],
    &[0x540b, 5, 1],
    &[0x5804, 2, 0, 0],
    &[0x5c05, 0, 7],
    &[0x5c07, 0, 0, 1_100_000],
];

/// All that can be read and does not change by itself.
fn view(guest: &mut Guest) -> Result<Vec<Vec<u32>>> {
    raw::prepare(guest)?;
    let mut requests = Vec::new();
    for id in 0..9 {
        for get in [
            0x4403, 0x4405, 0x5003, 0x5006, 0x500b, 0x500e, 0x5409, 0x5803, 0x5c06, 0x5c08,
        ] {
            requests.push([get, id, 0]);
        }
    }
    // What the regulators really give.
    requests.extend([[0x5406, 2, 0], [0x5406, 3, 0]]);
    let requests: Vec<_> = requests.iter().map(|request| &request[..]).collect();
    raw::ask(guest, &requests)
}

fn everything_on(guest: &mut Guest) -> Result<()> {
    for (request, response) in EVERYTHING.iter().zip(raw::ask(guest, &EVERYTHING)?) {
        ensure!(response == [request[0], 0], "{request:x?}: {response:x?}");
    }
    Ok(())
}

fn killed(front: Front) -> Result<()> {
    let mut host = Host::start()?;
    let mut before = None;
    for _ in 0..3 {
        let mut guest = host.boot(front)?;
        let now = (view(&mut guest)?, host.daemon.resources()?);
        let (before, held) = before.get_or_insert_with(|| now.clone());
        ensure!(*before == now.0, "{before:x?}\n{now:x?}");
        host.daemon.expect_resources(*held)?;
        everything_on(&mut guest)?;
        ensure!(*before != view(&mut guest)?);
        drop(guest);
        host.daemon.wait_for(": disconnected")?;
    }
    let mut guest = host.boot(front)?;
    host.check(&mut guest)?;
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

fn starts_clean() -> Result<()> {
    let mut host = Host::start()?;
    let mut guest = host.boot(Front::QemuArm64)?;
    let before = view(&mut guest)?;
    for _ in 0..2 {
        everything_on(&mut guest)?;
        let on = view(&mut guest)?;
        guest.qmp("stop")?;
        guest.qmp("cont")?;
        ensure!(view(&mut guest)? == on, "a pause changed something");
        guest.qmp("system_reset")?;
        guest.wait_for_boot()?;
        host.daemon.wait_for(": reset")?;
        let now = view(&mut guest)?;
        ensure!(before == now, "{before:x?}\n{now:x?}");
    }
    guest.power_off()?;
    host.daemon.stop()?;
    Ok(())
}

/// Linux does not find the board's GPIO controller without its reset line.
fn needs_its_reset() -> Result<()> {
    let grants = "clocks = ['osc24m', 'osc32k', 'cpu-pll', 'sys-pll', 'bus', 'uart-mux', 'uart0', 'gpio']\n\
        power-domains = ['soc', 'peripherals']\nregulators = ['vdd-core', 'vdd-sd']\n";
    for (resets, is_up) in [
        ("resets = ['uart0']", false),
        ("resets = ['uart0', 'gpio']", true),
    ] {
        let host = Host::with(platform(), &[&format!("{grants}{resets}")])?;
        let mut guest = host.boot(Front::QemuArm64)?;
        guest.check("insmod $(find /lib/modules -name gpio-pl061.ko)")?;
        let bound = guest.run("test -e /sys/bus/amba/drivers/pl061_gpio/9030000.pl061")?;
        ensure!((bound.status == 0) == is_up, "with {resets}: {bound:?}");
        guest.power_off()?;
        host.daemon.stop()?;
    }
    Ok(())
}

/// The example's platform.
fn platform() -> &'static str {
    EXAMPLE.split("[[guest]]").next().unwrap_or_default()
}

/// A board of User-Mode Linux with nothing on it that would use what the platform has.
fn board(socket: &Path) -> String {
    BOARD.replace("SOCKET", &socket.display().to_string())
}

const BOARD: &str = r#"/dts-v1/;
/ {
    compatible = "virtio-backends,guest";
    #address-cells = <2>;
    #size-cells = <1>;
    device {
        compatible = "virtio,uml";
        socket-path = "SOCKET";
        virtio-device-id = <32>;
    };
    firmware {
        scmi {
            compatible = "arm,scmi-virtio";
            #address-cells = <1>;
            #size-cells = <0>;
            protocol@11 { reg = <0x11>; #power-domain-cells = <1>; };
            protocol@14 { reg = <0x14>; #clock-cells = <1>; };
            protocol@15 { reg = <0x15>; };
            protocol@16 { reg = <0x16>; #reset-cells = <1>; };
            protocol@17 { reg = <0x17>; };
        };
    };
};"#;

/// The daemon, and how it is attached.
struct Host {
    daemon: Daemon,
    device: Device,
    folder: TempDir,
}

impl Host {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("0.sock");
        Ok(Self {
            daemon: Daemon::start(binary(), &["--simulate".to_owned()], &socket)?,
            device: Device::of("virtio-scmi")?,
            folder,
        })
    }

    /// One with this platform, and guests that are given this.
    fn with(platform: &str, guests: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("soc.toml");
        let mut text = platform.to_owned();
        for (number, grants) in guests.iter().enumerate() {
            let socket = folder.path().join(format!("{number}.sock"));
            writeln!(
                text,
                "[[guest]]\nname = 'guest{number}'\nsocket = '{}'\n{grants}",
                socket.display()
            )?;
        }
        fs::write(&file, text)?;
        let mut daemon = Daemon::configured(binary(), &file, &folder.path().join("0.sock"))?;
        for _ in 1..guests.len() {
            daemon.wait_for("listening on")?;
        }
        Ok(Self {
            daemon,
            device: Device::of("virtio-scmi")?,
            folder,
        })
    }

    fn socket(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("{number}.sock"))
    }

    fn boot(&self, front: Front) -> Result<Guest> {
        Guest::boot(front, &[(&self.device, self.daemon.socket())])
    }

    /// The guest uses the device.
    fn check(&self, guest: &mut Guest) -> Result<()> {
        guest.check(&self.device.check_command())?;
        Ok(())
    }
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_vhost-user-scmi"))
}
