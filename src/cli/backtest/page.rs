//! What a backtest says, laid out for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::backtest::report::{Difference, LevelReport, RemedyReport, Report, RuleReport};
use crate::cli::terminal::{Table, block, line};
use crate::period::Period;

/// Calls that are shown; all of them are in the JSON.
const CALLS_SHOWN: usize = 20;

/// Names of unmatched alerts that are shown, those of most alerts first.
const NAMES_SHOWN: usize = 20;

/// Changes that are shown.
const CHANGES_SHOWN: usize = 200;

pub(super) fn write(report: &Report) -> String {
    let mut page = head(report);
    for rule in &report.counts.rules {
        page.push_str(&of_rule(rule));
    }
    page.push_str(&unmatched(report));
    page.push_str(&calls(report));
    if let Some(difference) = &report.difference {
        page.push_str(&changed(difference));
    }
    page.push_str("\nWhat a backtest cannot know:\n");
    for sentence in &report.assumed {
        page.push_str(&block(sentence, "  "));
    }
    page
}

fn say(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("writing to a string cannot fail");
}

fn head(report: &Report) -> String {
    let mut page = String::new();
    let history = &report.history;
    let step = length(report.step_seconds);
    say(
        &mut page,
        &format!("From {} to {}, every {step}: {} alerts began.", report.from, report.to, history.episodes),
    );
    if history.firing_at_start > 0 {
        let text = format!(
            "{} of them fired at the start already: when they began is not known.",
            history.firing_at_start
        );
        say(&mut page, &text);
    }
    if history.firing_at_end > 0 {
        say(&mut page, &format!("{} alerts fired at the end.", history.firing_at_end));
    }
    for hole in &history.holes {
        say(
            &mut page,
            &format!("Nothing is known from {} to {}: Prometheus has no data.", hole.from, hole.to),
        );
    }
    if !history.has_pulse {
        say(&mut page, "Whether data is missing is not known: there is no series `up`.");
    }
    for warning in &history.warnings {
        say(&mut page, &line(&format!("Prometheus remarks: {warning}")));
    }
    let evidence = report.evidence;
    if evidence.asked > 0 {
        say(&mut page, &format!("{} questions about the past were asked.", evidence.asked));
    }
    if evidence.left_out > 0 {
        let text = format!(
            "{} more were not asked, and their findings are unknown: --questions-max allows more.",
            evidence.left_out
        );
        say(&mut page, &text);
    }
    page
}

fn of_rule(rule: &RuleReport) -> String {
    let mut page = String::new();
    say(&mut page, &format!("\n{}", line(&rule.name)));
    let counts = [
        (rule.alerts, "alerts"),
        (rule.incidents, "incidents"),
        (rule.reopened, "opened again"),
        (rule.ended_by_themselves, "ended before a remedy acted"),
        (rule.still_open, "still open"),
        (rule.handed_over, "handed over to people"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    say(&mut page, &format!("  {}", told.join(", ")));
    for remedy in &rule.remedies {
        say(&mut page, &line(&of_remedy(remedy)));
    }
    for level in &rule.levels {
        say(&mut page, &line(&of_level(level)));
    }
    page
}

fn of_remedy(remedy: &RemedyReport) -> String {
    let counts = [
        (remedy.acted, "would have acted"),
        (remedy.asked, "would have asked"),
        (remedy.unanswered, "unanswered in time"),
        (remedy.ended_first, "ended before it began"),
        (remedy.simulated, "only recorded"),
        (remedy.given_to_people, "given to people"),
        (remedy.told, "would have told"),
    ];
    let mut told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{what} {count}"))
        .collect();
    told.extend(reasons("blocked", &remedy.blocked));
    told.extend(reasons("did not apply", &remedy.skipped));
    if let Some(average) = remedy.went_on_seconds.checked_div(remedy.went_on_count) {
        told.push(format!("alerts went on for {} on average", length(average.cast_signed())));
    }
    let tier = remedy.tier.map_or_else(String::new, |tier| format!(" ({tier})"));
    format!("  remedy {}{tier}: {}", remedy.name, told.join(", "))
}

fn reasons(what: &str, counts: &BTreeMap<String, u64>) -> Option<String> {
    let all: Vec<String> = counts.iter().map(|(why, count)| format!("{why} {count}")).collect();
    let sum: u64 = counts.values().sum();
    (sum > 0).then(|| format!("{what} {sum} ({})", all.join(", ")))
}

fn of_level(level: &LevelReport) -> String {
    let told: Vec<&str> = level.told.iter().map(String::as_str).collect();
    let (soonest, latest) = (length(level.soonest_after_seconds), length(level.latest_after_seconds));
    let after = if soonest == latest { soonest } else { format!("{soonest} to {latest}") };
    format!(
        "  calls {}: {} in {} incidents, {after} after the start, to {}",
        level.level,
        level.calls,
        level.incidents,
        told.join(", ")
    )
}

fn unmatched(report: &Report) -> String {
    let unmatched = &report.counts.unmatched;
    if unmatched.alerts == 0 {
        return String::new();
    }
    let mut page = format!("\nNo rule matches {} alerts:\n", unmatched.alerts);
    let mut names: Vec<(&String, &u64)> = unmatched.names.iter().collect();
    names.sort_by(|left, right| right.1.cmp(left.1).then(left.0.cmp(right.0)));
    for (name, count) in names.iter().take(NAMES_SHOWN) {
        let name = if name.is_empty() { "(without a name)" } else { name };
        say(&mut page, &line(&format!("  {count:>6}  {name}")));
    }
    if names.len() > NAMES_SHOWN {
        say(&mut page, &format!("  and {} further names", names.len() - NAMES_SHOWN));
    }
    page
}

fn calls(report: &Report) -> String {
    let (calls, left_out) = (&report.counts.calls, report.counts.calls_left_out);
    if calls.is_empty() {
        return "\nNobody would have been called.\n".to_owned();
    }
    let all = calls.len() as u64 + left_out;
    let shown = calls.len().min(CALLS_SHOWN);
    let mut page = format!("\nCalls, the first {shown} of {all}:\n");
    let mut table = Table::new(&["AT", "SEVERITY", "RULE", "LEVEL", "TO"]);
    for call in calls.iter().take(CALLS_SHOWN) {
        let (at, severity) = (at(call.at), call.severity.to_string());
        table.row([at.as_str(), &severity, &call.rule, &call.level, &call.told.join(", ")]);
    }
    page.push_str(&table.show());
    page
}

fn changed(difference: &Difference) -> String {
    let changes = &difference.changes;
    if changes.is_empty() {
        return "\nThe other rules would have done the same.\n".to_owned();
    }
    let mut page = "\nWhat differs from the other rules:\n".to_owned();
    let mut table = Table::new(&["RULE", "WHAT", "BEFORE", "AFTER"]);
    for change in changes.iter().take(CHANGES_SHOWN) {
        let rule = change.rule.as_deref().unwrap_or_default();
        table.row([rule, &change.what, &change.before.to_string(), &change.after.to_string()]);
    }
    page.push_str(&table.show());
    if changes.len() > CHANGES_SHOWN {
        say(&mut page, &format!("and {} further changes", changes.len() - CHANGES_SHOWN));
    }
    page
}

fn at(at: Timestamp) -> String {
    at.to_string()
}

fn length(seconds: i64) -> String {
    Period::from_secs(seconds.unsigned_abs()).to_string()
}
