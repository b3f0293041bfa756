//! How Prometheus and the cluster are reached: clients, credentials that may change while we run, allowed commands.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use crate::clients::http::Credentials;
use crate::clients::kubernetes::ReadHandle;
use crate::clients::prometheus::PrometheusClient;
use crate::secret::{LiveText, Secret};

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
