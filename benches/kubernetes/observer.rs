//! The diagnostics under test, as the service builds them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use smokejumper::clients::http::install_crypto_provider;
use smokejumper::clients::kubernetes::{ConnectOptions, ReadHandle};
use smokejumper::diagnostics::{Diagnostics, DiagnosticsOptions, KubernetesAccess, VitalsOptions};
use smokejumper::domain::correlate::Target;
use smokejumper::domain::diagnosis::Finding;
use smokejumper::domain::rule::DiagnosticSpec;
use smokejumper::engine::ports::{Diagnoser as _, DiagnosisContext};
use smokejumper::secret::Keyring;

use crate::cluster::{Cluster, NAMESPACE};

/// Longest time for one diagnostic here: the long log takes as long as it takes.
const TIMEOUT: Duration = Duration::from_secs(300);

pub struct Observer(Diagnostics);

impl Observer {
    pub fn of(cluster: &Cluster) -> Self {
        install_crypto_provider();
        let options = ConnectOptions {
            kubeconfig: Some(cluster.kubeconfig()),
            timeout: Duration::from_secs(10),
            ..ConnectOptions::default()
        };
        let kubernetes = KubernetesAccess { reads: ReadHandle::new(options), commands: BTreeMap::new() };
        let options = DiagnosticsOptions {
            prometheus: None,
            kubernetes: Some(kubernetes),
            connections: Default::default(),
            vitals: VitalsOptions::default(),
            probe_loopback: false,
            keyring: Keyring::new(BTreeMap::new()),
        };
        Self(Diagnostics::new(options).expect("diagnostics"))
    }

    /// Runs all at once, as a rule does, and wants an answer from each.
    pub async fn diagnose(&self, uses: &[(&str, Value)]) -> Vec<Finding> {
        let target = Target { kind: "Deployment".into(), namespace: NAMESPACE.into(), name: "app-0".into() };
        let runs = uses.iter().map(|(kind, params)| {
            let now = Timestamp::now();
            let target = Some(target.clone());
            let context =
                DiagnosisContext { now, started_at: now, labels: BTreeMap::new(), target, origin: None };
            async move {
                let spec = DiagnosticSpec { name: (*kind).into(), kind: (*kind).into(), params: Value::Null };
                let finding = self.0.diagnose(&spec, params.clone(), context, TIMEOUT).await;
                assert!(finding.is_known(), "{finding:?}");
                finding
            }
        });
        join_all(runs).await
    }
}
