//! The world over HTTP: the overview page, its state and series, orders to play, and a window on the product.
//!
//! `/_product/…` passes GET requests for `api/v1/…` on to the product with the viewer token, so that the page needs
//! neither the token nor permission of another origin. It must never pass on anything else.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{PlayError, Product, Stage, lock, workloads};
use crate::sandbox::alerts::Delivery;
use crate::sandbox::pages::Page;
use crate::sandbox::prometheus::now_seconds;
use crate::sandbox::record::Record;

/// How far back the chart goes, and how many points it has.
const CHART_SECONDS: f64 = 120.0;
const CHART_STEP_SECONDS: f64 = 1.0;
/// How long the product may take to answer the page.
pub(super) const PRODUCT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer of the product that is passed on.
const MAX_PRODUCT_BYTES: usize = 4 * 1024 * 1024;

const PAGE: Page = Page {
    name: "overview",
    html: include_str!("page.html"),
    css: include_str!("page.css"),
    js: include_str!("page.js"),
};

pub(super) fn routes(stage: &Arc<Stage>, deliveries: &Record<Delivery>) -> Router {
    let own = Router::new()
        .route("/_sandbox/state", get(state))
        .route("/_sandbox/series", get(series))
        .route("/_sandbox/cluster", get(cluster))
        .route("/_sandbox/play", post(play))
        .route("/_sandbox/end", post(end))
        .route("/_product/{*path}", get(product))
        .with_state(Arc::clone(stage));
    let sender =
        Router::new().route("/_sandbox/deliveries", get(told_deliveries)).with_state(deliveries.clone());
    PAGE.routes("").merge(own).merge(sender)
}

#[derive(Deserialize)]
struct AfterQuery {
    #[serde(default)]
    after: u64,
}

/// Every try of the sender to deliver a webhook.
async fn told_deliveries(
    State(deliveries): State<Record<Delivery>>,
    Query(query): Query<AfterQuery>,
) -> Json<Value> {
    Json(json!({"forgotten": deliveries.forgotten(), "deliveries": deliveries.after(query.after)}))
}

async fn state(State(stage): State<Arc<Stage>>) -> Json<Value> {
    let connected = lock(&stage.product).is_some();
    Json(json!({"speed": stage.speed, "connected": connected, "scenarios": stage.state()}))
}

/// What runs in the cluster, and what it says of it.
async fn cluster(State(stage): State<Arc<Stage>>) -> Json<Value> {
    Json(workloads::view(&stage.cluster))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioName {
    scenario: String,
}

/// The measure of a scenario over the last two minutes, for the chart.
async fn series(State(stage): State<Arc<Stage>>, Query(query): Query<ScenarioName>) -> Response {
    let index = match stage.index(&query.scenario) {
        Ok(index) => index,
        Err(error) => return refused(StatusCode::NOT_FOUND, &error.to_string()),
    };
    // Whole seconds, so that the noise of a point does not flicker from one look to the next.
    let end = now_seconds().floor();
    let expr = &stage.scenarios[index].measure.expr;
    match stage.prometheus.range(expr, end - CHART_SECONDS, end, CHART_STEP_SECONDS) {
        Ok(mut all) if !all.is_empty() => Json(json!({"points": all.swap_remove(0).1})).into_response(),
        Ok(_) => Json(json!({"points": []})).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn play(State(stage): State<Arc<Stage>>, Json(order): Json<ScenarioName>) -> Response {
    done(stage.play(&order.scenario))
}

async fn end(State(stage): State<Arc<Stage>>, Json(order): Json<ScenarioName>) -> Response {
    done(stage.end(&order.scenario))
}

fn done(result: Result<(), PlayError>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error @ PlayError::Unknown { .. }) => refused(StatusCode::NOT_FOUND, &error.to_string()),
        Err(error @ PlayError::Running(_)) => refused(StatusCode::CONFLICT, &error.to_string()),
    }
}

fn refused(status: StatusCode, problem: &str) -> Response {
    (status, Json(json!({"problem": problem}))).into_response()
}

async fn product(
    State(stage): State<Arc<Stage>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(product) = lock(&stage.product).clone() else {
        return refused(StatusCode::BAD_GATEWAY, "the responder is not connected yet");
    };
    let Some(url) = product_url(&product, &path, query.as_deref()) else {
        return refused(StatusCode::NOT_FOUND, "only api/v1 of the responder is shown here");
    };
    let mut request = stage.client.get(url);
    if let Some(token) = &product.viewer_token {
        request = request.bearer_auth(token);
    }
    let Ok(response) = request.send().await else {
        return refused(StatusCode::BAD_GATEWAY, "the responder does not answer");
    };
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    match bounded(response).await {
        // Always JSON, whatever the product said it was: this origin shows no foreign pages.
        Some(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        None => refused(StatusCode::BAD_GATEWAY, "the responder's answer broke off or was too long"),
    }
}

/// The product's URL for a path of its API; nothing for any other path.
fn product_url(product: &Product, path: &str, query: Option<&str>) -> Option<String> {
    let plain = path.starts_with("api/v1/") && !path.split('/').any(|part| matches!(part, "" | "." | ".."));
    let encoded =
        path.split('/').map(|part| crate::sandbox::form::encode(part, crate::sandbox::form::Spaces::Percent));
    let path = encoded.collect::<Vec<_>>().join("/");
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    plain.then(|| format!("{}/{path}{query}", product.base_url))
}

async fn bounded(mut response: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_PRODUCT_BYTES {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}
