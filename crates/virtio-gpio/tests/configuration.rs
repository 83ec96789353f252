// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the command line and the configuration file say of chips and lines, and the control of
//! simulated ones.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs;
use std::process::Command;

use virtio_backend::testing::{self, Program, Vm, feature, refused_file, refused_with};

const DAEMON: &str = env!("CARGO_BIN_EXE_vhost-user-gpio");

#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    testing::refused(&testing::run(DAEMON, arguments), words);
}

const CHIP: &str = "[[chip]]\nname = 'board'\nsimulate = true\n";

#[track_caller]
fn refused_guest(guest: &str, words: &[&str]) {
    refused_file(
        DAEMON,
        &format!("{CHIP}[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\n{guest}"),
        words,
    );
}

#[track_caller]
fn refused_chip(chip: &str, words: &[&str]) {
    let guest = "[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\nchip = 'board'\n";
    refused_file(DAEMON, &format!("{guest}{chip}"), words);
}

#[test]
fn a_daemon_has_a_chip_or_simulates_one() {
    let socket = ["--socket-path", "/run/nowhere/a"];
    refused(&socket, &["--device: "]);
    let nowhere = [&socket[..], &["--device", "/dev/gpiochip-nowhere"]].concat();
    refused(&nowhere, &["--device: /dev/gpiochip-nowhere: No such file"]);
    let nobody = [&socket[..], &["--device", "nobody"]].concat();
    refused(&nobody, &["--device: nobody: no chip has the label"]);
}

#[test]
fn lines_are_those_that_the_chip_has() {
    let simulate = ["--socket-path", "/run/nowhere/a", "--simulate", "--lines"];
    let with = |lines, words: &[&str]| refused(&[&simulate[..], &[lines]].concat(), words);
    with("16", &["--lines: there is no line 16: the chip has 16"]);
    with("4-99", &["--lines: there is no line 99"]);
    with("5-4", &["--lines: 5 is above 4"]);
    with("nobody", &["--lines: no line has the name \"nobody\""]);
    for twice in ["4,4", "4,in0", "3-5,4", "in0,0-7"] {
        with(twice, &["--lines: line 4 is there twice"]);
    }
}

#[test]
fn a_simulated_chip_has_no_abi() {
    let v1 = [
        "--socket-path",
        "/run/nowhere/a",
        "--simulate",
        "--gpio-abi",
    ];
    for abi in ["v1", "v2"] {
        let words = "--gpio-abi: a simulated chip has none";
        refused(&[&v1[..], &[abi]].concat(), &[words]);
        let chip = format!("{CHIP}gpio-abi = '{abi}'\n");
        refused_chip(
            &chip,
            &["guests.toml:8: ", "gpio-abi: a simulated chip has none"],
        );
    }
}

#[test]
fn mistakes_in_a_guest_are_named_by_line_and_key() {
    refused_guest("", &["guests.toml:4: ", "chip: missing"]);
    refused_guest("chip = 'bored'\n", &["guests.toml:7: ", "chip: "]);
    refused_guest("chip = 'board'\nline = 4\n", &["guests.toml:8: ", "line"]);
    refused_guest(
        "chip = 'board'\nlines = [4, 16]\n",
        &["guests.toml:8: ", "lines[1]: there is no line 16"],
    );
    refused_guest(
        "chip = 'board'\nlines = [true]\n",
        &["guests.toml:8: ", "\"8-11\""],
    );
    refused_guest(
        "chip = 'board'\nsimulate = true\n",
        &["guests.toml:8: ", "simulate"],
    );
}

#[test]
fn mistakes_in_a_line_are_named_by_line_and_key() {
    let line = |line: &str, words: &[&str]| {
        refused_guest(&format!("chip = 'board'\n[[guest.line]]\n{line}\n"), words);
    };
    line("name = 'led'", &["guests.toml:8: ", "line: missing"]);
    line(
        "line = 16",
        &["guests.toml:9: ", "line: there is no line 16"],
    );
    line("line = '4-5'", &["guests.toml:9: ", "line: more than one"]);
    line("line = 4\nchip = 'bored'", &["guests.toml:10: ", "chip: "]);
    line("line = 4\non-reset = 'off'", &["guests.toml:10: ", "off"]);
    line(
        "line = 4\naccess = 'input'\non-reset = 'high'",
        &[
            "guests.toml:11: ",
            "on-reset: high drives what is only an input",
        ],
    );
    line(
        "line = 4\ndebounce = 5000",
        &["guests.toml:9: ", "simulated lines have no debounce"],
    );
    line("line = 4\nbias = 'up'", &["guests.toml:10: ", "up"]);
    line("line = 4\ncolour = 'red'", &["guests.toml:10: ", "colour"]);
    line(
        "line = 4\nname = 'led'\n[[guest.line]]\nline = 5\nname = 'led'",
        &["guests.toml:12: ", "another line has this name"],
    );
    line("line = 4\nname = 'käse'", &["guests.toml:9: ", "ASCII"]);
    line(
        "line = 4\n[[guest.line]]\nline = 'in0'",
        &["guests.toml:11: ", "line: line 4 is there twice"],
    );
}

#[test]
fn what_no_driver_can_have_of_a_line_is_refused() {
    let line = |line: &str, words: &[&str]| {
        let line = format!("chip = 'board'\n[[guest.line]]\nline = 4\n{line}\n");
        refused_guest(&line, words);
    };
    // Before there is a guest nobody uses the line: it is no input.
    let three = "none of keep, low, high";
    line("initial = 'input'", &["guests.toml:10: ", three]);
    for (key, value) in [
        ("initial", "low"),
        ("on-reset", "high"),
        ("on-disconnect", "low"),
    ] {
        let said = format!("{key}: {value} drives what is only an input");
        line(
            &format!("access = 'input'\n{key} = '{value}'"),
            &["guests.toml:11: ", &said],
        );
    }
    for drive in ["open-drain", "open-source"] {
        line(
            &format!("access = 'input'\ndrive = '{drive}'"),
            &["guests.toml:11: ", "drive: only outputs have one"],
        );
    }
    line(
        "access = 'output'\ndebounce = 5000",
        &["guests.toml:11: ", "debounce: only inputs have one"],
    );
}

#[test]
fn mistakes_in_a_chip_are_named_by_line_and_key() {
    refused_chip(
        "[[chip]]\nname = 'board'\n",
        &["guests.toml:5: ", "device: "],
    );
    refused_chip(
        "[[chip]]\nname = 'board'\nsimulate = true\ndevice = '1'\n",
        &["guests.toml:8: ", "device: "],
    );
    refused_chip(
        "[[chip]]\nname = 'board'\ndevice = '/dev/gpiochip-nowhere'\n",
        &["guests.toml:7: ", "device: /dev/gpiochip-nowhere: "],
    );
    refused_chip(
        "[[chip]]\nsimulate = true\n",
        &["guests.toml:5: ", "name: a chip has one"],
    );
    refused_chip(
        &format!("{CHIP}{CHIP}"),
        &["guests.toml:9: ", "name: another chip has this name"],
    );
    refused_chip(
        &format!("{CHIP}gpio-abi = 'v3'\n"),
        &["guests.toml:8: ", "v3"],
    );
    refused_chip(
        &format!("{CHIP}control = '/dev/null'\n"),
        &["guests.toml:8: ", "control: /dev/null: not a FIFO"],
    );
}

#[test]
fn two_guests_never_share_a_line() {
    let guest = |name, lines| {
        format!(
            "[[guest]]\nname = '{name}'\nsocket = '/run/nowhere/{name}'\nchip = 'board'\n{lines}\n"
        )
    };
    refused_file(
        DAEMON,
        &[
            CHIP,
            &guest("a", "lines = ['0-7']"),
            &guest("b", "lines = ['8-11', 'in3']"),
        ]
        .concat(),
        &["guests.toml:13: ", "lines[1]: line 7 is guest a's"],
    );
}

/// The guest at this socket.
fn boot(daemon: &Program, socket: &str) -> Vm {
    Vm::boot(&daemon.folder().join(socket), feature::ALL | 1, &[16, 16]).unwrap()
}

fn ask(vm: &mut Vm, request: [u8; 8]) -> Vec<u8> {
    vm.rings[0].ask(&[&request], &[2]).unwrap()
}

#[test]
fn guests_have_their_lines_from_0_on_by_the_names_they_are_given() {
    let daemon = Program::configured(
        DAEMON,
        "[[chip]]
         name = 'board'
         simulate = true
         [[guest]]
         name = 'a'
         socket = 'DIR/a'
         chip = 'board'
         lines = ['out0', '8-9']
         [[guest.line]]
         line = 'out1'
         name = 'relay'
         access = 'output'
         initial = 'high'
         [[guest]]
         name = 'b'
         socket = 'DIR/b'
         chip = 'board'
         lines = ['4-5']",
    );
    let [mut a, mut b] = ["a", "b"].map(|guest| boot(&daemon, guest));
    let names = a.rings[0].ask(&[&[1, 0, 0, 0, 0, 0, 0, 0]], &[28]);
    assert_eq!(names.unwrap(), b"\0out0\0button0\0button1\0relay\0");
    // What was there before the guest came.
    assert_eq!(ask(&mut b, [4, 0, 1, 0, 0, 0, 0, 0]), [0, 1]);
    assert_eq!(ask(&mut a, [3, 0, 3, 0, 2, 0, 0, 0]), [1, 0]);
    // One guest's output is wired to the other's input.
    assert_eq!(ask(&mut b, [4, 0, 0, 0, 0, 0, 0, 0]), [0, 0]);
    assert_eq!(ask(&mut a, [5, 0, 0, 0, 1, 0, 0, 0]), [0, 0]);
    assert_eq!(ask(&mut a, [3, 0, 0, 0, 1, 0, 0, 0]), [0, 0]);
    assert_eq!(ask(&mut b, [4, 0, 0, 0, 0, 0, 0, 0]), [0, 1]);
    assert_eq!(ask(&mut b, [2, 0, 2, 0, 0, 0, 0, 0]), [1, 0]);
}

#[test]
fn somebody_outside_presses_a_button() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let fifo = Command::new("mkfifo").arg(&control).status();
    assert!(fifo.unwrap().success());
    let text = "[[chip]]
         name = 'board'
         simulate = true
         control = 'CONTROL'
         [[guest]]
         name = 'a'
         socket = 'DIR/a'
         chip = 'board'
         lines = ['button0', 'button1']";
    let text = text.replace("CONTROL", control.to_str().unwrap());
    let daemon = Program::configured(DAEMON, &text);
    let mut vm = boot(&daemon, "a");
    assert_eq!(ask(&mut vm, [6, 0, 1, 0, 3, 0, 0, 0]), [0, 0]);
    for (command, level) in [("button1=high\n", 1), ("nonsense\nbutton1=free\n", 0)] {
        let pair = vm.memory.chain(&[&[1, 0]], &[1]);
        let head = vm.rings[1].add(&pair);
        vm.rings[1].push(head);
        vm.rings[1].notify();
        fs::write(&control, command).unwrap();
        let used = vm.rings[1].wait().unwrap();
        assert_eq!((used.id, used.len), (head.into(), 1));
        assert_eq!(ask(&mut vm, [4, 0, 1, 0, 0, 0, 0, 0]), [0, level]);
    }
    daemon.expect("warn: control: \"nonsense\" is not NAME=high");
    fs::write(&control, "nobody=low\n").unwrap();
    daemon.expect("warn: control: no line has the name \"nobody\"");
}

/// A guest with these keys, from line 5 on.
fn guest_with(keys: &str) -> String {
    format!("[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\nchip = 'board'\n{keys}")
}

#[test]
fn odd_lines_are_told_what_is_allowed() {
    let list = |element: &str| guest_with(&format!("lines = [\n1,\n{element},\n]\n{CHIP}"));
    let line = |keys: &str| guest_with(&format!("[[guest.line]]\nline = 4\n{keys}\n{CHIP}"));
    let no_line = "neither a line's number nor its name, nor a range, as \"8-11\"";
    refused_with(
        DAEMON,
        &[
            (
                list("true"),
                &*format!("guests.toml:7: `true,`: lines[1]: {no_line}"),
            ),
            (
                list("-1"),
                &format!("guests.toml:7: `-1,`: lines[1]: {no_line}"),
            ),
            (
                list("16"),
                "guests.toml:7: `16,`: lines[1]: there is no line 16: the chip has 16",
            ),
            (
                list("'nobody'"),
                "guests.toml:7: `'nobody',`: lines[1]: no line has the name \"nobody\"",
            ),
            (
                list("1"),
                "guests.toml:7: `1,`: lines[1]: line 1 is there twice",
            ),
            (
                guest_with(&format!("[guest.line]\nline = 4\n{CHIP}")),
                "guests.toml:5: `[guest.line]`: line: one table, and not a list of them, as with \
                 [[…]]",
            ),
            (
                line("debounce = -1"),
                "guests.toml:7: `debounce = -1`: debounce: not a whole number from 0 to \
                 4294967295",
            ),
            (
                line("bias = 'up'"),
                "guests.toml:7: `bias = 'up'`: bias: none of disabled, pull-up, pull-down",
            ),
            (
                line("chip = 4"),
                "guests.toml:7: `chip = 4`: chip: not a text in quotes",
            ),
        ],
    );
}

#[test]
fn odd_chips_are_told_what_is_allowed() {
    let chip = |keys: &str| guest_with(&format!("[[chip]]\nname = 'board'\n{keys}\n"));
    refused_with(
        DAEMON,
        &[
            (
                chip(""),
                "guests.toml:5: `[[chip]]`: device: say which one, or `simulate`",
            ),
            (
                chip("simulate = true\ndevice = 0"),
                "guests.toml:8: `device = 0`: device: there is `simulate` too",
            ),
            (
                chip("device = 4294967295"),
                "guests.toml:7: `device = 4294967295`: device: 4294967295: \
                 /dev/gpiochip4294967295: No such file or directory (os error 2)",
            ),
            (
                chip("device = '/dev/null'"),
                "guests.toml:7: `device = '/dev/null'`: device: /dev/null: not a GPIO chip",
            ),
            (
                chip("simulate = true\ngpio-abi = 3"),
                "guests.toml:8: `gpio-abi = 3`: gpio-abi: none of auto, v1, v2",
            ),
        ],
    );
}

#[test]
fn files_of_the_readme_are_served() {
    testing::readme_is_served(DAEMON, "gpio", &[]);
}
