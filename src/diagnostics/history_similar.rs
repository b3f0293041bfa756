//! `history.similar`: whether this happened before, how it ended then, and what helped.
//!
//! It reads the own store and asks nobody else. What is over is deleted after `retention`, so no window reaches further.

mod past;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown, length};
use super::{Entry, Moment, Tools};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError, no_access};
use crate::engine::ports::{PastKeys, PastQuery};
use crate::params;
use crate::period::Period;

use past::{End, Past};

/// Shortest and longest window.
const WINDOW_MIN: Period = Period::from_mins(1);
const WINDOW_MAX: Period = Period::from_days(90);
/// Without a window of the rule: what one shift hands to the next.
const WINDOW_DEFAULT: Period = Period::from_hours(24);
/// Most incidents that are looked at, the newest. What happens oftener than this is no incident any more.
const INCIDENTS_MAX: u32 = 100;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "history.similar",
        summary: "Looks for earlier incidents of the same rule: how often, how they ended, and which remedy helped.",
        fields: &[
            ("count", "How many earlier incidents ended in the window; at most 100 are looked at."),
            ("last_seen_seconds", "How long ago the last one ended. Left out if there was none."),
            ("last_duration_seconds", "How long the last one took. Left out if there was none."),
            (
                "last_resolution",
                "How the last one ended: `remedy` if one helped, `person` if somebody resolved it, `alone`, or empty if \
                 there was none.",
            ),
            ("remedy_that_helped", "The remedy that helped last; empty if none ever did."),
            ("helped", "How many of them a remedy ended."),
            ("by_people", "How many of them somebody resolved."),
            ("alone", "How many of them ended without either."),
        ],
        timeout: super::prom::TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `history.similar`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Params {
    /// How far to look back, from 1m to 90d. What is older than `retention` in the settings is not there any more.
    window: Period,
    /// What makes another incident similar.
    same: Same,
}

impl Default for Params {
    fn default() -> Self {
        Self { window: WINDOW_DEFAULT, same: Same::default() }
    }
}

/// What makes another incident similar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Same {
    /// The same rule on the same target or group.
    #[default]
    Target,
    /// The same rule, wherever.
    Rule,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let params: Params = params::read(params)?;
    params::within("/window", params.window, WINDOW_MIN, WINDOW_MAX)?;
    Ok(CheckedParams::default())
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { window, same } = params::read(params)?;
    let missing = || Unknown::new("only a running service knows what happened before");
    let (reader, origin) = tools.past.as_ref().zip(moment.origin).ok_or_else(missing)?;
    let since = moment.now.checked_sub(window.signed()).unwrap_or(Timestamp::MIN);
    let keys = match same {
        Same::Target => PastKeys::One(origin.key.clone()),
        Same::Rule => PastKeys::OfRule(origin.rule.clone()),
    };
    let found = reader.past(PastQuery { keys, since, limit: INCIDENTS_MAX }).await;
    let found = found.map_err(|error| Unknown::new(error.to_string()))?;
    let past = found.iter().filter(|incident| incident.id != origin.incident);
    Ok(evidence(&Past::of(past), window, moment.now))
}

fn evidence(past: &Past, window: Period, now: Timestamp) -> Evidence {
    let of = |end: End| past.ends.iter().filter(|seen| **seen == end).count();
    let last = past.last.as_ref();
    let mut fields = json!({
        "count": past.ends.len(),
        "last_resolution": last.map_or("", |last| last.end.as_str()),
        "remedy_that_helped": past.remedy.as_deref().unwrap_or_default(),
        "helped": of(End::Remedy),
        "by_people": of(End::Person),
        "alone": of(End::Alone),
    });
    if let (Some(last), Some(fields)) = (last, fields.as_object_mut()) {
        fields.insert(
            "last_seen_seconds".to_owned(),
            json!(now.duration_since(last.ended_at).as_secs().max(0)),
        );
        fields.insert("last_duration_seconds".to_owned(), json!(last.took.as_secs().max(0)));
    }
    let Value::Object(fields) = fields else { unreachable!("it was written as an object") };
    Evidence { fields, text: text(past, window, now), chart: None }
}

/// One or two sentences, such as `third time within 1d; the last ended 2h ago after 12m: restart-api helped`.
fn text(past: &Past, window: Period, now: Timestamp) -> String {
    let Some(last) = &past.last else { return format!("first time within {window}") };
    let ago = length(now.duration_since(last.ended_at));
    let how = match (last.end, &last.remedy, &last.person) {
        (End::Remedy, Some(remedy), _) => format!("{remedy} helped"),
        (End::Person, _, Some(person)) => format!("{person} resolved it"),
        _ => "it ended alone".to_owned(),
    };
    let time = ordinal(past.ends.len() + 1);
    let mut text =
        format!("{time} time within {window}; the last ended {ago} ago after {}: {how}", length(last.took));
    if let (Some(remedy), true) = (&past.remedy, last.end != End::Remedy) {
        text.push_str(&format!("; before that {remedy} helped"));
    }
    text
}

/// `third`; from the eleventh on in digits.
fn ordinal(count: usize) -> String {
    const WORDS: [&str; 10] =
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
    let ending = match (count % 10, count % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    let word = count.checked_sub(1).and_then(|place| WORDS.get(place));
    word.map_or_else(|| format!("{count}{ending}"), |word| (*word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::ordinal;

    #[test]
    fn times_are_counted_as_people_say_it() {
        for (count, word) in
            [(1, "first"), (3, "third"), (10, "tenth"), (11, "11th"), (22, "22nd"), (101, "101st")]
        {
            assert_eq!(ordinal(count), word);
        }
    }
}
