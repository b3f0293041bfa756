//! Diagnostics: one file for each way of gathering evidence.
//!
//! They read and never change anything: they are given a Prometheus client, a probe client, the cluster's reading
//! handle and connections under identities that read, and nothing else.
//! What cannot be had is an *unknown* finding with its reason, never zero and never "healthy"; a diagnostic cannot
//! fail otherwise. URLs come from rules, and the probe client keeps them away from metadata services; a URL out of a
//! label is never fetched. Everything that leaves here is bounded and has passed the redactor.
//!
//! To add one: a file with its parameters and its `ENTRY`, a line in [`ENTRIES`], a test, and
//! `UPDATE_DOCS=1 cargo test --test reference`. Reading order: [`Diagnostics`], `evidence`, then any diagnostic.

pub mod access;
mod backup_freshness;
mod evidence;
mod history_similar;
mod http_check;
mod http_json;
mod http_metrics;
mod k8s;
mod k8s_certificate;
mod k8s_describe;
mod k8s_events;
mod k8s_exec_ro;
mod k8s_hpa;
mod k8s_job;
mod k8s_logs;
mod k8s_network;
mod k8s_nodes;
mod k8s_pods;
mod k8s_rollout_history;
mod k8s_secret_meta;
mod k8s_top;
mod k8s_workload;
mod links_render;
mod logs_query;
mod pg_query;
mod probe;
mod prom;
mod prom_query;
mod prom_range;
mod rabbitmq_overview;
mod redis_info;
mod registry_image;
mod tls_cert;
mod trend;
pub mod vitals;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::clients::http::{HttpClient, HttpError, HttpOptions};
use crate::domain::catalog::DiagnosticKind;
use crate::domain::correlate::Target;
use crate::domain::diagnosis::Finding;
use crate::domain::rule::DiagnosticSpec;
use crate::engine::ports::{Diagnoser, DiagnosisContext, Origin, PortFuture, Reader};
use crate::secret::Keyring;

pub use access::{
    Connections, KubernetesAccess, LokiAccess, PgAccess, PrometheusAccess, RabbitAccess, RegistryAccess,
    SignIn,
};
pub use vitals::VitalsOptions;

use evidence::{Evidence, Unknown};

/// Diagnostics that run at the same time; further ones wait within their own time limit. A storm of incidents must
/// not become a storm of queries against a Prometheus that is in trouble itself.
pub const RUNS_MAX: usize = 32;

/// Shortest time between two questions of one run, however soon a busy server asks to come back.
const AGAIN_MIN: Duration = Duration::from_secs(1);

/// All diagnostics, in the order of the reference.
const ENTRIES: [Entry; 28] = [
    prom_query::ENTRY,
    prom_range::ENTRY,
    http_check::ENTRY,
    http_json::ENTRY,
    http_metrics::ENTRY,
    links_render::ENTRY,
    k8s_pods::ENTRY,
    k8s_describe::ENTRY,
    k8s_events::ENTRY,
    k8s_logs::ENTRY,
    k8s_workload::ENTRY,
    k8s_rollout_history::ENTRY,
    k8s_hpa::ENTRY,
    k8s_top::ENTRY,
    k8s_nodes::ENTRY,
    k8s_network::ENTRY,
    k8s_job::ENTRY,
    k8s_secret_meta::ENTRY,
    k8s_certificate::ENTRY,
    k8s_exec_ro::ENTRY,
    backup_freshness::ENTRY,
    redis_info::ENTRY,
    pg_query::ENTRY,
    tls_cert::ENTRY,
    logs_query::ENTRY,
    rabbitmq_overview::ENTRY,
    history_similar::ENTRY,
    registry_image::ENTRY,
];

/// A diagnostic: what it is, and how it runs.
struct Entry {
    kind: DiagnosticKind,
    run: for<'a> fn(&'a Tools, &'a Value, Moment<'a>) -> PortFuture<'a, Result<Evidence, Unknown>>,
}

/// What diagnostics may use. Only ways to read belong here.
struct Tools {
    prometheus: Option<PrometheusAccess>,
    kubernetes: Option<KubernetesAccess>,
    connections: Connections,
    probes: HttpClient,
    /// Whether probes may reach the own machine.
    probe_loopback: bool,
    keyring: Keyring,
    /// What happened before; none where nobody keeps it.
    past: Option<Arc<dyn Reader>>,
}

/// When, how long one run may take, and what the incident is about.
#[derive(Debug, Clone, Copy)]
struct Moment<'a> {
    now: Timestamp,
    timeout: Duration,
    target: Option<&'a Target>,
    origin: Option<&'a Origin>,
}

/// All kinds of diagnostics, for the catalog.
pub fn kinds() -> Vec<DiagnosticKind> {
    ENTRIES.into_iter().map(|entry| entry.kind).collect()
}

/// How to build [`Diagnostics`].
#[derive(Debug)]
pub struct DiagnosticsOptions {
    /// The Prometheus of the settings; without one, `prom.*` findings are unknown and say how to configure it.
    pub prometheus: Option<PrometheusAccess>,
    /// The cluster of the settings; without one, `k8s.*` findings are unknown and say how to configure it.
    pub kubernetes: Option<KubernetesAccess>,
    /// The connections of the settings.
    pub connections: Connections,
    /// Which vital signs are taken.
    pub vitals: VitalsOptions,
    /// Lets probes reach the own machine, for the demo, tests and sidecars.
    pub probe_loopback: bool,
    /// Knows the secrets that must not show.
    pub keyring: Keyring,
}

/// Gathers evidence: the engine's [`Diagnoser`].
pub struct Diagnostics {
    tools: Tools,
    /// For addresses of the settings; rules cannot reach it.
    configured: HttpClient,
    vitals: VitalsOptions,
    nodes: vitals::Nodes,
    slots: Semaphore,
}

impl Diagnostics {
    /// Ready to run.
    ///
    /// # Errors
    /// Where the machine cannot make an HTTP client, such as without certificate authorities.
    pub fn new(options: DiagnosticsOptions) -> Result<Self, HttpError> {
        let probe_loopback = options.probe_loopback;
        let probes = HttpClient::new(&HttpOptions::probes(probe_loopback))?;
        let DiagnosticsOptions { prometheus, kubernetes, connections, vitals, keyring, .. } = options;
        Ok(Self {
            tools: Tools { prometheus, kubernetes, connections, probes, probe_loopback, keyring, past: None },
            configured: HttpClient::new(&HttpOptions::configured())?,
            vitals,
            nodes: vitals::Nodes::default(),
            slots: Semaphore::new(RUNS_MAX),
        })
    }

    /// With the store of a running service, to look at what happened before.
    #[must_use]
    pub fn with_past(mut self, past: Arc<dyn Reader>) -> Self {
        self.tools.past = Some(past);
        self
    }

    async fn run(&self, kind: &str, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
        let entry = ENTRIES.into_iter().find(|entry| entry.kind.name == kind);
        let entry = entry.ok_or_else(|| Unknown::new(format!("this version has no diagnostic `{kind}`")))?;
        let deadline = Instant::now() + moment.timeout;
        let limited = async {
            loop {
                let slot = self.slots.acquire().await.map_err(|error| Unknown::new(error.to_string()))?;
                let result = (entry.run)(&self.tools, params, moment).await;
                drop(slot);
                // A server that is busy and says until when is asked again then, where that is in time.
                let Some(wait) = result.as_ref().err().and_then(|unknown| unknown.wait) else {
                    return result;
                };
                let wait = wait.max(AGAIN_MIN);
                if Instant::now() + wait >= deadline {
                    return result;
                }
                tokio::time::sleep(wait).await;
            }
        };
        let late = || Unknown::new(format!("no answer within {} ms", moment.timeout.as_millis()));
        tokio::time::timeout(moment.timeout, limited).await.unwrap_or_else(|_| Err(late()))
    }
}

impl Diagnoser for Diagnostics {
    fn diagnose<'a>(
        &'a self,
        spec: &'a DiagnosticSpec,
        params: Value,
        context: DiagnosisContext,
        timeout: Duration,
    ) -> PortFuture<'a, Finding> {
        Box::pin(async move {
            let began = Instant::now();
            let DiagnosisContext { now, target, origin, .. } = &context;
            let moment = Moment { now: *now, timeout, target: target.as_ref(), origin: origin.as_ref() };
            let result = self.run(&spec.kind, &params, moment).await;
            let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            evidence::finish(spec, result, context.now, duration_ms, &self.tools.keyring.redactor())
        })
    }
}
