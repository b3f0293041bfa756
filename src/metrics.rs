//! What the service tells Prometheus about itself: one registry, names `smokejumper_…`, OpenMetrics text.
//!
//! Labels come from closed sets, or are bounded here, so that no alert and no rule file can make the number of series
//! grow without end. Counting never blocks and never fails. `docs/` lists the names for dashboards and alerts.

mod engine;
mod labels;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::domain::effect::EffectKind;
use crate::domain::incident::IncidentStatus;
use crate::domain::severity::Severity;
use crate::engine::ports::IncidentCounts;
use crate::http::meter::DoorMeter;
use crate::http::receive::slack::meter::SocketMeter;
use engine::EngineMetrics;
use labels::{DirectionLabel, IncidentLabels, KindLabel, NAMES_MAX, OutcomeLabel, RuleLabel};

/// All metrics of the process. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    doors: DoorMeter,
    slack_socket: SocketMeter,
    engine: EngineMetrics,
    inbox_depth: Gauge,
    effect_depth: Family<KindLabel, Gauge>,
    incidents_open: Family<IncidentLabels, Gauge>,
    temporary_fixes: Gauge,
    temporary_fixes_overdue: Gauge,
    rules_loaded: Gauge,
    rule_reloads: Family<OutcomeLabel, Counter>,
    rules_refused: Gauge,
    clock_jumps: Family<DirectionLabel, Counter>,
    permissions_missing: Family<RuleLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry of its own with everything at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("smokejumper");
        let (doors, engine) = (DoorMeter::default(), EngineMetrics::default());
        doors.register(&mut registry);
        let slack_socket = SocketMeter::default();
        slack_socket.register(&mut registry);
        engine.register(&mut registry);
        let (inbox_depth, effect_depth) = (Gauge::default(), Family::default());
        let (incidents_open, rules_loaded) = (Family::default(), Gauge::default());
        let (rule_reloads, clock_jumps) = (Family::default(), Family::default());
        let rules_refused = Gauge::default();
        registry.register("inbox_depth", "Deliveries stored and not yet worked off", inbox_depth.clone());
        registry.register("effect_queue_depth", "Effects that wait, by kind", effect_depth.clone());
        registry.register("incidents_open", "Incidents that are not resolved", incidents_open.clone());
        let (temporary_fixes, temporary_fixes_overdue) = (Gauge::default(), Gauge::default());
        registry.register(
            "temporary_fixes",
            "Changes for a limited time that stand and are not set back yet",
            temporary_fixes.clone(),
        );
        registry.register(
            "temporary_fixes_overdue",
            "Those of them whose time is over: setting them back failed, or a pause or freeze holds it up",
            temporary_fixes_overdue.clone(),
        );
        registry.register("rules_loaded", "Rules in force", rules_loaded.clone());
        registry.register("rule_reloads", "Attempts to reload the rules, by outcome", rule_reloads.clone());
        registry.register(
            "rules_refused",
            "1 while the newest rules cannot be used and the last good ones are in force, 0 otherwise",
            rules_refused.clone(),
        );
        registry.register(
            "clock_jumps",
            "How often the machine's clock was set, by direction",
            clock_jumps.clone(),
        );
        let permissions_missing = Family::default();
        registry.register(
            "rule_permissions_missing",
            "Permissions in the cluster that a rule needs and its identity lacks, as last asked",
            permissions_missing.clone(),
        );
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What is running", build);
        let metrics = Self(Arc::new(Inner {
            registry,
            doors,
            slack_socket,
            engine,
            inbox_depth,
            effect_depth,
            incidents_open,
            temporary_fixes,
            temporary_fixes_overdue,
            rules_loaded,
            rule_reloads,
            rules_refused,
            clock_jumps,
            permissions_missing,
        }));
        metrics.show_zeroes();
        metrics
    }

    /// The counters of the doors.
    pub fn doors(&self) -> DoorMeter {
        self.0.doors.clone()
    }

    /// The counters of Slack's Socket Mode.
    pub fn slack_socket(&self) -> SocketMeter {
        self.0.slack_socket.clone()
    }

    /// The rules were reloaded, or the last good ones were kept. `count` is the number of rules in force now.
    pub fn rules_reloaded(&self, accepted: bool, count: usize) {
        let outcome = if accepted { "accepted" } else { "refused" };
        self.0.rule_reloads.get_or_create(&OutcomeLabel { outcome }).inc();
        self.0.rules_refused.set(i64::from(!accepted));
        self.set_rules_loaded(count);
    }

    /// The number of rules in force.
    pub fn set_rules_loaded(&self, count: usize) {
        self.0.rules_loaded.set(count.try_into().unwrap_or(i64::MAX));
    }

    /// How many permissions each rule lacks, as the cluster was asked last. Rules that are gone are forgotten.
    pub fn set_permissions_missing<'r>(&self, rules: impl Iterator<Item = (&'r str, usize)>) {
        self.0.permissions_missing.clear();
        for (rule, count) in rules.take(NAMES_MAX) {
            let gauge = self.0.permissions_missing.get_or_create_owned(&RuleLabel { rule: rule.to_owned() });
            gauge.set(count.try_into().unwrap_or(i64::MAX));
        }
    }

    /// The machine's clock was set, `forward` or `back`.
    pub fn clock_jumped(&self, direction: &'static str) {
        self.0.clock_jumps.get_or_create(&DirectionLabel { direction }).inc();
    }

    /// What waits in the store, as last read from it.
    pub fn set_depths(&self, inbox: u64, effects: &BTreeMap<EffectKind, u64>) {
        self.0.inbox_depth.set(inbox.try_into().unwrap_or(i64::MAX));
        for kind in EffectKind::ALL {
            let depth = effects.get(&kind).copied().unwrap_or(0);
            let gauge = self.0.effect_depth.get_or_create_owned(&KindLabel { kind: kind.as_str() });
            gauge.set(depth.try_into().unwrap_or(i64::MAX));
        }
    }

    /// How many incidents stand how, as last read from the store. What is not counted there is set to zero.
    pub fn set_incidents(&self, counts: &IncidentCounts) {
        for severity in [Severity::P0, Severity::P1, Severity::P2, Severity::P3] {
            for status in [IncidentStatus::Triggered, IncidentStatus::Acknowledged] {
                let count = counts.get(&(severity, status)).copied().unwrap_or(0);
                let labels = IncidentLabels { severity: severity.as_str(), status: status.as_str() };
                let gauge = self.0.incidents_open.get_or_create_owned(&labels);
                gauge.set(count.try_into().unwrap_or(i64::MAX));
            }
        }
    }

    /// How many temporary fixes stand, and how many of them are overdue, as last read from the store.
    pub fn set_temporary(&self, standing: usize, overdue: usize) {
        self.0.temporary_fixes.set(standing.try_into().unwrap_or(i64::MAX));
        self.0.temporary_fixes_overdue.set(overdue.try_into().unwrap_or(i64::MAX));
    }

    /// The page that Prometheus reads: OpenMetrics text, version 1.0.0.
    pub fn page(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).expect("writing to a string cannot fail");
        text
    }

    /// Series of closed sets are there from the start, so that rates and alerts over them need no special case.
    fn show_zeroes(&self) {
        self.0.doors.show_zeroes();
        self.0.engine.show_zeroes();
        self.set_depths(0, &BTreeMap::new());
        self.set_incidents(&IncidentCounts::new());
        for outcome in ["accepted", "refused"] {
            let _ = self.0.rule_reloads.get_or_create(&OutcomeLabel { outcome });
        }
        for direction in ["back", "forward"] {
            let _ = self.0.clock_jumps.get_or_create(&DirectionLabel { direction });
        }
    }
}

/// Seconds as metrics want them.
fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests;
