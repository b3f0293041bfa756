//! How values went, kept with a finding so that people can be shown a picture of it.
//!
//! A [`Chart`] is data: few values on an even grid, bounded before it is stored. What it looks like is decided where it is
//! drawn; nothing here judges, and no condition reads it.

use crate::diagnosis::Finding;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Most values of one line: a picture in a message is some 500 pixels wide.
pub const CHART_VALUES_MAX: usize = 240;
/// Most lines of one chart. More colours are not told apart; with all their values they take some 12 kB.
pub const CHART_LINES_MAX: usize = 5;
/// Most pictures that one message brings along.
const CHARTS_IN_MESSAGES_MAX: usize = 3;
/// Values beyond this would overflow where the span of an axis is reckoned.
const MAGNITUDE_MAX: f64 = 1e300;
/// Digits that are kept of a value: a picture shows three.
const DIGITS: usize = 6;

/// Curves over one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// When the first value of each line was taken.
    pub from: Timestamp,
    /// Distance of values, in milliseconds. Above zero.
    pub step_ms: i64,
    /// The value that the rule compares with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The curves, the highest at the end of the window first. At most [`CHART_LINES_MAX`].
    pub lines: Vec<ChartLine>,
    /// Further series that are not drawn.
    #[serde(default)]
    pub left_out: u32,
    /// Whether its rule asks for it by `chart: true`.
    #[serde(default)]
    pub asked_for: bool,
}

/// One curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChartLine {
    /// What it shows. Redacted, one line; may quote labels.
    pub name: String,
    /// A value for each step from the first on; none where there was no number. At most [`CHART_VALUES_MAX`].
    pub values: Vec<Option<f64>>,
}

impl Chart {
    /// When the last value of the longest line was taken.
    pub fn until(&self) -> Timestamp {
        let steps = self.lines.iter().map(|line| line.values.len()).max().unwrap_or(0).saturating_sub(1);
        self.at(steps)
    }

    /// When the value at this place of a line was taken.
    pub fn at(&self, place: usize) -> Timestamp {
        let ms = i64::try_from(place).unwrap_or(i64::MAX).saturating_mul(self.step_ms);
        self.from.checked_add(SignedDuration::from_millis(ms)).unwrap_or(Timestamp::MAX)
    }
}

/// Brings a line to a bounded number of values, each of few digits, with peaks and dips kept: of every `2 × n` values the
/// smallest and the largest stay, in the order in which they came. Returns by which factor the steps grew.
pub fn thin(values: Vec<Option<f64>>) -> (Vec<Option<f64>>, i64) {
    let values: Vec<Option<f64>> = values.into_iter().map(|value| value.and_then(short)).collect();
    if values.len() <= CHART_VALUES_MAX {
        return (values, 1);
    }
    let factor = values.len().div_ceil(CHART_VALUES_MAX);
    let thinned = values.chunks(factor * 2).flat_map(|chunk| extremes(chunk, chunk.len().div_ceil(factor)));
    (thinned.collect(), i64::try_from(factor).unwrap_or(i64::MAX))
}

/// The smallest and the largest value of a few, in their order; `kept` is one for a last few that fill one place.
fn extremes(chunk: &[Option<f64>], kept: usize) -> Vec<Option<f64>> {
    let known = || chunk.iter().enumerate().filter_map(|(place, value)| Some((place, (*value)?)));
    let least = known().min_by(|left, right| left.1.total_cmp(&right.1));
    let most = known().max_by(|left, right| left.1.total_cmp(&right.1));
    let (Some(least), Some(most)) = (least, most) else { return vec![None; kept] };
    let (first, second) = if least.0 <= most.0 { (least.1, most.1) } else { (most.1, least.1) };
    if kept < 2 { vec![Some(most.1)] } else { vec![Some(first), Some(second)] }
}

/// A number that can be drawn, in few digits.
fn short(value: f64) -> Option<f64> {
    let drawn = value.is_finite().then(|| value.clamp(-MAGNITUDE_MAX, MAGNITUDE_MAX))?;
    format!("{drawn:.*e}", DIGITS - 1).parse().ok()
}

/// Findings whose charts go along with messages: those that the rule asks for, or else the first that has one.
pub fn in_messages(findings: &[Finding]) -> Vec<(&Finding, &Chart)> {
    let drawn = || findings.iter().filter_map(|finding| Some((finding, finding.chart.as_deref()?)));
    let asked: Vec<_> = drawn().filter(|(_, chart)| chart.asked_for).take(CHARTS_IN_MESSAGES_MAX).collect();
    if asked.is_empty() { drawn().take(1).collect() } else { asked }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_thinned_and_keeps_its_peak_and_its_dip() {
        let mut values: Vec<Option<f64>> = (0..1_000).map(|_| Some(1.0)).collect();
        (values[501], values[770]) = (Some(90.0), Some(-7.0));
        let (thinned, factor) = thin(values);
        assert_eq!((thinned.len(), factor), (200, 5));
        assert_eq!(thinned.iter().flatten().filter(|value| **value == 90.0).count(), 1);
        let peak = thinned.iter().position(|value| *value == Some(90.0)).expect("the peak");
        let dip = thinned.iter().position(|value| *value == Some(-7.0)).expect("the dip");
        assert!((100..=101).contains(&peak) && (153..=155).contains(&dip), "{peak} {dip}");
    }

    #[test]
    fn whatever_comes_is_bounded_and_can_be_stored() {
        for count in [0, 1, 2, 239, 240, 241, 479, 481, 1_000, 11_000] {
            let (values, factor) = thin(vec![Some(0.123_456_789); count]);
            assert!(values.len() <= CHART_VALUES_MAX, "{count}");
            assert!(values.iter().all(|value| *value == Some(0.123_457)), "{count}");
            assert!(values.len() as i64 * factor >= count as i64, "{count}: no end is lost");
        }
        let (values, _) = thin(vec![Some(f64::NAN), Some(f64::INFINITY), None, Some(f64::MAX)]);
        assert_eq!(values, [None, None, None, Some(MAGNITUDE_MAX)]);
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let mut values = vec![Some(1.0); 1_000];
        values[400..600].fill(None);
        let (thinned, _) = thin(values);
        assert_eq!(thinned[80..120], [None; 40]);
        assert!(thinned[..80].iter().chain(&thinned[120..]).all(Option::is_some));
    }
}
