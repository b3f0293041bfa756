//! The services around us: Alertmanager, Prometheus, Slack, PagerDuty, and named endpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::BasicAuth;
use super::values::{HttpUrl, PlainOrSecret};
use crate::domain::people::Role;
use crate::period::Period;
use crate::secret::SecretSources;

/// Time for one call to another service: long enough for a busy Prometheus, far shorter than an effect's lease.
const CALL_TIMEOUT: Period = Period::from_secs(10);

/// The Alertmanager that sends its alerts here, and how to ask it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alertmanager {
    /// Address of its pages, as people reach it, for links.
    #[schemars(required)]
    pub url: HttpUrl,
    /// Addresses of its API, as this service reaches it, one for each peer of a cluster. Default: `url`.
    pub peers: Vec<HttpUrl>,
    /// Token to send as `Authorization: Bearer …`.
    pub bearer_token: SecretSources,
    /// User and password to send.
    pub basic_auth: Option<BasicAuth>,
    /// Further headers to send, such as a tenant's name.
    pub headers: BTreeMap<String, PlainOrSecret>,
    /// Certificates in PEM to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Time for one call, at most 10s.
    pub timeout: Period,
    /// Longest silence that people may set from here for a time; one until the incident is over is kept as long as that.
    pub silence_max: Period,
    /// Compares what it holds with what incidents hold, so that no incident stays open because a webhook never came.
    pub reconcile: Reconcile,
}

impl Default for Alertmanager {
    fn default() -> Self {
        Self {
            url: HttpUrl::default(),
            peers: Vec::new(),
            bearer_token: SecretSources::default(),
            basic_auth: None,
            headers: BTreeMap::new(),
            ca_file: None,
            timeout: CALL_TIMEOUT,
            silence_max: Period::from_days(7),
            reconcile: Reconcile::default(),
        }
    }
}

impl Alertmanager {
    /// The addresses that are asked.
    pub fn asked(&self) -> &[HttpUrl] {
        if self.peers.is_empty() { std::slice::from_ref(&self.url) } else { &self.peers }
    }
}

/// How what Alertmanager holds is compared with what incidents hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reconcile {
    /// Whether it is compared.
    pub enabled: bool,
    /// How often. An alert that is gone twice in a row has ended.
    pub every: Period,
    /// How long an Alertmanager must have been running, and one that holds nothing must have held nothing, before it is
    /// believed that an alert is gone: after its start it has to hear from Prometheus first.
    pub grace: Period,
    /// Name of the receiver in Alertmanager's configuration that sends here. With it, alerts that fire there and were never
    /// told here are counted and logged.
    pub receiver: Option<String>,
    /// Take such alerts in. Off, because Alertmanager may have a reason not to tell, such as a time interval that mutes.
    pub take_in_missed: bool,
    /// How long an alert must have fired before it counts as never told: longer than `group_wait` and `group_interval`.
    pub missed_after: Period,
}

impl Default for Reconcile {
    /// Prometheus sends again after a minute, and Alertmanager's default `group_interval` is five.
    fn default() -> Self {
        Self {
            enabled: true,
            every: Period::from_mins(1),
            grace: Period::from_mins(5),
            receiver: None,
            take_in_missed: false,
            missed_after: Period::from_mins(10),
        }
    }
}

/// A Prometheus, and how to sign in to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prometheus {
    /// Base address, without `/api/…`.
    #[schemars(required)]
    pub url: HttpUrl,
    /// Token to send as `Authorization: Bearer …`.
    pub bearer_token: SecretSources,
    /// User and password to send.
    pub basic_auth: Option<BasicAuth>,
    /// Further headers to send, such as a tenant's name.
    pub headers: BTreeMap<String, PlainOrSecret>,
    /// Certificates in PEM to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Time for one query; a diagnostic may allow less.
    pub timeout: Period,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            url: HttpUrl::default(),
            bearer_token: SecretSources::default(),
            basic_auth: None,
            headers: BTreeMap::new(),
            ca_file: None,
            timeout: CALL_TIMEOUT,
        }
    }
}

/// A Loki, and how to sign in to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Loki {
    /// Base address, without `/loki/api/…`.
    #[schemars(required)]
    pub url: HttpUrl,
    /// Token to send as `Authorization: Bearer …`.
    pub bearer_token: SecretSources,
    /// User and password to send.
    pub basic_auth: Option<BasicAuth>,
    /// Further headers to send, such as `X-Scope-OrgID` with a tenant's name.
    pub headers: BTreeMap<String, PlainOrSecret>,
    /// Certificates in PEM to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Time for one query; a diagnostic may allow less.
    pub timeout: Period,
}

impl Default for Loki {
    fn default() -> Self {
        Self {
            url: HttpUrl::default(),
            bearer_token: SecretSources::default(),
            basic_auth: None,
            headers: BTreeMap::new(),
            ca_file: None,
            timeout: CALL_TIMEOUT,
        }
    }
}

/// The Slack app that speaks for us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slack {
    /// Base address of Slack's Web API.
    pub api_url: HttpUrl,
    /// Bot token (`xoxb-…`).
    #[schemars(required)]
    pub bot_token: SecretSources,
    /// Secret that signs the buttons' requests. Without it `/webhooks/slack` stays closed.
    pub signing_secret: SecretSources,
    /// App-level token (`xapp-…`) for Socket Mode: buttons reach us over a connection that we open, and no public
    /// address is needed.
    pub app_token: SecretSources,
    /// The only workspace whose buttons count, such as `T0123456789`. Default: any that signs correctly.
    pub team_id: Option<String>,
    /// The only app whose buttons count, such as `A0123456789`. Default: any that signs correctly.
    pub app_id: Option<String>,
    /// Whether people who are not listed under `people` may take an incident by its button, and call the next level. They
    /// can never approve, take over or resolve.
    pub anyone_may_acknowledge: bool,
    /// User groups whose members have a role. Slack is asked every five minutes, and what it has not confirmed for a quarter
    /// of an hour does not count.
    pub groups: Vec<SlackGroup>,
    /// Channel for incidents that no rule sends elsewhere.
    pub default_channel: Option<String>,
    /// Time for one call, at most 10s.
    pub timeout: Period,
}

impl Default for Slack {
    fn default() -> Self {
        Self {
            api_url: HttpUrl::constant("https://slack.com/api"),
            bot_token: SecretSources::default(),
            signing_secret: SecretSources::default(),
            app_token: SecretSources::default(),
            team_id: None,
            app_id: None,
            anyone_may_acknowledge: true,
            groups: Vec::new(),
            default_channel: None,
            timeout: CALL_TIMEOUT,
        }
    }
}

/// A user group of Slack's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackGroup {
    /// Its id, such as `S0123456789`.
    pub id: String,
    /// What its members may do.
    pub role: Role,
}

/// PagerDuty, by its Events API v2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PagerDuty {
    /// Base address of the Events API; `https://events.eu.pagerduty.com` in the EU region.
    pub events_url: HttpUrl,
    /// Services by the name that rules use.
    pub services: BTreeMap<String, PagerDutyService>,
    /// Secret of a webhook subscription (version 3) of the account or a team that leads to `/webhooks/pagerduty`.
    pub webhook_secret: SecretSources,
    /// The REST API, for notes on an incident; without it, PagerDuty is told by events alone.
    pub api: Option<PagerDutyApi>,
    /// Time for one call, at most 10s.
    pub timeout: Period,
}

/// PagerDuty's REST API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PagerDutyApi {
    /// Base address; `https://api.eu.pagerduty.com` in the EU region.
    pub url: HttpUrl,
    /// API key of the account, not read-only.
    #[schemars(required)]
    pub token: SecretSources,
    /// Mail address of the user in PagerDuty in whose name notes are written.
    #[schemars(required)]
    pub from: String,
    /// Whether it is looked three minutes after an urgent page if its incident stands there, and the page sent again and
    /// somebody else told where it does not. Switch it off where PagerDuty groups alerts of a service into one incident.
    pub confirm: bool,
}

impl Default for PagerDutyApi {
    fn default() -> Self {
        Self {
            url: HttpUrl::constant("https://api.pagerduty.com"),
            token: SecretSources::default(),
            from: String::new(),
            confirm: true,
        }
    }
}

impl Default for PagerDuty {
    fn default() -> Self {
        Self {
            events_url: HttpUrl::constant("https://events.pagerduty.com"),
            services: BTreeMap::new(),
            webhook_secret: SecretSources::default(),
            api: None,
            timeout: CALL_TIMEOUT,
        }
    }
}

/// One service of PagerDuty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PagerDutyService {
    /// Integration key of the service (32 characters).
    #[schemars(required)]
    pub routing_key: SecretSources,
    /// Secret of a webhook subscription (version 3) of this service alone that leads to `/webhooks/pagerduty`.
    pub webhook_secret: SecretSources,
}

/// A named address that `http.call` may call. Rules name endpoints; they can never give an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoint {
    /// The address.
    #[schemars(required)]
    pub url: HttpUrl,
    /// The request method.
    pub method: Method,
    /// Headers to send; credentials as secrets.
    pub headers: BTreeMap<String, PlainOrSecret>,
    /// Whether a second POST or PATCH does no harm, such as where the server obeys `Idempotency-Key`. A call without a
    /// clear answer is then sent again; without this, people look first. GET, PUT and DELETE are repeated anyway.
    pub idempotent: bool,
    /// Time for one call, at most 55s.
    pub timeout: Period,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            url: HttpUrl::default(),
            method: Method::Post,
            headers: BTreeMap::new(),
            idempotent: false,
            timeout: CALL_TIMEOUT,
        }
    }
}

/// A request method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Asks for something to be done.
    #[default]
    Post,
    /// Replaces.
    Put,
    /// Changes in part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The method's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}
