//! `POST /webhooks/pagerduty`: what people did in PagerDuty, signed by it.
//!
//! PagerDuty waits five seconds, repeats on 429 and 5xx for two days, and gives up on any other status; a subscription
//! whose events are refused three times in a row is switched off for a day. So only what is forged is refused; what says
//! nothing to us is taken, and so is what is signed and cannot be read.

use super::store;
use crate::clients::pagerduty::webhook::{SIGNATURE_HEADER, is_signed, parse};
use crate::clients::signing::Keys;
use crate::engine::ports::Source;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// Checks and stores one webhook.
///
/// # Errors
/// 401 for a wrong or missing signature, 503 where it cannot be stored for now.
#[utoipa::path(post, path = "/webhooks/pagerduty",
    request_body(content_type = "application/json", description = "A signed webhook of PagerDuty's, version 3."),
    responses((status = 200, description = "Stored, or nothing that concerns an incident here."),
        (status = 401, body = Problem, description = "The signature is missing or wrong."),
        (status = 404, body = Problem, description = "No `pagerduty.webhook_secret` is set up."),
        (status = 413, body = Problem), (status = 503, body = Problem)))]
pub async fn receive(
    State(services): State<Services>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let secrets: Vec<_> = services.pagerduty_secrets.current().collect();
    if secrets.is_empty() {
        return Err(Problem::not_found(
            "PagerDuty's webhooks are not set up: `pagerduty.webhook_secret` is missing in the settings",
        ));
    }
    let signatures = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_genuine = Keys::any_of(&secrets).is_some_and(|keys| is_signed(&keys, &body, signatures));
    if !is_genuine {
        tracing::warn!("a webhook of PagerDuty's was refused: its signature does not match");
        return Err(Problem::unauthorized());
    }
    match parse(&body) {
        Ok(Some(_)) => store(&services, Source::PagerDuty, body).await?,
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "a signed webhook of PagerDuty's says nothing"),
    }
    Ok(StatusCode::OK)
}
