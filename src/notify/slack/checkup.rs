//! The report of a scheduled check: one card with a line for each item, red ones first.
//!
//! Everything in it is quoted from rules and from outside and goes through the [`Scribe`].

use super::blocks;
use super::card::{Card, Frame, Lines};
use super::markup::{Scribe, moment};
use crate::domain::scheduled::{CheckReport, ItemOutcome, ItemResult, Verdict};
use serde_json::Value;

/// UTF-16 units of a title.
const TITLE_UNITS_MAX: usize = 120;
/// UTF-16 units of what was found for an item that needs somebody.
const TEXT_UNITS_MAX: usize = 300;
/// The same for one that needs nobody.
const SHORT_UNITS_MAX: usize = 100;
/// UTF-16 units of all items together: below what Slack takes of a section.
const ITEMS_UNITS_MAX: usize = 2_800;

/// Draws a report.
pub(in crate::notify) fn card(report: &CheckReport, frame: &Frame<'_>) -> Card {
    let scribe = Scribe::new(frame.redactor);
    let mark = mark(report.verdict());
    let summary = scribe.prose(&report.summary, TITLE_UNITS_MAX);
    let text = format!("{mark} {summary}: {}", report.in_short());
    let drawn = vec![
        blocks::section(&format!("{mark} *{summary}*: {}", report.in_short())),
        blocks::section(&items(report, scribe)),
        blocks::context(&footer(report, scribe)),
    ];
    Card { text, blocks: Value::Array(drawn) }
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Green => "🟢",
        Verdict::Unknown => "🟡",
        Verdict::Red => "🔴",
    }
}

/// Whoever has no time for all of it reads the beginning.
fn items(report: &CheckReport, scribe: Scribe<'_>) -> String {
    let rank = |item: &&ItemResult| match item.outcome {
        ItemOutcome::Red => 0,
        ItemOutcome::Unknown { .. } => 1,
        ItemOutcome::ForPeople { .. } => 2,
        ItemOutcome::Shown | ItemOutcome::Green => 3,
    };
    let mut sorted: Vec<&ItemResult> = report.items.iter().collect();
    sorted.sort_by_key(rank);
    let mut lines = Lines::new(ITEMS_UNITS_MAX);
    for item in sorted {
        lines.push(line(item, scribe));
    }
    lines.finish("items")
}

fn line(item: &ItemResult, scribe: Scribe<'_>) -> String {
    let title = scribe.prose(&item.title, TITLE_UNITS_MAX);
    let found = |units_max| match item.text.is_empty() {
        true => String::new(),
        false => format!(": {}", scribe.prose(&item.text, units_max)),
    };
    match &item.outcome {
        ItemOutcome::Red => {
            let expected = item
                .expected
                .as_deref()
                .map(|text| format!("\n> expected {}", scribe.code(text, TEXT_UNITS_MAX)));
            format!("🔴 *{title}*{}{}", found(TEXT_UNITS_MAX), expected.unwrap_or_default())
        }
        ItemOutcome::Unknown { why } => {
            format!("🟡 *{title}*: nobody can tell, {}", scribe.prose(why, TEXT_UNITS_MAX))
        }
        ItemOutcome::ForPeople { owner } => {
            format!("☐ {title} – {}{}", scribe.prose(owner, TITLE_UNITS_MAX), found(SHORT_UNITS_MAX))
        }
        ItemOutcome::Shown => format!("▫️ {title}{}", found(TEXT_UNITS_MAX)),
        ItemOutcome::Green => format!("🟢 {title}{}", found(SHORT_UNITS_MAX)),
    }
}

fn footer(report: &CheckReport, scribe: Scribe<'_>) -> String {
    let mut parts =
        vec![format!("{} · ran {}", scribe.code(&report.check, TITLE_UNITS_MAX), moment(report.ran_at))];
    if let Some(by) = &report.asked_by {
        parts.push(format!("asked for by {}", scribe.prose(by, TITLE_UNITS_MAX)));
    } else if report.is_late() {
        parts.push(format!("⚠️ late: it was due {}", moment(report.due_at)));
    }
    if report.missed > 0 {
        parts.push(format!("{} more were missed since", report.missed));
    }
    parts.extend(report.next_at.map(|next| format!("next {}", moment(next))));
    parts.extend(report.runbook.as_deref().and_then(|runbook| scribe.link(runbook, "Runbook")));
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::redact::Redactor;
    use crate::notify::stories::minutes;

    fn mk_item(name: &str, outcome: ItemOutcome, text: &str) -> ItemResult {
        let expected = (outcome == ItemOutcome::Red).then(|| "findings.pods.ready == 3".to_owned());
        let (name, title, text) = (name.to_owned(), format!("The {name}"), text.to_owned());
        ItemResult { name, title, outcome, text, expected, alert: None }
    }

    fn mk_report() -> CheckReport {
        CheckReport {
            check: "shop-morning".to_owned(),
            summary: "Morning check of the shop".to_owned(),
            runbook: Some("https://wiki.example.com/shop".to_owned()),
            due_at: minutes(0),
            ran_at: minutes(60),
            next_at: Some(minutes(1_440)),
            missed: 2,
            asked_by: None,
            items: vec![
                mk_item("links", ItemOutcome::Shown, "two links"),
                mk_item("errors", ItemOutcome::Green, "0.01"),
                mk_item("logs", ItemOutcome::Unknown { why: "no answer within 3 s".to_owned() }, ""),
                mk_item("pods", ItemOutcome::Red, "2 of 3 ready"),
                mk_item("notes", ItemOutcome::ForPeople { owner: "on-call".to_owned() }, ""),
            ],
        }
    }

    fn drawn(report: &CheckReport) -> Card {
        let redactor = Redactor::default();
        let frame =
            Frame { now: minutes(60), external_url: None, alertmanager_url: None, redactor: &redactor };
        card(report, &frame)
    }

    #[test]
    fn a_report_is_one_card_with_what_is_red_first() {
        let card = drawn(&mk_report());
        insta::assert_json_snapshot!(serde_json::json!({ "text": card.text, "blocks": card.blocks }));
    }

    #[test]
    fn a_green_report_says_so_in_its_first_line() {
        let mut report = mk_report();
        report.items.truncate(2);
        (report.ran_at, report.missed) = (report.due_at, 0);
        assert_eq!(drawn(&report).text, "🟢 Morning check of the shop: 1 green");
        let footer = drawn(&report).blocks[2].to_string();
        assert!(!footer.contains("late") && !footer.contains("missed"), "{footer}");
    }

    #[test]
    fn nothing_from_outside_formats_links_or_makes_a_card_too_long() {
        let mut report = mk_report();
        let hostile = "<!channel> *x* <https://evil.example|click> ".repeat(50);
        report.items =
            (0..32).map(|n| mk_item(&format!("{n} {hostile}"), ItemOutcome::Red, &hostile)).collect();
        report.summary = hostile;
        let card = drawn(&report);
        let all = format!("{}{}", card.text, card.blocks);
        assert!(!all.contains("<!channel>") && !all.contains("<https://evil"), "{all}");
        let items = card.blocks[1]["text"]["text"].as_str().expect("a text");
        assert!(crate::notify::words::units(items) <= blocks::SECTION_UNITS_MAX, "{}", items.len());
        assert!(items.contains("more items"), "{items}");
    }
}
