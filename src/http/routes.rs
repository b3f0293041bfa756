//! All routes on one page.
//!
//! Three doors: receivers (each with its own credentials), the API with the page of an incident (bearer tokens with
//! roles), and what anybody on the network may ask (health, metrics). Credentials come first and bodies second, so that a stranger's body takes
//! no memory from a sender's; handlers see bodies whole.

use super::api;
use super::auth::{ApiAuth, ReceiverAuth, require_credentials, require_principal};
use super::body::{BodyGate, gate_bodies};
use super::health;
use super::meter::{Receiving, count_deliveries};
use super::page::{self, PageDoor};
use super::receive::grafana::{self, GrafanaDoor};
use super::receive::{alertmanager, pagerduty, slack};
use super::services::Services;
use crate::engine::ports::Source;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{HeaderValue, header};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// Who may pass which door.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Alertmanager's.
    pub alertmanager: Arc<ReceiverAuth>,
    /// Grafana's, where it is set up.
    pub grafana: Option<GrafanaDoor>,
    /// The API's.
    pub api: Arc<ApiAuth>,
    /// Lets bodies in whose senders have shown credentials.
    pub bodies: BodyGate,
    /// Lets bodies in that carry their own proof, which is looked at when they are there.
    pub signed_bodies: BodyGate,
}

/// The whole service.
pub fn router(services: Services, doors: Doors) -> Router {
    let counted = |source: Source| {
        let receiving = Receiving { meter: services.meter.clone(), receiver: source.as_str() };
        from_fn_with_state(receiving, count_deliveries)
    };
    let gate = from_fn_with_state(doors.bodies, gate_bodies);
    let signed_gate = from_fn_with_state(doors.signed_bodies, gate_bodies);
    let alertmanager_door = from_fn_with_state(doors.alertmanager, require_credentials);
    let door = PageDoor { auth: Arc::clone(&doors.api), services: services.clone() };
    let page_door = from_fn_with_state(door.clone(), page::require_reader);
    let api_door = from_fn_with_state(doors.api, require_principal);
    // Of the layers of a route, the last one is passed first.
    let alertmanager = post(alertmanager::receive)
        .route_layer(gate.clone())
        .route_layer(alertmanager_door)
        .route_layer(counted(Source::Alertmanager));
    // Slack signs its requests instead of showing credentials; the handler checks before it reads.
    let pagerduty =
        post(pagerduty::receive).route_layer(signed_gate.clone()).route_layer(counted(Source::PagerDuty));
    let slack = post(slack::receive).route_layer(signed_gate.clone()).route_layer(counted(Source::Slack));
    let grafana = match doors.grafana {
        None => post(grafana::closed).put(grafana::closed),
        Some(door) => {
            // Whoever shows nothing before the body must not take the memory of those who do.
            let gate = if door.shows_credentials { gate.clone() } else { signed_gate.clone() };
            let grafana_door = from_fn_with_state(Arc::clone(&door.auth), require_credentials);
            post(grafana::receive)
                .put(grafana::receive)
                .route_layer(Extension(door))
                .route_layer(gate)
                .route_layer(grafana_door)
                .route_layer(counted(Source::Grafana))
        }
    };
    let receivers = Router::new()
        .route("/webhooks/alertmanager", alertmanager)
        .route("/webhooks/grafana", grafana)
        .route("/webhooks/pagerduty", pagerduty)
        .route("/webhooks/slack", slack);
    let api = Router::new()
        .route("/api/v1/incidents", get(api::incidents::list))
        .route("/api/v1/incidents/{id}", get(api::incidents::show))
        .route("/api/v1/incidents/{id}/postmortem", get(api::incidents::postmortem))
        .route("/api/v1/incidents/{id}/acknowledge", post(api::incidents::acknowledge))
        .route("/api/v1/incidents/{id}/take-over", post(api::incidents::take_over))
        .route("/api/v1/incidents/{id}/escalate", post(api::incidents::escalate))
        .route("/api/v1/incidents/{id}/silence", post(api::incidents::silence))
        .route("/api/v1/incidents/{id}/unsilence", post(api::incidents::unsilence))
        .route("/api/v1/incidents/{id}/resolve", post(api::incidents::resolve))
        .route("/api/v1/incidents/{id}/tasks/{task}/done", post(api::incidents::task_done))
        .route("/api/v1/actions", get(api::actions::list))
        .route("/api/v1/actions/{id}/approve", post(api::actions::approve))
        .route("/api/v1/actions/{id}/reject", post(api::actions::reject))
        .route("/api/v1/temporary", get(api::temporary::list))
        .route("/api/v1/oncall", get(api::oncall::show))
        .route("/api/v1/checks", get(api::checks::list))
        .route("/api/v1/checks/{name}/run", post(api::checks::run))
        .route("/api/v1/shadow", get(api::shadow::report))
        .route("/api/v1/pause", get(api::pause::show).put(api::pause::change))
        .route("/-/reload", post(health::reload))
        .route_layer(gate)
        .route_layer(api_door);
    let pages = Router::new().route("/incidents/{id}", get(page::incident)).route_layer(page_door);
    // A form brings the token that it is let in by.
    let signing = Router::new()
        .route("/sign-in", post(page::sign_in))
        .route("/sign-out", post(page::sign_out))
        .route_layer(signed_gate)
        .with_state(door);
    let open = Router::new()
        .route("/api/openapi.json", get(api::openapi))
        .route("/health", get(health::alive))
        .route("/-/healthy", get(health::alive))
        .route("/ready", get(health::ready))
        .route("/-/ready", get(health::ready))
        .route("/metrics", get(health::metrics));
    receivers
        .merge(api)
        .merge(pages)
        .merge(open)
        .with_state(services)
        .merge(signing)
        .fallback(health::not_found)
        .method_not_allowed_fallback(health::wrong_method)
        // The gates hold the limits of the settings; the framework's own would refuse what they let in.
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(health::panicked))
        .layer(map_response(harden))
}

/// No answer of ours is a page to be framed, sniffed or cached.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
