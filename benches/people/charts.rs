//! How long a chart takes from stored values to a picture, beside encoding an empty picture of the same size.

use crate::quantile;
use crate::report::{Aim, Report};
use resvg::tiny_skia::Pixmap;
use smokejumper::chart::{Mark, MarkKind, Painter, svg};
use smokejumper::domain::chart::{CHART_LINES_MAX, CHART_VALUES_MAX, Chart, ChartLine};
use std::time::Instant;

/// Pictures that are timed, of each kind.
const PICTURES: usize = 60;

/// Draws and paints the fullest chart that is stored, again and again.
pub fn run(report: &mut Report) {
    println!("\nCharts: {PICTURES} of {CHART_LINES_MAX} lines with {CHART_VALUES_MAX} values each");
    let (chart, marks) = fullest();
    let painter = Painter::default();
    let png = painter.png(&svg("error_ratio", &chart, &marks)).expect("a picture");
    let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    let (width, height) = (size(16), size(20));
    let empty = Pixmap::new(width, height).expect("a size");
    let (mut painted, mut encoded) = (Vec::new(), Vec::new());
    // In turns, so that whatever else the machine does falls on both.
    for _ in 0..PICTURES {
        let began = Instant::now();
        painter.png(&svg("error_ratio", &chart, &marks)).expect("a picture");
        painted.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        empty.encode_png().expect("a picture");
        encoded.push(began.elapsed().as_secs_f64() * 1e3);
    }
    for times in [&mut painted, &mut encoded] {
        times.sort_by(f64::total_cmp);
    }
    let [middle, late] = [0.5, 0.99].map(|share| quantile(&painted, share));
    let baseline = quantile(&encoded, 0.5);
    println!("{width} by {height} pixels, {} bytes", png.len());
    println!("painted p50 {middle:>7.2} ms   p99 {late:>7.2} ms   empty p50 {baseline:>7.2} ms");
    report.note("a chart, median, ms", middle, Aim::AtMost { must: 50.0, reach: 30.0 });
    report.note("a chart, 99th percentile, ms", late, Aim::AtMost { must: 100.0, reach: 50.0 });
    let ratio = middle / baseline;
    report.note("a chart against an empty picture", ratio, Aim::AtMost { must: 20.0, reach: 8.0 });
}

fn fullest() -> (Chart, Vec<Mark>) {
    let value = |line: usize, place: usize| ((place * (line + 3)) % 37) as f64 / 37.0 + line as f64 * 0.3;
    let lines = (0..CHART_LINES_MAX).map(|line| ChartLine {
        name: format!("http_requests:error_ratio{{service=\"checkout\", pod=\"checkout-{line}\"}}"),
        values: (0..CHART_VALUES_MAX).map(|place| Some(value(line, place))).collect(),
    });
    let from = "2026-11-21T09:00:00Z".parse().expect("a time");
    let chart = Chart {
        from,
        step_ms: 15_000,
        threshold: Some(0.8),
        lines: lines.collect(),
        left_out: 7,
        asked_for: false,
    };
    let mark = |place: usize| Mark {
        at: chart.at(place * 30 + 20),
        kind: if place == 0 { MarkKind::Alert } else { MarkKind::Action },
        label: format!("remedy-{place}"),
    };
    let marks = (0..7).map(mark).collect();
    (chart, marks)
}
