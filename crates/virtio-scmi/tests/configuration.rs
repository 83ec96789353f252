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
    refused_file(OSC, &["guests.toml:1: ", "no [[guest]]"]);
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
        &["guests.toml:9: ", "name: missing"],
    );
    clock("", &["guests.toml:9: ", "type: missing"]);
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
        &["guests.toml:12: ", "parents[1]: \"osc\" is there twice"],
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
        "type = 'divider'\nparent = 'osc'\ndividers = [2, 4, 2]",
        &["guests.toml:13: ", "dividers: 2 is there twice"],
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
        "rate = 5\nrange = { min = 5, max = 8, step = 2 }",
        &[
            "guests.toml:14: ",
            "range: not from a lowest",
            "in whole steps",
        ],
    );
    pll(
        "rate = 6\nrange = { min = 5, max = 9, step = 2 }",
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
fn a_sensor_measures_what_there_is_and_what_can_be_told() {
    let sensor = |kind: &str, keys: &str, words: &[&str]| {
        let keys = format!("type = '{kind}'\n{keys}");
        refused_part(&format!("[[sensor]]\nname = 's'\n{keys}"), words);
    };
    let coldest = "is not within -273150 to 2147483647, in thousandths of the unit";
    sensor(
        "temperature",
        "value = -273_151",
        &["guests.toml:12: ", &format!("value: -273151 {coldest}")],
    );
    // Linux has a temperature in an int.
    sensor(
        "temperature",
        "value = 9_999_000_000",
        &["guests.toml:12: ", &format!("value: 9999000000 {coldest}")],
    );
    sensor(
        "temperature",
        "value = -273_000\ndrift = 151",
        &["guests.toml:13: ", &format!("drift: -273151 {coldest}")],
    );
    sensor(
        "temperature",
        "value = 1\nclock = 'osc'\nload = 2_147_483_647",
        &["guests.toml:14: ", "load: 2147483648 is not within"],
    );
    sensor(
        "temperature",
        "value = 1\nclock = 'osc'",
        &[
            "guests.toml:13: ",
            "clock: load says how far it goes up with it",
        ],
    );
    sensor(
        "power",
        "value = -3_000_000_000",
        &[
            "guests.toml:12: ",
            "value: -3000000000 is not within -2147483648",
        ],
    );
    // 16 g.
    sensor(
        "acceleration",
        "value = [0, 0, 156_907]",
        &[
            "guests.toml:12: ",
            "value: 156907 is not within -156906 to 156906",
        ],
    );
    sensor(
        "acceleration",
        "value = [0, -156_906, 0]\ndrift = -1",
        &[
            "guests.toml:13: ",
            "drift: -156907 is not within -156906 to 156906",
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
        "range = { min = 4, max = 9, step = 2 }",
        &[
            "guests.toml:12: ",
            "range: not from a lowest",
            "in whole steps",
        ],
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
        &["guests.toml:9: ", "level: missing"],
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
            "clocks[0]: \"osc\" is guest a's, and not shared",
        ],
    );
    refused_guest(
        "clocks = ['c']",
        &[
            "guests.toml:12: ",
            "clocks[0]: no [[clock]] is called \"c\"",
        ],
    );
    refused_guest(
        "power-domains = ['c']",
        &["guests.toml:12: ", "power-domains[0]: no [[power-domain]]"],
    );
    refused_guest(
        "sensors = [{ name = 's', access = 'all' }]",
        &["guests.toml:12: ", "neither a name nor"],
    );
    refused_guest(
        "sensors = [{ access = 'look' }]",
        &["guests.toml:12: ", "neither a name nor"],
    );
    refused_guest("resets = 'r'", &["guests.toml:12: ", "not a list"]);
    refused_guest(
        "profile = '3.3'\nclocks = ['osc']",
        &["guests.toml:12: ", "3.3"],
    );
    refused_guest("simulate = true", &["guests.toml:12: ", "simulate"]);
    let shared = OSC.replace("24", "24\nshared = true");
    let twice = GUEST.replace("['osc']", "['osc', { name = 'osc', as = 'c' }]");
    refused_file(
        &format!("{shared}{twice}"),
        &["guests.toml:9: ", "clocks[1]: \"osc\" is there twice"],
    );
    let limit = GUEST.replace("'osc'", "{ name = 'osc', max = 25 }");
    refused_file(
        &format!("{shared}{limit}"),
        &[
            "guests.toml:9: ",
            "clocks[0]: \"osc\": min or max is beyond",
        ],
    );
    let alias = GUEST.replace("'osc'", "{ name = 'osc', as = 'a/b' }");
    refused_file(
        &format!("{shared}{alias}"),
        &["guests.toml:9: ", "clocks[0]: \"a/b\": a name has"],
    );
}

/// Voltage domains came with SCMI 3.0.
#[test]
fn a_guest_that_speaks_2_0_has_no_regulators() {
    let regulator = "[[regulator]]\nname = 'r'\nlevel = 5\n";
    let guest = GUEST.replace("clocks", "profile = '2.0'\nregulators = ['r']\nclocks");
    refused_file(
        &format!("{guest}{OSC}{regulator}"),
        &["guests.toml:5: ", "regulators: SCMI 2.0 has none, 3.0 has"],
    );
}

#[test]
fn limits_are_for_a_guest_that_sets_something() {
    for access in ["look", "switch"] {
        for limit in ["min", "max"] {
            let grant = format!("{{ name = 'osc', access = '{access}', {limit} = 24 }}");
            refused_file(
                &format!("{}{OSC}", GUEST.replace("'osc'", &grant)),
                &[
                    "guests.toml:4: ",
                    "clocks[0]: \"osc\": min and max are for access full",
                ],
            );
        }
    }
}

#[test]
fn the_example_is_served_and_each_guest_speaks_its_version() {
    let example = include_str!("../examples/soc.toml")
        .replace("/run/virtio/scmi", "DIR")
        .replace("profile = \"3.2\"", "profile = \"2.0\"")
        .replace("regulators = [\"vdd-sd\"]", "");
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

/// A part of a platform behind a guest and a clock, which are lines 1 to 8.
fn with_part(part: &str) -> String {
    format!("{GUEST}{OSC}{part}\n")
}

#[test]
fn odd_guests_are_told_what_is_allowed() {
    let second = |given: &str| {
        format!(
            "{}{OSC}",
            GUEST.replace("'osc'", &format!("'osc',\n{given}"))
        )
    };
    let given = "neither a name nor { name, as, access = \"look\", \"switch\" or \"full\", min, \
                 max, on, device }";
    testing::refused_with(
        DAEMON,
        &[
            (
                second("7"),
                &*format!("guests.toml:5: `7]`: clocks[1]: {given}"),
            ),
            (
                second("{ name = 'x', acces = 'look' }"),
                &format!("guests.toml:5: `{{ name = 'x', acces = 'look' }}]`: clocks[1]: {given}"),
            ),
            (
                second("'x'"),
                "guests.toml:5: `'x']`: clocks[1]: no [[clock]] is called \"x\"",
            ),
            (
                format!("{GUEST}profile = 3.2\n{OSC}"),
                "guests.toml:5: `profile = 3.2`: profile: none of 2.0, 3.0, 3.1, 3.2",
            ),
            (
                format!("{GUEST}trusted = 'yes'\n{OSC}"),
                "guests.toml:5: `trusted = 'yes'`: trusted: not true or false",
            ),
            (
                format!("control = 7\n{GUEST}{OSC}"),
                "guests.toml:1: `control = 7`: control: not a path in quotes",
            ),
        ],
    );
}

#[test]
fn odd_clocks_are_told_what_is_allowed() {
    let pll = |keys: &str| {
        with_part(&format!(
            "[[clock]]\nname = 'c'\ntype = 'pll'\nrate = 5\n{keys}"
        ))
    };
    testing::refused_with(
        DAEMON,
        &[
            (
                with_part("[clocks]"),
                "guests.toml:9: `[clocks]`: clocks: no such key: there are control, clock, \
                 sensor, reset, power-domain, regulator, max-guests, guest",
            ),
            (
                with_part("[[clock]]\nname = 'c'\ntype = 'quartz'"),
                "guests.toml:11: `type = 'quartz'`: type: none of oscillator, pll, divider, mux, \
                 gate",
            ),
            (
                with_part("[[clock]]\nname = 'c'\ntype = 'mux'\nparents = ['osc',\n'x']"),
                "guests.toml:13: `'x']`: parents[1]: no [[clock]] is called \"x\"",
            ),
            (
                pll("rates = [5,\n-6]"),
                "guests.toml:14: `-6]`: rates[1]: not a whole number from 0 on",
            ),
            (
                pll("range = { min = 5, max = 'x', step = 1 }"),
                "guests.toml:13: `range = { min = 5, max = 'x', step = 1 }`: range.max: not a \
                 whole number from 0 on",
            ),
            (
                pll("range = { min = 5, max = 8 }"),
                "guests.toml:13: `range = { min = 5, max = 8 }`: range.step: missing, and has no \
                 default",
            ),
        ],
    );
}

#[test]
fn odd_parts_are_told_what_is_allowed() {
    let sensor = |keys: &str| with_part(&format!("[[sensor]]\nname = 's'\ntype = 'power'\n{keys}"));
    testing::refused_with(
        DAEMON,
        &[
            (
                sensor("value = [1, 2]"),
                "guests.toml:12: `value = [1, 2]`: value: neither a whole number nor three of \
                 them",
            ),
            (
                sensor("value = 1\nintervals = [10,\n65536]"),
                "guests.toml:14: `65536]`: intervals[1]: not a whole number from 0 to 65535",
            ),
            (
                sensor("value = 1\ntrip-points = 256"),
                "guests.toml:13: `trip-points = 256`: trip-points: not a whole number from 0 to \
                 255",
            ),
            (
                with_part("[[regulator]]\nname = 'r'\nlevel = 3_000_000_000"),
                "guests.toml:11: `level = 3_000_000_000`: level: not a whole number from \
                 -2147483648 to 2147483647",
            ),
        ],
    );
}

#[test]
fn files_of_the_readme_are_served() {
    testing::readme_is_served(DAEMON, "scmi", &[]);
}
