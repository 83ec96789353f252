// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line and the configuration file, and a daemon that does what they say.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use virtio_backend::testing::{self, LIMIT, Program, Vm, feature, refused_file, refused_with};

const DAEMON: &str = env!("CARGO_BIN_EXE_vhost-user-watchdog");

/// What somebody sends to a socket, within its read timeout: with one, the kernel gives up at any
/// signal, such as that of the end of another test's child.
fn received(socket: &UnixDatagram) -> Vec<u8> {
    let mut bytes = [0; 4096];
    loop {
        match socket.recv(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            length => return bytes[..length.unwrap()].to_vec(),
        }
    }
}

#[track_caller]
fn refused(arguments: &str, words: &[&str]) {
    let all = format!("--socket-path /run/nowhere/a {arguments}");
    let all: Vec<_> = all.split_whitespace().collect();
    testing::refused(&testing::run(DAEMON, &all), words);
}

/// A mistake in a guest of a file, whose table is lines 1 to 3 and these.
#[track_caller]
fn refused_guest(guest: &str, words: &[&str]) {
    let text = format!("[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\n{guest}");
    refused_file(DAEMON, &text, words);
}

#[test]
fn a_watchdog_that_could_do_nothing_does_not_start() {
    refused("", &["--stage: ", "say what to do"]);
    refused("--stage reset", &["--stage: reset needs a qmp or an api"]);
    refused("--stage kill --last stop", &["--last: stop needs a qmp"]);
    refused(
        "--stage kill --stage dump=/x",
        &["--stage: dump needs a qmp"],
    );
    let carried = "--carrier rng --stage event --stage kill";
    refused(carried, &["--stage: ", "hears no event"]);
}

#[test]
fn a_stage_that_can_never_be_done_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("text"), "").unwrap();
    let _stream = UnixListener::bind(path("stream")).unwrap();
    let long = "x".repeat(108);
    for (stage, why) in [
        ("exec=/usr", "/usr is a directory, and no program"),
        ("exec=DIR/text", "/text is not executable"),
        ("exec=DIR/stream", "/stream is a socket, and no program"),
        ("notify=/usr", "/usr is a directory, and no socket"),
        ("notify=DIR/text", "/text is a regular file, and no socket"),
        ("notify=DIR/stream", "/stream is no datagram socket"),
        (&format!("notify=/{long}"), "SUN_LEN"),
        ("unit=a/b.service", "\"a/b.service\" is no name of a unit"),
        ("unit=vm@.service", "vm@.service is a template"),
        (&format!("unit={}", long.repeat(3)), "is no name of a unit"),
        ("notify", "NOTIFY_SOCKET"),
    ] {
        let stage = stage.replace("DIR", folder.path().to_str().unwrap());
        refused(&format!("--stage kill --stage {stage}"), &["--stage", why]);
        refused(&format!("--stage kill --last {stage}"), &["--last: ", why]);
        let list = format!("timeout = 9\nstage = ['kill', '{stage}']\n");
        refused_guest(&list, &["guests.toml:5: ", "stage", why]);
    }
    refused_guest(
        "stage = ['kill', ['unit', 'my vm']]\n",
        &["guests.toml:4: ", "\"my vm\" is no name of a unit"],
    );
    refused_guest(
        "stage = [['exec', '/bin/true', 'a\\u0000']]\n"
            .replace('\'', "\"")
            .as_str(),
        &["guests.toml:4: ", "NUL"],
    );
}

#[test]
fn what_a_stage_needs_and_is_not_there_is_said_once() {
    let arguments = "--socket-path /run/nowhere/a --stage exec=/nonexistent/page \
         --stage exec=/bin/true --stage unit=no-such-vm@1 --stage kill \
         --last notify=/nonexistent/socket";
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let said = testing::run(DAEMON, &arguments).stderr;
    let said = String::from_utf8_lossy(&said);
    let warned: Vec<_> = said.lines().filter(|line| line.contains("warn")).collect();
    let [warned] = warned.as_slice() else {
        panic!("{said}");
    };
    for word in [
        "stage[0], exec: /nonexistent/page: No such file or directory",
        "stage[2], unit: no-such-vm@1.service: ",
        "last, notify: /nonexistent/socket: No such file or directory",
    ] {
        assert!(warned.contains(word), "{warned:?} lacks {word:?}");
    }
    assert!(
        !warned.contains("true") && !warned.contains("kill"),
        "{warned}"
    );
}

#[test]
fn a_monitor_whose_path_can_be_no_sockets_is_refused() {
    let long = "x".repeat(108);
    for (option, path, why) in [
        ("qmp", "/usr", "/usr is a directory, and no socket"),
        ("api", "/etc/passwd", "is a regular file, and no socket"),
        ("qmp", &format!("/{long}"), "SUN_LEN"),
    ] {
        refused(
            &format!("--{option} {path}"),
            &[&format!("--{option}: "), why],
        );
        let line = format!("{option} = '{path}'\n");
        refused_guest(&line, &["guests.toml:4: ", option, why]);
    }
}

#[test]
fn what_no_carrier_carries_is_refused() {
    let carried = "--stage kill --carrier rng";
    refused(
        &format!("{carried} --channels 2"),
        &["--channels: is 2", "channel 0 only"],
    );
    refused(
        &format!("{carried} --pretimeout 2"),
        &["--pretimeout: ", "hears no event"],
    );
    refused_guest(
        "stage = ['kill']\ncarrier = 'rng'\nchannels = 3\n",
        &["guests.toml:6: ", "channels: is 3"],
    );
}

/// As it stands there, but for the folders.
#[test]
fn readmes_example_is_true() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let examples = readme.split("```toml\n").skip(1);
    let mut examples = examples.filter(|example| example.contains("boot-timeout = "));
    let (example, _) = examples.next().unwrap().split_once("```").unwrap();
    let example = example
        .replace("/run/virtio/watchdog/", "DIR/")
        .replace("/var/log/", "DIR/");
    let daemon = Program::configured(DAEMON, &example);
    let command = example
        .split(['"', ' '])
        .find(|word| word.starts_with("/usr/"));
    assert!(Path::new(command.unwrap()).exists(), "{command:?}");
    drop(daemon);
}

#[test]
fn times_that_cannot_be_are_refused() {
    refused(
        "--stage kill --timeout 0.01",
        &["--timeout: ", "between 0.1 and"],
    );
    refused(
        "--stage kill --timeout 20 --max-timeout 10",
        &["--timeout: ", "between 0.1 and 10 seconds"],
    );
    refused(
        "--stage kill --timeout 20 --pretimeout 20",
        &["--pretimeout: is not below the timeout"],
    );
    refused("--stage kill --boot-timeout 0", &["--boot-timeout: "]);
    refused("--stage kill --lock", &["--lock: needs a boot-timeout"]);
    refused(
        "--stage kill --channels 0",
        &["--channels: is not between 1 and 256"],
    );
    refused("--stage kill --channels 257", &["--channels: "]);
}

#[test]
fn a_window_in_which_no_guest_fails_too_often_to_boot_is_refused() {
    let boots = "--stage kill --boot-timeout 300 --max-resets 5";
    let window = format!("{boots} --reset-window 1499");
    refused(&window, &["--reset-window: ", "is shorter than max-resets"]);
    refused_guest(
        "stage = ['kill']\nboot-timeout = 300\nreset-window = 900\n",
        &["guests.toml:6: ", "reset-window: "],
    );
}

#[test]
fn a_record_that_cannot_be_written_is_refused_and_waited_for_by_nobody() {
    refused(
        "--stage kill --record /nonexistent/a",
        &["--record: ", "No such file"],
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let fifo = format!("--stage kill --record {}", path.display());
    refused(&fifo, &["--record: ", "No such device"]);
}

#[test]
fn what_a_boot_timeout_cannot_tell_without_a_monitor_is_said() {
    let common = "--socket-path /run/nowhere/a --boot-timeout 60";
    for (arguments, warned) in [("--stage kill", true), ("--qmp /run/nowhere/b", false)] {
        let all = format!("{common} {arguments}");
        let all: Vec<_> = all.split_whitespace().collect();
        let said = testing::run(DAEMON, &all).stderr;
        let said = String::from_utf8_lossy(&said);
        assert_eq!(said.contains("boot-timeout without"), warned, "{said}");
    }
}

#[test]
fn mistakes_of_the_command_line_are_told_with_the_usage() {
    for (arguments, words) in [
        ("--stage reboot", "is none of event, nmi"),
        ("--stage exec=reboot", "whole path"),
        ("--timeout soon", "not a time in seconds"),
        ("--carrier disk", "possible values: rng"),
        ("--relay --stage kill", "--qmp"),
        ("--qmp a --api b", "cannot be used with"),
    ] {
        let all = format!("--socket-path /run/nowhere/a {arguments}");
        let all: Vec<_> = all.split_whitespace().collect();
        let output = testing::run(DAEMON, &all);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn mistakes_in_a_guest_are_named_by_line_and_key() {
    refused_guest("", &["guests.toml:1: ", "stage: say what to do"]);
    refused_guest(
        "stage = ['reset']\n",
        &["guests.toml:4: ", "stage[0]: reset needs"],
    );
    refused_guest("stage = ['reboot']\n", &["guests.toml:4: ", "is none of"]);
    refused_guest("stage = [7]\n", &["guests.toml:4: ", "neither a stage"]);
    refused_guest("stage = 'kill'\n", &["guests.toml:4: ", "stage"]);
    refused_guest(
        "stage = ['kill']\ntimeout = 20\npretimeout = 30\n",
        &["guests.toml:6: ", "pretimeout: is not below"],
    );
    refused_guest(
        "stage = ['kill']\ntimeout = -1\n",
        &["guests.toml:5: ", "not a time"],
    );
    refused_guest("stage = ['kill']\ntimeout = 'x'\n", &["guests.toml:5: "]);
    refused_guest(
        "stage = ['kill']\nlock = true\n",
        &["guests.toml:5: ", "lock: "],
    );
    refused_guest(
        "stage = ['kill']\nrelay = true\n",
        &["guests.toml:5: ", "relay: "],
    );
    refused_guest("qmp = '/a'\napi = '/b'\n", &["guests.toml:5: ", "api: "]);
    refused_guest(
        "stage = ['kill']\nhurry = true\n",
        &["guests.toml:5: ", "hurry"],
    );
}

#[test]
fn guests_of_a_file_have_their_own_times_and_actions() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (quick, slow) = (path("quick"), path("slow"));
    let [quick, slow] = [quick, slow].map(|path| {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket
    });
    let text = format!(
        "[[guest]]\nname = 'quick'\nsocket = 'DIR/a'\ntimeout = 0.2\nstage = ['notify={0}/quick']\n\
         [[guest]]\nname = 'slow'\nsocket = 'DIR/b'\nboot-timeout = 0.3\nmax-resets = 0\n\
         stage = ['kill']\nlast = ['notify', '{0}/slow']\nrecord = '{0}/records'\n",
        folder.path().display()
    );
    let daemon = Program::configured(DAEMON, &text);
    let boot = |name| Vm::boot(&daemon.folder().join(name), feature::ALL, &[8]).unwrap();
    let (mut quick_vm, _slow_vm) = (boot("a"), boot("b"));
    assert_eq!(quick_vm.rings[0].ask(&[], &[8]).unwrap(), [1]);
    let record =
        |socket: &UnixDatagram| -> Value { serde_json::from_slice(&received(socket)).unwrap() };
    let (quick, slow) = (record(&quick), record(&slow));
    assert_eq!(
        (&quick["guest"], &quick["cause"]),
        (&"quick".into(), &"expired".into())
    );
    assert_eq!(
        (&slow["guest"], &slow["cause"]),
        (&"slow".into(), &"boot".into())
    );
    assert_eq!(slow["process"], std::process::id());
    daemon.expect("slow: {");
    let kept = std::fs::read_to_string(path("records")).unwrap();
    assert!(kept.contains("\"guest\":\"slow\""), "{kept}");
}

#[test]
fn a_guest_whose_monitor_hangs_delays_no_other_and_not_its_own_pings() {
    let folder = tempfile::tempdir().unwrap();
    let monitor = UnixListener::bind(folder.path().join("qmp")).unwrap();
    let socket = UnixDatagram::bind(folder.path().join("told")).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let text = format!(
        "[[guest]]\nname = 'a'\nsocket = 'DIR/a'\ntimeout = 0.2\nqmp = '{0}/qmp'\n\
         stage = ['reset', 'notify={0}/told']\n\
         [[guest]]\nname = 'b'\nsocket = 'DIR/b'\ntimeout = 0.2\nstage = ['notify={0}/told']\n",
        folder.path().display()
    );
    let daemon = Program::configured(DAEMON, &text);
    let boot = |name| Vm::boot(&daemon.folder().join(name), feature::ALL, &[8]).unwrap();
    let mut a = boot("a");
    let (mut monitor, _) = monitor.accept().unwrap();
    assert_eq!(a.rings[0].ask(&[], &[8]).unwrap(), [1]);
    // It has 3 seconds to greet before it is hung up on.
    monitor.set_nonblocking(true).unwrap();
    let silence = monitor.read(&mut [0]).unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    let mut b = boot("b");
    assert_eq!(b.rings[0].ask(&[], &[8]).unwrap(), [1]);
    for guest in ["b", "a"] {
        let record: Value = serde_json::from_slice(&received(&socket)).unwrap();
        assert_eq!(record["guest"], guest);
    }
}

#[test]
fn a_command_has_nothing_of_any_guests() {
    let list = "['exec@0', '/bin/sh', '-c', 'ls /proc/self/fd >DIR/fds']";
    let text = format!(
        "[[guest]]\nname = 'a'\nsocket = 'DIR/a'\ntimeout = 0.2\nrecord = 'DIR/records'\n\
         stage = [{list}]\n\
         [[guest]]\nname = 'b'\nsocket = 'DIR/b'\nstage = ['kill']\n"
    );
    let daemon = Program::configured(DAEMON, &text);
    let boot = |name| Vm::boot(&daemon.folder().join(name), feature::ALL, &[8, 8]).unwrap();
    let (mut a, mut b) = (boot("a"), boot("b"));
    for vm in [&mut b, &mut a] {
        assert_eq!(vm.rings[0].ask(&[], &[8]).unwrap(), [1]);
    }
    daemon.expect("a: {");
    let listed = std::fs::read_to_string(daemon.folder().join("fds")).unwrap();
    // The last is the list itself.
    assert_eq!(listed, "0\n1\n2\n3\n");
}

#[test]
fn a_watchdog_that_cannot_bite_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let qmp = folder.path().join("qmp");
    let socket = folder.path().join("wd");
    let mut command = Command::new(DAEMON);
    command.arg("--socket-path").arg(&socket);
    command.arg("--qmp").arg(&qmp);
    let daemon = Program::start(&mut command, 1);
    let vm = Vm::boot(&socket, feature::ALL, &[8]).unwrap();
    let expected = format!("cannot act through {}: No such file", qmp.display());
    daemon.expect(": connected");
    daemon.expect(&expected);
    // Nobody will ever greet.
    let _listener = UnixListener::bind(&qmp).unwrap();
    drop(vm);
    assert_eq!(daemon.terminate().0, Some(0));
}

#[test]
fn a_watchdog_that_can_bite_no_longer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (qmp, socket) = (folder.path().join("qmp"), folder.path().join("wd"));
    let listener = UnixListener::bind(&qmp).unwrap();
    let mut command = Command::new(DAEMON);
    command.arg("--socket-path").arg(&socket);
    command.arg("--qmp").arg(&qmp);
    let daemon = Program::start(&mut command, 1);
    let _vm = Vm::boot(&socket, feature::ALL, &[8]).unwrap();

    let (mut monitor, _) = listener.accept().unwrap();
    monitor.write_all(b"{\"QMP\": {}}\n").unwrap();
    let mut lines = BufReader::new(monitor.try_clone().unwrap()).lines();
    // qmp_capabilities, query-status, query-cpus-fast.
    for id in 1..=3 {
        lines.next().unwrap().unwrap();
        let answer = format!("{{\"return\": {{\"status\": \"running\"}}, \"id\": {id}}}\n");
        monitor.write_all(answer.as_bytes()).unwrap();
    }
    daemon.expect("acts through");

    std::fs::remove_file(&qmp).unwrap();
    monitor.shutdown(Shutdown::Both).unwrap();
    daemon.expect("cannot act through");
}

#[test]
fn an_answer_is_waited_for_also_by_a_daemon_that_is_stopped_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (api, socket) = (folder.path().join("api"), folder.path().join("wd"));
    let listener = UnixListener::bind(&api).unwrap();
    let mut command = Command::new(DAEMON);
    command.arg("--socket-path").arg(&socket);
    command.arg("--api").arg(&api);
    let daemon = Program::start(&mut command, 1);
    let _vm = Vm::boot(&socket, feature::ALL, &[8]).unwrap();

    let asked = || {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while !lines.next().unwrap().unwrap().is_empty() {}
        stream
    };
    let mut stream = asked();
    let id = socket_peercred(&stream).unwrap().pid;
    wait_for_state(id, 'S');
    for (signal, state) in [(Signal::STOP, 'T'), (Signal::CONT, 'S')] {
        kill_process(id, signal).unwrap();
        wait_for_state(id, state);
    }
    let answer = b"HTTP/1.1 200 \r\nContent-Length: 19\r\n\r\n{\"state\":\"Running\"}";
    stream.write_all(answer).unwrap();
    // It asks twice, and a third time if it has given up the first.
    asked().write_all(answer).unwrap();
    daemon.expect("acts through");
}

/// Waits until all threads of a process run, sleep, or are stopped.
fn wait_for_state(id: Pid, state: char) {
    let start = Instant::now();
    let tasks = format!("/proc/{}/task", id.as_raw_nonzero());
    let is_so = || {
        std::fs::read_dir(&tasks).unwrap().all(|task| {
            // One that has just ended is in no state.
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
            stat.is_ok_and(|stat| stat.contains(&format!(") {state} ")))
        })
    };
    while !is_so() {
        assert!(start.elapsed() < LIMIT);
        std::thread::yield_now();
    }
}

#[test]
fn qemu_is_told_what_the_program_is() {
    let output = testing::run(DAEMON, &["--print-capabilities"]);
    assert_eq!(output.stdout, b"{\"type\": \"watchdog\"}\n");
}

/// A guest with these keys, from line 4 on.
fn guest_with(keys: &str) -> String {
    format!("[[guest]]\nname = 'a'\nsocket = '/run/nowhere/a'\n{keys}\n")
}

#[test]
fn odd_stages_are_told_what_is_allowed() {
    let second = |stage: &str| guest_with(&format!("stage = ['kill',\n{stage}]"));
    refused_with(
        DAEMON,
        &[
            (
                second("'reboot'"),
                "guests.toml:5: `'reboot']`: stage[1]: \"reboot\" is none of event, nmi, dump, \
                 reset, powerdown, stop, quit, term, kill, exec, unit, notify",
            ),
            (
                second("7"),
                "guests.toml:5: `7]`: stage[1]: neither a stage, as \"reset@30\", nor an array \
                 of one and its arguments",
            ),
            (
                second("'reset'"),
                "guests.toml:5: `'reset']`: stage[1]: reset needs a qmp or an api",
            ),
            (
                guest_with("stage = 'kill'"),
                "guests.toml:4: `stage = 'kill'`: stage: not a list",
            ),
            (
                guest_with(""),
                "guests.toml:1: `[[guest]]`: stage: say what to do about a guest that failed, or \
                 give `qmp` or `api`",
            ),
            (
                guest_with("stage = ['kill']\nlast = ['nmi', 'x']"),
                "guests.toml:5: `last = ['nmi', 'x']`: last: nmi has no arguments",
            ),
        ],
    );
}

#[test]
fn odd_values_are_told_what_is_allowed() {
    let kill = |line: &str| guest_with(&format!("stage = ['kill']\n{line}"));
    refused_with(
        DAEMON,
        &[
            (
                kill("timeout = 'x'"),
                "guests.toml:5: `timeout = 'x'`: timeout: not a number",
            ),
            (
                kill("timeout = -1"),
                "guests.toml:5: `timeout = -1`: timeout: -1 is not a time in seconds",
            ),
            (
                kill("channels = 70000"),
                "guests.toml:5: `channels = 70000`: channels: not a whole number from 0 to 65535",
            ),
            (
                kill("lock = 'yes'"),
                "guests.toml:5: `lock = 'yes'`: lock: not true or false",
            ),
            (
                kill("carrier = 'disk'"),
                "guests.toml:5: `carrier = 'disk'`: carrier: not rng",
            ),
            (
                kill("max-resets = -1"),
                "guests.toml:5: `max-resets = -1`: max-resets: not a whole number from 0 to \
                 4294967295",
            ),
            (
                kill("record = '/nonexistent/a'"),
                "guests.toml:5: `record = '/nonexistent/a'`: record: /nonexistent/a: No such \
                 file or directory (os error 2)",
            ),
            (
                kill("qmp = 7"),
                "guests.toml:5: `qmp = 7`: qmp: not a path in quotes",
            ),
        ],
    );
}

#[test]
fn files_of_the_readme_are_served() {
    testing::readme_is_served(DAEMON, "watchdog", &["/var/log"]);
}
