//! What the diagnostics that ask Prometheus share: the client, whole answers only, and how a series is shown.

use std::time::Duration;

use serde_json::{Map, Value};

use super::evidence::{Unknown, shown};
use super::{Moment, Tools};
use crate::clients::prometheus::answer::{Answer, Labels};
use crate::clients::prometheus::{PrometheusClient, QueryLimits};
use crate::domain::catalog::{CheckedParams, ParamsError, Reference, Slot, SlotLanguage};
use crate::domain::timeline::one_line;
use crate::params;

/// Longest expression, as it is written in the rule. The longest of the runbooks is below 400 bytes.
pub(super) const EXPR_BYTES_MAX: usize = 8 * 1024;

/// Longest time for one query. An expression that needs more belongs into a recording rule.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Kept back from the diagnostic's time, so that Prometheus can still say itself that a query took too long.
const ANSWER_MARGIN: Duration = Duration::from_millis(2_500);

/// Shortest time that Prometheus is given.
const QUERY_TIME_MIN: Duration = Duration::from_secs(1);

/// Characters of a series' labels for people.
const SERIES_CHARS_MAX: usize = 160;

/// Checks an expression and says what it is.
pub(super) fn check_expr(expr: &str) -> Result<CheckedParams, ParamsError> {
    params::text_within("/expr", expr, EXPR_BYTES_MAX)?;
    Ok(CheckedParams {
        slots: vec![Slot::new("/expr", SlotLanguage::Promql)],
        references: vec![Reference::Prometheus],
        ..CheckedParams::default()
    })
}

/// The client with the limits of one query, or the way out.
pub(super) fn client(
    tools: &Tools,
    moment: Moment<'_>,
    series_max: usize,
) -> Result<(PrometheusClient, QueryLimits), Unknown> {
    let way_out = "no Prometheus is configured: set `prometheus.url` in the settings";
    let access = tools.prometheus.as_ref().ok_or_else(|| Unknown::new(way_out))?;
    let timeout = moment.timeout.saturating_sub(ANSWER_MARGIN).min(access.timeout).max(QUERY_TIME_MIN);
    Ok((access.client_now(), QueryLimits { timeout, series_max }))
}

/// Refuses an answer that is only a part of the truth.
pub(super) fn whole(answer: Answer) -> Result<Answer, Unknown> {
    match answer.warnings.first() {
        None => Ok(answer),
        Some(warning) => Err(Unknown::new(format!("the answer is only partial: {}", one_line(warning, 500)))),
    }
}

/// Refuses a value that is no number to compare with. `0 / 0` gives NaN, so a quiet service looks like this.
pub(super) fn number(value: f64, labels: &Labels) -> Result<f64, Unknown> {
    if value.is_finite() {
        return Ok(value);
    }
    let series = series_name(labels);
    let why =
        "which is what a division by zero gives: leave quiet series out, such as with `and rate(…) > 0`";
    Err(Unknown::new(format!("{series} is {}, {why}", shown(value))))
}

/// Labels for conditions.
pub(super) fn labels_value(labels: &Labels) -> Value {
    Value::Object(
        labels.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>(),
    )
}

/// A series for people, as PromQL writes it: `up{job="api"}`.
pub(super) fn series_name(labels: &Labels) -> String {
    let name = labels.get("__name__").map_or("", String::as_str);
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    let text = match (name, pairs.as_slice()) {
        ("", []) => "the result".to_owned(),
        (name, []) => name.to_owned(),
        (name, pairs) => format!("{name}{{{}}}", pairs.join(", ")),
    };
    one_line(&text, SERIES_CHARS_MAX)
}
