//! What the diagnostics found. What could not be had stands there as unknown: silence would look like health.

use serde_json::Value;

use super::{Lines, counted};
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::incident::Phase;
use crate::engine::ports::IncidentView;
use crate::notify::slack::blocks;
use crate::notify::slack::markup::{CodeBlock, Scribe, moment};

/// UTF-16 units of all one-line findings together.
const LIST_UNITS_MAX: usize = 1_600;
/// UTF-16 units of one of them.
const LINE_UNITS_MAX: usize = 220;
/// UTF-16 units of a finding's name.
const NAME_UNITS_MAX: usize = 60;
/// Findings that are shown with several lines. The first ones: a rule names the telling ones first.
const EXCERPTS_MAX: usize = 2;
/// Lines of one excerpt.
const EXCERPT_LINES_MAX: usize = 5;
/// UTF-16 units of one excerpt.
const EXCERPT_UNITS_MAX: usize = 600;
/// Findings that are shown at length below the card.
const DETAILS_MAX: usize = 3;
/// Findings in a file: a file of a quarter of a megabyte at most.
const DOCUMENT_FINDINGS_MAX: usize = 32;
/// Lines and UTF-16 units of one of them: three fill a message.
const DETAIL_LINES_MAX: usize = 80;
const DETAIL_UNITS_MAX: usize = 2_800;

/// One list, and a few excerpts below it. Once it is over, the list is enough.
pub(super) fn blocks(view: &IncidentView, scribe: Scribe<'_>) -> Vec<Value> {
    if view.findings.is_empty() {
        let gathering = view.incident.phase == Phase::Diagnosing;
        return gathering.then(|| blocks::section("*Evidence*\nbeing gathered …")).into_iter().collect();
    }
    let shown = if view.incident.is_open() { excerpts(view, scribe) } else { Vec::new() };
    let mut list = Lines::new(LIST_UNITS_MAX);
    list.push(title(view));
    for finding in &view.findings {
        if !shown.iter().any(|(told, _)| std::ptr::eq(*told, finding)) {
            list.push(line(finding, scribe));
        }
    }
    let mut blocks = vec![blocks::section(&list.finish("findings"))];
    blocks.extend(
        shown
            .iter()
            .map(|(finding, block)| blocks::section(&excerpt(finding, block, "in the thread", scribe))),
    );
    blocks
}

/// What the card has no room for, as a message of its own. `None` where the card shows everything.
pub(super) fn details(view: &IncidentView, scribe: Scribe<'_>) -> Option<(String, Vec<Value>)> {
    let shown = excerpts(view, scribe);
    let is_whole = |finding: &Finding| {
        shown.iter().any(|(told, block)| std::ptr::eq(*told, finding) && block.lines_left_out == 0)
    };
    let long: Vec<&Finding> =
        view.findings.iter().filter(|finding| is_long(finding) && !is_whole(finding)).collect();
    let blocks: Vec<Value> = long
        .iter()
        .take(DETAILS_MAX)
        .filter_map(|finding| {
            let block = scribe.code_block(&finding.text, DETAIL_LINES_MAX, DETAIL_UNITS_MAX)?;
            Some(blocks::section(&excerpt(finding, &block, "in the dashboard", scribe)))
        })
        .collect();
    let names: Vec<String> =
        long.iter().take(DETAILS_MAX).map(|finding| scribe.code(&finding.name, NAME_UNITS_MAX)).collect();
    (!blocks.is_empty()).then(|| (format!("Evidence at length: {}", names.join(", ")), blocks))
}

/// All of what [`details`] has to cut, whole. What is kept of a finding is bounded, and so is how many are shown.
pub(super) fn document(view: &IncidentView, scribe: Scribe<'_>) -> Option<String> {
    let long: Vec<&Finding> = view.findings.iter().filter(|finding| is_long(finding)).collect();
    let is_cut = |finding: &&Finding| {
        scribe
            .code_block(&finding.text, DETAIL_LINES_MAX, DETAIL_UNITS_MAX)
            .is_some_and(|block| block.lines_left_out > 0)
    };
    if long.len() <= DETAILS_MAX && !long.iter().any(is_cut) {
        return None;
    }
    let whole = long.iter().take(DOCUMENT_FINDINGS_MAX).map(|finding| {
        format!("# {} ({})\n{}\n", finding.name, finding.kind, scribe.plain_lines(&finding.text).join("\n"))
    });
    Some(whole.collect::<Vec<_>>().join("\n"))
}

/// The first findings of several lines, such as logs, with what is shown of them.
fn excerpts<'v>(view: &'v IncidentView, scribe: Scribe<'_>) -> Vec<(&'v Finding, CodeBlock)> {
    let long = view.findings.iter().filter(|finding| is_long(finding));
    long.filter_map(|finding| {
        Some((finding, scribe.code_block(&finding.text, EXCERPT_LINES_MAX, EXCERPT_UNITS_MAX)?))
    })
    .take(EXCERPTS_MAX)
    .collect()
}

fn is_long(finding: &Finding) -> bool {
    finding.is_known() && finding.has_several_lines()
}

fn excerpt(finding: &Finding, block: &CodeBlock, rest: &str, scribe: Scribe<'_>) -> String {
    let name = scribe.code(&finding.name, NAME_UNITS_MAX);
    let more = match block.lines_left_out {
        0 => String::new(),
        count => format!(" · {} {rest}", counted(count, "more line")),
    };
    format!("{name}{more}\n{}", block.text)
}

fn title(view: &IncidentView) -> String {
    let taken_at = view.findings.iter().map(|finding| finding.taken_at).max().map(moment).unwrap_or_default();
    let unknown = view.findings.iter().filter(|finding| !finding.is_known()).count();
    let mut title = format!("*Evidence* of {taken_at}");
    if unknown > 0 {
        title.push_str(&format!(" · {unknown} of {} unknown", counted(view.findings.len(), "finding")));
    }
    if matches!(view.incident.phase, Phase::Diagnosing | Phase::Verifying) {
        title.push_str(" · being gathered again");
    }
    title
}

/// One finding on one line.
pub(super) fn line(finding: &Finding, scribe: Scribe<'_>) -> String {
    let name = scribe.code(&finding.name, NAME_UNITS_MAX);
    match &finding.status {
        FindingStatus::Unknown(why) => format!("• {name} *unknown*: {}", scribe.prose(why, LINE_UNITS_MAX)),
        FindingStatus::Known => {
            let more = if finding.has_several_lines() { " …" } else { "" };
            format!("• {name} {}{more}", scribe.prose(&in_short(finding), LINE_UNITS_MAX))
        }
    }
}

/// What a finding says in short: the first line of its text, or else its fields.
fn in_short(finding: &Finding) -> String {
    if let Some(line) = finding.text.trim().lines().next() {
        return line.to_owned();
    }
    let fields: Vec<String> =
        finding.fields.iter().map(|(name, value)| format!("{name} {}", short(value))).collect();
    if fields.is_empty() { "nothing found".to_owned() } else { fields.join(", ") }
}

fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
