//! The series behind the answers: each a function of time that follows the course of an incident.
//!
//! Time is wall-clock seconds since 1970 as Prometheus writes it. A [`Course`] says when trouble began and when
//! a remedy was applied; several series share one, so that errors, latency and cache hits tell one story.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sandbox::seed::noise;

/// The labels of a series, without its metric name.
pub type Labels = BTreeMap<String, String>;

/// Courses of an incident that are remembered, for queries that look back.
const MAX_RUNS: usize = 32;

/// Changes of a watched value that are remembered.
const MAX_CHANGES: usize = 4_096;

/// When trouble began, and when something was done about it. Clones share the course.
#[derive(Clone, Debug, Default)]
pub struct Course {
    runs: Arc<Mutex<Vec<Run>>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    began_at: f64,
    remedied_at: Option<f64>,
}

impl Course {
    /// Trouble begins at `at`.
    pub fn begin(&self, at: f64) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() == MAX_RUNS {
            runs.remove(0);
        }
        runs.push(Run { began_at: at, remedied_at: None });
    }

    /// A remedy takes effect at `at`. Only the first one of a run counts.
    pub fn remedy(&self, at: f64) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = runs.last_mut() {
            run.remedied_at.get_or_insert(at);
        }
    }

    /// When a remedy took effect in the present run, if one did.
    #[must_use]
    pub fn remedied_at(&self) -> Option<f64> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.last().and_then(|run| run.remedied_at)
    }

    /// How bad it is at `at`: 0.0 calm, 1.0 at the peak.
    ///
    /// It rises over `ramp` seconds from the beginning, stays, and falls over `recovery` seconds from the remedy.
    #[must_use]
    pub fn intensity(&self, at: f64, ramp: f64, recovery: f64) -> f64 {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(run) = runs.iter().rev().find(|run| run.began_at <= at) else { return 0.0 };
        let risen = |at: f64| ease((at - run.began_at) / ramp.max(f64::MIN_POSITIVE));
        match run.remedied_at {
            Some(remedied_at) if remedied_at <= at => {
                let fallen = ease((at - remedied_at) / recovery.max(f64::MIN_POSITIVE));
                risen(remedied_at) * (1.0 - fallen)
            }
            _ => risen(at),
        }
    }
}

/// Values that are written down as they are seen, such as those that a scrape finds. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    seen: Arc<Mutex<VecDeque<(f64, f64)>>>,
}

impl Watched {
    /// Notes the value at `at`. One that stays as it was takes no place.
    pub fn note(&self, at: f64, value: f64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.back().is_some_and(|(_, last)| last.to_bits() == value.to_bits()) {
            return;
        }
        if seen.len() == MAX_CHANGES {
            seen.pop_front();
        }
        seen.push_back((at, value));
    }

    /// The value at `at`: the last one until then. Before the first one it was as the first one.
    #[must_use]
    pub fn at(&self, at: f64) -> f64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let until = seen.partition_point(|(since, _)| *since <= at);
        seen.get(until.saturating_sub(1)).map_or(0.0, |(_, value)| *value)
    }
}

/// From 0 to 1 without a kink, the way load really rises.
fn ease(progress: f64) -> f64 {
    let progress = progress.clamp(0.0, 1.0);
    progress * progress * (3.0 - 2.0 * progress)
}

/// How a value runs between calm and trouble.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The course that it follows.
    pub course: Course,
    /// The value when all is well.
    pub calm: f64,
    /// The value at the worst.
    pub peak: f64,
    /// Seconds from the beginning to the worst.
    pub ramp_seconds: f64,
    /// Seconds from the remedy to calm.
    pub recovery_seconds: f64,
    /// Noise as a part of the value (0.05 is five percent up and down).
    pub noise: f64,
    /// What makes this series' noise its own, and repeatable.
    pub seed: u64,
}

impl Shape {
    /// The value at `at`.
    #[must_use]
    pub fn at(&self, at: f64) -> f64 {
        let intensity = self.course.intensity(at, self.ramp_seconds, self.recovery_seconds);
        let value = self.calm + (self.peak - self.calm) * intensity;
        #[allow(clippy::cast_possible_truncation, reason = "seconds since 1970 fit")]
        let point = at.floor() as i64;
        value * (1.0 + self.noise * noise(self.seed, point))
    }
}

/// What a series measures.
#[derive(Clone, Debug)]
pub enum Signal {
    /// The same value at all times; NaN and infinities too.
    Constant(f64),
    /// A gauge.
    Gauge(Shape),
    /// A gauge whose values were seen.
    Watched(Watched),
    /// A counter that grows by the shape's value each second.
    Counter(Shape),
    /// The bucket up to `le` seconds of a latency histogram whose 99th percentile is the shape's value, with so
    /// many observations a second. Latencies are spread exponentially.
    Bucket {
        /// The 99th percentile in seconds.
        p99: Shape,
        /// Observations a second.
        per_second: f64,
        /// The upper bound in seconds; infinity for all.
        le: f64,
    },
}

/// One series of the simulated Prometheus.
#[derive(Clone, Debug)]
pub struct Series {
    /// The metric's name.
    pub metric: String,
    /// The other labels.
    pub labels: Labels,
    /// What it measures.
    pub signal: Signal,
}

/// The upper bounds of a latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, f64::INFINITY];

/// Counters start at zero here: long before anything that is asked for.
const COUNTER_EPOCH_SECONDS: f64 = 1_700_000_000.0;

impl Series {
    /// A series; labels are pairs of name and value.
    #[must_use]
    pub fn new(metric: &str, labels: &[(&str, &str)], signal: Signal) -> Self {
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { metric: metric.to_owned(), labels, signal }
    }

    /// The `_bucket` series of a latency histogram called `metric` (without `_bucket`).
    #[must_use]
    pub fn latency(metric: &str, labels: &[(&str, &str)], p99: &Shape, per_second: f64) -> Vec<Self> {
        let bucket = |le: f64| {
            let bound = if le.is_infinite() { "+Inf".to_owned() } else { le.to_string() };
            let signal = Signal::Bucket { p99: p99.clone(), per_second, le };
            let mut series = Self::new(&format!("{metric}_bucket"), labels, signal);
            series.labels.insert("le".to_owned(), bound);
            series
        };
        LATENCY_BOUNDS.map(bucket).to_vec()
    }

    /// The value that a scrape at `at` would have stored.
    #[must_use]
    pub fn at(&self, at: f64) -> f64 {
        match &self.signal {
            Signal::Constant(value) => *value,
            Signal::Gauge(shape) => shape.at(at),
            Signal::Watched(watched) => watched.at(at),
            // Only growth is ever asked of a counter; its total is that of calm times.
            Signal::Counter(shape) => shape.calm * (at - COUNTER_EPOCH_SECONDS),
            Signal::Bucket { per_second, .. } => per_second * (at - COUNTER_EPOCH_SECONDS),
        }
    }

    /// The growth per second at `at`; zero for what is not a counter.
    #[must_use]
    pub fn growth_at(&self, at: f64) -> f64 {
        match &self.signal {
            Signal::Constant(_) | Signal::Gauge(_) | Signal::Watched(_) => 0.0,
            Signal::Counter(shape) => shape.at(at).max(0.0),
            Signal::Bucket { p99, per_second, le } => {
                // The exponential distribution whose 99th percentile is p99.
                per_second * (1.0 - (-(100.0_f64.ln()) * le / p99.at(at).max(f64::MIN_POSITIVE)).exp())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_shape(course: &Course) -> Shape {
        let course = course.clone();
        Shape {
            course,
            calm: 1.0,
            peak: 11.0,
            ramp_seconds: 10.0,
            recovery_seconds: 4.0,
            noise: 0.0,
            seed: 1,
        }
    }

    #[test]
    fn a_value_rises_stays_and_falls_after_the_remedy() {
        let course = Course::default();
        let shape = mk_shape(&course);
        course.begin(100.0);
        let seen: Vec<_> = [99.0, 100.0, 105.0, 110.0, 500.0].map(|at| shape.at(at)).to_vec();
        assert_eq!(seen, [1.0, 1.0, 6.0, 11.0, 11.0], "nobody acts: it stays bad");
        course.remedy(500.0);
        course.remedy(503.0);
        let seen: Vec<_> = [499.0, 500.0, 502.0, 504.0, 900.0].map(|at| shape.at(at)).to_vec();
        assert_eq!(seen, [11.0, 11.0, 6.0, 1.0, 1.0], "the first remedy counts");
    }

    #[test]
    fn what_was_seen_holds_until_something_else_is_seen() {
        let watched = Watched::default();
        assert_eq!(watched.at(5.0), 0.0, "nobody has looked");
        for (at, value) in [(10.0, 2.0), (11.0, 2.0), (12.0, 4.0), (20.0, 1.0)] {
            watched.note(at, value);
        }
        assert_eq!(
            [5.0, 10.0, 11.9, 12.0, 19.0, 20.0, 99.0].map(|at| watched.at(at)),
            [2.0, 2.0, 2.0, 4.0, 4.0, 1.0, 1.0]
        );
        for at in 100..5_000 {
            watched.note(f64::from(at), f64::from(at));
        }
        assert!(watched.seen.lock().expect("free").len() <= MAX_CHANGES);
        assert_eq!(watched.at(4_999.0), 4_999.0);
    }

    #[test]
    fn a_second_run_starts_anew_and_the_past_stays_as_it_was() {
        let course = Course::default();
        let shape = mk_shape(&course);
        course.begin(100.0);
        course.remedy(200.0);
        course.begin(1_000.0);
        assert_eq!([150.0, 300.0, 1_000.0, 1_010.0].map(|at| shape.at(at)), [11.0, 1.0, 1.0, 11.0]);
    }

    #[test]
    fn noise_is_repeatable_and_proportional() {
        let course = Course::default();
        let shape = Shape { noise: 0.1, ..mk_shape(&course) };
        let values: Vec<_> = (0..200).map(|at| shape.at(f64::from(at))).collect();
        assert!(values.iter().all(|value| (0.9..=1.1).contains(value)));
        assert!(values.iter().any(|value| (value - 1.0).abs() > 0.01));
        assert_eq!(values[7].to_bits(), shape.at(7.0).to_bits());
    }

    #[test]
    fn buckets_grow_with_their_bound_and_shift_with_the_percentile() {
        let course = Course::default();
        let shape = Shape { calm: 0.3, peak: 3.0, ..mk_shape(&course) };
        let buckets = Series::latency("latency_seconds", &[], &shape, 100.0);
        let growth: Vec<_> = buckets.iter().map(|bucket| bucket.growth_at(0.0)).collect();
        assert!(growth.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!((growth[12] - 100.0).abs() < 1e-9);
        course.begin(0.0);
        assert!(buckets[6].growth_at(20.0) < growth[6], "fewer are fast when it is slow");
    }
}
