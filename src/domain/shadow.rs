//! Rules in shadow against what was really done: what each remedy would have done in an incident, and whether people and
//! live rules did the same.
//!
//! Everything is read from what is stored; nothing is guessed. What nobody wrote down, such as a command that somebody
//! typed into a terminal, makes the comparison unclear and never an agreement.

use crate::Labels;
use crate::action::{Action, ActionStatus, Tier};
use crate::approval::Verdict;
use crate::correlate::Target;
use crate::decision::{Decision, Reason, Would, decided};
use crate::incident::{Incident, IncidentId};
use crate::people::{Actor, Via};
use crate::rule::RuleMode;
use crate::timeline::TimelineLine;
use crate::verification::after;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// An incident that ends by itself within this time of the moment did not need the remedy: a remedy takes as long to be
/// approved, carried out and seen to help. The same time as an approval may be outstanding by default.
pub const NOT_NEEDED_WITHIN: SignedDuration = SignedDuration::from_mins(15);

/// What is done this shortly after the end of an incident belongs to it still, such as an attempt whose answer is out.
const AFTERWARDS: SignedDuration = SignedDuration::from_mins(5);

/// What a remedy of a rule in shadow came to in one incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Name of the remedy.
    pub remedy: String,
    /// What it would have done the first time, and when.
    pub moment: Option<Moment>,
    /// Words of the reasons that forbade it.
    pub blocked: BTreeSet<String>,
    /// Words of the reasons for which it did not apply.
    pub skipped: BTreeSet<String>,
}

/// When a remedy would have been taken, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What would have been done.
    pub would: Would,
    /// Which action.
    pub kind: String,
    /// On what.
    pub target: String,
}

/// What remedies came to in an incident in shadow, in the order in which they were judged.
pub fn courses(incident: &Incident, lines: &[TimelineLine]) -> Vec<Course> {
    let mut courses: Vec<Course> = Vec::new();
    for decision in lines.iter().filter_map(decided) {
        // What follows the end is no remedy.
        if decision.remedy.starts_with("on-resolve-") {
            continue;
        }
        let place = courses.iter().position(|course| course.remedy == decision.remedy);
        let place = place.unwrap_or_else(|| {
            let remedy = decision.remedy.to_owned();
            courses.push(Course { remedy, moment: None, blocked: BTreeSet::new(), skipped: BTreeSet::new() });
            courses.len() - 1
        });
        let course = &mut courses[place];
        // That it was recorded before says nothing about it.
        if decision.decision == Decision::Block.as_str() {
            course.blocked.insert(decision.word.to_owned());
        } else if decision.decision == Decision::Skip.as_str() && decision.word != Reason::AlreadyTried.word()
        {
            course.skipped.insert(decision.word.to_owned());
        }
    }
    for course in &mut courses {
        let recorded = incident.actions.iter().filter(|action| action.remedy == course.remedy);
        course.moment = recorded.filter_map(Moment::of).next();
    }
    courses
}

impl Moment {
    fn of(action: &Action) -> Option<Self> {
        let Reason::Shadow(would) = action.reason else { return None };
        let (kind, target) = (action.plan.kind.clone(), action.plan.target.clone());
        Some(Self { at: action.planned_at, would, kind, target })
    }
}

/// Something that a live rule, with or without people, did or was kept from doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Name of the rule.
    pub rule: String,
    /// Which action.
    pub kind: String,
    /// On what.
    pub target: String,
    /// When it began, or was refused.
    pub at: Timestamp,
    /// Whether people approved it.
    pub approved: bool,
    /// Whether a person refused it: it was not done.
    pub rejected: bool,
}

/// An incident of a live rule, as far as a comparison needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Which.
    pub id: IncidentId,
    /// What it is about.
    target: Option<Target>,
    /// Labels of the alert that opened it.
    labels: Labels,
    from: Timestamp,
    to: Option<Timestamp>,
    deeds: Vec<Deed>,
    /// When people said something about it.
    people: Vec<Timestamp>,
}

impl Other {
    /// The part of an incident that matters.
    pub fn of(incident: &Incident) -> Self {
        let said = [incident.acknowledged.as_ref(), incident.taken_over.as_ref()].into_iter().flatten();
        let mut people: Vec<Timestamp> = said.filter(|one| is_person(&one.actor)).map(|one| one.at).collect();
        let ended = incident.resolved.as_ref();
        people.extend(ended.filter(|end| end.actor.as_ref().is_some_and(is_person)).map(|end| end.at));
        let votes = incident.actions.iter().flat_map(|action| &action.approvals.records);
        people.extend(votes.map(|record| record.at));
        Self {
            id: incident.id.clone(),
            target: incident.target.clone(),
            labels: incident.labels.clone(),
            from: incident.started_at,
            to: ended.map(|end| end.at),
            deeds: incident.actions.iter().filter_map(|action| Deed::of(action, &incident.rule)).collect(),
            people,
        }
    }

    /// Whether it is about the same as an incident in shadow, at the same time: the same target, the same alert, or a deed
    /// on what the remedies would have touched.
    pub fn is_beside(&self, incident: &Incident) -> bool {
        let same_target = self.target.is_some() && self.target == incident.target;
        let touched = |deed: &Deed| incident.actions.iter().any(|action| action.plan.target == deed.target);
        let ends = incident.resolved.as_ref().map_or(Timestamp::MAX, |end| after(end.at, AFTERWARDS));
        let same_time = self.from <= ends && self.to.is_none_or(|to| to >= incident.started_at);
        same_time && (same_target || self.labels == incident.labels || self.deeds.iter().any(touched))
    }
}

impl Deed {
    fn of(action: &Action, rule: &str) -> Option<Self> {
        if action.tier == Tier::T0 || action.restores.is_some() {
            return None;
        }
        let records = &action.approvals.records;
        let refused = records.iter().find(|record| record.verdict == Verdict::Reject).map(|record| record.at);
        let rejected = action.status == ActionStatus::Rejected;
        let at = if rejected { refused } else { action.started_at };
        Some(Self {
            rule: rule.to_owned(),
            kind: action.plan.kind.clone(),
            target: action.plan.target.clone(),
            at: at?,
            approved: !records.is_empty() && !rejected,
            rejected,
        })
    }
}

/// What the course of an incident says about a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// People approved the same action on the same target.
    SameApproved,
    /// A live rule did the same alone.
    SameAlone,
    /// A person refused the same.
    Refused,
    /// Something else was done to the target.
    Another,
    /// It ended by itself, shortly after the moment.
    NotNeeded,
    /// Somebody had it, and what they did is not written down.
    ByHand,
    /// It ended by itself, long after the moment: the remedy might have shortened it.
    WentOn,
    /// It is not over.
    Open,
}

/// Which way an answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The rule would have done what was done.
    Agrees,
    /// It would have done what was not wanted, or not needed.
    Disagrees,
    /// Nobody can tell.
    Unclear,
}

impl Answer {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SameApproved,
        Self::SameAlone,
        Self::Refused,
        Self::Another,
        Self::NotNeeded,
        Self::ByHand,
        Self::WentOn,
        Self::Open,
    ];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SameApproved => "same_approved",
            Self::SameAlone => "same_alone",
            Self::Refused => "refused",
            Self::Another => "another",
            Self::NotNeeded => "not_needed",
            Self::ByHand => "by_hand",
            Self::WentOn => "went_on",
            Self::Open => "open",
        }
    }

    /// What the word means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::SameApproved => "people approved the same action on the same target",
            Self::SameAlone => "a live rule carried out the same action on the same target without asking",
            Self::Refused => "a person refused the same action on the same target",
            Self::Another => "another action was carried out on the same target, and not this one",
            Self::NotNeeded => "nobody did anything, and it ended within 15 minutes of the moment",
            Self::ByHand => "somebody acknowledged, took over or ended it; what they did is not recorded",
            Self::WentOn => {
                "nobody did anything, and it went on for more than 15 minutes: it might have helped"
            }
            Self::Open => "it is not over",
        }
    }

    /// Which way it counts.
    pub fn side(self) -> Side {
        match self {
            Self::SameApproved | Self::SameAlone => Side::Agrees,
            Self::Refused | Self::Another | Self::NotNeeded => Side::Disagrees,
            Self::ByHand | Self::WentOn | Self::Open => Side::Unclear,
        }
    }
}

/// What was really done about an incident in shadow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reality<'r> {
    incident: &'r Incident,
    deeds: Vec<&'r Deed>,
    /// When people said or did something, soonest first.
    people: Vec<Timestamp>,
}

impl<'r> Reality<'r> {
    /// From its own trail, and from incidents of live rules beside it.
    pub fn of(incident: &'r Incident, lines: &[TimelineLine], beside: &[&'r Other]) -> Self {
        let ends = incident.resolved.as_ref().map_or(Timestamp::MAX, |end| after(end.at, AFTERWARDS));
        let is_then = |at: &Timestamp| (incident.started_at..=ends).contains(at);
        let deeds = beside.iter().flat_map(|other| &other.deeds).filter(|deed| is_then(&deed.at)).collect();
        let own = lines.iter().filter(|line| is_person(&line.actor)).map(|line| line.at);
        let others = beside.iter().flat_map(|other| other.people.iter().copied());
        let mut people: Vec<Timestamp> = own.chain(others).filter(is_then).collect();
        people.sort_unstable();
        Self { incident, deeds, people }
    }

    /// What it says about a remedy.
    pub fn answer(&self, moment: &Moment) -> Answer {
        let on_target = || self.deeds.iter().filter(|deed| deed.target == moment.target);
        let same = || on_target().filter(|deed| deed.kind == moment.kind);
        if let Some(deed) = same().find(|deed| !deed.rejected) {
            return if deed.approved { Answer::SameApproved } else { Answer::SameAlone };
        }
        if same().next().is_some() {
            return Answer::Refused;
        }
        if on_target().any(|deed| !deed.rejected) {
            return Answer::Another;
        }
        let Some(end) = &self.incident.resolved else { return Answer::Open };
        match (self.people.is_empty(), end.at.duration_since(moment.at) <= NOT_NEEDED_WITHIN) {
            (false, _) => Answer::ByHand,
            (true, true) => Answer::NotNeeded,
            (true, false) => Answer::WentOn,
        }
    }

    /// How long after the moment the first person said or did something, in seconds; none where nobody did afterwards.
    pub fn people_after(&self, moment: &Moment) -> Option<u64> {
        self.people.iter().find_map(|at| seconds_after(moment.at, *at))
    }

    /// How long after the moment it ended, in seconds: what there was to win.
    pub fn ended_after(&self, moment: &Moment) -> Option<u64> {
        seconds_after(moment.at, self.incident.resolved.as_ref()?.at)
    }

    /// Whether it ended by itself: its alerts ended, and nobody had it.
    pub fn ended_by_itself(&self) -> bool {
        let by_alerts = self.incident.resolved.as_ref().is_some_and(|end| end.actor.is_none());
        by_alerts && self.people.is_empty() && self.deeds.is_empty()
    }
}

/// Whether a moment is one that people and live rules can be compared with: something would have been done to the world.
pub fn is_comparable(would: Would) -> bool {
    matches!(would, Would::Run(_) | Would::Ask(_))
}

fn seconds_after(moment: Timestamp, at: Timestamp) -> Option<u64> {
    u64::try_from(at.duration_since(moment).as_secs()).ok()
}

fn is_person(actor: &Actor) -> bool {
    actor.via != Via::Machine
}

impl Incident {
    /// Its rule for people, who must see at once when that only watches.
    pub fn rule_in_words(&self) -> String {
        match self.mode {
            RuleMode::Live => self.rule.clone(),
            RuleMode::Shadow => format!("{} (in shadow: nothing is carried out, nobody is asked)", self.rule),
        }
    }
}

#[cfg(test)]
mod tests;
