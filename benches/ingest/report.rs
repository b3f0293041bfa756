//! Collects what was measured against what is aimed at, and prints it at the end.

/// Where a measured value should lie.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    /// At least this; at least that to be content.
    AtLeast { must: f64, reach: f64 },
    /// At most this; at most that to be content.
    AtMost { must: f64, reach: f64 },
}

impl Aim {
    fn verdict(self, value: f64) -> &'static str {
        let (must, reach) = match self {
            Self::AtLeast { must, reach } => (value >= must, value >= reach),
            Self::AtMost { must, reach } => (value <= must, value <= reach),
        };
        match (must, reach) {
            (_, true) => "reached",
            (true, false) => "good",
            (false, false) => "MISSED",
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast { must, reach } => format!(">= {must} (reach {reach})"),
            Self::AtMost { must, reach } => format!("<= {must} (reach {reach})"),
        }
    }
}

struct Line {
    what: String,
    value: f64,
    aim: Aim,
}

/// Everything that has an aim.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// Notes a value.
    pub fn note(&mut self, what: impl Into<String>, value: f64, aim: Aim) {
        self.lines.push(Line { what: what.into(), value, aim });
    }

    /// Prints all values against their aims. A missed aim is shown and is no failure: a busy machine misses too.
    pub fn close(&self) {
        println!("\n{:<62} {:>9}  {:<24} verdict", "what", "measured", "aim");
        for line in &self.lines {
            let (value, aim) = (line.value, line.aim);
            println!("{:<62} {:>9.2}  {:<24} {}", line.what, value, aim.text(), aim.verdict(value));
        }
    }
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
