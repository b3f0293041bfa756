//! The page of the account, its ground truth over HTTP, and faults to order.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::responders::{Deed, DeedError};
use super::{Shared, person};
use crate::sandbox::faults::FaultOrder;
use crate::sandbox::pages::Page;

const PAGE: Page = Page {
    name: "pagerduty",
    html: include_str!("page.html"),
    css: include_str!("page.css"),
    js: include_str!("page.js"),
};

/// The page at `PREFIX/` and `GET PREFIX/_sandbox/…`: incidents and events, and faults to order.
pub(super) fn page_and_ground_truth(prefix: &str, shared: &Arc<Shared>) -> Router {
    PAGE.routes(prefix).merge(ground_truth(prefix, shared))
}

fn ground_truth(prefix: &str, shared: &Arc<Shared>) -> Router {
    Router::new()
        .route(&format!("{prefix}/_sandbox/incidents"), get(told_incidents))
        .route(&format!("{prefix}/_sandbox/events"), get(told_events))
        .route(&format!("{prefix}/_sandbox/faults"), post(ordered_faults))
        .route(&format!("{prefix}/_sandbox/incidents/{{number}}"), post(done_by_a_person))
        .with_state(Arc::clone(shared))
}

async fn told_incidents(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({"incidents": shared.incidents().list()}))
}

#[derive(Deserialize)]
struct AfterQuery {
    #[serde(default)]
    after: u64,
}

async fn told_events(State(shared): State<Arc<Shared>>, Query(query): Query<AfterQuery>) -> Json<Value> {
    Json(json!({"forgotten": shared.events.forgotten(), "events": shared.events.after(query.after)}))
}

#[derive(Deserialize)]
struct DeedOrder {
    by: String,
    #[serde(flatten)]
    deed: Deed,
}

async fn done_by_a_person(
    State(shared): State<Arc<Shared>>,
    Path(number): Path<u64>,
    Json(order): Json<DeedOrder>,
) -> Result<StatusCode, (StatusCode, String)> {
    let person = person(&order.by);
    let done = shared.act(number, &person, &order.deed);
    done.map(|_| StatusCode::NO_CONTENT).map_err(|error| match error {
        DeedError::NoSuchIncident(_) => (StatusCode::NOT_FOUND, error.to_string()),
        DeedError::NotNow(_) => (StatusCode::CONFLICT, error.to_string()),
    })
}

async fn ordered_faults(State(shared): State<Arc<Shared>>, Json(order): Json<FaultOrder>) -> StatusCode {
    shared.faults.obey(order);
    StatusCode::NO_CONTENT
}
