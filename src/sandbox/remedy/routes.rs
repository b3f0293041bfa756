//! The operations API over HTTP: calls of remedies, and what the service tells of itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Fact, MAX_BODY_CHARS, RemedyCall, Shared, lock};
use crate::sandbox::faults::{Fault, FaultOrder, Outcome};
use crate::sandbox::prometheus::now_seconds;

impl Shared {
    fn call(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &str,
        fault: Option<Fault>,
    ) -> Response {
        let (status, answer, took_effect) = self.carry_out(method, path, headers);
        let status_code = Some(status.as_u16());
        self.calls.push(noted(method, path, body, status_code, took_effect, fault));
        (status, Json(answer)).into_response()
    }

    fn carry_out(&self, method: &Method, path: &str, headers: &HeaderMap) -> (StatusCode, Value, bool) {
        let (name, undo) = path.strip_suffix("/undo").map_or((path, false), |name| (name, true));
        let Some(remedy) = self.remedies.iter().find(|remedy| remedy.path == name) else {
            return (StatusCode::NOT_FOUND, json!({"error": "no such remedy"}), false);
        };
        let expected = format!("Bearer {}", self.token);
        if headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) != Some(expected.as_str())
        {
            return (StatusCode::UNAUTHORIZED, json!({"error": "a bearer token is needed"}), false);
        }
        if !matches!(*method, Method::POST | Method::PUT) {
            return (StatusCode::METHOD_NOT_ALLOWED, json!({"error": "use POST"}), false);
        }
        let mut applied = lock(&self.applied);
        let known = applied.iter().any(|applied| applied == name);
        if undo {
            applied.retain(|applied| applied != name);
            return (StatusCode::OK, json!({"undone": known, "remedy": remedy.does}), known);
        }
        if !known {
            applied.push(name.to_owned());
        }
        let helps = !known && self.works.load(Ordering::Relaxed);
        if let (true, Some(course)) = (helps, &remedy.course) {
            course.remedy(now_seconds() + remedy.delay.as_secs_f64());
        }
        (StatusCode::OK, json!({"applied": true, "before": known, "remedy": remedy.does}), !known)
    }

    fn facts(&self) -> Vec<Fact> {
        // The closure runs without the lock: it may take its time.
        let facts = Arc::clone(&lock(&self.facts));
        facts()
    }
}

fn noted(
    method: &Method,
    path: &str,
    body: &str,
    status: Option<u16>,
    took_effect: bool,
    fault: Option<Fault>,
) -> RemedyCall {
    let body = body.chars().take(MAX_BODY_CHARS).collect();
    RemedyCall { path: path.to_owned(), method: method.to_string(), body, status, took_effect, fault }
}

pub(super) async fn remedy(
    State(shared): State<Arc<Shared>>,
    method: Method,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (path, body) = (format!("/{path}"), String::from_utf8_lossy(&body).into_owned());
    let Some(fault) = shared.faults.take(&path) else {
        return shared.call(&method, &path, &headers, &body, None);
    };
    if !fault.takes_effect && fault.outcome != Outcome::Honest {
        shared.calls.push(noted(&method, &path, &body, None, false, Some(fault.clone())));
    }
    let told = fault.clone();
    let vendor_error = |name: &str| (StatusCode::BAD_GATEWAY, Json(json!({"error": name}))).into_response();
    fault.play(|| shared.call(&method, &path, &headers, &body, Some(told)), vendor_error).await
}

pub(super) async fn health(State(shared): State<Arc<Shared>>) -> Response {
    if shared.healthy.load(Ordering::Relaxed) {
        let degraded = shared.facts().iter().any(|fact| fact.name == "degraded" && fact.value > 0.0);
        Json(json!({"status": if degraded { "degraded" } else { "ok" }})).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "down"}))).into_response()
    }
}

pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let facts: Map<_, _> = shared.facts().into_iter().map(|fact| (fact.name, json!(fact.value))).collect();
    Json(json!({"service": "pss-nano", "facts": facts, "remedies_in_force": *lock(&shared.applied)}))
}

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let lines: String = shared
        .facts()
        .into_iter()
        .map(|Fact { name, value }| format!("# TYPE pss_nano_{name} gauge\npss_nano_{name} {value}\n"))
        .collect();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], lines).into_response()
}

#[derive(Deserialize)]
pub(super) struct AfterQuery {
    #[serde(default)]
    after: u64,
}

pub(super) async fn told_calls(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<AfterQuery>,
) -> Json<Value> {
    Json(json!({"forgotten": shared.calls.forgotten(), "calls": shared.calls.after(query.after)}))
}

pub(super) async fn ordered_faults(
    State(shared): State<Arc<Shared>>,
    Json(order): Json<FaultOrder>,
) -> StatusCode {
    shared.faults.obey(order);
    StatusCode::NO_CONTENT
}
