//! `POST /webhooks/slack`: clicks on our buttons, forms, slash commands and events, signed by Slack.
//!
//! The signature is checked over the raw body before anything is read. Slack waits three seconds for the answer;
//! what the click means is worked out after it is stored. What comes over Socket Mode ([`socket`]) goes the same way
//! from there on.

pub mod meter;
pub mod socket;

use super::store;
use crate::clients::slack::command;
use crate::clients::slack::event::{Sent, parse_event};
use crate::clients::slack::interaction::{Interaction, parse_interaction};
use crate::clients::slack::signature::verify_signature;
use crate::engine::ports::Source;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
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
    request_body(content_type = "application/x-www-form-urlencoded", description = "A signed interaction or slash command of Slack's; an event is JSON."),
    responses((status = 200, description = "Stored; to a slash command the answer."), (status = 400, body = Problem),
        (status = 401, body = Problem, description = "The signature is missing, wrong or old."),
        (status = 404, body = Problem, description = "Slack is not set up."), (status = 413, body = Problem),
        (status = 503, body = Problem)))]
pub async fn receive(
    State(services): State<Services>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
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
    let shown = if body.first() == Some(&b'{') {
        match event(&services, &body)? {
            Some(challenge) => return Ok(challenge.into_response()),
            None => None,
        }
    } else if command::is_command(&body) {
        let asked = command::parse_form(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
        Some((services.slack_desk.command)(asked).await)
    } else {
        interaction(&services, body).await?;
        None
    };
    Ok(shown.map_or_else(|| StatusCode::OK.into_response(), |shown| Json(shown).into_response()))
}

/// Takes in what the Events API sent; returns what it asks to hear, where it only asks whose address this is.
///
/// # Errors
/// 400 for a body that is no event.
fn event(services: &Services, body: &[u8]) -> Result<Option<String>, Problem> {
    match parse_event(body).map_err(|error| Problem::bad_request(error.to_string()))? {
        Sent::Challenge(challenge) => return Ok(Some(challenge)),
        Sent::HomeOpened(opened) => {
            // Nobody waits for it, and what is not shown now is shown when the tab is opened again.
            tokio::spawn((services.slack_desk.open_home)(opened));
        }
        Sent::Other => {}
    }
    Ok(None)
}

/// Carries out a slash command that came as JSON; returns what is to be shown.
///
/// # Errors
/// 400 for what is no slash command.
async fn command_of(services: &Services, payload: &str) -> Result<Option<Value>, Problem> {
    let asked = command::parse_payload(payload).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(Some((services.slack_desk.command)(asked).await))
}

/// Takes in one interaction, whichever way it came.
///
/// # Errors
/// 400 for a body that is no interaction, 503 where it cannot be stored.
async fn interaction(services: &Services, body: Bytes) -> Result<(), Problem> {
    let read = parse_interaction(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
    // A press that opens a form has not been meant yet; the form, sent off, is stored like a press. The trigger for it is
    // good for three seconds, so nothing slow may come before.
    if matches!(read, Interaction::BlockActions(_)) && (services.slack_desk.ask_why)(body.clone()).await {
        return Ok(());
    }
    store(services, Source::Slack, body).await
}

/// A payload as a form, which is how it is posted and stored.
fn form_of(payload: &str) -> Bytes {
    form_urlencoded::Serializer::new(String::new()).append_pair("payload", payload).finish().into()
}
