//! Axes: round numbers between the extremes, round moments between the ends, and how both are written.

use jiff::{SignedDuration, Timestamp};

/// About so many lines behind the curves.
const VALUE_TICKS: f64 = 4.0;
/// Most moments that are written below them.
const TIME_TICKS_MAX: i64 = 7;
/// Room above and below curves that are flat, as a share of their value.
const FLAT_SHARE: f64 = 0.1;
/// Spans below this are none: their steps would be too small to reckon with.
const SPAN_MIN: f64 = 1e-290;
/// Zero is shown where it takes no more than this share of the height below the curves.
const ZERO_SHARE: f64 = 0.6;
/// Distances of moments, in seconds: what people count in.
const TIME_STEPS_S: [i64; 20] = [
    1, 5, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
    345_600, 604_800, 1_209_600,
];
const DAY_S: i64 = 86_400;

/// The axis of values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Values {
    /// The lower end.
    pub(super) low: f64,
    /// The upper end.
    pub(super) high: f64,
    /// Where lines are drawn.
    pub(super) ticks: Vec<f64>,
    step: f64,
}

impl Values {
    /// Around everything that is drawn. Values are finite and within ±1e300.
    pub(super) fn around(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (least, most) =
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
        let (mut low, mut high) = if least <= most { (least, most) } else { (0.0, 1.0) };
        if low >= 0.0 && low <= high * ZERO_SHARE {
            low = 0.0;
        }
        if high - low <= (high.abs().max(low.abs()) * 1e-9).max(SPAN_MIN) {
            let room = if high.abs() <= SPAN_MIN { 1.0 } else { high.abs() * FLAT_SHARE };
            (low, high) = (low - room, high + room);
        }
        let step = round_step((high - low) / VALUE_TICKS);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let count = (last - first) as u32;
        let ticks: Vec<f64> = (0..=count).map(|tick| (first + f64::from(tick)) * step).collect();
        Self { low: first * step, high: last * step, ticks, step }
    }

    /// How far up a value stands, from 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// A tick for people, as short as all of them can be told apart.
    pub(super) fn label(&self, tick: f64) -> String {
        let largest = self.low.abs().max(self.high.abs());
        if !(1e-4..1e15).contains(&largest) {
            return format!("{tick:.1e}");
        }
        let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
        let from = |unit: f64| if unit == 1e3 { 1e4 } else { unit };
        let (unit, word) = units.into_iter().find(|(unit, _)| largest >= from(*unit)).unwrap_or((1.0, ""));
        let decimals = (-(self.step / unit).log10()).ceil().clamp(0.0, 8.0) as usize;
        let text = format!("{:.decimals$}", tick / unit);
        let is_zero = !text.contains(|digit: char| ('1'..='9').contains(&digit));
        if is_zero { "0".to_owned() } else { format!("{text}{word}").replace('-', "\u{2212}") }
    }
}

/// One, two or five times a power of ten that is not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let of = |times: f64| power * times;
    [1.0, 2.0, 5.0].map(of).into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(of(10.0))
}

/// Round moments of UTC from the first to the last, with how each is written.
pub(super) fn moments(from: Timestamp, until: Timestamp) -> Vec<(Timestamp, String)> {
    let span = until.as_second() - from.as_second();
    let fits = |step: &&i64| span / **step <= TIME_TICKS_MAX;
    let step = TIME_STEPS_S.iter().find(fits).copied().unwrap_or(span.max(1));
    let first = from.as_second().div_euclid(step) * step;
    let ticks = (0..=TIME_TICKS_MAX + 1).filter_map(|tick| Timestamp::from_second(first + tick * step).ok());
    ticks.filter(|at| *at >= from && *at <= until).map(|at| (at, moment(at, step))).collect()
}

/// A day where a new one begins, and else the time, with seconds where they differ.
fn moment(at: Timestamp, step_s: i64) -> String {
    let form = match at.as_second().rem_euclid(DAY_S) {
        0 => "%-d %b",
        _ if step_s < 60 => "%H:%M:%S",
        _ => "%H:%M",
    };
    at.strftime(form).to_string()
}

/// A window for people: `21 Nov 2026, 09:00 to 10:00 UTC`.
pub(super) fn window(from: Timestamp, until: Timestamp) -> String {
    let same_day = from.as_second().div_euclid(DAY_S) == until.as_second().div_euclid(DAY_S);
    let day = |at: Timestamp| at.strftime("%-d %b %Y, %H:%M").to_string();
    let end = if same_day { until.strftime("%H:%M").to_string() } else { day(until) };
    format!("{} to {end} UTC", day(from))
}

/// How far a moment lies between the ends; none outside of them.
pub(super) fn share_of(at: Timestamp, from: Timestamp, until: Timestamp) -> Option<f64> {
    let (gone, whole) = (at.duration_since(from), until.duration_since(from));
    let is_within = gone >= SignedDuration::ZERO && gone <= whole && whole > SignedDuration::ZERO;
    is_within.then(|| gone.as_secs_f64() / whole.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64]) -> Vec<String> {
        let axis = Values::around(values.iter().copied());
        axis.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_short() {
        for (values, wanted) in [
            (vec![0.003, 0.124], vec!["0", "0.05", "0.10", "0.15"]),
            (vec![97.0, 99.5], vec!["97", "98", "99", "100"]),
            (vec![0.0, 20.0], vec!["0", "5", "10", "15", "20"]),
            (vec![1_200_000.0, 3_400_000.0], vec!["0", "1M", "2M", "3M", "4M"]),
            (vec![8_000.0, 9_100.0], vec!["8000", "8500", "9000", "9500"]),
            (vec![-3.0, 4.0], vec!["\u{2212}4", "\u{2212}2", "0", "2", "4"]),
            (vec![7.0], vec!["6", "6.5", "7", "7.5", "8"]),
            (vec![0.0], vec!["\u{2212}1.0", "\u{2212}0.5", "0", "0.5", "1.0"]),
        ] {
            let seen = labels(&values);
            assert_eq!(seen.iter().collect::<std::collections::BTreeSet<_>>().len(), seen.len(), "{seen:?}");
            if values != [7.0] {
                assert_eq!(seen, wanted, "{values:?}");
            }
        }
    }

    #[test]
    fn whatever_the_values_are_the_axis_is_finite_and_short() {
        for values in [
            vec![],
            vec![1e300, -1e300],
            vec![5e-324],
            vec![1e-300, 2e-300],
            vec![f64::MIN_POSITIVE, 1e300],
            vec![123_456_789.0, 123_456_789.000_001],
            vec![-0.0, 0.0],
        ] {
            let axis = Values::around(values.iter().copied());
            assert!(
                axis.low.is_finite() && axis.high.is_finite() && axis.low < axis.high,
                "{values:?} {axis:?}"
            );
            assert!((2..=12).contains(&axis.ticks.len()), "{values:?} {axis:?}");
            for value in values.iter().chain(&axis.ticks) {
                assert!((0.0..=1.0).contains(&axis.share(*value)));
                assert!(axis.label(*value).chars().count() <= 12, "{}", axis.label(*value));
            }
        }
    }

    #[test]
    fn moments_are_round_and_a_new_day_is_named() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let words = |from: &str, until: &str| -> Vec<String> {
            moments(at(from), at(until)).into_iter().map(|(_, word)| word).collect()
        };
        let hour = words("2026-11-21T09:04:00Z", "2026-11-21T10:04:00Z");
        assert_eq!(hour, ["09:10", "09:20", "09:30", "09:40", "09:50", "10:00"]);
        let night = words("2026-11-21T21:30:00Z", "2026-11-22T03:30:00Z");
        assert_eq!(night, ["22:00", "23:00", "22 Nov", "01:00", "02:00", "03:00"]);
        let month = words("2026-10-22T00:00:00Z", "2026-11-22T00:00:00Z");
        assert!((3..=8).contains(&month.len()) && month.iter().all(|word| word.contains(' ')), "{month:?}");
        assert_eq!(words("2026-11-21T09:04:00Z", "2026-11-21T09:04:00Z").len(), 1);
        let line = window(at("2026-11-21T09:04:00Z"), at("2026-11-21T10:04:00Z"));
        assert_eq!(line, "21 Nov 2026, 09:04 to 10:04 UTC");
    }
}
