//! What tests reach: rules that answered, remedies that were taken, both ends of each branch, policies and their levels.
//!
//! Taken from what the incidents of the tests have become, so that nothing has to be watched while a test plays.

use super::judge::steps;
use crate::domain::action::{Action, ActionStatus, Tier};
use crate::domain::approval::Verdict;
use crate::domain::catalog::Performer;
use crate::domain::decision::Reason;
use crate::domain::rule::{RemedySpec, ResponseRule};
use crate::domain::timeline::TimelineLine;
use crate::engine::ports::IncidentView;
use crate::rules::RuleBook;
use std::collections::BTreeMap;

/// What there is, by its name, and whether a test reaches it.
pub type Reached = BTreeMap<String, bool>;

/// What tests reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Rules that answered.
    pub rules: Reached,
    /// Remedies that were taken, as `RULE/REMEDY`: carried out, asked for, simulated or forbidden.
    pub remedies: Reached,
    /// Ends of branches, as `RULE/REMEDY: END`.
    pub branches: Reached,
    /// Escalation policies that were followed.
    pub policies: Reached,
    /// Their levels that were told, as `POLICY/LEVEL`.
    pub levels: Reached,
}

impl Coverage {
    /// Everything that there is in a book joins as not reached, unless it was.
    pub fn add_all(&mut self, book: &RuleBook) {
        let set = book.current();
        for kept in set.rules() {
            let rule = &kept.rule;
            note(&mut self.rules, rule.name.clone(), false);
            for remedy in &rule.remedies {
                note(&mut self.remedies, of(rule, remedy), false);
                for end in ends(remedy, book) {
                    note(&mut self.branches, branch(&of(rule, remedy), end), false);
                }
            }
        }
        for policy in set.policies().values() {
            note(&mut self.policies, policy.name.clone(), false);
            for level in &policy.levels {
                note(&mut self.levels, format!("{}/{}", policy.name, level.name), false);
            }
        }
    }

    /// What the incidents of a test have reached.
    pub fn add(&mut self, views: &[IncidentView], book: &RuleBook) {
        let set = book.current();
        for view in views {
            let incident = &view.incident;
            if let Some(state) = &incident.escalation {
                reach(&mut self.policies, state.policy.clone());
                let levels = set.policies().get(&state.policy).map(|policy| policy.levels.as_slice());
                // Reminders are of their level; the fallback and laps over all levels are of none.
                let told: Vec<&str> = steps(view).filter_map(|(name, _)| name.split(" (").next()).collect();
                for level in levels.unwrap_or_default() {
                    if told.contains(&level.name.as_str()) {
                        reach(&mut self.levels, format!("{}/{}", state.policy, level.name));
                    }
                }
            }
            let Some(kept) = set.rule_by_name(&incident.rule) else { continue };
            reach(&mut self.rules, incident.rule.clone());
            for remedy in &kept.rule.remedies {
                self.add_remedy(&kept.rule, remedy, view, book);
            }
        }
    }

    fn add_remedy(&mut self, rule: &ResponseRule, remedy: &RemedySpec, view: &IncidentView, book: &RuleBook) {
        let name = of(rule, remedy);
        let actions = || view.incident.actions.iter().filter(|action| action.remedy == remedy.name);
        let mut reached: Vec<&str> = actions().flat_map(ends_of).collect();
        if actions().next().is_some() {
            reach(&mut self.remedies, name.clone());
            reached.push(HOLDS);
        }
        let judged = format!("{}: ", remedy.name);
        let fails = |line: &TimelineLine| line.reason.as_deref() == Some("condition_fails");
        if view.timeline.iter().any(|line| fails(line) && line.text.starts_with(&judged)) {
            reached.push(FAILS);
        }
        let ends = ends(remedy, book);
        for end in reached.into_iter().filter(|end| ends.contains(end)) {
            reach(&mut self.branches, branch(&name, end));
        }
    }

    /// What another part has reached joins.
    pub fn join(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.rules, &other.rules),
            (&mut self.remedies, &other.remedies),
            (&mut self.branches, &other.branches),
            (&mut self.policies, &other.policies),
            (&mut self.levels, &other.levels),
        ] {
            others.iter().for_each(|(name, reached)| note(own, name.clone(), *reached));
        }
    }
}

const HOLDS: &str = "when holds";
const FAILS: &str = "when fails";
const HELPED: &str = "it helped";
const DID_NOT_HELP: &str = "it did not help";
const APPROVED: &str = "approved";
const REJECTED: &str = "rejected";
const EXPIRED: &str = "expired";

fn note(all: &mut Reached, name: String, reached: bool) {
    *all.entry(name).or_insert(false) |= reached;
}

fn reach(all: &mut Reached, name: String) {
    note(all, name, true);
}

fn of(rule: &ResponseRule, remedy: &RemedySpec) -> String {
    format!("{}/{}", rule.name, remedy.name)
}

fn branch(remedy: &str, end: &str) -> String {
    format!("{remedy}: {end}")
}

/// The ends that a remedy may come to.
fn ends(remedy: &RemedySpec, book: &RuleBook) -> Vec<&'static str> {
    let mut ends = Vec::new();
    if remedy.when.is_some() {
        ends.extend([HOLDS, FAILS]);
    }
    let kind = book.catalog().action(&remedy.action.kind);
    let by_machine = kind.is_none_or(|kind| kind.performer == Performer::Machine);
    if remedy.tier >= Tier::T2 && by_machine {
        ends.extend([APPROVED, REJECTED, EXPIRED]);
    }
    if remedy.verify.is_some() {
        ends.extend([HELPED, DID_NOT_HELP]);
    }
    ends
}

/// The ends that an action came to.
fn ends_of(action: &Action) -> Vec<&'static str> {
    let mut ends = Vec::new();
    let said = |verdict: Verdict| action.approvals.records.iter().any(|record| record.verdict == verdict);
    if said(Verdict::Approve) {
        ends.push(APPROVED);
    }
    if said(Verdict::Reject) {
        ends.push(REJECTED);
    }
    if action.status == ActionStatus::Expired {
        ends.push(EXPIRED);
    }
    match &action.reason {
        Reason::Verified => ends.push(HELPED),
        Reason::VerificationFailed(_) | Reason::RolledBack(_) | Reason::RollbackFailed(_) => {
            ends.push(DID_NOT_HELP);
        }
        _ => {}
    }
    ends
}
