//! All routes on one page.
//!
//! Three doors: receivers (each with its own credentials), the API (bearer tokens with roles), and what anybody on
//! the network may ask (health, metrics). Bodies are let in by the caller's middleware; handlers see them whole.

use super::api;
use super::auth::{ApiAuth, ReceiverAuth, require_credentials, require_principal};
use super::body::{BodyGate, gate_bodies};
use super::health;
use super::receive::{alertmanager, slack};
use super::services::Services;
use axum::Router;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderValue, header};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// Who may pass which door.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Alertmanager's.
    pub alertmanager: Arc<ReceiverAuth>,
    /// The API's.
    pub api: Arc<ApiAuth>,
    /// Lets bodies in.
    pub bodies: BodyGate,
}

/// The whole service.
pub fn router(services: Services, doors: Doors) -> Router {
    let alertmanager_door = from_fn_with_state(doors.alertmanager, require_credentials);
    let api_door = from_fn_with_state(doors.api, require_principal);
    let receivers = Router::new()
        .route("/webhooks/alertmanager", post(alertmanager::receive).route_layer(alertmanager_door))
        // Slack signs its requests instead of showing credentials; the handler checks before it reads.
        .route("/webhooks/slack", post(slack::receive));
    let api = Router::new()
        .route("/api/v1/incidents", get(api::incidents::list))
        .route("/api/v1/incidents/{id}", get(api::incidents::show))
        .route("/api/v1/incidents/{id}/acknowledge", post(api::incidents::acknowledge))
        .route("/api/v1/incidents/{id}/resolve", post(api::incidents::resolve))
        .route("/api/v1/incidents/{id}/tasks/{task}/done", post(api::incidents::task_done))
        .route("/api/v1/actions", get(api::actions::list))
        .route("/api/v1/actions/{id}/approve", post(api::actions::approve))
        .route("/api/v1/actions/{id}/reject", post(api::actions::reject))
        .route("/api/v1/pause", get(api::pause::show).put(api::pause::change))
        .route("/-/reload", post(health::reload))
        .route_layer(api_door);
    let open = Router::new()
        .route("/api/openapi.json", get(api::openapi))
        .route("/health", get(health::alive))
        .route("/-/healthy", get(health::alive))
        .route("/ready", get(health::ready))
        .route("/-/ready", get(health::ready))
        .route("/metrics", get(health::metrics));
    receivers
        .merge(api)
        .merge(open)
        .fallback(health::not_found)
        .layer(from_fn_with_state(doors.bodies, gate_bodies))
        .layer(CatchPanicLayer::custom(health::panicked))
        .layer(map_response(harden))
        .with_state(services)
}

/// No answer of ours is a page to be framed, sniffed or cached.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
