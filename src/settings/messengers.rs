//! Further ways to tell people: webhooks, mail, Microsoft Teams.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::PlainOrSecret;
use crate::period::Period;
use crate::secret::SecretSources;

/// Time for one call, as for Slack and PagerDuty.
const CALL_TIMEOUT: Period = Period::from_secs(10);

/// The port on which mail is handed in (RFC 6409).
const SUBMISSION_PORT: u16 = 587;

/// A webhook that is told of each thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    /// The address; a secret, where whoever has it may post.
    #[schemars(required)]
    pub url: PlainOrSecret,
    /// Headers to send; credentials as secrets.
    pub headers: BTreeMap<String, PlainOrSecret>,
    /// Secret that signs what is sent. Default: not signed.
    pub signing_secret: SecretSources,
    /// JSON with placeholders in its strings. Default: a document with all that is known.
    pub body: Option<String>,
    /// Time for one call, at most 10s.
    pub timeout: Period,
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            url: PlainOrSecret::Plain(String::new()),
            headers: BTreeMap::new(),
            signing_secret: SecretSources::default(),
            body: None,
            timeout: CALL_TIMEOUT,
        }
    }
}

/// The server that mail is sent by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Email {
    /// Its name, which its certificate must have.
    #[schemars(required)]
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: EmailSecurity,
    /// From whom, such as `Smokejumper <smokejumper@example.com>`.
    #[schemars(required)]
    pub from: String,
    /// User name, where the server asks for one.
    pub username: Option<String>,
    /// Password of that user.
    pub password: SecretSources,
    /// Certificates in PEM to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Time for each step of a conversation, at most 10s.
    pub timeout: Period,
}

impl Default for Email {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: SUBMISSION_PORT,
            security: EmailSecurity::default(),
            from: String::new(),
            username: None,
            password: SecretSources::default(),
            ca_file: None,
            timeout: CALL_TIMEOUT,
        }
    }
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmailSecurity {
    /// Plain at first, and TLS before anything is said.
    #[default]
    Starttls,
    /// TLS from the first byte, mostly on port 465.
    Tls,
    /// None, for a server on the same machine. Takes no password.
    Plain,
}

/// Microsoft Teams, by the webhooks of workflows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Teams {
    /// Channels by the name that rules use.
    pub channels: BTreeMap<String, TeamsChannel>,
    /// Time for one call, at most 10s.
    pub timeout: Period,
}

impl Default for Teams {
    fn default() -> Self {
        Self { channels: BTreeMap::new(), timeout: CALL_TIMEOUT }
    }
}

/// One channel of Teams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TeamsChannel {
    /// Address of the workflow; a secret, since whoever has it may post.
    #[schemars(required)]
    pub url: PlainOrSecret,
}

impl Default for TeamsChannel {
    fn default() -> Self {
        Self { url: PlainOrSecret::Plain(String::new()) }
    }
}
