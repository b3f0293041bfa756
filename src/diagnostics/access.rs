//! How Prometheus, the cluster and named connections are reached: clients, credentials that may change while we run, allowed commands.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use crate::clients::http::Credentials;
use crate::clients::kubernetes::ReadHandle;
use crate::clients::loki::LokiClient;
use crate::clients::postgres::PgOptions;
use crate::clients::prometheus::PrometheusClient;
use crate::clients::rabbitmq::RabbitClient;
use crate::clients::redis::RedisOptions;
use crate::clients::registry::RegistryClient;
use crate::domain::catalog::ParamsError;
use crate::params;
use crate::secret::{Fresh, LiveText, Secret};

/// Longest name of a connection.
const CONNECTION_BYTES_MAX: usize = 200;

/// The cluster of the settings, under the identity that reads.
#[derive(Debug, Clone)]
pub struct KubernetesAccess {
    /// Reads it.
    pub reads: ReadHandle,
    /// Commands that `k8s.exec_ro` may run, by name.
    pub commands: BTreeMap<String, Vec<String>>,
}

/// The Prometheus of the settings.
#[derive(Debug, Clone)]
pub struct PrometheusAccess {
    /// Speaks to it.
    pub client: PrometheusClient,
    /// How to sign in; read anew for each query.
    pub sign_in: SignIn,
    /// Further headers to send, such as a tenant's name.
    pub headers: Vec<(String, LiveText)>,
    /// Longest time for one query, where the diagnostic would give it more.
    pub timeout: Duration,
}

/// How to sign in at Prometheus, or at Alertmanager.
#[derive(Debug, Clone, Default)]
pub enum SignIn {
    /// Not at all.
    #[default]
    Anonymous,
    /// With a bearer token.
    Bearer(Secret),
    /// With a user and a password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
}

impl SignIn {
    /// What to show now.
    pub fn credentials(&self) -> Credentials {
        match self {
            Self::Anonymous => Credentials::None,
            Self::Bearer(token) => Credentials::Bearer(token.current()),
            Self::Basic { username, password } => {
                Credentials::Basic { username: username.clone(), password: password.current() }
            }
        }
    }
}

impl PrometheusAccess {
    /// The client with the credentials that are valid now.
    pub fn client_now(&self) -> PrometheusClient {
        let credentials = self.sign_in.credentials();
        let headers: Vec<(String, SecretString)> =
            self.headers.iter().map(|(name, text)| (name.clone(), text.current())).collect();
        self.client.signed_in(credentials, headers)
    }
}

/// Databases, brokers and registries of the settings, by name, under the identities that read.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    /// Redis servers.
    pub redis: BTreeMap<String, Fresh<RedisOptions>>,
    /// PostgreSQL databases.
    pub postgres: BTreeMap<String, PgAccess>,
    /// Loki.
    pub loki: Option<LokiAccess>,
    /// RabbitMQ clusters.
    pub rabbitmq: BTreeMap<String, RabbitAccess>,
    /// Container registries, by their hosts as images name them.
    pub registries: BTreeMap<String, RegistryAccess>,
}

/// A container registry.
#[derive(Debug, Clone)]
pub struct RegistryAccess {
    /// Speaks to it, with credentials as they are now.
    pub client: Fresh<RegistryClient>,
    /// Longest time for one question.
    pub timeout: Duration,
}

/// The management API of a RabbitMQ cluster.
#[derive(Debug, Clone)]
pub struct RabbitAccess {
    /// Speaks to it, with credentials as they are now.
    pub client: Fresh<RabbitClient>,
    /// Longest time for one question.
    pub timeout: Duration,
}

/// The Loki of the settings.
#[derive(Debug, Clone)]
pub struct LokiAccess {
    /// Speaks to it, with credentials as they are now.
    pub client: Fresh<LokiClient>,
    /// Longest time for one query, where the diagnostic would give it more.
    pub timeout: Duration,
}

/// A PostgreSQL database, and what may be asked of it beside the presets.
#[derive(Debug, Clone)]
pub struct PgAccess {
    /// How to reach it, with secrets as they are now.
    pub options: Fresh<PgOptions>,
    /// Queries by name.
    pub queries: BTreeMap<String, String>,
}

/// A connection's name stands in the rule: a label must not choose where a credential is shown.
pub(super) fn fixed_connection(name: &str) -> Result<(), ParamsError> {
    params::text_within("/connection", name, CONNECTION_BYTES_MAX)?;
    if params::is_template(name) {
        let message = "a connection must stand in the rule: a label must not choose it";
        return Err(ParamsError::at("/connection", message));
    }
    Ok(())
}
