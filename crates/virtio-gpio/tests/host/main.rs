// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon on chips of a real kernel, and programs on a real driver: a Linux guest plays the
//! host. `cargo xtask test` runs them; `cargo test` says so.

mod driver;
mod sim;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gpiocdev::Request;
use gpiocdev::line::{EdgeDetection, Value};
use xtask::device::Device;
use xtask::guest::Linux;
use xtask::host::{self, Play, busybox, hosted, hosted_on};
use xtask::trial::run;

use driver::{Driver, ERR, OK, REQUESTQ, configured, configured_in, daemon};
use sim::Sim;

/// How often a program in the guest changes a line and waits for the edge.
const TOGGLES: usize = 10_000;

fn main() -> ExitCode {
    let v1 = |name, inside: fn() -> Result<()>| hosted_on(name, lacks_v1, on_sim, inside);
    run(vec![
        hosted("lines_are_used_by_v2", on_sim, || lines_are_used("v2")),
        v1("lines_are_used_by_v1", || lines_are_used("v1")),
        hosted("interrupts_by_v2", on_sim, || interrupts("v2")),
        v1("interrupts_by_v1", || interrupts("v1")),
        hosted("a_line_is_taken_by_others_v2", on_sim, || taken("v2")),
        v1("a_line_is_taken_by_others_v1", || taken("v1")),
        hosted("a_chip_comes_back_by_itself_v2", on_sim, || returns("v2")),
        v1("a_chip_comes_back_by_itself_v1", || returns("v1")),
        hosted("an_output_comes_back_by_itself_v2", on_sim, || {
            output_returns("v2")
        }),
        v1("an_output_comes_back_by_itself_v1", || output_returns("v1")),
        hosted("another_chip_at_its_path_is_not_used_v2", on_sim, || {
            another_chip("v2")
        }),
        v1("another_chip_at_its_path_is_not_used_v1", || {
            another_chip("v1")
        }),
        hosted("safe_states_are_applied_v2", on_sim, || safe_states("v2")),
        v1("safe_states_are_applied_v1", || safe_states("v1")),
        hosted(
            "a_safe_state_is_applied_though_no_guest_came",
            on_sim,
            no_guest_came,
        ),
        hosted("a_safe_state_waits_for_its_chip_v2", on_sim, || {
            a_safe_state_waits("v2")
        }),
        v1("a_safe_state_waits_for_its_chip_v1", || {
            a_safe_state_waits("v1")
        }),
        hosted("an_output_has_no_pulse", on_sim, an_output_has_no_pulse),
        hosted_on(
            "a_kernel_without_v1_is_said_to_have_none",
            has_v1,
            on_sim,
            a_kernel_without_v1_is_said_to_have_none,
        ),
        hosted("the_newest_abi_is_taken", on_sim, the_newest_abi_is_taken),
        hosted(
            "a_name_that_lines_share_is_no_lines",
            on_sim,
            a_name_that_lines_share_is_no_lines,
        ),
        hosted("settings_reach_the_chip", on_sim, settings_reach_the_chip),
        hosted("no_edge_is_lost", on_virtio, no_edge_is_lost),
    ])
}

/// The default configuration of Linux 7.3 is without the first ABI.
fn lacks_v1(linux: Linux) -> Option<&'static str> {
    (linux != Linux::V6_12).then_some("the guest's kernel has no GPIO ABI v1")
}

fn has_v1(linux: Linux) -> Option<&'static str> {
    (linux == Linux::V6_12).then_some("the guest's kernel has GPIO ABI v1")
}

fn on_sim(play: Play<'_>) -> Result<()> {
    let mut guest = host::boot(&[])?;
    play(&mut guest)?;
    guest.power_off()?;
    Ok(())
}

fn on_virtio(play: Play<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let simulated = daemon(&folder, &["--simulate"])?;
    let mut guest = host::boot(&[(&Device::of("virtio-gpio")?, simulated.socket())])?;
    let before = simulated.resources()?;
    play(&mut guest)?;
    simulated.expect_resources(before)?;
    guest.power_off()?;
    simulated.stop()?;
    Ok(())
}

fn lines_are_used(abi: &str) -> Result<()> {
    let sim = Sim::new()?;
    let mut driver = Driver::on(&sim, abi)?;
    // An input, which somebody drives.
    driver.ask([3, 0, 0, 0, 2, 0, 0, 0], OK)?;
    driver.ask([4, 0, 0, 0, 0, 0, 0, 0], [0, 0])?;
    sim.drive(0, true)?;
    driver.ask([4, 0, 0, 0, 0, 0, 0, 0], [0, 1])?;
    ensure!(sim.consumer(0)?.as_deref() == Some("virtio-gpio:gpio"));
    // An output.
    driver.ask([5, 0, 1, 0, 1, 0, 0, 0], OK)?;
    ensure!(sim.consumer(1)?.is_none(), "requested before it is used");
    driver.ask([3, 0, 1, 0, 1, 0, 0, 0], OK)?;
    ensure!(sim.value(1)?);
    driver.ask([5, 0, 1, 0, 0, 0, 0, 0], OK)?;
    ensure!(!sim.value(1)?);
    driver.ask([4, 0, 1, 0, 0, 0, 0, 0], [0, 0])?;
    // And back.
    driver.ask([3, 0, 1, 0, 2, 0, 0, 0], OK)?;
    sim.drive(1, true)?;
    driver.ask([4, 0, 1, 0, 0, 0, 0, 0], [0, 1])?;
    // A line without a direction can be read, and is nobody's.
    sim.drive(2, true)?;
    driver.ask([4, 0, 2, 0, 0, 0, 0, 0], [0, 1])?;
    ensure!(sim.consumer(2)?.is_none());
    for line in [0, 1] {
        driver.ask([3, 0, line, 0, 0, 0, 0, 0], OK)?;
        ensure!(sim.consumer(line.into())?.is_none(), "not let go");
    }
    driver.daemon.stop()?;
    Ok(())
}

fn interrupts(abi: &str) -> Result<()> {
    let sim = Sim::new()?;
    let mut driver = Driver::on(&sim, abi)?;
    // Edges: rising, falling, both; armed, and latched while they are not.
    for (kind, edges) in [(1, [true, false]), (2, [false, true]), (3, [true, true])] {
        sim.drive(0, false)?;
        driver.ask([6, 0, 0, 0, kind, 0, 0, 0], OK)?;
        driver.unmask(0)?;
        for (level, told) in [true, false].into_iter().zip(edges) {
            sim.drive(0, level)?;
            if told {
                driver.interrupt()?;
                driver.unmask(0)?;
            }
            ensure!(!driver.has_interrupt()?, "an interrupt of type {kind}");
        }
        // Disabled, the buffers come back, and what comes after is nobody's.
        driver.ask([6, 0, 0, 0, 0, 0, 0, 0], OK)?;
        driver.interrupt()?;
        driver.ask([6, 0, 0, 0, kind, 0, 0, 0], OK)?;
        for level in [true, false, true, false] {
            sim.drive(0, level)?;
        }
        driver.unmask(0)?;
        driver.interrupt()?;
        driver.unmask(0)?;
        ensure!(!driver.has_interrupt()?, "latched twice");
        driver.ask([6, 0, 0, 0, 0, 0, 0, 0], OK)?;
        driver.interrupt()?;
    }
    // Levels: for as long as they are active.
    for (kind, active) in [(4, true), (8, false)] {
        sim.drive(1, active)?;
        driver.ask([6, 0, 1, 0, kind, 0, 0, 0], OK)?;
        for _ in 0..3 {
            driver.unmask(1)?;
            driver.interrupt()?;
        }
        sim.drive(1, !active)?;
        driver.unmask(1)?;
        ensure!(!driver.has_interrupt()?, "an inactive level");
        sim.drive(1, active)?;
        driver.interrupt()?;
        driver.ask([6, 0, 1, 0, 0, 0, 0, 0], OK)?;
    }
    // Input again, and another type, while it is armed.
    sim.drive(0, false)?;
    driver.ask([6, 0, 0, 0, 1, 0, 0, 0], OK)?;
    driver.unmask(0)?;
    driver.ask([3, 0, 0, 0, 2, 0, 0, 0], OK)?;
    driver.ask([6, 0, 0, 0, 3, 0, 0, 0], OK)?;
    sim.drive(0, true)?;
    driver.interrupt()?;
    driver.daemon.stop()?;
    Ok(())
}

fn taken(abi: &str) -> Result<()> {
    let sim = Sim::new()?;
    let mut driver = Driver::on(&sim, abi)?;
    let other = sim.request(0, "somebody-else")?;
    for request in [
        [3, 0, 0, 0, 1, 0, 0, 0],
        [3, 0, 0, 0, 2, 0, 0, 0],
        [4, 0, 0, 0, 0, 0, 0, 0],
        [6, 0, 0, 0, 1, 0, 0, 0],
    ] {
        driver.ask(request, ERR)?;
    }
    driver.daemon.wait_for("line 0: used by somebody-else")?;
    let taken = Driver::on(&sim, abi).err().context("started")?;
    let said = format!("{taken:#}");
    ensure!(
        said.contains("--lines: line 0: used by somebody-else"),
        "{said}"
    );
    drop(other);
    driver.ask([3, 0, 0, 0, 1, 0, 0, 0], OK)?;
    let log = driver.daemon.stop()?;
    ensure!(log.matches("warn: ").count() == 1, "said twice:\n{log}");
    Ok(())
}

fn returns(abi: &str) -> Result<()> {
    let mut sim = Sim::new()?;
    let args = ["--device", "board", "--gpio-abi", abi, "--lines", "0-3"];
    let mut driver = Driver::new(&args)?;
    driver.ask([6, 0, 0, 0, 1, 0, 0, 0], OK)?;
    driver.unmask(0)?;
    driver.ask([5, 0, 1, 0, 1, 0, 0, 0], OK)?;
    for line in [1, 2] {
        driver.ask([3, 0, line, 0, 1, 0, 0, 0], OK)?;
    }
    ensure!(sim.value(1)?);

    // Linux 6.12 warns, of itself, when a chip goes whose interrupts somebody has.
    busybox("dmesg -n 1")?;
    sim.remove()?;
    driver.daemon.wait_for("board: the chip is gone")?;
    driver.ask([4, 0, 0, 0, 0, 0, 0, 0], ERR)?;
    driver.ask([5, 0, 1, 0, 0, 0, 0, 0], ERR)?;
    driver.ask([5, 0, 2, 0, 1, 0, 0, 0], ERR)?;

    sim.put_back()?;
    for line in [1, 2] {
        sim.drive(line, true)?;
    }
    driver.daemon.wait_for("board: the chip is back")?;
    // At what was asked for last.
    driver.ask([4, 0, 1, 0, 0, 0, 0, 0], [0, 0])?;
    ensure!(!sim.value(1)?, "the output is not driven low");
    driver.ask([4, 0, 2, 0, 0, 0, 0, 0], [0, 1])?;
    sim.drive(2, false)?;
    ensure!(sim.value(2)?, "the output is not driven high");
    // The interrupt is still enabled, and the buffers still wait.
    driver.ask([4, 0, 0, 0, 0, 0, 0, 0], [0, 0])?;
    sim.drive(0, true)?;
    driver.interrupt()?;
    driver.daemon.stop()?;
    Ok(())
}

/// The guest asks for nothing meanwhile.
fn output_returns(abi: &str) -> Result<()> {
    let mut sim = Sim::new()?;
    let args = ["--device", "board", "--gpio-abi", abi, "--lines", "0-3"];
    let mut driver = Driver::new(&args)?;
    driver.ask([5, 0, 1, 0, 1, 0, 0, 0], OK)?;
    driver.ask([3, 0, 1, 0, 1, 0, 0, 0], OK)?;
    sim.remove()?;
    driver.daemon.wait_for("the chip is gone")?;
    sim.put_back()?;
    driver.daemon.wait_for("the chip is back")?;
    ensure!(sim.value(1)?);
    driver.daemon.stop()?;
    Ok(())
}

/// The guest goes while the chip is not there.
fn a_safe_state_waits(abi: &str) -> Result<()> {
    let mut sim = Sim::new()?;
    let lines = "[[guest.line]]
        line = 0
        on-disconnect = 'high'";
    let mut driver = configured(abi, lines)?;
    driver.ask([3, 0, 0, 0, 1, 0, 0, 0], OK)?;
    busybox("dmesg -n 1")?;
    sim.remove()?;
    driver.ask([4, 0, 0, 0, 0, 0, 0, 0], ERR)?;
    let mut next = driver.next()?;
    next.ask([2, 0, 0, 0, 0, 0, 0, 0], OK)?;
    sim.put_back()?;
    next.daemon.wait_for("board: the chip is back")?;
    ensure!(sim.value(0)?, "not high");
    next.daemon.stop()?;
    Ok(())
}

/// Linux gives the numbers of chips again.
fn another_chip(abi: &str) -> Result<()> {
    let mut sim = Sim::new()?;
    let mut driver = Driver::on(&sim, abi)?;
    driver.ask([5, 0, 1, 0, 1, 0, 0, 0], OK)?;
    let path = sim.device()?;
    sim.remove()?;
    let other = Sim::called("other")?;
    ensure!(other.device()? == path, "another number");
    driver.ask([3, 0, 1, 0, 1, 0, 0, 0], ERR)?;
    driver.daemon.wait_for("another chip has this path now")?;
    ensure!(!other.value(1)?, "the other chip is driven");
    driver.ask([4, 0, 1, 0, 0, 0, 0, 0], ERR)?;
    other.remove()?;
    sim.put_back()?;
    driver.ask([3, 0, 1, 0, 1, 0, 0, 0], OK)?;
    ensure!(sim.value(1)?);
    driver.daemon.stop()?;
    Ok(())
}

/// What is left behind: outputs driven high and an interrupt armed, by guests that are reset and
/// that are killed.
fn safe_states(abi: &str) -> Result<()> {
    let sim = Sim::new()?;
    let lines = "[[guest.line]]
        line = 0
        [[guest.line]]
        line = 1
        [[guest.line]]
        line = 2
        on-reset = 'low'
        on-disconnect = 'high'
        [[guest.line]]
        line = 3
        on-reset = 'keep'
        on-disconnect = 'low'";
    let mut driver = configured(abi, lines)?;
    // Whether lines are high, and whether somebody has them.
    let state = || {
        let line = |line| Ok((sim.value(line)?, sim.consumer(line)?.is_some()));
        (0..4).map(line).collect::<Result<Vec<_>>>()
    };
    let check = |expected: [(bool, bool); 4]| {
        let state = state()?;
        ensure!(state == expected, "{state:?}, not {expected:?}");
        Ok(())
    };
    let (high, low, free) = ((true, true), (false, true), (false, false));

    driver.use_lines()?;
    check([low, high, high, high])?;
    driver.vm.reboot()?;
    driver.ask([2, 0, 3, 0, 0, 0, 0, 0], OK)?;
    check([free, free, low, high])?;

    driver.use_lines()?;
    check([low, high, high, high])?;
    let mut next = driver.next()?;
    next.ask([2, 0, 3, 0, 0, 0, 0, 0], OK)?;
    check([free, free, high, low])?;

    next.use_lines()?;
    next.daemon.stop()?;
    // This chip does not go on driving what was let go.
    check([free, free, free, free])
}

fn no_guest_came() -> Result<()> {
    let sim = Sim::new()?;
    sim.drive(0, true)?;
    let lines = "[[guest.line]]
        line = 0
        initial = 'high'
        on-disconnect = 'low'";
    let folder = tempfile::tempdir()?;
    let daemon = configured_in(&folder, "v2", lines)?;
    ensure!(sim.value(0)?);
    let trace = sim.trace(|| {
        daemon.stop()?;
        Ok(())
    })?;
    ensure!(trace == ["set 0"], "{trace:?}");
    Ok(())
}

fn an_output_has_no_pulse() -> Result<()> {
    let sim = Sim::new()?;
    let mut driver = Driver::on(&sim, "v2")?;
    sim.drive(0, true)?;
    let trace = sim.trace(|| {
        driver.ask([3, 0, 0, 0, 2, 0, 0, 0], OK)?;
        driver.ask([5, 0, 0, 0, 1, 0, 0, 0], OK)?;
        driver.ask([3, 0, 0, 0, 1, 0, 0, 0], OK)
    })?;
    // An input, and then an output whose first value is high.
    let said: Vec<_> = trace.iter().map(String::as_str).collect();
    ensure!(said == ["in", "set 1", "out"], "{trace:?}");
    driver.daemon.stop()?;
    Ok(())
}

fn the_newest_abi_is_taken() -> Result<()> {
    let sim = Sim::new()?;
    for device in [
        sim.device()?,
        sim.number()?,
        sim.name()?,
        "board".to_owned(),
    ] {
        let driver = Driver::new(&["--device", &device, "--lines", "0-3"])?;
        let log = driver.daemon.stop()?;
        ensure!(log.contains(&format!("{device}: GPIO ABI v2")), "{log}");
    }
    Ok(())
}

fn a_name_that_lines_share_is_no_lines() -> Result<()> {
    let sim = Sim::new()?;
    let mut driver = Driver::new(&["--device", &sim.device()?, "--lines", "led,6-7"])?;
    let ring = driver.vm.rings.get_mut(REQUESTQ).context("no ring")?;
    let names = ring.ask(&[&[1, 0, 0, 0, 0, 0, 0, 0]], &[7]);
    ensure!(names.as_deref() == Some(b"\0led\0\0\0"), "{names:?}");
    driver.daemon.stop()?;
    let args = ["--device", &sim.device()?, "--lines", "twice"];
    let refused = Driver::new(&args).err().context("started")?;
    let said = format!("{refused:#}");
    ensure!(
        said.contains("--lines: more than one line has the name"),
        "{said}"
    );
    Ok(())
}

fn settings_reach_the_chip() -> Result<()> {
    let sim = Sim::new()?;
    let lines = "[[guest.line]]
        line = 'led'
        active-low = true
        initial = 'high'
        [[guest.line]]
        line = 3
        bias = 'pull-up'
        debounce = 1000
        [[guest.line]]
        line = 4
        drive = 'open-drain'";
    sim.drive(2, true)?;
    let mut driver = configured("auto", lines)?;
    ensure!(!sim.value(2)?, "high, which is low");
    driver.ask([3, 0, 0, 0, 2, 0, 0, 0], OK)?;
    sim.drive(2, true)?;
    driver.ask([4, 0, 0, 0, 0, 0, 0, 0], [0, 0])?;
    // The chip knows no bias, but Linux says so of a line; the debounced edge comes.
    driver.ask([6, 0, 1, 0, 1, 0, 0, 0], OK)?;
    driver.unmask(1)?;
    let info = sim.info(3)?;
    ensure!(info.bias == Some(gpiocdev::line::Bias::PullUp), "{info:?}");
    ensure!(
        info.debounce_period == Some(Duration::from_millis(1)),
        "{info:?}"
    );
    driver.ask([3, 0, 2, 0, 1, 0, 0, 0], OK)?;
    let info = sim.info(4)?;
    ensure!(
        info.drive == Some(gpiocdev::line::Drive::OpenDrain),
        "{info:?}"
    );
    driver.daemon.stop()?;
    Ok(())
}

fn a_kernel_without_v1_is_said_to_have_none() -> Result<()> {
    let sim = Sim::new()?;
    let refused = Driver::on(&sim, "v1").err().context("started")?;
    let said = format!("{refused:#}");
    ensure!(
        said.contains("this kernel has no GPIO ABI v1 (CONFIG_GPIO_CDEV_V1)"),
        "{said}"
    );
    // The ABI that it has serves, also if none is named.
    for abi in ["v2", "auto"] {
        let mut driver = Driver::on(&sim, abi)?;
        driver.ask([3, 0, 0, 0, 1, 0, 0, 0], OK)?;
        driver.daemon.stop()?;
    }
    Ok(())
}

/// A program in a guest, on the guest's driver and the daemon's simulated lines: it drives out0, and
/// waits for the edge of in0 each time.
fn no_edge_is_lost() -> Result<()> {
    let chip = gpiocdev::find_named_line("out0")
        .context("no line out0")?
        .chip;
    let output = Request::builder()
        .on_chip(&chip)
        .with_line(0)
        .as_output(Value::Inactive)
        .request()?;
    let input = Request::builder()
        .on_chip(&chip)
        .with_line(4)
        .with_edge_detection(EdgeDetection::BothEdges)
        .request()?;
    let mut value = Value::Inactive;
    for count in 0..TOGGLES {
        value = value.not();
        output.set_lone_value(value)?;
        let seen = input.wait_edge_event(Duration::from_secs(10))?;
        ensure!(seen, "the edge to {value:?} was lost after {count}");
        input.read_edge_event()?;
        // gpio-keys reads the line before it believes the edge.
        ensure!(input.lone_value()? == value, "read wrong after {count}");
    }
    ensure!(!input.has_edge_event()?, "an edge too many");
    Ok(())
}
