//! What `explain` says, laid out for people.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use super::document::{AlertEntry, DecisionEntry, Document, IncidentEntry, PlanEntry, RuleEntry};
use crate::app::explain::Evidence;
use crate::cli::terminal::{block, line};
use crate::cli::time::relative;
use crate::domain::guardrail::GuardrailVerdict;

/// Room for the word before each value.
const WORD_COLUMNS: usize = 12;

/// All alerts, and what the answer rests on.
pub(super) fn write(document: &Document, evidence: &Evidence) -> String {
    let mut page = String::new();
    for (index, alert) in document.alerts.iter().enumerate() {
        if document.alerts.len() > 1 {
            write!(page, "{}. ", index + 1).expect("a string");
        }
        page.push_str(&write_alert(alert, document.at));
        page.push('\n');
    }
    if document.truncated_alerts > 0 {
        let count = document.truncated_alerts;
        writeln!(page, "Alertmanager left out more alerts of this group: {count}.").expect("a string");
    }
    // Where the rules that answer ask for nothing, there is nothing to gather.
    let is_missed = *evidence == Evidence::default() && !document.diagnostics().is_empty();
    let asked = match is_missed {
        true => {
            "No evidence was gathered: --diagnose runs the diagnostics, --findings FILE takes some for granted.\n"
        }
        false => "",
    };
    if document.assumes_targets() {
        page.push_str("What is planned on the cluster is assumed to be possible: --diagnose looks at it.\n");
    }
    let at = document.at;
    let monitoring = if evidence.is_diagnosed { "" } else { ", monitoring worked" };
    write!(
        page,
        "{asked}As of {at}, as if nothing were paused{monitoring}, no other incident were open and no action had \
         started before."
    )
    .expect("a string");
    page
}

fn write_alert(alert: &AlertEntry, now: Timestamp) -> String {
    if let Some(why) = &alert.unreadable {
        return format!("An alert that cannot be read: {}\n", line(why));
    }
    let name = alert.labels.get("alertname").map_or("an alert without a name", String::as_str);
    let does = if alert.status == "firing" { "fires" } else { "has ended" };
    let fingerprint = alert.fingerprint.as_deref().unwrap_or_default();
    let mut page = format!("{} {does} ({fingerprint})\n", line(name));
    let labels: Vec<String> = alert
        .labels
        .iter()
        .filter(|(name, _)| *name != "alertname")
        .map(|(name, value)| format!("{}={}", line(name), line(value)))
        .collect();
    field(&mut page, 1, "labels", &labels.join(" "));
    let mut before: Option<&RuleEntry> = None;
    for answer in alert.answers() {
        if before.is_some() {
            page.push('\n');
        }
        page.push_str(&write_answer(alert, answer, before, now));
        before = Some(answer);
    }
    page
}

fn write_answer(
    alert: &AlertEntry,
    answer: &RuleEntry,
    before: Option<&RuleEntry>,
    now: Timestamp,
) -> String {
    let mut page = String::new();
    let rule = answer.rule.as_deref().unwrap_or_default();
    let rule = match (alert.matched, before) {
        (false, _) => format!("{rule}: no rule of the files matches"),
        (true, None) => rule.to_owned(),
        (true, Some(before)) if before.is_in_shadow() => {
            format!("{rule}, since the one before it is in shadow")
        }
        (true, Some(_)) => format!("{rule}, since the one before it says `continue: true`"),
    };
    field(&mut page, 1, "rule", &rule);
    if before.is_none() && !alert.not_reached.is_empty() {
        field(&mut page, 1, "not reached", &alert.not_reached.join(", "));
    }
    let Some(incident) = &answer.incident else {
        field(&mut page, 1, "outcome", "it ends in its incident if it fired there; it opens nothing");
        return page;
    };
    write_incident(&mut page, incident);
    write_evidence(&mut page, incident);
    write_remedies(&mut page, &answer.decisions);
    write_escalation(&mut page, answer, incident, now);
    page
}

fn write_incident(page: &mut String, incident: &IncidentEntry) {
    if incident.mode.is_shadow() {
        field(page, 1, "mode", "shadow: it decides and records; nothing is carried out, and nobody is asked");
    }
    field(page, 1, "severity", &incident.severity);
    field(page, 1, "summary", &incident.summary);
    field(page, 1, "target", incident.target.as_deref().unwrap_or_default());
    field(page, 1, "runbook", incident.runbook.as_deref().unwrap_or_default());
    let joins = incident.joins_alert.map(|index| format!(" (joins alert {})", index + 1)).unwrap_or_default();
    field(page, 1, "incident", &format!("{}{joins}", incident.incident_key));
    for note in &incident.notes {
        field(page, 1, "note", note);
    }
    field(page, 1, "then", &incident.phase.replace('_', " "));
}

fn write_evidence(page: &mut String, incident: &IncidentEntry) {
    if incident.findings.is_empty() {
        return;
    }
    page.push_str("\n  Evidence\n");
    for finding in &incident.findings {
        let text = match &finding.reason {
            Some(reason) => format!("unknown: {reason}"),
            None => finding.text.clone(),
        };
        writeln!(page, "    {} ({})", line(&finding.name), line(&finding.kind)).expect("a string");
        page.push_str(&block(&text, "      "));
    }
}

fn write_remedies(page: &mut String, decisions: &[DecisionEntry]) {
    page.push_str("\n  Remedies\n");
    if decisions.is_empty() {
        page.push_str("    none: people go on\n");
    }
    for decision in decisions {
        let DecisionEntry { remedy, tier, decision: word, reason, .. } = decision;
        writeln!(page, "    {} ({tier}): {word}; {}", line(remedy), line(reason)).expect("a string");
        if let Some(when) = &decision.when {
            field(page, 3, "when", &format!("{when} ({})", decision.condition));
        }
        if let Some(verdict) = &decision.if_it_applied {
            field(page, 3, "by itself", &format!("{}; {}", verdict.decision, verdict.reason));
        }
        if let Some(plan) = &decision.plan {
            write_plan(page, "plan", plan);
        }
        if let Some(plan) = &decision.rollback {
            write_plan(page, "rollback", plan);
        }
        for note in &decision.notes {
            field(page, 3, "note", note);
        }
        if let Some(assumed) = &decision.assumed {
            field(page, 3, "assumed", &assumed.reason);
            field(page, 3, "", &format!("not judged without a look: {}", assumed.not_judged.join(", ")));
            field(page, 3, "", &format!("tier {tier} is {}", assumed.tier));
        }
        let assumes = decision.assumed.is_some();
        write_guardrails(page, &decision.guardrails, assumes);
    }
}

fn write_plan(page: &mut String, word: &str, plan: &PlanEntry) {
    field(page, 3, word, &format!("{}: {}", plan.kind, plan.summary));
    let has_params = plan.params.as_object().is_some_and(|params| !params.is_empty());
    if has_params {
        let params = serde_saphyr::to_string(&plan.params).expect("JSON values can be written as YAML");
        page.push_str(&block(&params, &" ".repeat(6 + WORD_COLUMNS)));
    }
}

/// A guardrail that has not judged does not allow, whatever is assumed of it.
fn write_guardrails(page: &mut String, verdicts: &[GuardrailVerdict], assumes: bool) {
    for (index, verdict) in verdicts.iter().enumerate() {
        let says = match verdict.allowed {
            true if assumes && verdict.guardrail.needs_a_look() => "assumed",
            true => "allows",
            false => "denies",
        };
        let until = verdict.until.map(|at| format!(" (until {at})")).unwrap_or_default();
        let word = if index == 0 { "guardrails" } else { "" };
        let text = format!("{:<15} {says}: {}{until}", verdict.guardrail.as_str(), verdict.reason);
        field(page, 3, word, &text);
    }
}

fn write_escalation(page: &mut String, answer: &RuleEntry, incident: &IncidentEntry, now: Timestamp) {
    let by = match &incident.policy {
        Some(policy) => format!("by the policy {policy}"),
        None => "by the settings, as no policy is for it".to_owned(),
    };
    writeln!(page, "\n  Who is told while nobody acknowledges, {}", line(&by)).expect("a string");
    if let Some(rule) = &incident.told_by {
        writeln!(page, "    nobody by this rule: {} has the alert as well, and tells people", line(rule))
            .expect("a string");
    } else if answer.escalation.is_empty() {
        page.push_str("    nobody: it is recorded and shown\n");
    }
    for telling in &answer.escalation {
        let skipped = match telling.skipped_why.as_slice() {
            [] => String::new(),
            skipped => format!(" ({})", skipped.join(", ")),
        };
        let on_call = match telling.on_call.as_slice() {
            [] => String::new(),
            people => format!(" (on call: {})", people.join(", ")),
        };
        let when = format!("{} ({})", telling.at, relative(telling.at, now));
        let whom = telling.destinations.join(", ");
        let again = telling.again_every_seconds.map(SignedDuration::from_secs);
        let again = again.map(|every| format!("; again every {every:#}, for as long as nobody acknowledges"));
        let text =
            format!("{when}  {}{skipped}: {whom}{on_call}{}", telling.level, again.unwrap_or_default());
        writeln!(page, "    {}", line(&text)).expect("a string");
    }
}

/// A word and its value on one line; nothing where there is no value.
fn field(page: &mut String, depth: usize, word: &str, value: &str) {
    if !value.is_empty() {
        let indent = "  ".repeat(depth);
        writeln!(page, "{indent}{word:<WORD_COLUMNS$}{}", line(value)).expect("a string");
    }
}
