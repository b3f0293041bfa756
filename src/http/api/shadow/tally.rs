//! Counts courses of remedies in shadow, rule by rule, and how they compare with what was done.

use super::advice::{self, Advice};
use crate::domain::decision::Would;
use crate::domain::incident::Incident;
use crate::domain::rule::RuleMode;
use crate::domain::shadow::{Answer, Course, Other, Reality, Side, courses, is_comparable};
use crate::domain::timeline::TimelineLine;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// What rules in shadow would have done, against what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowReport {
    /// RFC 3339; incidents that began then or later.
    pub since: String,
    /// RFC 3339; when it was computed.
    pub until: String,
    /// RFC 3339; null where all of that time was read. Otherwise there were too many incidents, and only those that began
    /// then or later were.
    pub read_from: Option<String>,
    /// By rule, in the order of their names: rules that are in shadow now, and others with incidents in shadow.
    pub rules: Vec<RuleShadow>,
    /// What each word under `agrees`, `disagrees` and `unclear` means.
    pub words: BTreeMap<String, String>,
    /// What the numbers cannot know.
    pub limits: Vec<String>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleShadow {
    /// Its name.
    pub rule: String,
    /// `shadow` or `live` by the rules in force; null where there is none of this name any more.
    pub mode_now: Option<String>,
    /// Incidents in shadow.
    pub incidents: u64,
    /// Of those, incidents that ended by themselves before anything was decided.
    pub ended_undecided: u64,
    /// Live rules that told people of the same alerts, with the number of incidents.
    pub beside: BTreeMap<String, u64>,
    /// Its remedies, in the order of the ladder as far as it was walked.
    pub remedies: Vec<RemedyShadow>,
    /// Whether the record speaks for letting it act. Nothing is ever changed by it.
    pub promote: bool,
    /// Why, or why not yet, in sentences.
    pub reasons: Vec<String>,
    /// The change to make where the record speaks for it, as text; null otherwise.
    pub edit: Option<String>,
}

/// One remedy. Each number counts incidents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemedyShadow {
    /// Its name.
    pub remedy: String,
    /// It would have run alone.
    pub would_have_run: u64,
    /// People would have been asked.
    pub would_have_asked: u64,
    /// It would have told somebody.
    pub would_have_told: u64,
    /// It would have been given to people.
    pub would_have_handed_over: u64,
    /// The incident ended by itself before the remedy had its moment: while it was blocked, or before anything was decided.
    pub ended_first: u64,
    /// It was forbidden, by the word of the reason.
    pub blocked: BTreeMap<String, u64>,
    /// It did not apply, by the word of the reason.
    pub skipped: BTreeMap<String, u64>,
    /// What was done was the same, by word.
    pub agrees: BTreeMap<String, u64>,
    /// What was done was not the same, or nothing was needed, by word.
    pub disagrees: BTreeMap<String, u64>,
    /// Nobody can tell, by word.
    pub unclear: BTreeMap<String, u64>,
    /// Seconds from its moment until a person first said or did something: the median; null where nobody did.
    pub people_after_seconds: Option<u64>,
    /// Seconds from its moment to the end of the incident: the median. What there was to win.
    pub ended_after_seconds: Option<u64>,
}

impl RemedyShadow {
    /// Incidents in which something would have been done to the world.
    pub fn moments(&self) -> u64 {
        self.would_have_run + self.would_have_asked
    }
}

/// The sum of numbers by word.
pub(super) fn sum(numbers: &BTreeMap<String, u64>) -> u64 {
    numbers.values().sum()
}

/// What the numbers cannot know, each with its reason.
const LIMITS: [&str; 5] = [
    "what people type into a terminal is not recorded: where somebody had the incident and no action on the target is, the \
     comparison is unclear",
    "starts in shadow use up no limit, so cooldowns and rates would have blocked it more often than they did here",
    "the ladder ends at the first remedy that would have touched something, since nobody knows whether it would have helped",
    "an incident of a live rule is compared where it began at most 24 hours before, and has the same target or alert, or \
     acted on what the remedy would have touched",
    "incidents are deleted after the time under `retention`: what is older is not counted",
];

/// Counts as it goes along.
pub(super) struct Tally {
    modes: BTreeMap<String, RuleMode>,
    only: Option<String>,
    since: Timestamp,
    now: Timestamp,
    read_from: Option<Timestamp>,
    rules: BTreeMap<String, Counted>,
}

/// What was counted of a rule. Times stand one by one until the median is known; there are as many as incidents are read.
#[derive(Default)]
struct Counted {
    shadow: RuleShadow,
    people_after: BTreeMap<String, Vec<u64>>,
    ended_after: BTreeMap<String, Vec<u64>>,
}

impl Tally {
    pub(super) fn new(
        modes: BTreeMap<String, RuleMode>,
        only: Option<String>,
        since: Timestamp,
        now: Timestamp,
    ) -> Self {
        let mut tally = Self { modes, only, since, now, read_from: None, rules: BTreeMap::new() };
        let in_shadow = tally.modes.iter().filter(|(_, mode)| mode.is_shadow());
        for name in in_shadow.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            if tally.is_meant(&name) {
                tally.rule(&name);
            }
        }
        tally
    }

    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// There were too many incidents to read on.
    pub(super) fn read_up_to(&mut self, from: Timestamp) {
        self.read_from = Some(from);
    }

    fn is_meant(&self, rule: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == rule)
    }

    /// Whether an incident in shadow is asked about.
    pub(super) fn wants(&self, incident: &Incident) -> bool {
        incident.started_at >= self.since && self.is_meant(&incident.rule)
    }

    fn rule(&mut self, name: &str) -> &mut Counted {
        self.rules.entry(name.to_owned()).or_insert_with(|| Counted {
            shadow: RuleShadow { rule: name.to_owned(), ..RuleShadow::default() },
            ..Counted::default()
        })
    }

    /// Takes in one incident in shadow.
    pub(super) fn take(&mut self, incident: &Incident, lines: &[TimelineLine], beside: &[&Other]) {
        let reality = Reality::of(incident, lines, beside);
        let courses = courses(incident, lines);
        let counted = self.rule(&incident.rule);
        counted.shadow.incidents += 1;
        counted.shadow.ended_undecided += u64::from(courses.is_empty() && reality.ended_by_itself());
        if let Some(rule) = &incident.told_by {
            *counted.shadow.beside.entry(rule.clone()).or_default() += 1;
        }
        for course in &courses {
            counted.course(course, &reality);
        }
    }

    /// The report.
    pub(super) fn report(self) -> ShadowReport {
        let modes = self.modes;
        let rules = self.rules.into_values().map(|counted| {
            let mut rule = counted.finish();
            rule.mode_now = modes.get(&rule.rule).map(|mode| mode.as_str().to_owned());
            let Advice { promote, reasons, edit } = advice::of(&rule);
            RuleShadow { promote, reasons, edit, ..rule }
        });
        ShadowReport {
            since: self.since.to_string(),
            until: self.now.to_string(),
            read_from: self.read_from.map(|from| from.to_string()),
            rules: rules.collect(),
            words: words(),
            limits: LIMITS.map(str::to_owned).to_vec(),
        }
    }
}

fn words() -> BTreeMap<String, String> {
    Answer::ALL.iter().map(|one| (one.as_str().to_owned(), one.meaning().to_owned())).collect()
}

fn count<'w>(numbers: &mut BTreeMap<String, u64>, words: impl IntoIterator<Item = &'w String>) {
    for word in words {
        *numbers.entry(word.clone()).or_default() += 1;
    }
}

impl Counted {
    fn course(&mut self, course: &Course, reality: &Reality<'_>) {
        let Self { shadow, people_after, ended_after } = self;
        let remedies = &mut shadow.remedies;
        let place = remedies.iter().position(|known| known.remedy == course.remedy).unwrap_or_else(|| {
            remedies.push(RemedyShadow { remedy: course.remedy.clone(), ..RemedyShadow::default() });
            remedies.len() - 1
        });
        let remedy = &mut remedies[place];
        count(&mut remedy.blocked, &course.blocked);
        count(&mut remedy.skipped, &course.skipped);
        let Some(moment) = &course.moment else {
            remedy.ended_first += u64::from(!course.blocked.is_empty() && reality.ended_by_itself());
            return;
        };
        match moment.would {
            Would::Run(_) => remedy.would_have_run += 1,
            Would::Ask(_) => remedy.would_have_asked += 1,
            Would::Tell => remedy.would_have_told += 1,
            Would::HandToPeople => remedy.would_have_handed_over += 1,
        }
        if !is_comparable(moment.would) {
            return;
        }
        let answer = reality.answer(moment);
        let numbers = match answer.side() {
            Side::Agrees => &mut remedy.agrees,
            Side::Disagrees => &mut remedy.disagrees,
            Side::Unclear => &mut remedy.unclear,
        };
        *numbers.entry(answer.as_str().to_owned()).or_default() += 1;
        people_after.entry(course.remedy.clone()).or_default().extend(reality.people_after(moment));
        ended_after.entry(course.remedy.clone()).or_default().extend(reality.ended_after(moment));
    }

    fn finish(mut self) -> RuleShadow {
        for remedy in &mut self.shadow.remedies {
            let undecided = if remedy.moments() > 0 { self.shadow.ended_undecided } else { 0 };
            remedy.ended_first += undecided;
            remedy.people_after_seconds =
                self.people_after.get_mut(&remedy.remedy).and_then(|times| median(times));
            remedy.ended_after_seconds =
                self.ended_after.get_mut(&remedy.remedy).and_then(|times| median(times));
        }
        self.shadow
    }
}

/// The middle one; of an even number the earlier of the two.
fn median(times: &mut [u64]) -> Option<u64> {
    times.sort_unstable();
    times.get(times.len().checked_sub(1)? / 2).copied()
}

/// Names of remedies that would have run alone.
pub(super) fn run_alone(rule: &RuleShadow) -> BTreeSet<&str> {
    let alone = rule.remedies.iter().filter(|remedy| remedy.would_have_run > 0);
    alone.map(|remedy| remedy.remedy.as_str()).collect()
}
