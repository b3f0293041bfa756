//! Escalation: who hears next, and when, while nobody acknowledges.
//!
//! All times count from the incident's start. A mild incident may wait for the morning where its policy says so
//! ([`EscalationPolicy::deferred`]), and an acknowledgement may count for a time only. A level outside its hours is skipped at once in favour of the next
//! reachable one: an urgent incident never waits for the morning. When levels and repeats are used up, the
//! fallback hears, and for urgent incidents goes on hearing.

use crate::matcher::Matchers;
use crate::notification::Destination;
use crate::rule::RuleHash;
use crate::schedule::{Contact, Schedule};
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
    /// How long an acknowledgement counts, where it does not count until the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledgement_expires_after: Option<SignedDuration>,
    /// Schedule outside of which mild incidents wait for it to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defer_until: Option<String>,
    /// By when service must be back, where that was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,
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
    /// Schedules whose person on call is told as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_call: Vec<String>,
}

/// What was promised for the worst: both count from the incident's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Objectives {
    /// Recovery time objective: service is back within this.
    pub rto: SignedDuration,
    /// Recovery point objective: what was written longer than this before the incident is not lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<SignedDuration>,
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
    /// What was promised, as the policy says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,
    /// The next step; none once acknowledged, resolved or used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<DueStep>,
    /// The highest level reached so far, as its index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<usize>,
    /// Until when the next step waits for people to be at work; none while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred_until: Option<Timestamp>,
    /// Whether the last thing that it has to tell was told: a mild incident waits for people then, and needs no next step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub used_up: bool,
}

impl EscalationState {
    /// By when service must be back.
    pub fn back_by(&self) -> Option<Timestamp> {
        self.objectives.map(|objectives| after(self.started_at, objectives.rto))
    }

    /// From when on nothing that was written may be lost.
    pub fn data_from(&self) -> Option<Timestamp> {
        let rpo = self.objectives?.rpo?;
        Some(self.started_at.checked_sub(rpo).unwrap_or(self.started_at))
    }
}

/// What reaching a step means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Whom to tell now, without repetition.
    pub destinations: Vec<Destination>,
    /// What to call it for people.
    pub name: String,
    /// Who is on call, of the levels that are told.
    pub called: Vec<Called>,
    /// Schedules of these levels in which nobody is on call, or nobody who can be reached.
    pub vacant: Vec<String>,
    /// Levels that were skipped.
    pub skipped: Vec<Skipped>,
    /// The highest level told, as its index.
    pub level: Option<usize>,
    /// What comes next.
    pub next: Option<DueStep>,
}

/// A person who is told because they are on call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Who.
    pub person: String,
    /// The schedule that says so.
    pub schedule: String,
    /// Their member id in Slack, by which they are called where the level tells a channel.
    pub slack: Option<String>,
}

/// A level that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The level.
    pub name: String,
    /// Why.
    pub why: SkippedFor,
}

/// Why a level is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkippedFor {
    /// It is outside of its hours.
    OffHours,
    /// It tells whoever is on call, and nobody is, or nobody who can be reached.
    NobodyOnCall,
}

impl SkippedFor {
    /// The word for timelines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OffHours => "off_hours",
            Self::NobodyOnCall => "nobody_on_call",
        }
    }
}

/// The level with the reason, in a few words.
impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.why {
            SkippedFor::OffHours => write!(f, "{} off hours", self.name),
            SkippedFor::NobodyOnCall => write!(f, "nobody on call for {}", self.name),
        }
    }
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

    /// When a step that is due at `now` is carried out instead: a mild incident waits until people are at work. None where
    /// it does not wait; urgent incidents never do, and neither does anything where that time is not in sight.
    pub fn deferred(
        &self,
        severity: Severity,
        schedules: &BTreeMap<String, Schedule>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let hours = self.defer_until.as_ref().and_then(|name| schedules.get(name));
        let begins_at = hours.filter(|_| !severity.is_urgent())?.next_active(now)?;
        (begins_at > now).then_some(begins_at)
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

    fn reach_fallback(&self, lap: u32, severity: Severity, skipped: Vec<Skipped>, now: Timestamp) -> Reached {
        let every = self.repeat.map_or(FALLBACK_EVERY, |repeat| repeat.every).max(FALLBACK_EVERY / 6);
        // An urgent incident is never forgotten; a mild one is told once and then waits for people.
        let next = severity.is_urgent().then(|| DueStep {
            due_at: after(now, every),
            step: EscalationStep::Fallback(lap.saturating_add(1)),
        });
        Reached {
            name: "fallback".to_owned(),
            destinations: self.fallback.clone(),
            skipped,
            level: self.levels.len().checked_sub(1),
            next,
            ..Reached::default()
        }
    }

    fn tell(&self, indexes: &[usize], schedules: &BTreeMap<String, Schedule>, now: Timestamp) -> Reached {
        let mut reached = Reached::default();
        for index in indexes {
            let Some(level) = self.levels.get(*index) else { continue };
            if !level.is_reachable(schedules, now) {
                reached.skipped.push(Skipped { name: level.name.clone(), why: SkippedFor::OffHours });
                continue;
            }
            let mut told = level.destinations.clone();
            reached.call(level, &mut told, schedules, now);
            if told.is_empty() {
                reached.skipped.push(Skipped { name: level.name.clone(), why: SkippedFor::NobodyOnCall });
                continue;
            }
            reached.name.clone_from(&level.name);
            reached.level = Some(*index);
            for destination in told {
                if !reached.destinations.contains(&destination) {
                    reached.destinations.push(destination);
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
            // Counted from when it was first told, so that reminders put nothing off.
            None => {
                let within = self.acknowledge_within.unwrap_or_default();
                let told_at = now.checked_sub(within * i32::try_from(reminders).unwrap_or(0)).unwrap_or(now);
                self.after_last(told_at).map(|next| DueStep { due_at: next.due_at.max(now), ..next })
            }
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

impl Reached {
    /// Adds whoever is on call for a level: by their name in a channel that it tells, or else by a message of their own.
    fn call(
        &mut self,
        level: &Level,
        told: &mut Vec<Destination>,
        schedules: &BTreeMap<String, Schedule>,
        now: Timestamp,
    ) {
        let has_channel = told.iter().any(|destination| matches!(destination, Destination::Slack { .. }));
        for name in &level.on_call {
            let turn = schedules.get(name).and_then(|schedule| Some((schedule, schedule.on_call_at(now)?)));
            let Some((schedule, turn)) = turn else {
                self.vacant.push(name.clone());
                continue;
            };
            let Contact { slack, email } = schedule.contact_of(turn.person);
            match (&slack, email) {
                (Some(_), _) if has_channel => {}
                (Some(member), _) => told.push(Destination::Slack { channel: member.clone() }),
                (None, Some(to)) => told.push(Destination::Email { to }),
                (None, None) => self.vacant.push(name.clone()),
            }
            let called = Called { person: turn.person.to_owned(), schedule: name.clone(), slack };
            if !self.called.contains(&called) {
                self.called.push(called);
            }
        }
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
