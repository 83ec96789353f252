// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! cloud-hypervisor's API: HTTP on a socket.

use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::qmp::Status;
use super::stage::Action;
use super::unix;

/// How long an answer may take. A reboot is answered when the machine has been built anew.
const ANSWER: Duration = Duration::from_secs(5);

/// Longest answer: the description of a machine.
const LONGEST: usize = 1 << 20;

/// The API of the process that has the guest.
pub(super) struct Api {
    path: PathBuf,
    process: Option<u32>,
}

impl Api {
    /// The API at `path`, which has to be `process`'s if that is known, and answer.
    pub(super) fn connect(path: PathBuf, process: Option<u32>) -> io::Result<Self> {
        let api = Self { path, process };
        api.status().map(|_| api)
    }

    pub(super) fn status(&self) -> io::Result<Status> {
        let body = self.ask("GET", "vm.info", &Value::Null, ANSWER)?;
        let info: Value = serde_json::from_slice(&body)?;
        Ok(match info.get("state").and_then(Value::as_str) {
            Some("Running") => Status::Running,
            _ => Status::Paused,
        })
    }

    /// Does what `action` says, in `limit`, or in what any answer may take.
    pub(super) fn act(&self, action: &Action, limit: Duration) -> io::Result<()> {
        let limit = limit.max(ANSWER);
        let (what, body) = match action {
            Action::Nmi => ("vm.nmi", Value::Null),
            Action::Dump(path) => {
                let url = format!("file://{}", path.display());
                ("vm.coredump", json!({"destination_url": url}))
            }
            Action::Reset => ("vm.reboot", Value::Null),
            Action::PowerDown => ("vm.power-button", Value::Null),
            Action::Stop => ("vm.pause", Value::Null),
            Action::Quit => ("vmm.shutdown", Value::Null),
            _ => return Err(ErrorKind::Unsupported.into()),
        };
        self.ask("PUT", what, &body, limit).map(drop)
    }

    fn ask(&self, method: &str, what: &str, body: &Value, limit: Duration) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + limit;
        let (mut stream, _) = unix::connect(&self.path, self.process, limit)?;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let length = body.len();
        let request = format!(
            "{method} /api/v1/{what} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            if let Some(body) = parse(&answer)? {
                return Ok(body);
            }
            let left = deadline.checked_duration_since(Instant::now());
            stream.set_read_timeout(Some(left.ok_or(ErrorKind::TimedOut)?))?;
            let read = match stream.read(&mut piece) {
                // With a time limit the kernel gives up at any signal, such as that of the end of a child.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            let read = piece.get(..read).unwrap_or_default();
            if read.is_empty() || answer.len() > LONGEST {
                return Err(ErrorKind::InvalidData.into());
            }
            answer.extend_from_slice(read);
        }
    }
}

/// The body of an answer that has arrived as a whole.
///
/// # Errors
/// When the answer is an error, or none.
fn parse(answer: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = answer.split_at(end + 4);
    let head = std::str::from_utf8(head).map_err(io::Error::other)?;
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let mut lengths = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        value.trim().parse().ok().filter(|_| is_length)
    });
    let length: usize = lengths.next_back().unwrap_or(0);
    let Some(body) = body.get(..length) else {
        return Ok(None);
    };
    match status.split(' ').nth(1) {
        Some("200" | "204") => Ok(Some(body.to_vec())),
        Some(_) => {
            let why = String::from_utf8_lossy(body);
            Err(io::Error::other(format!("{status}: {why}")))
        }
        None => Err(ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_waited_for_until_its_body_is_there() {
        let answer = b"HTTP/1.1 200 \r\nServer: API\r\ncontent-length: 4\r\n\r\nbody";
        for length in 0..answer.len() {
            assert_eq!(parse(&answer[..length]).unwrap(), None);
        }
        assert_eq!(parse(answer).unwrap().unwrap(), b"body");
        let answer = b"HTTP/1.1 204 \r\nServer: API\r\n\r\n";
        assert_eq!(parse(answer).unwrap().unwrap(), b"");
    }

    #[test]
    fn an_error_says_what_the_answer_says() {
        let answer = b"HTTP/1.1 500 \r\nContent-Length: 3\r\n\r\nwhy";
        assert!(
            parse(answer)
                .unwrap_err()
                .to_string()
                .ends_with("500 : why")
        );
        parse(b"nonsense\r\n\r\n").unwrap_err();
    }
}
