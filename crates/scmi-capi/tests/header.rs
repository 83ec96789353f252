// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The header that is checked in is the one that is generated.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};

const LICENSE: &str = "/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */";

fn generate() -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let config = Config {
        language: Language::C,
        style: Style::Tag,
        cpp_compat: true,
        usize_is_size_t: true,
        no_includes: true, // Those that it takes are not all there without a C library.
        documentation_style: DocumentationStyle::Doxy,
        ..Config::default()
    };
    let sources = ["description", "platform", "memory", "engine"];
    let mut header = Vec::new();
    sources
        .into_iter()
        .fold(Builder::new().with_config(config), |builder, name| {
            builder.with_src(source.join(name).with_extension("rs"))
        })
        .with_sys_include("stdbool.h")
        .with_sys_include("stddef.h")
        .with_sys_include("stdint.h")
        .with_header(LICENSE)
        .with_autogen_warning("/* Generated from scmi-capi by its test, which checks it. */")
        .with_include_guard("SCMI_H")
        .generate()
        .unwrap()
        .write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn the_header_is_what_is_generated() {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/scmi.h");
    let generated = generate();
    if fs::read_to_string(&checked_in).unwrap_or_default() != generated {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scmi.h");
        fs::write(&new, generated).unwrap();
        panic!("cp {} {}", new.display(), checked_in.display());
    }
}
