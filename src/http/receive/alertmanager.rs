//! `POST /webhooks/alertmanager`: Alertmanager's webhook, version 4.

use super::store;
use crate::clients::alertmanager;
use crate::engine::ports::Source;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;

/// Checks and stores one webhook.
///
/// # Errors
/// 400 where nothing of it can be read, 503 where it cannot be stored for now.
#[utoipa::path(post, path = "/webhooks/alertmanager",
    request_body(content_type = "application/json", description = "Alertmanager's webhook, version 4."),
    responses((status = 200, description = "Stored."), (status = 400, body = Problem, description = "Nothing of it can be read."),
        (status = 401, body = Problem), (status = 413, body = Problem),
        (status = 503, body = Problem, description = "Anything temporary: send it again.")))]
pub async fn receive(State(services): State<Services>, body: Bytes) -> Result<StatusCode, Problem> {
    let read = read(&body)?;
    store(&services, Source::Alertmanager, body).await?;
    read.count(&services);
    Ok(StatusCode::OK)
}

/// How many alerts of a body can be read, and how many cannot.
pub(super) struct Read {
    kept: usize,
    refused: usize,
}

impl Read {
    /// Counts what was stored.
    pub(super) fn count(&self, services: &Services) {
        services.meter.alerts(self.kept as u64);
        services.meter.alerts_refused(self.refused as u64);
    }
}

pub(super) fn read(body: &[u8]) -> Result<Read, Problem> {
    let payload = alertmanager::parse(body).map_err(|error| {
        tracing::warn!(error = %error, "a webhook was refused: it is no payload of alerts");
        Problem::bad_request(error.to_string())
    })?;
    let read = Read { kept: payload.alerts.len(), refused: payload.refused.len() };
    let Some(first) = payload.refused.first() else { return Ok(read) };
    // One line however many there are: a flood of bad alerts must not become a flood of lines.
    tracing::warn!(
        alerts.refused = read.refused,
        alerts.kept = read.kept,
        error = %first,
        "alerts of a webhook could not be read, here the first of them; the others are kept"
    );
    if payload.is_garbage() {
        return Err(Problem::bad_request(format!("no alert of this webhook can be read: {first}")));
    }
    Ok(read)
}
