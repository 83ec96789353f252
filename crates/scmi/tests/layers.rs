// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The source's layers: each names those above it only, and a protocol is named in its own file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// From the top.
const LAYERS: [&str; 5] = ["wire", "state", "share", "protocols", "engine"];

/// The lines of code of a layer, and where they are.
fn code(layer: &str) -> Vec<(PathBuf, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = match fs::read_dir(source.join(layer)) {
        Ok(files) => files.map(|file| file.unwrap().path()).collect(),
        Err(_) => vec![source.join(layer).with_extension("rs")],
    };
    let mut code = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter(|line| !line.trim().starts_with("//"));
        code.extend(lines.map(|line| (file.clone(), line.to_owned())));
    }
    code
}

#[test]
fn a_layer_names_none_below_it() {
    for (at, layer) in LAYERS.into_iter().enumerate() {
        for (file, line) in code(layer) {
            for below in LAYERS.iter().skip(at + 1) {
                let names = line.contains(&format!("crate::{below}::"));
                assert!(!names, "{}: {line}", file.display());
            }
        }
    }
}

#[test]
fn a_protocols_resources_are_named_in_its_own_files() {
    for (kind, files) in [
        ("POWER", &["power.rs"][..]),
        ("CLOCK", &["clock.rs"]),
        ("SENSOR", &["sensor.rs", "trip.rs"]),
        ("RESET", &["reset.rs"]),
        ("VOLTAGE", &["voltage.rs"]),
    ] {
        for (file, line) in LAYERS.into_iter().flat_map(code) {
            if line.contains(&format!("Kind::{kind}")) {
                let name = file.file_name().unwrap().to_str().unwrap();
                assert!(files.contains(&name), "{}: {line}", file.display());
            }
        }
    }
}
