//! A store in memory for one backtest: the port `Store` over maps, since nothing of it has to outlive the run.
//!
//! It keeps what an open incident needs and nothing else: lines of timelines go to whoever watches the commits, and an
//! incident that is over for good is let go of. Starts of actions stay for the guardrails, and calls for the report, so
//! memory still grows with the number of episodes.

mod state;

#[cfg(test)]
mod tests;

use crate::domain::correlate::CorrelationKey;
use crate::domain::diagnosis::Finding;
use crate::domain::effect::EffectKind;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::guardrail::Pause;
use crate::domain::incident::{Incident, IncidentId, IncidentStatus};
use crate::domain::rule::RuleHash;
use crate::domain::temporary::TemporaryFix;
use crate::engine::ports::{
    AuditView, ChecksView, Claim, Commit, Delivery, Finish, FiringPage, IncidentCounts, IncidentQuery,
    IncidentView, IncidentWrite, Leased, Ledger, Loaded, Neighbours, PastQuery, PauseChange, PortFuture,
    Reader, Store, StoreError, Wanted,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use state::State;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whoever watches what is committed.
pub trait Watcher: Send {
    /// An incident was written, with these new lines.
    fn written(&mut self, write: &IncidentWrite);
}

/// The store.
pub struct Memory {
    state: Mutex<State>,
    watcher: Mutex<Box<dyn Watcher>>,
}

impl Memory {
    /// An empty store.
    pub fn new(watcher: Box<dyn Watcher>) -> Self {
        Self { state: Mutex::default(), watcher: Mutex::new(watcher) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next effect is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.state().ready.first().map(|(at, ..)| *at)
    }

    /// When an incident ended, and whether something still waits for it; none while it is open.
    pub fn ended(&self, id: &IncidentId) -> Option<(Timestamp, bool)> {
        let state = self.state();
        let kept = state.incidents.get(id)?;
        let resolved = kept.incident.resolved.as_ref().filter(|_| !kept.incident.is_open())?;
        Some((resolved.at, kept.effects > 0))
    }

    /// Lets go of an incident that is over for good, and gives it back.
    pub fn forget(&self, id: &IncidentId) -> Option<Incident> {
        self.state().forget(id)
    }

    /// All incidents that are still kept, in the order in which they began.
    pub fn rest(&self) -> Vec<Incident> {
        let state = self.state();
        let mut rest: Vec<Incident> = state.incidents.values().map(|kept| kept.incident.clone()).collect();
        rest.sort_unstable_by(|left, right| left.id.cmp(&right.id));
        rest
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> PortFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Store for Memory {
    fn append(&self, deliveries: Vec<Delivery>) -> PortFuture<'_, Result<(), StoreError>> {
        self.state().inbox.extend(deliveries.into_iter().map(|one| (one.id.clone(), one)));
        ready(Ok(()))
    }

    fn peek(&self, after: Option<&str>, limit: u32) -> PortFuture<'_, Result<Vec<Delivery>, StoreError>> {
        let state = self.state();
        let waiting = state.inbox.iter().filter(|(id, _)| after.is_none_or(|after| id.as_str() > after));
        let found = waiting.take(limit as usize).map(|(_, delivery)| delivery.clone()).collect();
        ready(Ok(found))
    }

    fn inbox_depth(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        ready(Ok(self.state().inbox.len() as u64))
    }

    fn load(&self, wanted: Wanted) -> PortFuture<'_, Result<Loaded, StoreError>> {
        ready(Ok(self.state().load(&wanted)))
    }

    fn findings(&self, incident: &IncidentId) -> PortFuture<'_, Result<Vec<Finding>, StoreError>> {
        let state = self.state();
        ready(Ok(state.incidents.get(incident).map(|kept| kept.findings.clone()).unwrap_or_default()))
    }

    fn text(&self, hash: &RuleHash) -> PortFuture<'_, Result<Option<Value>, StoreError>> {
        ready(Ok(self.state().texts.get(hash).cloned()))
    }

    fn neighbours(&self, _: Timestamp) -> PortFuture<'_, Result<Neighbours, StoreError>> {
        ready(Ok(self.state().neighbours()))
    }

    fn keys_of_rule(
        &self,
        rule: &str,
        limit: u32,
    ) -> PortFuture<'_, Result<Vec<CorrelationKey>, StoreError>> {
        let state = self.state();
        let open = state.open.iter().filter_map(|id| state.incidents.get(id));
        let of_rule = open.filter(|kept| kept.incident.rule == rule).take(limit as usize);
        ready(Ok(of_rule.map(|kept| kept.incident.key.clone()).collect()))
    }

    fn ledger(&self, since: Timestamp) -> PortFuture<'_, Result<Ledger, StoreError>> {
        ready(Ok(self.state().ledger(since)))
    }

    fn firing(&self, _: Option<&IncidentId>) -> PortFuture<'_, Result<FiringPage, StoreError>> {
        ready(Ok(FiringPage::default()))
    }

    fn confirm(
        &self,
        _: Vec<(IncidentId, Fingerprint)>,
        _: Timestamp,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        ready(Ok(()))
    }

    fn beats(&self) -> PortFuture<'_, Result<BTreeMap<String, Timestamp>, StoreError>> {
        ready(Ok(BTreeMap::new()))
    }

    fn audit(&self, _: Timestamp, _: Timestamp) -> PortFuture<'_, Result<AuditView, StoreError>> {
        ready(Ok(AuditView::default()))
    }

    fn commit(&self, commit: Commit) -> PortFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        if !state.fits(&commit) {
            return ready(Err(StoreError::Conflict));
        }
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        commit.incidents.iter().for_each(|write| watcher.written(write));
        state.write(commit);
        ready(Ok(()))
    }

    fn claim(&self, claim: Claim) -> PortFuture<'_, Result<Vec<Leased>, StoreError>> {
        ready(Ok(self.state().claim(&claim)))
    }

    fn postpone(&self, effect: Finish, until: Timestamp) -> PortFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        let row = state.effects.get_mut(&effect.id).filter(|row| row.attempt == effect.attempt);
        if let Some(row) = row {
            row.is_leased = false;
            state.set_ready(&effect.id, until);
        }
        ready(Ok(()))
    }

    fn release_all(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        ready(Ok(0))
    }

    fn clock_went_back(
        &self,
        _: Timestamp,
        _: Option<SignedDuration>,
    ) -> PortFuture<'_, Result<u64, StoreError>> {
        ready(Ok(0))
    }

    fn effect_depth(&self) -> PortFuture<'_, Result<BTreeMap<EffectKind, u64>, StoreError>> {
        let mut depth = BTreeMap::new();
        self.state().ready.iter().for_each(|(.., kind, _)| *depth.entry(*kind).or_default() += 1);
        ready(Ok(depth))
    }

    fn set_pause(&self, _: PauseChange) -> PortFuture<'_, Result<(), StoreError>> {
        ready(Ok(()))
    }

    fn prune(&self, _: Timestamp) -> PortFuture<'_, Result<u64, StoreError>> {
        ready(Ok(0))
    }

    fn ping(&self) -> PortFuture<'_, Result<(), StoreError>> {
        ready(Ok(()))
    }
}

impl Reader for Memory {
    fn incidents(&self, _: IncidentQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        ready(Ok(self.rest()))
    }

    /// Without alerts and lines: nobody draws a message here.
    fn incident(&self, id: &IncidentId) -> PortFuture<'_, Result<Option<IncidentView>, StoreError>> {
        let state = self.state();
        let view = state.incidents.get(id).map(|kept| IncidentView {
            incident: kept.incident.clone(),
            alerts: Vec::new(),
            findings: kept.findings.clone(),
            documents: Vec::new(),
            timeline: Vec::new(),
        });
        ready(Ok(view))
    }

    fn counts(&self) -> PortFuture<'_, Result<IncidentCounts, StoreError>> {
        let state = self.state();
        let mut counts = IncidentCounts::new();
        for kept in state.incidents.values().filter(|kept| kept.incident.status != IncidentStatus::Resolved) {
            *counts.entry((kept.incident.severity, kept.incident.status)).or_default() += 1;
        }
        ready(Ok(counts))
    }

    fn temporary_fixes(&self) -> PortFuture<'_, Result<Vec<TemporaryFix>, StoreError>> {
        ready(Ok(Vec::new()))
    }

    fn past(&self, _: PastQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        ready(Ok(Vec::new()))
    }

    fn checks(&self) -> PortFuture<'_, Result<ChecksView, StoreError>> {
        ready(Ok(ChecksView::default()))
    }

    fn pauses(&self) -> PortFuture<'_, Result<Vec<Pause>, StoreError>> {
        ready(Ok(Vec::new()))
    }
}
