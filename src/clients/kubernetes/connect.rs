//! From the settings to a line: inside the cluster, or by a kubeconfig, under one identity.

use std::path::PathBuf;
use std::time::Duration;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::error::{Failure, KubernetesError};
use crate::clients::http::error::chain_of;

/// Longest time for a connection to come about. The rest of an exchange's time is for the answer.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// How to reach a cluster, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Kubeconfig to use. Without one and without a context: the pod's own account, where this runs in a cluster;
    /// otherwise the file that kubectl would use.
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig; none is its current one.
    pub context: Option<String>,
    /// User to act as, such as `system:serviceaccount:smokejumper:smokejumper-act`.
    pub impersonate: Option<String>,
    /// Longest time for one exchange.
    pub timeout: Duration,
}

/// Makes a client. Nothing is asked of the cluster yet, but a kubeconfig may name a program that gives credentials,
/// which is run.
///
/// # Errors
/// Where the kubeconfig cannot be used, or what it names is not there. Holds no text of the kubeconfig.
pub(super) async fn connect(options: &ConnectOptions) -> Result<kube::Client, KubernetesError> {
    let failed = |reason| KubernetesError::new("connect to the cluster", Failure::Setup(reason));
    let mut config = config(options).await.map_err(failed)?;
    config.connect_timeout = Some(CONNECT_TIMEOUT_MAX.min(options.timeout));
    // The engine decides whether and when something is tried again.
    config.default_retry = false;
    if let Some(user) = &options.impersonate {
        config.auth_info.impersonate = Some(user.clone());
        config.auth_info.impersonate_groups = None;
        config.auth_info.impersonate_uid = None;
        config.auth_info.impersonate_user_extra = None;
    }
    // A credentials program is waited for here, which may take seconds.
    let client = tokio::task::spawn_blocking(move || kube::Client::try_from(config)).await;
    let client = client.map_err(|error| failed(error.to_string()))?;
    client.map_err(|error| failed(chain_of(&error)))
}

async fn config(options: &ConnectOptions) -> Result<Config, String> {
    let choice = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    if let Some(path) = &options.kubeconfig {
        let file = Kubeconfig::read_from(path).map_err(|error| words(&error))?;
        return Config::from_custom_kubeconfig(file, &choice).await.map_err(|error| words(&error));
    }
    if options.context.is_some() {
        return Config::from_kubeconfig(&choice).await.map_err(|error| words(&error));
    }
    match Config::incluster() {
        Ok(config) => Ok(config),
        Err(inside) => Config::from_kubeconfig(&choice).await.map_err(|error| {
            format!("not in a cluster ({}), and no kubeconfig: {}", chain_of(&inside), words(&error))
        }),
    }
}

/// What is wrong with a kubeconfig. A parser's complaint quotes the file, which holds keys and tokens.
fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "the kubeconfig is not YAML as kubectl writes it".to_owned(),
        error => chain_of(error),
    }
}
