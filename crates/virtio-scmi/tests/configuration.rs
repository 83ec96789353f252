// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the command line and the configuration file say of the platform, and of what guests are given.

use std::fs;
use std::process::Command;

use virtio_backend::testing::{self, Program, Vm, feature};

const DAEMON: &str = env!("CARGO_BIN_EXE_vhost-user-scmi");

const GUEST: &str = "[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\nclocks = ['osc']\n";
const OSC: &str = "[[clock]]\nname = 'osc'\ntype = 'oscillator'\nrate = 24\n";

#[track_caller]
fn refused_file(text: &str, words: &[&str]) {
    testing::refused_file(DAEMON, text, words);
}

/// What is wrong with this part of a platform, which begins in line 9 and has its first key in line 10.
#[track_caller]
fn refused_part(part: &str, words: &[&str]) {
    refused_file(&format!("{GUEST}{OSC}{part}\n"), words);
}

/// What is wrong with the second guest, whose keys begin in line 12.
#[track_caller]
fn refused_guest(keys: &str, words: &[&str]) {
    let guest = "[[guest]]\nname = 'b'\nsocket = '/run/nowhere/b'";
    refused_part(&format!("{guest}\n{keys}"), words);
}

#[test]
fn a_daemon_has_a_file_or_simulates() {
    let neither = testing::run(DAEMON, &["--socket-path", "/run/nowhere/a"]);
    testing::refused(&neither, &["--simulate: say that, or which --config"]);
    refused_file(OSC, &["guests.toml: no [[guest]]"]);
    refused_file(
        &format!("control = '/dev/null'\n{GUEST}{OSC}"),
        &["guests.toml:1: ", "control: /dev/null: not a FIFO"],
    );
}

#[test]
fn mistakes_in_a_clock_are_named_by_line_and_key() {
    let clock =
        |keys: &str, words: &[&str]| refused_part(&format!("[[clock]]\nname = 'c'\n{keys}"), words);
    refused_part(
        "[[clock]]\nname = 'osc'\ntype = 'gate'",
        &["guests.toml:10: ", "name: another one of its kind"],
    );
    refused_part(
        "[[clock]]\nname = 'a b'\ntype = 'gate'",
        &["guests.toml:10: ", "name: a name has 1 to 63"],
    );
    refused_part(
        "[[clock]]\ntype = 'gate'",
        &["guests.toml:9: ", "missing field `name`"],
    );
    clock("", &["guests.toml:9: ", "missing field `type`"]);
    clock("type = 'quartz'", &["guests.toml:11: ", "quartz"]);
    clock(
        "type = 'gate'\ncolour = 'red'",
        &["guests.toml:12: ", "colour"],
    );
    clock(
        "type = 'oscillator'",
        &["guests.toml:9: ", "rate: needed for type oscillator"],
    );
    clock(
        "type = 'oscillator'\nrate = 0",
        &["guests.toml:12: ", "rate: needed for type oscillator"],
    );
    clock(
        "type = 'oscillator'\nrate = 1\nparent = 'osc'",
        &["guests.toml:13: ", "parent: no oscillator has that"],
    );
    clock(
        "type = 'gate'\nparent = 'osc'\nlock-time = 1",
        &["guests.toml:13: ", "lock-time: no gate has that"],
    );
    clock(
        "type = 'gate'",
        &["guests.toml:9: ", "parent: needed for type gate"],
    );
}

#[test]
fn a_clock_comes_from_clocks_that_there_are() {
    let clock = |keys: &str, words: &[&str]| {
        refused_part(&format!("[[clock]]\nname = 'c'\n{keys}"), words);
    };
    clock(
        "type = 'gate'\nparent = 'cso'",
        &["guests.toml:12: ", "parent: no [[clock]] is called \"cso\""],
    );
    clock(
        "type = 'gate'\nparent = 'c'",
        &["guests.toml:12: ", "parent: it would come from itself"],
    );
    clock(
        "type = 'mux'\nparents = ['osc', 'c']",
        &["guests.toml:12: ", "parents: it would come from itself"],
    );
    clock(
        "type = 'mux'\nparents = ['osc', 'osc']",
        &["guests.toml:12: ", "parents: \"osc\" is there twice"],
    );
    clock(
        "type = 'mux'\nparents = ['osc']\nparent = 'c'",
        &["guests.toml:13: ", "parent: not one of its parents"],
    );
    clock(
        "type = 'mux'",
        &["guests.toml:9: ", "parents: needed for type mux"],
    );
    clock(
        "type = 'divider'\nparent = 'osc'",
        &["guests.toml:9: ", "dividers: a divider has some"],
    );
    clock(
        "type = 'divider'\nparent = 'osc'\ndividers = [2, 0]",
        &["guests.toml:13: ", "dividers: a divider has some"],
    );
    clock(
        "type = 'divider'\nparent = 'osc'\ndividers = [2, 25]",
        &["guests.toml:13: ", "dividers: they leave nothing"],
    );
}

#[test]
fn mistakes_in_a_pll_are_named_by_line_and_key() {
    let pll = |keys: &str, words: &[&str]| {
        refused_part(
            &format!("[[clock]]\nname = 'c'\ntype = 'pll'\nparent = 'osc'\n{keys}"),
            words,
        );
    };
    pll(
        "rate = 5",
        &["guests.toml:9: ", "rates: a pll has some, or a range"],
    );
    pll(
        "rates = [5]",
        &["guests.toml:9: ", "rate: needed for type pll"],
    );
    pll(
        "rate = 5\nrates = [6]",
        &["guests.toml:13: ", "rate: not one that it can be set to"],
    );
    pll(
        "rate = 5\nrates = [6, 5]",
        &["guests.toml:14: ", "rates: not ascending"],
    );
    pll(
        "rate = 5\nrates = [0, 5]",
        &["guests.toml:14: ", "rates: not ascending"],
    );
    pll(
        "rate = 5\nrange = { min = 6, max = 5, step = 1 }",
        &["guests.toml:14: ", "range: not from a lowest"],
    );
    pll(
        "rate = 5\nrange = { min = 5, max = 6, step = 0 }",
        &["guests.toml:14: ", "range: not from a lowest"],
    );
    pll(
        "rate = 6\nrange = { min = 5, max = 8, step = 2 }",
        &["guests.toml:13: ", "rate: not one that"],
    );
    pll(
        "rate = 5\nrates = [5]\nrange = { min = 5, max = 5, step = 1 }",
        &["guests.toml:15: ", "range: it has rates"],
    );
    pll(
        "rate = 5\nrates = [5]\nlock-time = 1_800_001",
        &["guests.toml:15: ", "lock-time: more than 1.8 s"],
    );
}

#[test]
fn mistakes_in_a_sensor_are_named_by_line_and_key() {
    let sensor = |keys: &str, words: &[&str]| {
        refused_part(&format!("[[sensor]]\nname = 's'\n{keys}"), words);
    };
    sensor(
        "type = 'temperature'",
        &["guests.toml:9: ", "value: one number is needed"],
    );
    sensor(
        "type = 'temperature'\nvalue = [1, 2, 3]",
        &["guests.toml:12: ", "value: one number is needed"],
    );
    sensor(
        "type = 'temperature'\nvalue = 1.5",
        &["guests.toml:12: ", "neither a whole number nor three"],
    );
    sensor(
        "type = 'acceleration'\nvalue = 1",
        &["guests.toml:12: ", "value: three are needed"],
    );
    let temperature = |keys: &str, words: &[&str]| {
        sensor(&format!("type = 'temperature'\nvalue = 1\n{keys}"), words);
    };
    temperature("load = 1", &["guests.toml:13: ", "load: of which clock?"]);
    temperature(
        "clock = 'c'",
        &["guests.toml:13: ", "clock: no [[clock]] is called \"c\""],
    );
    temperature(
        "regulator = 'r'",
        &["guests.toml:13: ", "regulator: only type voltage has that"],
    );
    temperature(
        "trip-points = 9",
        &["guests.toml:13: ", "trip-points: at most 8"],
    );
    temperature(
        "intervals = [9]",
        &["guests.toml:13: ", "intervals: not ascending, from 10 on"],
    );
    temperature(
        "intervals = [20, 10]",
        &["guests.toml:13: ", "intervals: not ascending"],
    );
    temperature("intervals = [65536]", &["guests.toml:13: ", "65536"]);
    sensor(
        "type = 'voltage'\nregulator = 'r'",
        &[
            "guests.toml:12: ",
            "regulator: no [[regulator]] is called \"r\"",
        ],
    );
}

#[test]
fn mistakes_in_the_rest_are_named_by_line_and_key() {
    refused_part(
        "[[reset]]\nname = 'r'\nlatency = 1_800_001",
        &["guests.toml:11: ", "latency: more than 1.8 s"],
    );
    refused_part(
        "[[power-domain]]\nname = 'p'\nparent = 'q'",
        &["guests.toml:11: ", "parent: no [[power-domain]]"],
    );
    let circle =
        "[[power-domain]]\nname = 'p'\nparent = 'q'\n[[power-domain]]\nname = 'q'\nparent = 'p'";
    refused_part(
        circle,
        &["guests.toml:11: ", "parent: it would be within itself"],
    );
    let regulator = |keys: &str, words: &[&str]| {
        refused_part(
            &format!("[[regulator]]\nname = 'r'\nlevel = 5\n{keys}"),
            words,
        );
    };
    regulator(
        "levels = [5, 4]",
        &["guests.toml:12: ", "levels: not ascending"],
    );
    regulator(
        "levels = [4]",
        &["guests.toml:11: ", "level: not one that it can be set to"],
    );
    regulator(
        "range = { min = 4, max = 8, step = 2 }",
        &["guests.toml:11: ", "level: not one that"],
    );
    regulator(
        "range = { min = 5, max = 4, step = 1 }",
        &["guests.toml:12: ", "range: not from a lowest"],
    );
    regulator(
        "levels = [5]\nrange = { min = 5, max = 5, step = 1 }",
        &["guests.toml:13: ", "range: it has levels"],
    );
    regulator(
        "ramp = 1\nlevels = [5, 1806]",
        &["guests.toml:12: ", "ramp: more than 1.8 s"],
    );
    refused_part(
        "[[regulator]]\nname = 'r'",
        &["guests.toml:9: ", "missing field `level`"],
    );
    refused_part("[[fan]]\nname = 'f'", &["guests.toml:9: ", "fan"]);
}

#[test]
fn mistakes_in_a_guest_are_named_by_line_and_key() {
    refused_guest(
        "",
        &["guests.toml:10: ", "name: this guest is given nothing"],
    );
    refused_guest(
        "clocks = ['osc']",
        &[
            "guests.toml:12: ",
            "clocks: \"osc\" is guest a's, and not shared",
        ],
    );
    refused_guest(
        "clocks = ['c']",
        &["guests.toml:12: ", "clocks: no [[clock]] is called \"c\""],
    );
    refused_guest(
        "power-domains = ['c']",
        &["guests.toml:12: ", "power-domains: no [[power-domain]]"],
    );
    refused_guest(
        "sensors = [{ name = 's', access = 'all' }]",
        &["guests.toml:12: ", "neither a name nor"],
    );
    refused_guest(
        "sensors = [{ access = 'look' }]",
        &["guests.toml:12: ", "neither a name nor"],
    );
    refused_guest("resets = 'r'", &["guests.toml:12: ", "a sequence"]);
    refused_guest(
        "profile = '3.3'\nclocks = ['osc']",
        &["guests.toml:12: ", "3.3"],
    );
    refused_guest("simulate = true", &["guests.toml:12: ", "simulate"]);
    let shared = OSC.replace("24", "24\nshared = true");
    let twice = GUEST.replace("['osc']", "['osc', { name = 'osc', as = 'c' }]");
    refused_file(
        &format!("{shared}{twice}"),
        &["guests.toml:9: ", "clocks: \"osc\" is there twice"],
    );
    let limit = GUEST.replace("'osc'", "{ name = 'osc', max = 25 }");
    refused_file(
        &format!("{shared}{limit}"),
        &["guests.toml:9: ", "clocks: \"osc\": min or max is beyond"],
    );
    let alias = GUEST.replace("'osc'", "{ name = 'osc', as = 'a/b' }");
    refused_file(
        &format!("{shared}{alias}"),
        &["guests.toml:9: ", "clocks: \"a/b\": a name has"],
    );
}

#[test]
fn the_example_is_served_and_each_guest_speaks_its_version() {
    let example = include_str!("../examples/soc.toml")
        .replace("/run/virtio/scmi", "DIR")
        .replace("profile = \"3.2\"", "profile = \"2.0\"");
    let daemon = Program::configured(DAEMON, &example);
    // CLOCK PROTOCOL_VERSION, and how many clocks there are.
    for (guest, version, clocks) in [("cluster", [0, 0, 3, 0], 5), ("radio", [0, 0, 1, 0], 3)] {
        let socket = daemon.folder().join(format!("{guest}.sock"));
        let mut vm = Vm::boot(&socket, feature::ALL | 1, &[64, 64]).unwrap();
        let answer =
            |vm: &mut Vm, message| vm.rings[0].ask(&[&[message, 0x50, 0, 0]], &[136]).unwrap();
        assert_eq!(answer(&mut vm, 0)[8..], version);
        assert_eq!(answer(&mut vm, 1)[8], clocks);
    }
}

#[test]
fn somebody_outside_resets_a_guest_and_has_the_hardware_fail() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let fifo = Command::new("mkfifo").arg(&control).status();
    assert!(fifo.unwrap().success());
    let text = format!("control = '{}'\n{GUEST}{OSC}", control.display());
    let daemon = Program::configured(DAEMON, &text.replace("/run/nowhere", "DIR"));
    let mut vm = Vm::boot(&daemon.folder().join("a"), feature::ALL | 1, &[64, 64]).unwrap();
    let mut ask = |request: &[u8]| vm.rings[0].ask(&[request], &[136]).unwrap()[4..].to_vec();
    // CLOCK_CONFIG_SET, and CLOCK_CONFIG_GET, which says whether it is on.
    let on = [0x07, 0x50, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let is_on = [0x0b, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(ask(&on), [0, 0, 0, 0]);
    fs::write(&control, "reset a\n").unwrap();
    daemon.expect("info: control: reset a");
    assert_eq!(ask(&is_on)[8], 0);
    fs::write(&control, "fail\n").unwrap();
    daemon.expect("info: control: fail");
    // HARDWARE_ERROR.
    assert_eq!(ask(&on), [0xf7, 0xff, 0xff, 0xff]);
    fs::write(&control, "work\nreset\nreset b\n").unwrap();
    daemon.expect("info: control: work");
    daemon.expect("warn: control: \"reset\" is not reset GUEST, fail or work");
    daemon.expect("warn: control: no guest is called \"b\"");
    assert_eq!(ask(&on), [0, 0, 0, 0]);
}
