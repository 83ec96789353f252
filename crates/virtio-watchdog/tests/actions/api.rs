// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! cloud-hypervisor's API.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use tempfile::TempDir;
use virtio_backend::testing::LIMIT;
use virtio_watchdog::{Control, Report, Verdict};

use crate::common::{FAILURE, Rig};

/// An API that answers what it is asked for a machine's state with `state`, and hands on what else it
/// is asked.
fn serve(state: &'static str) -> (TempDir, Option<Control>, Receiver<(String, String)>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (told, asked) = mpsc::channel();
    // Ends with the test.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (line, body) = request(&stream);
            let answer = if line == "GET /api/v1/vm.info HTTP/1.1" {
                let body = format!(r#"{{"config":{{}},"state":"{state}"}}"#);
                format!(
                    "HTTP/1.1 200 \r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            } else if line.contains("vm.nmi") {
                "HTTP/1.1 500 \r\nContent-Length: 6\r\n\r\nno NMI".to_owned()
            } else {
                "HTTP/1.1 204 \r\n\r\n".to_owned()
            };
            (&stream).write_all(answer.as_bytes()).unwrap();
            if !line.contains("vm.info") {
                told.send((line, body)).ok();
            }
        }
    });
    (folder, Some(Control::Api(path)), asked)
}

/// The first line of a request, and its body.
fn request(stream: &UnixStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (lines.swap_remove(0), String::from_utf8(body).unwrap())
}

#[test]
fn every_action_of_cloud_hypervisor_is_a_request() {
    let (_folder, control, asked) = serve("Running");
    let stages = [
        "nmi",
        "dump=/tmp/core",
        "powerdown@0",
        "reset@0",
        "quit@0",
        "stop",
    ];
    let mut rig = Rig::new(&stages, control);
    rig.report(Report::Connected(Some(process::id())));
    rig.report(Report::Failed(FAILURE));
    for (what, body) in [
        ("vm.nmi", ""),
        ("vm.coredump", r#"{"destination_url":"file:///tmp/core.1"#),
        ("vm.power-button", ""),
        ("vm.reboot", ""),
        ("vmm.shutdown", ""),
        ("vm.pause", ""),
    ] {
        let line = format!("PUT /api/v1/{what} HTTP/1.1");
        let (asked, sent) = asked.recv_timeout(LIMIT).unwrap();
        assert_eq!(asked, line);
        // With the time behind it.
        assert!(
            sent.starts_with(body) && sent.is_empty() == body.is_empty(),
            "{sent}"
        );
    }
    assert_eq!(rig.verdict(), Verdict::Paused);
    assert_eq!(rig.verdict(), Verdict::Settled);
    assert!(rig.stages()[0].1.ends_with("no NMI"));
}

#[test]
fn a_machine_of_cloud_hypervisor_that_is_paused_excuses() {
    let (_folder, control, _asked) = serve("Paused");
    let mut rig = Rig::new(&["reset"], control);
    rig.report(Report::Connected(Some(process::id())));
    assert_eq!(rig.verdict(), Verdict::Paused);
    rig.report(Report::Due(FAILURE));
    assert!(matches!(
        rig.verdict(),
        Verdict::Excused { limited: false, .. }
    ));
}
