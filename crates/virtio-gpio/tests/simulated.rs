// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The simulated chip.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use virtio_backend::{Token, Watch};
use virtio_gpio::{Bias, Chip, Drive, Edges, Pin, Settings, SimulatedChip, Usage};

const TOKEN: Token = Token(7);

fn pin(chip: &SimulatedChip, offset: u32, settings: &Settings) -> (Box<dyn Pin>, Watch) {
    let watch = Watch::new().unwrap();
    (chip.pin(offset, settings, &watch, TOKEN).unwrap(), watch)
}

fn plain(chip: &SimulatedChip, offset: u32) -> (Box<dyn Pin>, Watch) {
    pin(chip, offset, &Settings::default())
}

/// Whether the watch says that there is something, now.
fn says(watch: &Watch) -> bool {
    let mut said = false;
    watch.poll(|token| said |= token == TOKEN);
    said
}

#[test]
fn sixteen_lines_have_names() {
    let names = SimulatedChip::new().names().unwrap();
    assert_eq!(
        names.join(" "),
        "out0 out1 out2 out3 in0 in1 in2 in3 button0 button1 toggle open-drain line12 line13 line14 line15"
    );
}

#[test]
fn what_an_output_drives_its_input_senses() {
    let chip = SimulatedChip::new();
    for number in 0..4 {
        let ((mut output, _), (mut input, watch)) =
            (plain(&chip, number), plain(&chip, 4 + number));
        input.configure(Usage::Input(Edges::Both)).unwrap();
        for level in [true, false, true] {
            output.configure(Usage::Output(level)).unwrap();
            assert_eq!(input.value().unwrap(), level);
            assert!(says(&watch));
            assert!(input.edge().unwrap());
            assert!(!says(&watch));
            assert!(!input.edge().unwrap());
        }
        output.configure(Usage::Free).unwrap();
        assert!(!input.value().unwrap());
        assert!(input.edge().unwrap());
    }
}

#[test]
fn only_edges_that_were_asked_for_are_told_and_those_before_a_change_are_forgotten() {
    let chip = SimulatedChip::new();
    let (mut input, _watch) = plain(&chip, 8);
    for (edges, told) in [
        (Edges::None, [false, false]),
        (Edges::Rising, [true, false]),
        (Edges::Falling, [false, true]),
        (Edges::Both, [true, true]),
    ] {
        input.configure(Usage::Input(edges)).unwrap();
        for (level, told) in [true, false].into_iter().zip(told) {
            chip.drive("button0", Some(level)).unwrap();
            assert_eq!(input.edge().unwrap(), told, "{edges:?}");
        }
        chip.drive("button0", Some(true)).unwrap();
        chip.drive("button0", Some(false)).unwrap();
    }
    input.configure(Usage::Input(Edges::Rising)).unwrap();
    assert!(!input.edge().unwrap());
}

#[test]
fn a_line_that_is_mute_says_nothing_until_it_is_asked() {
    let chip = SimulatedChip::new();
    let (mut input, watch) = plain(&chip, 8);
    input.configure(Usage::Input(Edges::Both)).unwrap();
    input.mute().unwrap();
    chip.drive("button0", Some(true)).unwrap();
    assert!(!says(&watch));
    assert!(!input.edge().unwrap());
    chip.drive("button0", Some(false)).unwrap();
    assert!(says(&watch));
}

#[test]
fn an_open_drain_is_high_unless_somebody_pulls_it_low() {
    let chip = SimulatedChip::new();
    let (mut line, _watch) = plain(&chip, 11);
    let levels = |guest, outside| {
        line.configure(guest).unwrap();
        chip.drive("open-drain", outside).unwrap();
        line.value().unwrap()
    };
    let cases = [
        (Usage::Free, None),
        (Usage::Output(true), None),
        (Usage::Output(false), None),
        (Usage::Output(true), Some(false)),
        (Usage::Output(true), Some(true)),
        (Usage::Output(false), Some(true)),
    ];
    let mut levels = levels;
    assert_eq!(
        cases.map(|(guest, outside)| levels(guest, outside)),
        [true, true, false, false, true, false]
    );
}

#[test]
fn the_line_that_toggles_has_an_edge_twice_a_second() {
    let start = Instant::now();
    let chip = SimulatedChip::new();
    let (mut line, watch) = plain(&chip, 10);
    line.configure(Usage::Input(Edges::Both)).unwrap();
    let (mut edges, mut levels) = (0, HashSet::new());
    while edges < 3 || levels.len() < 2 {
        let limit = Timespec {
            tv_sec: 5,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&watch, PollFlags::IN)];
        let ready = retry_on_intr(|| poll(&mut fds, Some(&limit)));
        assert_eq!(ready, Ok(1), "no edge");
        assert!(says(&watch));
        if line.edge().unwrap() {
            edges += 1;
            levels.insert(line.value().unwrap());
            assert!(edges < 20, "always {levels:?}");
        }
    }
    // Heard late they may be, or two as none, but neither early nor too often.
    assert!(start.elapsed() >= edges * Duration::from_millis(500));
}

#[test]
fn settings_of_a_line_hold() {
    let chip = SimulatedChip::new();
    let (mut low, _watch) = pin(
        &chip,
        0,
        &Settings {
            active_low: true,
            ..Settings::default()
        },
    );
    low.configure(Usage::Output(true)).unwrap();
    assert_eq!(chip.level("in0"), Some(false));
    low.configure(Usage::Output(false)).unwrap();
    assert_eq!(chip.level("in0"), Some(true));
    assert!(!low.value().unwrap());

    for (drive, driven) in [(Drive::OpenDrain, false), (Drive::OpenSource, true)] {
        let (mut line, _watch) = pin(
            &chip,
            12,
            &Settings {
                drive,
                ..Settings::default()
            },
        );
        chip.drive("line12", Some(!driven)).unwrap();
        line.configure(Usage::Output(!driven)).unwrap();
        assert_eq!(chip.level("line12"), Some(!driven));
        line.configure(Usage::Output(driven)).unwrap();
        assert_eq!(chip.level("line12"), Some(driven));
    }

    let bias = Some(Bias::PullUp);
    let (mut up, _watch) = pin(
        &chip,
        9,
        &Settings {
            bias,
            ..Settings::default()
        },
    );
    assert!(up.value().unwrap());
}

#[test]
fn a_line_is_one_users_at_a_time() {
    let chip = SimulatedChip::new();
    let settings = Settings {
        consumer: "first".to_owned(),
        ..Settings::default()
    };
    let (first, watch) = pin(&chip, 3, &settings);
    let second = chip.pin(3, &Settings::default(), &watch, TOKEN);
    let said = second.err().unwrap().to_string();
    assert!(said.contains("first"), "{said}");
    drop(first);
    assert!(chip.pin(3, &Settings::default(), &watch, TOKEN).is_ok());
    assert!(chip.pin(16, &Settings::default(), &watch, TOKEN).is_err());
    assert!(chip.drive("nobody", None).is_err());
}
