//! What was done, what is proposed and why, and what people have to do.

use serde_json::Value;

use super::presses::asked;
use super::{Lines, counted, facts};
use crate::domain::action::{Action, ActionPlan, ActionStatus, Step, Task, Tier};
use crate::domain::decision::Reason;
use crate::domain::guardrail;
use crate::domain::incident::{Incident, Phase};
use crate::domain::timeline::{LineKind, TimelineLine};
use crate::engine::ports::IncidentView;
use crate::notify::slack::blocks;
use crate::notify::slack::markup::{Scribe, moment};
use crate::notify::words::units;

/// UTF-16 units of the list of what was done.
const DONE_UNITS_MAX: usize = 1_500;
/// UTF-16 units of one entry's plan, and of its reason.
const PART_UNITS_MAX: usize = 180;
/// UTF-16 units of a plan that is to be approved.
const PLAN_UNITS_MAX: usize = 300;
/// UTF-16 units of the values of such a plan, and up to which length they stand on one line.
const VALUES_UNITS_MAX: usize = 500;
const VALUES_LINE_UNITS_MAX: usize = 120;
/// UTF-16 units of a name of a target, a remedy or a person.
const NAME_UNITS_MAX: usize = 120;
/// UTF-16 units of the reasons why people go on.
const HANDED_OVER_UNITS_MAX: usize = 900;
/// Remedies that did not apply and are named there.
const SKIPPED_MAX: usize = 3;
/// UTF-16 units of one checklist, and how many are shown.
const TASK_UNITS_MAX: usize = 700;
const TASKS_MAX: usize = 2;

/// In the order in which a reader needs it: what happened, what is wanted, what is left to do.
pub(super) fn blocks(view: &IncidentView, scribe: Scribe<'_>) -> Vec<Value> {
    let incident = &view.incident;
    let mut texts = Vec::new();
    texts.extend(done(incident, scribe));
    texts.extend(asked(incident).map(|action| proposal(action, scribe)));
    texts.extend(handed_over(view, scribe));
    texts.extend(open_tasks(incident).map(|task| checklist(task, scribe)));
    texts.iter().map(|text| blocks::section(text)).collect()
}

/// What is wanted or was done last, on one line, for messages without blocks.
pub(super) fn line(view: &IncidentView, scribe: Scribe<'_>) -> Option<String> {
    let incident = &view.incident;
    match asked(incident) {
        Some(action) => Some(format!("Proposed: {}", scribe.prose(&action.plan.summary, PLAN_UNITS_MAX))),
        None => incident.actions.last().map(|action| entry(action, scribe)),
    }
}

/// One line for each remedy that was judged or taken, the newest last.
fn done(incident: &Incident, scribe: Scribe<'_>) -> Option<String> {
    let entries: Vec<&Action> =
        incident.actions.iter().filter(|action| action.status != ActionStatus::AwaitingApproval).collect();
    if entries.is_empty() {
        return None;
    }
    let mut lines: Vec<String> = Vec::new();
    let mut room = DONE_UNITS_MAX;
    // From the newest backwards, since the newest matter most.
    for action in entries.iter().rev() {
        let line = entry(action, scribe);
        let needed = units(&line) + 1;
        if needed > room {
            break;
        }
        room -= needed;
        lines.push(line);
    }
    let earlier = entries.len() - lines.len();
    if earlier > 0 {
        lines.push(format!("… after {} before", counted(earlier, "remedy").replace("remedys", "remedies")));
    }
    lines.push("*Remedies so far*".to_owned());
    lines.reverse();
    Some(lines.join("\n"))
}

fn entry(action: &Action, scribe: Scribe<'_>) -> String {
    let (sign, words) = match action.reason {
        Reason::Shadow(_) => ("👁", "In shadow, not carried out"),
        _ => standing(action),
    };
    let plan = scribe.prose(&action.plan.summary, PART_UNITS_MAX);
    let reason = scribe.prose(&why(action), PART_UNITS_MAX);
    let when = match action.ended_at.or(action.started_at) {
        Some(at) if action.status.has_started() => format!(" · {}", moment(at)),
        _ => String::new(),
    };
    format!("{sign} *{words}:* {plan}; {reason}{when}")
}

/// The reason; where guardrails forbid it, each of them with its own.
fn why(action: &Action) -> String {
    match &action.reason {
        Reason::Guardrail(..) if guardrail::first_denial(&action.guardrails).is_some() => {
            guardrail::in_short(&action.guardrails)
        }
        reason => reason.to_string(),
    }
}

fn standing(action: &Action) -> (&'static str, &'static str) {
    match (action.status, action.step) {
        (ActionStatus::Proposed | ActionStatus::AwaitingApproval, _) => ("✋", "Proposed"),
        (ActionStatus::Blocked, _) => ("⛔", "Blocked"),
        (ActionStatus::Approved, Step::Apply) => ("▶️", "About to start"),
        (ActionStatus::Approved | ActionStatus::Running, Step::Rollback) => ("↩️", "Being undone"),
        (ActionStatus::Rejected, _) => ("✋", "Rejected"),
        (ActionStatus::Expired, _) => ("⌛", "Expired"),
        (ActionStatus::Running, Step::Apply) => ("⏳", "Running"),
        (ActionStatus::Verifying, _) => ("🔎", "Carried out, being checked"),
        (ActionStatus::Succeeded, _) => ("✅", "Done"),
        (ActionStatus::Failed, _) => ("❌", "Failed"),
        (ActionStatus::OutcomeUnknown, _) => ("❓", "Outcome unknown"),
        (ActionStatus::RolledBack, _) => ("↩️", "Undone"),
        (ActionStatus::Simulated, _) => ("🧪", "Dry run, not carried out"),
        (ActionStatus::Cancelled, _) => ("🚫", "Called off"),
    }
}

/// Everything that somebody who approves must have seen.
fn proposal(action: &Action, scribe: Scribe<'_>) -> String {
    let plan = &action.plan;
    let target = scribe.code(&plan.target, NAME_UNITS_MAX);
    let mut lines = vec![
        "*Proposed*".to_owned(),
        format!("✋ *{}*", scribe.prose(&plan.summary, PLAN_UNITS_MAX)),
        format!(
            "*Why:* remedy {} applies to this evidence. {}",
            scribe.code(&action.remedy, NAME_UNITS_MAX),
            approvals(action, scribe)
        ),
        match &plan.namespace {
            Some(name) => format!("*Touches:* {target} in namespace {}", scribe.code(name, NAME_UNITS_MAX)),
            None => format!("*Touches:* {target}"),
        },
        match &action.inverse {
            Some(inverse) => {
                format!("*If it does not help:* {}", scribe.prose(&inverse.summary, PART_UNITS_MAX))
            }
            None => "*If it does not help:* people go on; there is no automatic way back".to_owned(),
        },
    ];
    if !action.guardrails.is_empty() {
        let words = guardrail::in_short(&action.guardrails);
        lines.push(format!("*Guardrails:* {}", scribe.prose(&words, PART_UNITS_MAX)));
    }
    if let Some(at) = action.approvals.expires_at {
        lines.push(format!("*Expires:* {}", moment(at)));
    }
    let digest: String = action.digest.0.chars().take(12).collect();
    lines.push(format!("*Plan* {} {}", scribe.code(&plan.kind, NAME_UNITS_MAX), scribe.code(&digest, 20)));
    lines.extend(what_changes(action, scribe));
    lines.join("\n")
}

/// What exactly is approved. A plan that rests on a look at its object says what it changes there; its own values are
/// identities and digests, which nobody can judge and which the dashboard has. Any other plan shows its values.
fn what_changes(action: &Action, scribe: Scribe<'_>) -> Option<String> {
    if action.plan.basis.is_some() && !action.notes.is_empty() {
        let mut lines = Lines::new(VALUES_UNITS_MAX);
        for note in &action.notes {
            lines.push(format!("• {}", scribe.prose(note, PART_UNITS_MAX)));
        }
        return Some(lines.finish("in the dashboard"));
    }
    let block = scribe.code_block(&values(&action.plan), 12, VALUES_UNITS_MAX)?;
    Some(match block.lines_left_out {
        0 => block.text,
        more => format!("{}\n… {} in the dashboard", block.text, counted(more, "more line")),
    })
}

/// The values of a plan as JSON. Where they are many, one a line is read more surely than a long row of them.
fn values(plan: &ActionPlan) -> String {
    let row = plan.params.to_string();
    if units(&row) <= VALUES_LINE_UNITS_MAX {
        return row;
    }
    serde_json::to_string_pretty(&plan.params).unwrap_or(row)
}

fn approvals(action: &Action, scribe: Scribe<'_>) -> String {
    let so_far: Vec<String> =
        action.approvals.records.iter().map(|record| facts::person(&record.actor, scribe)).collect();
    let wanted = match action.tier {
        Tier::T3 => "It needs two people (T3)",
        tier => return format!("It needs one approval ({tier})"),
    };
    if so_far.is_empty() { wanted.to_owned() } else { format!("{wanted}; {} approved", so_far.join(", ")) }
}

/// Why automation stopped, and what it did not do.
fn handed_over(view: &IncidentView, scribe: Scribe<'_>) -> Option<String> {
    if view.incident.phase != Phase::HandedOver {
        return None;
    }
    let position = view.timeline.iter().rposition(|line| line.kind == LineKind::HandedOver)?;
    let mut lines = Lines::new(HANDED_OVER_UNITS_MAX);
    let why = &view.timeline[position].text;
    let why = why.strip_prefix("people go on: ").unwrap_or(why);
    let skipped: Vec<&TimelineLine> = skipped(&view.timeline[..position]).collect();
    // Where the last remedy is the reason, its own line has said so.
    let said = view.incident.actions.last().is_some_and(|action| action.reason.to_string() == why);
    if said && skipped.is_empty() {
        return None;
    }
    lines.push(format!("*Over to people:* {}", scribe.prose(why, PART_UNITS_MAX)));
    for line in skipped {
        lines.push(format!("• {}", scribe.prose(&line.text, PART_UNITS_MAX)));
    }
    Some(lines.finish("reasons"))
}

/// The judgements of the last walk down the ladder that led to nothing.
fn skipped(before: &[TimelineLine]) -> impl Iterator<Item = &TimelineLine> {
    const LED_NOWHERE: [&str; 5] =
        ["condition_fails", "condition_unknown", "not_set_up", "plan_invalid", "already_tried"];
    let walk = before.iter().rev().take_while(|line| line.kind == LineKind::Decision);
    let mut newest_first: Vec<_> = walk
        .filter(|line| line.reason.as_deref().is_some_and(|word| LED_NOWHERE.contains(&word)))
        .take(SKIPPED_MAX)
        .collect();
    newest_first.reverse();
    newest_first.into_iter()
}

fn open_tasks(incident: &Incident) -> impl Iterator<Item = &Task> {
    incident.tasks.iter().rev().filter(|task| !task.is_done()).take(TASKS_MAX)
}

fn checklist(task: &Task, scribe: Scribe<'_>) -> String {
    let mut lines = Lines::new(TASK_UNITS_MAX);
    let mut title = format!("*To do: {}*", scribe.prose(&task.title, PART_UNITS_MAX));
    if let Some(owner) = &task.owner {
        title.push_str(&format!(" · {}", scribe.prose(owner, NAME_UNITS_MAX)));
    }
    if let Some(due_at) = task.due_at {
        title.push_str(&format!(" · due {}", moment(due_at)));
    }
    lines.push(title);
    for item in &task.items {
        let sign = if item.done_at.is_some() { "☑" } else { "☐" };
        lines.push(format!("{sign} {}", scribe.prose(&item.text, PART_UNITS_MAX)));
    }
    lines.finish("items")
}
