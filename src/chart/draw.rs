//! The drawing itself: a panel with axes, curves, the threshold, the marks, and what each curve is called.
//!
//! Everything has its place in units of the drawing, which is [`WIDTH`] wide; heights follow from what there is to show.
//! Text is set for our font and keeps clear of its neighbours with any other of about its width.

use super::marks::{Mark, MarkKind};
use super::painter::FONT_FAMILY;
use super::palette::Tone;
use super::scale::{Values, moments, share_of, window};
use super::text::escaped;
use crate::domain::chart::{CHART_LINES_MAX, CHART_VALUES_MAX, Chart, ChartLine};
use std::fmt::Write as _;

/// Width of a drawing, in its units; messengers show pictures some 500 pixels wide.
pub const WIDTH: f64 = 640.0;
/// Where the curves stand between left and right.
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 18.0;
/// Height of the curves.
const PLOT_HEIGHT: f64 = 190.0;
/// The line of the title.
const TITLE_Y: f64 = 24.0;
/// Where the labels of marks begin, and how high one row of them is.
const MARKS_TOP: f64 = 36.0;
const ROW_HEIGHT: f64 = 16.0;
/// Most rows of them. What finds no room there is a line without a label.
const ROWS_MAX: usize = 3;
/// Height of one line below the curves that names one of them.
const NAME_HEIGHT: f64 = 19.0;
/// Size of text, and the width of one character of it on average.
const TEXT_SIZE: f64 = 12.0;
const CHAR_WIDTH: f64 = 7.2;
/// Characters of what is written.
const TITLE_CHARS_MAX: usize = 36;
const NAME_CHARS_MAX: usize = 62;
const MARK_CHARS_MAX: usize = 26;
/// Dashes of curves after the first, for those who do not tell their colours apart.
const DASHES: [&str; CHART_LINES_MAX] = ["", "7 3", "2 3", "9 3 2 3", "4 4"];

/// Draws a chart. What is in it may be hostile; what comes out is well-formed, holds no script, no style, no address and
/// nothing that is fetched, and fits both into a page and into [`super::Painter`].
pub fn svg(title: &str, chart: &Chart, marks: &[Mark]) -> String {
    let lines = chart.lines.iter().take(CHART_LINES_MAX);
    let drawn = lines.clone().flat_map(|line| shown(line).iter().flatten().copied());
    let axis = Values::around(drawn.chain(chart.threshold.filter(|value| value.is_finite())));
    let (labels, rows) = placed(chart, marks);
    let plot = Plot { chart, axis, top: MARKS_TOP + ROW_HEIGHT * rows as f64 + 4.0 };
    let names = lines.clone().count() + usize::from(chart.left_out > 0);
    let height = plot.bottom() + 28.0 + NAME_HEIGHT * names as f64 + 6.0;
    let mut drawing = Drawing(String::new());
    drawing.open(title, chart, height);
    drawing.axes(&plot);
    drawing.marks(&plot, &labels);
    for (place, line) in lines.clone().enumerate() {
        drawing.curve(&plot, line, place);
    }
    drawing.threshold(&plot);
    for (place, line) in lines.enumerate() {
        drawing.name(line, place, plot.bottom() + 28.0 + NAME_HEIGHT * (place as f64 + 0.5));
    }
    if chart.left_out > 0 {
        let text = format!("and {} more that {} not drawn", chart.left_out, is_or_are(chart.left_out));
        let y = plot.bottom() + 28.0 + NAME_HEIGHT * (names as f64 - 0.5);
        drawing.text(LEFT, y, "start", Tone::Quiet, TEXT_SIZE, &text);
    }
    drawing.0.push_str("</svg>\n");
    drawing.0
}

/// The same in words, for whoever does not see it. Plain text; what it quotes is one line and cut.
pub fn described(chart: &Chart) -> String {
    let mut words = window(chart.from, chart.until());
    if let Some(threshold) = chart.threshold.filter(|value| value.is_finite()) {
        let _ = write!(words, "; threshold {}", number(threshold));
    }
    for line in chart.lines.iter().take(CHART_LINES_MAX) {
        let name = crate::domain::timeline::one_line(&line.name, NAME_CHARS_MAX);
        let _ = write!(words, "; {name} at last {}", last_of(line));
    }
    words
}

fn is_or_are(count: u32) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// Stored charts are bounded, but nothing here relies on it.
fn shown(line: &ChartLine) -> &[Option<f64>] {
    &line.values[..line.values.len().min(CHART_VALUES_MAX)]
}

fn last_of(line: &ChartLine) -> String {
    shown(line).iter().rev().flatten().next().map_or_else(|| "unknown".to_owned(), |value| number(*value))
}

/// A number for people: four digits that count.
fn number(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    if !(-4.0..9.0).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let decimals = (3.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Where the curves stand.
struct Plot<'a> {
    chart: &'a Chart,
    axis: Values,
    top: f64,
}

impl Plot<'_> {
    fn bottom(&self) -> f64 {
        self.top + PLOT_HEIGHT
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - self.axis.share(value) * PLOT_HEIGHT
    }

    /// Where a value stands by its place among those of the longest line.
    fn x(&self, place: usize) -> f64 {
        let longest = self.chart.lines.iter().map(|line| shown(line).len()).max().unwrap_or(0);
        let steps = longest.saturating_sub(1).max(1);
        LEFT + (RIGHT - LEFT) * place as f64 / steps as f64
    }
}

/// A mark with its place, and the row of its label where it has one.
struct Placed<'a> {
    mark: &'a Mark,
    /// None for a moment before the window, which stands at its left end without a line.
    x: Option<f64>,
    row: Option<usize>,
    text: String,
}

/// Gives every mark a place, and each label a row where it covers no other. Returns how many rows there are.
fn placed<'a>(chart: &Chart, marks: &'a [Mark]) -> (Vec<Placed<'a>>, usize) {
    let mut taken = [f64::NEG_INFINITY; ROWS_MAX];
    let mut rows = 0;
    let mut all = Vec::new();
    let mut in_order: Vec<&Mark> = marks.iter().collect();
    in_order.sort_by_key(|mark| mark.at);
    for mark in in_order {
        let x = share_of(mark.at, chart.from, chart.until()).map(|share| LEFT + (RIGHT - LEFT) * share);
        let is_earlier = mark.at < chart.from && mark.kind == MarkKind::Alert;
        if x.is_none() && !is_earlier {
            continue;
        }
        let label = crate::domain::timeline::one_line(&mark.label, MARK_CHARS_MAX);
        let at = mark.at.strftime("%H:%M");
        let before = if is_earlier { "\u{2190} " } else { "" };
        let text = format!("{before}{label} {at}");
        let width = text.chars().count() as f64 * CHAR_WIDTH + 10.0;
        let start = label_start(x.unwrap_or(LEFT), width);
        // The line of a mark goes down from its label, and must not go through one that stands lower.
        let is_clear = |row: &usize| taken[row + 1..].iter().all(|end| x.is_none_or(|x| x > *end));
        let row = (0..ROWS_MAX).find(|row| start >= taken[*row] && is_clear(row));
        if let Some(row) = row {
            taken[row] = start + width;
            rows = rows.max(row + 1);
        }
        all.push(Placed { mark, x, row, text });
    }
    (all, rows)
}

/// Where a label begins: right of its line, or so far to the left of it that it ends within the drawing.
fn label_start(x: f64, width: f64) -> f64 {
    (x - 4.0).min(WIDTH - 6.0 - width).max(6.0)
}

/// The text of a drawing as it grows. All coordinates are rounded to tenths.
struct Drawing(String);

impl Drawing {
    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes all that is written");
    }

    fn open(&mut self, title: &str, chart: &Chart, height: f64) {
        let words = escaped(&format!("Chart of {title}: {}", described(chart)), 600);
        self.push(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" aria-label=\"{words}\" \
             viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" \
             font-family=\"{FONT_FAMILY}, Verdana, sans-serif\">\n"
        ));
        let (panel, edge) = (fill(Tone::Panel), Tone::Edge);
        self.push(format_args!(
            "<rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{:.0}\" rx=\"6\" class=\"f-panel s-{}\" {panel} \
             stroke=\"{}\"/>\n",
            WIDTH - 1.0,
            height - 1.0,
            edge.word(),
            edge.light(),
        ));
        self.text(16.0, TITLE_Y, "start", Tone::Ink, 15.0, &escaped(title, TITLE_CHARS_MAX));
        let window = window(chart.from, chart.until());
        self.text(RIGHT, TITLE_Y, "end", Tone::Quiet, TEXT_SIZE, &window);
    }

    /// Text that is escaped already.
    fn text(&mut self, x: f64, y: f64, anchor: &str, tone: Tone, size: f64, text: &str) {
        let (word, fill) = (tone.word(), fill(tone));
        self.push(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" class=\"f-{word}\" \
             {fill}>{text}</text>\n"
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), tone: Tone, more: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"s-{}\" stroke=\"{}\" {more}/>\n",
            tone.word(),
            tone.light(),
        ));
    }

    fn axes(&mut self, plot: &Plot<'_>) {
        for tick in &plot.axis.ticks {
            let y = plot.y(*tick);
            self.line((LEFT, y), (RIGHT, y), Tone::Grid, "");
            let label = plot.axis.label(*tick);
            self.text(LEFT - 8.0, y + 4.0, "end", Tone::Quiet, TEXT_SIZE, &label);
        }
        let (from, until, bottom) = (plot.chart.from, plot.chart.until(), plot.bottom());
        for (at, label) in moments(from, until) {
            let Some(share) = share_of(at, from, until) else { continue };
            let x = LEFT + (RIGHT - LEFT) * share;
            self.line((x, bottom), (x, bottom + 5.0), Tone::Edge, "");
            // At the ends a label would leave the drawing.
            let x = x.clamp(LEFT, RIGHT - 8.0);
            self.text(x, bottom + 18.0, "middle", Tone::Quiet, TEXT_SIZE, &label);
        }
        self.line((LEFT, bottom), (RIGHT, bottom), Tone::Edge, "");
    }

    fn marks(&mut self, plot: &Plot<'_>, placed: &[Placed<'_>]) {
        for Placed { mark, x, row, text } in placed {
            let (tone, dashes) = match mark.kind {
                MarkKind::Alert => (Tone::Alert, ""),
                MarkKind::Action => (Tone::Action, " stroke-dasharray=\"1 3\" stroke-linecap=\"round\""),
            };
            let label_y = |row: usize| MARKS_TOP + ROW_HEIGHT * (row as f64 + 1.0) - 4.0;
            if let Some(x) = x {
                let top = row.map_or(plot.top, |row| label_y(row) + 3.0);
                self.line((*x, top), (*x, plot.bottom()), tone, &format!("stroke-width=\"2\"{dashes}"));
            }
            if let Some(row) = row {
                let width = text.chars().count() as f64 * CHAR_WIDTH + 10.0;
                let start = label_start(x.unwrap_or(LEFT), width);
                let text = escaped(text, MARK_CHARS_MAX + 12);
                self.text(start, label_y(*row), "start", tone, TEXT_SIZE, &text);
            }
        }
    }

    fn curve(&mut self, plot: &Plot<'_>, line: &ChartLine, place: usize) {
        let mut path = String::new();
        let mut is_drawing = false;
        let values = shown(line);
        for (place, value) in values.iter().enumerate() {
            let Some(value) = value else {
                is_drawing = false;
                continue;
            };
            let (x, y) = (plot.x(place), plot.y(*value));
            let pen = if is_drawing { 'L' } else { 'M' };
            let _ = write!(path, "{pen}{x:.1} {y:.1}");
            // A value between two gaps would be a line without length.
            let stands_alone = !is_drawing && values.get(place + 1).copied().flatten().is_none();
            if stands_alone {
                path.push_str("h0.1");
            }
            is_drawing = true;
        }
        let tone = Tone::Line(place);
        let dashes = dashes(place);
        self.push(format_args!(
            "<path d=\"{path}\" fill=\"none\" class=\"s-{}\" stroke=\"{}\" stroke-width=\"2\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\"{dashes}/>\n",
            tone.word(),
            tone.light(),
        ));
    }

    fn threshold(&mut self, plot: &Plot<'_>) {
        let Some(threshold) = plot.chart.threshold.filter(|value| value.is_finite()) else { return };
        let y = plot.y(threshold);
        let more = "stroke-width=\"1.5\" stroke-dasharray=\"6 4\"";
        self.line((LEFT, y), (RIGHT, y), Tone::Threshold, more);
        let label_y = if y - plot.top < 18.0 { y + 15.0 } else { y - 5.0 };
        let text = format!("threshold {}", number(threshold));
        self.text(LEFT + 6.0, label_y, "start", Tone::Threshold, TEXT_SIZE, &text);
    }

    /// One row below the curves: how it is drawn, what it is, where it stands.
    fn name(&mut self, line: &ChartLine, place: usize, y: f64) {
        let dashes = dashes(place);
        let more = format!("stroke-width=\"3\"{dashes}");
        self.line((LEFT, y - 4.0), (LEFT + 26.0, y - 4.0), Tone::Line(place), &more);
        let name = escaped(&line.name, NAME_CHARS_MAX);
        self.text(LEFT + 34.0, y, "start", Tone::Ink, TEXT_SIZE, &name);
        self.text(RIGHT, y, "end", Tone::Ink, TEXT_SIZE, &last_of(line));
    }
}

fn fill(tone: Tone) -> String {
    format!("fill=\"{}\"", tone.light())
}

fn dashes(place: usize) -> String {
    match DASHES.get(place) {
        None | Some(&"") => String::new(),
        Some(dashes) => format!(" stroke-dasharray=\"{dashes}\""),
    }
}
