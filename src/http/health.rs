//! Whether the service is there, ready, and what it counts.

use super::auth::Principal;
use super::problem::Problem;
use super::services::Services;
use crate::domain::people::Role;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri, header};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// Longest wait for the store before the service says that it is not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    /// `alive`.
    status: &'static str,
    /// What is running.
    version: &'static str,
}

/// Whether deliveries can be stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not ready`.
    status: &'static str,
    /// `ok`, or why deliveries cannot be stored.
    store: String,
    /// `ok`, or that the newest rules were refused and the last good ones are in force.
    rules: String,
    /// Where Slack's Socket Mode is set up: `ok`, or that it is not connected and presses on buttons wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    slack: Option<&'static str>,
}

/// What is in force after a reload.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reloaded {
    /// `reloaded`.
    status: &'static str,
    /// For people.
    detail: String,
}

/// Whether the process answers.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Alive, description = "The process answers.")))]
pub async fn alive() -> Json<Alive> {
    Json(Alive { status: "alive", version: env!("CARGO_PKG_VERSION") })
}

/// Whether deliveries can be stored.
///
/// Rules were loaded before the door opened. Newer ones that were refused are said here and change no status: the last
/// good ones are in force, and taking the service out of its place would only lose alerts.
#[utoipa::path(get, path = "/ready", responses(
    (status = 200, body = Readiness, description = "Deliveries can be stored."),
    (status = 503, body = Readiness, description = "They cannot; `store` says why.")))]
pub async fn ready(State(services): State<Services>) -> Response {
    let store = match tokio::time::timeout(READY_TIMEOUT, services.store.ping()).await {
        Ok(Ok(())) => "ok".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {READY_TIMEOUT:?}"),
    };
    let ready = store == "ok";
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let rules = match (services.rules_refused)() {
        false => "ok",
        true => "the newest rules were refused, and the last good ones are in force; the log says why",
    };
    let slack = services.slack_socket.as_ref().map(|socket| match socket.connections() {
        0 => "Socket Mode is not connected, and presses on buttons wait; the log says why",
        _ => "ok",
    });
    let status_word = if ready { "ready" } else { "not ready" };
    let body = Readiness { status: status_word, store, rules: rules.to_owned(), slack };
    (status, Json(body)).into_response()
}

/// What the service counts.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "OpenMetrics text.", body = String,
    content_type = "application/openmetrics-text")))]
pub async fn metrics(State(services): State<Services>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], (services.metrics_page)()).into_response()
}

/// Reads the rules again, all or nothing.
///
/// # Errors
/// 403 below admin; 422 with every mistake where the new rules cannot be used, and the old ones stay.
#[utoipa::path(post, path = "/-/reload", security(("bearer" = [])),
    responses((status = 200, body = Reloaded, description = "What is in force now."),
        (status = 403, body = Problem), (status = 422, body = Problem, description = "Every mistake; the old rules stay.")))]
pub async fn reload(
    principal: Principal,
    State(services): State<Services>,
) -> Result<Json<Reloaded>, Problem> {
    principal.require(Role::Admin)?;
    let reload = services.reload.clone();
    // Reading and compiling rules is work for a thread of its own.
    let result = tokio::task::spawn_blocking(move || reload()).await.map_err(|_| Problem::internal())?;
    match result {
        Ok(detail) => Ok(Json(Reloaded { status: "reloaded", detail })),
        Err(text) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text)),
    }
}

/// Any other path.
pub async fn not_found(uri: Uri) -> Problem {
    Problem::not_found("there is nothing here; GET /api/openapi.json lists what there is")
        .about(uri.path().to_owned())
}

/// A path of ours with another method than it has.
pub async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} is not for this path; GET /api/openapi.json lists what there is");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).about(uri.path().to_owned())
}

/// A handler panicked: a defect. The caller may try again; the log has the place.
pub fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::unavailable("something went wrong here; the log of the service says what").into_response()
}
