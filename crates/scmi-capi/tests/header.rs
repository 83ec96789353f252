// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The header that is checked in is the one that is generated.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

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
        .with_include_guard("SCMI_ENGINE_H")
        .generate()
        .unwrap()
        .write(&mut header);
    let header = String::from_utf8(header).unwrap();
    header
        .lines()
        .map(|line| parenthesised(line) + "\n")
        .collect()
}

/// A macro's value stays together wherever it is used.
fn parenthesised(line: &str) -> String {
    let words: Vec<_> = line.splitn(3, ' ').collect();
    match words[..] {
        ["#define", name, value] => format!("#define {name} ({value})"),
        _ => line.to_owned(),
    }
}

#[test]
fn all_names_have_the_prefix_and_values_are_in_parentheses() {
    for line in generate().lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["#define", "SCMI_ENGINE_H"] => {}
            ["#define", name, value, ..] => {
                assert!(
                    name.starts_with("SCMI_ENGINE_") && value.starts_with('('),
                    "{line}"
                );
            }
            ["struct", name, "{"] => assert!(name.starts_with("scmi_engine"), "{line}"),
            ["typedef", ..] => assert!(line.contains("(*scmi_engine_"), "{line}"),
            // A function: nothing else begins at the margin and has parentheses.
            [_, name, ..] if !line.starts_with([' ', '/', '#', '}']) && line.contains('(') => {
                assert!(name.starts_with("scmi_engine_"), "{line}");
            }
            _ => {}
        }
    }
}

/// What OP-TEE's `drivers/scmi.h` and `scmi-msg.h` and SCP-firmware's `mod_scmi_std.h` and `mod_scmi.h` declare, as far as
/// their names are like ours, and what a program does with ours beside them.
const NEIGHBOURS: &str = r#"
#ifndef SCMI_H
#define SCMI_H
#endif
#define SCMI_SUCCESS 0
#define SCMI_NOT_SUPPORTED (-1)
#define SCMI_INVALID_PARAMETERS (-2)
#define SCMI_DENIED (-3)
#define SCMI_NOT_FOUND (-4)
#define SCMI_OUT_OF_RANGE (-5)
#define SCMI_BUSY (-6)
#define SCMI_COMMS_ERROR (-7)
#define SCMI_GENERIC_ERROR (-8)
#define SCMI_HARDWARE_ERROR (-9)
#define SCMI_PROTOCOL_ERROR (-10)
enum scmi_status { SCMI_STATUS_FIRST = SCMI_PROTOCOL_ERROR };
enum scmi_error { SCMI_ERROR_FIRST = SCMI_PROTOCOL_ERROR };
struct scmi_msg { int in; };
struct scmi_clock { int id; };
struct scmi_sensor { int id; };
struct scmi_agent { int id; };
struct scmi_grant { int id; };
struct scmi_memory { int id; };
struct scmi_platform { int id; };
struct scmi_power_domain { int id; };
struct scmi_reset_domain { int id; };
struct scmi_voltage_domain { int id; };
typedef int Switching;
int scmi_init(void);
int scmi_handle(void);
int scmi_answer(void);
int scmi_complete(void);
int scmi_permit(void);
void scmi_process_message(struct scmi_msg *message);

#include "scmi_engine.h"
#include "scmi_engine.h"

int together(void);
int together(void)
{
    struct scmi_clock theirs = {.id = SCMI_BUSY};
    struct scmi_engine_clock ours = {.size = sizeof(ours), .name = "pll"};
    return scmi_init() + theirs.id + (int)ours.size - SCMI_ENGINE_BUSY;
}
"#;

#[test]
fn the_header_stands_beside_those_of_op_tee_and_scp_firmware() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("together.c");
    fs::write(&source, NEIGHBOURS).unwrap();
    let compiled = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fsyntax-only",
            "-I",
        ])
        .arg(package.join("include"))
        .arg(&source)
        .status()
        .unwrap();
    assert!(compiled.success());
}

#[test]
fn the_header_is_what_is_generated() {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/scmi_engine.h");
    let generated = generate();
    if fs::read_to_string(&checked_in).unwrap_or_default() != generated {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scmi_engine.h");
        fs::write(&new, generated).unwrap();
        panic!("cp {} {}", new.display(), checked_in.display());
    }
}
