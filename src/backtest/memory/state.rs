//! What the store in memory holds, and how each call reads and changes it.

use crate::domain::action::ActionId;
use crate::domain::alert::AlertStatus;
use crate::domain::correlate::CorrelationKey;
use crate::domain::diagnosis::Finding;
use crate::domain::effect::{EffectId, EffectKind, NewEffect};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::guardrail::{Start, StartEnd};
use crate::domain::incident::{Incident, IncidentId};
use crate::domain::rule::RuleHash;
use crate::engine::ports::{
    Claim, Commit, Delivery, Finish, IncidentWrite, Leased, Ledger, Loaded, Neighbour, Neighbours,
    StoredAlert, Wanted,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How far back starts of actions are kept: longer than any limit of the guardrails looks.
const STARTS_KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);

/// An effect that waits, or that somebody carries out.
pub(super) struct Row {
    pub(super) wish: NewEffect,
    pub(super) incident: IncidentId,
    pub(super) created_at: Timestamp,
    /// When it can be claimed, or its lease ends.
    pub(super) ready_at: Timestamp,
    /// In which order it was wished.
    pub(super) place: u64,
    pub(super) attempt: u32,
    pub(super) is_leased: bool,
}

/// An incident with what belongs to it.
pub(super) struct Kept {
    pub(super) incident: Incident,
    pub(super) findings: Vec<Finding>,
    pub(super) alerts: HashSet<Fingerprint>,
    /// Effects that wait for it.
    pub(super) effects: usize,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) inbox: BTreeMap<String, Delivery>,
    pub(super) incidents: HashMap<IncidentId, Kept>,
    pub(super) open: BTreeSet<IncidentId>,
    /// The incident that is open for a key, or that ended last.
    pub(super) by_key: HashMap<CorrelationKey, IncidentId>,
    pub(super) alerts: HashMap<Fingerprint, Vec<StoredAlert>>,
    pub(super) effects: HashMap<EffectId, Row>,
    pub(super) ready: BTreeSet<(Timestamp, u64, EffectKind, EffectId)>,
    pub(super) lanes: HashMap<String, BTreeSet<(u64, EffectId)>>,
    pub(super) texts: HashMap<RuleHash, Value>,
    /// By time, each with a number of its own.
    pub(super) starts: BTreeMap<(Timestamp, u64), Start>,
    /// Starts that have not ended.
    pub(super) under_way: HashMap<ActionId, (Timestamp, u64)>,
    pub(super) ledger_version: u64,
    pub(super) places: u64,
}

impl State {
    pub(super) fn load(&self, wanted: &Wanted) -> Loaded {
        let mut ids: BTreeSet<&IncidentId> = wanted.ids.iter().collect();
        ids.extend(wanted.keys.iter().filter_map(|key| self.by_key.get(key)));
        let mut alerts = Vec::new();
        for stored in wanted.fingerprints.iter().filter_map(|one| self.alerts.get(one)).flatten() {
            if let Some(kept) = stored.incident.as_ref().and_then(|id| self.incidents.get(id))
                && (kept.incident.is_open() || stored.record.status == AlertStatus::Firing)
            {
                ids.insert(&kept.incident.id);
            }
            alerts.push(stored.clone());
        }
        let ended = ids.iter().filter_map(|id| self.incidents.get(*id)).filter(|it| !it.incident.is_open());
        let successors: Vec<&IncidentId> =
            ended.filter_map(|kept| self.by_key.get(&kept.incident.key)).collect();
        ids.extend(successors);
        let found = ids.into_iter().filter_map(|id| self.incidents.get(id));
        Loaded { incidents: found.map(|kept| kept.incident.clone()).collect(), alerts }
    }

    /// Whether nobody else wrote first: what is judged while another step is written may be out of date.
    pub(super) fn fits(&self, commit: &Commit) -> bool {
        let version = |write: &IncidentWrite| {
            self.incidents.get(&write.incident.id).map_or(0, |kept| kept.incident.version)
        };
        let holds = |lease: &Finish| {
            self.effects.get(&lease.id).is_some_and(|row| row.is_leased && row.attempt == lease.attempt)
        };
        let is_there = |id: &String| self.inbox.contains_key(id);
        commit.incidents.iter().all(|write| version(write) == write.loaded_version)
            && commit.finished.iter().chain(&commit.held).all(holds)
            && commit.consumed.iter().all(is_there)
            && commit.ledger_version.is_none_or(|judged| judged == self.ledger_version)
    }

    pub(super) fn write(&mut self, commit: Commit) {
        for id in commit.consumed.iter().chain(commit.dead.iter().map(|dead| &dead.delivery)) {
            self.inbox.remove(id);
        }
        for lease in &commit.finished {
            self.drop_effect(&lease.id);
        }
        for id in &commit.cancelled {
            if self.effects.get(id).is_some_and(|row| !row.is_leased) {
                self.drop_effect(id);
            }
        }
        let at = commit.at.unwrap_or(Timestamp::UNIX_EPOCH);
        for write in commit.incidents {
            self.keep(write);
        }
        for write in commit.alerts {
            let stored = StoredAlert {
                fingerprint: write.alert.fingerprint,
                incident: write.incident,
                record: write.record,
            };
            if let Some(kept) = stored.incident.as_ref().and_then(|id| self.incidents.get_mut(id)) {
                kept.alerts.insert(stored.fingerprint);
            }
            let known = self.alerts.entry(stored.fingerprint).or_default();
            known.retain(|one| one.incident != stored.incident);
            known.push(stored);
        }
        for wish in commit.effects {
            self.add_effect(wish, at);
        }
        self.texts.extend(commit.texts);
        self.count(commit.starts, &commit.ends, at);
    }

    fn keep(&mut self, write: IncidentWrite) {
        let IncidentWrite { incident, findings, .. } = write;
        let (id, is_open) = (incident.id.clone(), incident.is_open());
        let stands = self.by_key.get(&incident.key).and_then(|known| self.incidents.get(known));
        if is_open || stands.is_none_or(|known| !known.incident.is_open()) {
            self.by_key.insert(incident.key.clone(), id.clone());
        }
        match is_open {
            true => self.open.insert(id.clone()),
            false => self.open.remove(&id),
        };
        match self.incidents.get_mut(&id) {
            Some(kept) => {
                kept.incident = incident;
                for finding in findings {
                    match kept.findings.iter_mut().find(|known| known.name == finding.name) {
                        Some(known) => *known = finding,
                        None => kept.findings.push(finding),
                    }
                }
            }
            None => {
                let kept = Kept { incident, findings, alerts: HashSet::new(), effects: 0 };
                self.incidents.insert(id, kept);
            }
        }
    }

    fn count(&mut self, starts: Vec<Start>, ends: &[(ActionId, StartEnd)], at: Timestamp) {
        for start in starts {
            self.ledger_version += 1;
            let place = (start.at, self.ledger_version);
            if let Some(action) = start.action.clone().filter(|_| start.end.is_none()) {
                self.under_way.insert(action, place);
            }
            self.starts.insert(place, start);
        }
        for (action, end) in ends {
            if let Some(start) = self.under_way.remove(action).and_then(|place| self.starts.get_mut(&place)) {
                start.end = Some(*end);
            }
        }
        let oldest = at.checked_sub(STARTS_KEPT).unwrap_or(Timestamp::MIN);
        while let Some(first) = self.starts.first_entry().filter(|first| first.key().0 < oldest) {
            if first.get().end.is_none() {
                break;
            }
            first.remove();
        }
    }

    pub(super) fn ledger(&self, since: Timestamp) -> Ledger {
        let lately = self.starts.range((since, 0)..).map(|(_, start)| start);
        let older = self.under_way.values().filter(|place| place.0 < since);
        let older = older.filter_map(|place| self.starts.get(place));
        Ledger {
            version: self.ledger_version,
            pauses: Vec::new(),
            starts: older.chain(lately).cloned().collect(),
        }
    }

    fn add_effect(&mut self, wish: NewEffect, created_at: Timestamp) {
        let incident = wish.id.0.rsplit_once("-e").map_or(wish.id.0.as_str(), |(incident, _)| incident);
        let incident = IncidentId(incident.to_owned());
        self.places += 1;
        let place = self.places;
        if let Some(kept) = self.incidents.get_mut(&incident) {
            kept.effects += 1;
        }
        if let Some(lane) = &wish.lane {
            self.lanes.entry(lane.clone()).or_default().insert((place, wish.id.clone()));
        }
        self.ready.insert((wish.due_at, place, wish.effect.kind(), wish.id.clone()));
        let row =
            Row { incident, created_at, ready_at: wish.due_at, place, attempt: 0, is_leased: false, wish };
        self.effects.insert(row.wish.id.clone(), row);
    }

    fn drop_effect(&mut self, id: &EffectId) {
        let Some(row) = self.effects.remove(id) else { return };
        self.ready.remove(&(row.ready_at, row.place, row.wish.effect.kind(), id.clone()));
        if let Some(kept) = self.incidents.get_mut(&row.incident) {
            kept.effects = kept.effects.saturating_sub(1);
        }
        if let Some(lane) = &row.wish.lane
            && let Some(waiting) = self.lanes.get_mut(lane)
        {
            waiting.remove(&(row.place, id.clone()));
            if waiting.is_empty() {
                self.lanes.remove(lane);
            }
        }
    }

    /// Sets when an effect can be claimed.
    pub(super) fn set_ready(&mut self, id: &EffectId, at: Timestamp) {
        let Some(row) = self.effects.get_mut(id) else { return };
        let kind = row.wish.effect.kind();
        self.ready.remove(&(row.ready_at, row.place, kind, id.clone()));
        row.ready_at = at;
        self.ready.insert((at, row.place, kind, id.clone()));
    }

    pub(super) fn claim(&mut self, claim: &Claim) -> Vec<Leased> {
        let is_first = |row: &Row| {
            let lane = row.wish.lane.as_ref().and_then(|lane| self.lanes.get(lane));
            lane.is_none_or(|waiting| waiting.first().is_none_or(|(place, _)| *place == row.place))
        };
        let due = self.ready.iter().take_while(|(at, ..)| *at <= claim.now);
        let of_kind = due.filter(|(.., kind, _)| *kind == claim.kind);
        let rows = of_kind.filter_map(|(.., id)| self.effects.get(id)).filter(|row| is_first(row));
        let mut due: Vec<(bool, Timestamp, u64, EffectId)> =
            rows.map(|row| (!row.wish.urgent, row.ready_at, row.place, row.wish.id.clone())).collect();
        due.sort_unstable();
        due.truncate(claim.limit as usize);
        due.into_iter().filter_map(|(.., id)| self.lease(&id, claim.lease_until)).collect()
    }

    fn lease(&mut self, id: &EffectId, until: Timestamp) -> Option<Leased> {
        self.set_ready(id, until);
        let row = self.effects.get_mut(id)?;
        row.attempt += 1;
        row.is_leased = true;
        Some(Leased {
            id: id.clone(),
            incident: row.incident.clone(),
            attempt: row.attempt,
            due_at: row.wish.due_at,
            created_at: row.created_at,
            urgent: row.wish.urgent,
            queue: row.wish.queue.clone(),
            effect: row.wish.effect.clone(),
        })
    }

    pub(super) fn neighbours(&self) -> Neighbours {
        let open = self.open.iter().filter_map(|id| self.incidents.get(id));
        let incidents = open.map(|kept| Neighbour {
            id: kept.incident.id.clone(),
            rule: kept.incident.rule.clone(),
            key: kept.incident.key.clone(),
            started_at: kept.incident.started_at,
        });
        Neighbours { incidents: incidents.collect(), ..Neighbours::default() }
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
        if self.by_key.get(&kept.incident.key) == Some(id) {
            self.by_key.remove(&kept.incident.key);
        }
        Some(kept.incident)
    }
}
