//! What the store in memory holds, and how each call reads and changes it.

use super::effects::Effects;
use super::ledger::Starts;
use crate::domain::action::ActionId;
use crate::domain::alert::{Alert, AlertRecord, AlertStatus};
use crate::domain::apply::Document;
use crate::domain::correlate::CorrelationKey;
use crate::domain::diagnosis::Finding;
use crate::domain::effect::EffectId;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::{Incident, IncidentId, IncidentStatus};
use crate::domain::rule::RuleHash;
use crate::domain::temporary::{TemporaryChange, TemporaryFix};
use crate::domain::timeline::TimelineLine;
use crate::engine::ports::{
    AlertWrite, Commit, Delivery, IncidentView, IncidentWrite, Loaded, Neighbour, Neighbours, StoreError,
    StoredAlert, Wanted,
};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// How many of the newest open incidents are neighbours, as in the real store.
const NEWEST_OPEN_MAX: usize = 256;

/// Most alerts of one view, as in the real store.
const ALERTS_MAX: usize = 500;

/// An incident with what belongs to it.
struct Kept {
    incident: Incident,
    /// By their place in the round that brought them, then by name.
    findings: Vec<(usize, Finding)>,
    alerts: HashSet<Fingerprint>,
    /// Effects that wait for it.
    effects: usize,
    shown: Shown,
}

impl Kept {
    fn findings(&self) -> Vec<Finding> {
        self.findings.iter().map(|(_, finding)| finding.clone()).collect()
    }
}

/// What only people see.
#[derive(Default)]
struct Shown {
    alerts: BTreeMap<Fingerprint, (AlertRecord, Arc<Alert>)>,
    lines: Vec<TimelineLine>,
    documents: Vec<Document>,
}

/// The incidents of a key that matter.
#[derive(Default)]
struct OfKey {
    open: Option<IncidentId>,
    /// The one that ended last, and when.
    last: Option<(Timestamp, IncidentId)>,
}

impl OfKey {
    /// The open one, or else the one that ended last.
    fn stands(&self) -> Option<&IncidentId> {
        self.open.as_ref().or(self.last.as_ref().map(|(_, id)| id))
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) inbox: BTreeMap<String, Delivery>,
    pub(super) effects: Effects,
    pub(super) starts: Starts,
    pub(super) temporary: BTreeMap<ActionId, TemporaryFix>,
    /// Whether what only people see is kept.
    is_shown: bool,
    incidents: HashMap<IncidentId, Kept>,
    open: BTreeSet<IncidentId>,
    by_key: HashMap<CorrelationKey, OfKey>,
    alerts: HashMap<Fingerprint, Vec<StoredAlert>>,
    texts: HashMap<RuleHash, Value>,
}

impl State {
    /// Keeps what only people see as well.
    pub(super) fn shown() -> Self {
        Self { is_shown: true, ..Self::default() }
    }

    pub(super) fn load(&self, wanted: &Wanted) -> Loaded {
        let mut ids: BTreeSet<&IncidentId> = wanted.ids.iter().collect();
        ids.extend(wanted.keys.iter().filter_map(|key| self.by_key.get(key)?.stands()));
        let mut alerts = Vec::new();
        let mut live = BTreeSet::new();
        for known in wanted.fingerprints.iter().filter_map(|one| self.alerts.get(one)) {
            let newest = known.iter().map(|stored| &stored.incident).max();
            for stored in known {
                let incident = stored.incident.as_ref();
                let is_live = stored.record.status == AlertStatus::Firing
                    || incident.is_some_and(|id| self.open.contains(id));
                // Of the past of an alert only the last of it matters, unless its incident was asked for.
                let is_asked_for = incident.is_none_or(|id| ids.contains(id));
                if is_live || is_asked_for || Some(&stored.incident) == newest {
                    alerts.push(stored.clone());
                }
                live.extend(incident.filter(|_| is_live));
            }
        }
        ids.extend(live);
        let ended = ids.iter().filter_map(|id| self.incidents.get(*id)).filter(|it| !it.incident.is_open());
        let successors: Vec<&IncidentId> =
            ended.filter_map(|kept| self.by_key.get(&kept.incident.key)?.stands()).collect();
        ids.extend(successors);
        let found = ids.into_iter().filter_map(|id| self.incidents.get(id));
        Loaded { incidents: found.map(|kept| kept.incident.clone()).collect(), alerts }
    }

    /// Whether nobody else wrote first: what is judged while another step is written may be out of date.
    pub(super) fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        Effects::are_somebodys(&commit.effects)?;
        let version = |write: &IncidentWrite| {
            self.incidents.get(&write.incident.id).map_or(0, |kept| kept.incident.version)
        };
        // A key has one open incident.
        let is_free = |write: &IncidentWrite| {
            let incident = &write.incident;
            let open = self.by_key.get(&incident.key).and_then(|of_key| of_key.open.as_ref());
            let other = open.filter(|id| **id != incident.id);
            !incident.is_open()
                || other.is_none_or(|id| {
                    commit.incidents.iter().any(|it| it.incident.id == *id && !it.incident.is_open())
                })
        };
        let is_there = |id: &String| self.inbox.contains_key(id);
        let fits =
            commit.incidents.iter().all(|write| version(write) == write.loaded_version && is_free(write))
                && commit.finished.iter().chain(&commit.held).all(|lease| self.effects.is_held(lease))
                && commit.consumed.iter().chain(commit.dead.iter().map(|dead| &dead.delivery)).all(is_there)
                && self.starts.fit(commit);
        if fits { Ok(()) } else { Err(StoreError::Conflict) }
    }

    pub(super) fn write(&mut self, commit: Commit) {
        for id in commit.consumed.iter().chain(commit.dead.iter().map(|dead| &dead.delivery)) {
            self.inbox.remove(id);
        }
        let finished = commit.finished.iter().map(|lease| &lease.id);
        let gone: Vec<IncidentId> = finished.filter_map(|id| self.effects.remove(id)).collect();
        let cancelled: Vec<IncidentId> =
            commit.cancelled.iter().filter_map(|id: &EffectId| self.effects.cancel(id)).collect();
        for incident in gone.into_iter().chain(cancelled) {
            self.waits(&incident, |effects| effects.saturating_sub(1));
        }
        let at = commit.at.unwrap_or(Timestamp::UNIX_EPOCH);
        for write in commit.incidents {
            self.keep(write);
        }
        for write in commit.alerts {
            self.remember(write);
        }
        for wish in commit.effects {
            if let Some(incident) = self.effects.add(wish, at) {
                self.waits(&incident, |effects| effects + 1);
            }
        }
        for (hash, text) in commit.texts {
            self.texts.entry(hash).or_insert(text);
        }
        for change in commit.temporary {
            match change {
                TemporaryChange::Begun(fix) => drop(self.temporary.insert(fix.action.clone(), fix)),
                TemporaryChange::Ended(action) => drop(self.temporary.remove(&action)),
            }
        }
        self.starts.write(commit.starts, &commit.ends, commit.ledger_version.is_some(), at);
    }

    fn waits(&mut self, incident: &IncidentId, change: impl FnOnce(usize) -> usize) {
        if let Some(kept) = self.incidents.get_mut(incident) {
            kept.effects = change(kept.effects);
        }
    }

    fn keep(&mut self, write: IncidentWrite) {
        let IncidentWrite { incident, findings, lines, documents, .. } = write;
        let (id, is_open) = (incident.id.clone(), incident.is_open());
        let of_key = self.by_key.entry(incident.key.clone()).or_default();
        match ended_at(&incident).filter(|_| !is_open) {
            None => of_key.open = Some(id.clone()),
            Some(ended) => {
                of_key.open.take_if(|open| *open == id);
                if of_key.last.as_ref().is_none_or(|(last, _)| *last <= ended) {
                    of_key.last = Some((ended, id.clone()));
                }
            }
        }
        match is_open {
            true => self.open.insert(id.clone()),
            false => self.open.remove(&id),
        };
        let kept = match self.incidents.entry(id) {
            std::collections::hash_map::Entry::Occupied(kept) => {
                let kept = kept.into_mut();
                kept.incident = incident;
                kept
            }
            std::collections::hash_map::Entry::Vacant(place) => place.insert(Kept {
                incident,
                findings: Vec::new(),
                alerts: HashSet::new(),
                effects: 0,
                shown: Shown::default(),
            }),
        };
        for (place, finding) in findings.into_iter().enumerate() {
            kept.findings.retain(|(_, known)| known.name != finding.name);
            kept.findings.push((place, finding));
        }
        kept.findings.sort_by(|(left_at, left), (right_at, right)| {
            left_at.cmp(right_at).then_with(|| left.name.cmp(&right.name))
        });
        if self.is_shown {
            kept.shown.lines.extend(lines);
            for document in documents {
                kept.shown.documents.retain(|known| known.title != document.title);
                kept.shown.documents.push(document);
            }
        }
    }

    fn remember(&mut self, write: AlertWrite) {
        let AlertWrite { incident, record, alert } = write;
        let fingerprint = alert.fingerprint;
        if let Some(kept) = incident.as_ref().and_then(|id| self.incidents.get_mut(id)) {
            kept.alerts.insert(fingerprint);
            if self.is_shown {
                kept.shown.alerts.insert(fingerprint, (record.clone(), alert));
            }
        }
        let stored = StoredAlert { fingerprint, incident, record };
        let known = self.alerts.entry(fingerprint).or_default();
        known.retain(|one| one.incident != stored.incident);
        known.push(stored);
    }

    pub(super) fn findings(&self, id: &IncidentId) -> Vec<Finding> {
        self.incidents.get(id).map(Kept::findings).unwrap_or_default()
    }

    pub(super) fn text(&self, hash: &RuleHash) -> Option<Value> {
        self.texts.get(hash).cloned()
    }

    /// An incident, and how many effects wait for it.
    pub(super) fn incident(&self, id: &IncidentId) -> Option<(&Incident, usize)> {
        self.incidents.get(id).map(|kept| (&kept.incident, kept.effects))
    }

    /// All incidents, in no order.
    pub(super) fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values().map(|kept| &kept.incident)
    }

    /// Open incidents, oldest first.
    pub(super) fn open(&self) -> impl DoubleEndedIterator<Item = &Incident> {
        self.open.iter().filter_map(|id| self.incidents.get(id)).map(|kept| &kept.incident)
    }

    pub(super) fn view(&self, id: &IncidentId) -> Option<IncidentView> {
        let kept = self.incidents.get(id)?;
        let mut alerts: Vec<&(AlertRecord, Arc<Alert>)> = kept.shown.alerts.values().collect();
        // Of more than are listed those that fire are wanted.
        alerts.sort_by_key(|(record, _)| (record.status != AlertStatus::Firing, record.starts_at));
        alerts.truncate(ALERTS_MAX);
        alerts.sort_by_key(|(record, _)| record.starts_at);
        Some(IncidentView {
            incident: kept.incident.clone(),
            alerts: alerts.into_iter().map(|(record, alert)| (record.clone(), Alert::clone(alert))).collect(),
            findings: kept.findings(),
            documents: kept.shown.documents.clone(),
            timeline: kept.shown.lines.clone(),
        })
    }

    pub(super) fn neighbours(&self, since: Timestamp) -> Neighbours {
        let mut found = Neighbours::default();
        for status in [IncidentStatus::Triggered, IncidentStatus::Acknowledged] {
            let of_status = self.open().rev().filter(|incident| incident.status == status);
            let of_status: Vec<Neighbour> = of_status.take(NEWEST_OPEN_MAX).map(neighbour).collect();
            if let (Some(oldest), NEWEST_OPEN_MAX) = (of_status.last(), of_status.len()) {
                found.known_from = found.known_from.max(Some(oldest.id.clone()));
                found.is_storm |= of_status.iter().all(|one| one.started_at >= since);
            }
            found.incidents.extend(of_status);
        }
        found.incidents.sort_unstable_by(|left, right| left.id.cmp(&right.id));
        found
    }

    pub(super) fn forget(&mut self, id: &IncidentId) -> Option<Incident> {
        let kept = self.incidents.remove(id)?;
        self.open.remove(id);
        for fingerprint in &kept.alerts {
            if let Some(known) = self.alerts.get_mut(fingerprint) {
                known.retain(|stored| stored.incident.as_ref() != Some(id));
                if known.is_empty() {
                    self.alerts.remove(fingerprint);
                }
            }
        }
        if let Some(of_key) = self.by_key.get_mut(&kept.incident.key) {
            of_key.open.take_if(|open| open == id);
            of_key.last.take_if(|(_, last)| last == id);
            if of_key.stands().is_none() {
                self.by_key.remove(&kept.incident.key);
            }
        }
        Some(kept.incident)
    }
}

fn ended_at(incident: &Incident) -> Option<Timestamp> {
    incident.resolved.as_ref().map(|resolved| resolved.at)
}

fn neighbour(incident: &Incident) -> Neighbour {
    Neighbour {
        id: incident.id.clone(),
        rule: incident.rule.clone(),
        key: incident.key.clone(),
        started_at: incident.started_at,
    }
}
