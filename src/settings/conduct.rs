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
    /// Windows in which no action starts, by name, in Alertmanager's time-interval language. Messages go out all the
    /// same.
    pub freeze_windows: BTreeMap<String, ScheduleSpec>,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self { rates: Rates::default(), cooldown: Period::from_mins(15), freeze_windows: BTreeMap::new() }
    }
}

impl Guardrails {
    /// The freeze windows as the guardrails judge them.
    pub fn freezes(&self) -> BTreeMap<String, Schedule> {
        let schedule = |(name, spec): (&String, &ScheduleSpec)| {
            (name.clone(), Schedule { name: name.clone(), spec: spec.clone() })
        };
        self.freeze_windows.iter().map(schedule).collect()
    }

    /// The limits as the guardrails judge them.
    pub fn limits(&self) -> guardrail::Limits {
        let rates = |rates: &[Rate]| rates.iter().map(|rate| (*rate).into()).collect();
        guardrail::Limits {
            per_target: rates(&self.rates.per_target),
            per_namespace: rates(&self.rates.per_namespace),
            global: rates(&self.rates.global),
            cooldown: self.cooldown.signed(),
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
