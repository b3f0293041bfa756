//! The app's home tab: what is open, the worst first.

use serde_json::{Value, json};

use super::blocks;
use super::card::{self, Frame};
use super::markup::{Scribe, moment};
use crate::domain::counted::counted;
use crate::domain::guardrail::Pause;
use crate::domain::incident::Incident;

/// Incidents that are shown. A home takes 100 blocks, and nobody reads more.
const INCIDENTS_MAX: usize = 40;
/// Pauses that are named.
const PAUSES_MAX: usize = 5;
/// UTF-16 units of the name of a pause, and of why it is there.
const PAUSE_UNITS_MAX: usize = 120;

/// The view for one person. `incidents` are the open ones in any order.
pub(super) fn view(mut incidents: Vec<Incident>, pauses: &[Pause], frame: &Frame<'_>) -> Value {
    sort(&mut incidents);
    let mut drawn = vec![blocks::header(&headline(incidents.len()))];
    drawn.push(blocks::context(&format!("As of {}. Open this tab again for news.", moment(frame.now))));
    drawn.extend(paused(pauses, frame).map(|text| blocks::section(&text)));
    for incident in incidents.iter().take(INCIDENTS_MAX) {
        drawn.push(json!({ "type": "divider" }));
        drawn.push(blocks::section(&card::in_a_line(incident, frame)));
    }
    let left_out = incidents.len().saturating_sub(INCIDENTS_MAX);
    if left_out > 0 {
        drawn.push(blocks::context(&format!("… and {left_out} more: `smokejumper incidents`")));
    }
    json!({ "type": "home", "blocks": drawn })
}

/// The view for somebody who may not look; `why` is mrkdwn.
pub(super) fn closed(why: &str) -> Value {
    json!({ "type": "home", "blocks": [blocks::section(why)] })
}

/// The worst first, and of these the oldest.
pub(super) fn sort(incidents: &mut [Incident]) {
    incidents.sort_by_key(|incident| (incident.severity, incident.started_at));
}

/// How many are open.
pub(super) fn headline(count: usize) -> String {
    match count {
        0 => "No open incidents".to_owned(),
        count => counted(count, "open incident"),
    }
}

/// What is paused, by whom and why.
pub(super) fn paused(pauses: &[Pause], frame: &Frame<'_>) -> Option<String> {
    let scribe = Scribe::new(frame.redactor);
    let line = |pause: &Pause| {
        let place = match &pause.namespace {
            None => "everywhere".to_owned(),
            Some(name) => format!("in {}", scribe.code(name, PAUSE_UNITS_MAX)),
        };
        let (by, why) =
            (scribe.prose(&pause.by, PAUSE_UNITS_MAX), scribe.prose(&pause.reason, PAUSE_UNITS_MAX));
        format!("⏸️ Actions are paused {place} by *{by}*: {why}")
    };
    let lines: Vec<String> = pauses.iter().take(PAUSES_MAX).map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::redact::Redactor;
    use crate::domain::severity::Severity;
    use crate::notify::stories;

    fn mk_incident(severity: Severity, minutes: i64, summary: &str) -> Incident {
        let started_at = stories::minutes(minutes);
        Incident { severity, started_at, summary: summary.to_owned(), ..stories::opened().incident }
    }

    fn drawn(incidents: Vec<Incident>, pauses: &[Pause]) -> Value {
        let redactor = Redactor::new(["hunter2-hunter2"]);
        let frame = Frame {
            now: stories::minutes(30),
            external_url: Some("https://jump.example.com"),
            alertmanager_url: None,
            redactor: &redactor,
        };
        view(incidents, pauses, &frame)
    }

    #[test]
    fn the_worst_stand_first_and_of_these_the_oldest() {
        let incidents = vec![
            mk_incident(Severity::P2, 1, "third"),
            mk_incident(Severity::P0, 9, "second"),
            mk_incident(Severity::P0, 3, "first"),
        ];
        let text = drawn(incidents, &[]).to_string();
        let places: Vec<_> = ["first", "second", "third"].iter().map(|word| text.find(word)).collect();
        assert!(places.is_sorted() && places[0].is_some(), "{places:?} {text}");
    }

    #[test]
    fn a_storm_and_hostile_words_keep_to_what_slack_takes() {
        let storm =
            (0..500).map(|_| mk_incident(Severity::P1, 1, &"<!channel> hunter2-hunter2 ".repeat(400)));
        let view = drawn(storm.collect(), &[]);
        let blocks = view["blocks"].as_array().expect("blocks");
        assert!(blocks.len() <= 100, "{}", blocks.len());
        assert!(view.to_string().len() < 250_000);
        assert!(crate::sandbox::slack::view_faults(&view, "home").is_empty());
        let text = view.to_string();
        assert!(text.contains("… and 460 more") && !text.contains("<!channel>") && !text.contains("hunter2"));
    }

    #[test]
    fn an_empty_home_says_so_and_pauses_are_told() {
        let pause = Pause {
            namespace: Some("shop".to_owned()),
            by: "una".to_owned(),
            reason: "moving".to_owned(),
            since: stories::minutes(0),
        };
        let text = drawn(Vec::new(), &[pause]).to_string();
        assert!(text.contains("No open incidents") && text.contains("paused in `shop` by *una*: moving"));
    }
}
