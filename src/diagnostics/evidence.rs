//! From what a diagnostic saw to the finding that is kept: redacted, bounded, and unknown where it is unknown.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::clients::http::HttpError;
use crate::clients::kubernetes::KubernetesError;
use crate::clients::loki::LokiError;
use crate::clients::postgres::PgError;
use crate::clients::prometheus::PrometheusError;
use crate::clients::redis::RedisError;
use crate::clients::registry::RegistryError;
use crate::domain::catalog::ParamsError;
use crate::domain::chart::Chart;
use crate::domain::diagnosis::{FINDING_TEXT_BYTES_MAX, Finding, FindingStatus};
use crate::domain::redact::Redactor;
use crate::domain::rule::DiagnosticSpec;
use crate::domain::timeline::cut;

/// Lines of a table for people. More are not read at three in the morning; conditions see all of them.
pub(super) const TABLE_ROWS_MAX: usize = 12;

/// Bytes of one list within the fields. Findings are stored and rendered; a list beyond this is left out as a whole,
/// because conditions over half a list would hold wrongly.
const LIST_BYTES_MAX: usize = 48 * 1024;

/// What a diagnostic saw.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    pub(super) fields: Map<String, Value>,
    pub(super) text: String,
    /// How it went, for a picture.
    pub(super) chart: Option<Box<Chart>>,
}

/// Why a diagnostic has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub(super) struct Unknown {
    reason: String,
    /// How long the server asks to wait before it is asked again.
    pub(super) wait: Option<Duration>,
}

impl Unknown {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), wait: None }
    }
}

impl From<PrometheusError> for Unknown {
    fn from(error: PrometheusError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<HttpError> for Unknown {
    fn from(error: HttpError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<LokiError> for Unknown {
    fn from(error: LokiError) -> Self {
        let wait = match &error {
            LokiError::Unavailable { wait, .. } => *wait,
            _ => None,
        };
        Self { wait, ..Self::new(error.to_string()) }
    }
}

impl From<RegistryError> for Unknown {
    fn from(error: RegistryError) -> Self {
        let wait = match &error {
            RegistryError::Unavailable { wait, .. } => *wait,
            _ => None,
        };
        Self { wait, ..Self::new(error.to_string()) }
    }
}

impl From<PgError> for Unknown {
    fn from(error: PgError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<RedisError> for Unknown {
    fn from(error: RedisError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<KubernetesError> for Unknown {
    fn from(error: KubernetesError) -> Self {
        Self { wait: error.wait(), ..Self::new(error.to_string()) }
    }
}

impl From<ParamsError> for Unknown {
    fn from(error: ParamsError) -> Self {
        match error.pointer.as_str() {
            "" => Self::new(error.message),
            pointer => Self::new(format!("`{pointer}`: {}", error.message)),
        }
    }
}

/// The finding of one run.
pub(super) fn finish(
    spec: &DiagnosticSpec,
    result: Result<Evidence, Unknown>,
    taken_at: Timestamp,
    duration_ms: u64,
    redactor: &Redactor,
) -> Finding {
    let DiagnosticSpec { name, kind, .. } = spec;
    match result {
        Err(Unknown { reason, .. }) => {
            Finding::unknown(name, kind, redactor.redact(&reason), taken_at, duration_ms)
        }
        Ok(Evidence { mut fields, text, mut chart }) => {
            fields.values_mut().for_each(|value| redact(value, redactor));
            for line in chart.iter_mut().flat_map(|chart| &mut chart.lines) {
                line.name = redactor.redact(&line.name).into_owned();
            }
            Finding {
                name: name.clone(),
                kind: kind.clone(),
                status: FindingStatus::Known,
                fields,
                text: cut(redactor.redact(&text).into_owned(), FINDING_TEXT_BYTES_MAX),
                chart,
                taken_at,
                duration_ms,
            }
        }
    }
}

/// Redacts every text within a value.
fn redact(value: &mut Value, redactor: &Redactor) {
    match value {
        Value::String(text) => *text = redactor.redact(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, redactor)),
        Value::Object(fields) => fields.values_mut().for_each(|field| redact(field, redactor)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A list for conditions; `None` where it is too large to be kept whole.
pub(super) fn whole_list(items: Vec<Value>) -> Option<Value> {
    let list = Value::Array(items);
    (list.to_string().len() <= LIST_BYTES_MAX).then_some(list)
}

/// A number for conditions; `None` for NaN and infinities, which neither JSON nor a comparison can hold.
pub(super) fn finite(value: f64) -> Option<Value> {
    serde_json::Number::from_f64(value).map(Value::Number)
}

/// A number for people: four significant digits.
pub(super) fn shown(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor();
    if !(-4.0..=12.0).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let decimals = (3.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A time for people: UTC, to the second.
pub(super) fn clock_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A length of time for people, to the second.
pub(super) fn length(duration: SignedDuration) -> String {
    let whole = SignedDuration::from_secs(duration.as_secs());
    jiff::fmt::friendly::SpanPrinter::new().duration_to_string(&whole)
}

/// Rows for people, the first [`TABLE_ROWS_MAX`] of them, and how many more there are.
pub(super) fn table(rows: &[String]) -> String {
    let mut lines: Vec<&str> = rows.iter().take(TABLE_ROWS_MAX).map(String::as_str).collect();
    let more = rows.len().saturating_sub(TABLE_ROWS_MAX);
    let rest = format!("… and {more} more");
    if more > 0 {
        lines.push(&rest);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_four_significant_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.052_341, "0.05234"),
            (12.0, "12"),
            (1234.56, "1235"),
            (-0.5, "-0.5"),
            (1.0e9, "1000000000"),
            (1.5e15, "1.500e15"),
            (0.000_012_3, "1.230e-5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(shown(value), text);
        }
    }

    #[test]
    fn a_long_table_says_how_much_is_missing() {
        let rows: Vec<String> = (0..TABLE_ROWS_MAX + 3).map(|row| row.to_string()).collect();
        assert!(table(&rows).ends_with("11\n… and 3 more"));
        assert_eq!(table(&rows[..2]), "0\n1");
    }

    #[test]
    fn a_list_is_kept_whole_or_not_at_all() {
        assert!(whole_list(vec![Value::from("x"); 3]).is_some());
        assert_eq!(whole_list(vec![Value::from("x".repeat(1024)); 60]), None);
    }

    #[test]
    fn times_read_well() {
        assert_eq!(length(SignedDuration::from_millis(5_400_900)), "1h 30m");
        let at = Timestamp::from_millisecond(1_795_219_200_250).expect("a time");
        assert_eq!(clock_time(at), "2026-11-21T00:00:00Z");
    }
}
