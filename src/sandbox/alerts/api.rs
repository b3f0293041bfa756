//! Alertmanager's API v2 over the sender: what fires, what keeps it quiet, and silences to make and end.
//!
//! Shapes from Alertmanager's `api/v2/openapi.yaml` and the answers of a real 0.25.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::payload::Timed;
use super::silences::{Posted, Refused};
use super::{Shared, lock};
use crate::sandbox::form::decode;

/// Without news of it, Alertmanager takes an alert as ended after this time.
const RESOLVE_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Expired(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.to_string())).into_response()
    }
}

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/v2/status", get(status))
        .route("/api/v2/alerts", get(alerts))
        .route("/api/v2/silences", get(silences).post(put_silence))
        .route("/api/v2/silence/{id}", get(silence).delete(expire_silence))
        .with_state(shared)
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let mut answer = Json(json!({
        "uptime": shared.started_at.to_string(),
        "versionInfo": { "version": "0.33.1" },
        "config": { "original": format!("route:\n  receiver: {}\n", shared.options.receiver) },
        "cluster": { "status": "disabled", "peers": [] },
    }))
    .into_response();
    // How long it has been running is told by its own clock.
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()).ok();
    if let Some(date) = date.and_then(|date| HeaderValue::from_str(&date).ok()) {
        answer.headers_mut().insert(header::DATE, date);
    }
    answer
}

async fn alerts(State(shared): State<Arc<Shared>>) -> Json<Vec<Value>> {
    let now = Timestamp::now();
    let firing: Vec<Timed> = {
        let groups = lock(&shared.groups);
        groups.values().flat_map(|group| group.alerts()).filter(|timed| timed.ends_at.is_none()).collect()
    };
    let silences = lock(&shared.silences);
    let shown = |timed: &Timed| {
        let Timed { alert, starts_at, .. } = timed;
        let silenced_by = silences.quieting(&alert.labels, now);
        json!({
            "labels": alert.labels, "annotations": alert.annotations, "generatorURL": alert.generator_url,
            "fingerprint": alert.fingerprint(), "receivers": [{ "name": shared.options.receiver }],
            "startsAt": starts_at.to_string(), "updatedAt": now.to_string(),
            "endsAt": now.checked_add(RESOLVE_TIMEOUT).unwrap_or(now).to_string(),
            "status": {
                "state": if silenced_by.is_empty() { "active" } else { "suppressed" },
                "silencedBy": silenced_by, "inhibitedBy": [], "mutedBy": [],
            },
        })
    };
    Json(firing.iter().map(shown).collect())
}

async fn silences(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<Value>>, Refused> {
    let query = decode(&query.unwrap_or_default());
    let filters: Vec<String> =
        query.into_iter().filter(|(name, _)| name == "filter").map(|(_, filter)| filter).collect();
    lock(&shared.silences).list(&filters, Timestamp::now()).map(Json)
}

async fn put_silence(
    State(shared): State<Arc<Shared>>,
    Json(posted): Json<Posted>,
) -> Result<Json<Value>, Refused> {
    let id = lock(&shared.silences).put(posted, Timestamp::now())?;
    Ok(Json(json!({ "silenceID": id })))
}

async fn silence(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    lock(&shared.silences).one(&id, Timestamp::now()).map(Json).ok_or(Refused::NotFound)
}

async fn expire_silence(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<(), Refused> {
    lock(&shared.silences).expire(&id, Timestamp::now())
}
