//! Counts what the engine made of the past, by rule: as it is written, so that nothing of an incident has to be kept.
//!
//! What is counted are incidents: a remedy that was blocked three times in one incident was blocked in one incident.

use super::report::{Call, Counts, LevelReport, RemedyReport, RuleReport, Unmatched};
use crate::domain::action::{Action, ActionStatus, Tier};
use crate::domain::alert::Alert;
use crate::domain::decision::Reason;
use crate::domain::incident::{Incident, IncidentId, Phase};
use crate::domain::timeline::LineKind;
use crate::engine::ports::IncidentWrite;
use crate::rules::book::UNMATCHED;
use crate::store::memory::Watcher;
use crate::testing::judge::{Decided, decided, step};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Calls that are listed one by one. Who wants more asks for a shorter range.
pub const CALLS_MAX: usize = 1_000;

/// Names of alerts that are listed where no rule matches.
const NAMES_MAX: usize = 200;

/// What became of one incident so far.
#[derive(Default)]
struct Course {
    /// What happened to remedies; each counts once.
    remedies: BTreeSet<(String, Happened)>,
    /// Levels that were told.
    levels: BTreeSet<String>,
    reopened: u32,
}

/// What can happen to a remedy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happened {
    Told,
    GivenToPeople,
    Asked,
    Simulated,
    Blocked(String),
    Skipped(String),
    Acted,
    NotHelped,
    Expired,
    EndedFirst,
}

/// The tally of one set of rules.
#[derive(Default)]
pub struct Tally {
    rules: BTreeMap<String, RuleReport>,
    courses: HashMap<IncidentId, Course>,
    /// Incidents that ended, and when.
    ended: Vec<(IncidentId, Timestamp, Arc<str>)>,
    calls: Vec<Call>,
    calls_left_out: u64,
    unmatched: BTreeMap<String, u64>,
    unmatched_alerts: u64,
}

/// A tally that the store writes to and the player reads.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Tally>>);

impl Shared {
    /// The tally.
    pub fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for Shared {
    fn written(&mut self, write: &IncidentWrite) {
        self.lock().written(write);
    }
}

impl Tally {
    /// An alert that fires is answered by these rules.
    pub fn matched<'r>(&mut self, alert: &Alert, rules: impl Iterator<Item = &'r str>) {
        for rule in rules {
            if rule == UNMATCHED {
                self.unmatched_alerts += 1;
                let is_known = self.unmatched.contains_key(alert.name());
                if is_known || self.unmatched.len() < NAMES_MAX {
                    *self.unmatched.entry(alert.name().to_owned()).or_default() += 1;
                }
            }
            self.rule(rule).alerts += 1;
        }
    }

    fn rule(&mut self, name: &str) -> &mut RuleReport {
        if !self.rules.contains_key(name) {
            self.rules.insert(name.to_owned(), RuleReport::named(name));
        }
        self.rules.get_mut(name).expect("it was put there")
    }

    fn written(&mut self, write: &IncidentWrite) {
        let incident = &write.incident;
        let mut course = self.courses.remove(&incident.id).unwrap_or_default();
        if write.loaded_version == 0 {
            self.rule(&incident.rule).incidents += 1;
        }
        for line in &write.lines {
            if let Some(decided) = decided(line) {
                let happened = Happened::of(decided);
                course.remedies.insert((decided.remedy.to_owned(), happened));
            }
            if let Some((level, whom)) = step(line) {
                let is_first = course.levels.insert(level.to_owned());
                self.called(incident, level, &whom, line.at, is_first);
            }
            if line.kind == LineKind::Reopened {
                course.reopened += 1;
            }
            if line.kind == LineKind::Resolved {
                self.ended.push((incident.id.clone(), line.at, Arc::from(incident.rule.as_str())));
            }
        }
        self.courses.insert(incident.id.clone(), course);
    }

    fn called(&mut self, incident: &Incident, level: &str, whom: &[&str], at: Timestamp, is_first: bool) {
        if whom.is_empty() {
            return;
        }
        let began = incident.reopened_at.last().copied().unwrap_or(incident.started_at);
        let after = at.duration_since(began);
        let levels = &mut self.rule(&incident.rule).levels;
        let known = match levels.iter().position(|known| known.level == level) {
            Some(place) => &mut levels[place],
            None => {
                levels.push(LevelReport::new(level, at, after));
                levels.last_mut().expect("it was put there")
            }
        };
        known.count(whom, at, after, is_first);
        if self.calls.len() >= CALLS_MAX {
            self.calls_left_out += 1;
            return;
        }
        self.calls.push(Call {
            at,
            rule: incident.rule.clone(),
            summary: incident.summary.clone(),
            severity: incident.severity,
            level: level.to_owned(),
            told: whom.iter().map(|one| (*one).to_owned()).collect(),
        });
    }

    /// Incidents that ended since this was asked last.
    pub fn take_ended(&mut self) -> Vec<(IncidentId, Timestamp, Arc<str>)> {
        std::mem::take(&mut self.ended)
    }

    /// An incident is over for good, or the history is.
    pub fn close(&mut self, incident: &Incident) {
        let Some(mut course) = self.courses.remove(&incident.id) else { return };
        for action in &incident.actions {
            for happened in of_action(action) {
                course.remedies.insert((action.remedy.clone(), happened));
            }
        }
        let acted = course.remedies.iter().any(|(_, happened)| *happened == Happened::Acted);
        let rule = self.rule(&incident.rule);
        rule.reopened += u64::from(course.reopened);
        rule.still_open += u64::from(incident.is_open());
        rule.ended_by_themselves += u64::from(!incident.is_open() && !acted);
        rule.handed_over += u64::from(incident.phase == Phase::HandedOver);
        for (remedy, happened) in course.remedies {
            rule.remedy(&remedy).count(&happened);
        }
        for action in incident.actions.iter().filter(|action| action.tier > Tier::T0) {
            let ended = incident.resolved.as_ref().map(|resolved| resolved.at);
            rule.remedy(&action.remedy).seen(action, ended);
        }
    }

    /// What was counted.
    pub fn counts(self) -> Counts {
        Counts {
            rules: self.rules.into_values().filter(|rule| rule.name != UNMATCHED).collect(),
            unmatched: Unmatched { alerts: self.unmatched_alerts, names: self.unmatched },
            calls: self.calls,
            calls_left_out: self.calls_left_out,
        }
    }
}

impl Happened {
    fn of(decided: Decided<'_>) -> Self {
        match (decided.decision, decided.word) {
            ("run", "touches_nothing") => Self::Told,
            ("run", "done_by_people") => Self::GivenToPeople,
            // That it was carried out is said by the action itself.
            ("run", _) => Self::Skipped(String::new()),
            ("ask", _) => Self::Asked,
            ("simulate", _) => Self::Simulated,
            ("block", word) => Self::Blocked(word.to_owned()),
            (_, word) => Self::Skipped(word.to_owned()),
        }
    }
}

/// What came of an action that was taken.
fn of_action(action: &Action) -> impl Iterator<Item = Happened> {
    let acted = action.tier > Tier::T0 && action.started_at.is_some() && !is_task(action);
    let not_helped = acted
        && matches!(
            action.reason,
            Reason::VerificationFailed(_) | Reason::RolledBack(_) | Reason::Unproven(_)
        );
    let expired = action.status == ActionStatus::Expired;
    let ended_first = action.status == ActionStatus::Cancelled && action.reason == Reason::IncidentResolved;
    [
        (acted, Happened::Acted),
        (not_helped, Happened::NotHelped),
        (expired, Happened::Expired),
        (ended_first, Happened::EndedFirst),
    ]
    .into_iter()
    .filter_map(|(is_so, happened)| is_so.then_some(happened))
}

/// Whether people carry it out.
fn is_task(action: &Action) -> bool {
    action.plan.kind == "human.task"
}

impl RemedyReport {
    fn count(&mut self, happened: &Happened) {
        match happened {
            Happened::Told => self.told += 1,
            Happened::GivenToPeople => self.given_to_people += 1,
            Happened::Asked => self.asked += 1,
            Happened::Simulated => self.simulated += 1,
            Happened::Acted => self.acted += 1,
            Happened::NotHelped => self.not_seen_to_help += 1,
            Happened::Expired => self.unanswered += 1,
            Happened::EndedFirst => self.ended_first += 1,
            Happened::Blocked(why) => *self.blocked.entry(why.clone()).or_default() += 1,
            Happened::Skipped(why) if why.is_empty() => {}
            Happened::Skipped(why) => *self.skipped.entry(why.clone()).or_default() += 1,
        }
    }

    /// Takes in when an action began, and how long its alerts went on.
    fn seen(&mut self, action: &Action, ended: Option<Timestamp>) {
        self.tier = self.tier.max(Some(action.tier));
        let Some(started) = action.started_at.filter(|_| !is_task(action)) else { return };
        self.first_at = Some(self.first_at.map_or(started, |first| first.min(started)));
        self.last_at = Some(self.last_at.map_or(started, |last| last.max(started)));
        if let Some(went_on) = ended.map(|ended| ended.duration_since(started)).filter(|it| !it.is_negative())
        {
            self.went_on_seconds += went_on.as_secs().unsigned_abs();
            self.went_on_count += 1;
        }
    }
}

impl LevelReport {
    fn new(level: &str, at: Timestamp, after: SignedDuration) -> Self {
        let seconds = after.as_secs();
        Self {
            level: level.to_owned(),
            told: BTreeSet::new(),
            incidents: 0,
            calls: 0,
            first_at: at,
            last_at: at,
            soonest_after_seconds: seconds,
            latest_after_seconds: seconds,
        }
    }

    fn count(&mut self, whom: &[&str], at: Timestamp, after: SignedDuration, is_first: bool) {
        self.told.extend(whom.iter().map(|one| (*one).to_owned()));
        self.incidents += u64::from(is_first);
        self.calls += 1;
        self.last_at = self.last_at.max(at);
        self.soonest_after_seconds = self.soonest_after_seconds.min(after.as_secs());
        self.latest_after_seconds = self.latest_after_seconds.max(after.as_secs());
    }
}
