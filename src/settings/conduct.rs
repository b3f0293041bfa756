//! How the service behaves: what it may do, whom it tells by default, what it keeps, what it logs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smokejumper_domain::guardrail;
use smokejumper_domain::notification::Destination;
use smokejumper_domain::schedule::{Schedule, ScheduleSpec};

use super::values::{HttpUrl, PlainOrSecret};
use crate::period::Period;

/// Whether the service touches anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything is decided, recorded and told, nothing is touched. The default of a new installation.
    #[default]
    DryRun,
    /// Actions are carried out as the rules and guardrails allow.
    Enforce,
}

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite://FILE` or `postgres://…`. An address with a password is a secret: `{ env: DATABASE_URL }`.
    pub url: PlainOrSecret,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: PlainOrSecret::Plain("sqlite://smokejumper.db".to_owned()) }
    }
}

/// Guardrails that hold for all rules. A rule may be stricter, never laxer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guardrails {
    /// How many actions may start.
    pub rates: Rates,
    /// Least time between two runs of one remedy on one target, where the rule says nothing: the first run must have
    /// had time to show whether it helped.
    pub cooldown: Period,
    /// How many actions one namespace gets in 24 hours; 0 means no limit.
    pub daily_budget: u32,
    /// When a rule is switched off because its actions fail.
    pub circuit_breaker: CircuitBreaker,
    /// Only these namespaces may be touched. Empty: all but `kube-system`, `kube-public` and `kube-node-lease`.
    pub namespaces: Vec<String>,
    /// Only these kinds of Kubernetes objects may be touched, such as `Deployment`. Empty: all that actions know.
    pub kinds: Vec<String>,
    /// Where the responder itself runs: it never acts on itself.
    pub own: Own,
    /// What one action may take away. A remedy of tier T3 may take more: two people decide it.
    pub blast_radius: BlastRadius,
    /// How long after its start the service does nothing alone (T1).
    pub boot_hold: Period,
    /// When an incident flaps, so that nothing is done for it alone (T1).
    pub flapping: Flapping,
    /// When something larger than one target is wrong, so that nothing is done alone (T1) and people are asked once.
    pub correlation: Correlation,
    /// How it is found out that monitoring itself does not work, so that nothing is done alone (T1).
    pub blind: Blind,
    /// Windows in which no action starts, by name, in Alertmanager's time-interval language. Messages go out all the
    /// same.
    pub freeze_windows: BTreeMap<String, ScheduleSpec>,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            cooldown: Period::from_mins(15),
            daily_budget: 20,
            circuit_breaker: CircuitBreaker::default(),
            namespaces: Vec::new(),
            kinds: Vec::new(),
            own: Own::default(),
            blast_radius: BlastRadius::default(),
            boot_hold: Period::from_mins(2),
            flapping: Flapping::default(),
            correlation: Correlation::default(),
            blind: Blind::default(),
            freeze_windows: BTreeMap::new(),
        }
    }
}

/// When a rule is switched off because its actions fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitBreaker {
    /// After so many failures in a row; 0 means never.
    pub failures: u32,
    /// For this long after the last one.
    pub open_for: Period,
}

impl Default for CircuitBreaker {
    /// A rule that failed twice in a row is wrong about the world; a day is enough for somebody to look at it.
    fn default() -> Self {
        Self { failures: 2, open_for: Period::from_hours(24) }
    }
}

/// Where the responder itself runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Own {
    /// Its namespace. Default: what the variable `POD_NAMESPACE` says, or else the files of its service account.
    pub namespace: Option<String>,
    /// Its workload. Without it, the whole namespace is left alone.
    pub name: Option<String>,
}

impl Own {
    fn is_known(&self) -> bool {
        self.namespace.is_some() || self.name.is_some()
    }
}

/// What one action may take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BlastRadius {
    /// How many workloads.
    pub workloads: u32,
    /// How many available replicas may be missing at one time, in percent of those that are wanted. One is always
    /// allowed where enough are left.
    #[schemars(range(max = 100))]
    pub replicas_percent: u32,
    /// How many replicas must stay available.
    pub min_available: u32,
}

impl Default for BlastRadius {
    fn default() -> Self {
        let guardrail::BlastRadius { workloads, replicas_percent, min_available } = Default::default();
        Self { workloads, replicas_percent, min_available }
    }
}

/// When an incident flaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flapping {
    /// When it was opened again so many times; 0 means never.
    pub times: u32,
    /// Within this time.
    pub within: Period,
}

impl Default for Flapping {
    fn default() -> Self {
        Self { times: 3, within: Period::from_hours(1) }
    }
}

/// When something larger than one target is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Correlation {
    /// One rule has open incidents on so many targets; 0 means never.
    pub targets: u32,
    /// Only those of a rule that were opened within this time. Default: all that are open, whenever they were opened.
    pub within: Option<Period>,
    /// So many targets of one namespace have open incidents, whatever the rules; 0 means never. Alerts that no rule matches
    /// are not counted.
    pub targets_in_namespace: u32,
    /// So many targets everywhere have open incidents, whatever the rules and namespaces; 0 means never.
    pub targets_in_all: u32,
    /// Opened within this time of one another, for what is counted over all rules.
    pub all_rules_within: Period,
    /// So many of Prometheus' scrape targets are down, in percent, and at least three; 0 means never.
    #[schemars(range(max = 100))]
    pub down_percent: u32,
    /// So many of the cluster's nodes are not ready, in percent; 0 means that nodes are not looked at, and need not be
    /// listed.
    #[schemars(range(max = 100))]
    pub nodes_percent: u32,
}

impl Default for Correlation {
    /// Two are a coincidence, three are a cause. Who heals one by one what has one cause spreads it. Rules that have nothing
    /// to do with each other meet by chance now and then, so they are counted over a shorter time.
    fn default() -> Self {
        let guardrail::Alone { targets, targets_in_namespace, targets_in_all, .. } = Default::default();
        Self {
            targets,
            within: None,
            targets_in_namespace,
            targets_in_all,
            all_rules_within: Period::from_mins(5),
            down_percent: 30,
            nodes_percent: 30,
        }
    }
}

/// How it is found out that monitoring itself does not work. The Prometheus of the settings is always asked, and so is
/// the API of the cluster, which counts for actions on the cluster alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Blind {
    /// PromQL that gives a series while alerting works, such as `ALERTS{alertname="Watchdog",alertstate="firing"}`.
    /// Default: not asked.
    pub watchdog: Option<String>,
    /// Address of Alertmanager as the service reaches it; it must be healthy. Default: not asked.
    pub alertmanager: Option<HttpUrl>,
}

impl Guardrails {
    /// The freeze windows as the guardrails judge them.
    pub fn freezes(&self) -> BTreeMap<String, Schedule> {
        let schedule = |(name, spec): (&String, &ScheduleSpec)| {
            (name.clone(), Schedule { name: name.clone(), spec: spec.clone(), on_call: None })
        };
        self.freeze_windows.iter().map(schedule).collect()
    }

    /// Whether the nodes of the cluster are looked at.
    pub fn looks_at_nodes(&self) -> bool {
        self.correlation.nodes_percent > 0
    }

    /// The limits as the guardrails judge them.
    pub fn limits(&self) -> guardrail::Limits {
        let rates = |rates: &[Rate]| rates.iter().map(|rate| (*rate).into()).collect();
        guardrail::Limits {
            per_target: rates(&self.rates.per_target),
            per_namespace: rates(&self.rates.per_namespace),
            global: rates(&self.rates.global),
            cooldown: self.cooldown.signed(),
            daily_budget: self.daily_budget,
            circuit: guardrail::Circuit {
                failures: self.circuit_breaker.failures,
                open_for: self.circuit_breaker.open_for.signed(),
            },
        }
    }

    /// Where actions may touch something.
    pub fn scope(&self) -> guardrail::Scope {
        let own = self.own.clone();
        guardrail::Scope {
            namespaces: self.namespaces.clone(),
            kinds: self.kinds.clone(),
            own: own.is_known().then_some(guardrail::Own { namespace: own.namespace, name: own.name }),
        }
    }

    /// What one action may take away.
    pub fn radius(&self) -> guardrail::BlastRadius {
        let BlastRadius { workloads, replicas_percent, min_available } = self.blast_radius;
        guardrail::BlastRadius { workloads, replicas_percent, min_available }
    }

    /// What must hold for the machine to act alone.
    pub fn alone(&self) -> guardrail::Alone {
        guardrail::Alone {
            boot_hold: self.boot_hold.signed(),
            flaps: self.flapping.times,
            flaps_within: self.flapping.within.signed(),
            targets: self.correlation.targets,
            targets_within: self.correlation.within.map(Period::signed),
            targets_in_namespace: self.correlation.targets_in_namespace,
            targets_in_all: self.correlation.targets_in_all,
            all_rules_within: self.correlation.all_rules_within.signed(),
        }
    }
}

/// Where the probes of rules (`http.check`, `http.json`, `http.metrics`) may go. Link-local addresses and the metadata
/// services of clouds are never reached, whatever is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probes {
    /// Whether probes may reach this machine itself. Off, because what listens on loopback trusts its callers.
    pub allow_loopback: bool,
}

/// Limits on the number of actions that start. All limits of a list must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// For one target.
    pub per_target: Vec<Rate>,
    /// For one namespace.
    pub per_namespace: Vec<Rate>,
    /// For everything.
    pub global: Vec<Rate>,
}

impl Default for Rates {
    /// A person who fixes things by hand does not go faster; every known runaway did.
    fn default() -> Self {
        let rate = |count, window| Rate { count, window };
        Self {
            per_target: vec![rate(1, Period::from_mins(15)), rate(3, Period::from_hours(24))],
            per_namespace: vec![rate(3, Period::from_mins(10))],
            global: vec![rate(10, Period::from_mins(10))],
        }
    }
}

/// At most so many starts within a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long a window.
    pub window: Period,
}

impl From<Rate> for guardrail::Rate {
    fn from(rate: Rate) -> Self {
        Self { count: rate.count, window: rate.window.signed() }
    }
}

/// Whom to tell where a rule says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Escalation {
    /// `EscalationPolicy` of rules that name none.
    pub default_policy: Option<String>,
    /// Whom to reach when every other way has failed. Default: Slack's `default_channel`.
    pub fallback: Vec<Destination>,
    /// Whom to tell about alerts that no rule matches. Default: Slack's `default_channel`. With an empty list nobody is
    /// told; they are still recorded and shown.
    pub unmatched: Option<Vec<Destination>>,
}

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Resolved incidents with findings, actions and timeline, and bodies that could not be read: a quarter, for the
    /// reviews that look back. Other bodies are deleted once they are worked off.
    pub resolved_incidents: Period,
}

impl Default for Retention {
    fn default() -> Self {
        Self { resolved_incidents: Period::from_days(90) }
    }
}

/// Logs and traces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// `error`, `warn`, `info`, `debug` or `trace`, and exceptions by module: `info,smokejumper::http=debug`.
    pub log_level: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where to send traces by OTLP over HTTP, such as `http://localhost:4318`. Default: nowhere.
    pub otlp_endpoint: Option<HttpUrl>,
    /// The name in the field `service` of logs and traces.
    pub service_name: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            log_format: LogFormat::default(),
            otlp_endpoint: None,
            service_name: "smokejumper".to_owned(),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people where stdout is a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
