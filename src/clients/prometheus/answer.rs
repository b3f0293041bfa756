//! The JSON that Prometheus answers queries with.
//!
//! Values come as strings, because JSON has neither NaN nor infinity; timestamps come as floating seconds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

use super::PrometheusError;

/// The labels of a series, `__name__` among them where the expression keeps it.
pub type Labels = BTreeMap<String, String>;

/// What a query came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The result.
    pub data: Data,
    /// Why the answer is partial or doubtful. An answer with warnings is not enough to act on.
    pub warnings: Vec<String>,
    /// Remarks on the query that do not make its answer doubtful.
    pub infos: Vec<String>,
}

/// A result, by its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// One value for each series. Empty means that nothing matched, which is not zero.
    Vector(Vec<Sample>),
    /// Many values for each series.
    Matrix(Vec<Series>),
    /// One value without labels, such as that of `time()`.
    Scalar(Point),
    /// A string literal.
    Text(String),
}

/// A series and its value at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Which series.
    pub labels: Labels,
    /// Its value.
    pub point: Point,
}

/// A series and its values over a window, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which series.
    pub labels: Labels,
    /// Its values.
    pub points: Vec<Point>,
}

/// A value at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The instant, to the millisecond.
    pub at: Timestamp,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

/// What Prometheus says when it has no answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Complaint {
    #[serde(rename = "errorType")]
    pub(super) error_type: String,
    pub(super) error: String,
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<WireData>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum WireData {
    Vector(Vec<WireSample>),
    Matrix(Vec<WireSeries>),
    Scalar(Point),
    String((IgnoredAny, String)),
}

#[derive(Deserialize)]
struct WireSample {
    #[serde(default)]
    metric: Labels,
    /// Absent where the value is a native histogram.
    value: Option<Point>,
}

#[derive(Deserialize)]
struct WireSeries {
    #[serde(default)]
    metric: Labels,
    #[serde(default)]
    values: Vec<Point>,
    #[serde(default)]
    histograms: Vec<IgnoredAny>,
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (seconds, value) = <(f64, String)>::deserialize(deserializer)?;
        let at = Timestamp::from_millisecond((seconds * 1000.0).round() as i64).map_err(D::Error::custom)?;
        let value = value.parse().map_err(|_| D::Error::custom(format!("{value:?} is not a value")))?;
        Ok(Self { at, value })
    }
}

/// Reads a 200; keeps at most `series_max` series and says so in a warning.
pub(super) fn parse(body: &[u8], series_max: usize) -> Result<Answer, PrometheusError> {
    let garbled = |reason: &str| PrometheusError::Garbled(reason.to_owned());
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| garbled(&error.to_string()))?;
    if envelope.status != "success" {
        return Err(garbled("the status is not `success`"));
    }
    let wire = envelope.data.ok_or_else(|| garbled("it has no data"))?;
    let mut warnings = envelope.warnings;
    let data = match wire {
        WireData::Vector(samples) => {
            Data::Vector(vector_of(cut(samples, series_max, &mut warnings), &mut warnings))
        }
        WireData::Matrix(series) => {
            Data::Matrix(matrix_of(cut(series, series_max, &mut warnings), &mut warnings))
        }
        WireData::Scalar(point) => Data::Scalar(point),
        WireData::String((_, text)) => Data::Text(text),
    };
    Ok(Answer { data, warnings, infos: envelope.infos })
}

fn cut<T>(mut series: Vec<T>, series_max: usize, warnings: &mut Vec<String>) -> Vec<T> {
    if series.len() > series_max {
        warnings.push(format!("only the first {series_max} of {} series were kept", series.len()));
        series.truncate(series_max);
    }
    series
}

fn vector_of(samples: Vec<WireSample>, warnings: &mut Vec<String>) -> Vec<Sample> {
    let count = samples.len();
    let plain: Vec<Sample> = samples
        .into_iter()
        .filter_map(|sample| Some(Sample { labels: sample.metric, point: sample.value? }))
        .collect();
    warn_of_histograms(count - plain.len(), warnings);
    plain
}

fn matrix_of(series: Vec<WireSeries>, warnings: &mut Vec<String>) -> Vec<Series> {
    warn_of_histograms(series.iter().filter(|series| !series.histograms.is_empty()).count(), warnings);
    let plain = series.into_iter().filter(|series| !series.values.is_empty());
    plain.map(|series| Series { labels: series.metric, points: series.values }).collect()
}

fn warn_of_histograms(count: usize, warnings: &mut Vec<String>) {
    if count > 0 {
        warnings.push(format!("{count} series of native histograms were left out: use histogram_quantile"));
    }
}
