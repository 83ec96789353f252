// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is said of odd configuration files, in particular of what they have for every device: each
//! mistake has its line, what stands there, its key, and what is allowed.

use std::fs;

use virtio_backend::testing::{readme_is_served, refused, refused_with, run};

const DAEMON: &str = env!("CARGO_BIN_EXE_vhost-user-rng");

const GUEST: &str = "[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\n";

#[test]
fn a_file_without_guests_says_what_it_lacks() {
    let none = "guest: no [[guest]], of which each guest has one";
    refused_with(
        DAEMON,
        &[
            ("", &*format!("guests.toml:1: ``: {none}")),
            ("\nmax-guests = 1\n", &format!("guests.toml:1: ``: {none}")),
            (
                "\nguest = []\n",
                &format!("guests.toml:2: `guest = []`: {none}"),
            ),
            (
                "guest = 7\n",
                "guests.toml:1: `guest = 7`: guest: not a list",
            ),
            (
                "guest = ['a', 7]\n",
                "guests.toml:1: `guest = ['a', 7]`: guest[0]: not a table",
            ),
            (
                "\n[guest]\nname = 'a'\n",
                "guests.toml:2: `[guest]`: guest: one table, and not a list of them, as with [[…]]",
            ),
            (
                "[[guests]]\nname = 'a'\n",
                "guests.toml:1: `[[guests]]`: guests: no such key: there are max-guests, guest",
            ),
        ],
    );
}

#[test]
fn a_limit_of_guests_is_a_number_that_the_host_allows() {
    let with = |line: &str| format!("{line}\n{GUEST}");
    refused_with(
        DAEMON,
        &[
            (
                with("max_guests = 2"),
                "guests.toml:1: `max_guests = 2`: max_guests: no such key: there are max-guests, \
                 guest",
            ),
            (
                with("max-guests = -1"),
                "guests.toml:1: `max-guests = -1`: max-guests: not a whole number from 0 on",
            ),
            (
                with("max-guests = 'x'"),
                "guests.toml:1: `max-guests = 'x'`: max-guests: not a whole number from 0 on",
            ),
            (
                with("max-guests = 0"),
                "guests.toml:2: `[[guest]]`: guest[0]: more guests than max-guests = 0",
            ),
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guests.toml");
    fs::write(&file, with("max-guests = 1_000_000_000")).unwrap();
    let output = run(DAEMON, &["--config", file.to_str().unwrap()]);
    let line = "guests.toml:1: `max-guests = 1_000_000_000`: max-guests: 1000000000 guests need a \
                limit of 150000000";
    refused(&output, &[line]);
}

#[test]
fn what_is_no_text_has_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guests.toml");
    fs::write(&file, b"[[guest]]\nname = '\xff'\n").unwrap();
    let output = run(DAEMON, &["--config", file.to_str().unwrap()]);
    let line = "guests.toml:2: `name = '\u{fffd}'`: the byte 0xff is not UTF-8";
    refused(&output, &[line]);
    let output = run(DAEMON, &["--config", folder.path().to_str().unwrap()]);
    refused(&output, &["--config: ", ": Is a directory"]);
}

#[test]
fn a_long_line_is_shown_from_the_mistake_on() {
    let text = "1".repeat(100);
    let said = format!(
        "guests.toml:4: `…[{}`: rate: not a whole number from 1 to 4294967295",
        &text[..79]
    );
    refused_with(DAEMON, &[(format!("{GUEST}rate = [{text}]\n"), &*said)]);
}

#[test]
fn mistakes_in_a_guest_say_what_is_allowed() {
    let with = |line: &str| format!("{GUEST}{line}\n");
    let number = "rate: not a whole number from 1 to 4294967295";
    let guest = |line: &str, what: &str| (with(line), format!("guests.toml:4: `{line}`: {what}"));
    let mut table = vec![
        guest("source = 7", "source: not a path in quotes"),
        guest("source = 1979-05-27", "source: not a path in quotes"),
        guest(
            "sauce = 'kernel'",
            "sauce: no such key: there are source, rate, burst, name, socket",
        ),
        guest("name = 'b'", "duplicate key"),
        guest(
            "source = '/nowhere'",
            "source: /nowhere: No such file or directory (os error 2)",
        ),
    ];
    for rate in [
        "'fast'",
        "-1",
        "0",
        "4294967296",
        "99999999999999999999",
        "1.5",
    ] {
        table.push(guest(&format!("rate = {rate}"), number));
    }
    table.push((
        "[[guest]]\nname = 'a'\n".to_owned(),
        "guests.toml:1: `[[guest]]`: socket: missing, and has no default".to_owned(),
    ));
    table.push((
        "[[guest]]\nname = 7\nsocket = 'a'\n".to_owned(),
        "guests.toml:2: `name = 7`: name: not a text in quotes".to_owned(),
    ));
    table.push((
        format!("{GUEST}{GUEST}"),
        "guests.toml:5: `name = 'a'`: name: another guest has this name".to_owned(),
    ));
    let table: Vec<_> = table.iter().map(|(text, said)| (text, &**said)).collect();
    refused_with(DAEMON, &table);
}

#[test]
fn files_of_the_readme_are_served() {
    readme_is_served(DAEMON, "rng", &[]);
}
