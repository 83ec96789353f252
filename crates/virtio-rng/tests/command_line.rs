// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The program from outside: command line, configuration file, sockets, signals, exit codes. What is
//! tested here is the core's, and the same in every daemon.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;
use virtio_backend::testing::{self, Program, Vm, feature};

const DAEMON: &str = env!("CARGO_BIN_EXE_vhost-user-rng");

fn run(arguments: &[&str]) -> Output {
    testing::run(DAEMON, arguments)
}

/// Ends the daemon. Returns its exit code.
fn terminate(daemon: Program) -> Option<i32> {
    daemon.terminate().0
}

/// Reads entropy as a guest does.
fn use_device(socket: &Path) {
    let mut vm = Vm::boot(socket, feature::ALL, &[4]).unwrap();
    let entropy = vm.rings.first_mut().unwrap().ask(&[], &[64]).unwrap();
    assert_eq!(entropy.len(), 64);
}

/// A listening socket in `directory`, and its descriptor for a program that is started.
fn listening(directory: &TempDir) -> (PathBuf, OwnedFd) {
    let path = directory.path().join("handed-over.sock");
    (path.clone(), inheritable(UnixListener::bind(path).unwrap()))
}

fn inheritable(fd: impl Into<OwnedFd>) -> OwnedFd {
    let fd = fd.into();
    fcntl_setfd(&fd, FdFlags::empty()).unwrap();
    fd
}

fn number(fd: &OwnedFd) -> String {
    std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()).to_string()
}

/// A shell that becomes the daemon, with these words of its own: LISTEN_PID is the daemon's number.
fn becomes(words: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        &format!("export LISTEN_PID=$$; exec {DAEMON} {words}"),
    ]);
    shell
}

/// Hands a socket over as standard input, for `words` to make a descriptor of it.
fn systemd(words: &str, socket: impl Into<OwnedFd>) -> Command {
    let mut shell = becomes(words);
    shell.env("LISTEN_FDS", "1").stdin(socket.into());
    shell
}

#[track_caller]
fn refused(output: &Output, reason: &str) {
    testing::refused(output, &[reason]);
}

#[test]
fn print_capabilities_ignores_everything_else() {
    let output = run(&["--print-capabilities", "--bogus", "--socket-path"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"{\"type\": \"rng\"}\n");
}

#[test]
fn socket_path_and_fd_together_are_a_usage_error() {
    assert_eq!(
        run(&["--socket-path", "/nowhere", "--fd", "3"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn options_of_a_guest_beside_a_file_are_a_usage_error() {
    let output = run(&["--config", "/nowhere", "--rate", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--rate"));
}

#[test]
fn no_socket_is_refused() {
    refused(&run(&[]), "--socket-path");
}

#[test]
fn a_missing_source_is_refused_before_there_is_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("rng.sock");
    refused(
        &run(&[
            "--socket-path",
            socket.to_str().unwrap(),
            "--source",
            "/nowhere",
        ]),
        "--source: ",
    );
    assert!(!socket.exists());
}

#[test]
fn a_regular_file_in_the_place_of_the_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "data").unwrap();
    refused(
        &run(&["--socket-path", path.to_str().unwrap()]),
        "not a socket",
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn a_socket_that_another_process_listens_on_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    refused(
        &run(&["--socket-path", path.to_str().unwrap()]),
        "another process",
    );
    assert!(path.exists());
}

#[test]
fn a_socket_that_a_dead_daemon_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let mut command = Command::new(DAEMON);
    command.arg("--socket-path").arg(&path);
    // Killed. A socket of this process would be open a little longer in a child of another test.
    drop(Program::start(&mut command, 1));
    assert!(path.exists());
    let _daemon = Program::start(&mut command, 1);
    use_device(&path);
}

#[test]
fn a_daemon_serves_also_when_nobody_can_be_told_that_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let mut command = Command::new(DAEMON);
    command.arg("--socket-path").arg(&path);
    let daemon = Program::start(command.env("NOTIFY_SOCKET", "/nowhere"), 1);
    daemon.expect("warn: NOTIFY_SOCKET: ");
    use_device(&path);
}

#[test]
fn sigterm_ends_an_idle_daemon_and_removes_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let daemon = Program::start(Command::new(DAEMON).arg("--socket-path").arg(&path), 1);
    assert_eq!(terminate(daemon), Some(0));
    assert!(!path.exists());
}

#[test]
fn sigterm_ends_a_daemon_whose_front_end_is_connected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let daemon = Program::start(Command::new(DAEMON).arg("--socket-path").arg(&path), 1);
    let mut connection = UnixStream::connect(&path).unwrap();
    daemon.expect(": connected");
    assert_eq!(terminate(daemon), Some(0));
    assert_eq!(connection.read(&mut [0]).unwrap(), 0);
}

#[test]
fn sigterm_ends_a_daemon_with_a_request_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    // A byte a second: the second request waits for a minute.
    let daemon = Program::start(
        Command::new(DAEMON)
            .arg("--socket-path")
            .arg(&path)
            .args(["--rate", "1", "--burst", "64"]),
        1,
    );
    let mut vm = Vm::boot(&path, feature::ALL, &[4]).unwrap();
    let ring = vm.rings.first_mut().unwrap();
    assert_eq!(ring.ask(&[], &[64]).unwrap().len(), 64);
    let head = ring.add(&vm.memory.chain(&[], &[64]));
    ring.push(head);
    ring.notify();
    assert_eq!(terminate(daemon), Some(0));
}

#[test]
fn a_guest_whose_memory_goes_away_ends_no_daemon() {
    let guest = "[[guest]]\nname = 'NAME'\nsocket = 'DIR/NAME'\n";
    let guests = ["a", "b"].map(|name| guest.replace("NAME", name));
    let daemon = Program::configured(DAEMON, &guests.concat());
    let [path, other] = ["a", "b"].map(|name| daemon.folder().join(name));
    let vm = Vm::boot(&path, feature::ALL, &[4]).unwrap();

    vm.memory.lose(0x10_0000);
    vm.rings.first().unwrap().kick();

    daemon.expect("warn: a: disconnected: its memory is gone");
    use_device(&other);
    use_device(&path);
    assert_eq!(terminate(daemon), Some(0));
}

#[test]
fn a_file_that_took_the_place_of_the_socket_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let daemon = Program::start(Command::new(DAEMON).arg("--socket-path").arg(&path), 1);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "somebody else's").unwrap();
    assert_eq!(terminate(daemon), Some(0));
    assert!(path.exists());
}

#[test]
fn a_listening_socket_is_handed_over_by_number() {
    let directory = tempfile::tempdir().unwrap();
    let (path, fd) = listening(&directory);
    let daemon = Program::start(Command::new(DAEMON).args(["--fd", &number(&fd)]), 1);
    use_device(&path);
    assert_eq!(terminate(daemon), Some(0));
    assert!(path.exists(), "it was not ours to remove");
}

#[test]
fn a_connected_socket_is_refused_and_so_is_what_is_no_socket() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    refused(
        &run(&["--fd", &number(&inheritable(ours))]),
        "connected socket",
    );
    refused(
        &run(&["--fd", &number(&inheritable(tempfile::tempfile().unwrap()))]),
        "not a socket",
    );
    refused(&run(&["--fd", "999"]), "not open");
    refused(&run(&["--fd", "2"]), "standard");
}

/// Closes what this process may have handed over besides.
const NOTHING: &str = "3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-";

#[test]
fn a_number_that_only_a_file_of_the_daemon_could_have_is_refused() {
    for number in 3..10 {
        let output = becomes(&format!("--fd {number} {NOTHING}")).output();
        refused(&output.unwrap(), "not open");
    }
    let output = becomes(NOTHING).env("LISTEN_FDS", "1").output();
    refused(&output.unwrap(), "LISTEN_FDS");
}

#[test]
fn a_connected_socket_is_refused_also_from_systemd() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let output = systemd("3<&0", ours).output();
    refused(&output.unwrap(), "connected socket");
}

#[test]
fn a_listening_socket_is_handed_over_as_systemd_does() {
    let directory = tempfile::tempdir().unwrap();
    let (path, fd) = listening(&directory);
    let _daemon = Program::start(&mut systemd("3<&0", fd), 1);
    use_device(&path);
}

#[test]
fn a_socket_may_be_handed_over_in_both_ways_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (path, fd) = listening(&directory);
    let _daemon = Program::start(&mut systemd("--fd 3 3<&0", fd), 1);
    use_device(&path);
}

#[test]
fn a_socket_that_is_handed_over_for_nobody_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (_, fd) = listening(&directory);
    let other = directory.path().join("other.sock");
    let output = systemd(&format!("--socket-path {} 3<&0", other.display()), fd).output();
    refused(&output.unwrap(), "handed-over.sock");
    assert!(!other.exists());
}

#[test]
fn mistakes_in_the_file_are_named_by_line_and_key_before_there_is_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("guests.toml");
    let good = "[[guest]]\nname = 'a'\nsocket = 'DIR/a.sock'\n";
    let table = [
        ("source = '/nowhere'\n", 4, "source"),
        (
            "[[guest]]\nname = 'b'\nsocket = 'DIR/b.sock'\nsauce = 'kernel'\n",
            7,
            "sauce",
        ),
        (
            "[[guest]]\nname = 'b'\nsocket = 'DIR/b.sock'\nrate = 'fast'\n",
            7,
            "rate",
        ),
        (
            "[[guest]]\nname = 'b'\nsocket = 'DIR/b.sock'\nrate = 0\n",
            7,
            "rate",
        ),
        (
            "[[guest]]\nname = 'b'\nsocket = 'DIR/b.sock'\nsource = '/nowhere'\n",
            7,
            "source",
        ),
        (
            "[[guest]]\nname = 'b'\nsocket = 'DIR/a.sock'\n",
            6,
            "socket",
        ),
        ("[[guest]]\nname = 'a'\nsocket = 'DIR/b.sock'\n", 5, "name"),
        ("[[guest]]\nname = 'b'\n", 4, "socket"),
        ("[[guest]\nname = 'b'\n", 4, "[[guest]"),
        ("[guests]\n", 4, "[guests]"),
    ];
    for (bad, line, key) in table {
        let text = format!("{good}{bad}").replace("DIR", directory.path().to_str().unwrap());
        fs::write(&file, text).unwrap();
        let output = run(&["--config", file.to_str().unwrap()]);
        refused(&output, &format!("guests.toml:{line}: "));
        refused(&output, key);
        assert!(!directory.path().join("a.sock").exists());
    }
    let text = format!("max-guests = 1\n{good}[[guest]]\nname = 'b'\nsocket = 'b'\n");
    fs::write(&file, text).unwrap();
    refused(
        &run(&["--config", file.to_str().unwrap()]),
        "guests.toml:5: ",
    );
    for nobody in ["max-guests = 1\n", "guest = []\n"] {
        fs::write(&file, nobody).unwrap();
        refused(&run(&["--config", file.to_str().unwrap()]), "no [[guest]]");
    }
    refused(&run(&["--config", "/nowhere"]), "/nowhere");
}

#[test]
fn a_file_serves_many_guests_each_on_its_own_socket() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("guests.toml");
    let sockets: Vec<_> = (0..3)
        .map(|guest| directory.path().join(format!("{guest}.sock")))
        .collect();
    let guests = sockets.iter().map(|socket| {
        let socket = socket.display();
        format!("[[guest]]\nname = '{socket}'\nsocket = '{socket}'\nsource = 'kernel'\n")
    });
    fs::write(
        &file,
        format!("max-guests = 16\n{}", guests.collect::<String>()),
    )
    .unwrap();
    let daemon = Program::start(Command::new(DAEMON).arg("--config").arg(&file), 3);
    let vms: Vec<_> = sockets
        .iter()
        .map(|socket| Vm::boot(socket, feature::ALL, &[4]).unwrap())
        .collect();
    for mut vm in vms {
        assert_eq!(
            vm.rings.first_mut().unwrap().ask(&[], &[64]).unwrap().len(),
            64
        );
    }
    assert_eq!(terminate(daemon), Some(0));
    assert!(sockets.iter().all(|socket| !socket.exists()));
}

/// A shell that becomes the daemon after `ulimit` with these words.
fn limited(limit: &str, arguments: &[&Path]) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("ulimit {limit} && exec {DAEMON} \"$@\"");
    shell.args(["-c", &script, "sh"]).args(arguments);
    shell
}

#[test]
fn a_daemon_may_open_as_many_files_as_its_host_allows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let mut command = limited("-S -n 64", &["--socket-path".as_ref(), &path]);
    let daemon = Program::start(&mut command, 1);

    let limits = format!("/proc/{}/limits", daemon.id().as_raw_nonzero());
    let limits = fs::read_to_string(limits).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<_> = files.unwrap().split_whitespace().collect();
    let [.., soft, hard, _files] = words[..] else {
        panic!("{limits}");
    };
    assert_eq!(soft, hard);
}

#[test]
fn more_guests_than_the_host_allows_files_for_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("guests.toml");
    let guests = "max-guests = 16\n[[guest]]\nname = 'a'\nsocket = 'a'\n";
    fs::write(&file, guests).unwrap();
    let output = limited("-n 64", &["--config".as_ref(), &file]).output();
    refused(
        &output.unwrap(),
        "guests.toml:1: `max-guests = 16`: max-guests: 16 guests need",
    );
}

#[test]
fn a_want_of_file_descriptors_is_said_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let mut command = Command::new(DAEMON);
    let daemon = Program::start(command.arg("-vv").arg("--socket-path").arg(&path), 1);
    // poll(2) wants to be allowed as many as it looks at.
    let no_more = Rlimit {
        current: Some(3),
        maximum: Some(3),
    };
    prlimit(Some(daemon.id()), Resource::Nofile, no_more).unwrap();

    let _waiting = UnixStream::connect(&path).unwrap();

    for level in ["error", "trace"] {
        let line = daemon.expect("Too many open files");
        assert!(line.starts_with(level), "{line}");
    }
}

#[test]
fn a_front_end_that_comes_and_goes_does_not_fill_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let daemon = Program::start(Command::new(DAEMON).arg("--socket-path").arg(&path), 1);
    for _ in 0..200 {
        drop(UnixStream::connect(&path).unwrap());
    }
    use_device(&path);
    // What is said of who waits has a limit of its own, or comings would keep it out.
    let (waits, comings): (Vec<_>, Vec<_>) = daemon
        .terminate()
        .1
        .into_iter()
        .partition(|line| line.contains("another front end waits"));
    assert_eq!(comings.len(), 100);
    assert!(waits.len() <= 10, "{waits:?}");
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    for what in ["--print-capabilities", "--help", "--version"] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(DAEMON).arg(what).stdout(full).output();
        refused(&output.unwrap(), "standard output: No space left");
    }
}

#[test]
fn a_number_that_must_be_positive_says_so() {
    for rate in ["0", "-1", "many", "4294967296"] {
        let output = run(&["--socket-path", "/nowhere/a", &format!("--rate={rate}")]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("not a whole number above 0"), "{said}");
    }
}

#[test]
fn a_hangup_is_said_and_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let daemon = Program::start(Command::new(DAEMON).arg("--socket-path").arg(&path), 1);
    for _ in 0..2 {
        kill_process(daemon.id(), Signal::HUP).unwrap();
        daemon.expect("warn: SIGHUP is ignored");
    }
    use_device(&path);
    assert_eq!(terminate(daemon), Some(0));
}

/// A shell that becomes the daemon with these words, whose journal is standard error if `ours`.
fn journaled(words: &str, ours: &str) -> Command {
    let mut shell = Command::new("sh");
    let journal = format!("export JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr){ours}");
    shell.args(["-c", &format!("{journal}; exec {DAEMON} {words}")]);
    shell
}

#[test]
fn lines_for_the_journal_have_their_priority() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rng.sock");
    let words = format!("-v --socket-path {}", path.display());
    let daemon = Program::start(&mut journaled(&words, ""), 1);
    kill_process(daemon.id(), Signal::HUP).unwrap();
    let line = daemon.expect("warn: SIGHUP");
    assert!(line.starts_with("<4>warn: "), "{line}");
    drop(UnixStream::connect(&path).unwrap());
    let line = daemon.expect("disconnected");
    assert!(line.starts_with("<6>info: "), "{line}");
    // What ends the daemon has it too, and each line of a mistake of the command line.
    for words in ["--fd 2", "--rate 0"] {
        let output = journaled(words, "").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.is_empty());
        assert!(said.lines().all(|line| line.starts_with("<3>")), "{said}");
    }
}

#[test]
fn what_is_not_the_journal_has_no_priorities() {
    let output = journaled("--fd 2", "0").output().unwrap();
    assert!(output.stderr.starts_with(b"vhost-user-rng: --fd 2: "));
}

#[test]
fn help_tells_what_all_daemons_understand() {
    let help = run(&["--help"]).stdout;
    let help = String::from_utf8(help).unwrap();
    for word in [
        "LISTEN_FDS",
        "RUST_LOG",
        "max-guests",
        "SIGHUP",
        "Exit codes: 0",
        "[[guest]]",
    ] {
        assert!(help.contains(word), "{help}");
    }
}
