//! What the engine needs from the floors above, as traits. These are the only traits of the house.
//!
//! The store's ports carry whole batches: one call is one round trip or one transaction, because a transaction a
//! row is an order of magnitude slower. Adapters implement them; tests implement them in memory or against the
//! real databases with one contract suite.

mod alerting;
mod decoded;
mod hands;
mod looks;
mod notifier;

pub use alerting::{Alerting, Held, HeldAlert, Kept, Peer, SilenceOrder, SilenceRefused};
pub use decoded::{Click, ClickVerb, Decoded, Decoder, SILENCE_CHOICES, Spot, Whose};
pub use hands::{ActionContext, Actor, Sentinel, SurveyContext, Surveyor};
pub use looks::{AuditView, ChecksView, Firing, FiringPage, Pending};
pub use notifier::{Delivered, Notifier, Sending};

use crate::domain::Labels;
use crate::domain::action::ActionId;
use crate::domain::alert::{Alert, AlertRecord};
use crate::domain::apply::Document;
use crate::domain::correlate::{CorrelationKey, Target};
use crate::domain::diagnosis::Finding;
use crate::domain::effect::{Effect, EffectId, EffectKind, NewEffect};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::guardrail::{Pause, Start, StartEnd};
use crate::domain::incident::{Incident, IncidentId, IncidentStatus};
use crate::domain::rule::{DiagnosticSpec, RuleHash};
use crate::domain::scheduled::CheckReport;
use crate::domain::severity::Severity;
use crate::domain::temporary::{TemporaryChange, TemporaryFix};
use crate::domain::timeline::TimelineLine;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A future that a port returns.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tells the time, to the millisecond: what is stored must read back equal.
pub trait Clock: Send + Sync {
    /// The time now, without anything below a millisecond.
    fn now(&self) -> Timestamp;
}

/// Draws identities.
pub trait Ids: Send + Sync {
    /// A new incident's identity: unique, and sorting by time.
    fn incident(&self) -> IncidentId;
    /// A new delivery's identity: unique, and sorting by time.
    fn delivery(&self) -> String;
}

/// Where a delivery came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `POST /webhooks/alertmanager`.
    Alertmanager,
    /// `POST /webhooks/grafana`.
    Grafana,
    /// `POST /webhooks/pagerduty`.
    PagerDuty,
    /// `POST /webhooks/slack`.
    Slack,
    /// What was found by asking Alertmanager, for which no webhook came.
    Reconciler,
    /// What the service raises about itself.
    Own,
}

impl Source {
    /// The word used in the store and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
            Self::PagerDuty => "pagerduty",
            Self::Slack => "slack",
            Self::Reconciler => "reconciler",
            Self::Own => "own",
        }
    }
}

/// One delivery as it arrived: the raw body, so that nothing is lost to a reader that knows less than the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Identity, drawn on receipt.
    pub id: String,
    /// Where it came from.
    pub source: Source,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The body.
    pub body: Bytes,
}

/// What the store is asked for before a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Incidents by identity.
    pub ids: Vec<IncidentId>,
    /// For each key, its open incident, or else the one that ended last.
    pub keys: Vec<CorrelationKey>,
    /// Remembered alerts, in every incident that holds them, with those incidents where they are open or where
    /// the alert is still recorded as firing; for one of these that is over, also the open incident of its key.
    pub fingerprints: Vec<Fingerprint>,
    /// Incidents by their identity in PagerDuty.
    pub bridges: Vec<String>,
}

/// A remembered alert with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAlert {
    /// Identity of the alert.
    pub fingerprint: Fingerprint,
    /// The incident that counts it; none for a tombstone.
    pub incident: Option<IncidentId>,
    /// What is remembered.
    pub record: AlertRecord,
}

/// What the store had.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// Incidents, each once.
    pub incidents: Vec<Incident>,
    /// Alerts.
    pub alerts: Vec<StoredAlert>,
}

/// An alert to be remembered, with what people and templates may want to see of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertWrite {
    /// The incident that counts it; none for a tombstone.
    pub incident: Option<IncidentId>,
    /// What to remember.
    pub record: AlertRecord,
    /// The alert as it was told.
    pub alert: Arc<Alert>,
}

/// One incident's part of a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentWrite {
    /// The version that was loaded; 0 for a new incident. The commit fails when the store holds another.
    pub loaded_version: u64,
    /// The new state.
    pub incident: Incident,
    /// New lines of the trail.
    pub lines: Vec<TimelineLine>,
    /// Findings to keep, replacing those of the same name.
    pub findings: Vec<Finding>,
    /// Documents to keep.
    pub documents: Vec<Document>,
}

/// A leased effect, with the number of the attempt that it was leased for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// Which.
    pub id: EffectId,
    /// The attempt that the lease was given for: the fencing token.
    pub attempt: u32,
}

/// A delivery that cannot be read: kept for people, out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which delivery.
    pub delivery: String,
    /// Why.
    pub error: String,
}

/// Everything that one step writes, in one transaction or not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// When; stored as the time of writing.
    pub at: Option<Timestamp>,
    /// Changed incidents, each once.
    pub incidents: Vec<IncidentWrite>,
    /// Alerts to remember.
    pub alerts: Vec<AlertWrite>,
    /// New effects.
    pub effects: Vec<NewEffect>,
    /// Effects that are no longer wanted. One that is gone or leased already is no conflict.
    pub cancelled: Vec<EffectId>,
    /// Leased effects that are done: they are deleted. One whose lease was lost is a conflict.
    pub finished: Vec<Finish>,
    /// Leased effects that go on. One whose lease was lost is a conflict.
    pub held: Vec<Finish>,
    /// Deliveries that are consumed. One that is gone is a conflict: another replica consumed it.
    pub consumed: Vec<String>,
    /// Deliveries that cannot be read; they are consumed as well.
    pub dead: Vec<DeadLetter>,
    /// Texts of rules and policies that incidents refer to, by digest. Kept if not there yet.
    pub texts: Vec<(RuleHash, Value)>,
    /// Actions that were allowed to start, to be counted by the limits.
    pub starts: Vec<Start>,
    /// Watchdogs that were heard, and when.
    pub beats: Vec<(String, Timestamp)>,
    /// What scheduled checks found: each replaces the last of its check.
    pub reports: Vec<CheckReport>,
    /// Scheduled checks whose last report is forgotten, by name.
    pub forgotten: Vec<String>,
    /// Temporary changes that began or were undone.
    pub temporary: Vec<TemporaryChange>,
    /// Counted actions that came to their end. One that was never counted is no conflict.
    pub ends: Vec<(ActionId, StartEnd)>,
    /// The ledger's version that `starts` were judged over. The commit fails when the store holds another.
    pub ledger_version: Option<u64>,
}

/// What the limits and pauses are judged over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Rises with every start and every change of a pause, on all replicas.
    pub version: u64,
    /// Pauses in force.
    pub pauses: Vec<Pause>,
    /// Starts since the time asked for, and all that are under way.
    pub starts: Vec<Start>,
}

/// An open incident, as far as others have to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Identity.
    pub id: IncidentId,
    /// Name of its rule.
    pub rule: String,
    /// What makes alerts belong to it.
    pub key: CorrelationKey,
    /// When it began.
    pub started_at: Timestamp,
}

/// Open incidents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// All of them, oldest first, or the newest where there are too many.
    pub incidents: Vec<Neighbour>,
    /// The identity from which on none is missing, where there were too many to look at them all.
    pub known_from: Option<IncidentId>,
    /// Even of those that began lately there were too many.
    pub is_storm: bool,
}

/// A request for effects to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of this kind.
    pub kind: EffectKind,
    /// For this worker.
    pub owner: String,
    /// Due by this time.
    pub now: Timestamp,
    /// Until when the lease stands. An effect is claimable again afterwards.
    pub lease_until: Timestamp,
    /// At most so many, and of each queue one.
    pub limit: u32,
    /// Queues that are left alone: their destination asked for patience.
    pub held: Vec<String>,
}

/// An effect that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// Identity.
    pub id: EffectId,
    /// Whose incident.
    pub incident: IncidentId,
    /// Number of this attempt, from 1: the fencing token.
    pub attempt: u32,
    /// When it was first due.
    pub due_at: Timestamp,
    /// When it was wished.
    pub created_at: Timestamp,
    /// Whether it goes before others.
    pub urgent: bool,
    /// Whose turns it takes part in.
    pub queue: Option<String>,
    /// What is wished.
    pub effect: Effect,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote first, or a lease was lost. Load again and judge again.
    #[error("somebody else changed it first")]
    Conflict,
    /// The database does not answer, is full, locked or read-only. Nothing was written.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What is stored cannot be read: a defect or damage. Names the row.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// Bytes of deliveries that are read together, beyond which [`Store::peek`] takes no further one. With the limit of one
/// body it bounds the memory of a step.
pub const PEEK_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Most temporary fixes of one view. So many workarounds are a way of life.
pub const TEMPORARY_MAX: usize = 1_000;

/// The durable side: inbox, incidents, effects, ledger. All replicas share one.
pub trait Store: Send + Sync {
    /// Writes deliveries durably, all in one transaction.
    fn append(&self, deliveries: Vec<Delivery>) -> PortFuture<'_, Result<(), StoreError>>;
    /// The oldest deliveries that nobody consumed and that sort after `after`: at most `limit`, and fewer once they have
    /// [`PEEK_BYTES_MAX`]. Replicas may see the same ones; the commit decides.
    fn peek(&self, after: Option<&str>, limit: u32) -> PortFuture<'_, Result<Vec<Delivery>, StoreError>>;
    /// How many deliveries wait.
    fn inbox_depth(&self) -> PortFuture<'_, Result<u64, StoreError>>;
    /// What a step needs to know.
    fn load(&self, wanted: Wanted) -> PortFuture<'_, Result<Loaded, StoreError>>;
    /// The newest finding of each name of an incident, in the order of the rule.
    fn findings(&self, incident: &IncidentId) -> PortFuture<'_, Result<Vec<Finding>, StoreError>>;
    /// The text of a rule or policy by digest.
    fn text(&self, hash: &RuleHash) -> PortFuture<'_, Result<Option<Value>, StoreError>>;
    /// Open incidents, the newest at least. Where all of so many began since then, there is a storm.
    fn neighbours(&self, since: Timestamp) -> PortFuture<'_, Result<Neighbours, StoreError>>;
    /// Keys of open incidents of a rule, whenever they began: at most `limit`, in no order that says anything.
    fn keys_of_rule(&self, rule: &str, limit: u32)
    -> PortFuture<'_, Result<Vec<CorrelationKey>, StoreError>>;
    /// Pauses, and starts since then.
    fn ledger(&self, since: Timestamp) -> PortFuture<'_, Result<Ledger, StoreError>>;
    /// Alerts that fire in open incidents that sort after this one, a bounded page of them.
    fn firing(&self, after: Option<&IncidentId>) -> PortFuture<'_, Result<FiringPage, StoreError>>;
    /// Takes note that Alertmanager was seen to hold these alerts.
    fn confirm(
        &self,
        alerts: Vec<(IncidentId, Fingerprint)>,
        at: Timestamp,
    ) -> PortFuture<'_, Result<(), StoreError>>;
    /// When each watchdog was last heard.
    fn beats(&self) -> PortFuture<'_, Result<BTreeMap<String, Timestamp>, StoreError>>;
    /// What would not happen although it must, what should have happened before `overdue`, and of what nobody has heard
    /// although it should have been told before `untold`.
    fn audit(&self, overdue: Timestamp, untold: Timestamp) -> PortFuture<'_, Result<AuditView, StoreError>>;
    /// Writes one step. What can be prepared without the database is prepared at the call.
    fn commit(&self, commit: Commit) -> PortFuture<'_, Result<(), StoreError>>;
    /// Leases effects that are due, urgent ones first, each lane's oldest only, and of each queue one.
    fn claim(&self, claim: Claim) -> PortFuture<'_, Result<Vec<Leased>, StoreError>>;
    /// Gives a lease back until a later time. A lost lease is no error.
    fn postpone(&self, effect: Finish, until: Timestamp) -> PortFuture<'_, Result<(), StoreError>>;
    /// Gives back all leases of workers that are known to be gone (at start, for a store of one process).
    fn release_all(&self) -> PortFuture<'_, Result<u64, StoreError>>;
    /// The clock was set back: moves effects that were wished before that, so that they are due as long from now as
    /// they were then. `by` is how far it was set back where the caller has seen it; without, only effects are moved
    /// that were wished in what is now the future. Safe to say twice. Returns how many were moved.
    fn clock_went_back(
        &self,
        now: Timestamp,
        by: Option<SignedDuration>,
    ) -> PortFuture<'_, Result<u64, StoreError>>;
    /// How many effects wait, by kind.
    fn effect_depth(&self) -> PortFuture<'_, Result<BTreeMap<EffectKind, u64>, StoreError>>;
    /// Sets or lifts a pause. Lifting one that is not set is no error.
    fn set_pause(&self, change: PauseChange) -> PortFuture<'_, Result<(), StoreError>>;
    /// Deletes what ended before then; returns how many incidents went.
    fn prune(&self, ended_before: Timestamp) -> PortFuture<'_, Result<u64, StoreError>>;
    /// Whether the database answers and can be written.
    fn ping(&self) -> PortFuture<'_, Result<(), StoreError>>;
}

/// A change of the kill switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PauseChange {
    /// Sets a pause, or replaces the one of the same scope.
    Set(Pause),
    /// Lifts the pause of a namespace, or the global one.
    Lift {
        /// The namespace; none lifts the global pause.
        namespace: Option<String>,
    },
}

/// Which incidents a reader wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentQuery {
    /// Only these; empty means all.
    pub statuses: Vec<IncidentStatus>,
    /// At most so many.
    pub limit: u32,
    /// Only those that sort after this one in newest-first order: the last identity of the page before.
    pub after: Option<IncidentId>,
}

/// Which incidents of the past are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastQuery {
    /// Of which rules and targets.
    pub keys: PastKeys,
    /// Only those that ended at this time or later.
    pub since: Timestamp,
    /// At most so many.
    pub limit: u32,
}

/// Whose past is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PastKeys {
    /// That of one target or group under one rule.
    One(CorrelationKey),
    /// That of a rule, wherever.
    OfRule(String),
}

/// One incident with everything that people may see.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentView {
    /// The incident.
    pub incident: Incident,
    /// Its alerts with their records, oldest first, bounded.
    pub alerts: Vec<(AlertRecord, Alert)>,
    /// Its findings.
    pub findings: Vec<Finding>,
    /// Its documents.
    pub documents: Vec<Document>,
    /// Its trail, whole and in order.
    pub timeline: Vec<TimelineLine>,
}

/// How many incidents stand how.
pub type IncidentCounts = BTreeMap<(Severity, IncidentStatus), u64>;

/// The reading side, for the API, pages and messages.
pub trait Reader: Send + Sync {
    /// Incidents, newest first.
    fn incidents(&self, query: IncidentQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>>;
    /// One incident with everything.
    fn incident(&self, id: &IncidentId) -> PortFuture<'_, Result<Option<IncidentView>, StoreError>>;
    /// Incidents that are over, those that ended last coming first.
    fn past(&self, query: PastQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>>;
    /// How many incidents stand how. Resolved ones are not counted.
    fn counts(&self) -> PortFuture<'_, Result<IncidentCounts, StoreError>>;
    /// Temporary fixes in force, those that end first coming first, at most [`TEMPORARY_MAX`].
    fn temporary_fixes(&self) -> PortFuture<'_, Result<Vec<TemporaryFix>, StoreError>>;
    /// Runs of scheduled checks that are planned, and the last reports.
    fn checks(&self) -> PortFuture<'_, Result<ChecksView, StoreError>>;
    /// Pauses in force.
    fn pauses(&self) -> PortFuture<'_, Result<Vec<Pause>, StoreError>>;
}

/// Gathers evidence. Reads only.
pub trait Diagnoser: Send + Sync {
    /// Runs one diagnostic with rendered parameters within `timeout`. Never fails: what cannot be had is unknown.
    fn diagnose<'a>(
        &'a self,
        spec: &'a DiagnosticSpec,
        params: Value,
        context: DiagnosisContext,
        timeout: Duration,
    ) -> PortFuture<'a, Finding>;
}

/// What a diagnostic may want to know about why it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct DiagnosisContext {
    /// Now, by the engine's clock.
    pub now: Timestamp,
    /// When the incident started.
    pub started_at: Timestamp,
    /// The incident's labels.
    pub labels: Labels,
    /// What the incident is about, for diagnostics that are told no object of their own.
    pub target: Option<Target>,
    /// The incident itself; none where somebody only tries a rule.
    pub origin: Option<Origin>,
}

/// Which incident evidence is gathered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The incident.
    pub incident: IncidentId,
    /// Its rule.
    pub rule: String,
    /// What makes alerts belong to it.
    pub key: CorrelationKey,
}
