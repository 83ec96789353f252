// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use scmi::{Answer, Engine, Kind, Reason};

use crate::check;
use crate::common::*;

/// -40,000 in 64 bits.
const READING: [u32; 2] = [0xffff_63c0, 0xffff_ffff];

#[test]
fn attributes_tell_of_sensors_and_no_shared_memory() {
    check(&[
        (&[0x5400], &[0x5400, SUCCESS, 0x30001]),
        (&[0x5401], &[0x5401, SUCCESS, 0x0003_0005, 0, 0, 0]),
    ]);
}

#[test]
fn descriptors_are_as_long_as_what_they_tell() {
    let [n0, ..] = name16("uart");
    let [l0, l1, l2, l3] = name16("a-name-that-is-");
    let [s0, ..] = name16("spi");
    let mut first = vec![0x5403, SUCCESS, 0x0002_0003];
    // Asynchronous, updates, timestamps in nanoseconds, a range, two trip points; degrees Celsius, 10^-3.
    first.extend([0, 0xc000_5f02, 0x0000_e802, n0, 0, 0, 0]);
    // No power known; resolution 5 x 10^-1; -40,000 to 125,000.
    first.extend([0, 0xf800_0005, READING[0], READING[1], 125_000, 0]);
    // A long name, nothing else.
    first.extend([1, 0x2000_0000, 0x0000_e802, l0, l1, l2, l3]);
    // Three axes.
    first.extend([2, 0xc000_5e00, 0x0003_e902, s0, 0, 0, 0]);
    let mut second = vec![0x5403, SUCCESS, 2];
    second.extend([3, 0xc000_5e00, 0x0000_e802, n0, 0, 0, 0]);
    second.extend([4, 0xe000_5e00, 0x0000_e802, l0, l1, l2, l3]);
    check(&[
        (&[0x5403, 0], &first),
        (&[0x5403, 3], &second),
        (&[0x5403, 5], &[0x5403, INVALID_PARAMETERS]),
        (&[0x5403, 6], &[0x5403, INVALID_PARAMETERS]),
        (&[0x5403, u32::MAX], &[0x5403, INVALID_PARAMETERS]),
        (&[0x5403], &[0x5403, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn as_many_descriptors_are_told_as_there_is_room_for() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1])]);
    let mut engine = parts.engine();
    for (room, length, count) in [
        (63, 8, PROTOCOL_ERROR),
        (64, 64, 0x0001_0001),
        (91, 64, 0x0001_0001),
        (92, 92, 2),
    ] {
        let mut response = vec![0xa5; room];
        let answer = engine.handle(AgentId(0), &bytes(&[0x5403, 0]), &mut response);
        assert_eq!(answer, Answer::Now(length));
        assert_eq!(
            words(&response[4..length]).iter().find(|&&it| it != 0),
            Some(&count)
        );
    }
}

#[test]
fn axes_are_described_two_at_a_time() {
    let axis = |id: u32, low: u32, name: &str| {
        let mut axis = vec![id, low, 0x0000_d059];
        axis.extend(name16(name));
        axis.extend([0xf800_0005, READING[0], READING[1], 125_000, 0]);
        axis
    };
    let mut first = vec![0x5407, SUCCESS, 0x0400_0002];
    first.extend(axis(0, 0x100, "acc_X"));
    first.extend(axis(1, 0x100, "acc_Y"));
    let mut second = vec![0x5407, SUCCESS, 1];
    second.extend(axis(2, 0x300, "an-axis-with-a-"));
    check(&[
        (&[0x5407, 2, 0], &first),
        (&[0x5407, 2, 2], &second),
        (&[0x5407, 2, 3], &[0x5407, INVALID_PARAMETERS]),
        (&[0x5407, 2, 4], &[0x5407, INVALID_PARAMETERS]),
        (&[0x5407, 2, 0x100], &[0x5407, INVALID_PARAMETERS]),
        (&[0x5407, 0, 0], &[0x5407, NOT_SUPPORTED]),
        (&[0x5407, 5, 0], &[0x5407, NOT_FOUND]),
        (&[0x5407, 2], &[0x5407, PROTOCOL_ERROR]),
        (&[0x5407], &[0x5407, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn long_names_are_told_whole_one_axis_at_a_time() {
    let mut sensor = vec![0x540c, SUCCESS, 0];
    sensor.extend(name64("a-name-that-is-longer-than-16"));
    let mut axis = vec![0x540d, SUCCESS, 1, 2];
    axis.extend(name64("an-axis-with-a-long-name_Z"));
    check(&[
        (&[0x540c, 1], &sensor),
        (&[0x540c, 5], &[0x540c, NOT_FOUND]),
        (&[0x540c], &[0x540c, PROTOCOL_ERROR]),
        (&[0x540d, 2, 2], &axis),
        (&[0x540d, 2, 3], &[0x540d, NOT_FOUND]),
        (&[0x540d, 2, 4], &[0x540d, NOT_FOUND]),
        (&[0x540d, 2, 0x100], &[0x540d, NOT_FOUND]),
        (&[0x540d, 1, 0], &[0x540d, NOT_SUPPORTED]),
        (&[0x540d, 5, 0], &[0x540d, NOT_FOUND]),
        (&[0x540d, 2], &[0x540d, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn intervals_are_a_list_a_range_or_none() {
    check(&[
        (&[0x5408, 0, 0], &[0x5408, SUCCESS, 3, 0x20, 0x40, 0x29e]),
        (&[0x5408, 0, 2], &[0x5408, SUCCESS, 1, 0x29e]),
        (&[0x5408, 0, 3], &[0x5408, INVALID_PARAMETERS]),
        (&[0x5408, 0, 4], &[0x5408, INVALID_PARAMETERS]),
        (&[0x5408, 1, 0], &[0x5408, SUCCESS, 0]),
        (
            &[0x5408, 2, 0],
            &[0x5408, SUCCESS, 0x1003, 0x3d, 0x140, 0x3d],
        ),
        (&[0x5408, 5, 0], &[0x5408, NOT_FOUND]),
        (&[0x5408, 0], &[0x5408, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn a_reading_has_a_value_and_a_time_for_each_axis() {
    let [low, high] = READING;
    check(&[
        (&[0x5406, 0, 0], &[0x5406, SUCCESS, low, high, 0, 0]),
        // With timestamps.
        (&[0x540a, 0, 2], &[0x540a, SUCCESS]),
        (
            &[0x5406, 0, 0],
            &[0x5406, SUCCESS, low, high, 0x0506_0708, 0x0102_0304],
        ),
        (
            &[0x5406, 2, 0],
            &[0x5406, SUCCESS, low, high, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0],
        ),
        (&[0x5406, 0, 2], &[0x5406, INVALID_PARAMETERS]),
        (&[0x5406, 5, 0], &[0x5406, NOT_FOUND]),
        (&[0x5406, 0], &[0x5406, PROTOCOL_ERROR]),
        (&[0x5406], &[0x5406, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn configuration_is_read_back_and_an_interval_of_0_leaves_it_as_it_is() {
    check(&[
        (&[0x5409, 0], &[0x5409, SUCCESS, 0x0001_0000]),
        // 2 s, timestamps, on.
        (&[0x540a, 0, 0x0002_0003], &[0x540a, SUCCESS]),
        (&[0x5409, 0], &[0x5409, SUCCESS, 0x0002_0003]),
        (&[0x540a, 0, 0], &[0x540a, SUCCESS]),
        (&[0x5409, 0], &[0x5409, SUCCESS, 0x0002_0000]),
        // 0.2 s as 2 x 10^-1, which is 20 x 10^-2.
        (&[0x540a, 0, 0x0002_f801], &[0x540a, SUCCESS]),
        (&[0x5409, 0], &[0x5409, SUCCESS, 0x0014_f001]),
        (&[0x5409, 5], &[0x5409, NOT_FOUND]),
        (&[0x5409], &[0x5409, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn an_interval_is_read_before_one_is_set_and_none_only_if_there_is_none() {
    check(&[
        // 1 s of a list, 10^-3 s of a range.
        (&[0x5409, 0], &[0x5409, SUCCESS, 0x0001_0000]),
        (&[0x5409, 2], &[0x5409, SUCCESS, 0x0001_e800]),
        (&[0x5409, 1], &[0x5409, SUCCESS, 0]),
    ]);
}

#[test]
fn configurations_that_cannot_be_change_nothing() {
    check(&[
        (&[0x540a, 0, 4], &[0x540a, INVALID_PARAMETERS]),
        (&[0x540a, 0, 0x100], &[0x540a, INVALID_PARAMETERS]),
        // 3 s rounded up and 0.1 s rounded down, where 0.2 s to 2 s are possible.
        (&[0x540a, 0, 0x0003_0201], &[0x540a, INVALID_PARAMETERS]),
        (&[0x540a, 0, 0x0001_f801], &[0x540a, INVALID_PARAMETERS]),
        // No timestamps, no intervals.
        (&[0x540a, 1, 2], &[0x540a, NOT_SUPPORTED]),
        (&[0x540a, 1, 0x0001_0001], &[0x540a, INVALID_PARAMETERS]),
        // 11 s rounded up and 9 x 10^-4 s rounded down, where 1 ms to 10 s are possible.
        (&[0x540a, 2, 0x000b_0201], &[0x540a, INVALID_PARAMETERS]),
        (&[0x540a, 2, 0x0009_e001], &[0x540a, INVALID_PARAMETERS]),
        (&[0x540a, 5, 1], &[0x540a, NOT_FOUND]),
        (&[0x540a, 0], &[0x540a, PROTOCOL_ERROR]),
        (&[0x5409, 0], &[0x5409, SUCCESS, 0x0001_0000]),
        (&[0x5409, 2], &[0x5409, SUCCESS, 0x0001_e800]),
    ]);
}

#[test]
fn intervals_are_rounded_as_asked() {
    let mut parts = Parts::new(5, &[Given::all(&[0, 1, 2])]);
    let mut engine = parts.engine();
    for (sensor, interval, [down, up, nearest]) in [
        // 1.5 s and 1.6 s, where 0.2 s, 1 s and 2 s are possible.
        (0, 0x000f_f800, [0x0001_0000, 0x0002_0000, 0x0001_0000]),
        (0, 0x0010_f800, [0x0001_0000, 0x0002_0000, 0x0002_0000]),
        (0, 0x0002_0000, [0x0002_0000, 0x0002_0000, 0x0002_0000]),
        // Beyond: 3 s and 0.1 s.
        (0, 0x0003_0000, [0x0002_0000, 0, 0x0002_0000]),
        (0, 0x0001_f800, [0, 0x0014_f000, 0x0014_f000]),
        // 1.5 s, 11 s and 9 x 10^-4 s, where 1 ms to 10 s are possible.
        (2, 0x000f_f800, [0x000f_f800, 0x000f_f800, 0x000f_f800]),
        (2, 0x000b_0000, [0x000a_0000, 0, 0x000a_0000]),
        (2, 0x0009_e000, [0, 0x0001_e800, 0x0001_e800]),
    ] {
        for (round, expected) in [(0, down), (0x200, up), (0x400, nearest), (0x600, nearest)] {
            let config = interval | round;
            let status = ask(&mut engine, 0, &[0x540a, sensor, config])[1];
            if expected == 0 {
                assert_eq!(status, INVALID_PARAMETERS, "{config:#x}");
            } else {
                assert_eq!(status, SUCCESS, "{config:#x}");
                let answer = ask(&mut engine, 0, &[0x5409, sensor]);
                assert_eq!(answer, [0x5409, SUCCESS, expected], "{config:#x}");
            }
        }
    }
}

#[test]
fn an_interval_needs_a_right_and_hardware_that_has_it() {
    let mut given = Given::all(&[0, 2]);
    given.grants.of_mut(Kind::SENSOR)[0].1.change = false;
    let mut parts = Parts::new(5, &[given]);
    let mut engine = parts.engine();
    let on = &[0x540a, SUCCESS];
    assert_eq!(
        ask(&mut engine, 0, &[0x540a, 0, 0x0002_0001]),
        [0x540a, DENIED]
    );
    // What it has anyway is not asked for. Linux writes back what it has read.
    assert_eq!(ask(&mut engine, 0, &[0x540a, 0, 0x0001_0000]), on);
    assert_eq!(ask(&mut engine, 0, &[0x540a, 0, 1]), on);
    assert_eq!(ask(&mut engine, 0, &[0x540a, 1, 0x0002_0001]), on);
    engine.platform.fault = Some(scmi::Status::HardwareError);
    assert_eq!(
        ask(&mut engine, 0, &[0x540a, 1, 0x0003_0001]),
        [0x540a, HARDWARE_ERROR]
    );
    assert_eq!(
        ask(&mut engine, 0, &[0x5409, 1]),
        [0x5409, SUCCESS, 0x0002_0001]
    );
    assert_eq!(
        ask(&mut engine, 0, &[0x5409, 0]),
        [0x5409, SUCCESS, 0x0001_0001]
    );
}

#[test]
fn a_sensor_is_as_it_was_if_its_interval_cannot_be_set() {
    let mut parts = Parts::new(5, &[Given::all(&[2])]);
    let mut engine = parts.engine();
    for (before, wanted) in [(0x0001_e800, 0x0002_0001), (0x0002_0001, 0x0003_0000)] {
        assert_eq!(ask(&mut engine, 0, &[0x540a, 0, before])[1], SUCCESS);
        let state = engine.platform.state.clone();
        engine.platform.interval_fault = Some(scmi::Status::HardwareError);
        let failed = ask(&mut engine, 0, &[0x540a, 0, wanted]);
        assert_eq!(failed, [0x540a, HARDWARE_ERROR]);
        engine.platform.interval_fault = None;
        assert_eq!(ask(&mut engine, 0, &[0x5409, 0])[2], before);
        assert_eq!(engine.platform.state, state);
        assert!(engine.platform.unfinished);
    }
}

#[test]
fn a_sensor_measures_as_often_as_the_most_demanding_agent_wants() {
    let mut parts = Parts::new(5, &[Given::all(&[2]), Given::all(&[1, 2])]);
    let mut engine = parts.engine();
    let mut set = |agent, id, config, expected| {
        let answer = ask(&mut engine, agent, &[0x540a, id, config]);
        assert_eq!(answer, [0x540a, SUCCESS]);
        let state = &engine.platform.state;
        assert_eq!((state.on.of(Kind::SENSOR)[2], state.intervals[2]), expected);
    };
    set(0, 0, 0x0002_0001, (true, 2_000_000_000));
    set(1, 1, 0x0005_e801, (true, 5_000_000)); // 5 x 10^-3 s.
    set(1, 1, 0x0005_e800, (true, 2_000_000_000));
    set(1, 1, 0x0000_0001, (true, 5_000_000));
    set(0, 0, 0x0000_0000, (true, 5_000_000));
    set(1, 1, 0x0000_0000, (false, 0));
}

#[test]
fn a_sensor_measures_no_less_often_than_an_agent_reads_that_has_asked_for_nothing() {
    let mut first = Given::all(&[0]);
    first.grants.of_mut(Kind::SENSOR)[0].2 = true;
    let mut parts = Parts::new(5, &[first, Given::all(&[0])]);
    let mut engine = parts.engine();
    let interval = |engine: &Engine<'_, Board>| engine.platform.state.intervals[0];
    // On from the beginning, each second.
    let read = ask(&mut engine, 0, &[0x5409, 0]);
    assert_eq!(read, [0x5409, SUCCESS, 0x0001_0001]);
    ask(&mut engine, 1, &[0x540a, 0, 0x0002_0001]);
    assert_eq!(interval(&engine), 1_000_000_000);
    // More often: 20 x 10^-2 s.
    ask(&mut engine, 1, &[0x540a, 0, 0x0014_f001]);
    assert_eq!(interval(&engine), 200_000_000);
    ask(&mut engine, 1, &[0x540a, 0, 0x0002_0001]);
    ask(&mut engine, 0, &[0x540a, 0, 0]);
    assert_eq!(interval(&engine), 2_000_000_000);
    engine
        .reset_agent(AgentId(0), Reason::Disconnected)
        .unwrap();
    assert_eq!(interval(&engine), 1_000_000_000);
    engine
        .reset_agent(AgentId(1), Reason::Disconnected)
        .unwrap();
    assert_eq!(interval(&engine), 0);
}

#[test]
fn a_subscriber_is_told_of_updates() {
    let mut parts = Parts::new(5, &[Given::all(&[1, 2])]);
    let mut engine = parts.engine();
    engine.sensor_updated(ResourceId(2));
    assert_eq!(event(&mut engine, 0), None);
    assert_eq!(ask(&mut engine, 0, &[0x540b, 1, 1]), [0x540b, SUCCESS]);
    engine.sensor_updated(ResourceId(2));
    let [low, high] = READING;
    assert_eq!(
        event(&mut engine, 0).unwrap(),
        [0x5701, 0, 1, low, high, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]
    );
    check(&[
        (&[0x540b, 0, 2], &[0x540b, INVALID_PARAMETERS]),
        // It does not measure by itself.
        (&[0x540b, 1, 1], &[0x540b, NOT_SUPPORTED]),
        (&[0x540b, 5, 1], &[0x540b, NOT_FOUND]),
        (&[0x540b, 0], &[0x540b, PROTOCOL_ERROR]),
    ]);
}

#[test]
fn trip_points_tell_when_the_reading_reaches_or_crosses_them() {
    let mut parts = Parts::new(5, &[Given::all(&[0]), Given::all(&[0])]);
    let mut engine = parts.engine();
    ask(&mut engine, 0, &[0x5404, 0, 1]);
    // The first when it rises to 50,000, the second whenever it crosses -1.
    ask(&mut engine, 0, &[0x5405, 0, 0x01, 50_000, 0]);
    ask(&mut engine, 0, &[0x5405, 0, 0x13, u32::MAX, u32::MAX]);
    for (reading, expected) in [
        (40_000, &[][..]),
        (49_999, &[]),
        (50_000, &[0x1_0000]),
        (50_001, &[]),
        (10, &[]),
        (-1, &[0x0_0001]),
        (-2, &[]),
        (60_000, &[0x1_0000, 0x1_0001]),
    ] {
        engine.platform.reading[0] = reading;
        engine.sensor_updated(ResourceId(0));
        for detail in expected {
            assert_eq!(
                event(&mut engine, 0).unwrap(),
                [0x5700, 0, 0, *detail],
                "{reading}"
            );
        }
        assert_eq!(event(&mut engine, 0), None, "{reading}");
        assert_eq!(event(&mut engine, 1), None, "{reading}");
    }
}

#[test]
fn trip_points_are_configured_as_the_specification_says() {
    check(&[
        (&[0x5404, 0, 1], &[0x5404, SUCCESS]),
        (&[0x5404, 0, 2], &[0x5404, INVALID_PARAMETERS]),
        // It has no trip points.
        (&[0x5404, 1, 1], &[0x5404, NOT_SUPPORTED]),
        (&[0x5404, 5, 1], &[0x5404, NOT_FOUND]),
        (&[0x5404, 0], &[0x5404, PROTOCOL_ERROR]),
        (&[0x5405, 0, 0x13, 5, 0], &[0x5405, SUCCESS]),
        // There are only 0 and 1.
        (&[0x5405, 0, 0x23, 5, 0], &[0x5405, INVALID_PARAMETERS]),
        (&[0x5405, 0, 0x07, 5, 0], &[0x5405, INVALID_PARAMETERS]),
        (&[0x5405, 0, 0x1001, 5, 0], &[0x5405, INVALID_PARAMETERS]),
        (&[0x5405, 1, 0x03, 5, 0], &[0x5405, INVALID_PARAMETERS]),
        (&[0x5405, 5, 0x03, 5, 0], &[0x5405, NOT_FOUND]),
        (&[0x5405, 0, 0x03, 5], &[0x5405, PROTOCOL_ERROR]),
    ]);
}
