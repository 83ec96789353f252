// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the command line and the configuration file say of adapters, chips and addresses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use virtio_backend::testing::{self, Program, Vm, feature, refused_file, refused_with};

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
    for reserved in ["0x00", "0x07", "0x78", "0x7f", "0x07-0x10", "0x50-0x80"] {
        let words = format!("--addresses: {reserved} is not within 0x08-0x77");
        refused(&with(&["--addresses", reserved]), &[&words]);
    }
    refused(
        &with(&["--ten-bit-addresses", "0x400"]),
        &["--ten-bit-addresses: 0x400 is not within 0x00-0x3ff"],
    );
    refused(
        &with(&["--addresses", "0x50,0x48,0x50"]),
        &["--addresses: 0x50 is there twice"],
    );
    refused(
        &with(&["--ten-bit-addresses", "0x50"]),
        &["--ten-bit-addresses: 0x050 (10 bits): no simulated chip has such an address"],
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
    refused_guest("", &["guests.toml:4: ", "adapter: missing"]);
    refused_guest("adapter = 'bored'\n", &["guests.toml:7: ", "adapter: "]);
    refused_guest(
        "adapter = 'board'\naddress = 1\n",
        &["guests.toml:8: ", "`address"],
    );
    let text = "adapter = 'board'\naddresses = [0x50, 0x78]\n";
    refused_guest(text, &["guests.toml:8: ", "addresses[1]: 0x78"]);
    let text = "adapter = 'board'\naddresses = ['0x50-0x40']\n";
    refused_guest(text, &["guests.toml:8: ", "0x50 is above 0x40"]);
    let text = "adapter = 'board'\naddresses = [true]\n";
    refused_guest(text, &["guests.toml:8: ", "\"0x50-0x57\""]);
    let text = "adapter = 'board'\ndevice = '/dev/i2c-1'\n";
    refused_guest(text, &["guests.toml:8: ", "device"]);
}

/// I²C-bus specification, 3.1.12.
#[test]
fn reserved_addresses_are_no_chips() {
    let allowed = "is not within 0x08-0x77, the addresses that chips have";
    for reserved in [
        "0x00",
        "0x07",
        "0x78",
        "0x7f",
        "0x80",
        "0x07-0x10",
        "0x00-0x7f",
    ] {
        let list = format!("[0x48, '{reserved}']\n");
        let said = |key: &str| format!("{key}: {reserved} {allowed}");
        refused_guest(
            &format!("adapter = 'board'\naddresses = {list}"),
            &["guests.toml:8: ", &said("addresses[1]")],
        );
        refused_adapter(
            &format!("{ADAPTER}shared = {list}"),
            &["guests.toml:8: ", &said("shared[1]")],
        );
        if !reserved.contains('-') {
            let chip = format!("[[adapter.chip]]\ntype = 'lm75'\naddress = {reserved}\n");
            refused_adapter(
                &format!("{ADAPTER}{chip}"),
                &["guests.toml:10: ", &said("address")],
            );
        }
    }
}

#[test]
fn an_address_is_there_once() {
    for twice in [
        "[0x50, 0x50]",
        "['0x48-0x50', 0x50]",
        "['0x50-0x57', '0x40-0x50']",
        "[80, '0x50']",
    ] {
        refused_guest(
            &format!("adapter = 'board'\naddresses = {twice}\n"),
            &["guests.toml:8: ", "addresses[1]: 0x50 is there twice"],
        );
        refused_adapter(
            &format!("{ADAPTER}shared = {twice}\n"),
            &["guests.toml:8: ", "shared[1]: 0x50 is there twice"],
        );
    }
    let text = "adapter = 'board'\naddresses = [0x48]\nten-bit-addresses = [0x123, 0x123]\n";
    refused_guest(
        text,
        &[
            "guests.toml:9: ",
            "ten-bit-addresses[1]: 0x123 (10 bits) is there twice",
        ],
    );
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
        &["guests.toml:13: ", "addresses[0]: 0x50 is guest a's"],
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
        &["guests.toml:8: ", "shared[0]: 0x80"],
    );
}

#[test]
fn a_sensor_measures_what_its_type_can() {
    for celsius in ["9999", "125.5", "-55.1", "inf", "nan"] {
        let found = celsius.replace("nan", "NaN");
        let said = format!("celsius: {found} is not within -55 to 125, which an lm75 measures");
        let chip = format!("type = 'lm75'\naddress = 0x48\ncelsius = {celsius}\n");
        refused_adapter(
            &format!("{ADAPTER}[[adapter.chip]]\n{chip}"),
            &["guests.toml:11: ", &said],
        );
    }
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

/// A guest with these keys, from line 5 on.
fn guest_with(keys: &str) -> String {
    format!("[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\nadapter = 'board'\n{keys}")
}

/// An adapter with these keys, from line 7 on.
fn adapter_with(keys: &str) -> String {
    guest_with(&format!("[[adapter]]\nname = 'board'\n{keys}\n"))
}

#[test]
fn odd_guests_are_told_what_is_allowed() {
    let list =
        |element: &str| guest_with(&format!("addresses = [\n0x50,\n{element},\n]\n{ADAPTER}"));
    refused_with(
        DAEMON,
        &[
            (
                list("true"),
                "guests.toml:7: `true,`: addresses[1]: neither an address, as 0x48, nor a range, \
                 as \"0x50-0x57\"",
            ),
            (
                list("'0x50-0x40'"),
                "guests.toml:7: `'0x50-0x40',`: addresses[1]: 0x50 is above 0x40",
            ),
            (
                list("'x'"),
                "guests.toml:7: `'x',`: addresses[1]: \"x\" is not an address",
            ),
            (
                guest_with(&format!("addresses = 0x48\n{ADAPTER}")),
                "guests.toml:5: `addresses = 0x48`: addresses: not a list",
            ),
            (
                guest_with("[adapter]\nname = 'board'\n"),
                "guests.toml:5: `[adapter]`: adapter: one table, and not a list of them, as with \
                 [[…]]",
            ),
            (
                guest_with(&format!("device = '1'\n{ADAPTER}")),
                "guests.toml:5: `device = '1'`: device: no such key: there are adapter, \
                 addresses, ten-bit-addresses, name, socket",
            ),
        ],
    );
}

#[test]
fn odd_adapters_are_told_what_is_allowed() {
    refused_with(
        DAEMON,
        &[
            (
                adapter_with(""),
                "guests.toml:5: `[[adapter]]`: device: say which one, or `simulate`",
            ),
            (
                adapter_with("simulate = true\ndevice = 1"),
                "guests.toml:8: `device = 1`: device: there is `simulate` too",
            ),
            (
                adapter_with("device = 4294967295"),
                "guests.toml:7: `device = 4294967295`: device: 4294967295: /dev/i2c-4294967295: \
                 No such file or directory (os error 2) (is i2c-dev loaded?)",
            ),
            (
                adapter_with("device = 1.5"),
                "guests.toml:7: `device = 1.5`: device: neither a text in quotes nor a number",
            ),
            (
                adapter_with("device = '/dev/null'"),
                "guests.toml:7: `device = '/dev/null'`: device: /dev/null: not an I²C adapter",
            ),
            (
                adapter_with("timeout = 0"),
                "guests.toml:7: `timeout = 0`: timeout: not a whole number from 1 to 65535",
            ),
            (
                adapter_with("retries = -1"),
                "guests.toml:7: `retries = -1`: retries: not a whole number from 0 to 255",
            ),
            (
                adapter_with("simulate = 1"),
                "guests.toml:7: `simulate = 1`: simulate: not true or false",
            ),
        ],
    );
}

#[test]
fn odd_chips_are_told_what_is_allowed() {
    let chip = |keys: &str| adapter_with(&format!("simulate = true\n[[adapter.chip]]\n{keys}"));
    refused_with(
        DAEMON,
        &[
            (
                chip("type = '24c64'\naddress = 0x50"),
                "guests.toml:9: `type = '24c64'`: type: none of 24c02, lm75",
            ),
            (
                chip("type = 24\naddress = 0x50"),
                "guests.toml:9: `type = 24`: type: none of 24c02, lm75",
            ),
            (
                chip("type = '24c02'\naddress = 0x50\ncontents = [1,\n256]"),
                "guests.toml:12: `256]`: contents[1]: not a whole number from 0 to 255",
            ),
            (
                chip("type = 'lm75'\naddress = 0x48\ncelsius = 'warm'"),
                "guests.toml:11: `celsius = 'warm'`: celsius: not a number",
            ),
        ],
    );
}

#[test]
fn files_of_the_readme_are_served() {
    testing::readme_is_served(DAEMON, "i2c", &[]);
}
