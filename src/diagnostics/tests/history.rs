//! What happened before, told from a store that a test fills.

use jiff::{SignedDuration, ToSpan as _};

use super::*;
use crate::domain::action::{Action, ActionId, ActionPlan, ActionStatus, Repeatability, Step, Tier};
use crate::domain::approval::Approvals;
use crate::domain::correlate::CorrelationKey;
use crate::domain::decision::Reason;
use crate::domain::diagnosis::ConditionOutcome;
use crate::domain::guardrail::Pause;
use crate::domain::incident::{Incident, IncidentId, Opening, Resolution};
use crate::domain::people::{Actor, Role, Via};
use crate::domain::rule::RuleHash;
use crate::domain::severity::Severity;
use crate::domain::temporary::TemporaryFix;
use crate::engine::ports::{
    ChecksView, IncidentCounts, IncidentQuery, IncidentView, PastKeys, PastQuery, StoreError,
};
use std::sync::Mutex;

/// Incidents that are over, and what was asked for; none where it does not answer.
struct Shelf {
    incidents: Option<Vec<Incident>>,
    asked: Mutex<Vec<PastQuery>>,
}

impl Reader for Shelf {
    fn past(&self, query: PastQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        self.asked.lock().expect("not poisoned").push(query);
        let gone = || StoreError::Unavailable("it is gone".to_owned());
        Box::pin(async move { self.incidents.clone().ok_or_else(gone) })
    }
    fn incidents(&self, _: IncidentQuery) -> PortFuture<'_, Result<Vec<Incident>, StoreError>> {
        unreachable!("only the past is asked for")
    }
    fn incident(&self, _: &IncidentId) -> PortFuture<'_, Result<Option<IncidentView>, StoreError>> {
        unreachable!("only the past is asked for")
    }
    fn counts(&self) -> PortFuture<'_, Result<IncidentCounts, StoreError>> {
        unreachable!("only the past is asked for")
    }
    fn temporary_fixes(&self) -> PortFuture<'_, Result<Vec<TemporaryFix>, StoreError>> {
        unreachable!("only the past is asked for")
    }
    fn checks(&self) -> PortFuture<'_, Result<ChecksView, StoreError>> {
        unreachable!("only the past is asked for")
    }
    fn pauses(&self) -> PortFuture<'_, Result<Vec<Pause>, StoreError>> {
        unreachable!("only the past is asked for")
    }
}

/// One that ended so many minutes ago, after ten.
fn mk_past(id: &str, ended_minutes_ago: i64) -> Incident {
    let opening = Opening {
        id: IncidentId(id.to_owned()),
        key: CorrelationKey("r|a".to_owned()),
        rule: "r".to_owned(),
        rule_hash: RuleHash(String::new()),
        mode: Default::default(),
        severity: Severity::P1,
        summary: String::new(),
        runbook: None,
        target: None,
        labels: Labels::new(),
        annotations: Labels::new(),
    };
    let ended = mk_now() - ended_minutes_ago.minutes();
    let mut incident = Incident::open(opening, ended - 10.minutes());
    incident.resolved = Some(Resolution { actor: None, at: ended });
    incident
}

/// The same after a remedy with this end.
fn with_remedy(mut incident: Incident, remedy: &str, status: ActionStatus, reason: Reason) -> Incident {
    let plan = ActionPlan {
        kind: "http.call".to_owned(),
        params: json!({}),
        target: "t".to_owned(),
        namespace: None,
        summary: String::new(),
        repeatability: Repeatability::Idempotent,
        basis: None,
        ttl: None,
    };
    incident.actions.push(Action {
        id: ActionId("a1".to_owned()),
        remedy: remedy.to_owned(),
        status,
        tier: Tier::T1,
        digest: plan.digest(),
        plan,
        inverse: None,
        step: Step::Apply,
        reason,
        condition: ConditionOutcome::Holds,
        guardrails: Vec::new(),
        approvals: Approvals::default(),
        verification: None,
        planned_at: mk_now(),
        surveyed_at: None,
        notes: Vec::new(),
        restores: None,
        temporary_until: None,
        beside: Vec::new(),
        put_off: 0,
        unclear: None,
        started_at: Some(mk_now()),
        ended_at: Some(mk_now()),
        outcome: None,
    });
    incident
}

fn by_una(mut incident: Incident) -> Incident {
    let actor = Actor { name: "una".to_owned(), via: Via::Slack, role: Role::Approver };
    incident.resolved = incident.resolved.map(|resolved| Resolution { actor: Some(actor), ..resolved });
    incident
}

async fn ask(params: Value, incidents: Option<Vec<Incident>>) -> (Finding, Vec<PastQuery>) {
    let shelf = Arc::new(Shelf { incidents, asked: Mutex::default() });
    let diagnostics = mk_diagnostics(None).with_past(Arc::clone(&shelf) as Arc<dyn Reader>);
    let spec = DiagnosticSpec {
        name: "evidence".to_owned(),
        kind: "history.similar".to_owned(),
        params: Value::Null,
    };
    let origin = Origin {
        incident: IncidentId("now".to_owned()),
        rule: "r".to_owned(),
        key: CorrelationKey("r|a".to_owned()),
    };
    let context = DiagnosisContext { origin: Some(origin), ..mk_context() };
    let finding = diagnostics.diagnose(&spec, params, context, TIMEOUT).await;
    (finding, std::mem::take(&mut *shelf.asked.lock().expect("not poisoned")))
}

#[tokio::test]
async fn the_third_time_says_so_and_which_remedy_helped() {
    let helped = |incident, remedy| with_remedy(incident, remedy, ActionStatus::Succeeded, Reason::Verified);
    let incidents = vec![helped(mk_past("i1", 300), "scale-up"), helped(mk_past("i2", 125), "restart-api")];
    let (finding, asked) = ask(json!({}), Some(incidents)).await;
    assert_known(&finding);
    assert_eq!(finding.text, "third time within 1d; the last ended 2h 5m ago after 10m: restart-api helped");
    assert_eq!(
        Value::Object(finding.fields),
        json!({
            "count": 2, "last_seen_seconds": 7_500, "last_duration_seconds": 600, "last_resolution": "remedy",
            "remedy_that_helped": "restart-api", "helped": 2, "by_people": 0, "alone": 0,
        })
    );
    assert_eq!(asked[0].keys, PastKeys::One(CorrelationKey("r|a".to_owned())));
    assert_eq!(mk_now().duration_since(asked[0].since), SignedDuration::from_hours(24));
}

#[tokio::test]
async fn what_did_not_help_and_who_ended_it_is_told_apart() {
    let failed = |incident| with_remedy(incident, "restart", ActionStatus::Failed, Reason::Verified);
    let unwatched = |incident| with_remedy(incident, "restart", ActionStatus::Succeeded, Reason::NotVerified);
    let helped = with_remedy(mk_past("i3", 900), "scale-up", ActionStatus::Succeeded, Reason::Verified);
    let incidents = vec![by_una(failed(mk_past("i1", 60))), unwatched(mk_past("i2", 120)), helped];
    let (finding, _) = ask(json!({"window": "7d", "same": "rule"}), Some(incidents)).await;
    let text = "fourth time within 7d; the last ended 1h ago after 10m: una resolved it; before that scale-up helped";
    assert_eq!(finding.text, text);
    let numbers = ["helped", "by_people", "alone"].map(|name| finding.fields[name].as_u64());
    assert_eq!(numbers, [Some(1), Some(1), Some(1)]);
    assert_eq!(finding.fields["last_resolution"], "person");
    assert_eq!(finding.fields["remedy_that_helped"], "scale-up");
}

#[tokio::test]
async fn the_first_time_is_the_first_time_and_the_incident_itself_does_not_count() {
    let (finding, asked) = ask(json!({"same": "rule"}), Some(vec![mk_past("now", 30)])).await;
    assert_known(&finding);
    assert_eq!(finding.text, "first time within 1d");
    assert_eq!((&finding.fields["count"], finding.fields.get("last_seen_seconds")), (&json!(0), None));
    assert_eq!(finding.fields["remedy_that_helped"], "");
    assert_eq!(asked[0].keys, PastKeys::OfRule("r".to_owned()));
}

#[tokio::test]
async fn without_a_store_that_answers_nobody_knows() {
    let (finding, _) = ask(json!({}), None).await;
    assert!(reason(&finding).contains("it is gone"), "{finding:?}");
    let finding = diagnose(&mk_diagnostics(None), "history.similar", json!({}), TIMEOUT).await;
    assert_eq!(reason(&finding), "only a running service knows what happened before");
    for params in [json!({"window": "1s"}), json!({"window": "91d"}), json!({"same": "name"})] {
        let (finding, asked) = ask(params, Some(Vec::new())).await;
        assert!(!finding.is_known() && asked.is_empty(), "{finding:?}");
    }
}
