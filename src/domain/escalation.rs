//! Escalation: who hears next, and when, while nobody acknowledges.
//!
//! All times count from the incident's start. A level outside its hours is skipped at once in favour of the next
//! reachable one: an urgent incident never waits for the morning. When levels and repeats are used up, the
//! fallback hears, and for urgent incidents goes on hearing.

use crate::matcher::Matchers;
use crate::notification::Destination;
use crate::rule::RuleHash;
use crate::schedule::Schedule;
use crate::severity::Severity;
use crate::verification::after;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often one level is told again before the next level is due: a page that is not heard three times in a row
/// is not heard because it is repeated a fourth time.
pub const REMINDERS_MAX: u32 = 3;

/// How often the fallback hears of an urgent incident where the policy states no repeat.
pub const FALLBACK_EVERY: SignedDuration = SignedDuration::from_mins(30);

/// Who is told when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EscalationPolicy {
    /// Unique name.
    pub name: String,
    /// Which incidents it is for, where no rule names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<PolicySelector>,
    /// A level that did not acknowledge within this time is told again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge_within: Option<SignedDuration>,
    /// In order of `after`.
    pub levels: Vec<Level>,
    /// What happens after the last level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// Who hears when nobody else can be reached. Never empty.
    pub fallback: Vec<Destination>,
}

/// Selects incidents by severity and labels.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySelector {
    /// Any of these; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub severities: Vec<Severity>,
    /// All must match the incident's labels.
    #[serde(default)]
    pub matchers: Matchers,
}

/// One level of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// Name for people.
    pub name: String,
    /// When it is due, counted from the incident's start.
    pub after: SignedDuration,
    /// Schedule outside of which the level is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// Whom.
    pub destinations: Vec<Destination>,
}

/// What happens after the last level: every reachable level is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repeat {
    /// Time between two repeats.
    pub every: SignedDuration,
    /// How many.
    pub times: u32,
}

/// One step of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EscalationStep {
    /// A level is due for the first time.
    Level(usize),
    /// A level did not acknowledge and is told again, for the n-th time.
    Reminder(usize, u32),
    /// All levels are told again, for the n-th time.
    Repeat(u32),
    /// The fallback is told, for the n-th time (from 0).
    Fallback(u32),
}

/// A step with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueStep {
    /// When.
    pub due_at: Timestamp,
    /// What.
    pub step: EscalationStep,
}

/// Where the escalation of one incident stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationState {
    /// Name of the policy.
    pub policy: String,
    /// Digest of the policy's text that this incident keeps to.
    pub hash: RuleHash,
    /// Start that all times count from: the incident's start, or its reopening.
    pub started_at: Timestamp,
    /// The next step; none once acknowledged, resolved or used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<DueStep>,
    /// The highest level reached so far, as its index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<usize>,
}

/// What reaching a step means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Whom to tell now, without repetition.
    pub destinations: Vec<Destination>,
    /// What to call it for people.
    pub name: String,
    /// Levels that were skipped because they are off hours.
    pub skipped: Vec<String>,
    /// The highest level told, as its index.
    pub level: Option<usize>,
    /// What comes next.
    pub next: Option<DueStep>,
}

impl EscalationPolicy {
    /// Digest of the policy's text.
    pub fn hash(&self) -> RuleHash {
        RuleHash(crate::timeline::digest_of(self))
    }

    /// The first step of an incident.
    pub fn first(&self, started_at: Timestamp) -> DueStep {
        self.levels.first().map_or(
            DueStep { due_at: started_at, step: EscalationStep::Fallback(0) },
            |level| DueStep { due_at: after(started_at, level.after), step: EscalationStep::Level(0) },
        )
    }

    /// Carries out one step at `now`: whom to tell, and what follows.
    pub fn reach(
        &self,
        step: EscalationStep,
        started_at: Timestamp,
        severity: Severity,
        schedules: &BTreeMap<String, Schedule>,
        now: Timestamp,
    ) -> Reached {
        match step {
            EscalationStep::Level(index) => self.reach_level(index, started_at, severity, schedules, now),
            EscalationStep::Reminder(index, count) => {
                let mut reached = self.tell(&[index], schedules, now);
                if reached.destinations.is_empty() {
                    return self.reach_level(index + 1, started_at, severity, schedules, now);
                }
                reached.name = format!("{} (again)", reached.name);
                reached.next = self.after_level(index, count, started_at, now);
                reached
            }
            EscalationStep::Repeat(lap) => {
                let all: Vec<usize> = (0..self.levels.len()).collect();
                let mut reached = self.tell(&all, schedules, now);
                if reached.destinations.is_empty() {
                    return self.reach_fallback(0, severity, reached.skipped, now);
                }
                reached.name = format!("everybody again ({lap})");
                reached.next = self.after_repeat(lap, now);
                reached
            }
            EscalationStep::Fallback(lap) => self.reach_fallback(lap, severity, Vec::new(), now),
        }
    }

    /// Tells the level at `index`, or the next reachable one when it is off hours.
    fn reach_level(
        &self,
        index: usize,
        started_at: Timestamp,
        severity: Severity,
        schedules: &BTreeMap<String, Schedule>,
        now: Timestamp,
    ) -> Reached {
        let mut skipped = Vec::new();
        for candidate in index..self.levels.len() {
            let mut reached = self.tell(&[candidate], schedules, now);
            if !reached.destinations.is_empty() {
                reached.skipped = skipped;
                reached.next = self.after_level(candidate, 0, started_at, now);
                return reached;
            }
            skipped.append(&mut reached.skipped);
        }
        self.reach_fallback(0, severity, skipped, now)
    }

    fn reach_fallback(&self, lap: u32, severity: Severity, skipped: Vec<String>, now: Timestamp) -> Reached {
        let every = self.repeat.map_or(FALLBACK_EVERY, |repeat| repeat.every).max(FALLBACK_EVERY / 6);
        // An urgent incident is never forgotten; a mild one is told once and then waits for people.
        let next = severity.is_urgent().then(|| DueStep {
            due_at: after(now, every),
            step: EscalationStep::Fallback(lap.saturating_add(1)),
        });
        Reached {
            destinations: self.fallback.clone(),
            name: "fallback".to_owned(),
            skipped,
            level: self.levels.len().checked_sub(1),
            next,
        }
    }

    fn tell(&self, indexes: &[usize], schedules: &BTreeMap<String, Schedule>, now: Timestamp) -> Reached {
        let mut reached = Reached {
            destinations: Vec::new(),
            name: String::new(),
            skipped: Vec::new(),
            level: None,
            next: None,
        };
        for index in indexes {
            let Some(level) = self.levels.get(*index) else { continue };
            if !level.is_reachable(schedules, now) {
                reached.skipped.push(level.name.clone());
                continue;
            }
            reached.name.clone_from(&level.name);
            reached.level = Some(*index);
            for destination in &level.destinations {
                if !reached.destinations.contains(destination) {
                    reached.destinations.push(destination.clone());
                }
            }
        }
        reached
    }

    /// What follows once the level at `index` was told, `reminders` times already again.
    fn after_level(
        &self,
        index: usize,
        reminders: u32,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Option<DueStep> {
        let following = match self.levels.get(index + 1) {
            Some(level) => Some(DueStep {
                // A level that was skipped to early does not bring the later ones forward.
                due_at: after(started_at, level.after).max(now),
                step: EscalationStep::Level(index + 1),
            }),
            None => self.after_last(now),
        };
        let reminder = self.acknowledge_within.filter(|_| reminders < REMINDERS_MAX).map(|within| DueStep {
            due_at: after(now, within),
            step: EscalationStep::Reminder(index, reminders + 1),
        });
        match (reminder, following) {
            (Some(reminder), Some(next)) if reminder.due_at < next.due_at => Some(reminder),
            (Some(reminder), None) => Some(reminder),
            (_, next) => next,
        }
    }

    fn after_last(&self, now: Timestamp) -> Option<DueStep> {
        match self.repeat {
            Some(repeat) if repeat.times > 0 => {
                Some(DueStep { due_at: after(now, repeat.every), step: EscalationStep::Repeat(1) })
            }
            Some(repeat) => {
                Some(DueStep { due_at: after(now, repeat.every), step: EscalationStep::Fallback(0) })
            }
            None => Some(DueStep { due_at: after(now, FALLBACK_EVERY), step: EscalationStep::Fallback(0) }),
        }
    }

    fn after_repeat(&self, lap: u32, now: Timestamp) -> Option<DueStep> {
        let repeat = self.repeat?;
        let step =
            if lap < repeat.times { EscalationStep::Repeat(lap + 1) } else { EscalationStep::Fallback(0) };
        Some(DueStep { due_at: after(now, repeat.every), step })
    }
}

impl Level {
    /// Whether the level may be told at `now`. A schedule that does not exist counts as always on: telling fails
    /// open, and the loader refuses such rules anyway.
    pub fn is_reachable(&self, schedules: &BTreeMap<String, Schedule>, now: Timestamp) -> bool {
        self.hours.as_ref().and_then(|name| schedules.get(name)).is_none_or(|hours| hours.is_active(now))
    }
}

/// The policy for an incident: the one that the rule names, else the first whose selector fits, else the default.
pub fn select<'a>(
    policies: &'a BTreeMap<String, EscalationPolicy>,
    named: Option<&str>,
    default: Option<&str>,
    severity: Severity,
    labels: &crate::Labels,
) -> Option<&'a EscalationPolicy> {
    if let Some(policy) = named.and_then(|name| policies.get(name)) {
        return Some(policy);
    }
    let fits = |policy: &&EscalationPolicy| {
        policy.selector.as_ref().is_some_and(|selector| {
            (selector.severities.is_empty() || selector.severities.contains(&severity))
                && selector.matchers.matches(labels)
        })
    };
    policies.values().find(fits).or_else(|| default.and_then(|name| policies.get(name)))
}
