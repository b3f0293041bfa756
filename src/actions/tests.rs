//! Actions against servers on loopback and with rendered parameters, as the engine calls them.

mod calls;
mod cluster;
mod postmortem;
mod requests;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::clients::http::{Method, Url};
use crate::domain::action::{Request, Step};
use crate::domain::catalog::{Catalog, CheckedParams, ParamsError};
use crate::engine::ports::IncidentView;
use crate::secret::{LiveText, SecretSource};

const SECRET: &str = "planted-secret-4711";

fn mk_now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

/// Knows [`SECRET`].
fn mk_keyring() -> Keyring {
    Keyring::new(BTreeMap::from([("PLANTED".to_owned(), SECRET.to_owned())]))
}

/// An endpoint `waf` below `/api` of a server, with a header that anybody may see and one that nobody may.
fn mk_endpoint(base: &str, method: Method) -> Endpoint {
    let secret = mk_keyring().open(&SecretSource::Env("PLANTED".to_owned())).expect("the variable is set");
    Endpoint {
        method,
        url: Url::parse(&format!("{base}/api?v=2")).expect("a URL"),
        headers: vec![
            ("X-Team".to_owned(), LiveText::Plain("ops".to_owned())),
            ("Authorization".to_owned(), LiveText::Secret(secret)),
        ],
        idempotent: false,
        timeout: Duration::from_millis(800),
    }
}

fn mk_actions(endpoint: Endpoint) -> Actions {
    let keyring = mk_keyring();
    keyring.open(&SecretSource::Env("PLANTED".to_owned())).expect("the variable is set");
    let endpoints = BTreeMap::from([("waf".to_owned(), endpoint)]);
    let options = ActionsOptions {
        endpoints,
        proxy: ProxyChoice::Direct,
        kubernetes: None,
        connections: Default::default(),
        keyring,
    };
    Actions::new(options).expect("actions")
}

fn mk_catalog(endpoint: &Endpoint) -> Catalog {
    let endpoints = BTreeMap::from([("waf".to_owned(), endpoint.outline())]);
    Catalog::new(Vec::new(), kinds()).with_endpoints(endpoints)
}

/// The plan that the rules would make of rendered parameters.
fn mk_plan(kind: &str, params: Value, endpoint: &Endpoint) -> Result<ActionPlan, ParamsError> {
    let catalog = mk_catalog(endpoint);
    let outline = catalog.outline(catalog.action(kind).expect("a kind"), &params, None)?;
    Ok(ActionPlan {
        kind: kind.to_owned(),
        params,
        target: outline.target.unwrap_or_else(|| "the incident's own".to_owned()),
        namespace: None,
        summary: outline.summary,
        repeatability: outline.repeatability,
        basis: None,
        ttl: outline.ttl,
    })
}

fn mk_context(view: Option<IncidentView>) -> ActionContext {
    ActionContext {
        now: mk_now(),
        key: "01-a1-apply".to_owned(),
        step: Step::Apply,
        view: view.map(Box::new),
    }
}

async fn act(actions: &Actions, plan: &ActionPlan, view: Option<IncidentView>) -> ActionOutcome {
    let outcome = actions.act(plan, mk_context(view)).await;
    let shown = format!("{outcome:?}");
    assert!(!shown.contains(SECRET), "a secret shows: {shown}");
    outcome
}

fn check(kind: &str, params: Value) -> Result<CheckedParams, ParamsError> {
    let kind = kinds().into_iter().find(|k| k.name == kind).expect("a kind");
    (kind.check)(&params)
}

/// What an action asks of the engine.
fn requests(outcome: ActionOutcome) -> Vec<Request> {
    match outcome {
        ActionOutcome::Applied { inverse: None, requests, .. } => requests,
        other => panic!("not applied: {other:?}"),
    }
}

#[test]
fn every_kind_declares_what_it_is() {
    use crate::domain::action::{Repeatability, Tier};
    use crate::domain::catalog::{Inverse, Performer};
    let kinds: Vec<_> = kinds()
        .into_iter()
        .map(|kind| (kind.name, kind.tier_floor, kind.repeatability, kind.performer, kind.inverse))
        .collect();
    let asks = |name| (name, Tier::T0, Repeatability::Idempotent, Performer::Machine, Inverse::NotNeeded);
    let restores = |name, tier, inverse| (name, tier, Repeatability::Idempotent, Performer::Machine, inverse);
    assert_eq!(
        kinds,
        [
            restores("k8s.delete_pod", Tier::T1, Inverse::FromRule),
            restores("k8s.rollout_restart", Tier::T1, Inverse::FromRule),
            restores("k8s.rollout_undo", Tier::T2, Inverse::Recorded),
            restores("k8s.scale", Tier::T1, Inverse::Recorded),
            restores("k8s.hpa_patch", Tier::T2, Inverse::Recorded),
            restores("k8s.set_resources", Tier::T2, Inverse::Recorded),
            restores("k8s.set_env", Tier::T2, Inverse::Recorded),
            restores("k8s.set_image", Tier::T3, Inverse::Recorded),
            restores("k8s.patch", Tier::T2, Inverse::Recorded),
            restores("k8s.apply", Tier::T2, Inverse::Recorded),
            restores("k8s.remove", Tier::T2, Inverse::Recorded),
            restores("k8s.delete", Tier::T2, Inverse::FromRule),
            restores("k8s.job_run", Tier::T1, Inverse::FromRule),
            ("k8s.exec", Tier::T2, Repeatability::AtMostOnce, Performer::Machine, Inverse::FromRule),
            restores("cert.renew", Tier::T2, Inverse::FromRule),
            ("redis.op", Tier::T2, Repeatability::AtMostOnce, Performer::Machine, Inverse::Recorded),
            restores("pg.terminate_idle", Tier::T2, Inverse::FromRule),
            ("pg.maintain", Tier::T2, Repeatability::AtMostOnce, Performer::Machine, Inverse::FromRule),
            restores("am.silence", Tier::T1, Inverse::Recorded),
            ("http.call", Tier::T2, Repeatability::AtMostOnce, Performer::Machine, Inverse::FromRule),
            ("human.task", Tier::T3, Repeatability::Idempotent, Performer::People, Inverse::FromRule),
            asks("checklist.start"),
            asks("notify.slack"),
            asks("notify.pagerduty"),
            asks("escalate"),
            asks("incident.postmortem"),
        ]
    );
}

#[test]
fn every_kind_has_a_schema_and_refuses_what_it_does_not_know() {
    for kind in kinds() {
        assert_eq!((kind.schema)()["additionalProperties"], json!(false), "{}", kind.name);
        assert!((kind.check)(&json!({"nonsense": 1})).is_err(), "{}", kind.name);
        assert!((kind.check)(&json!(null)).is_err() && (kind.check)(&json!([1])).is_err(), "{}", kind.name);
        assert!(kind.timeout < Duration::from_secs(60), "{}", kind.name);
    }
}

#[tokio::test]
async fn a_plan_of_another_version_is_not_carried_out() {
    let endpoint = mk_endpoint("http://127.0.0.1:9", Method::POST);
    let mut plan = mk_plan("escalate", json!({}), &endpoint).expect("a plan");
    plan.kind = "k8s.from_tomorrow".to_owned();
    let outcome = act(&mk_actions(endpoint), &plan, None).await;
    assert_eq!(
        outcome,
        ActionOutcome::NotApplied { reason: "this version has no action `k8s.from_tomorrow`".to_owned() }
    );
}
