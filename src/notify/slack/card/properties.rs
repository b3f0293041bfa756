//! Whatever a label says: the card stays within Slack's limits, says nothing that we did not write as such, and keeps
//! its shape.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;
use serde_json::Value;

use super::*;
use crate::clients::stand_in::vector;
use crate::domain::action::{Task, TaskItem};
use crate::domain::decision::Reason;
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::people::{Actor, Role, Via};
use crate::domain::timeline::LineKind;
use crate::notify::stories::{self, minutes};
use crate::notify::words::{END_OF_ISOLATE, ISOLATE};
use crate::sandbox::slack::limits::checked_blocks;

/// Every string of an incident that comes from outside, in one place.
fn with_hostile_words(mut view: IncidentView, words: &[String]) -> IncidentView {
    let mut next = words.iter().cycle().cloned();
    let mut word = || next.next().expect("some words");
    let incident = &mut view.incident;
    incident.summary = word();
    incident.rule = word();
    incident.runbook = Some(word());
    incident.labels = [(word(), word()), ("namespace".to_owned(), word())].into_iter().collect();
    if let Some(target) = &mut incident.target {
        (target.kind, target.namespace, target.name) = (word(), word(), word());
    }
    if let Some(escalation) = &mut incident.escalation {
        escalation.policy = word();
    }
    if let Some(taken) = &mut incident.acknowledged {
        taken.actor = Actor { name: word(), via: Via::Api, role: Role::Responder };
    }
    for action in &mut incident.actions {
        action.remedy = word();
        action.reason = Reason::Rejected(word(), Some(word()));
        let inverse = action.inverse.iter_mut();
        for plan in std::iter::once(&mut action.plan).chain(inverse) {
            (plan.kind, plan.summary, plan.target) = (word(), word(), word());
            plan.namespace = Some(word());
            plan.params = serde_json::json!({word(): word(), "list": [word()]});
        }
        for record in &mut action.approvals.records {
            record.actor = Actor { name: word(), via: Via::Api, role: Role::Approver };
        }
    }
    let item = TaskItem { text: word(), done_by: None, done_at: None };
    let task = Task { title: word(), owner: Some(word()), items: vec![item; 3], due_at: None, action: None };
    incident.tasks = vec![task; 4];
    view.findings = (0..6)
        .map(|n| {
            let mut finding = stories::mk_finding(&word(), &word());
            if n % 3 == 1 {
                finding.text.clear();
                finding.fields = [(word(), Value::from(word()))].into_iter().collect();
            }
            if n % 3 == 2 {
                return Finding { status: FindingStatus::Unknown(word()), ..finding };
            }
            finding
        })
        .collect();
    for (_, alert) in &mut view.alerts {
        alert.generator_url = Some(word());
    }
    for kind in [LineKind::Decision, LineKind::HandedOver] {
        let line =
            incident.timeline.append(minutes(2), kind, &Actor::machine(), Some("condition_fails"), word());
        view.timeline.push(line);
    }
    view
}

/// What a message may hold besides plain words: our own dates, links under our own words, people by id, entities.
static OURS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"<!date\^-?\d+\^\{date_short_pretty\} at \{time\}\|[0-9: UTC-]+>",
        r"|<https?://[^<>|\s]+\|(?:Open in Smokejumper|Runbook|Silence|Expression at [^<>|]*)>",
        r"|<@U0SAM>|&amp;|&lt;|&gt;"
    ))
    .expect("a pattern")
});

/// How a line outside code may begin.
static BEGINNING: LazyLock<Regex> = LazyLock::new(|| {
    let signs = "🔴|🟠|🟡|🔵|✅|✋|⛔|▶️|↩️|⌛|⏳|🔎|❌|❓|🧪|🚫|☐|☑|•|…";
    Regex::new(&format!(r"^(?:\*|`|–|{signs}|no further|ended|all \d|\d+ firing|<!date\^|<https?:|<@|being gathered|level \d|Incident |Evidence at length|Since |Proposed: |Slack did not take)")).expect("a pattern")
});

fn check(card: &Card) {
    let blocks = card.blocks.as_array().expect("an array");
    checked_blocks(&card.blocks).expect("Slack takes it");
    let all = stories::texts(&card.blocks);
    let spoken: usize =
        all.iter().filter(|(place, _)| place.ends_with("/text")).map(|(_, text)| units(text)).sum();
    assert!(
        blocks.len() <= 50 && spoken + 45 * blocks.len() <= 10_000,
        "{spoken} in {} blocks",
        blocks.len()
    );
    assert!(!card.text.trim().is_empty() && units(&card.text) <= TEXT_UNITS_MAX);
    for (place, text) in all.iter().filter(|(place, _)| place.ends_with("/text")) {
        check_text(place, text);
    }
    check_text("/text", &card.text);
    let ids: BTreeSet<&str> =
        all.iter().filter(|(place, _)| place.ends_with("/action_id")).map(|(_, id)| id.as_str()).collect();
    for (_, value) in all.iter().filter(|(place, _)| place.ends_with("/value")) {
        assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'|' || b == b'-'), "{value}");
    }
    assert!(ids.iter().all(|id| id.starts_with("smokejumper.")), "{ids:?}");
}

fn check_text(place: &str, text: &str) {
    let limit = if place.contains("/fields/") {
        2_000
    } else if place.contains("confirm") {
        300
    } else {
        3_000
    };
    assert!(units(text) <= limit, "{place} has {} units", units(text));
    let rest = OURS.replace_all(text, "");
    assert!(!rest.contains(['<', '>', '&']), "an unescaped control character at {place}: {rest}");
    let hidden =
        |c: char| c != '\n' && c != ISOLATE && c != END_OF_ISOLATE && (c.is_control() || is_hidden(c));
    assert!(!text.replace('\u{fe0f}', "").contains(hidden), "a hidden character at {place}: {text:?}");
    let pairs = |c| text.matches(c).count();
    assert_eq!(pairs(ISOLATE), pairs(END_OF_ISOLATE), "an open isolate at {place}: {text:?}");
    // A fence stands alone on its line, and each opened block is closed.
    let mut in_code = false;
    for line in text.lines() {
        if line == "```" {
            in_code = !in_code;
            continue;
        }
        assert!(!line.contains("```"), "a fence that is not ours at {place}: {line}");
        assert!(in_code || line.matches('`').count() % 2 == 0, "half a code at {place}: {line}");
        assert!(
            in_code || line.is_empty() || is_begun_by_us(place, line),
            "not begun by us at {place}: {line}"
        );
    }
    assert!(!in_code, "an open code block at {place}");
}

fn is_begun_by_us(place: &str, line: &str) -> bool {
    // Labels of buttons and titles of confirmations are constants.
    BEGINNING.is_match(line)
        || place.contains("/elements/") && !place.contains("/confirm/text")
        || place.contains("/confirm/")
}

fn is_hidden(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E
        | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFE00..=0xFE0E | 0xFEFF | 0xFFA0 | 0xE0000..=0xE0FFF)
}

fn draw_all(words: &[String]) {
    draw(stories::all(), words);
}

fn draw(views: Vec<(&'static str, IncidentView)>, words: &[String]) {
    let redactor = Redactor::default();
    let frame = Frame {
        now: minutes(5),
        external_url: Some("https://s.example"),
        alertmanager_url: Some("https://a.example"),
        redactor: &redactor,
    };
    for (_, view) in views {
        let view = with_hostile_words(view, words);
        check(&card(&view, &frame));
        if let Some(details) = details(&view, &frame) {
            check(&details);
        }
        let plain = plain(&view, &frame);
        assert!(units(&plain) <= TEXT_UNITS_MAX, "{} units", units(&plain));
        check_text("/plain", &plain);
    }
}

/// Pieces that have hurt chat messages before, to be mixed with anything.
fn hostile_piece() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "<!channel>",
        "<!here|here>",
        "<!everyone>",
        "<@U0EVIL>",
        "<#C123>",
        "<!subteam^S1>",
        "<https://evil.example|Runbook>",
        "https://evil.example/?a=b&c=<d>|Approve>",
        "```",
        "`",
        "*",
        "_",
        "~",
        ">",
        "&gt;",
        "&",
        "<",
        "|",
        "\n",
        "\r\n",
        "\u{2028}",
        "\t",
        "\u{0}",
        "\u{200b}",
        "\u{202e}",
        "\u{2066}",
        "\u{2069}",
        "\u{feff}",
        "\u{e0041}",
        "שלום",
        "مرحبا",
        "👩\u{200d}👧",
        "*Approved by una*",
        "\n✅ *Done:* all is well",
        "\n*Over to people:* nobody",
        "• `logs` fine",
        ":white_check_mark:",
        "{{7*7}}",
        "\"} or vector(1)",
        "a\u{301}\u{301}\u{301}\u{301}\u{301}",
        "<!date^1^{date}|x>",
        "javascript:alert(1)",
        "http://a:b@c/",
        "v1|x|y",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => any::<String>(), 1 => "[a-z ]{0,40}"]
}

fn hostile_word() -> impl Strategy<Value = String> {
    proptest::collection::vec(hostile_piece(), 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_label_can_break_or_spoof_a_card(words in proptest::collection::vec(hostile_word(), 1..20)) {
        draw_all(&words);
    }
}

#[test]
fn long_labels_are_cut_everywhere() {
    for piece in ["x", "<", "&", "`", "\n", "<!channel>", "ש", "👩\u{200d}👧", "a b\n", "\u{200b}"] {
        let word = piece.repeat(65_536 / piece.len());
        draw(
            vec![("with all parts", stories::awaiting_second_approval()), ("over", stories::handed_over())],
            &[word],
        );
    }
}

#[test]
fn our_limits_are_within_slacks() {
    let Some(table) = vector("slack_limits.json") else { return };
    let slacks = |pointer: &str| table.pointer(pointer).and_then(Value::as_u64).expect(pointer) as usize;
    assert!(blocks::SECTION_UNITS_MAX <= slacks("/chars/section.text"));
    assert!(blocks::HEADER_UNITS_MAX <= slacks("/chars/header.text"));
    assert!(blocks::CONFIRM_UNITS_MAX <= slacks("/chars/confirm.text"));
    assert!(TEXT_UNITS_MAX <= slacks("/chars/message_text_truncated_at"));
    let redactor = Redactor::default();
    let frame = Frame {
        now: minutes(5),
        external_url: Some("https://s.example"),
        alertmanager_url: Some("https://a.example"),
        redactor: &redactor,
    };
    for (_, view) in stories::all() {
        let view = with_hostile_words(view, &["<&>`*\n🙂".repeat(9_000)]);
        let card = card(&view, &frame);
        let drawn = card.blocks.as_array().expect("blocks");
        assert!(drawn.len() <= slacks("/counts/blocks_per_message"));
        for block in drawn {
            let count = |name: &str| block[name].as_array().map_or(0, Vec::len);
            let elements = if block["type"] == "context" {
                "/counts/context.elements"
            } else {
                "/counts/actions.elements"
            };
            assert!(
                count("fields") <= slacks("/counts/section.fields") && count("elements") <= slacks(elements)
            );
        }
        for (place, text) in stories::texts(&card.blocks) {
            let limit = match place.rsplit('/').next() {
                Some("value") => slacks("/chars/button.value"),
                Some("action_id") => slacks("/chars/action_id"),
                Some("text") if place.contains("/confirm/text/") => slacks("/chars/confirm.text"),
                Some("text") if place.contains("/confirm/title/") => slacks("/chars/confirm.title"),
                Some("text") if place.contains("/confirm/") => slacks("/chars/confirm.confirm"),
                Some("text") if place.contains("/fields/") => slacks("/chars/section.field"),
                Some("text") => slacks("/chars/text_object_max"),
                _ => continue,
            };
            assert!(
                (1..=limit).contains(&units(&text)),
                "{place} has {} units, {limit} are allowed",
                units(&text)
            );
        }
    }
}
