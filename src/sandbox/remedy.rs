//! The things that can be done: a small operations API whose endpoints end the trouble, and the service's own health.
//!
//! | path | what it is |
//! |---|---|
//! | `POST /waf/rate-limit`, `/cache/warm`, `/disk/cleanup`, … | remedies, as given at the start; `POST PATH/undo` takes one back |
//! | `GET /health` | 200 with `{"status":"ok"}` or `{"status":"degraded"}`; 503 after [`RemedySandbox::set_healthy`]`(false)` |
//! | `GET /status.json` | the present facts by name |
//! | `GET /metrics` | the same facts in Prometheus' text format |
//!
//! Remedies ask for a bearer token, as real ones do. A remedy applied twice is applied once. Every call is recorded,
//! refused ones too; tokens never are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::faults::{Fault, FaultOrder, FaultPlan, Outcome};
use super::prometheus::now_seconds;
use super::prometheus::series::Course;
use super::record::{DEFAULT_CAPACITY, Record};
use super::seed::random_hex;
use super::server::{Port, Server, StartError};

/// Characters of a request body that are recorded.
const MAX_BODY_CHARS: usize = 2_000;

/// A remedy that can be called.
#[derive(Clone, Debug)]
pub struct Remedy {
    /// The path, such as `/waf/rate-limit`.
    pub path: String,
    /// What it does, in a sentence.
    pub does: String,
    /// The course that it turns, if it helps anything.
    pub course: Option<Course>,
    /// How long after the call it takes effect.
    pub delay: Duration,
}

impl Remedy {
    /// A remedy that turns `course` at once.
    #[must_use]
    pub fn new(path: &str, does: &str, course: &Course) -> Self {
        Self { path: path.into(), does: does.into(), course: Some(course.clone()), delay: Duration::ZERO }
    }
}

/// One call of a remedy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RemedyCall {
    /// The path that was called.
    pub path: String,
    /// The method.
    pub method: String,
    /// The beginning of the body.
    pub body: String,
    /// The status that an honest answer had; `None` where a fault kept the call from having any effect.
    pub status: Option<u16>,
    /// Whether this call was the one that took effect.
    pub took_effect: bool,
    /// The misbehaviour that it met.
    pub fault: Option<Fault>,
}

/// A fact about the service, for `/status.json` and `/metrics`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The name, fit for a metric.
    pub name: String,
    /// The present value.
    pub value: f64,
}

type Facts = dyn Fn() -> Vec<Fact> + Send + Sync;

/// The operations API. Dropping it stops the server.
#[derive(Debug)]
pub struct RemedySandbox {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    token: String,
    remedies: Vec<Remedy>,
    applied: Mutex<Vec<String>>,
    works: AtomicBool,
    healthy: AtomicBool,
    facts: Mutex<Arc<Facts>>,
    faults: FaultPlan,
    calls: Record<RemedyCall>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Remedies").field("remedies", &self.remedies).finish_non_exhaustive()
    }
}

impl RemedySandbox {
    /// Starts on `port` (0 for a free one) with these remedies and a fresh token.
    ///
    /// # Errors
    /// [`StartError`] where the port is taken.
    pub async fn start(port: u16, remedies: Vec<Remedy>) -> Result<Self, StartError> {
        let port = Port::bind(port).await?;
        let shared = Arc::new(Shared {
            token: random_hex(16),
            remedies,
            applied: Mutex::default(),
            works: AtomicBool::new(true),
            healthy: AtomicBool::new(true),
            facts: Mutex::new(Arc::new(Vec::new)),
            faults: FaultPlan::default(),
            calls: Record::new(DEFAULT_CAPACITY),
        });
        let router = Router::new()
            .route("/health", get(health))
            .route("/status.json", get(status))
            .route("/metrics", get(metrics))
            .route("/_sandbox/calls", get(told_calls))
            .route("/_sandbox/faults", post(ordered_faults))
            .route("/{*path}", get(remedy).post(remedy).put(remedy).delete(remedy))
            .with_state(Arc::clone(&shared));
        Ok(Self { server: port.serve(router), shared })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// The server, for outages.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The bearer token that remedies ask for.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// The misbehaviour to come; the methods are the remedies' paths.
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.shared.faults
    }

    /// Every call of a remedy.
    #[must_use]
    pub fn calls(&self) -> &Record<RemedyCall> {
        &self.shared.calls
    }

    /// Whether remedies help from now on; otherwise they answer 200 and change nothing.
    pub fn set_works(&self, works: bool) {
        self.shared.works.store(works, Ordering::Relaxed);
    }

    /// Whether `/health` answers 200.
    pub fn set_healthy(&self, healthy: bool) {
        self.shared.healthy.store(healthy, Ordering::Relaxed);
    }

    /// Where `/status.json` and `/metrics` take their facts from.
    pub fn set_facts(&self, facts: impl Fn() -> Vec<Fact> + Send + Sync + 'static) {
        *lock(&self.shared.facts) = Arc::new(facts);
    }

    /// The paths of the remedies that are in force.
    #[must_use]
    pub fn applied(&self) -> Vec<String> {
        lock(&self.shared.applied).clone()
    }

    /// Takes a remedy back, as a fresh run of a scenario needs it.
    pub fn reset(&self, path: &str) {
        lock(&self.shared.applied).retain(|applied| applied != path);
    }
}

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

async fn remedy(
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

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    if shared.healthy.load(Ordering::Relaxed) {
        let degraded = shared.facts().iter().any(|fact| fact.name == "degraded" && fact.value > 0.0);
        Json(json!({"status": if degraded { "degraded" } else { "ok" }})).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "down"}))).into_response()
    }
}

async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let facts: Map<_, _> = shared.facts().into_iter().map(|fact| (fact.name, json!(fact.value))).collect();
    Json(json!({"service": "pss-nano", "facts": facts, "remedies_in_force": *lock(&shared.applied)}))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let lines: String = shared
        .facts()
        .into_iter()
        .map(|Fact { name, value }| format!("# TYPE pss_nano_{name} gauge\npss_nano_{name} {value}\n"))
        .collect();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], lines).into_response()
}

#[derive(Deserialize)]
struct AfterQuery {
    #[serde(default)]
    after: u64,
}

async fn told_calls(State(shared): State<Arc<Shared>>, Query(query): Query<AfterQuery>) -> Json<Value> {
    Json(json!({"forgotten": shared.calls.forgotten(), "calls": shared.calls.after(query.after)}))
}

async fn ordered_faults(State(shared): State<Arc<Shared>>, Json(order): Json<FaultOrder>) -> StatusCode {
    shared.faults.obey(order);
    StatusCode::NO_CONTENT
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::test_support::mk_client;

    const PATH: &str = "/waf/rate-limit";

    async fn mk_remedies() -> (RemedySandbox, Course) {
        let course = Course::default();
        course.begin(now_seconds() - 1_000.0);
        let remedies = vec![Remedy::new(PATH, "limits each client to ten requests a second", &course)];
        (RemedySandbox::start(0, remedies).await.expect("a free port"), course)
    }

    async fn post(remedies: &RemedySandbox, path: &str) -> u16 {
        let request =
            mk_client().post(format!("{}{path}", remedies.base_url())).bearer_auth(remedies.token());
        request.body("{}").send().await.expect("an answer").status().as_u16()
    }

    fn is_remedied(course: &Course) -> bool {
        course.intensity(now_seconds() + 60.0, 1.0, 1.0) < 0.5
    }

    #[tokio::test]
    async fn a_remedy_turns_the_course_once_and_can_be_undone() {
        let (remedies, course) = mk_remedies().await;
        assert!(!is_remedied(&course));
        assert_eq!((post(&remedies, PATH).await, post(&remedies, PATH).await), (200, 200));
        assert!(is_remedied(&course));
        assert_eq!(remedies.applied(), [PATH]);
        assert_eq!(post(&remedies, "/waf/rate-limit/undo").await, 200);
        assert!(remedies.applied().is_empty());
        let effects: Vec<_> = remedies.calls().entries().iter().map(|call| call.what.took_effect).collect();
        assert_eq!(effects, [true, false, true]);
    }

    #[tokio::test]
    async fn without_the_token_or_with_another_method_nothing_happens() {
        let (remedies, course) = mk_remedies().await;
        let url = format!("{}{PATH}", remedies.base_url());
        let status = |request: reqwest::RequestBuilder| async {
            request.send().await.expect("an answer").status().as_u16()
        };
        assert_eq!(status(mk_client().post(&url)).await, 401);
        assert_eq!(status(mk_client().post(&url).bearer_auth("wrong")).await, 401);
        assert_eq!(status(mk_client().get(&url).bearer_auth(remedies.token())).await, 405);
        assert_eq!(post(&remedies, "/unheard/of").await, 404);
        assert!(!is_remedied(&course));
        let recorded = format!("{:?}", remedies.calls().entries());
        assert!(recorded.contains("401") && !recorded.contains(remedies.token()));
    }

    #[tokio::test]
    async fn a_remedy_may_fail_to_help_and_its_answer_may_be_lost() {
        let (remedies, course) = mk_remedies().await;
        remedies.set_works(false);
        assert_eq!(post(&remedies, PATH).await, 200);
        assert!(!is_remedied(&course), "it answered well and did not help");
        remedies.set_works(true);
        remedies.reset(PATH);
        remedies.faults().next(PATH, Fault::status(502));
        assert_eq!(post(&remedies, PATH).await, 502);
        assert!(!is_remedied(&course));
        remedies.faults().next(PATH, Fault::dropped().after_effect());
        let request =
            mk_client().post(format!("{}{PATH}", remedies.base_url())).bearer_auth(remedies.token());
        assert!(request.send().await.is_err());
        assert!(is_remedied(&course), "done, but the caller cannot know");
    }

    #[tokio::test]
    async fn health_status_and_metrics_tell_the_facts() {
        let (remedies, _) = mk_remedies().await;
        remedies.set_facts(|| {
            let fact = |name: &str, value| Fact { name: name.to_owned(), value };
            vec![fact("error_ratio", 0.125), fact("degraded", 1.0)]
        });
        let get = |path: &str| mk_client().get(format!("{}{path}", remedies.base_url()));
        let text = |request: reqwest::RequestBuilder| async {
            let response = request.send().await.expect("an answer");
            (response.status().as_u16(), response.text().await.expect("text"))
        };
        assert_eq!(text(get("/health")).await, (200, r#"{"status":"degraded"}"#.to_owned()));
        remedies.set_healthy(false);
        assert_eq!(text(get("/health")).await.0, 503);
        assert!(text(get("/status.json")).await.1.contains(r#""error_ratio":0.125"#));
        assert!(text(get("/metrics")).await.1.contains("\npss_nano_error_ratio 0.125\n"));
    }
}
