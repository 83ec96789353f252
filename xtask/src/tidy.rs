// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! House rules that a program can check.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use xtask::device::{Device, workspace};

/// Longest source file, tests apart. What is longer has two subjects.
const MAX_LINES: usize = 500;

const LICENSE: &str = "SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause";

// In two parts, or they would be found here.
const IGNORE: &str = concat!("#[", "ignore");
const SLEEP: &str = concat!("thread::", "sleep");

pub(crate) fn check() -> Result<()> {
    let mut problems = Vec::new();
    for path in files()? {
        // What is staged may have been deleted since, and what is binary has no rules.
        if let Ok(text) = fs::read_to_string(workspace().join(&path)) {
            problems.extend(problems_in(&path, &text));
        }
    }
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap_or_default();
    for device in Device::all()? {
        let has_row = |line: &str| line.starts_with('|') && line.contains(&device.package);
        if !readme.lines().any(has_row) {
            problems.push(format!("README.md: no row for {}", device.package));
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

fn files() -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(workspace())
        .output()?;
    ensure!(output.status.success(), "git ls-files: {}", output.status);
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

fn problems_in(path: &str, text: &str) -> Vec<String> {
    let extension = Path::new(path).extension().unwrap_or_default();
    let is_rust = extension == "rs";
    let mut in_tests = path.contains("/tests/");
    let mut lines = 0;
    let mut problems = Vec::new();
    let mut problem = |number: usize, what: &str| problems.push(format!("{path}:{number}: {what}"));

    if (is_rust || extension == "sh" || extension == "toml")
        && !text.lines().take(2).any(|line| line.contains(LICENSE))
    {
        problem(1, "no SPDX line");
    }
    for (line, number) in text.lines().zip(1..) {
        if line.ends_with([' ', '\t']) && extension != "md" && extension != "patch" {
            problem(number, "space at the end of the line");
        }
        if !is_rust {
            continue;
        }
        in_tests |= line.starts_with("#[cfg(test)]");
        lines += usize::from(!in_tests);
        if line.contains(IGNORE) {
            problem(number, "a test that cannot run says why when it runs");
        }
        if in_tests && line.contains(SLEEP) {
            problem(number, "a test waits for what it needs");
        }
    }
    if lines > MAX_LINES {
        problem(1, "more than 500 lines");
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause\n";

    #[track_caller]
    fn check(path: &str, body: &str, expected: &[&str]) {
        assert_eq!(problems_in(path, &format!("{HEAD}{body}")), expected);
    }

    #[test]
    fn license_is_missed() {
        assert_eq!(problems_in("a.sh", "#!/bin/sh\n"), ["a.sh:1: no SPDX line"]);
        check("a.sh", "", &[]);
    }

    #[test]
    fn space_at_the_end_is_found() {
        check(
            "a.toml",
            "x = 1 \n",
            &["a.toml:2: space at the end of the line"],
        );
    }

    #[test]
    fn sleep_is_found_in_tests_only() {
        let sleep = format!("{SLEEP}(SOON);\n");
        check("src/a.rs", &sleep, &[]);
        check(
            "x/tests/a.rs",
            &sleep,
            &["x/tests/a.rs:2: a test waits for what it needs"],
        );
        let unit = format!("#[cfg(test)]\n{sleep}");
        check(
            "src/a.rs",
            &unit,
            &["src/a.rs:3: a test waits for what it needs"],
        );
    }

    #[test]
    fn tests_do_not_count_as_length() {
        let long = "\n".repeat(MAX_LINES);
        check("src/a.rs", &long, &["src/a.rs:1: more than 500 lines"]);
        check("src/a.rs", &format!("#[cfg(test)]\n{long}"), &[]);
    }
}
