//! `POST /webhooks/alertmanager`: Alertmanager's webhook, version 4.

use super::{note, store};
use crate::clients::alertmanager;
use crate::engine::ports::Source;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;
use std::time::Instant;

/// Longest part of a refused alert's reason that is logged.
const LOGGED_REFUSALS_MAX: usize = 5;

/// Checks and stores one webhook.
///
/// # Errors
/// 400 where nothing of it can be read, 503 where it cannot be stored for now.
pub async fn receive(State(services): State<Services>, body: Bytes) -> Result<StatusCode, Problem> {
    let began = Instant::now();
    let result = take(&services, body).await;
    note(&services, Source::Alertmanager, began, &result);
    result
}

async fn take(services: &Services, body: Bytes) -> Result<StatusCode, Problem> {
    let alerts = read(&body)?;
    store(services, Source::Alertmanager, body).await?;
    services.meter.alerts(alerts as u64);
    Ok(StatusCode::OK)
}

/// How many alerts of a body can be read.
fn read(body: &[u8]) -> Result<usize, Problem> {
    let payload = alertmanager::parse(body).map_err(|error| {
        tracing::warn!(error = %error, "a webhook was refused: it is no Alertmanager payload");
        Problem::bad_request(error.to_string())
    })?;
    for refused in payload.refused.iter().take(LOGGED_REFUSALS_MAX) {
        tracing::warn!(error = %refused, "an alert was refused; the others of its webhook are kept");
    }
    if payload.is_garbage() {
        let first = payload.refused.first().map(ToString::to_string).unwrap_or_default();
        return Err(Problem::bad_request(format!("no alert of this webhook can be read: {first}")));
    }
    Ok(payload.alerts.len())
}
