// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The configuration files that README shows, as a reader pastes them.

use std::fs;
use std::path::Path;

use super::Program;

/// Expects that a daemon of this type serves the guests of each file that README shows for it:
/// those with a socket below `/run/virtio/TYPE`. Hardware that a comment has an alternative to, as
/// in `# …; or simulate = true`, is replaced by that.
///
/// Other paths that a file is to be written at are in `elsewhere`. They, and the sockets, are in a
/// folder of the test's instead.
///
/// # Panics
/// When README has no such file, or has one that is for no device.
pub fn readme_is_served(binary: &str, device: &str, elsewhere: &[&str]) {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(crates.join("../README.md")).unwrap();
    let mut count = 0;
    for file in files(&readme) {
        let (_, path) = file.split_once("\"/run/virtio/").unwrap();
        let (whose, _) = path.split_once('/').unwrap();
        assert!(crates.join(format!("virtio-{whose}")).exists(), "{file}");
        if whose != device {
            continue;
        }
        let mut file: String = file.lines().map(without_hardware).collect();
        for path in elsewhere {
            assert!(file.contains(path), "{file}");
            file = file.replace(path, "DIR");
        }
        let file = file.replace(&format!("/run/virtio/{device}"), "DIR");
        assert_eq!(Program::configured(binary, &file).terminate().0, Some(0));
        count += 1;
    }
    assert_ne!(count, 0, "README shows no file for {device}");
}

/// What stands between the fences of TOML.
fn files(readme: &str) -> impl Iterator<Item = &str> {
    readme
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
}

/// The line, or the one that its comment says may stand there: `# or KEY = VALUE`.
fn without_hardware(line: &str) -> String {
    let comment = line.split('#').nth(1).unwrap_or_default();
    let alternatives = comment.split("; ").filter_map(|part| {
        let words = part.trim().strip_prefix("or ")?;
        words.split(", ").next()
    });
    let mut lines = alternatives.filter(|words| words.contains(" = "));
    format!("{}\n", lines.next().unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_may_have_an_alternative() {
        for (line, expected) in [
            ("a = 1", "a = 1\n"),
            ("a = 1 # b", "a = 1 # b\n"),
            ("a = 1 # b or c = 2", "a = 1 # b or c = 2\n"),
            ("a = 1 # or c, with d = 2", "a = 1 # or c, with d = 2\n"),
            ("a = 1 # b; or c = 2", "c = 2\n"),
            ("a = 1 # or a = 2, and 3 if not given", "a = 2\n"),
        ] {
            assert_eq!(without_hardware(line), expected);
        }
    }
}
