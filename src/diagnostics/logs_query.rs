//! `logs.query`: the newest lines that a LogQL query finds in Loki.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, clock_time};
use super::k8s::fields;
use super::{Entry, Moment, Tools};
use crate::clients::loki::{Lines, LogQuery};
use crate::domain::catalog::{
    CheckedParams, DiagnosticKind, ParamsError, Reference, Slot, SlotLanguage, no_access,
};
use crate::domain::diagnosis::FINDING_TEXT_BYTES_MAX;
use crate::domain::redact::Redactor;
use crate::domain::timeline::one_line;
use crate::params;
use crate::period::Period;

/// Longest time for one query.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Kept back from the diagnostic's time, so that the better error comes first.
const ERROR_MARGIN: Duration = Duration::from_millis(250);

/// Most lines that may be asked for: what Loki gives by default at most.
const LINES_MAX: usize = 5_000;

/// Longest query, as it is written.
const QUERY_BYTES_MAX: usize = 4 * 1024;

/// Characters of a line for people.
const LINE_CHARS_MAX: usize = 600;

/// How far to look back at most.
const SINCE_MAX: Period = Period::from_days(7);

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "logs.query",
        summary: "Asks Loki for the newest lines that a LogQL query finds, such as \
                  `{namespace=\"prod\"} |= \"ERROR\"`.",
        fields: &[
            ("lines", "How many lines were found, at most `limit`."),
            ("truncated", "Whether there were more."),
            ("streams", "How many streams they are of."),
            ("first_at", "When the oldest of them was written. Left out where there is none."),
            ("last_at", "When the newest was written. Left out where there is none."),
            ("last", "The newest line. Left out where there is none."),
        ],
        timeout: TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `logs.query`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// LogQL that gives lines. May hold templates within double quotes, whose values are escaped.
    #[schemars(length(min = 2, max = 4096))]
    query: String,
    /// How far to look back, from 10s to 7d. Default: 15m.
    since: Option<Period>,
    /// Lines to keep, at most 5000. Default: 100.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 5000))]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { query, since, limit } = params::read(params)?;
    params::text_within("/query", &query, QUERY_BYTES_MAX)?;
    params::within("/limit", limit, 1, LINES_MAX)?;
    params::period_within("/since", since, Period::from_secs(10), SINCE_MAX)?;
    if !query.trim_start().starts_with('{') {
        let message = "a query for lines begins with the streams, such as `{namespace=\"prod\"}`";
        return Err(ParamsError::at("/query", message));
    }
    Ok(CheckedParams {
        slots: vec![Slot::new("/query", SlotLanguage::Logql)],
        references: vec![Reference::Loki],
        ..CheckedParams::default()
    })
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { query, since, limit } = params::read(params)?;
    let access = tools.connections.loki.as_ref();
    let access =
        access.ok_or_else(|| Unknown::new("no Loki is configured: set `loki.url` in the settings"))?;
    let room = moment.timeout.saturating_sub(ERROR_MARGIN).max(ERROR_MARGIN);
    let since = since.unwrap_or(Period::from_mins(15)).signed();
    let asked = LogQuery {
        query: &query,
        start: moment.now.checked_sub(since).unwrap_or(Timestamp::MIN),
        end: moment.now,
        // One more than is kept says whether there are more.
        limit: limit + 1,
        timeout: access.timeout.min(room),
    };
    let mut found = access.client.now().lines(&asked).await?;
    let truncated = found.lines.len() > limit;
    found.lines.truncate(limit);
    Ok(evidence(&found, truncated, &tools.keyring.redactor()))
}

fn evidence(found: &Lines, truncated: bool, redactor: &Redactor) -> Evidence {
    let at = |line: Option<&crate::clients::loki::Line>| line.map(|line| clock_time(line.at));
    // Redacted before it is cut: half a secret is no longer known as one.
    let lines: Vec<String> =
        found.lines.iter().map(|line| redactor.redact(line.text.trim_end()).into_owned()).collect();
    let streams: std::collections::BTreeSet<usize> = found.lines.iter().map(|line| line.stream).collect();
    let fields = fields(json!({
        "lines": lines.len(),
        "truncated": truncated,
        "streams": streams.len(),
        "first_at": at(found.lines.last()),
        "last_at": at(found.lines.first()),
        "last": lines.first().map(|line| one_line(line, LINE_CHARS_MAX)),
    }));
    let mut left = FINDING_TEXT_BYTES_MAX;
    let mut shown: Vec<String> = Vec::new();
    for line in &lines {
        let line = one_line(line, LINE_CHARS_MAX);
        if line.len() + 1 > left {
            break;
        }
        left -= line.len() + 1;
        shown.push(line);
    }
    // As in a log: the newest last.
    shown.reverse();
    let text = if shown.is_empty() { "no line was found".to_owned() } else { shown.join("\n") };
    Evidence { fields, text, chart: None }
}
