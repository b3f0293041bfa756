//! How far a backtest is, on a terminal.

use std::io::{IsTerminal as _, Write as _};

use crate::backtest::history::Span;
use crate::backtest::play::Progress;

/// Columns of the bar.
const COLUMNS: usize = 30;

/// A bar on stderr; nothing where that is no terminal.
pub(super) struct Bar {
    span: Span,
    is_shown: bool,
    /// Thousandths that were shown last.
    shown: Option<usize>,
}

impl Bar {
    pub(super) fn new(span: Span) -> Self {
        Self { span, is_shown: std::io::stderr().is_terminal(), shown: None }
    }

    pub(super) fn show(&mut self, progress: Progress) {
        if !self.is_shown {
            return;
        }
        let (line, thousandths) = line(self.span, progress);
        if self.shown.replace(thousandths) != Some(thousandths) {
            // Whoever closed this stream wants to see nothing.
            write!(std::io::stderr(), "\r{line}").ok();
        }
    }

    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            write!(std::io::stderr(), "\r\u{1b}[K").ok();
        }
    }
}

fn line(span: Span, progress: Progress) -> (String, usize) {
    let whole = span.to.duration_since(span.from).as_secs().max(1);
    let done = progress.at.duration_since(span.from).as_secs().clamp(0, whole);
    let thousandths = usize::try_from(done * 1000 / whole).unwrap_or(1000);
    let filled = COLUMNS * thousandths / 1000;
    let bar = format!("{}{}", "#".repeat(filled), ".".repeat(COLUMNS - filled));
    let day = progress.at.strftime("%Y-%m-%d");
    (format!("[{bar}] {:>3}%  {day}  {} alerts ", thousandths / 10, progress.episodes), thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{SignedDuration, Timestamp};

    #[test]
    fn a_bar_fills_with_the_time_that_was_played() {
        let from: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
        let (step, grace) = (SignedDuration::from_mins(1), SignedDuration::from_mins(5));
        let span = Span { from, to: from + SignedDuration::from_hours(24), step, grace };
        let at = |hours| Progress { at: from + SignedDuration::from_hours(hours), episodes: 7 };
        let (begun, _) = line(span, at(0));
        assert_eq!(begun, "[..............................]   0%  2026-03-01  7 alerts ");
        assert!(line(span, at(12)).0.starts_with("[###############...............]  50%"));
        assert!(line(span, at(30)).0.starts_with("[##############################] 100%"));
    }
}
