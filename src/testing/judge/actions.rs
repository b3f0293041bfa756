//! What was decided about remedies, and where those stand that were taken.

use super::{Scene, contains, differ, unknown_name};
use crate::domain::action::Action;
use crate::domain::decision::{Decided, Reason, decided};
use crate::engine::playbook::Playbook;
use crate::engine::ports::IncidentView;
use crate::testing::format::{ActionWanted, Expect, Short, VerdictWanted};
use crate::testing::report::Mismatch;

/// What was decided about a remedy last: the decision, its sentence, and the word of its reason.
fn decision<'v>(view: &'v IncidentView, remedy: &str) -> Option<(&'v str, &'v str, &'v str)> {
    let of_remedy = |found: &Decided<'_>| found.remedy == remedy;
    let last = view.timeline.iter().rev().filter_map(decided).find(of_remedy)?;
    Some((last.decision, last.reason, last.word))
}

pub(super) fn decisions(expect: &Expect, view: &IncidentView, scene: &Scene<'_>, found: &mut Vec<Mismatch>) {
    for (remedy, Short(wanted)) in &expect.decisions {
        let what = format!("decisions.{remedy}");
        let wanted_word = wanted.decision.as_str();
        let Some((got, reason, word)) = decision(view, remedy) else {
            let got = "it was not judged: a remedy before it was taken, or nothing was decided";
            let help = no_such_remedy(view, scene, remedy);
            found.push(Mismatch { help, ..Mismatch::of(what, wanted_word, got) });
            continue;
        };
        if got != wanted_word {
            found.push(Mismatch::of(what, wanted_word, format!("{got} ({reason})")));
        } else if let Some(wanted) = &wanted.reason
            && wanted != word
        {
            contains(found, &format!("{what}.reason"), wanted, &format!("{word}: {reason}"));
        }
    }
}

pub(super) fn actions(expect: &Expect, view: &IncidentView, scene: &Scene<'_>, found: &mut Vec<Mismatch>) {
    for (remedy, Short(wanted)) in &expect.actions {
        let what = format!("actions.{remedy}");
        // An action that restores another has a name of its own, so that the newest of a name is meant.
        let Some(action) = view.incident.actions.iter().rfind(|action| action.remedy == *remedy) else {
            let status = wanted.status.map_or("an action", |status| status.as_str());
            let help = no_such_remedy(view, scene, remedy);
            found.push(Mismatch { help, ..Mismatch::of(what, status, none(view, remedy)) });
            continue;
        };
        one(&what, wanted, action, view, found);
    }
}

/// Why there is no action of a remedy.
fn none(view: &IncidentView, remedy: &str) -> String {
    if let Some((decision, reason, _)) = decision(view, remedy) {
        return format!("none: {decision}, {reason}");
    }
    let all: Vec<String> = view.incident.actions.iter().map(stand).collect();
    match all.is_empty() {
        true => "none".to_owned(),
        false => format!("none; there are {}", all.join(", ")),
    }
}

fn stand(action: &Action) -> String {
    format!("{}: {}", action.remedy, action.status.as_str())
}

/// What to say where a rule has no such remedy.
fn no_such_remedy(view: &IncidentView, scene: &Scene<'_>, remedy: &str) -> Option<String> {
    let kept = scene.book.rule_by_hash(&view.incident.rule_hash)?;
    let of_rule = kept.rule.remedies.iter().map(|spec| spec.name.as_str());
    let of_actions = view.incident.actions.iter().map(|action| action.remedy.as_str());
    let after = remedy.starts_with("on-resolve-") || remedy.starts_with("restore-");
    if after {
        return None;
    }
    unknown_name("remedy", remedy, of_rule.chain(of_actions))
}

fn one(what: &str, wanted: &ActionWanted, action: &Action, view: &IncidentView, found: &mut Vec<Mismatch>) {
    if let Some(status) = wanted.status
        && status != action.status
    {
        let got = format!("{} ({})", action.status.as_str(), action.reason);
        found.push(Mismatch::of(what, status.as_str(), got));
    }
    if let Some(reason) = &wanted.reason
        && reason != action.reason.word()
    {
        let got = format!("{}: {}", action.reason.word(), action.reason);
        contains(found, &format!("{what}.reason"), reason, &got);
    }
    if let Some(tier) = wanted.tier {
        differ(found, &format!("{what}.tier"), tier.as_str(), action.tier.as_str());
    }
    let plan = plan_text(action, view);
    for text in &wanted.plan.0 {
        contains(found, &format!("{what}.plan"), text, &plan);
    }
    if let Some(guardrail) = wanted.blocked_by {
        let got = match &action.reason {
            Reason::Guardrail(by, _) => by.as_str().to_owned(),
            other => format!("none ({other})"),
        };
        differ(found, &format!("{what}.blockedBy"), guardrail.as_str(), &got);
    }
    for (name, Short(verdict)) in &wanted.guardrails {
        let what = format!("{what}.guardrails.{}", name.as_str());
        let (allowed, reason) = match verdict {
            VerdictWanted::Allowed(reason) => (true, reason),
            VerdictWanted::Denied(reason) => (false, reason),
        };
        let word = |allowed: bool| if allowed { "allowed" } else { "denied" };
        match action.guardrails.iter().find(|verdict| verdict.guardrail == *name) {
            None => found.push(Mismatch::of(what, word(allowed), "it was not judged")),
            Some(got) if got.allowed != allowed => {
                found.push(Mismatch::of(
                    what,
                    word(allowed),
                    format!("{} ({})", word(got.allowed), got.reason),
                ));
            }
            Some(got) => contains(found, &what, reason, &got.reason),
        }
    }
}

/// The plan as people read it: its line, its parameters, and for people what they are to do.
fn plan_text(action: &Action, view: &IncidentView) -> String {
    let mut text = format!("{}\n{}", action.plan.summary, action.plan.params);
    let own = view.incident.tasks.iter().filter(|task| task.action.as_ref() == Some(&action.id));
    for task in own {
        text.push_str(&format!("\n{}", task.title));
        task.items.iter().for_each(|item| text.push_str(&format!("\n{}", item.text)));
    }
    text
}

pub(super) fn tasks(expect: &Expect, view: &IncidentView, found: &mut Vec<Mismatch>) {
    let tasks = &view.incident.tasks;
    let lines = tasks.iter().flat_map(|task| {
        std::iter::once(task.title.as_str()).chain(task.items.iter().map(|item| item.text.as_str()))
    });
    let all: Vec<&str> = lines.collect();
    for wanted in &expect.tasks.0 {
        if !all.iter().any(|line| line.contains(wanted.as_str())) {
            let got = if all.is_empty() { "no task".to_owned() } else { all.join("\n") };
            found.push(Mismatch::of("tasks", format!("… {wanted} …"), got));
        }
    }
}
