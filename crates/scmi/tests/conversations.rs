// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What agents say to the platform, and what it says to them, in order. An agent has a letter, from A on; messages are
//! bytes as they lie in memory, in groups of four.
//!
//! | line | meaning |
//! |---|---|
//! | `A > 03500000 01000000` | A's command |
//! | `A < 03500000 00000000` | A's response: to the command, or to an earlier one that was answered later; `...` if more follows |
//! | `A .` | A has no response to a command yet |
//! | `A ! 05520000 …` | the next event for A: a delayed response or a notification |
//! | `A -` | there is no event for A |
//! | `= …` | the host or the hardware: see [`Talk::host`] |
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::collections::VecDeque;

use common::*;
use scmi::{Answer, Engine, Kind, Place, Profile, Reason, Rights, Status};

/// Everything that there is once, the axes being sensor 2's.
const ALL: &[u16] = &[0, 1, 2, 3, 4];

/// A conversation of agents that were given this, on hardware as it is at boot.
#[track_caller]
fn talk(given: &[Given], lines: &str) {
    talk_on(given, |_| {}, lines);
}

#[track_caller]
fn talk_on(given: &[Given], prepare: impl FnOnce(&mut Board), lines: &str) {
    let mut parts = Parts::new(5, given);
    let mut engine = parts.engine();
    prepare(&mut engine.platform);
    let mut talk = Talk {
        engine,
        responses: VecDeque::new(),
        waiting: Vec::new(),
    };
    for line in lines.lines().map(str::trim).filter(|it| !it.is_empty()) {
        let line = line.split("//").next().unwrap().trim();
        if let Some(order) = line.strip_prefix("= ") {
            talk.host(order, line);
        } else if !line.is_empty() {
            talk.say(line);
        }
    }
}

struct Talk<'a> {
    engine: Engine<'a, Board>,
    responses: VecDeque<(u16, String)>,
    waiting: Vec<(u16, Place)>,
}

impl Talk<'_> {
    #[track_caller]
    fn say(&mut self, line: &str) {
        let (agent, rest) = line.split_at(1);
        let agent = agent_of(agent);
        let (what, message) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        match what {
            ">" => self.command(agent, message),
            "<" => expect(self.response(agent), message, line),
            "." => assert_eq!(self.response(agent), None, "{line}"),
            "!" => expect(self.event(agent), message, line),
            "-" => assert_eq!(self.event(agent), None, "{line}"),
            _ => panic!("{line}"),
        }
    }

    fn command(&mut self, agent: u16, message: &str) {
        let mut room = [0xa5; 136];
        match self
            .engine
            .handle(AgentId(agent), &unhex(message), &mut room)
        {
            Answer::Now(length) => self.responses.push_back((agent, hex(&room[..length]))),
            Answer::Later(place) => self.waiting.push((agent, place)),
        }
    }

    fn response(&mut self, agent: u16) -> Option<String> {
        if let Some(at) = self.responses.iter().position(|(of, _)| *of == agent) {
            return Some(self.responses.remove(at).unwrap().1);
        }
        let mut room = [0xa5; 136];
        for at in 0..self.waiting.len() {
            let (of, place) = self.waiting[at];
            if of == agent {
                if let Some(length) = self.engine.answer(place, &mut room) {
                    self.waiting.remove(at);
                    return Some(hex(&room[..length]));
                }
            }
        }
        None
    }

    fn event(&mut self, agent: u16) -> Option<String> {
        let mut room = [0xa5; 136];
        let length = self.engine.next_event(AgentId(agent), &mut room)?;
        Some(hex(&room[..length]))
    }

    /// What the host and the hardware do, and what the hardware is by then.
    #[track_caller]
    fn host(&mut self, order: &str, line: &str) {
        let words: Vec<_> = order.split(' ').collect();
        let number = |word: &str| word.parse::<i64>().unwrap();
        let index = |word: &str| word.parse::<usize>().unwrap();
        match words[..] {
            ["changes", "take", "time"] => self.engine.platform.late = true,
            ["switches", "take", "time"] => self.engine.platform.late_switches = true,
            ["done"] => complete(&mut self.engine),
            ["failed"] => end(&mut self.engine, Err(Status::HardwareError)),
            [agent, "is", "gone"] => self.reset(agent, Reason::Disconnected),
            [agent, "is", "reset"] => self.reset(agent, Reason::Requested),
            ["sensor", sensor, "measures", value, times] => {
                for _ in 0..number(times.strip_suffix('x').unwrap()) {
                    self.engine.platform.reading[0] = number(value);
                    let sensor = ResourceId(sensor.parse().unwrap());
                    self.engine.sensor_updated(sensor);
                }
            }
            ["level", at, value] => {
                let level = self.engine.platform.state.levels[index(at)];
                assert_eq!(i64::from(level), number(value), "{line}");
            }
            ["rate", at, value] => {
                let rate = self.engine.platform.state.clocks[index(at)].0;
                assert_eq!(rate, value.parse::<u64>().unwrap(), "{line}");
            }
            ["rates", "double"] => {
                let rates = &mut self.engine.platform.rates;
                rates.iter_mut().for_each(|rate| *rate *= 2);
            }
            [kind, at, state @ ("on" | "off")] => {
                let kind = match kind {
                    "power" => Kind::POWER,
                    "clock" => Kind::CLOCK,
                    "sensor" => Kind::SENSOR,
                    "reset" => Kind::RESET,
                    _ => Kind::VOLTAGE,
                };
                let on = self.engine.platform.state.on.of(kind)[index(at)];
                assert_eq!(on, state == "on", "{line}");
            }
            _ => panic!("{line}"),
        }
    }

    fn reset(&mut self, agent: &str, reason: Reason) {
        let agent = AgentId(agent_of(agent));
        self.engine.reset_agent(agent, reason).unwrap();
    }
}

fn agent_of(letter: &str) -> u16 {
    u16::from(letter.as_bytes()[0] - b'A')
}

#[track_caller]
fn expect(said: Option<String>, expected: &str, line: &str) {
    let said = said.unwrap_or_else(|| panic!("nothing was said: {line}"));
    match expected.strip_suffix(" ...") {
        Some(start) => assert!(said.starts_with(start), "{line}\n    {said}"),
        None => assert_eq!(said, expected, "{line}"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split(' ').collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    let group = |group: &[u8]| group.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes
        .chunks(4)
        .map(group)
        .collect::<Vec<String>>()
        .join(" ")
}

/// An agent that may only look at what it has.
fn looking() -> Given {
    let mut given = Given::all(ALL);
    for kind in Kind::ALL {
        for (_, rights, _) in given.grants.of_mut(kind) {
            *rights = Rights::default();
        }
    }
    given
}

#[test]
fn a_message_that_does_not_exist_is_not_found_and_one_that_is_not_offered_not_supported() {
    talk(
        &[Given::all(ALL)],
        "
        A > 77500000
        A < 77500000 fcffffff
        A > 02500000 77000000
        A < 02500000 fcffffff
        A > 0c400000
        A < 0c400000 fcffffff
        A > 09400000 01000000 01000000 00000000 // BASE_SET_DEVICE_PERMISSIONS, of one that is not trusted
        A < 09400000 ffffffff
        A > 004c0000                            // a protocol of which it was given nothing
        A < 004c0000 ffffffff
        ",
    );
    talk(
        &[Given::all(ALL).speaking(Profile::V2_0)],
        "
        A > 0b500000 01000000 00000000          // CLOCK_CONFIG_GET, since SCMI 3.2
        A < 0b500000 ffffffff
        ",
    );
}

#[test]
fn an_index_of_the_total_is_beyond_the_end() {
    talk(
        &[Given::all(ALL)],
        "
        A > 04500000 03000000 11000000          // 17 rates
        A < 04500000 fbffffff
        A > 03540000 05000000                   // 5 sensors
        A < 03540000 feffffff
        A > 07540000 02000000 03000000          // 3 axes
        A < 07540000 feffffff
        A > 08540000 00000000 03000000          // 3 intervals
        A < 08540000 feffffff
        A > 045c0000 01000000 03000000          // 3 levels
        A < 045c0000 feffffff
        ",
    );
}

#[test]
fn what_a_sensor_does_not_advertise_it_is_not_asked_for() {
    talk(
        &[Given::all(ALL)],
        "
        A > 06540000 01000000 01000000          // an asynchronous reading
        A < 06540000 ffffffff
        A > 06540000 01000000 00000000
        A < 06540000 00000000 ...
        A > 05540000 01000000 03000000 00000000 00000000
        A < 05540000 feffffff
        ",
    );
}

#[test]
fn every_command_of_a_denied_protocol_is_denied() {
    talk(
        &[
            Given::all(&[3, 4]),
            Given::all(&[4]),
            Given::all(&[0]).trusted(),
        ],
        "
        C > 0a400000 01000000 04000000 14000000 00000000 // A's clock of device 4
        C < 0a400000 00000000
        A > 00500000                            // it has another one
        A < 00500000 00000000 00000300
        A > 03500000 01000000
        A < 03500000 fdffffff
        C > 0a400000 02000000 04000000 14000000 00000000 // B's only clock
        C < 0a400000 00000000
        B > 00500000
        B < 00500000 fdffffff
        B > 01500000
        B < 01500000 fdffffff
        B > 02500000 03000000
        B < 02500000 fdffffff
        B > 77500000
        B < 77500000 fdffffff
        B > 00440000
        B < 00440000 00000000 01000300
        C > 09400000 02000000 04000000 00000000 // the device, and with it all
        C < 09400000 00000000
        B > 00440000
        B < 00440000 fdffffff
        B > 00400000
        B < 00400000 00000000 01000200
        C > 09400000 02000000 04000000 01000000
        C < 09400000 00000000
        B > 00440000
        B < 00440000 00000000 01000300
        B > 00500000                            // which was denied as a protocol
        B < 00500000 fdffffff
        ",
    );
}

#[test]
fn what_only_describes_a_denied_sensor_is_answered_or_linux_has_no_sensor_at_all() {
    talk(
        &[Given::all(&[1, 2]), Given::all(&[0]).trusted()],
        "
        B > 09400000 01000000 02000000 00000000 // the sensor with axes
        B < 09400000 00000000
        A > 03540800 00000000                   // all that describes it, as Linux asks at boot
        A < 03540800 00000000 02000000 00000000 ...
        A > 07540800 01000000 00000000
        A < 07540800 00000000 02000004 00000000 ...
        A > 08540800 01000000 00000000
        A < 08540800 00000000 03100000 ...
        A > 0c540800 01000000
        A < 0c540800 00000000 00000000 73706900 ...
        A > 0d540800 01000000 02000000
        A < 0d540800 00000000 01000000 02000000 ...
        A > 06540800 01000000 00000000          // and nothing that uses it
        A < 06540800 fdffffff
        A > 09540800 01000000
        A < 09540800 fdffffff
        A > 0a540800 01000000 01000000
        A < 0a540800 fdffffff
        A > 0b540800 01000000 01000000
        A < 0b540800 fdffffff
        ",
    );
}

#[test]
fn what_an_agent_wants_of_a_device_does_not_count_while_it_is_denied() {
    talk(
        &[
            Given::all(&[4]),
            Given::all(&[4]),
            Given::all(&[0]).trusted(),
        ],
        "
        A > 04440000 00000000 00000000 00000000
        A < 04440000 00000000
        A > 075c0000 00000000 00000000 a0bb0d00 // 900 mV
        A < 075c0000 00000000
        A > 055c0000 00000000 07000000
        A < 055c0000 00000000
        B > 04440000 00000000 00000000 00000000
        B < 04440000 00000000
        C > 09400000 01000000 04000000 00000000
        C < 09400000 00000000
        = power 4 on                            // B has it on
        = voltage 4 off
        = level 4 1000000
        B > 055c0000 00000000 07000000
        B < 055c0000 00000000
        C > 09400000 01000000 04000000 01000000
        C < 09400000 00000000
        = level 4 1000000                       // B has it on by now
        B > 055c0000 00000000 00000000
        B < 055c0000 00000000
        = voltage 4 on
        A > 065c0000 00000000
        A < 065c0000 00000000 07000000
        = A is gone
        = voltage 4 off
        = level 4 1000000
        ",
    );
}

#[test]
fn each_agent_has_a_sensors_updates_as_often_as_it_asked() {
    talk(
        &[Given::all(&[2]), Given::all(&[2])],
        "
        A > 0a540000 00000000 01000100          // every second
        A < 0a540000 00000000
        A > 0b540000 00000000 01000000
        A < 0b540000 00000000
        B > 0a540000 00000000 01e80a00          // every 10 ms
        B < 0a540000 00000000
        B > 0b540000 00000000 01000000
        B < 0b540000 00000000
        = sensor 2 measures 7 1x
        A -
        B ! 01570000 00000000 00000000 07000000 ...
        B -
        = sensor 2 measures 7 98x
        A -
        = sensor 2 measures 8 1x                // a second has passed
        A ! 01570000 00000000 00000000 08000000 ...
        A -
        B ! 01570000 00000000 00000000 08000000 ...
        = B is gone                             // each second from now on
        = sensor 2 measures 9 1x
        A ! 01570000 00000000 00000000 09000000 ...
        ",
    );
}

#[test]
fn a_clock_follows_what_it_can_have_now() {
    talk(
        &[Given::all(&[3])],
        "
        A > 04500000 00000000 00000000
        A < 04500000 00000000 0f000200 64000000 00000000 c8000000 ...
        = rates double                          // what is above runs twice as fast
        A > 04500000 00000000 00000000
        A < 04500000 00000000 0f000200 c8000000 00000000 90010000 ...
        A > 05500000 00000000 00000000 64000000 00000000
        A < 05500000 feffffff
        A > 05500000 00000000 00000000 2c010000 00000000
        A < 05500000 00000000
        = rate 3 200
        ",
    );
}

/// B may set regulator 1 to 900 mV only.
fn limited(board: &mut Board) {
    board.limits.insert((1, 1), &[900_000]);
}

#[test]
fn what_an_agent_left_behind_is_brought_within_the_limits_of_the_next() {
    talk_on(
        &[Given::all(&[1]), Given::all(&[1])],
        limited,
        "
        A > 075c0000 00000000 00000000 e0c81000 // 1.1 V
        A < 075c0000 00000000
        = level 1 1100000
        B > 055c0000 00000000 07000000
        B < 055c0000 00000000
        = level 1 900000
        = voltage 1 on
        B > 085c0000 00000000
        B < 085c0000 00000000 a0bb0d00
        = B is gone
        = voltage 1 off
        = level 1 1100000                       // what A asked for is not lost by B's reset
        = A is gone
        = level 1 1000000
        ",
    );
    talk_on(
        &[Given::all(&[1]), Given::all(&[1])],
        limited,
        "
        = changes take time
        = switches take time
        B > 055c0000 00000000 07000000          // from 1 V at boot: first the level, then the switch
        B .
        = level 1 900000
        = voltage 1 off
        = done
        B .
        = voltage 1 off
        = done
        B < 055c0000 00000000
        = voltage 1 on
        ",
    );
    talk_on(
        &[Given::all(&[1]), Given::all(&[1])],
        limited,
        "
        = changes take time
        B > 055c0000 00000000 07000000
        B .
        = failed
        B < 055c0000 f7ffffff
        = voltage 1 off
        B > 065c0000 00000000
        B < 065c0000 00000000 00000000
        ",
    );
}

#[test]
fn an_agent_in_whose_way_another_one_stands_is_busy_and_nothing_changes() {
    talk_on(
        &[Given::all(&[1]), Given::all(&[1])],
        limited,
        "
        A > 055c0000 00000000 07000000          // at 1 V
        A < 055c0000 00000000
        B > 055c0000 00000000 07000000
        B < 055c0000 faffffff
        = level 1 1000000
        B > 065c0000 00000000
        B < 065c0000 00000000 00000000
        A > 055c0000 00000000 00000000
        A < 055c0000 00000000
        = voltage 1 off
        B > 055c0000 00000000 07000000
        B < 055c0000 00000000
        = level 1 900000
        A > 055c0000 00000000 07000000          // which is within A's limits
        A < 055c0000 00000000
        ",
    );
}

#[test]
fn before_scmi_3_0_a_trip_point_or_its_notification_switches_measuring_on() {
    talk(
        &[
            Given::all(&[0]).speaking(Profile::V2_0),
            Given::all(&[0]).speaking(Profile::V3_2),
        ],
        "
        B > 04540000 00000000 01000000          // it has SENSOR_CONFIG_SET
        B < 04540000 00000000
        = sensor 0 off
        A > 05540000 00000000 01000000 05000000 00000000
        A < 05540000 00000000
        = sensor 0 on
        A > 04540000 00000000 01000000
        A < 04540000 00000000
        A > 05540000 00000000 00000000 00000000 00000000
        A < 05540000 00000000
        = sensor 0 on
        A > 05540000 00000000 01000000 05000000 00000000
        A < 05540000 00000000
        = sensor 0 measures 4 1x
        = sensor 0 measures 6 1x
        A ! 00570000 00000000 00000000 00000100
        A > 04540000 00000000 00000000
        A < 04540000 00000000
        A > 05540000 00000000 00000000 00000000 00000000
        A < 05540000 00000000
        = sensor 0 off
        ",
    );
}

#[test]
fn a_reset_that_the_host_asks_for_keeps_versions_and_answers_what_an_agent_waits_for() {
    talk(
        &[Given::all(&[3])],
        "
        A > 10500000 00000100                   // version 1 of clocks
        A < 10500000 00000000
        A > 03500000 00000000
        A < 03500000 00000000 00000000 75617274 00000000 00000000 00000000
        = changes take time
        A > 05500400 01000000 00000000 c8000000 00000000
        A < 05500400 00000000
        A > 05500800 00000000 00000000 90010000 00000000
        A .
        A ! 05520400 faffffff                   // the next one took its place
        A > 05500c00 01000000 00000000 c8000000 00000000
        A < 05500c00 00000000
        A < 05500800 faffffff
        = A is reset
        A ! 05520c00 f8ffffff
        A -
        = done
        A -
        = rate 3 100
        A > 03500000 00000000                   // still 20 bytes after the status
        A < 03500000 00000000 00000000 75617274 00000000 00000000 00000000
        = A is gone
        A > 03500000 00000000                   // 24
        A < 03500000 00000000 000000c0 75617274 00000000 00000000 00000000 e8030000
        ",
    );
}

#[test]
fn only_a_command_that_needs_a_delayed_response_is_busy_when_none_is_fetched() {
    talk(
        &[Given::all(&[3])],
        "
        A > 05500400 01000000 00000000 c8000000 00000000
        A < 05500400 00000000
        A > 05500800 01000000 00000000 90010000 00000000
        A < 05500800 00000000
        A > 04440c00 01000000 00000000 00000000
        A < 04440c00 00000000
        A > 05501000 01000000 00000000 64000000 00000000
        A < 05501000 faffffff
        = rate 3 400
        A > 05501000 00000000 00000000 64000000 00000000
        A < 05501000 00000000
        = rate 3 100
        A > 07501000 00000000 01000000
        A < 07501000 00000000
        A > 06541000 00000000 00000000
        A < 06541000 00000000 ...
        A > 04581000 00000000 01000000 00000000
        A < 04581000 00000000
        A > 075c1000 00000000 00000000 a0bb0d00
        A < 075c1000 00000000
        = changes take time                     // then it could not be told of the end
        A > 05501000 00000000 00000000 c8000000 00000000
        A < 05501000 faffffff
        = rate 3 100
        = switches take time
        A > 07501000 00000000 00000000
        A < 07501000 faffffff
        = done
        = done
        = clock 3 on
        A ! 05520400 00000000 00000000 c8000000 00000000
        A > 07501000 00000000 00000000
        A .
        = done
        A < 07501000 00000000
        = clock 3 off
        ",
    );
}

#[test]
fn what_an_agent_may_only_look_at_does_not_say_that_it_can_be_set() {
    talk(
        &[looking()],
        "
        A > 03440000 00000000
        A < 03440000 00000000 00000090 ...
        A > 03580000 00000000
        A < 03580000 00000000 00000040 ...
        A > 035c0000 00000000
        A < 035c0000 00000000 00000000 ...
        ",
    );
}

#[test]
fn a_delayed_response_tells_what_was_set_for_it() {
    talk(
        &[Given::all(&[3]), Given::all(&[3])],
        "
        = changes take time
        A > 075c0400 00000000 01000000 a0bb0d00 // 900 mV, then 1.1 V before that is there
        A < 075c0400 00000000
        A > 075c0800 00000000 01000000 e0c81000
        A < 075c0800 00000000
        A ! 075e0400 faffffff
        A -
        = done
        A ! 075e0800 00000000 00000000 e0c81000
        A > 075c0c00 00000000 01000000 a0bb0d00 // 900 mV is there before B sets 1 V
        A < 075c0c00 00000000
        = done
        B > 075c0000 00000000 01000000 40420f00
        B < 075c0000 00000000
        A ! 075e0c00 00000000 00000000 a0bb0d00
        = done
        B ! 075e0000 00000000 00000000 40420f00
        ",
    );
}

#[test]
fn a_switch_that_takes_its_time_holds_up_no_other_agent() {
    talk(
        &[Given::all(&[3, 4]), Given::all(&[4])],
        "
        = switches take time
        A > 055c0000 01000000 07000000
        A .
        A > 03500000 00000000                   // it is answered what is not about that
        A < 03500000 00000000 ...
        B > 055c0400 00000000 07000000          // B waits for the same
        B .
        B > 04440000 01000000 00000000 00000000 // an asynchronous command does not wait
        B < 04440000 00000000
        B -
        = done
        A < 055c0000 00000000
        B < 055c0400 00000000
        B ! 04460000 00000000 00000000 00000000
        = voltage 4 on
        = power 4 on
        A > 055c0000 01000000 00000000          // which B has on
        A < 055c0000 00000000
        A > 0a540000 01000000 01000200          // a sensor, first on, then every 2 s
        A .
        = done
        A .
        = done
        A < 0a540000 00000000
        A > 09540000 01000000
        A < 09540000 00000000 01000200
        ",
    );
}

#[test]
fn a_switch_that_fails_later_is_not_what_its_agents_want() {
    talk(
        &[Given::all(&[4]), Given::all(&[4])],
        "
        = switches take time
        A > 07500000 00000000 01000000
        B > 07500400 00000000 01000000
        = failed
        A < 07500000 f7ffffff
        B < 07500400 f7ffffff
        = clock 4 off
        A > 0b500000 00000000 00000000
        A < 0b500000 00000000 00000000 00000000 00000000
        A > 07500000 00000000 01000000          // off before it is on
        A > 07500400 00000000 00000000
        A .
        = done
        A < 07500000 00000000
        A .
        = clock 4 on
        = done
        A < 07500400 00000000
        = clock 4 off
        ",
    );
}

#[test]
fn an_agent_that_goes_away_lets_go_stage_by_stage_also_if_switches_take_time() {
    talk(
        &[Given::all(&[4]), Given::all(&[4])],
        "
        A > 04580000 00000000 00000000 00000000
        A < 04580000 00000000
        A > 07500000 00000000 01000000
        A < 07500000 00000000
        A > 04440000 00000000 00000000 00000000
        A < 04440000 00000000
        = switches take time
        = A is gone
        = done                                  // first it is held in reset
        = reset 4 off
        = clock 4 on
        = power 4 on
        B > 07500000 00000000 01000000          // B needs the clock before it is off
        B .
        = done
        = clock 4 off
        B .
        = done
        B < 07500000 00000000
        = clock 4 on
        = power 4 on
        = done                                  // last the power
        = power 4 off
        = B is gone
        = done
        = clock 4 off
        ",
    );
}

#[test]
fn nothing_of_one_agents_is_lost_by_anothers_reset() {
    talk(
        &[Given::all(&[3]), Given::all(&[3]), Given::all(&[3])],
        "
        A > 05500000 00000000 00000000 c8000000 00000000
        A < 05500000 00000000
        B > 05500000 00000000 00000000 90010000 00000000
        B < 05500000 00000000
        C > 07500000 00000000 01000000
        C < 07500000 00000000
        = B is gone                             // C has it on
        = rate 3 400
        C > 07500000 00000000 00000000
        C < 07500000 00000000
        = rate 3 200                            // A's
        = C is reset
        = rate 3 200
        = A is gone
        = rate 3 100
        ",
    );
}
