//! The chapters of an incident's record. Texts from outside go through [`markdown`] without exception.

use jiff::{SignedDuration, Timestamp};

use crate::actions::markdown::{self, block, line};
use crate::domain::action::{Action, ActionStatus, Step, Task, Tier};
use crate::domain::counted::counted;
use crate::domain::diagnosis::{Finding, FindingStatus};
use crate::domain::incident::Incident;
use crate::domain::timeline::{TimelineLine, cut};
use crate::engine::ports::IncidentView;

/// Lines of the timeline that are shown, half from its beginning and half from its end: the middle of a flapping
/// incident repeats itself, and the whole trail is kept with the incident.
const TIMELINE_LINES_MAX: usize = 80;

/// Findings that are shown.
const FINDINGS_MAX: usize = 20;

/// Bytes of one finding's text.
const FINDING_BYTES_MAX: usize = 1_500;

/// Rows of actions that are shown, the newest ones.
const ACTIONS_MAX: usize = 20;

/// The whole document.
pub(super) fn write(title: &str, view: &IncidentView) -> String {
    let chapters = [
        format!("# {}", line(title)),
        head(&view.incident),
        format!("## Summary\n\n{}", summary(view)),
        format!("## Impact window\n\n{}", impact(view)),
        format!("## Rules that took part\n\n{}", rules(view)),
        format!("## Timeline\n\n{}", timeline(&view.timeline)),
        format!("## Evidence\n\n{}", evidence(&view.findings)),
        format!("## Decisions and actions\n\n{}", actions(&view.incident.actions)),
        tasks(&view.incident.tasks),
        format!("## To prevent it next time\n\n{}", prevention_list(view)),
    ];
    let written: Vec<String> = chapters.into_iter().filter(|chapter| !chapter.is_empty()).collect();
    written.join("\n\n") + "\n"
}

fn head(incident: &Incident) -> String {
    let mut rows = vec![
        ("Incident", line(&incident.id.0)),
        ("Severity", incident.severity.as_str().to_owned()),
        ("Status", incident.status.as_str().to_owned()),
        ("Rule", line(&incident.rule)),
    ];
    rows.extend(incident.target.as_ref().map(|target| ("Target", line(&target.to_string()))));
    rows.extend(incident.runbook.as_ref().map(|runbook| ("Runbook", line(runbook))));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    markdown::table(&["", ""], &rows).trim_end().to_owned()
}

fn summary(view: &IncidentView) -> String {
    let incident = &view.incident;
    // Not at the beginning of a line, where a dash or a number would begin a list.
    format!("What was wrong: {}\n\n{}", line(&incident.summary), summary_in_words(view, &line))
}

/// How it went in a few sentences. Names from outside are written by `shown`.
pub(super) fn summary_in_words(view: &IncidentView, shown: &dyn Fn(&str) -> String) -> String {
    let incident = &view.incident;
    let mut text = String::new();
    let alerts = counted(incident.alerts.total() as usize, "alert");
    text.push_str(&format!("{alerts} belonged to this incident."));
    text.push_str(&match &incident.acknowledged {
        Some(ack) => {
            let after = length(ack.at.duration_since(incident.started_at));
            format!(" {} acknowledged it after {after}.", shown(&ack.actor.to_string()))
        }
        None => " Nobody acknowledged it.".to_owned(),
    });
    let names: Vec<String> = remedies_that_helped(incident).map(|action| shown(&action.remedy)).collect();
    if !names.is_empty() {
        text.push_str(&format!(" Carried out: {}.", names.join(", ")));
    }
    text.push_str(&match &incident.resolved {
        Some(end) => {
            let after = length(end.at.duration_since(incident.started_at));
            let how = match &end.actor {
                Some(actor) => format!("{} resolved it", shown(&actor.to_string())),
                None => "Its alerts ended".to_owned(),
            };
            format!(" {how} after {after}.")
        }
        None => " It is not resolved yet.".to_owned(),
    });
    if !incident.reopened_at.is_empty() {
        text.push_str(&format!(" It was reopened {}.", counted(incident.reopened_at.len(), "time")));
    }
    text
}

/// When the first of its alerts began, as far as they are known.
pub(super) fn began_at(view: &IncidentView) -> Timestamp {
    let began = view.alerts.iter().map(|(_, alert)| alert.starts_at).min();
    began.unwrap_or(view.incident.started_at)
}

/// Which texts were in force, so that whoever changes them knows which ones. Digests lead to them in the store.
fn rules(view: &IncidentView) -> String {
    let incident = &view.incident;
    let alerts: std::collections::BTreeSet<String> =
        view.alerts.iter().map(|(_, alert)| line(alert.name())).collect();
    let mut rows = vec![vec!["Rule".to_owned(), line(&incident.rule), line(&incident.rule_hash.0)]];
    if let Some(state) = &incident.escalation {
        rows.push(vec!["Escalation policy".to_owned(), line(&state.policy), line(&state.hash.0)]);
    }
    let alerts: Vec<String> = alerts.into_iter().collect();
    if !alerts.is_empty() {
        rows.push(vec!["Alerts".to_owned(), alerts.join(", "), String::new()]);
    }
    markdown::table(&["", "Name", "Digest"], &rows).trim_end().to_owned()
}

fn impact(view: &IncidentView) -> String {
    let incident = &view.incident;
    let began = began_at(view);
    let mut rows = vec![
        vec!["First alert began".to_owned(), clock(began)],
        vec!["Incident opened".to_owned(), clock(incident.started_at)],
    ];
    rows.extend(incident.acknowledged.as_ref().map(|ack| vec!["Acknowledged".to_owned(), clock(ack.at)]));
    if let Some(end) = &incident.resolved {
        rows.push(vec!["Resolved".to_owned(), clock(end.at)]);
        rows.push(vec!["From first alert to end".to_owned(), length(end.at.duration_since(began))]);
    }
    markdown::table(&["", "UTC"], &rows).trim_end().to_owned()
}

fn timeline(lines: &[TimelineLine]) -> String {
    let row = |entry: &TimelineLine| {
        vec![clock(entry.at), word(&entry.kind), line(&entry.actor.to_string()), line(&entry.text)]
    };
    let left_out = lines.len().saturating_sub(TIMELINE_LINES_MAX);
    let half = TIMELINE_LINES_MAX / 2;
    let rows: Vec<Vec<String>> = if left_out == 0 {
        lines.iter().map(row).collect()
    } else {
        let gap = vec!["…".to_owned(), String::new(), String::new(), format!("{left_out} lines left out")];
        let (head, tail) = (&lines[..half], &lines[lines.len() - half..]);
        head.iter().map(row).chain([gap]).chain(tail.iter().map(row)).collect()
    };
    markdown::table(&["UTC", "What", "Who", ""], &rows).trim_end().to_owned()
}

fn evidence(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "No evidence was gathered.".to_owned();
    }
    let chapters: Vec<String> = findings
        .iter()
        .take(FINDINGS_MAX)
        .map(|finding| {
            let text = match &finding.status {
                FindingStatus::Known => finding.text.clone(),
                FindingStatus::Unknown(reason) => format!("unknown: {reason}"),
            };
            let head = format!("### {} ({})", line(&finding.name), line(&finding.kind));
            format!(
                "{head}\n\nTaken at {}.\n\n{}",
                clock(finding.taken_at),
                block(&cut(text, FINDING_BYTES_MAX))
            )
        })
        .collect();
    chapters.join("\n\n")
}

fn actions(actions: &[Action]) -> String {
    if actions.is_empty() {
        return "No remedy was considered.".to_owned();
    }
    let rows: Vec<Vec<String>> = actions
        .iter()
        .skip(actions.len().saturating_sub(ACTIONS_MAX))
        .map(|action| {
            let undone = if action.step == Step::Rollback { " (rollback)" } else { "" };
            vec![
                clock(action.planned_at),
                line(&action.remedy),
                action.tier.to_string(),
                format!("{}{undone}", line(&action.plan.summary)),
                action.status.as_str().replace('_', " "),
                line(&action.reason.to_string()),
                approvals(action),
                action.outcome.as_deref().map(line).unwrap_or_default(),
            ]
        })
        .collect();
    let heads = ["UTC", "Remedy", "Tier", "Plan", "Status", "Why", "Decided by", "Outcome"];
    markdown::table(&heads, &rows).trim_end().to_owned()
}

fn approvals(action: &Action) -> String {
    let who = action.approvals.records.iter().map(|record| {
        let why = record.reason.as_deref().map(|reason| format!(": {}", line(reason))).unwrap_or_default();
        format!(
            "{} by {} at {}{why}",
            record.verdict.past(),
            line(&record.actor.to_string()),
            clock(record.at)
        )
    });
    who.collect::<Vec<_>>().join("; ")
}

fn tasks(tasks: &[Task]) -> String {
    if tasks.is_empty() {
        return String::new();
    }
    let lists = tasks.iter().map(|task| {
        let owner = task.owner.as_deref().map(|owner| format!(" ({})", line(owner))).unwrap_or_default();
        let items: Vec<String> = task
            .items
            .iter()
            .map(|item| {
                let mark = if item.done_at.is_some() { 'x' } else { ' ' };
                format!("- [{mark}] {}", line(&item.text))
            })
            .collect();
        format!("### {}{owner}\n\n{}", line(&task.title), items.join("\n"))
    });
    format!("## Tasks\n\n{}", lists.collect::<Vec<_>>().join("\n\n"))
}

fn prevention_list(view: &IncidentView) -> String {
    let items = prevention(view, &line);
    items.iter().map(|item| format!("- [ ] {item}")).collect::<Vec<_>>().join("\n")
}

/// What this incident itself shows to be missing, then what every incident asks. Names are written by `shown`.
pub(super) fn prevention(view: &IncidentView, shown: &dyn Fn(&str) -> String) -> Vec<String> {
    let incident = &view.incident;
    let mut items = Vec::new();
    for finding in &view.findings {
        if let FindingStatus::Unknown(_) = finding.status {
            items.push(format!(
                "Make the diagnostic {} answer: it was unknown when it was needed.",
                shown(&finding.name)
            ));
        }
    }
    for action in &incident.actions {
        let remedy = shown(&action.remedy);
        items.extend(match action.status {
            ActionStatus::OutcomeUnknown => {
                Some(format!("Find out whether {remedy} was carried out, and make that visible."))
            }
            ActionStatus::Failed | ActionStatus::RolledBack => {
                Some(format!("Correct or remove the remedy {remedy}: it did not help here."))
            }
            ActionStatus::Expired => Some(format!("Decide who approves {remedy}: nobody answered in time.")),
            ActionStatus::Simulated if incident.mode.is_shadow() => {
                Some(format!("Decide whether {remedy} may run: its rule is in shadow."))
            }
            ActionStatus::Simulated => {
                Some(format!("Decide whether {remedy} may run: dry run kept it back."))
            }
            _ => None,
        });
    }
    if remedies_that_helped(incident).next().is_none() {
        items.push(
            "Write down what ended it, and add it to the rule as a remedy if a machine can do it.".to_owned(),
        );
    }
    if incident.acknowledged.is_none() {
        items.push("Check that the escalation policy reaches somebody: nobody acknowledged.".to_owned());
    }
    if incident.runbook.is_none() {
        items.push("Add a runbook to the rule.".to_owned());
    }
    items.extend(
        [
            "Name the cause, and what made it possible.",
            "Say how it could have been noticed earlier, and change the alert.",
            "Say what would have kept it small, and plan it with an owner and a date.",
            "Share this record with the team.",
        ]
        .map(str::to_owned),
    );
    let mut seen = std::collections::BTreeSet::new();
    items.retain(|item| seen.insert(item.clone()));
    items
}

/// Remedies that were carried out and not found wanting. Telling people (T0) ends no incident.
fn remedies_that_helped(incident: &Incident) -> impl Iterator<Item = &Action> {
    incident
        .actions
        .iter()
        .filter(|action| action.status == ActionStatus::Succeeded && action.tier > Tier::T0)
}

/// The word of an enum as it is stored, for people.
fn word(kind: &impl serde::Serialize) -> String {
    let word = serde_json::to_value(kind).unwrap_or_default();
    word.as_str().unwrap_or_default().replace('_', " ")
}

fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn length(duration: SignedDuration) -> String {
    let whole = SignedDuration::from_secs(duration.as_secs());
    jiff::fmt::friendly::SpanPrinter::new().duration_to_string(&whole)
}
