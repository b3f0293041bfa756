//! What people read, in every state.

use serde_json::Value;

use super::*;
use crate::domain::action::ActionStatus;
use crate::domain::decision::Reason;
use crate::domain::guardrail::{Guardrail, GuardrailVerdict};
use crate::domain::people::Actor;
use crate::domain::silence::{Silence, SilenceEnding};
use crate::notify::stories::{self, minutes};

fn frame(redactor: &Redactor) -> Frame<'_> {
    Frame {
        now: minutes(5),
        external_url: Some("https://smokejumper.example.com"),
        alertmanager_url: Some("https://alertmanager.example.com/am/"),
        redactor,
    }
}

fn drawn(view: &IncidentView) -> Card {
    card(view, &frame(&Redactor::default()))
}

/// The card as lines that a reviewer can read: `#` for the header, `|` for columns, `[…]` for buttons, `~` for small print.
fn read_aloud(card: &Card) -> String {
    let mut lines = vec![format!("({})", card.text)];
    for block in card.blocks.as_array().expect("an array of blocks") {
        lines.push(match block["type"].as_str().expect("a type") {
            "header" => format!("# {}", text_of(&block["text"])),
            "section" if block.get("fields").is_some() => {
                let fields = block["fields"].as_array().expect("fields").iter();
                fields
                    .map(|field| format!("| {}", text_of(field).replace('\n', ": ")))
                    .collect::<Vec<_>>()
                    .join("\n")
            }
            "section" => text_of(&block["text"]).to_owned(),
            "context" => format!("~ {}", text_of(&block["elements"][0])),
            "actions" => {
                let buttons = block["elements"].as_array().expect("buttons").iter();
                buttons.map(button).collect::<Vec<_>>().join("\n")
            }
            other => panic!("a kind of block that nobody reads aloud: {other}"),
        });
    }
    lines.join("\n\n")
}

fn button(button: &Value) -> String {
    if button["type"] == "static_select" {
        let options = button["options"].as_array().expect("options").iter();
        let options: Vec<_> = options.map(|one| text_of(&one["text"])).collect();
        return format!("[{}] {}", text_of(&button["placeholder"]), options.join(" / "));
    }
    let style = button["style"].as_str().unwrap_or("plain");
    let mut line = format!(
        "[{}] {style}, {} = {}",
        text_of(&button["text"]),
        button["action_id"].as_str().expect("an id"),
        button["value"].as_str().expect("a value")
    );
    if let Some(confirm) = button.get("confirm") {
        let asked = text_of(&confirm["text"]).replace('\n', " / ");
        line.push_str(&format!("\n    {} {asked}", text_of(&confirm["title"])));
    }
    line
}

fn text_of(object: &Value) -> &str {
    object["text"].as_str().expect("a text")
}

#[test]
fn every_state_reads_well() {
    for (name, view) in stories::all() {
        insta::assert_snapshot!(name.replace(' ', "_"), read_aloud(&drawn(&view)));
    }
}

#[test]
fn the_whole_message_is_block_kit() {
    insta::assert_json_snapshot!("block_kit", drawn(&stories::awaiting_approval()).blocks);
}

#[test]
fn plain_text_tells_the_same_story() {
    let redactor = Redactor::default();
    let texts = stories::all()
        .into_iter()
        .map(|(name, view)| format!("{name}:\n{}", plain(&view, &frame(&redactor))));
    insta::assert_snapshot!("plain", texts.collect::<Vec<_>>().join("\n\n"));
}

#[test]
fn a_plan_that_rests_on_a_look_shows_what_it_changes_and_no_digests() {
    let mut view = stories::awaiting_approval();
    let action = view.incident.actions.last_mut().expect("a proposal");
    action.plan.params = serde_json::json!({ "uid": "c2722af8-28b6-4040", "write": { "merge": [] } });
    action.notes = vec!["spec.maxReplicas: 4 → 10".to_owned(), "Argo CD owns it".to_owned()];
    let shown = read_aloud(&drawn(&view));
    assert!(shown.contains("c2722af8"), "without a basis the values are all there is: {shown}");
    view.incident.actions.last_mut().expect("a proposal").plan.basis = Some(serde_json::json!({}));
    let shown = read_aloud(&drawn(&view));
    assert!(shown.contains("• spec.maxReplicas: 4 → 10\n• Argo CD owns it"), "{shown}");
    assert!(!shown.contains("c2722af8"), "{shown}");
}

#[test]
fn guardrails_are_told_with_what_they_let_pass_and_what_they_forbid() {
    let verdict = |guardrail, allowed, reason: &'static str| GuardrailVerdict {
        guardrail,
        allowed,
        reason: reason.into(),
        until: None,
    };
    let passes = verdict(Guardrail::Pause, true, "not paused");
    let mut view = stories::awaiting_approval();
    let action = view.incident.actions.last_mut().expect("a proposal");
    action.guardrails = vec![passes.clone(), verdict(Guardrail::DryRun, true, "actions are enforced")];
    let shown = read_aloud(&drawn(&view));
    assert!(shown.contains("*Guardrails:* all 2 let it pass"), "{shown}");
    let action = view.incident.actions.last_mut().expect("a proposal");
    action.status = ActionStatus::Blocked;
    action.reason = Reason::Guardrail(Guardrail::Cooldown, "it ran a minute ago".to_owned());
    action.guardrails = vec![
        passes,
        verdict(Guardrail::Cooldown, false, "it ran a minute ago"),
        verdict(Guardrail::Correlation, false, "12 targets"),
    ];
    let shown = read_aloud(&drawn(&view));
    let words =
        "cooldown forbids it: it ran a minute ago; correlation forbids it: 12 targets; 1 lets it pass";
    assert!(shown.contains(words), "{shown}");
}

#[test]
fn buttons_are_there_only_while_they_make_sense() {
    let ids = |view: &IncidentView| -> Vec<String> {
        let texts = stories::texts(&drawn(view).blocks);
        texts.into_iter().filter(|(place, _)| place.ends_with("/action_id")).map(|(_, id)| id).collect()
    };
    let (ack, approve, reject) = ("smokejumper.acknowledge", "smokejumper.approve", "smokejumper.reject");
    let in_hand =
        ["smokejumper.take_over", "smokejumper.escalate", "smokejumper.silence", "smokejumper.resolve"];
    let with = |first: &[&'static str]| [first, &in_hand].concat();
    assert_eq!(ids(&stories::opened()), with(&[ack]));
    assert_eq!(ids(&stories::awaiting_approval()), with(&[approve, reject, ack]));
    // Two people each say why.
    assert_eq!(ids(&stories::awaiting_second_approval()), with(&["smokejumper.approve_why", reject]));
    assert_eq!(ids(&stories::acting()), in_hand);
    let mut by_hand = stories::acting();
    by_hand.incident.taken_over = by_hand.incident.acknowledged.clone();
    assert_eq!(ids(&by_hand), in_hand[1..]);
    assert_eq!(ids(&stories::resolved()), Vec::<String>::new());
    let mut outlived = stories::resolved();
    outlived.incident.silence = Some(mk_silence());
    assert_eq!(ids(&outlived), ["smokejumper.unsilence"]);
}

#[test]
fn a_priority_that_was_set_in_pagerduty_stands_on_the_card() {
    let told = |view: &IncidentView| {
        let card = drawn(view);
        let texts = stories::texts(&card.blocks);
        texts.into_iter().filter(|(_, text)| text.contains("Priority in PagerDuty")).collect::<Vec<_>>()
    };
    let mut view = stories::opened();
    assert_eq!(told(&view), []);
    view.incident.bridge_priority = Some("P2".to_owned());
    assert!(told(&view)[0].1.ends_with("P2"), "{:?}", told(&view));
}

fn mk_silence() -> Silence {
    Silence {
        serial: 1,
        actor: Actor::machine(),
        at: minutes(1),
        reason: None,
        until: Some(minutes(600)),
        held_until: Some(minutes(600)),
        holds: false,
        is_late: false,
    }
}

#[test]
fn a_silence_that_does_not_end_stands_on_the_card() {
    let redactor = Redactor::default();
    let mut view = stories::resolved();
    let said =
        |view: &IncidentView| read_aloud(&card(view, &frame(&redactor))).contains("its end does not reach");
    let ending = SilenceEnding { serial: 1, until: minutes(600), is_late: false };
    view.incident.silences_ending = vec![ending];
    assert!(!said(&view), "it may end any moment");
    view.incident.silences_ending = vec![SilenceEnding { is_late: true, ..ending }];
    assert!(said(&view));
}

#[test]
fn without_an_address_of_ours_and_a_runbook_the_card_still_names_the_incident() {
    let mut view = stories::opened();
    view.incident.runbook = Some("javascript:alert(1)".to_owned());
    view.alerts.clear();
    let redactor = Redactor::default();
    let card = card(
        &view,
        &Frame { now: minutes(1), external_url: None, alertmanager_url: None, redactor: &redactor },
    );
    assert!(
        read_aloud(&card).ends_with("~ Incident `019a3f7c5d2e7b40a1c2d3e4f5061728`"),
        "{}",
        read_aloud(&card)
    );
}

#[test]
fn a_silence_is_for_the_alert_and_not_for_what_a_secret_hides() {
    let redactor = Redactor::new(["hunter-two"]);
    let mut view = stories::opened();
    view.incident.labels = [("alertname", "Höhe"), ("path", "/a \"b\"+c")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    let link = |view: &IncidentView| {
        let text = read_aloud(&card(view, &frame(&redactor)));
        text.split(['<', '>']).find(|part| part.ends_with("|Silence")).map(str::to_owned)
    };
    let filter = "%7Balertname%3D%22H%C3%B6he%22%2Cpath%3D%22%2Fa%20%5C%22b%5C%22%2Bc%22%7D";
    let expected = format!("https://alertmanager.example.com/am/#/silences/new?filter={filter}|Silence");
    assert_eq!(link(&view), Some(expected));
    view.incident.labels.insert("token".to_owned(), "hunter-two".to_owned());
    assert_eq!(link(&view), None);
    assert_eq!(link(&stories::resolved()), None);
}

#[test]
fn secrets_stay_out_of_every_part() {
    let redactor = Redactor::new(["hunter-two"]);
    let mut view = stories::awaiting_approval();
    view.incident.summary = "password=correct-horse at postgres://app:hunter-two@db/x".to_owned();
    view.findings[0].text = "dsn hunter-two".to_owned();
    view.findings[2].text = "line one\nAuthorization: Bearer abcdefghijklmnop\nhunter-two".to_owned();
    view.incident.actions[0].plan.params = serde_json::json!({"api_key": "correct-horse", "x": "hunter-two"});
    view.incident.actions[0].plan.summary = "call https://app:hunter-two@x/".to_owned();
    view.incident.runbook = Some("https://wiki.example/?token=correct-horse".to_owned());
    let text = format!("{:?}", card(&view, &frame(&redactor)));
    let plain = plain(&view, &frame(&redactor));
    for secret in ["hunter-two", "correct-horse", "abcdefghijklmnop"] {
        assert!(!text.contains(secret) && !plain.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn many_of_everything_are_counted_where_they_are_not_shown() {
    let mut view = stories::handed_over();
    let finding = view.findings[0].clone();
    view.findings = (0..200).map(|_| finding.clone()).collect();
    let action = view.incident.actions[0].clone();
    view.incident.actions = (0..40).map(|_| action.clone()).collect();
    let text = read_aloud(&drawn(&view));
    assert!(text.contains("more findings") && text.contains("remedies before"), "{text}");
}

#[test]
fn evidence_stands_in_the_order_of_the_rule_also_where_it_is_long() {
    let mut view = stories::diagnosed();
    let long = |name: &str| stories::mk_finding(name, "one\ntwo\nthree");
    let short = |name: &str| stories::mk_finding(name, "calm");
    view.findings = vec![long("zebra"), short("yak"), long("ape"), short("bee"), long("cow")];
    let text = read_aloud(&drawn(&view));
    let place = |name: &str| text.find(name).unwrap_or_else(|| panic!("{name} is not in {text}"));
    assert!(place("yak") < place("bee") && place("bee") < place("cow"), "{text}");
    assert!(place("cow") < place("zebra"), "what is shown at length stands below the list: {text}");
    assert!(place("zebra") < place("ape"), "{text}");
}

#[test]
fn a_card_counts_down_to_the_promised_time_and_says_in_the_end_whether_it_was_kept() {
    use crate::domain::escalation::Objectives;
    use crate::domain::incident::Resolution;
    use jiff::SignedDuration;
    let mut view = stories::opened();
    view.incident.severity = crate::domain::severity::Severity::P0;
    let state = view.incident.escalation.as_mut().expect("it escalates");
    let rpo = Some(SignedDuration::from_mins(15));
    state.objectives = Some(Objectives { rto: SignedDuration::from_hours(4), rpo });
    let (back_by, data_from) = (minutes(240).as_second(), minutes(-15).as_second());
    let aloud = read_aloud(&drawn(&view));
    let promised = aloud.lines().find(|line| line.contains("Service back by")).expect("a countdown");
    assert!(
        promised.contains(&format!("<!date^{back_by}^{{date_short_pretty}} at {{time}} ({{ago}})|")),
        "{promised}"
    );
    assert!(promised.contains(&format!("no data lost from before <!date^{data_from}^")), "{promised}");
    assert!(plain(&view, &frame(&Redactor::default())).contains("Service back by: <!date^"));
    view.incident.status = crate::domain::incident::IncidentStatus::Resolved;
    for (at, word) in [(minutes(240), "kept"), (minutes(241), "missed")] {
        view.incident.resolved = Some(Resolution { actor: None, at });
        let aloud = read_aloud(&drawn(&view));
        assert!(aloud.contains(&format!("({word}: RTO 4h)")), "{aloud}");
    }
    view.incident.severity = crate::domain::severity::Severity::P1;
    assert!(!read_aloud(&drawn(&view)).contains("Service back by"), "it is no outage");
}

#[test]
fn a_rule_in_shadow_says_so_first_and_asks_for_nothing() {
    let read = read_aloud(&drawn(&stories::in_shadow()));
    assert!(!read.contains("Approve"), "{read}");
    insta::assert_snapshot!("in_shadow", read);
}
