//! `POST /webhooks/slack`: clicks on our buttons, forms, slash commands and events, signed by Slack.
//!
//! The signature is checked over the raw body before anything is read. Slack waits three seconds for the answer, and people
//! less: it comes after one commit, and beside the form that a press may open. What the click means is worked out after it
//! is stored. What comes over Socket Mode ([`socket`]) goes the same way
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
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::time::Duration;

/// Size of one interaction. It carries the message with its blocks, which is some 100 kB when it is encoded.
pub const INTERACTION_BYTES_MAX: usize = 1024 * 1024;
/// Size of all interactions in memory at once. Their senders are strangers until the signature is checked, so they
/// have memory of their own and cannot take that of Alertmanager.
pub const INTERACTIONS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long the answer to a press waits for the form that it opens. Most are open by then, and one that Slack refuses is
/// stored before the press is answered; people see half a second.
const FORM_WAIT: Duration = Duration::from_millis(250);

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
    if !matches!(read, Interaction::BlockActions(_)) {
        return store(services, Source::Slack, body).await;
    }
    match (services.slack_desk.ask_why)(&body) {
        Some(opening) => {
            let services = services.clone();
            beside(opening, async move { store(&services, Source::Slack, body).await }).await
        }
        None => {
            store(services, Source::Slack, body.clone()).await?;
            // Nobody waits for it: the press is judged by what is stored.
            tokio::spawn((services.slack_desk.tell_stray)(body));
            Ok(())
        }
    }
}

/// A press that opens a form has not been meant yet; the form, sent off, is stored like a press. Where it does not open the
/// press is stored as it is: before it is answered where that is known by then, and else after. Whoever's process is killed
/// in between sees that nothing happened, and presses again.
///
/// # Errors
/// 503 where it cannot be stored.
async fn beside(
    opening: BoxFuture<'static, bool>,
    storing: impl Future<Output = Result<(), Problem>> + Send + 'static,
) -> Result<(), Problem> {
    // The trigger for a form is good for three seconds, so nothing slow may come before.
    let mut opening = tokio::spawn(opening);
    match tokio::time::timeout(FORM_WAIT, &mut opening).await {
        Ok(Ok(true)) => Ok(()),
        Ok(_) => storing.await,
        Err(_) => {
            tokio::spawn(async move {
                let is_open = opening.await.unwrap_or(false);
                if !is_open && storing.await.is_err() {
                    tracing::error!("a press whose form did not open could not be stored: it does not count");
                }
            });
            Ok(())
        }
    }
}

/// A payload as a form, which is how it is posted and stored.
fn form_of(payload: &str) -> Bytes {
    form_urlencoded::Serializer::new(String::new()).append_pair("payload", payload).finish().into()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_press_does_not_wait_for_a_form_that_opens_slowly() {
        let (opened, opening) = oneshot::channel();
        let (stored, storing) = oneshot::channel();
        let store = async move { stored.send(()).map_err(|()| Problem::unavailable("nobody waits")) };
        let answer = beside(opening.map(|open| open == Ok(true)).boxed(), store);
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
        assert!(matches!(answer, Ok(Ok(()))), "answered while the form is not open");
        // It does not open: the press counts without it.
        opened.send(false).expect("still waited for");
        storing.await.expect("stored after all");
    }

    #[tokio::test(start_paused = true)]
    async fn a_press_whose_form_is_refused_at_once_is_answered_once_it_is_stored() {
        let refused = || std::future::ready(false).boxed();
        let full = async { Err(Problem::unavailable("the store is full")) };
        assert!(beside(refused(), full).await.is_err(), "Slack says that it did not work");
        assert!(beside(refused(), async { Ok(()) }).await.is_ok());
        let never = async { panic!("a press whose form is open is not stored") };
        assert!(beside(std::future::ready(true).boxed(), never).await.is_ok());
    }
}
