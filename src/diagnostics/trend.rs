//! What a series did over a window: its extremes, its trend, where it crossed a threshold, and where it will be.
//!
//! Pure arithmetic over points that are finite and in order. Nothing is guessed: a trend needs two moments, a
//! prediction needs enough of the window, and what overflows is left out.

use jiff::{SignedDuration, Timestamp};

use crate::clients::prometheus::answer::Point;

/// Fewest points that a prediction is made from: two always lie on a line, which says nothing.
pub(super) const PREDICT_POINTS_MIN: usize = 5;

/// What a series did over a window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trend {
    /// The newest value.
    pub(super) last: f64,
    /// The smallest value.
    pub(super) min: f64,
    /// The largest value.
    pub(super) max: f64,
    /// The mean of the values.
    pub(super) avg: f64,
    /// Number of points.
    pub(super) points: usize,
    /// The line of best fit; none for fewer than two moments.
    pub(super) line: Option<Line>,
}

/// A line of best fit (least squares).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// Rise for each hour.
    pub(super) slope_per_hour: f64,
    /// Where it stands at the end of the window.
    pub(super) at_end: f64,
    /// From the first to the last point.
    pub(super) covers: SignedDuration,
}

/// How a series stands to a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crossings {
    /// Whether the newest value is above.
    pub(super) above: bool,
    /// The first point on the other side than the one before it.
    pub(super) first: Option<Timestamp>,
    /// The last such point.
    pub(super) last: Option<Timestamp>,
    /// For how long it has been above without a break, as far as the window shows.
    pub(super) above_for: SignedDuration,
}

impl Trend {
    /// Over points in order; `None` without points.
    pub(super) fn over(points: &[Point], end: Timestamp) -> Option<Self> {
        let last = points.last()?.value;
        let fold = |pick: fn(f64, f64) -> f64| points.iter().map(|point| point.value).fold(last, pick);
        let (min, max) = (fold(f64::min), fold(f64::max));
        // A running mean stays between the extremes, where a sum of large values would overflow.
        let mean = points.iter().zip(1_u32..).fold(0.0, |mean, (point, count)| {
            mean + (point.value / f64::from(count) - mean / f64::from(count))
        });
        let avg = mean.clamp(min, max);
        Some(Self { last, min, max, avg, points: points.len(), line: Line::fit(points, end) })
    }

    /// Where the line will be `ahead` of the window's end. None where the points are too few or cover less than half
    /// of the window: a line through the last minutes says nothing about the next hours.
    pub(super) fn predict(&self, ahead: SignedDuration, window: SignedDuration) -> Option<f64> {
        let line = self.line.filter(|line| line.covers * 2 >= window && self.points >= PREDICT_POINTS_MIN)?;
        let predicted = line.at_end + line.slope_per_hour * hours(ahead);
        predicted.is_finite().then_some(predicted)
    }
}

impl Line {
    fn fit(points: &[Point], end: Timestamp) -> Option<Self> {
        let (first, last) = (points.first()?, points.last()?);
        let count = points.len() as f64;
        let x = |point: &Point| hours(point.at.duration_since(end));
        // Centred sums: the plain ones lose all digits when values are large and change little.
        let mean_x = points.iter().map(x).sum::<f64>() / count;
        let mean_y = points.iter().map(|point| point.value / count).sum::<f64>();
        let (mut spread, mut together) = (0.0, 0.0);
        for point in points {
            let offset = x(point) - mean_x;
            spread += offset * offset;
            together += offset * (point.value - mean_y);
        }
        let slope_per_hour = together / spread;
        let at_end = mean_y - slope_per_hour * mean_x;
        let covers = last.at.duration_since(first.at);
        (slope_per_hour.is_finite() && at_end.is_finite()).then_some(Self { slope_per_hour, at_end, covers })
    }
}

impl Crossings {
    /// Of points in order; `None` without points. A value equal to the threshold is not above it.
    pub(super) fn of(points: &[Point], threshold: f64) -> Option<Self> {
        let newest = points.last()?;
        let above = |point: &Point| point.value > threshold;
        let crossed: Vec<Timestamp> = points
            .windows(2)
            .filter(|pair| above(&pair[0]) != above(&pair[1]))
            .map(|pair| pair[1].at)
            .collect();
        let since = crossed.last().copied().unwrap_or(points.first()?.at);
        let above_for = if above(newest) { newest.at.duration_since(since) } else { SignedDuration::ZERO };
        Some(Self {
            above: above(newest),
            first: crossed.first().copied(),
            last: crossed.last().copied(),
            above_for,
        })
    }
}

fn hours(duration: SignedDuration) -> f64 {
    duration.as_secs_f64() / 3600.0
}

#[cfg(test)]
mod tests;
