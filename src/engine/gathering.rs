//! Gathers the evidence of one incident: all diagnostics of its rule at once, each within its own time.

use super::playbook::{KeptRule, Playbook, ReadyDiagnostic};
use super::ports::{Clock, Diagnoser, DiagnosisContext};
use crate::domain::diagnosis::Finding;
use crate::domain::incident::Incident;
use jiff::Timestamp;
use std::time::Duration;

/// What an adapter gets on top of its limit before it is cut off. It keeps the limit itself and says why; this is for
/// one that does not.
const ADAPTER_MARGIN: Duration = Duration::from_secs(1);

/// Runs all diagnostics of an incident's rule; never fails, since what cannot be had is unknown.
pub async fn gather(
    playbook: &dyn Playbook,
    diagnoser: &dyn Diagnoser,
    clock: &dyn Clock,
    rule: &KeptRule,
    incident: &Incident,
) -> Vec<Finding> {
    let context = DiagnosisContext {
        now: clock.now(),
        started_at: incident.started_at,
        labels: incident.labels.clone(),
        target: incident.target.clone(),
    };
    let ready = playbook.diagnostics(rule, incident);
    let runs = ready.into_iter().map(|diagnostic| run(diagnoser, clock, diagnostic, context.clone()));
    futures::future::join_all(runs).await
}

async fn run(
    diagnoser: &dyn Diagnoser,
    clock: &dyn Clock,
    ready: ReadyDiagnostic,
    context: DiagnosisContext,
) -> Finding {
    let ReadyDiagnostic { spec, params, timeout } = ready;
    let began = clock.now();
    let unknown = |why: String, now: Timestamp| {
        Finding::unknown(&spec.name, &spec.kind, why, now, millis_between(began, now))
    };
    let params = match params {
        Ok(params) => params,
        Err(why) => return unknown(why, began),
    };
    let run = diagnoser.diagnose(&spec, params, context, timeout);
    match tokio::time::timeout(timeout + ADAPTER_MARGIN, run).await {
        Ok(finding) => finding,
        Err(_) => unknown(format!("no answer within {timeout:?}"), clock.now()),
    }
}

fn millis_between(earlier: Timestamp, later: Timestamp) -> u64 {
    u64::try_from(later.duration_since(earlier).as_millis()).unwrap_or(0)
}
