//! Reads what Slack posts when somebody presses a button or sends a form off.
//!
//! The body is a form with one field, `payload`, whose value is JSON. Only what a decision needs is read, and
//! the rest is skipped: an interaction echoes the whole message, and a click must not be lost because of a
//! block or an attachment of a kind that is not known here. The signature must have been checked before.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// Actions in one interaction; Slack sends one for a button.
pub const ACTIONS_MAX: usize = 25;

/// What Slack told us.
#[derive(Debug)]
pub enum Interaction {
    /// A press on a button, or a choice in a menu.
    BlockActions(BlockActions),
    /// A modal was sent off.
    ViewSubmission(ViewSubmission),
    /// Another kind of interaction, such as a shortcut or a closed modal.
    Other {
        /// Slack's name of it.
        kind: String,
    },
}

/// Somebody used the interactive parts of a message.
#[derive(Debug)]
pub struct BlockActions {
    /// The workspace; compare with the settings.
    pub team_id: Option<String>,
    /// The app that the message belongs to; compare with the settings.
    pub app_id: Option<String>,
    /// The channel's id; absent in a modal.
    pub channel_id: Option<String>,
    /// Who it was: the id is what may be trusted, names can be chosen freely.
    pub user_id: String,
    /// The workspace that the person belongs to. In a channel that is shared by Slack Connect it is another one than
    /// that of the message.
    pub user_team_id: Option<String>,
    /// The person's handle, for display.
    pub user_name: Option<String>,
    /// The message's `ts`; absent in a modal.
    pub message_ts: Option<String>,
    /// Whether the message is visible to that person only; such a message cannot be updated.
    pub is_ephemeral: bool,
    /// Opens a modal within three seconds, once.
    pub trigger_id: Option<String>,
    /// Lets anyone who knows it write into the channel, so it is treated as a secret. It is not called: the
    /// URL comes from the request, and a request is not who decides where we connect to.
    pub response_url: Option<SecretString>,
    /// The text of the message beside its blocks, as we sent it; absent in a modal.
    pub message_text: Option<String>,
    /// What was pressed or chosen; at least one.
    pub actions: Vec<Action>,
}

/// Somebody sent a modal off.
#[derive(Debug)]
pub struct ViewSubmission {
    /// The workspace; compare with the settings.
    pub team_id: Option<String>,
    /// The app that the modal belongs to; compare with the settings.
    pub app_id: Option<String>,
    /// Who it was.
    pub user_id: String,
    /// The workspace that the person belongs to.
    pub user_team_id: Option<String>,
    /// What the modal is for, as we named it when we opened it.
    pub callback_id: String,
    /// What we gave the modal when we opened it. A signature says that Slack sent it, and no more: it is read as
    /// carefully as the value of a button.
    pub private_metadata: String,
    /// What was written, by the `action_id` of the field. Fields that were left empty are not there.
    pub texts: BTreeMap<String, String>,
}

/// One interactive element and what was done with it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Action {
    /// The element's id within the message, which says what the press means.
    pub action_id: String,
    /// The block that the element is in.
    #[serde(default)]
    pub block_id: Option<String>,
    /// The value that we gave the element when we sent the message.
    #[serde(default)]
    pub value: Option<String>,
    /// The kind of element, such as `button`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// What was chosen, for a menu.
    #[serde(default)]
    pub selected_option: Option<Choice>,
    /// When it was pressed, in Slack's form of seconds and a counter.
    #[serde(default)]
    pub action_ts: Option<String>,
}

/// An entry of a menu.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Choice {
    /// The value that we gave it when we sent the message.
    pub value: String,
}

/// Why a body is not an interaction.
#[derive(Debug, Error)]
pub enum InteractionError {
    /// Not a form with exactly one `payload`.
    #[error("the body is not a form with one `payload` field")]
    Form,
    /// The payload is not JSON, or lacks what every interaction has.
    #[error("the payload is not an interaction: {0}")]
    Payload(#[from] serde_json::Error),
    /// A modal without what every modal has.
    #[error("view_submission without a view")]
    View,
    /// Block actions without an action, or with more than Slack ever sends.
    #[error("block_actions with {0} actions; one to 25 are expected")]
    Actions(usize),
    /// Nobody pressed the button.
    #[error("an interaction without a user")]
    User,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    team: Option<Id>,
    #[serde(default)]
    api_app_id: Option<String>,
    #[serde(default)]
    channel: Option<Id>,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    container: Option<Container>,
    #[serde(default)]
    trigger_id: Option<String>,
    #[serde(default)]
    response_url: Option<SecretString>,
    #[serde(default)]
    actions: Vec<Action>,
    #[serde(default)]
    message: Option<EchoedMessage>,
    #[serde(default)]
    view: Option<View>,
}

#[derive(Deserialize)]
struct EchoedMessage {
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
struct View {
    #[serde(default)]
    callback_id: String,
    #[serde(default)]
    private_metadata: String,
    #[serde(default)]
    state: ViewState,
}

/// By the `block_id` of the block, then by the `action_id` of the field in it.
#[derive(Deserialize, Default)]
struct ViewState {
    #[serde(default)]
    values: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    team_id: Option<String>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    message_ts: Option<String>,
    #[serde(default)]
    channel_id: Option<String>,
    #[serde(default)]
    is_ephemeral: bool,
}

/// Reads the raw form body of a request to the interactivity URL.
///
/// # Errors
/// Says what is missing; the payload's own text is not repeated.
pub fn parse_interaction(form: &[u8]) -> Result<Interaction, InteractionError> {
    let mut payloads = form_urlencoded::parse(form).filter(|(name, _)| name == "payload");
    let (Some((_, json)), None) = (payloads.next(), payloads.next()) else {
        return Err(InteractionError::Form);
    };
    let Kind { kind } = serde_json::from_str(&json)?;
    if kind == "view_submission" {
        return Ok(Interaction::ViewSubmission(view_submission(serde_json::from_str(&json)?)?));
    }
    if kind != "block_actions" {
        return Ok(Interaction::Other { kind });
    }
    let payload: Payload = serde_json::from_str(&json)?;
    let count = payload.actions.len();
    if count == 0 || count > ACTIONS_MAX {
        return Err(InteractionError::Actions(count));
    }
    Ok(Interaction::BlockActions(block_actions(payload)?))
}

fn view_submission(payload: Payload) -> Result<ViewSubmission, InteractionError> {
    let user = payload.user.ok_or(InteractionError::User)?;
    let View { callback_id, private_metadata, state } = payload.view.ok_or(InteractionError::View)?;
    let fields = state.values.into_values().flatten();
    let texts = fields.filter_map(|(id, field)| Some((id, field.get("value")?.as_str()?.to_owned())));
    Ok(ViewSubmission {
        team_id: payload.team.map(|team| team.id).or_else(|| user.team_id.clone()),
        app_id: payload.api_app_id,
        user_id: user.id,
        user_team_id: user.team_id,
        callback_id,
        private_metadata,
        texts: texts.collect(),
    })
}

fn block_actions(payload: Payload) -> Result<BlockActions, InteractionError> {
    let user = payload.user.ok_or(InteractionError::User)?;
    let (message_ts, container_channel, is_ephemeral) = match payload.container {
        Some(container) => (container.message_ts, container.channel_id, container.is_ephemeral),
        None => (None, None, false),
    };
    Ok(BlockActions {
        // Apps installed for a whole organisation get `team: null`; the person's team stands in.
        team_id: payload.team.map(|team| team.id).or_else(|| user.team_id.clone()),
        app_id: payload.api_app_id,
        channel_id: payload.channel.map(|channel| channel.id).or(container_channel),
        user_id: user.id,
        user_team_id: user.team_id,
        user_name: user.username.or(user.name),
        message_ts,
        is_ephemeral,
        trigger_id: payload.trigger_id,
        response_url: payload.response_url,
        message_text: payload.message.and_then(|message| message.text),
        actions: payload.actions,
    })
}
