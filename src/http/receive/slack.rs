//! `POST /webhooks/slack`: clicks on our buttons, signed by Slack.
//!
//! The signature is checked over the raw body before anything is read. Slack waits three seconds for the answer;
//! what the click means is worked out after it is stored. What comes over Socket Mode ([`socket`]) goes the same way
//! from there on.

pub mod meter;
pub mod socket;

use super::store;
use crate::clients::slack::interaction::{Interaction, parse_interaction};
use crate::clients::slack::signature::verify_signature;
use crate::engine::ports::Source;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// Size of one interaction. It carries the message with its blocks, which is some 100 kB when it is encoded.
pub const INTERACTION_BYTES_MAX: usize = 1024 * 1024;
/// Size of all interactions in memory at once. Their senders are strangers until the signature is checked, so they
/// have memory of their own and cannot take that of Alertmanager.
pub const INTERACTIONS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Checks and stores one interaction.
///
/// # Errors
/// 401 for a wrong, missing or old signature, 400 for a body that is no interaction, 503 where it cannot be stored.
#[utoipa::path(post, path = "/webhooks/slack",
    request_body(content_type = "application/x-www-form-urlencoded", description = "A signed interaction of Slack's."),
    responses((status = 200, description = "Stored."), (status = 400, body = Problem),
        (status = 401, body = Problem, description = "The signature is missing, wrong or old."),
        (status = 404, body = Problem, description = "Slack is not set up."), (status = 413, body = Problem),
        (status = 503, body = Problem)))]
pub async fn receive(
    State(services): State<Services>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let Some(secrets) = services.signing_secrets() else {
        return Err(Problem::not_found(
            "Slack is not set up: `slack.signing_secret` is missing in the settings",
        ));
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    verify_signature(
        &secrets,
        header("x-slack-request-timestamp"),
        &body,
        header("x-slack-signature"),
        services.clock.now(),
    )
    .map_err(|error| {
        tracing::warn!(error = %error, "an interaction was refused");
        Problem::unauthorized()
    })?;
    interaction(&services, body).await?;
    Ok(StatusCode::OK)
}

/// Takes in one interaction, whichever way it came; returns what is to be shown at once, if anything.
///
/// # Errors
/// As [`receive`], without what concerns the signature.
async fn interaction(services: &Services, body: Bytes) -> Result<Option<Value>, Problem> {
    let read = parse_interaction(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
    // A press that opens a form has not been meant yet; the form, sent off, is stored like a press. The trigger for it is
    // good for three seconds, so nothing slow may come before.
    if matches!(read, Interaction::BlockActions(_)) && (services.ask_why)(body.clone()).await {
        return Ok(None);
    }
    store(services, Source::Slack, body).await?;
    Ok(None)
}

/// A payload as a form, which is how it is posted and stored.
fn form_of(payload: &str) -> Bytes {
    form_urlencoded::Serializer::new(String::new()).append_pair("payload", payload).finish().into()
}
