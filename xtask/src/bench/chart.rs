// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The latencies as bars.

use xtask::results::{Latency, Results};

/// In pixels: the names, the bars, and a row.
const NAMES: f64 = 150.0;
const BARS: f64 = 450.0;
const ROW: f64 = 24.0;

/// What a request may take, in the floor's.
const AIM: f64 = 1.10;

/// An SVG with a bar for each build of each device: how long a request takes in the time of the
/// floor that reads, and how far that spreads.
pub(super) fn chart(results: &Results) -> String {
    let rows: Vec<_> = results
        .latency
        .iter()
        .filter(|row| !row.is_floor())
        .collect();
    let most = rows.iter().map(|row| row.over_read.high);
    let scale = BARS / most.fold(1.25, f64::max);
    let bottom = ROW * (rows.len() as f64 + 1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{:.0}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{NAMES}\" y=\"16\">a request, in those of the floor (aim: {AIM:.2})</text>\n",
        NAMES + BARS + 60.0,
        bottom + 8.0,
    );
    for (number, row) in rows.iter().enumerate() {
        svg += &bar(row, ROW * (number as f64 + 1.0), scale);
    }
    for (at, colour) in [(1.0, "black"), (AIM, "green")] {
        let x = NAMES + at * scale;
        svg += &format!(
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{ROW}\" y2=\"{bottom}\" stroke=\"{colour}\" \
             stroke-dasharray=\"4 2\"/>\n"
        );
    }
    svg + "</svg>\n"
}

fn bar(row: &Latency, top: f64, scale: f64) -> String {
    let spread = row.over_read;
    let [width, low, high] = [spread.median, spread.low, spread.high].map(|value| value * scale);
    let (middle, text) = (top + ROW / 2.0, top + ROW / 2.0 + 4.0);
    format!(
        "<text x=\"{:.0}\" y=\"{text}\" text-anchor=\"end\">{}</text>\n\
         <rect x=\"{NAMES}\" y=\"{:.0}\" width=\"{width:.1}\" height=\"{:.0}\" fill=\"#7aa6d8\"/>\n\
         <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"#203040\"/>\n\
         <text x=\"{:.1}\" y=\"{text}\">{:.2}</text>\n",
        NAMES - 6.0,
        escape(&format!("{}, {}", row.device, row.build)),
        top + 3.0,
        ROW - 6.0,
        NAMES + low,
        NAMES + high,
        NAMES + high + 6.0,
        spread.median,
    )
}

/// A revision may be called anything.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use xtask::results::Spread;

    use super::*;

    #[test]
    fn bars_are_as_long_as_their_ratios() {
        let row = |build: &str, median| Latency {
            device: "i2c".into(),
            build: build.into(),
            over_read: Spread {
                median,
                low: median,
                high: median,
            },
            ..Latency::default()
        };
        let results = Results {
            latency: vec![row("floor, read", 1.0), row("this", 1.0), row("a<b", 2.0)],
            ..Results::default()
        };
        let svg = chart(&results);
        assert!(!svg.contains("floor, read"), "{svg}");
        assert!(svg.contains("i2c, a&lt;b"), "{svg}");
        let widths: Vec<_> = svg
            .matches("width=\"225.0\"")
            .chain(svg.matches("width=\"450.0\""))
            .collect();
        assert_eq!(widths.len(), 2, "{svg}");
    }
}
