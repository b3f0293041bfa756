//! Where the escalation stands: its policy, whom it told last, and what comes next.

use super::{Scene, all_of, differ, unknown_name};
use crate::domain::escalation::{EscalationPolicy, EscalationStep};
use crate::domain::timeline::{LineKind, TimelineLine};
use crate::engine::playbook::Playbook;
use crate::engine::ports::IncidentView;
use crate::testing::format::{EscalationWanted, Expect, NextWanted, Short};
use crate::testing::report::Mismatch;
use crate::testing::trail::written;
use std::collections::BTreeSet;

/// Joins the name of a step and whom it tells, in the timeline.
const IS_TOLD: &str = " is told: ";

/// The steps that were told, oldest first: their names, and whom they told.
pub fn steps(view: &IncidentView) -> impl DoubleEndedIterator<Item = (&str, Vec<&str>)> {
    view.timeline.iter().filter_map(step)
}

/// The step of the escalation that a line tells of: its name, and whom it told.
pub fn step(line: &TimelineLine) -> Option<(&str, Vec<&str>)> {
    if line.kind != LineKind::Escalation {
        return None;
    }
    let (name, whom) = line.text.split_once(IS_TOLD)?;
    // People on call stand in parentheses behind the destinations.
    let whom = whom.split(" (on call: ").next().unwrap_or_default();
    Some((name, whom.split(", ").filter(|one| !one.is_empty()).collect()))
}

pub(super) fn escalation(expect: &Expect, view: &IncidentView, scene: &Scene<'_>, found: &mut Vec<Mismatch>) {
    let Some(Short(wanted)) = &expect.escalation else { return };
    let state = view.incident.escalation.as_ref();
    let kept = state.and_then(|state| scene.book.policy_by_hash(&state.hash));
    let policy = kept.as_ref().map(|kept| &kept.policy);
    if let Some(name) = &wanted.policy {
        let got = state.map_or("none", |state| state.policy.as_str());
        if name != got {
            let set = scene.book.current();
            let known = set.policies().keys().map(String::as_str).chain(["none"]);
            let help = unknown_name("policy", name, known);
            found.push(Mismatch { help, ..Mismatch::of("escalation.policy", name, got) });
        }
    }
    told(wanted, view, policy, found);
    if let Some(Short(next)) = &wanted.next {
        coming(next, view, policy, scene, found);
    }
}

fn told(
    wanted: &EscalationWanted,
    view: &IncidentView,
    policy: Option<&EscalationPolicy>,
    found: &mut Vec<Mismatch>,
) {
    let last = steps(view).next_back();
    if let Some(level) = &wanted.level {
        let got = last.as_ref().map_or("none", |(name, _)| *name);
        // Reminders are of the level that they remind.
        let plain = got.split(" (").next().unwrap_or(got);
        if level != got && level != plain {
            let levels =
                policy.iter().flat_map(|policy| policy.levels.iter().map(|level| level.name.as_str()));
            let known = levels.chain(["fallback", "none", "everybody again"]);
            let help = unknown_name("level", level, known);
            found.push(Mismatch { help, ..Mismatch::of("escalation.level", level, got) });
        }
    }
    if let Some(tells) = &wanted.tells {
        let wanted: BTreeSet<String> = tells.0.iter().cloned().collect();
        let got: BTreeSet<String> =
            last.iter().flat_map(|(_, whom)| whom).map(|one| (*one).to_owned()).collect();
        differ(found, "escalation.tells", &all_of(&wanted), &all_of(&got));
    }
}

fn coming(
    wanted: &NextWanted,
    view: &IncidentView,
    policy: Option<&EscalationPolicy>,
    scene: &Scene<'_>,
    found: &mut Vec<Mismatch>,
) {
    let next = view.incident.escalation.as_ref().and_then(|state| state.next);
    if let Some(level) = &wanted.level {
        let name = |index: usize| {
            policy.and_then(|policy| policy.levels.get(index)).map_or("?", |level| level.name.as_str())
        };
        let got = match next.map(|next| next.step) {
            None => "none".to_owned(),
            Some(EscalationStep::Level(index)) => name(index).to_owned(),
            Some(EscalationStep::Reminder(index, _)) => format!("{} (again)", name(index)),
            Some(EscalationStep::Repeat(_)) => "everybody again".to_owned(),
            Some(EscalationStep::Fallback(_)) => "fallback".to_owned(),
        };
        differ(found, "escalation.next.level", level, &got);
    }
    if let Some(at) = wanted.at {
        // A step that waits for people to be at work is due then.
        let state = view.incident.escalation.as_ref();
        let due = state.and_then(|state| state.deferred_until.or(state.next.map(|next| next.due_at)));
        let got = due.map_or("none".to_owned(), |due| written(due.duration_since(scene.start)));
        differ(found, "escalation.next.at", &written(at.signed()), &got);
    }
}
