//! What a backtest found, as scripts read it. The words are part of the contract.

use super::history::Read;
use crate::domain::action::Tier;
use crate::domain::severity::Severity;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What came of a backtest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// The distance of the points, in seconds: alerts that were shorter may have been missed.
    pub step_seconds: i64,
    /// An alert that was missing for no longer than this has not ended.
    pub grace_seconds: i64,
    /// What was read.
    pub history: Read,
    /// What nobody can know of the past, and what was taken for granted instead.
    pub assumed: Vec<String>,
    /// Questions of diagnostics that Prometheus was asked about the past.
    pub evidence: Evidence,
    /// What the rules would have made of it.
    #[serde(flatten)]
    pub counts: Counts,
    /// What differs from other rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// Questions about the past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// So many were asked.
    pub asked: u64,
    /// So many were not, because there were too many.
    pub left_out: u64,
}

/// What one set of rules would have made of the past.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counts {
    /// By rule, in the order of their names; rules that nothing matched are not there.
    pub rules: Vec<RuleReport>,
    /// Alerts that no rule matches.
    pub unmatched: Unmatched,
    /// Who would have been called, in order.
    pub calls: Vec<Call>,
    /// How many more calls there would have been.
    pub calls_left_out: u64,
}

/// What a rule would have done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RuleReport {
    /// Its name.
    pub name: String,
    /// Alerts that it would have answered, each time that they began.
    pub alerts: u64,
    /// Incidents that it would have opened.
    pub incidents: u64,
    /// How often one would have been opened again.
    pub reopened: u64,
    /// Incidents that ended before any remedy would have acted.
    pub ended_by_themselves: u64,
    /// Incidents that would have been open at the end.
    pub still_open: u64,
    /// Of those, incidents in which nothing more would have been tried.
    pub handed_over: u64,
    /// Its remedies.
    pub remedies: Vec<RemedyReport>,
    /// Whom its escalation would have called.
    pub levels: Vec<LevelReport>,
}

/// What would have become of a remedy. Each number counts incidents; one may count in several.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RemedyReport {
    /// Its name.
    pub name: String,
    /// The highest tier that it would have been taken at.
    pub tier: Option<Tier>,
    /// It would have been carried out.
    pub acted: u64,
    /// Of those, it was not seen to help: the past went on as it did.
    pub not_seen_to_help: u64,
    /// People would have been asked.
    pub asked: u64,
    /// Nobody would have answered in time.
    pub unanswered: u64,
    /// The incident ended before people answered, or before it began.
    pub ended_first: u64,
    /// Dry run or shadow: it would only have been recorded.
    pub simulated: u64,
    /// People would have been given it to do.
    pub given_to_people: u64,
    /// It touches nothing, and would have been done.
    pub told: u64,
    /// It would have been forbidden, by the word of the reason.
    pub blocked: BTreeMap<String, u64>,
    /// It would not have applied, by the word of the reason.
    pub skipped: BTreeMap<String, u64>,
    /// When it would have acted first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Timestamp>,
    /// When it would have acted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// How long alerts went on after it would have acted, in seconds, over all of `went_on_count`.
    pub went_on_seconds: u64,
    /// Times that it would have acted in incidents that ended later.
    pub went_on_count: u64,
}

/// Whom a level of the escalation would have called.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelReport {
    /// Its name.
    pub level: String,
    /// Whom.
    pub told: BTreeSet<String>,
    /// In how many incidents.
    pub incidents: u64,
    /// How often.
    pub calls: u64,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
    /// The shortest time from the start of an incident, in seconds.
    pub soonest_after_seconds: i64,
    /// The longest.
    pub latest_after_seconds: i64,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Call {
    /// When.
    pub at: Timestamp,
    /// Of which rule.
    pub rule: String,
    /// About what.
    pub summary: String,
    /// How bad.
    pub severity: Severity,
    /// Which level.
    pub level: String,
    /// Whom.
    pub told: Vec<String>,
}

/// Alerts that no rule matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unmatched {
    /// How many, each time that they began.
    pub alerts: u64,
    /// By name, as far as there is room.
    pub names: BTreeMap<String, u64>,
}

/// What differs between two sets of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Numbers that differ, rule by rule.
    pub changes: Vec<Change>,
}

/// One number that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The rule; none for alerts that no rule matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Which number, such as `incidents`, `remedies.restart.acted` or `levels.on-call.calls`.
    pub what: String,
    /// With the other rules.
    pub before: u64,
    /// With these.
    pub after: u64,
}

impl RuleReport {
    /// A rule of which nothing is counted yet.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// One of its remedies.
    pub fn remedy(&mut self, name: &str) -> &mut RemedyReport {
        let place = match self.remedies.iter().position(|known| known.name == name) {
            Some(place) => place,
            None => {
                self.remedies.push(RemedyReport { name: name.to_owned(), ..RemedyReport::default() });
                self.remedies.len() - 1
            }
        };
        &mut self.remedies[place]
    }

    /// Its numbers, by their names.
    fn numbers(&self) -> BTreeMap<String, u64> {
        let mut numbers = BTreeMap::new();
        let mut add = |what: String, count: u64| {
            if count > 0 {
                numbers.insert(what, count);
            }
        };
        add("alerts".to_owned(), self.alerts);
        add("incidents".to_owned(), self.incidents);
        add("ended_by_themselves".to_owned(), self.ended_by_themselves);
        add("still_open".to_owned(), self.still_open);
        for remedy in &self.remedies {
            let counts = [
                ("acted", remedy.acted),
                ("asked", remedy.asked),
                ("unanswered", remedy.unanswered),
                ("ended_first", remedy.ended_first),
                ("simulated", remedy.simulated),
                ("given_to_people", remedy.given_to_people),
                ("told", remedy.told),
            ];
            counts
                .into_iter()
                .for_each(|(word, count)| add(format!("remedies.{}.{word}", remedy.name), count));
            for (word, reasons) in [("blocked", &remedy.blocked), ("skipped", &remedy.skipped)] {
                for (why, count) in reasons {
                    add(format!("remedies.{}.{word}.{why}", remedy.name), *count);
                }
            }
        }
        for level in &self.levels {
            add(format!("levels.{}.incidents", level.level), level.incidents);
            add(format!("levels.{}.calls", level.level), level.calls);
        }
        numbers
    }
}

impl Difference {
    /// From the other rules to these.
    pub fn between(before: &Counts, after: &Counts) -> Self {
        let mut changes = Vec::new();
        let unmatched = (before.unmatched.alerts, after.unmatched.alerts);
        if unmatched.0 != unmatched.1 {
            let what = "unmatched alerts".to_owned();
            changes.push(Change { rule: None, what, before: unmatched.0, after: unmatched.1 });
        }
        let numbers = |counts: &Counts| -> BTreeMap<String, BTreeMap<String, u64>> {
            counts.rules.iter().map(|rule| (rule.name.clone(), rule.numbers())).collect()
        };
        let (before, after) = (numbers(before), numbers(after));
        let rules: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let none = BTreeMap::new();
        for rule in rules {
            let (old, new) = (before.get(rule).unwrap_or(&none), after.get(rule).unwrap_or(&none));
            let whats: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for what in whats {
                let (before, after) =
                    (old.get(what).copied().unwrap_or(0), new.get(what).copied().unwrap_or(0));
                if before != after {
                    changes.push(Change { rule: Some(rule.clone()), what: what.clone(), before, after });
                }
            }
        }
        Self { changes }
    }
}
