//! Settings of the service: `smokejumper.yaml`, overlaid by `SMOKEJUMPER__SECTION__KEY` from the environment.
//!
//! Every key has a default that makes a safe service, so an empty file runs: dry run, SQLite, loopback only. Unknown
//! keys are refused, all mistakes are shown at once with their places, and no secret can stand in the file. Rules
//! are read by `rules`, not here. This module decides nothing: it hands typed values to the wiring.
//!
//! Reading order: [`Settings`], then `load` (file, environment, checks), then the sections.

mod access;
mod check;
mod conduct;
mod connections;
mod doors;
mod dump;
mod kubernetes;
mod load;
mod locate;
mod messengers;
mod overlay;
mod server;
mod services;
mod values;
mod watching;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::period::{NoPeriod, Period};
pub use access::{Api, ApiToken, BasicAuth, Person, Receiver, Receivers, SecretHeader};
pub use conduct::{
    BlastRadius, Blind, CircuitBreaker, Correlation, Escalation, Flapping, Guardrails, LogFormat, Mode, Own,
    Probes, Rate, Rates, Retention, Store, Telemetry,
};
pub use connections::{
    Connections, Postgres, PostgresAct, RabbitMq, Redis, RedisAct, Registry, TerminateIdle,
};
pub use kubernetes::{ActIdentity, Kubernetes};
pub use load::{PartOfSettings, SettingsError, process_environment};
pub use locate::Locator;
pub use messengers::{Email, EmailSecurity, Teams, TeamsChannel, Webhook};
pub use server::{ClientCertificate, Limits, Server, Tls};
pub use services::{
    Alertmanager, Endpoint, Loki, Method, PagerDuty, PagerDutyApi, PagerDutyService, Prometheus, Reconcile,
    Slack,
};
pub use values::{HttpUrl, PlainOrSecret, TextList};
pub use watching::{Heartbeat, Watchdog};

/// Everything that an operator can set. Holds references to secrets, never their values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Smokejumper settings")]
pub struct Settings {
    /// Where the service listens.
    pub server: Server,
    /// Where state is kept.
    pub store: Store,
    /// Who may send alerts.
    pub receivers: Receivers,
    /// Who may use the API.
    pub api: Api,
    /// The Alertmanager that sends its alerts here.
    pub alertmanager: Option<Alertmanager>,
    /// The Prometheus that diagnostics ask.
    pub prometheus: Option<Prometheus>,
    /// The Loki that `logs.query` asks.
    pub loki: Option<Loki>,
    /// The cluster that diagnostics read and actions change. `{}` is the cluster that this runs in, or else the one that
    /// kubectl would use.
    pub kubernetes: Option<Kubernetes>,
    /// Databases, brokers and registries that diagnostics look at and actions change, by names that rules use.
    pub connections: Connections,
    /// The Slack app that speaks for us.
    pub slack: Option<Slack>,
    /// People who may press buttons, by their member ids in Slack.
    pub people: Vec<Person>,
    /// Alerts that always fire, by a name of your own.
    pub watchdogs: BTreeMap<String, Watchdog>,
    /// Whom to tell that this service works.
    pub heartbeat: Option<Heartbeat>,
    /// Named addresses that `http.call` may call.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// PagerDuty services to page.
    pub pagerduty: Option<PagerDuty>,
    /// Webhooks of others, by the name that rules use.
    pub webhooks: BTreeMap<String, Webhook>,
    /// The server that mail is sent by.
    pub email: Option<Email>,
    /// Microsoft Teams.
    pub teams: Option<Teams>,
    /// Files with rules, as patterns (`**` for any depth). Relative ones start at the directory of this file.
    pub rules: TextList,
    /// Whether the service touches anything.
    pub mode: Mode,
    /// Guardrails that hold for all rules.
    pub guardrails: Guardrails,
    /// Whom to tell where a rule says nothing.
    pub escalation: Escalation,
    /// How long things are kept.
    pub retention: Retention,
    /// Limits at the door.
    pub limits: Limits,
    /// Where probes of rules may go.
    pub probes: Probes,
    /// Logs and traces.
    pub telemetry: Telemetry,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: Server::default(),
            store: Store::default(),
            receivers: Receivers::default(),
            api: Api::default(),
            alertmanager: None,
            prometheus: None,
            loki: None,
            kubernetes: None,
            connections: Connections::default(),
            slack: None,
            people: Vec::new(),
            watchdogs: BTreeMap::new(),
            heartbeat: None,
            endpoints: BTreeMap::new(),
            pagerduty: None,
            webhooks: BTreeMap::new(),
            email: None,
            teams: None,
            rules: TextList(vec!["rules/**/*.yaml".to_owned()]),
            mode: Mode::default(),
            guardrails: Guardrails::default(),
            escalation: Escalation::default(),
            retention: Retention::default(),
            limits: Limits::default(),
            probes: Probes::default(),
            telemetry: Telemetry::default(),
        }
    }
}

#[cfg(test)]
mod tests;
