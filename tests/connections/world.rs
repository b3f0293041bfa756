//! The adapters as the engine calls them, built from parts, and plans as the rules make them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use smokejumper::actions::{self, Actions, ActionsOptions};
use smokejumper::clients::http::ProxyChoice;
use smokejumper::clients::redis::RedisOptions;
use smokejumper::diagnostics::{Connections, Diagnostics, DiagnosticsOptions, VitalsOptions};
use smokejumper::domain::Labels;
use smokejumper::domain::action::{ActionOutcome, ActionPlan, Step};
use smokejumper::domain::catalog::Catalog;
use smokejumper::domain::diagnosis::{Finding, FindingStatus};
use smokejumper::domain::incident::Incident;
use smokejumper::domain::rule::DiagnosticSpec;
use smokejumper::domain::survey::{SurveyOutcome, Surveyed};
use smokejumper::engine::ports::{
    ActionContext, Actor, Diagnoser, DiagnosisContext, SurveyContext, Surveyor,
};
use smokejumper::secret::{Fresh, Keyring, SecretSource};

/// A password that must show nowhere.
pub const SECRET: &str = "planted-secret-4711";

/// Long enough for a busy machine, short enough for a test that waits for it.
pub const TIMEOUT: Duration = Duration::from_secs(10);

pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Knows [`SECRET`].
pub fn mk_keyring() -> Keyring {
    let keyring = Keyring::new(BTreeMap::from([("PLANTED".to_owned(), SECRET.to_owned())]));
    keyring.open(&SecretSource::Env("PLANTED".to_owned())).expect("the variable is set");
    keyring
}

pub fn mk_redis(url: &str) -> RedisOptions {
    RedisOptions {
        url: url.into(),
        username: None,
        password: None,
        authorities_pem: None,
        timeout: Duration::from_secs(5),
    }
}

pub fn fresh<T: Clone + Send + Sync + 'static>(value: T) -> Fresh<T> {
    Fresh::new(move || value.clone())
}

pub fn mk_diagnostics(connections: Connections) -> Diagnostics {
    let options = DiagnosticsOptions {
        prometheus: None,
        kubernetes: None,
        connections,
        vitals: VitalsOptions::default(),
        probe_loopback: true,
        keyring: mk_keyring(),
    };
    Diagnostics::new(options).expect("diagnostics")
}

pub async fn diagnose(diagnostics: &Diagnostics, kind: &str, params: Value, timeout: Duration) -> Finding {
    let spec = DiagnosticSpec { name: "evidence".to_owned(), kind: kind.to_owned(), params: Value::Null };
    let context =
        DiagnosisContext { now: now(), started_at: now(), labels: Labels::new(), target: None, origin: None };
    let finding = diagnostics.diagnose(&spec, params, context, timeout).await;
    let shown = format!("{finding:?}");
    assert!(!shown.contains(SECRET), "a secret shows: {shown}");
    finding
}

/// The reason of an unknown finding, which must bring no fields along.
#[track_caller]
pub fn reason(finding: &Finding) -> &str {
    assert!(finding.fields.is_empty() && finding.text.is_empty(), "{finding:?}");
    match &finding.status {
        FindingStatus::Unknown(reason) => reason,
        FindingStatus::Known => panic!("known: {finding:?}"),
    }
}

#[track_caller]
pub fn known(finding: &Finding) -> &serde_json::Map<String, Value> {
    assert_eq!(finding.status, FindingStatus::Known, "{finding:?}");
    &finding.fields
}

pub fn mk_actions(connections: actions::Connections) -> Actions {
    let options = ActionsOptions {
        endpoints: BTreeMap::new(),
        proxy: ProxyChoice::Direct,
        kubernetes: None,
        connections,
        keyring: mk_keyring(),
    };
    Actions::new(options).expect("actions")
}

/// The draft that the rules would make of these parameters.
pub fn mk_draft(kind: &str, params: Value) -> ActionPlan {
    let catalog = Catalog::new(Vec::new(), actions::kinds());
    let action = catalog.action(kind).expect("a kind");
    (action.check)(&params).expect("good parameters");
    let outline = catalog.outline(action, &params, None).expect("an outline");
    ActionPlan {
        kind: kind.to_owned(),
        params,
        target: outline.target.expect("a target"),
        namespace: None,
        summary: outline.summary,
        repeatability: outline.repeatability,
        basis: None,
        ttl: outline.ttl,
    }
}

/// Any incident: nothing here looks at it.
fn mk_incident() -> Incident {
    serde_json::from_str(include_str!("../golden/incident-v1.json")).expect("a stored incident")
}

pub async fn survey(actions: &Actions, draft: &ActionPlan) -> SurveyOutcome {
    let context = SurveyContext { now: now(), incident: Box::new(mk_incident()) };
    let outcome = actions.survey(draft, context).await;
    let shown = format!("{outcome:?}");
    assert!(!shown.contains(SECRET), "a secret shows: {shown}");
    outcome
}

pub async fn ready(actions: &Actions, draft: &ActionPlan) -> Surveyed {
    match survey(actions, draft).await {
        SurveyOutcome::Ready(surveyed) => *surveyed,
        other => panic!("not ready: {other:?}"),
    }
}

pub async fn refusal(actions: &Actions, draft: &ActionPlan) -> String {
    match survey(actions, draft).await {
        SurveyOutcome::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn mk_context(step: Step) -> ActionContext {
    ActionContext { now: now(), key: "01-a1-apply".to_owned(), step, view: None }
}

pub async fn act(actions: &Actions, plan: &ActionPlan) -> ActionOutcome {
    let outcome = actions.act(plan, mk_context(Step::Apply)).await;
    let shown = format!("{outcome:?}");
    assert!(!shown.contains(SECRET), "a secret shows: {shown}");
    outcome
}

pub async fn look_back(actions: &Actions, plan: &ActionPlan) -> ActionOutcome {
    actions.look_back(plan, &mk_context(Step::Apply)).await
}

#[track_caller]
pub fn applied(outcome: ActionOutcome) -> String {
    match outcome {
        ActionOutcome::Applied { detail, inverse: None, requests } if requests.is_empty() => detail,
        other => panic!("not applied: {other:?}"),
    }
}
