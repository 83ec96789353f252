// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The results as a text with tables.

use xtask::results::{Latency, Machine, Neighbours, Results, Scale, Spread, Throughput};

/// `BENCHMARKS.md`, with a chart beside it.
pub(super) fn report(results: &Results, chart: &str) -> String {
    let mut text = String::from(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench --save`; do not edit.\n\n",
    );
    machine(&mut text, &results.machine);
    latency(&mut text, &results.latency, chart);
    polling(&mut text, &results.polling);
    hand_over(&mut text, &results.hand_over);
    neighbours(&mut text, &results.neighbours);
    scale(&mut text, &results.scale);
    throughput(&mut text, &results.throughput);
    if !results.left_out.is_empty() {
        text += "\n## Not measured\n\n";
        for reason in &results.left_out {
            text += &format!("* {reason}\n");
        }
    }
    text
}

fn machine(text: &mut String, machine: &Machine) {
    let Machine {
        processor,
        processors,
        linux,
        rustc,
        load,
        ..
    } = machine;
    let priority = if machine.real_time { "with" } else { "without" };
    *text += &format!(
        "{processors} × {processor}; Linux {linux}; {rustc}. Driver and daemon have one processor, \
         {priority} real-time priority. In the minute before, {load} tasks wanted to run.\n"
    );
    if machine.quick {
        *text += "\n**This was a quick run, of daemons that were built without optimization: the \
                  figures are not worth much.**\n";
    }
    for (name, revision) in &machine.builds {
        *text += &format!("\n* **{name}** is {revision}");
    }
    *text += "\n";
}

fn latency(text: &mut String, rows: &[Latency], chart: &str) {
    if rows.is_empty() {
        return;
    }
    *text += &format!(
        "\n## A request\n\n\
         One at a time, from before the kick until after the interrupt. The floors are the least \
         that could answer: a process that waits for the kick with a blocking `read`, or with epoll, \
         takes the chain from the ring, returns it and interrupts. Ratios are of the p50, round by \
         round: the median of the rounds, and what all but the lowest and the highest tenth of them \
         are between.\n\n\
         ![The same as a chart]({chart})\n\n"
    );
    requests(text, rows);
    let Some(first) = rows.iter().find(|row| !row.is_floor()) else {
        return;
    };
    let is_other = |row: &&Latency| !row.is_floor() && row.build != first.build;
    for row in rows.iter().filter(is_other) {
        *text += &format!(
            "\n{} of {} takes {} times as long as that of {}.\n",
            row.device,
            row.build,
            ratio(row.over_first),
            first.build
        );
    }
}

/// What of each request is measured.
fn requests(text: &mut String, rows: &[Latency]) {
    *text += "| device | who | p50 µs | p99 µs | × floor, read | × floor, epoll | processor µs | \
              system calls |\n\
              |---|---|---|---|---|---|---|---|\n";
    for row in rows {
        *text += &format!(
            "| {} | {} | {:.2} | {:.2} | {} | {} | {} | {} |\n",
            row.device,
            row.build,
            row.p50,
            row.p99,
            ratio(row.over_read),
            ratio(row.over_epoll),
            optional(row.processor_time),
            optional(row.system_calls),
        );
    }
}

fn polling(text: &mut String, rows: &[Latency]) {
    if rows.is_empty() {
        return;
    }
    *text += "\n## A request, with polling\n\n\
         Driver and daemon have a processor each, as driver and floor have, and the daemon has \
         `--poll-us 100`.\n\n";
    requests(text, rows);
}

fn hand_over(text: &mut String, rows: &[Latency]) {
    if rows.is_empty() {
        return;
    }
    *text += "\n## Hardware that may block\n\n\
         An adapter of the host's kernel has a thread of its own, and each request is handed over to \
         it. What that costs, with a simulated adapter in this process:\n\n\
         | device | where | p50 µs | p99 µs | × on its worker |\n|---|---|---|---|---|\n";
    for row in rows {
        *text += &format!(
            "| {} | {} | {:.2} | {:.2} | {} |\n",
            row.device,
            row.build,
            row.p50,
            row.p99,
            ratio(row.over_read)
        );
    }
}

fn neighbours(text: &mut String, rows: &[Neighbours]) {
    if rows.is_empty() {
        return;
    }
    *text += "\n## Neighbours\n\n\
         Quiet guests ask one after the other, and have one processor with the daemon. Their p99, \
         without other guests of that daemon and among them, in turn; and what the daemon still has \
         of the others when they are gone.\n\n\
         | others | build | quiet | others | p99 µs without | p99 µs among | among ÷ without | aim | \
         threads left | descriptors left |\n\
         |---|---|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        *text += &format!(
            "| {} | {} | {} | {} | {:.2} | {:.2} | {} | ≤ {} | {} | {} |\n",
            row.what,
            row.build,
            row.quiet,
            row.others,
            row.p99_without,
            row.p99_among,
            ratio(row.over_without),
            row.aim,
            row.threads_left,
            row.descriptors_left,
        );
    }
}

fn scale(text: &mut String, rows: &[Scale]) {
    if rows.is_empty() {
        return;
    }
    *text += "\n## Many guests\n\n\
         All in one daemon, each with one queue, one region of memory and no channel of the back \
         end's own; each has made a request. What a guest costs is the difference between none and \
         all connected. A start lasts until the daemon listens for the last of them. Requests go to one \
         guest after the other.\n\n\
         | device | build | guests | start ms | threads before | threads each | descriptors each | \
         KiB each | p50 µs | p99 µs | × floor, read |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        *text += &format!(
            "| {} | {} | {} | {:.1} ({:.1} to {:.1}) | {} | {:.2} | {:.2} | {:.1} | {:.2} | {:.2} | {} |\n",
            row.device,
            row.build,
            row.guests,
            row.start.median,
            row.start.low,
            row.start.high,
            row.threads_before,
            row.threads,
            row.descriptors,
            row.memory,
            row.p50,
            row.p99,
            ratio(row.over_read),
        );
    }
}

fn throughput(text: &mut String, rows: &[Throughput]) {
    if rows.is_empty() {
        return;
    }
    *text += "\n## Entropy\n\n\
         Requests of 64 KiB, 64 at a time; driver and daemon have a processor each.\n\n\
         | who | MB/s | × the generator |\n|---|---|---|\n";
    for row in rows {
        *text += &format!(
            "| {} | {:.0} | {} |\n",
            row.build,
            row.rate,
            ratio(row.over_generator)
        );
    }
}

fn ratio(spread: Spread) -> String {
    let Spread { median, low, high } = spread;
    format!("{median:.2} ({low:.2} to {high:.2})")
}

fn optional(number: Option<f64>) -> String {
    number.map_or_else(|| "–".to_owned(), |number| format!("{number:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPREAD: Spread = Spread {
        median: 1.084,
        low: 1.05,
        high: 1.25,
    };

    fn latency(device: &str, build: &str) -> Latency {
        Latency {
            device: device.into(),
            build: build.into(),
            p50: 9.456,
            p99: 16.0,
            over_read: SPREAD,
            over_epoll: SPREAD,
            over_first: SPREAD,
            system_calls: Some(2.0),
            ..Latency::default()
        }
    }

    #[test]
    fn a_request_is_a_row_with_a_dash_for_what_was_not_measured() {
        let results = Results {
            latency: vec![latency("i2c", "this")],
            ..Results::default()
        };
        let report = report(&results, "chart.svg");
        let ratio = "1.08 (1.05 to 1.25)";
        let row = format!("| i2c | this | 9.46 | 16.00 | {ratio} | {ratio} | – | 2.00 |\n");
        assert!(report.contains(&row), "{report}");
        assert!(report.contains("(chart.svg)"), "{report}");
    }

    #[test]
    fn an_earlier_build_is_compared_with_the_first() {
        let rows = ["floor, read", "this", "HEAD~10"].map(|build| latency("gpio", build));
        let results = Results {
            latency: rows.into(),
            ..Results::default()
        };
        let report = report(&results, "");
        let compared: Vec<_> = report.lines().filter(|l| l.contains("takes")).collect();
        let expected = "gpio of HEAD~10 takes 1.08 (1.05 to 1.25) times as long as that of this.";
        assert!(compared.contains(&expected), "{report}");
        assert!(!report.contains("gpio of this takes"), "{report}");
    }

    #[test]
    fn neighbours_are_a_row_with_what_they_leave_behind() {
        let storm = Neighbours {
            what: "a storm".into(),
            build: "this".into(),
            quiet: 900,
            others: 100,
            p99_without: 20.0,
            p99_among: 21.684,
            over_without: SPREAD,
            aim: 2.0,
            ..Neighbours::default()
        };
        let results = Results {
            neighbours: vec![storm],
            ..Results::default()
        };
        let report = report(&results, "");
        let ratio = "1.08 (1.05 to 1.25)";
        let row =
            format!("| a storm | this | 900 | 100 | 20.00 | 21.68 | {ratio} | ≤ 2 | 0 | 0 |\n");
        assert!(report.contains(&row), "{report}");
    }

    #[test]
    fn what_was_left_out_is_said_with_its_reason() {
        let results = Results {
            left_out: vec!["system calls: there is no strace".into()],
            ..Results::default()
        };
        let report = report(&results, "");
        assert!(
            report.ends_with("## Not measured\n\n* system calls: there is no strace\n"),
            "{report}"
        );
        // Nor are there tables with nothing in them.
        assert!(!report.contains("|---"), "{report}");
    }
}
