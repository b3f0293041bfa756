//! The cluster that diagnostics read and actions change, and as whom.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::period::Period;

/// Time for one exchange: long enough for a busy API server, short enough that a diagnosis says so in time.
const EXCHANGE_TIMEOUT: Period = Period::from_secs(10);

/// The cluster that diagnostics read and actions change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// Kubeconfig to use. Default: the pod's own service account, where this runs in a cluster; otherwise the file that
    /// kubectl would use.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: its current one.
    pub context: Option<String>,
    /// Time for one exchange with the API server, at most 60s.
    pub timeout: Period,
    /// As whom actions write. Diagnostics never use it.
    pub act: ActIdentity,
    /// Commands that `k8s.exec_ro` may run, by the name that rules use: the program and its arguments, without a shell.
    /// List only what reads.
    pub read_commands: BTreeMap<String, Vec<String>>,
    /// Commands that `k8s.exec` may run once they are approved, by the name that rules use: the program and its
    /// arguments, without a shell.
    pub commands: BTreeMap<String, Vec<String>>,
}

/// As whom actions write. Default: as the identity that diagnostics read under, which then needs the permissions of
/// both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActIdentity {
    /// User to act as, such as `system:serviceaccount:smokejumper:smokejumper-act`. The reading identity needs the verb
    /// `impersonate` for it.
    pub impersonate: Option<String>,
    /// Kubeconfig of the acting identity.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the acting identity.
    pub context: Option<String>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            timeout: EXCHANGE_TIMEOUT,
            act: ActIdentity::default(),
            read_commands: BTreeMap::new(),
            commands: BTreeMap::new(),
        }
    }
}
