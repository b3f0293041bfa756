//! The durable side of the engine's ports on SQLite (embedded, one process) and PostgreSQL (replicas): one SQL text
//! for both, apart from the words in `dialect`.
//!
//! **Invariants.** Every write is one transaction or one statement. No row is changed without the version, the
//! attempt or the lock that proves that nobody else was first. Nothing from outside becomes SQL text. Statements are
//! never logged: they hold labels.
//!
//! Reading order: `open` → `database` → `threads` → `sql` → `inbox` → `load` → `commit` → `trail` → `effects` → `ledger` → `reader` → `firing` → `audit` → `checks` →
//! `prune` → `hints`. What only has to last as long as a rule test or a backtest is kept by [`memory`].

mod audit;
mod checks;
mod codec;
mod commit;
mod database;
mod dialect;
mod effects;
mod error;
mod firing;
mod hints;
mod inbox;
mod ledger;
mod load;
pub mod memory;
mod migrate;
mod open;
mod over_postgres;
mod over_sqlite;
mod postgres;
mod prune;
mod reader;
mod sql;
mod sqlite;
mod threads;
mod trail;

pub use dialect::Dialect;
pub use error::OpenError;
pub use open::OpenOptions;

use crate::domain::correlate::CorrelationKey;
use crate::domain::diagnosis::Finding;
use crate::domain::effect::EffectKind;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::guardrail::Pause;
use crate::domain::incident::{Incident, IncidentId, IncidentStatus};
use crate::domain::rule::RuleHash;
use crate::domain::severity::Severity;
use crate::domain::temporary::TemporaryFix;
use crate::engine::ports::{
    AuditView, ChecksView, Claim, Commit, Delivery, Finish, FiringPage, IncidentQuery, IncidentView, Leased,
    Ledger, Loaded, Neighbours, PastQuery, PauseChange, PortFuture, Reader, Store, StoreError, Wanted,
};
use database::Database;
use hints::Hints;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use tokio::sync::watch;

/// The store on a SQL database.
pub struct SqlStore {
    database: Database,
    /// Keeps other processes out of a SQLite file.
    _lock: Option<File>,
    hints: Hints,
}

impl SqlStore {
    /// Opens `sqlite://PATH` (made if it is not there) or `postgres://…`, and brings the tables up to date.
    pub async fn open(url: &str, options: &OpenOptions) -> Result<Self, OpenError> {
        open::open(url, options).await
    }

    fn new(database: Database, lock: Option<File>, hints: Hints) -> Self {
        Self { database, _lock: lock, hints }
    }

    /// Changes when a process has written something that another may wait for: deliveries, or effects that are
    /// due. Only a hint, and only from PostgreSQL: it may come late, twice or never, so polling goes on.
    pub fn hints(&self) -> watch::Receiver<u64> {
        self.hints.subscribe()
    }

    /// When the next effect can be claimed, or a lease ends; for simulations, which move their clock there. Looks at
    /// every effect, so it is no part of the port.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        effects::next_due(&self.database).await
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.database.dialect
    }

    /// Closes all connections. What was committed is safe with or without it.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

impl Store for SqlStore {
    fn append(&self, deliveries: Vec<Delivery>) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(inbox::append(&self.database, deliveries))
    }

    fn peek(&self, after: Option<&str>, limit: u32) -> PortFuture<'_, Result<Vec<Delivery>, StoreError>> {
        Box::pin(inbox::peek(&self.database, after.unwrap_or_default().to_owned(), limit))
    }

    fn inbox_depth(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        Box::pin(inbox::depth(&self.database))
    }

    fn load(&self, wanted: Wanted) -> PortFuture<'_, Result<Loaded, StoreError>> {
        Box::pin(load::load(&self.database, wanted))
    }

    fn findings(&self, incident: &IncidentId) -> PortFuture<'_, Result<Vec<Finding>, StoreError>> {
        let incident = incident.clone();
        Box::pin(async move { reader::findings(&self.database, &incident).await })
    }

    fn text(&self, hash: &RuleHash) -> PortFuture<'_, Result<Option<Value>, StoreError>> {
        let hash = hash.clone();
        Box::pin(async move { reader::text(&self.database, &hash).await })
    }

    fn neighbours(&self, since: Timestamp) -> PortFuture<'_, Result<Neighbours, StoreError>> {
        Box::pin(reader::neighbours(&self.database, since))
    }

    fn keys_of_rule(
        &self,
        rule: &str,
        limit: u32,
    ) -> PortFuture<'_, Result<Vec<CorrelationKey>, StoreError>> {
        let rule = rule.to_owned();
        Box::pin(async move { reader::keys_of_rule(&self.database, &rule, limit).await })
    }

    fn ledger(&self, since: Timestamp) -> PortFuture<'_, Result<Ledger, StoreError>> {
        Box::pin(ledger::ledger(&self.database, since))
    }

    fn firing(&self, after: Option<&IncidentId>) -> PortFuture<'_, Result<FiringPage, StoreError>> {
        let after = after.cloned();
        Box::pin(async move { firing::firing(&self.database, after.as_ref()).await })
    }

    fn confirm(
        &self,
        alerts: Vec<(IncidentId, Fingerprint)>,
        at: Timestamp,
    ) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(firing::confirm(&self.database, alerts, at))
    }

    fn beats(&self) -> PortFuture<'_, Result<BTreeMap<String, Timestamp>, StoreError>> {
        Box::pin(audit::beats(&self.database))
    }

    fn audit(&self, overdue: Timestamp, untold: Timestamp) -> PortFuture<'_, Result<AuditView, StoreError>> {
        Box::pin(audit::audit(&self.database, overdue, untold))
    }

    fn commit(&self, commit: Commit) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(commit::commit(&self.database, commit))
    }

    fn claim(&self, claim: Claim) -> PortFuture<'_, Result<Vec<Leased>, StoreError>> {
        Box::pin(effects::claim(&self.database, claim))
    }

    fn postpone(&self, effect: Finish, until: Timestamp) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(effects::postpone(&self.database, effect, until))
    }

    fn release_all(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        Box::pin(effects::release_all(&self.database))
    }

    fn clock_went_back(
        &self,
        now: Timestamp,
        by: Option<SignedDuration>,
    ) -> PortFuture<'_, Result<u64, StoreError>> {
        Box::pin(effects::clock_went_back(&self.database, now, by))
    }

    fn effect_depth(&self) -> PortFuture<'_, Result<BTreeMap<EffectKind, u64>, StoreError>> {
        Box::pin(effects::depth(&self.database))
    }

    fn set_pause(&self, change: PauseChange) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(ledger::set_pause(&self.database, change))
    }

    fn prune(&self, ended_before: Timestamp) -> PortFuture<'_, Result<u64, StoreError>> {
        Box::pin(prune::prune(&self.database, ended_before))
    }

    fn ping(&self) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(self.database.ping())
    }
}

impl Reader for SqlStore {
    fn incidents(&self, query: IncidentQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        Box::pin(reader::incidents(&self.database, query))
    }

    fn incident(&self, id: &IncidentId) -> PortFuture<'_, Result<Option<IncidentView>, StoreError>> {
        let id = id.clone();
        Box::pin(async move { reader::incident(&self.database, &id).await })
    }

    fn past(&self, query: PastQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        Box::pin(reader::past(&self.database, query))
    }

    fn counts(&self) -> PortFuture<'_, Result<BTreeMap<(Severity, IncidentStatus), u64>, StoreError>> {
        Box::pin(reader::counts(&self.database))
    }

    fn temporary_fixes(&self) -> PortFuture<'_, Result<Vec<TemporaryFix>, StoreError>> {
        Box::pin(reader::temporary_fixes(&self.database))
    }

    fn checks(&self) -> PortFuture<'_, Result<ChecksView, StoreError>> {
        Box::pin(checks::view(&self.database))
    }

    fn pauses(&self) -> PortFuture<'_, Result<Vec<Pause>, StoreError>> {
        Box::pin(ledger::pauses(&self.database))
    }
}
