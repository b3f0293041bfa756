//! The engine's counters, behind its [`Meter`].

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::labels::{
    BoundedNames, CheckLabels, DecisionLabels, DestinationLabel, EffectLabels, KindLabel, OutcomeLabel,
    RuleLabel,
};
use super::{Metrics, seconds};
use crate::domain::decision::RemedyDecision;
use crate::domain::effect::EffectKind;
use crate::domain::notification::Destination;
use crate::domain::scheduled::CheckReport;
use crate::engine::meter::Meter;
use crate::engine::reconciling::Round;

/// Transactions of the intake, which many deliveries share.
const INTAKE: &str = "intake";
/// Transactions of the engine's steps.
const STEP: &str = "step";

/// 1 to 1024: how many deliveries shared a transaction.
fn batch_sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 11))
}

/// 0.25 ms to 8 s: from a commit on a good disk to a database that is about to be given up.
fn commit_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}

/// 50 ms to 14 min: from a call to Slack to a message that waited for an outage to end.
fn delivery_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.05, 2.0, 15))
}

#[derive(Debug)]
pub(super) struct EngineMetrics {
    rule_names: BoundedNames,
    commits: Family<KindLabel, Counter>,
    commit_seconds: Family<KindLabel, Histogram, fn() -> Histogram>,
    batch_sizes: Histogram,
    conflicts: Counter,
    dead_letters: Counter,
    matches: Family<RuleLabel, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    effects: Family<EffectLabels, Counter>,
    notification_seconds: Family<DestinationLabel, Histogram, fn() -> Histogram>,
    escalation_lag_seconds: Histogram,
    rounds: Counter,
    peers: Family<KindLabel, Gauge>,
    ends_found: Counter,
    alerts_missed: Gauge,
    audit_passed: Gauge,
    audit_without_step: Gauge,
    watchdogs_missing: Gauge,
    heartbeats: Family<OutcomeLabel, Counter>,
    check_names: BoundedNames,
    check_runs: Family<CheckLabels, Counter>,
    check_items: Family<CheckLabels, Gauge>,
}

impl Default for EngineMetrics {
    fn default() -> Self {
        Self {
            rule_names: BoundedNames::default(),
            commits: Family::default(),
            commit_seconds: Family::new_with_constructor(commit_seconds),
            batch_sizes: batch_sizes(),
            conflicts: Counter::default(),
            dead_letters: Counter::default(),
            matches: Family::default(),
            decisions: Family::default(),
            effects: Family::default(),
            notification_seconds: Family::new_with_constructor(delivery_seconds),
            escalation_lag_seconds: delivery_seconds(),
            rounds: Counter::default(),
            peers: Family::default(),
            ends_found: Counter::default(),
            alerts_missed: Gauge::default(),
            audit_passed: Gauge::default(),
            audit_without_step: Gauge::default(),
            watchdogs_missing: Gauge::default(),
            heartbeats: Family::default(),
            check_names: BoundedNames::default(),
            check_runs: Family::default(),
            check_items: Family::default(),
        }
    }
}

impl EngineMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("store_commits", "Transactions written, by kind", self.commits.clone());
        registry.register(
            "store_commit_duration_seconds",
            "Time of a transaction",
            self.commit_seconds.clone(),
        );
        registry.register(
            "store_commit_batch_size",
            "Deliveries that shared a transaction",
            self.batch_sizes.clone(),
        );
        registry.register(
            "step_conflicts",
            "Steps taken again, as another writer was first",
            self.conflicts.clone(),
        );
        registry.register(
            "dead_letters",
            "Stored deliveries that could not be read",
            self.dead_letters.clone(),
        );
        registry.register("rule_matches", "Alerts matched, by rule", self.matches.clone());
        registry.register("decisions", "Remedies judged, by decision and reason", self.decisions.clone());
        registry.register("effects", "Effects carried out, by kind and outcome", self.effects.clone());
        registry.register(
            "notification_latency_seconds",
            "Time from the wish to tell somebody until the destination took it",
            self.notification_seconds.clone(),
        );
        registry.register(
            "escalation_lag_seconds",
            "Time between the due time of an escalation and its handling",
            self.escalation_lag_seconds.clone(),
        );
        registry.register(
            "alertmanager_rounds",
            "How often what Alertmanager holds was compared with what is stored",
            self.rounds.clone(),
        );
        registry.register(
            "alertmanager_peers",
            "Alertmanagers that were asked what they hold, by whether they answered last time",
            self.peers.clone(),
        );
        registry.register(
            "alertmanager_ends_found",
            "Alerts that were ended because Alertmanager does not hold them any more and never said so",
            self.ends_found.clone(),
        );
        registry.register(
            "alertmanager_alerts_missed",
            "Alerts that fire in Alertmanager for our receiver and that nobody told us of, as last looked",
            self.alerts_missed.clone(),
        );
        registry.register(
            "audit_passed",
            "1 while the last look at the own store found every next step where it must be, 0 otherwise",
            self.audit_passed.clone(),
        );
        registry.register(
            "audit_without_step",
            "Open incidents that nobody has and that had no next step when the store was last looked at",
            self.audit_without_step.clone(),
        );
        registry.register(
            "watchdogs_missing",
            "Alerts that always fire and that stay away",
            self.watchdogs_missing.clone(),
        );
        registry.register(
            "heartbeats",
            "Calls to the monitor outside, by outcome; withheld means that no audit had passed",
            self.heartbeats.clone(),
        );
        registry.register(
            "scheduled_check_runs",
            "Scheduled checks that were run, by how they came out",
            self.check_runs.clone(),
        );
        registry.register(
            "scheduled_check_items",
            "Items of scheduled checks, by how they came out in the last run of this process",
            self.check_items.clone(),
        );
    }
}

impl EngineMetrics {
    /// Makes the series of closed sets appear at zero.
    pub(super) fn show_zeroes(&self) {
        for kind in [INTAKE, STEP] {
            let _ = self.commits.get_or_create(&KindLabel { kind });
            let _ = self.commit_seconds.get_or_create(&KindLabel { kind });
        }
        for outcome in ["sent", "failed", "withheld"] {
            let _ = self.heartbeats.get_or_create(&OutcomeLabel { outcome });
        }
        for kind in ["answering", "silent"] {
            let _ = self.peers.get_or_create_owned(&KindLabel { kind });
        }
    }
}

impl Metrics {
    /// The monitor outside was called, or not.
    pub fn heartbeat(&self, outcome: &'static str) {
        self.0.engine.heartbeats.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}

impl Meter for Metrics {
    fn deliveries_stored(&self, count: usize, took: Duration) {
        let metrics = &self.0.engine;
        metrics.commits.get_or_create(&KindLabel { kind: INTAKE }).inc();
        metrics.commit_seconds.get_or_create(&KindLabel { kind: INTAKE }).observe(seconds(took));
        // Batches are far below the 2^52 at which a float loses whole numbers.
        metrics.batch_sizes.observe(count as f64);
    }

    fn step_committed(&self, _inputs: usize, took: Duration) {
        let metrics = &self.0.engine;
        metrics.commits.get_or_create(&KindLabel { kind: STEP }).inc();
        metrics.commit_seconds.get_or_create(&KindLabel { kind: STEP }).observe(seconds(took));
    }

    fn step_conflicted(&self) {
        self.0.engine.conflicts.inc();
    }

    fn matched(&self, rule: &str) {
        let rule = self.0.engine.rule_names.admit(rule).to_owned();
        self.0.engine.matches.get_or_create(&RuleLabel { rule }).inc();
    }

    fn dead_letter(&self) {
        self.0.engine.dead_letters.inc();
    }

    fn decided(&self, decision: &RemedyDecision) {
        let labels = DecisionLabels { decision: decision.decision.as_str(), reason: decision.reason.word() };
        self.0.engine.decisions.get_or_create(&labels).inc();
    }

    fn effect_done(&self, kind: EffectKind, outcome: &'static str) {
        self.0.engine.effects.get_or_create(&EffectLabels { kind: kind.as_str(), outcome }).inc();
    }

    fn notified(&self, destination: &Destination, after: Duration) {
        let label = DestinationLabel { destination_kind: destination.kind() };
        self.0.engine.notification_seconds.get_or_create(&label).observe(seconds(after));
    }

    fn escalation_lag(&self, lag: Duration) {
        self.0.engine.escalation_lag_seconds.observe(seconds(lag));
    }

    fn reconciled(&self, round: &Round) {
        let metrics = &self.0.engine;
        metrics.rounds.inc();
        for (kind, count) in [("answering", round.answering), ("silent", round.silent)] {
            let gauge = metrics.peers.get_or_create_owned(&KindLabel { kind });
            gauge.set(count.try_into().unwrap_or(i64::MAX));
        }
        metrics.ends_found.inc_by(round.ended as u64);
        metrics.alerts_missed.set(round.missed.try_into().unwrap_or(i64::MAX));
    }

    fn audited(&self, passed: bool, without_step: usize) {
        self.0.engine.audit_passed.set(i64::from(passed));
        self.0.engine.audit_without_step.set(without_step.try_into().unwrap_or(i64::MAX));
    }

    fn checked(&self, report: &CheckReport) {
        let metrics = &self.0.engine;
        let check = metrics.check_names.admit(&report.check).to_owned();
        let outcome = report.verdict().as_str();
        metrics.check_runs.get_or_create_owned(&CheckLabels { check: check.clone(), outcome }).inc();
        for outcome in ["green", "red", "unknown"] {
            let count = report.count(outcome).try_into().unwrap_or(i64::MAX);
            metrics
                .check_items
                .get_or_create_owned(&CheckLabels { check: check.clone(), outcome })
                .set(count);
        }
    }

    fn watchdogs_missing(&self, count: usize) {
        self.0.engine.watchdogs_missing.set(count.try_into().unwrap_or(i64::MAX));
    }
}
