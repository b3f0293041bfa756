//! A person presses a button: the `block_actions` payload, its signature, its delivery, and ways to cheat.
//!
//! Shape: the `block_actions` payload reference and the fixtures of Slack's Bolt for Python. Signature: `v0=` and the
//! hexadecimal HMAC-SHA256 of `v0:TIMESTAMP:BODY` (docs.slack.dev, "Verifying requests from Slack"). Slack shows an
//! error when 200 does not come within three seconds, and sends an interaction only once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ring::hmac;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Message, Shared, SlackSandbox, User};
use crate::sandbox::form::{Spaces, encode};

/// Slack waits so long for 200 before it tells the person that it did not work.
pub const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(3);

/// How much of a receiver's answer is kept.
const MAX_ANSWER_CHARS: usize = 16_000;

/// Why a click could not even be sent.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ClickError {
    /// The message, button, menu, option or user is not there.
    #[error("no {what} {name:?} in channel {channel:?}")]
    NotThere {
        /// `message`, `button`, `static_select`, `option` or `user`.
        what: &'static str,
        /// What was looked for.
        name: String,
        /// Where.
        channel: String,
    },
    /// No interactivity URL is configured.
    #[error("the sandbox does not know where to send interactions; set the interactivity URL first")]
    NoUrl,
}

/// A signed interaction, ready to send. Sending the same one twice is a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedInteraction {
    /// `X-Slack-Request-Timestamp`; `None` leaves the header out.
    pub timestamp: Option<String>,
    /// `X-Slack-Signature`; `None` leaves the header out.
    pub signature: Option<String>,
    /// The body: a form, or JSON for an event.
    pub body: String,
    /// What it is called over Socket Mode: `interactive`, `slash_commands` or `events_api`.
    pub kind: &'static str,
    /// What the click was, for the record.
    pub about: Click,
}

/// Who pressed what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Click {
    /// The channel's id.
    pub channel: String,
    /// The message's `ts`.
    pub message_ts: String,
    /// The button's `action_id`.
    pub action_id: String,
    /// The button's `value`.
    pub value: Option<String>,
    /// The user's id.
    pub user: String,
}

/// One delivered interaction with the receiver's answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interaction {
    /// What was sent.
    pub sent: SignedInteraction,
    /// The receiver's HTTP status; `None` where no answer came in time.
    pub status: Option<u16>,
    /// The beginning of the receiver's body.
    pub answer: String,
    /// Milliseconds from sending to the answer, or to giving up.
    pub latency_ms: u64,
    /// What the person sees: `None` is success.
    pub problem: Option<String>,
}

/// `v0=` and the signature of `body` at `timestamp` under `secret`.
#[must_use]
pub fn sign(secret: &str, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{timestamp}:{body}").as_bytes());
    format!("v0={}", hex::encode(tag))
}

impl SignedInteraction {
    pub(super) fn new(secret: &str, body: String, about: Click) -> Self {
        let timestamp = Timestamp::now().as_second().to_string();
        let signature = Some(sign(secret, &timestamp, &body));
        Self { timestamp: Some(timestamp), signature, body, kind: "interactive", about }
    }

    /// The same, as another kind of thing that Slack sends.
    pub(super) fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// The same click signed under another secret: a forgery, or the other secret of a rotation.
    #[must_use]
    pub fn signed_with(mut self, secret: &str) -> Self {
        self.signature = self.timestamp.as_deref().map(|timestamp| sign(secret, timestamp, &self.body));
        self
    }

    /// The same click, properly signed under `secret`, but at a time `seconds` away from now (negative: past).
    #[must_use]
    pub fn signed_at_offset(mut self, secret: &str, seconds: i64) -> Self {
        self.timestamp = Some((Timestamp::now().as_second() + seconds).to_string());
        self.signed_with(secret)
    }

    /// The same signature over another body: `change` edits the payload after signing.
    #[must_use]
    pub fn tampered(mut self, change: impl FnOnce(&mut Value)) -> Self {
        self.body = with_changed_payload(&self.body, change);
        self
    }

    /// Another payload, properly signed under `secret`: what Slack itself could send.
    #[must_use]
    pub fn with_payload(mut self, secret: &str, change: impl FnOnce(&mut Value)) -> Self {
        self.body = with_changed_payload(&self.body, change);
        self.signed_with(secret)
    }

    /// The same click without a signature.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.signature = None;
        self
    }

    /// The payload inside the body.
    #[must_use]
    pub fn payload(&self) -> Value {
        match self.kind {
            "interactive" => payload_of(&self.body),
            "slash_commands" => json!(
                crate::sandbox::form::decode(&self.body).into_iter().collect::<BTreeMap<String, String>>()
            ),
            _ => serde_json::from_str(&self.body).unwrap_or(Value::Null),
        }
    }
}

fn payload_of(body: &str) -> Value {
    let fields = crate::sandbox::form::decode(body);
    let payload =
        fields.into_iter().find(|(key, _)| key == "payload").map(|(_, value)| value).unwrap_or_default();
    serde_json::from_str(&payload).unwrap_or(Value::Null)
}

fn with_changed_payload(body: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut payload = payload_of(body);
    change(&mut payload);
    payload_form(&payload)
}

/// A payload as the form that Slack posts.
pub(super) fn payload_form(payload: &Value) -> String {
    format!("payload={}", encode(&payload.to_string(), Spaces::Plus))
}

impl SlackSandbox {
    /// Prepares a genuine click on the button `action_id` of a message, without sending it.
    ///
    /// # Errors
    /// [`ClickError::NotThere`] where message, button or user do not exist.
    pub fn prepare_click(
        &self,
        channel: &str,
        message_ts: &str,
        action_id: &str,
        user: &str,
    ) -> Result<SignedInteraction, ClickError> {
        self.shared.prepare_click(channel, message_ts, action_id, user)
    }

    /// Presses a button as a user, waits for the receiver's answer and records both.
    ///
    /// # Errors
    /// [`ClickError`] where there is nothing to press or nowhere to send it. A refusal by the receiver is not an
    /// error: it stands in [`Interaction::status`].
    pub async fn click(
        &self,
        channel: &str,
        message_ts: &str,
        action_id: &str,
        user: &str,
    ) -> Result<Interaction, ClickError> {
        self.shared.deliver(&self.prepare_click(channel, message_ts, action_id, user)?).await
    }

    /// Chooses the option with this value in a menu, as a user, waits for the receiver's answer and records both.
    ///
    /// # Errors
    /// As [`Self::click`].
    pub async fn choose(
        &self,
        channel: &str,
        message_ts: &str,
        action_id: &str,
        value: &str,
        user: &str,
    ) -> Result<Interaction, ClickError> {
        let prepared = self.shared.prepare_choice(channel, message_ts, action_id, value, user)?;
        self.shared.deliver(&prepared).await
    }

    /// Sends a prepared interaction as it is, records it and returns the receiver's answer.
    ///
    /// # Errors
    /// [`ClickError::NoUrl`] before [`SlackSandbox::set_interactivity_url`].
    pub async fn deliver(&self, interaction: &SignedInteraction) -> Result<Interaction, ClickError> {
        self.shared.deliver(interaction).await
    }
}

impl Shared {
    pub(super) fn prepare_click(
        &self,
        channel: &str,
        message_ts: &str,
        action_id: &str,
        user: &str,
    ) -> Result<SignedInteraction, ClickError> {
        let element = self.element(channel, message_ts, "button", action_id)?;
        self.prepare(channel, message_ts, &element, user)
    }

    /// The same for an option of a menu.
    pub(super) fn prepare_choice(
        &self,
        channel: &str,
        message_ts: &str,
        action_id: &str,
        value: &str,
        user: &str,
    ) -> Result<SignedInteraction, ClickError> {
        let menu = self.element(channel, message_ts, "static_select", action_id)?;
        let mut options = menu["options"].as_array().into_iter().flatten();
        let chosen = options.find(|option| option["value"] == value).cloned();
        let chosen = chosen.ok_or_else(|| missing("option", value, channel))?;
        let action = json!({
            "type": "static_select", "action_id": action_id, "block_id": menu["block_id"],
            "placeholder": menu["placeholder"], "selected_option": chosen,
        });
        self.prepare(channel, message_ts, &action, user)
    }

    fn element(
        &self,
        channel: &str,
        message_ts: &str,
        kind: &'static str,
        action_id: &str,
    ) -> Result<Value, ClickError> {
        let message = self.workspace().message(channel, message_ts).cloned();
        let message = message.ok_or_else(|| missing("message", message_ts, channel))?;
        element(&message, kind, action_id).ok_or_else(|| missing(kind, action_id, channel))
    }

    fn prepare(
        &self,
        channel: &str,
        message_ts: &str,
        element: &Value,
        user: &str,
    ) -> Result<SignedInteraction, ClickError> {
        let message = self.workspace().message(channel, message_ts).cloned();
        let message = message.ok_or_else(|| missing("message", message_ts, channel))?;
        let user = self.user(user).ok_or_else(|| missing("user", user, channel))?;
        let payload = self.click_payload(&message, element, user);
        let value = element["value"].as_str().or(element["selected_option"]["value"].as_str());
        let about = Click {
            channel: channel.to_owned(),
            message_ts: message_ts.to_owned(),
            action_id: element["action_id"].as_str().unwrap_or_default().to_owned(),
            value: value.map(str::to_owned),
            user: user.id.clone(),
        };
        let body = payload_form(&payload);
        Ok(SignedInteraction::new(&self.options.signing_secret, body, about))
    }

    pub(super) async fn deliver(&self, interaction: &SignedInteraction) -> Result<Interaction, ClickError> {
        if self.sockets.is_enabled() {
            return Ok(self.deliver_by_socket(interaction).await);
        }
        let url = self.interactivity_url().ok_or(ClickError::NoUrl)?;
        let content_type = match interaction.kind {
            "events_api" => "application/json",
            _ => "application/x-www-form-urlencoded",
        };
        let mut request = self
            .client
            .post(url)
            .header("content-type", content_type)
            .header("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
            .timeout(ACKNOWLEDGE_WITHIN);
        if let Some(timestamp) = &interaction.timestamp {
            request = request.header("x-slack-request-timestamp", timestamp);
        }
        if let Some(signature) = &interaction.signature {
            request = request.header("x-slack-signature", signature);
        }
        let started = Instant::now();
        let answered = request.body(interaction.body.clone()).send().await;
        let (status, answer, problem) = match answered {
            Ok(response) => {
                let status = response.status();
                let text = response.text().await.unwrap_or_default();
                let problem = (!status.is_success()).then(|| format!("the app answered {status}"));
                (Some(status.as_u16()), text.chars().take(MAX_ANSWER_CHARS).collect(), problem)
            }
            Err(error) if error.is_timeout() => {
                (None, String::new(), Some("the app did not answer within 3 seconds".to_owned()))
            }
            Err(_) => (None, String::new(), Some("the app could not be reached".to_owned())),
        };
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let done = Interaction { sent: interaction.clone(), status, answer, latency_ms, problem };
        self.interactions.push(done.clone());
        Ok(done)
    }

    async fn deliver_by_socket(&self, interaction: &SignedInteraction) -> Interaction {
        let started = Instant::now();
        let (kind, payload) = (interaction.kind, interaction.payload());
        let answered = self.sockets.deliver(kind, &payload, kind == "slash_commands").await;
        let problem = answered.is_none().then(|| "the app did not acknowledge it".to_owned());
        let done = Interaction {
            sent: interaction.clone(),
            status: answered.is_some().then_some(200),
            answer: answered.filter(|answer| !answer.is_null()).map(|it| it.to_string()).unwrap_or_default(),
            latency_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            problem,
        };
        self.interactions.push(done.clone());
        done
    }

    fn click_payload(&self, message: &Message, button: &Value, user: &User) -> Value {
        let options = &self.options;
        let channel_name = self.workspace().channel(&message.channel).map(|channel| channel.name.clone());
        let now = Timestamp::now();
        let mut container = json!({
            "type": "message", "message_ts": message.ts, "channel_id": message.channel, "is_ephemeral": false,
        });
        if let Some(thread_ts) = &message.thread_ts {
            container["thread_ts"] = json!(thread_ts);
        }
        let mut action = button.clone();
        action["action_ts"] = json!(format!("{}.{:06}", now.as_second(), now.subsec_microsecond()));
        json!({
            "type": "block_actions",
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": options.team_id},
            "api_app_id": options.app_id,
            "token": options.verification_token,
            "container": container,
            "trigger_id": self.new_trigger(&user.id),
            "team": {"id": options.team_id, "domain": options.team_domain},
            "enterprise": null,
            "is_enterprise_install": false,
            "channel": {"id": message.channel, "name": channel_name},
            "message": message.as_api(&options.app_id, false),
            "state": {"values": {}},
            "response_url": self.new_response_url(),
            "actions": [action],
        })
    }
}

fn missing(what: &'static str, name: &str, channel: &str) -> ClickError {
    ClickError::NotThere { what, name: name.into(), channel: channel.into() }
}

/// The element of a message with this `action_id`, with the `block_id` of its block, as an action shows it.
fn element(message: &Message, kind: &str, action_id: &str) -> Option<Value> {
    message.blocks.iter().find_map(|block| {
        let accessory = block.get("accessory").into_iter();
        let elements = block.get("elements").and_then(Value::as_array).into_iter().flatten();
        let found = accessory
            .chain(elements)
            .find(|element| element["type"] == kind && element["action_id"].as_str() == Some(action_id))?;
        let mut action = found.clone();
        action["block_id"] = block["block_id"].clone();
        Some(action)
    })
}
