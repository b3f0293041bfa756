//! Who may come in: credentials of the receivers, tokens of the API, and the people behind Slack names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smokejumper_domain::people::Role;

use crate::secret::SecretSources;

/// The doors through which alerts come in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Receivers {
    /// `POST /webhooks/alertmanager`.
    pub alertmanager: Receiver,
    /// `POST /webhooks/grafana`, for alerts that Grafana manages itself. Default: closed.
    pub grafana: Option<GrafanaReceiver>,
}

/// How Grafana shows that it is the sender: by a credential, by signing what it sends, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrafanaReceiver {
    /// Tokens in `Authorization: Bearer …` (the contact point's authorization header).
    pub bearer_tokens: Vec<SecretSources>,
    /// Users with passwords (the contact point's HTTP basic authentication).
    pub basic_auth: Vec<BasicAuth>,
    /// Headers with a secret value (the contact point's extra headers).
    pub headers: Vec<SecretHeader>,
    /// The contact point's HMAC signature. With it alone, bodies are limited to 1 MiB. Default: not asked for.
    pub hmac: Option<GrafanaHmac>,
}

impl GrafanaReceiver {
    /// The credentials, as of any receiver.
    pub fn credentials(&self) -> Receiver {
        let Self { bearer_tokens, basic_auth, headers, .. } = self.clone();
        Receiver { bearer_tokens, basic_auth, headers }
    }
}

/// A signature over what Grafana sends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrafanaHmac {
    /// The secret; two while it is being changed.
    #[schemars(required)]
    pub secret: SecretSources,
    /// The header of the signature. Default: `X-Grafana-Alerting-Signature`.
    pub header: Option<String>,
    /// The header of the timestamp, which is then signed as well and must be fresh. Without it a request that somebody
    /// recorded stays good for ever. Default: none.
    pub timestamp_header: Option<String>,
}

/// Credentials that a sender may show. Any one of them lets it in; with none, everybody is let in, which is only
/// allowed on loopback, behind client certificates, or with `server.allow_unauthenticated`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Receiver {
    /// Tokens in `Authorization: Bearer …` (Alertmanager: `http_config.authorization`).
    pub bearer_tokens: Vec<SecretSources>,
    /// Users with passwords (Alertmanager: `http_config.basic_auth`).
    pub basic_auth: Vec<BasicAuth>,
    /// Headers with a secret value (Alertmanager: `http_config.http_headers`).
    pub headers: Vec<SecretHeader>,
}

impl Receiver {
    /// Whether a sender must show anything.
    pub fn asks_for_credentials(&self) -> bool {
        !(self.bearer_tokens.is_empty() && self.basic_auth.is_empty() && self.headers.is_empty())
    }
}

/// A user name with its password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The user name.
    #[schemars(required)]
    pub username: String,
    /// The password.
    #[schemars(required)]
    pub password: SecretSources,
}

/// A header of any name whose value is a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretHeader {
    /// The header's name, such as `X-Webhook-Token`.
    #[schemars(required)]
    pub name: String,
    /// Its value.
    #[schemars(required)]
    pub value: SecretSources,
}

/// The HTTP API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Tokens for scripts and the command line.
    pub tokens: Vec<ApiToken>,
}

/// One token of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    /// The name under which the audit trail knows its holder, where `person` does not say better.
    pub name: String,
    /// The person who holds it, by their name under `people`. Somebody who approves with a button and with a token is one
    /// person, and two different people have to approve a T3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// What its holder may do.
    pub role: Role,
    /// The token.
    pub token: SecretSources,
}

/// A person, as Slack and the audit trail know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The name in the audit trail.
    pub name: String,
    /// What this person may do.
    pub role: Role,
    /// Member id in Slack, such as `U0123456789`; found under "Copy member ID" in a Slack profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    /// Identity in PagerDuty, such as `PLH1HKV`; it ends the address of the profile there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagerduty: Option<String>,
    /// Mail address, for whoever has to ask this person later. It belongs to one person, and nothing is sent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}
