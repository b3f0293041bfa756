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

use axum::Router;
use axum::routing::{get, post};
use serde::Serialize;

mod routes;

use super::faults::{Fault, FaultPlan};
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
            .route("/health", get(routes::health))
            .route("/status.json", get(routes::status))
            .route("/metrics", get(routes::metrics))
            .route("/_sandbox/calls", get(routes::told_calls))
            .route("/_sandbox/faults", post(routes::ordered_faults))
            .route(
                "/{*path}",
                get(routes::remedy).post(routes::remedy).put(routes::remedy).delete(routes::remedy),
            )
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "remedy/tests.rs"]
mod tests;
