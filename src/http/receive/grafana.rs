//! `POST` and `PUT /webhooks/grafana`: alerts that Grafana manages itself.
//!
//! Their shape is Alertmanager's. Grafana does not send again what was not stored, so a sender that matters should be
//! set up with Alertmanager in between.

use super::{alertmanager, store};
use crate::clients::grafana::verify_signature;
use crate::clients::signing::Keys;
use crate::engine::ports::Source;
use crate::http::auth::ReceiverAuth;
use crate::http::problem::Problem;
use crate::http::services::Services;
use crate::secret::SecretSet;
use axum::Extension;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use std::sync::Arc;

/// The door of Grafana's webhooks.
#[derive(Debug, Clone)]
pub struct GrafanaDoor {
    /// Who may come in by a credential.
    pub auth: Arc<ReceiverAuth>,
    /// Whether senders are known before their body is read; otherwise they are strangers until its signature is checked.
    pub shows_credentials: bool,
    /// The signature that a body must carry.
    pub hmac: Option<Arc<GrafanaHmac>>,
}

/// A signature that bodies must carry.
#[derive(Debug)]
pub struct GrafanaHmac {
    /// One secret, or two while it is being changed.
    pub secrets: SecretSet,
    /// The header of the signature.
    pub header: String,
    /// The header of the timestamp that is signed as well.
    pub timestamp_header: Option<String>,
}

impl GrafanaHmac {
    fn check(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Problem> {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let secrets: Vec<_> = self.secrets.current().collect();
        let keys = Keys::new(&secrets).ok_or_else(Problem::unauthorized)?;
        let timestamp = self.timestamp_header.as_deref().map(value);
        verify_signature(&keys, timestamp, body, value(&self.header), now).map_err(|error| {
            tracing::warn!(%error, "a webhook of Grafana's was refused");
            Problem::unauthorized()
        })
    }
}

/// Checks and stores one webhook.
///
/// # Errors
/// 401 for a wrong, missing or old signature, 400 where nothing of it can be read, 503 where it cannot be stored for now.
#[utoipa::path(post, path = "/webhooks/grafana",
    request_body(content_type = "application/json", description = "Grafana's webhook, version 1. PUT does the same."),
    responses((status = 200, description = "Stored."), (status = 400, body = Problem, description = "Nothing of it can be read."),
        (status = 401, body = Problem), (status = 404, body = Problem, description = "`receivers.grafana` is not set up."),
        (status = 413, body = Problem),
        (status = 503, body = Problem, description = "Anything temporary. Grafana does not send it again by itself.")))]
pub async fn receive(
    State(services): State<Services>,
    Extension(door): Extension<GrafanaDoor>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    if let Some(hmac) = &door.hmac {
        hmac.check(&headers, &body, services.clock.now())?;
    }
    let read = alertmanager::read(&body)?;
    store(&services, Source::Grafana, body).await?;
    read.count(&services);
    Ok(StatusCode::OK)
}

/// Says what is missing where nobody set it up.
///
/// # Errors
/// Always 404.
pub async fn closed() -> Result<StatusCode, Problem> {
    Err(Problem::not_found("Grafana is not set up: `receivers.grafana` is missing in the settings"))
}
