//! One `ScheduledCheck`: moments that come, items that can be judged, and places that take a report.

use super::report::Report;
use super::rule::{diagnostic, finding_name, object_name};
use super::{Surroundings, contact, uses};
use crate::domain::notification::Destination;
use crate::domain::rule::{Condition, DiagnosticSpec};
use crate::domain::schedule::Zone;
use crate::domain::scheduled::{CheckItem, Moments, ScheduledCheck};
use crate::domain::severity::Severity;
use crate::rules::raw;
use crate::rules::render::is_link;
use crate::rules::vocabulary::Vocabulary;
use serde_json::{Map, Value};

/// Most items of one check: all diagnostics run at once, and people read one card.
const ITEMS_MAX: usize = 32;

/// Keys of an item beside its diagnostic.
const KEYS: [&str; 5] = ["name", "title", "expect", "severity", "owner"];

/// Labels that the alerts of a check have of themselves.
const OWN_LABELS: [&str; 4] = ["alertname", "check", "item", "severity"];

/// The check as a value; none where it never runs, which the report says.
pub(super) fn convert(
    name: String,
    raw: raw::ScheduledCheck,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> ScheduledCheck {
    object_name(&name, report);
    if let Some(link) = raw.runbook.as_deref().filter(|link| !is_link(link)) {
        let help = "write an http or https address; placeholders are not available here".to_owned();
        report.error("/spec/runbook", format!("`{link}` is no link"), Some(help));
    }
    for label in OWN_LABELS.iter().filter(|label| raw.labels.contains_key(**label)) {
        let help = "leave it out: the alert of a red item has it".to_owned();
        report.error(&format!("/spec/labels/{label}"), format!("the label `{label}` is ours"), Some(help));
    }
    let moments = moments(&raw.schedule, raw.time_zone, report);
    let mut check = ScheduledCheck {
        name,
        summary: raw.summary,
        procedures: raw.procedures,
        runbook: raw.runbook,
        moments,
        labels: raw.labels,
        items: items(&raw.items, raw.severity.unwrap_or(Severity::P2), surroundings, report),
        report: destinations(&raw.report, surroundings, report),
    };
    let rule = check.as_rule();
    let vocabulary = Vocabulary::deciding(&rule, surroundings.catalog);
    for (index, item) in check.items.iter_mut().enumerate() {
        let at = format!("/spec/items/{index}/expect");
        item.expect.take_if(|expect| !uses::condition(&expect.0, &vocabulary, &at, report));
    }
    uses::lacking(&rule, report);
    check
}

fn moments(text: &str, zone: Zone, report: &mut Report<'_>) -> Moments {
    Moments::new(text, zone.clone()).unwrap_or_else(|why| {
        let help =
            "write minute, hour, day of the month, month and weekday, such as `0 9 * * 1-5`".to_owned();
        report.error(
            "/spec/schedule",
            format!("`{text}` is no time at which a check can run: {why}"),
            Some(help),
        );
        Moments::new("0 0 * * *", zone).expect("every day has a midnight")
    })
}

fn items(
    raw: &[Map<String, Value>],
    severity: Severity,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<CheckItem> {
    if raw.is_empty() {
        report.error("/spec/items", "this check looks at nothing", None);
    } else if raw.len() > ITEMS_MAX {
        report.error(
            "/spec/items",
            format!("a check may have {ITEMS_MAX} items; people read one card"),
            None,
        );
    }
    let mut items: Vec<CheckItem> = Vec::new();
    for (index, entry) in raw.iter().enumerate() {
        let at = format!("/spec/items/{index}");
        let before: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
        let name = finding_name(entry, &before, "item", &at, report);
        items.push(item(name, entry, severity, &at, surroundings, report));
    }
    items
}

fn item(
    name: String,
    entry: &Map<String, Value>,
    severity: Severity,
    at: &str,
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> CheckItem {
    let [title, expect, said, owner] =
        ["title", "expect", "severity", "owner"].map(|key| text(entry, key, at, report));
    let reads = entry.keys().any(|key| !KEYS.contains(&key.as_str()));
    let diagnostic: Option<DiagnosticSpec> =
        reads.then(|| diagnostic(name.clone(), entry, &KEYS, at, surroundings, report));
    if owner.is_some() && expect.is_some() {
        let help = "a machine judges by `expect`, or people look and are named by `owner`".to_owned();
        report.error(&format!("{at}/owner"), "this item has a condition as well", Some(help));
    } else if !reads && expect.is_none() && owner.is_none() {
        let help = "add a diagnostic and `expect`, or `owner` for what people have to look at".to_owned();
        report.error(at, "this item looks at nothing", Some(help));
    }
    let severity = match said.as_deref().map(str::parse::<Severity>) {
        None => severity,
        Some(Ok(said)) => said,
        Some(Err(error)) => {
            report.error(&format!("{at}/severity"), error.to_string(), None);
            severity
        }
    };
    CheckItem {
        title: title.unwrap_or_else(|| name.replace('_', " ")),
        name,
        diagnostic,
        expect: expect.map(Condition),
        severity,
        owner,
    }
}

/// A text of an item, where it has one under this key.
fn text(entry: &Map<String, Value>, key: &str, at: &str, report: &mut Report<'_>) -> Option<String> {
    match entry.get(key)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        other => {
            let message = format!("`{key}` takes a text and not `{other}`");
            report.error(&format!("{at}/{key}"), message, None);
            None
        }
    }
}

fn destinations(
    list: &[raw::Whom],
    surroundings: &Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<Destination> {
    let told = contact::whom(list, "/spec/report", surroundings, report);
    contact::warn_unreachable(list, "/spec/report", surroundings, report);
    if let Some(schedule) = told.on_call.first() {
        let message = format!("a report goes to a place, and not to whoever is on call in `{schedule}`");
        let help =
            "name a channel or a mailbox; who is on call hears of red items by their alerts".to_owned();
        report.error("/spec/report", message, Some(help));
    }
    if let Some(pager) = told.destinations.iter().find(|it| matches!(it, Destination::PagerDuty { .. })) {
        let help = "leave it out: red items reach PagerDuty by their alerts".to_owned();
        report.error("/spec/report", format!("{pager} takes no reports"), Some(help));
    }
    told.destinations
}
