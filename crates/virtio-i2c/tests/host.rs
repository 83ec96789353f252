// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon on adapters of a real kernel: a Linux guest plays its host. `cargo xtask test` runs
//! them; `cargo test` says so.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use virtio_backend::testing::{Vm, feature};
use xtask::daemon::Daemon;
use xtask::device::Device;
use xtask::host::{self, Play, busybox, hosted};
use xtask::trial::run;

/// The guest's virtio adapter, which knows I²C.
const UNBIND: &str = "echo virtio0 >/sys/bus/virtio/drivers/i2c_virtio/unbind";
const BIND: &str = "echo virtio0 >/sys/bus/virtio/drivers/i2c_virtio/bind";

fn main() -> ExitCode {
    run(vec![
        hosted(
            "smbus_commands_reach_an_adapter_that_knows_no_others",
            on_linux,
            smbus_commands_reach_an_adapter_that_knows_no_others,
        ),
        hosted(
            "an_adapter_is_found_by_path_number_and_name",
            on_linux,
            an_adapter_is_found_by_path_number_and_name,
        ),
        hosted(
            "an_adapter_comes_back_by_itself",
            on_linux,
            an_adapter_comes_back_by_itself,
        ),
        hosted(
            "smbus_blocks_reach_an_adapter_that_knows_no_i2c_blocks",
            on_linux,
            smbus_blocks_reach_an_adapter_that_knows_no_i2c_blocks,
        ),
        hosted(
            "another_adapter_with_the_same_number_is_not_reached",
            on_virtio,
            another_adapter_with_the_same_number_is_not_reached,
        ),
        hosted(
            "transactions_reach_an_adapter_that_knows_i2c",
            on_virtio,
            transactions_reach_an_adapter_that_knows_i2c,
        ),
        hosted(
            "a_chip_with_a_driver_is_left_alone_unless_forced",
            on_virtio,
            a_chip_with_a_driver_is_left_alone_unless_forced,
        ),
        hosted(
            "an_adapter_that_knows_i2c_comes_back_by_itself",
            on_virtio,
            an_adapter_that_knows_i2c_comes_back_by_itself,
        ),
    ])
}

fn on_linux(play: Play<'_>) -> Result<()> {
    let mut guest = host::boot(&[])?;
    play(&mut guest)?;
    guest.power_off()?;
    Ok(())
}

fn on_virtio(play: Play<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let simulated = daemon(&folder, &["--simulate"])?;
    let mut guest = host::boot(&[(&Device::of("virtio-i2c")?, simulated.socket())])?;
    play(&mut guest)?;
    guest.power_off()?;
    simulated.stop()?;
    Ok(())
}

/// Adds a register model of chips, which knows SMBus's commands and nothing else.
fn add_stub(arguments: &str) -> Result<()> {
    busybox(&format!(
        "insmod $(find /dev/guest/lib/modules -name i2c-stub.ko) {arguments}"
    ))
}

const CHIPS: &str = "chip_addr=0x48,0x50";

fn daemon(folder: &TempDir, args: &[&str]) -> Result<Daemon> {
    let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
    let binary = Path::new(env!("CARGO_BIN_EXE_vhost-user-i2c"));
    Daemon::start(binary, &args, &folder.path().join("i2c.sock"))
}

/// A daemon, and the driver of its guest.
struct Driver {
    vm: Vm,
    daemon: Daemon,
    _folder: TempDir,
}

impl Driver {
    fn new(args: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let daemon = daemon(&folder, args)?;
        // With VIRTIO_I2C_F_ZERO_LENGTH_REQUEST.
        let vm = Vm::boot(daemon.socket(), feature::ALL | 1, &[64])?;
        Ok(Self {
            vm,
            daemon,
            _folder: folder,
        })
    }

    /// Makes requests at once, each with a `room` for its answer.
    fn ask<const N: usize>(&mut self, requests: [(&[u8], usize); N]) -> Result<[Vec<u8>; N]> {
        let memory = &self.vm.memory;
        let chains = requests.map(|(request, room)| memory.chain(&[request], &[room]));
        let ring = self.vm.rings.first_mut().context("no ring")?;
        let mut asked = chains.map(|chain| (ring.add(&chain), chain, None));
        for (head, ..) in &asked {
            ring.push(*head);
        }
        ring.notify();
        // A transfer that failed is answered from its end.
        for _ in 0..N {
            let used = ring.wait().context("no answer")?;
            let (_, _, len) = asked
                .iter_mut()
                .find(|(head, _, len)| u32::from(*head) == used.id && len.is_none())
                .context("another answer")?;
            *len = Some(used.len);
        }
        Ok(asked.map(|(_, chain, len)| memory.answer(&chain, len.unwrap_or_default())))
    }

    /// Writes to the chip at the address in `request`.
    #[track_caller]
    fn write(&mut self, request: &[u8], expected: u8) -> Result<()> {
        let [status] = self.ask([(request, 1)])?;
        ensure!(status == [expected], "{request:02x?}: {status:02x?}");
        Ok(())
    }

    /// Writes a command, and reads what there is to `expected` in the same transaction.
    #[track_caller]
    fn read(&mut self, addr: u8, command: &[u8], expected: &[u8]) -> Result<()> {
        let write = [&[addr, 0, 0, 0, 1, 0, 0, 0], command].concat();
        let read = [addr, 0, 0, 0, 2, 0, 0, 0];
        let answers = self.ask([(&write, 1), (&read, expected.len() + 1)])?;
        let expected = [vec![0], [expected, &[0]].concat()];
        ensure!(answers == expected, "{command:02x?}: {answers:02x?}");
        Ok(())
    }
}

fn smbus_commands_reach_an_adapter_that_knows_no_others() -> Result<()> {
    add_stub(CHIPS)?;
    let mut driver = Driver::new(&["--device", "0", "--addresses", "0x48-0x50"])?;
    // Quick, there and where there is no chip.
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    driver.write(&[0x92, 0, 0, 0, 0, 0, 0, 0], 1)?;
    let [quick] = driver.ask([(&[0xa0, 0, 0, 0, 2, 0, 0, 0], 1)])?;
    ensure!(quick == [0], "quick read: {quick:02x?}");
    // Byte data and word data.
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0xaa], 0)?;
    driver.read(0xa0, &[0x10], &[0xaa])?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0x34, 0x12], 0)?;
    driver.read(0xa0, &[0x20], &[0x34, 0x12])?;
    // Byte: the pointer, and what it points at.
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10], 0)?;
    let [byte] = driver.ask([(&[0xa0, 0, 0, 0, 2, 0, 0, 0], 2)])?;
    ensure!(byte == [0xaa, 0], "read byte: {byte:02x?}");
    // A block.
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0x30, 1, 2, 3, 4, 5], 0)?;
    driver.read(0xa0, &[0x30], &[1, 2, 3, 4, 5])?;
    // There are 2 registers left, and the adapter would say so with fewer bytes.
    let write = [0xa0, 0, 0, 0, 1, 0, 0, 0, 0xfe];
    let short = driver.ask([(&write, 1), (&[0xa0, 0, 0, 0, 2, 0, 0, 0], 6)])?;
    ensure!(
        short == [vec![1], vec![0, 0, 0, 0, 0, 1]],
        "short block: {short:02x?}"
    );
    // No command of SMBus's: two chips in a transaction.
    let write = [0xa0, 0, 0, 0, 1, 0, 0, 0, 0x10];
    let both = driver.ask([(&write, 1), (&[0x90, 0, 0, 0, 2, 0, 0, 0], 2)])?;
    ensure!(both == [vec![1], vec![0, 1]], "two chips: {both:02x?}");
    // A chip that the guest was not granted.
    driver.write(&[0x8e, 0, 0, 0, 0, 0, 0, 0], 1)?;
    driver.daemon.stop()?;
    Ok(())
}

fn an_adapter_is_found_by_path_number_and_name() -> Result<()> {
    add_stub(CHIPS)?;
    for device in ["/dev/i2c-0", "0", "SMBus stub driver"] {
        let mut driver = Driver::new(&["--device", device, "--addresses", "0x50"])?;
        driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
        driver.daemon.stop()?;
    }
    Ok(())
}

fn an_adapter_comes_back_by_itself() -> Result<()> {
    add_stub(CHIPS)?;
    let name = ["--device", "SMBus stub driver", "--addresses", "0x50"];
    let mut driver = Driver::new(&name)?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    // The module can go: an idle daemon does not hold it.
    busybox("rmmod i2c-stub")?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 1)?;
    driver.daemon.wait_for("warn: ")?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 1)?;
    add_stub(CHIPS)?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    driver.daemon.wait_for("the adapter is back")?;
    let log = driver.daemon.stop()?;
    ensure!(log.matches("warn: ").count() == 1, "said twice:\n{log}");
    Ok(())
}

/// The bits are those of `I2C_FUNC_SMBUS_…`: QUICK, BYTE and BLOCK_DATA, then I2C_BLOCK too.
fn smbus_blocks_reach_an_adapter_that_knows_no_i2c_blocks() -> Result<()> {
    let args = ["--device", "0", "--addresses", "0x50"];
    let counted = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 3, 1, 2, 3];
    let longest = [&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 32][..], &[7; 32]].concat();
    add_stub("chip_addr=0x50 functionality=0x03070000")?;
    let mut driver = Driver::new(&args)?;
    driver.write(&counted, 0)?;
    driver.write(&longest, 0)?;
    // Without a count, it is a block that the adapter does not know.
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 9, 1, 2, 3], 1)?;
    driver.daemon.stop()?;
    busybox("rmmod i2c-stub")?;

    add_stub("chip_addr=0x50 functionality=0x0f1f0000")?;
    let mut driver = Driver::new(&args)?;
    // Here it is one of bytes, the first of which is the count.
    driver.write(&counted, 0)?;
    driver.read(0xa0, &[0x10], &[3])?;
    // That would be 33, which is too many: it goes as a block with a count.
    driver.write(&longest, 0)?;
    driver.read(0xa0, &[0x10], &[32])?;
    driver.daemon.stop()?;
    Ok(())
}

/// Linux gives an adapter that comes the lowest number that is free.
fn another_adapter_with_the_same_number_is_not_reached() -> Result<()> {
    let mut driver = Driver::new(&["--device", "0", "--addresses", "0x50"])?;
    busybox(UNBIND)?;
    add_stub(CHIPS)?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 1)?;
    busybox("rmmod i2c-stub")?;
    busybox(BIND)?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    driver.daemon.stop()?;
    Ok(())
}

fn transactions_reach_an_adapter_that_knows_i2c() -> Result<()> {
    let mut driver = Driver::new(&["--device", "0", "--addresses", "0x48-0x50"])?;
    // Four bytes of a page: no command of SMBus's on this way.
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 2, 3, 4], 0)?;
    driver.read(0xa0, &[0x10], &[1, 2, 3, 4])?;
    driver.read(0xa0, &[0x12], &[3, 4])?;
    // Two chips in one transaction: a pointer, and the sensor's limit.
    let point = [0xa0, 0, 0, 0, 1, 0, 0, 0, 0x11];
    let register = [0x90, 0, 0, 0, 1, 0, 0, 0, 3];
    let both = driver.ask([
        (&point, 1),
        (&register, 1),
        (&[0xa0, 0, 0, 0, 3, 0, 0, 0], 3),
        (&[0x90, 0, 0, 0, 2, 0, 0, 0], 3),
    ])?;
    let expected = [vec![0], vec![0], vec![2, 3, 0], vec![0x50, 0, 0]];
    ensure!(both == expected, "two chips: {both:02x?}");
    // Quick, and nobody there.
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    driver.write(&[0x92, 0, 0, 0, 0, 0, 0, 0], 1)?;
    driver.daemon.stop()?;
    Ok(())
}

fn a_chip_with_a_driver_is_left_alone_unless_forced() -> Result<()> {
    let args = ["--device", "0", "--addresses", "0x50"];
    let mut driver = Driver::new(&args)?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    busybox("echo 24c02 0x50 >/sys/bus/i2c/devices/i2c-0/new_device")?;
    // At once, for a guest that had the chip before.
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 1)?;
    driver.daemon.stop()?;

    let refused = Driver::new(&args).err().context("started")?;
    let refused = format!("{refused:#}");
    ensure!(refused.contains("--addresses: 0x50 "), "{refused}");

    let mut driver = Driver::new(&[&args[..], &["--force"]].concat())?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    driver.daemon.stop()?;
    Ok(())
}

fn an_adapter_that_knows_i2c_comes_back_by_itself() -> Result<()> {
    let mut driver = Driver::new(&["--device", "0", "--addresses", "0x50"])?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    busybox(UNBIND)?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 1)?;
    busybox(BIND)?;
    driver.write(&[0xa0, 0, 0, 0, 0, 0, 0, 0], 0)?;
    driver.daemon.stop()?;
    Ok(())
}
