//! A service that answers what a test wants, and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use smokejumper::http::api::shapes::{ActionShape, IncidentDetail, IncidentSummary};

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Method, path and query: `GET /api/v1/incidents?limit=5`.
    pub line: String,
    pub authorization: Option<String>,
    pub body: String,
}

#[derive(Default)]
struct Shared {
    /// By method and path without query.
    answers: BTreeMap<String, (StatusCode, &'static str, String)>,
    asked: Vec<Asked>,
}

/// The service; it ends with the test.
pub struct StandIn {
    pub url: String,
    shared: Arc<Mutex<Shared>>,
    _runtime: tokio::runtime::Runtime,
}

impl StandIn {
    /// Starts one on loopback, where nothing answers anything but 404.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let shared = Arc::new(Mutex::new(Shared::default()));
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, shared, _runtime: runtime }
    }

    /// Answers `method path` with this JSON.
    pub fn json(self, line: &str, body: &Value) -> Self {
        self.answer(line, StatusCode::OK, "application/json", &body.to_string())
    }

    /// Answers `method path` with this problem.
    pub fn problem(self, line: &str, status: StatusCode, detail: &str) -> Self {
        let body = json!({ "type": "about:blank", "status": status.as_u16(), "detail": detail });
        self.answer(line, status, "application/problem+json", &body.to_string())
    }

    /// Answers `method path` with whatever.
    pub fn answer(self, line: &str, status: StatusCode, content_type: &'static str, body: &str) -> Self {
        let answer = (status, content_type, body.to_owned());
        self.shared.lock().expect("no test panicked").answers.insert(line.to_owned(), answer);
        self
    }

    /// Everything it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().expect("no test panicked").asked.clone()
    }

    /// The last thing it was asked.
    pub fn last(&self) -> Asked {
        self.asked().pop().expect("it was asked")
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Shared>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut shared = shared.lock().expect("no test panicked");
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    shared.asked.push(Asked {
        line: format!("{method} {uri}"),
        authorization: authorization.map(str::to_owned),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    match shared.answers.get(&format!("{method} {}", uri.path())) {
        Some((status, content_type, body)) => {
            (*status, [(header::CONTENT_TYPE, *content_type)], body.clone()).into_response()
        }
        None => (StatusCode::NOT_FOUND, "nothing here").into_response(),
    }
}

/// Identity of the incident that tests talk about.
pub const ID: &str = "019532f0a1b27c3d8e4f00006b1f03aa";

/// So many seconds from now, negative for before, as the API writes it.
pub fn in_seconds(seconds: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).to_string()
}

/// An incident as lists show it.
pub fn mk_summary(id: &str) -> IncidentSummary {
    IncidentSummary {
        id: id.to_owned(),
        mode: Default::default(),
        told_by: None,
        status: "triggered".to_owned(),
        phase: "awaiting_approval".to_owned(),
        severity: "P1".to_owned(),
        rule: "high-error-rate".to_owned(),
        summary: "5 % of requests fail".to_owned(),
        target: Some("Deployment/pss-nano/api".to_owned()),
        started_at: in_seconds(-270),
        resolved_at: None,
        next_escalation_at: Some(in_seconds(330)),
        acknowledged_by: None,
        acknowledged_until: None,
        deferred_until: None,
        taken_over_by: None,
        silenced_by: None,
        silenced_until: None,
        alerts_suppressed: 0,
        alerts_firing: 1,
        alerts_total: 2,
    }
}

/// An action of that incident that waits for people.
pub fn mk_action() -> ActionShape {
    ActionShape {
        id: format!("{ID}-a1"),
        remedy: "raise-connection-pool".to_owned(),
        status: "awaiting_approval".to_owned(),
        tier: "T3".to_owned(),
        kind: "http.call".to_owned(),
        summary: "POST to endpoint pool-setting".to_owned(),
        target: "endpoint/pool-setting".to_owned(),
        params: json!({ "endpoint": "pool-setting" }),
        digest: "4be1c2".to_owned(),
        reason: "T3 needs 2 approvals by different people".to_owned(),
        reason_code: "needs_approval".to_owned(),
        guardrails: serde_json::from_value(json!([
            { "guardrail": "pause", "allowed": true, "reason": "not paused" },
            { "guardrail": "rate_target", "allowed": false, "reason": "1 of 1 actions in 15m are used" },
        ]))
        .expect("verdicts"),
        approvals: vec!["una: approved".to_owned()],
        approval_expires_at: Some(in_seconds(870)),
        notes: Vec::new(),
        temporary_until: None,
        outcome: None,
        started_at: None,
        ended_at: None,
    }
}

/// Everything about that incident, with texts from a hostile sender in it.
pub fn mk_detail() -> IncidentDetail {
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let fixed = "2026-03-01T03:00:00Z";
    IncidentDetail {
        summary: mk_summary(ID),
        labels: labels(&[("alertname", "HighErrorRate")]),
        annotations: labels(&[]),
        runbook: Some("https://wiki.example.com/api#errors".to_owned()),
        alerts: serde_json::from_value(json!([{
            "fingerprint": "e1fd34bdbbee14c3", "status": "firing",
            "labels": { "alertname": "HighErrorRate", "pod": "\u{1b}[2Jforged\nline" },
            "annotations": {}, "starts_at": in_seconds(-330), "ends_at": null,
        }]))
        .expect("alerts"),
        findings: serde_json::from_value(json!([
            { "name": "error_ratio", "kind": "prom.range", "status": "known", "reason": null,
              "fields": { "last": 0.05 }, "text": "last 0.05\nrising", "taken_at": fixed },
            { "name": "health", "kind": "http.check", "status": "unknown", "reason": "no answer within 5 s",
              "fields": {}, "text": "", "taken_at": fixed },
        ]))
        .expect("findings"),
        actions: vec![mk_action()],
        tasks: json!([{ "title": "Check the pool", "owner": "database team", "items": [
            { "text": "look at the dashboard", "done_by": "una", "done_at": fixed }, { "text": "tell support" },
        ]}]),
        documents: Vec::new(),
        timeline: serde_json::from_value(json!([
            { "seq": 1, "at": fixed, "kind": "opened", "actor": "smokejumper", "reason": null,
              "text": "HighErrorRate fires", "hash": "aa" },
            { "seq": 2, "at": fixed, "kind": "approval", "actor": "una", "reason": "approved",
              "text": "raise-connection-pool: approved by una", "hash": "bb" },
        ]))
        .expect("lines"),
    }
}
