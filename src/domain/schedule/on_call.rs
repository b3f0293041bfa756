//! Who is on call: rotations laid over one another, overrides above them all.
//!
//! An override wins over everything. Otherwise the last rotation of the list counts that has begun and whose intervals
//! contain the time, while the schedule itself is active. Where nothing counts nobody is on call, and escalation goes
//! on to its next level.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Schedule;
use super::change::{self, HORIZON_DAYS};
use super::rotation::Rotation;

/// Most gaps that are looked for: whoever has more has a rotation that leaves out hours of every day.
const GAPS_MAX: usize = 1_000;

/// Who is on call, and how these people are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnCall {
    /// Later ones lie over earlier ones.
    pub rotations: Vec<Rotation>,
    /// Later ones win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// How people are reached, by name; as far as the settings say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, Contact>,
}

/// One person instead of whoever would be on call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Who.
    pub person: String,
    /// From then on.
    pub from: Timestamp,
    /// Until then.
    pub until: Timestamp,
}

/// How a person is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Member id in Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    /// Mail address, where mail is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// Somebody who is on call at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn<'s> {
    /// Who.
    pub person: &'s str,
    /// The rotation that says so; none where an override does.
    pub rotation: Option<&'s str>,
}

/// Who is on call in one schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty<'s> {
    /// The schedule.
    pub schedule: &'s str,
    /// Who; nobody in a gap.
    pub now: Option<Turn<'s>>,
    /// When that changes; none if not within [`HORIZON_DAYS`].
    pub until: Option<Timestamp>,
    /// Who is next.
    pub next: Option<Turn<'s>>,
}

/// A time in which nobody is on call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end; none if it does not end within the time that is looked at.
    pub until: Option<Timestamp>,
}

impl Schedule {
    /// Who is on call at an instant.
    pub fn on_call_at(&self, at: Timestamp) -> Option<Turn<'_>> {
        let on_call = self.on_call.as_ref()?;
        let holds = |entry: &&Override| (entry.from..entry.until).contains(&at);
        if let Some(entry) = on_call.overrides.iter().rev().find(holds) {
            return Some(Turn { person: &entry.person, rotation: None });
        }
        if !self.is_active(at) {
            return None;
        }
        on_call.rotations.iter().rev().find_map(|rotation| {
            rotation.at(at).map(|person| Turn { person, rotation: Some(&rotation.name) })
        })
    }

    /// How whoever is on call at an instant is reached.
    pub fn contact_of(&self, person: &str) -> Contact {
        let people = self.on_call.as_ref().map(|on_call| &on_call.people);
        people.and_then(|people| people.get(person)).cloned().unwrap_or_default()
    }

    /// The first instant after `at` at which somebody else is on call, or nobody. `None` if there is none within
    /// [`HORIZON_DAYS`].
    pub fn next_hand_over(&self, at: Timestamp) -> Option<Timestamp> {
        let person = |instant| self.on_call_at(instant).map(|turn| turn.person);
        self.next_with(at, person)
    }

    /// Who is on call at an instant, and who is next.
    pub fn duty_at(&self, at: Timestamp) -> Duty<'_> {
        let until = self.next_hand_over(at);
        Duty {
            schedule: &self.name,
            now: self.on_call_at(at),
            until,
            next: until.and_then(|then| self.on_call_at(then)),
        }
    }

    /// The times in which nobody is on call although somebody should be: from when all rotations have begun, for
    /// [`HORIZON_DAYS`]. Times in which the schedule is not active are no gaps.
    pub fn gaps(&self) -> Vec<Gap> {
        let rotations = self.on_call.iter().flat_map(|on_call| &on_call.rotations);
        let Some(from) = rotations.filter_map(Rotation::begins_at).max() else { return Vec::new() };
        let end = from
            .checked_add(SignedDuration::from_hours(24 * i64::from(HORIZON_DAYS)))
            .unwrap_or(Timestamp::MAX);
        let is_gap = |at: Timestamp| self.is_active(at) && self.on_call_at(at).is_none();
        let mut gaps = Vec::new();
        let mut at = from;
        while at < end && gaps.len() < GAPS_MAX {
            let change = self.next_with(at, is_gap).filter(|then| *then < end);
            if is_gap(at) {
                gaps.push(Gap { from: at, until: change });
            }
            let Some(then) = change else { break };
            at = then;
        }
        gaps
    }

    /// The first instant after `at` at which an answer about who is on call changes.
    fn next_with<T: PartialEq>(&self, at: Timestamp, answer: impl Fn(Timestamp) -> T) -> Option<Timestamp> {
        let on_call = self.on_call.as_ref()?;
        let mut boundaries = self.boundaries();
        boundaries.extend(on_call.rotations.iter().flat_map(Rotation::boundaries));
        let edges: Vec<Timestamp> = on_call
            .overrides
            .iter()
            .flat_map(|entry| [entry.from, entry.until])
            .chain(on_call.rotations.iter().filter_map(Rotation::begins_at))
            .collect();
        change::next(at, &boundaries, &edges, answer)
    }
}

/// Who is on call in all schedules that say so, by name.
pub fn duties(schedules: &BTreeMap<String, Schedule>, at: Timestamp) -> Vec<Duty<'_>> {
    schedules
        .values()
        .filter(|schedule| schedule.on_call.is_some())
        .map(|schedule| schedule.duty_at(at))
        .collect()
}
