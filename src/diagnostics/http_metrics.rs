//! `http.metrics`: values out of a `/metrics` page, where no Prometheus has them or the newest one counts.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::evidence::{Evidence, Unknown, finite, shown, table};
use super::probe;
use super::{Entry, Moment, Tools};
use crate::clients::openmetrics::{self, Exposition};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError, no_access};
use crate::domain::matcher::{Matchers, ParseMode, parse};
use crate::domain::timeline::one_line;
use crate::params::{self, Statuses};

/// Bytes of a page; a busy service's has a few hundred kilobytes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Longest selector.
const SELECTOR_BYTES_MAX: usize = 1_000;

/// Characters of a selector for people.
const SELECTOR_CHARS_MAX: usize = 120;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "http.metrics",
        summary: "Picks values out of a page in Prometheus' text format. Each name of `pick` becomes a field; what the \
                  page does not have, or has as NaN, is left out.",
        fields: &[],
        timeout: probe::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `http.metrics`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// What to ask. Path and query may hold templates, whose values are percent-encoded; the host may not.
    #[schemars(length(min = 8, max = 2048))]
    url: String,
    /// What to pick.
    #[schemars(length(min = 1, max = 32))]
    pick: Vec<Pick>,
}

/// One value to pick.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pick {
    /// Name of the field.
    name: String,
    /// Selector of the series, such as `cache_hits_total{tier="l1"}`, with Alertmanager's matchers.
    #[schemars(length(min = 1, max = 1000))]
    series: String,
    /// What to do where several series match.
    #[serde(default)]
    combine: Combine,
}

/// How several series become one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Combine {
    /// They do not: the field is left out.
    #[default]
    Single,
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { url, pick } = params::read(params)?;
    let slots = vec![probe::check_url("/url", &url)?];
    let names: Vec<String> = pick.iter().map(|pick| pick.name.clone()).collect();
    let mut fields = probe::check_names("/pick", names.iter())?;
    fields.extend(["http_status", "latency_ms"].map(str::to_owned));
    for (index, pick) in pick.iter().enumerate() {
        let at = params::pointer(&["pick", &index.to_string(), "series"]);
        params::text_within(&at, &pick.series, SELECTOR_BYTES_MAX)?;
        selector(&pick.series).map_err(|message| ParamsError::at(at, message))?;
    }
    Ok(CheckedParams { slots, fields, ..CheckedParams::default() })
}

/// `metric{matchers}`, `metric` or `{matchers}`. A selector is fixed text: labels must not widen it.
fn selector(text: &str) -> Result<Matchers, String> {
    if params::is_template(text) {
        return Err(
            "a selector holds no templates: match the label's values with `=~`, or pick in `prom.query`"
                .to_owned(),
        );
    }
    let (name, rest) = text.split_at(text.find('{').unwrap_or(text.len()));
    let name = name.trim();
    let mut matchers = match rest {
        "" => Matchers::default(),
        // Alertmanager's older grammar would forgive the missing brace.
        rest if !rest.trim_end().ends_with('}') => return Err("the closing `}` is missing".to_owned()),
        rest => parse(rest, ParseMode::Fallback).map_err(|error| error.to_string())?,
    };
    if !name.is_empty() {
        let quoted = serde_json::to_string(name).map_err(|error| error.to_string())?;
        let by_name =
            parse(&format!("__name__={quoted}"), ParseMode::Fallback).map_err(|error| error.to_string())?;
        matchers.append(by_name);
    }
    if matchers.is_empty() {
        return Err("this selector selects everything: name a metric".to_owned());
    }
    Ok(matchers)
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { url, pick } = params::read(params)?;
    let answer = probe::document(tools, &url, &Statuses::default(), BODY_BYTES_MAX, moment).await?;
    let page = openmetrics::parse(&String::from_utf8_lossy(&answer.body));
    if page.truncated {
        return Err(Unknown::new(format!("the page has more than {} series", openmetrics::SERIES_MAX)));
    }
    let mut fields = Map::new();
    let mut rows = Vec::new();
    for pick in &pick {
        let matchers = selector(&pick.series).map_err(Unknown::new)?;
        let (value, words) = match value(&page, &matchers, pick.combine) {
            Ok(value) => (finite(value), shown(value)),
            Err(why) => (None, format!("{why} ({})", one_line(&pick.series, SELECTOR_CHARS_MAX))),
        };
        rows.push(format!("{}: {words}", pick.name));
        fields.extend(value.map(|value| (pick.name.clone(), value)));
    }
    if page.bad_lines > 0 {
        rows.push(format!("{} lines of the page could not be read", page.bad_lines));
    }
    if fields.is_empty() {
        return Err(Unknown::new(format!("the page has nothing of what is picked: {}", rows.join("; "))));
    }
    fields.insert("http_status".to_owned(), json!(answer.status.as_u16()));
    fields.insert(
        "latency_ms".to_owned(),
        json!(u64::try_from(answer.latency.as_millis()).unwrap_or(u64::MAX)),
    );
    Ok(Evidence { fields, text: table(&rows), chart: None })
}

/// The picked value. NaN anywhere among the series makes it no value: a sum that leaves one out would be wrong.
fn value(page: &Exposition, matchers: &Matchers, combine: Combine) -> Result<f64, String> {
    let values: Vec<f64> = page.select(matchers).map(|series| series.value).collect();
    let value = match (values.as_slice(), combine) {
        ([], _) => return Err("not there".to_owned()),
        ([only], _) => *only,
        (several, Combine::Single) => {
            return Err(format!("{} series match: say how to `combine` them", several.len()));
        }
        (several, _) if several.iter().any(|value| value.is_nan()) => f64::NAN,
        (several, Combine::Sum) => several.iter().sum(),
        (several, Combine::Min) => several.iter().copied().fold(f64::INFINITY, f64::min),
        (several, Combine::Max) => several.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    Ok(value)
}
