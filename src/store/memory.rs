//! A store in memory: the ports `Store` and `Reader` over maps, for what need not outlive its process, which are rule
//! tests and backtests. A service never runs on it.
//!
//! It keeps those promises of the contract that a play on the stage is about; the contract's own suite says which. Nobody
//! there reconciles with Alertmanager, hears a watchdog, audits, prunes or sets the clock back.
//!
//! A backtest lets go of incidents that are over for good, and hears of lines instead of keeping them; starts of actions
//! stay for the guardrails, so memory still grows with the number of episodes.

mod effects;
mod ledger;
mod state;

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
    IncidentView, IncidentWrite, Leased, Ledger, Loaded, Neighbours, PEEK_BYTES_MAX, PastKeys, PastQuery,
    PauseChange, PortFuture, Reader, Store, StoreError, TEMPORARY_MAX, Wanted,
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
#[derive(Default)]
pub struct Memory {
    state: Mutex<State>,
    watcher: Option<Mutex<Box<dyn Watcher>>>,
}

impl Memory {
    /// An empty store that keeps what the engine needs; everything else is for the watcher.
    pub fn watched(watcher: Box<dyn Watcher>) -> Self {
        Self { watcher: Some(Mutex::new(watcher)), ..Self::default() }
    }

    /// An empty store that keeps what people see as well.
    pub fn whole() -> Self {
        Self { state: Mutex::new(State::shown()), watcher: None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next effect is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.state().effects.next_due()
    }

    /// When an incident ended, and whether something still waits for it; none while it is open.
    pub fn ended(&self, id: &IncidentId) -> Option<(Timestamp, bool)> {
        let state = self.state();
        let (incident, effects) = state.incident(id)?;
        let resolved = incident.resolved.as_ref().filter(|_| !incident.is_open())?;
        Some((resolved.at, effects > 0))
    }

    /// Lets go of an incident that is over for good, and gives it back.
    pub fn forget(&self, id: &IncidentId) -> Option<Incident> {
        self.state().forget(id)
    }

    /// All incidents that are still kept, in the order in which they began.
    pub fn rest(&self) -> Vec<Incident> {
        let mut rest: Vec<Incident> = self.state().incidents().cloned().collect();
        rest.sort_unstable_by(|left, right| left.id.cmp(&right.id));
        rest
    }

    /// All incidents as people see them, in the order in which they began.
    pub fn views(&self) -> Vec<IncidentView> {
        let state = self.state();
        let mut ids: Vec<&IncidentId> = state.incidents().map(|incident| &incident.id).collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| state.view(id)).collect()
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> PortFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Store for Memory {
    fn append(&self, deliveries: Vec<Delivery>) -> PortFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        for delivery in deliveries {
            state.inbox.entry(delivery.id.clone()).or_insert(delivery);
        }
        ready(Ok(()))
    }

    fn peek(&self, after: Option<&str>, limit: u32) -> PortFuture<'_, Result<Vec<Delivery>, StoreError>> {
        let state = self.state();
        let waiting = state.inbox.iter().filter(|(id, _)| after.is_none_or(|after| id.as_str() > after));
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (_, delivery) in waiting.take(limit as usize) {
            if bytes >= PEEK_BYTES_MAX {
                break;
            }
            bytes += delivery.body.len() as u64;
            found.push(delivery.clone());
        }
        ready(Ok(found))
    }

    fn inbox_depth(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        ready(Ok(self.state().inbox.len() as u64))
    }

    fn load(&self, wanted: Wanted) -> PortFuture<'_, Result<Loaded, StoreError>> {
        ready(Ok(self.state().load(&wanted)))
    }

    fn findings(&self, incident: &IncidentId) -> PortFuture<'_, Result<Vec<Finding>, StoreError>> {
        ready(Ok(self.state().findings(incident)))
    }

    fn text(&self, hash: &RuleHash) -> PortFuture<'_, Result<Option<Value>, StoreError>> {
        ready(Ok(self.state().text(hash)))
    }

    fn neighbours(&self, since: Timestamp) -> PortFuture<'_, Result<Neighbours, StoreError>> {
        ready(Ok(self.state().neighbours(since)))
    }

    fn keys_of_rule(
        &self,
        rule: &str,
        limit: u32,
    ) -> PortFuture<'_, Result<Vec<CorrelationKey>, StoreError>> {
        let state = self.state();
        let of_rule = state.open().filter(|incident| incident.rule == rule).take(limit as usize);
        ready(Ok(of_rule.map(|incident| incident.key.clone()).collect()))
    }

    fn ledger(&self, since: Timestamp) -> PortFuture<'_, Result<Ledger, StoreError>> {
        ready(Ok(self.state().starts.since(since)))
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
        if let Err(error) = state.check(&commit) {
            return ready(Err(error));
        }
        if let Some(watcher) = &self.watcher {
            let mut watcher = watcher.lock().unwrap_or_else(PoisonError::into_inner);
            commit.incidents.iter().for_each(|write| watcher.written(write));
        }
        state.write(commit);
        ready(Ok(()))
    }

    fn claim(&self, claim: Claim) -> PortFuture<'_, Result<Vec<Leased>, StoreError>> {
        ready(Ok(self.state().effects.claim(&claim)))
    }

    fn postpone(&self, effect: Finish, until: Timestamp) -> PortFuture<'_, Result<(), StoreError>> {
        self.state().effects.postpone(&effect, until);
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
        ready(Ok(self.state().effects.depth()))
    }

    fn set_pause(&self, change: PauseChange) -> PortFuture<'_, Result<(), StoreError>> {
        self.state().starts.pause(change);
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
    fn incidents(&self, query: IncidentQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        let IncidentQuery { statuses, limit, after } = query;
        let state = self.state();
        let is_wanted = |incident: &&Incident| {
            (statuses.is_empty() || statuses.contains(&incident.status))
                && after.as_ref().is_none_or(|after| incident.id < *after)
        };
        let mut found: Vec<&Incident> = state.incidents().filter(is_wanted).collect();
        found.sort_unstable_by(|left, right| right.id.cmp(&left.id));
        ready(Ok(found.into_iter().take(limit as usize).cloned().collect()))
    }

    fn incident(&self, id: &IncidentId) -> PortFuture<'_, Result<Option<IncidentView>, StoreError>> {
        ready(Ok(self.state().view(id)))
    }

    fn past(&self, query: PastQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        let state = self.state();
        let is_meant = |incident: &Incident| match &query.keys {
            PastKeys::One(key) => incident.key == *key,
            PastKeys::OfRule(rule) => incident.rule == *rule,
        };
        let over = state.incidents().filter(|incident| !incident.is_open() && is_meant(incident));
        let ended = over.filter_map(|incident| Some((incident.resolved.as_ref()?.at, incident)));
        let mut found: Vec<(Timestamp, &Incident)> = ended.filter(|(at, _)| *at >= query.since).collect();
        found.sort_unstable_by(|(left_at, left), (right_at, right)| {
            right_at.cmp(left_at).then(right.id.cmp(&left.id))
        });
        ready(Ok(found
            .into_iter()
            .take(query.limit as usize)
            .map(|(_, incident)| incident.clone())
            .collect()))
    }

    fn counts(&self) -> PortFuture<'_, Result<IncidentCounts, StoreError>> {
        let mut counts = IncidentCounts::new();
        for incident in self.state().incidents().filter(|it| it.status != IncidentStatus::Resolved) {
            *counts.entry((incident.severity, incident.status)).or_default() += 1;
        }
        ready(Ok(counts))
    }

    fn temporary_fixes(&self) -> PortFuture<'_, Result<Vec<TemporaryFix>, StoreError>> {
        let mut fixes: Vec<TemporaryFix> = self.state().temporary.values().cloned().collect();
        fixes.sort_by_key(|fix| fix.until);
        fixes.truncate(TEMPORARY_MAX);
        ready(Ok(fixes))
    }

    fn checks(&self) -> PortFuture<'_, Result<ChecksView, StoreError>> {
        ready(Ok(ChecksView::default()))
    }

    fn pauses(&self) -> PortFuture<'_, Result<Vec<Pause>, StoreError>> {
        ready(Ok(self.state().starts.pauses()))
    }
}
