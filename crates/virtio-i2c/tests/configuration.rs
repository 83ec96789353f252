// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the command line and the configuration file say of adapters, chips and addresses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use virtio_backend::testing::{self, Program, Vm, feature, refused_file};

const DAEMON: &str = env!("CARGO_BIN_EXE_vhost-user-i2c");

#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    testing::refused(&testing::run(DAEMON, arguments), words);
}

const ADAPTER: &str = "[[adapter]]\nname = 'board'\nsimulate = true\n";

#[track_caller]
fn refused_guest(guest: &str, words: &[&str]) {
    refused_file(
        DAEMON,
        &format!("{ADAPTER}[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\n{guest}"),
        words,
    );
}

#[track_caller]
fn refused_adapter(adapter: &str, words: &[&str]) {
    let guest = "[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\nadapter = 'board'\n";
    refused_file(DAEMON, &format!("{guest}{adapter}"), words);
}

#[test]
fn a_daemon_has_a_device_or_simulates_one() {
    let socket = ["--socket-path", "/run/nowhere/a"];
    refused(&socket, &["--device: "]);
    let nowhere = [&socket[..], &["--device", "/dev/i2c-nowhere"]].concat();
    refused(&nowhere, &["--device: /dev/i2c-nowhere: No such file"]);
    let number = [&socket[..], &["--device", "4294967295"]].concat();
    refused(&number, &["/dev/i2c-4294967295", "(is i2c-dev loaded?)"]);
    let nobody = [&socket[..], &["--device", "nobody"]].concat();
    refused(&nobody, &["--device: nobody: "]);
}

#[test]
fn addresses_are_numbers_that_a_chip_can_have() {
    let simulate = ["--socket-path", "/run/nowhere/a", "--simulate"];
    let with = |more: &[&'static str]| [&simulate[..], more].concat();
    refused(&with(&["--addresses", "0x78"]), &["--addresses: 0x78"]);
    refused(&with(&["--addresses", "0x50-0x80"]), &["--addresses: 0x80"]);
    refused(
        &with(&["--ten-bit-addresses", "0x400"]),
        &["--ten-bit-addresses: 0x400"],
    );
    for usage in ["0x", "0x57-0x50", "eeprom", "-1"] {
        let mut daemon = Command::new(DAEMON);
        let output = daemon
            .args(with(&[]))
            .arg("--addresses")
            .arg(usage)
            .output();
        assert_eq!(output.unwrap().status.code(), Some(2), "{usage}");
    }
}

#[test]
fn mistakes_in_a_guest_are_named_by_line_and_key() {
    refused_guest("", &["guests.toml:4: ", "missing field `adapter`"]);
    refused_guest("adapter = 'bored'\n", &["guests.toml:7: ", "adapter: "]);
    refused_guest(
        "adapter = 'board'\naddress = 1\n",
        &["guests.toml:8: ", "`address"],
    );
    let text = "adapter = 'board'\naddresses = [0x50, 0x78]\n";
    refused_guest(text, &["guests.toml:8: ", "addresses: 0x78"]);
    let text = "adapter = 'board'\naddresses = ['0x50-0x40']\n";
    refused_guest(text, &["guests.toml:8: ", "0x50 is above 0x40"]);
    let text = "adapter = 'board'\naddresses = [true]\n";
    refused_guest(text, &["guests.toml:8: ", "\"0x50-0x57\""]);
    let text = "adapter = 'board'\ndevice = '/dev/i2c-1'\n";
    refused_guest(text, &["guests.toml:8: ", "device"]);
}

#[test]
fn an_address_is_granted_to_one_guest() {
    let guest = |name| {
        format!("[[guest]]\nname = '{name}'\nsocket = '/run/nowhere/{name}'\nadapter = 'board'\n")
    };
    let (a, b) = (guest("a"), guest("b"));
    let one = "addresses = [0x48, 0x50]\n";
    let other = "addresses = ['0x50-0x57']\n";
    refused_file(
        DAEMON,
        &format!("{ADAPTER}{a}{one}{b}{other}"),
        &["guests.toml:13: ", "addresses: 0x50 is guest a's"],
    );
    // All that are simulated, for both.
    refused_file(
        DAEMON,
        &format!("{ADAPTER}{a}{b}"),
        &["guests.toml:8: ", "addresses: 0x08 is guest a's"],
    );
}

#[test]
fn mistakes_in_an_adapter_are_named_by_line_and_key() {
    refused_adapter(
        "[[adapter]]\nname = 'board'\n",
        &["guests.toml:5: ", "device: "],
    );
    refused_adapter(
        "[[adapter]]\nname = 'board'\nsimulate = true\ndevice = '1'\n",
        &["guests.toml:8: ", "device: "],
    );
    refused_adapter(
        "[[adapter]]\nname = 'board'\ndevice = '/dev/i2c-nowhere'\n",
        &["guests.toml:7: ", "device: /dev/i2c-nowhere: "],
    );
    refused_adapter(
        &format!("{ADAPTER}{ADAPTER}"),
        &["guests.toml:9: ", "name: another adapter has this name"],
    );
    refused_adapter(
        "[[adapter]]\nsimulate = true\n",
        &["guests.toml:5: ", "name: an adapter has one"],
    );
    refused_adapter(
        &format!("{ADAPTER}force = true\n"),
        &["guests.toml:7: ", "simulate: "],
    );
    let chip = "[[adapter.chip]]\ntype = 'lm75'\naddress = 0x48\n";
    refused_adapter(
        &format!("[[adapter]]\nname = 'board'\ndevice = '/dev/null'\n{chip}"),
        &["guests.toml:8: ", "chip: "],
    );
    refused_adapter(
        &format!("{ADAPTER}timeout = 0\n"),
        &["guests.toml:8: ", "timeout"],
    );
    refused_adapter(
        &format!("{ADAPTER}speed = 400000\n"),
        &["guests.toml:8: ", "speed"],
    );
    refused_adapter(
        &format!("{ADAPTER}shared = [0x80]\n"),
        &["guests.toml:8: ", "shared: 0x80"],
    );
}

#[test]
fn mistakes_in_a_chip_are_named_by_line_and_key() {
    let chip = |chip: &str, words: &[&str]| {
        refused_adapter(&format!("{ADAPTER}[[adapter.chip]]\n{chip}\n"), words);
    };
    chip(
        "type = '24c64'\naddress = 0x50",
        &["guests.toml:9: ", "24c64"],
    );
    chip("type = '24c02'", &["guests.toml:8: ", "address"]);
    chip(
        "type = '24c02'\naddress = 0x80",
        &["guests.toml:10: ", "address: 0x80"],
    );
    chip(
        "type = '24c02'\naddress = 0x50\ncelsius = 1.0",
        &["guests.toml:11: ", "celsius: "],
    );
    chip(
        "type = 'lm75'\naddress = 0x48\ncontents = [1]",
        &["guests.toml:11: ", "contents: "],
    );
    let long = format!("type = '24c02'\naddress = 0x50\ncontents = {:?}", [0; 257]);
    chip(
        &long,
        &["guests.toml:11: ", "contents: more than 256 bytes"],
    );
    chip(
        "type = '24c02'\naddress = 0x50\ncontents = [256]",
        &["guests.toml:11: ", "256"],
    );
    chip(
        "type = '24c02'\naddress = 0x50\n[[adapter.chip]]\ntype = 'lm75'\naddress = 0x50",
        &["guests.toml:13: ", "address: another chip has this address"],
    );
}

/// The guest at this socket.
fn boot(daemon: &Program, socket: &str) -> Vm {
    Vm::boot(&daemon.folder().join(socket), feature::ALL | 1, &[16]).unwrap()
}

#[test]
fn guests_share_what_is_shared_and_nothing_else() {
    let daemon = Program::configured(
        DAEMON,
        "[[adapter]]
         name = 'board'
         simulate = true
         shared = [0x48]
         [[adapter.chip]]
         type = 'lm75'
         address = 0x48
         celsius = -10.5
         [[adapter.chip]]
         type = '24c02'
         address = 0x50
         contents = [1, 2, 3]
         [[adapter.chip]]
         type = '24c02'
         address = 0x51
         [[adapter]]
         name = 'other'
         simulate = true
         [[guest]]
         name = 'a'
         socket = 'DIR/a'
         adapter = 'board'
         addresses = ['0x48-0x50']
         [[guest]]
         name = 'b'
         socket = 'DIR/b'
         adapter = 'board'
         addresses = [0x48, 0x51]
         [[guest]]
         name = 'c'
         socket = 'DIR/c'
         adapter = 'other'",
    );
    let [mut a, mut b, mut c] = ["a", "b", "c"].map(|guest| boot(&daemon, guest));
    let mut read = |vm: usize, addr: u8| {
        let vm = [&mut a, &mut b, &mut c].into_iter().nth(vm).unwrap();
        vm.rings[0].ask(&[&[addr, 0, 0, 0, 2, 0, 0, 0]], &[4])
    };
    let (foreign, temperature) = (Some(vec![0, 0, 0, 1]), Some(vec![0xf5, 0x80, 0xf5, 0]));
    assert_eq!(
        [read(0, 0x90), read(1, 0x90)],
        [temperature.clone(), temperature]
    );
    assert_eq!(read(0, 0xa0), Some(vec![1, 2, 3, 0]));
    assert_eq!(read(1, 0xa2), Some(vec![0xff, 0xff, 0xff, 0]));
    assert_eq!([read(0, 0xa2), read(1, 0xa0)], [foreign.clone(), foreign]);
    assert_eq!(read(2, 0xa0), Some(vec![0xff, 0xff, 0xff, 0]));
}
