//! Effects in memory: leased, given back and counted as the tables of the real store do it.

use crate::domain::effect::{EffectId, EffectKind, NewEffect};
use crate::domain::incident::IncidentId;
use crate::engine::ports::{Claim, Finish, Leased, StoreError};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An effect that waits, or that somebody carries out.
struct Row {
    wish: NewEffect,
    incident: IncidentId,
    created_at: Timestamp,
    /// When it can be claimed, or its lease ends.
    ready_at: Timestamp,
    /// In which order it was wished.
    born: u64,
    /// Its place in its lane.
    place: u64,
    attempt: u32,
    is_leased: bool,
}

/// All effects.
#[derive(Default)]
pub(super) struct Effects {
    rows: HashMap<EffectId, Row>,
    /// By when they can be claimed.
    ready: BTreeSet<(Timestamp, u64, EffectKind, EffectId)>,
    lanes: HashMap<String, BTreeSet<(u64, EffectId)>>,
    births: u64,
}

/// The incident of an effect, and its number there.
fn parts(id: &EffectId) -> Result<(IncidentId, u64), StoreError> {
    let parts = id.0.rsplit_once("-e");
    parts
        .and_then(|(incident, number)| Some((IncidentId(incident.to_owned()), number.parse().ok()?)))
        .ok_or_else(|| {
            StoreError::Corrupt(format!("effect `{id}`: its identity does not end in `-e` and a number"))
        })
}

impl Effects {
    /// Whether all of these can be told whose they are.
    pub(super) fn are_somebodys(wishes: &[NewEffect]) -> Result<(), StoreError> {
        wishes.iter().try_for_each(|wish| parts(&wish.id).map(drop))
    }

    /// Whether the lease stands.
    pub(super) fn is_held(&self, lease: &Finish) -> bool {
        self.rows.get(&lease.id).is_some_and(|row| row.is_leased && row.attempt == lease.attempt)
    }

    /// Adds one; its incident is told back. What joins a lane whose first was postponed waits as long.
    pub(super) fn add(&mut self, wish: NewEffect, created_at: Timestamp) -> Option<IncidentId> {
        let (incident, place) = parts(&wish.id).ok()?;
        let mut ready_at = wish.due_at;
        if let Some(lane) = &wish.lane {
            let lane = self.lanes.entry(lane.clone()).or_default();
            let waiting = lane.iter().filter_map(|(_, id)| self.rows.get(id)).filter(|row| !row.is_leased);
            ready_at = waiting.map(|row| row.ready_at).fold(ready_at, Timestamp::max);
            lane.insert((place, wish.id.clone()));
        }
        self.births += 1;
        let born = self.births;
        self.ready.insert((ready_at, born, wish.effect.kind(), wish.id.clone()));
        let (attempt, is_leased) = (0, false);
        let row =
            Row { incident: incident.clone(), created_at, ready_at, born, place, attempt, is_leased, wish };
        self.rows.insert(row.wish.id.clone(), row);
        Some(incident)
    }

    /// Takes one away; its incident is told back.
    pub(super) fn remove(&mut self, id: &EffectId) -> Option<IncidentId> {
        let row = self.rows.remove(id)?;
        self.ready.remove(&(row.ready_at, row.born, row.wish.effect.kind(), id.clone()));
        if let Some(lane) = &row.wish.lane
            && let Some(waiting) = self.lanes.get_mut(lane)
        {
            waiting.remove(&(row.place, id.clone()));
            if waiting.is_empty() {
                self.lanes.remove(lane);
            }
        }
        Some(row.incident)
    }

    /// Takes one away that nobody carries out.
    pub(super) fn cancel(&mut self, id: &EffectId) -> Option<IncidentId> {
        if self.rows.get(id)?.is_leased {
            return None;
        }
        self.remove(id)
    }

    /// Gives a lease back until later. What waits behind it in its lane waits as long.
    pub(super) fn postpone(&mut self, lease: &Finish, until: Timestamp) {
        if !self.is_held(lease) {
            return;
        }
        let Some(row) = self.rows.get_mut(&lease.id) else { return };
        row.is_leased = false;
        let (lane, place) = (row.wish.lane.clone(), row.place);
        self.set_ready(&lease.id, until);
        let waiting = lane.and_then(|lane| self.lanes.get(&lane)).into_iter().flatten();
        let behind = waiting.filter(|(behind, _)| *behind > place).map(|(_, id)| id);
        let early = behind.filter(|id| self.rows.get(*id).is_some_and(|row| row.ready_at < until));
        for id in early.cloned().collect::<Vec<_>>() {
            self.set_ready(&id, until);
        }
    }

    fn set_ready(&mut self, id: &EffectId, at: Timestamp) {
        let Some(row) = self.rows.get_mut(id) else { return };
        let (born, kind) = (row.born, row.wish.effect.kind());
        self.ready.remove(&(row.ready_at, born, kind, id.clone()));
        row.ready_at = at;
        self.ready.insert((at, born, kind, id.clone()));
    }

    /// Whether it is the oldest of its lane.
    fn is_first(&self, row: &Row) -> bool {
        let lane = row.wish.lane.as_ref().and_then(|lane| self.lanes.get(lane));
        lane.is_none_or(|waiting| waiting.first().is_none_or(|(place, _)| *place == row.place))
    }

    /// When the next can be claimed, or a lease ends.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let first =
            self.ready.iter().find(|(.., id)| self.rows.get(id).is_some_and(|row| self.is_first(row)));
        first.map(|(at, ..)| *at)
    }

    /// Leases what is due, urgent ones first, each lane's oldest only, and of each queue one.
    pub(super) fn claim(&mut self, claim: &Claim) -> Vec<Leased> {
        let due = self.ready.iter().take_while(|(at, ..)| *at <= claim.now);
        let of_kind = due.filter(|(.., kind, _)| *kind == claim.kind);
        let rows = of_kind.filter_map(|(.., id)| self.rows.get(id)).filter(|row| self.is_first(row));
        let mut free: Vec<&Row> = Vec::new();
        let mut heads: BTreeMap<&str, &Row> = BTreeMap::new();
        for row in rows {
            match row.wish.queue.as_deref() {
                None => free.push(row),
                Some(queue) if claim.held.iter().any(|held| held == queue) => {}
                // In the order of time, so one gives way only to the first that is urgent.
                Some(queue) => match heads.get(queue) {
                    Some(head) if head.wish.urgent || !row.wish.urgent => {}
                    _ => drop(heads.insert(queue, row)),
                },
            }
        }
        let mut due: Vec<(bool, Timestamp, u64, &EffectId)> = free
            .into_iter()
            .chain(heads.into_values())
            .map(|row| (!row.wish.urgent, row.ready_at, row.born, &row.wish.id))
            .collect();
        due.sort_unstable();
        due.truncate(claim.limit as usize);
        let due: Vec<EffectId> = due.into_iter().map(|(.., id)| id.clone()).collect();
        let mut leased: Vec<Leased> = due.iter().filter_map(|id| self.lease(id, claim.lease_until)).collect();
        leased.sort_by(|left, right| {
            right.urgent.cmp(&left.urgent).then(left.due_at.cmp(&right.due_at)).then(left.id.cmp(&right.id))
        });
        leased
    }

    fn lease(&mut self, id: &EffectId, until: Timestamp) -> Option<Leased> {
        self.set_ready(id, until);
        let row = self.rows.get_mut(id)?;
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

    /// How many wait, by kind.
    pub(super) fn depth(&self) -> BTreeMap<EffectKind, u64> {
        let mut depth = BTreeMap::new();
        self.ready.iter().for_each(|(.., kind, _)| *depth.entry(*kind).or_default() += 1);
        depth
    }
}
