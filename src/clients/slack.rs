//! Slack's Web API, as far as one message an incident needs it, and what Slack sends back.
//!
//! Requests and sessions are `slack-morphism`'s, sent through our own connector ([`connector`]); why, stands in
//! `docs/decisions/0001-slack-client.md`. Blocks are raw JSON and pass through unchanged. Every answer goes
//! through one table ([`table`]). Incoming interactions are checked in [`signature`] and read in
//! [`interaction`], slash commands in [`command`] and events in [`event`], or they come over the connections of [`socket`]. What a message says, and what a click does, is
//! decided elsewhere. Which channel is meant, and what stands in it, is asked in [`conversations`].

pub mod command;
mod connector;
mod conversations;
pub mod event;
pub mod files;
pub mod inspect;
pub mod interaction;
pub mod people;
pub mod scopes;
pub mod signature;
pub mod socket;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use governor::Quota;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slack_morphism::prelude::{
    SlackApiChatPostMessageRequest, SlackApiChatUpdateRequest, SlackApiToken, SlackBlock,
    SlackMessageContent, SlackMessageMetadata,
};

use super::answer::{Repeat, SendError};
use super::http::{HttpClient, HttpError, HttpRequest, Method, StatusCode, Url};
use super::pace::Pacer;
use connector::Connector;

/// Where Slack's Web API lives.
pub const API_URL: &str = "https://slack.com/api";

/// Where the `response_url`s of the real Slack lie.
const RESPONSE_HOST: &str = "hooks.slack.com";

/// Messages that may leave for one channel at once. Slack allows about one a second for each channel and
/// tolerates short bursts.
const CHANNEL_BURST: NonZeroU32 = NonZeroU32::new(3).expect("not zero");

/// Edits a minute for the whole workspace: `chat.update` is in Slack's tier 3, "50 and more a minute".
const UPDATES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(50).expect("not zero");

/// Edits that may leave at once.
const UPDATES_BURST: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// Error codes that blame the message and not the channel or the token: a plainer message may pass.
pub const MESSAGE_FAULTS: [&str; 7] = [
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_too_long",
    "msg_blocks_too_long",
    "markdown_text_conflict",
    "invalid_metadata_format",
    "invalid_metadata_schema",
];

/// A message to post, or the new state of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The fallback that notifications and screen readers show; never empty.
    pub text: String,
    /// A JSON array of Block Kit blocks, sent as it is.
    pub blocks: Option<Value>,
    /// The `ts` of the message whose thread this one belongs to; an update does not use it.
    pub thread_ts: Option<String>,
    /// Whether a message in a thread is shown in the channel as well; an update does not use it.
    pub broadcast: bool,
    /// Marks the message as ours, so that it can be found again after an ambiguous send.
    pub metadata: Option<Metadata>,
}

/// Message metadata: readable by our app and not shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What kind of message it is.
    pub event_type: String,
    /// Identifiers; Slack limits the whole to 64 kB.
    pub payload: BTreeMap<String, String>,
}

/// Where a message stands: the pair that `chat.update` and thread replies need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The channel's id, also where the request named the channel.
    pub channel: String,
    /// The message's timestamp, which is its id within the channel.
    pub ts: String,
}

/// Whom a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The workspace's id.
    pub team_id: String,
    /// The workspace's name.
    pub team: String,
    /// The bot user's id.
    pub user_id: String,
    /// The bot's id.
    pub bot_id: String,
}

/// A Slack workspace, seen through one bot token.
#[derive(Debug)]
pub struct SlackClient {
    api: slack_morphism::SlackClient<Connector>,
    http: HttpClient,
    base: Url,
    bot_token: SecretString,
    posts: Pacer,
    updates: Pacer,
}

/// The part of an answer that is read: nothing in it is required, because a message that was posted must not
/// look like a failure only since an echo of it has an unexpected shape.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MessageAnswer {
    channel: Option<String>,
    ts: Option<String>,
}

/// An answer of which nothing is needed but that it is one.
#[derive(Deserialize)]
struct Ignored {}

/// What `apps.connections.open` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConnectionAnswer {
    url: Option<SecretString>,
}

/// `chat.update` with an argument that the library's type does not have.
#[derive(Serialize)]
struct UpdateRequest {
    #[serde(flatten)]
    request: SlackApiChatUpdateRequest,
    unfurl_links: bool,
}

impl SlackClient {
    /// A client for the API at `api_url` ([`API_URL`], or a stand-in).
    ///
    /// # Errors
    /// Where `api_url` is not an http or https URL, or the token is empty.
    pub fn new(http: HttpClient, api_url: &str, bot_token: SecretString) -> Result<Self, HttpError> {
        if bot_token.expose_secret().trim().is_empty() {
            return Err(HttpError::setup("the Slack bot token is empty"));
        }
        let base = Url::parse(api_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| HttpError::setup("the Slack API URL is not an http or https URL"))?;
        Ok(Self {
            api: slack_morphism::SlackClient::new(Connector::new(http.clone(), base.clone())),
            http,
            base,
            bot_token,
            posts: Pacer::new(Quota::per_second(NonZeroU32::MIN).allow_burst(CHANNEL_BURST)),
            updates: Pacer::new(Quota::per_minute(UPDATES_PER_MINUTE).allow_burst(UPDATES_BURST)),
        })
    }

    /// `chat.postMessage`.
    ///
    /// # Errors
    /// An end that leaves open whether the message stands is [`SendError::Ambiguous`].
    pub async fn post_message(&self, channel: &str, message: &Message) -> Result<Posted, SendError> {
        let content = content_of(message)?;
        self.posts.admit(channel).map_err(|wait| SendError::Paced { wait })?;
        let mut request = SlackApiChatPostMessageRequest::new(channel.into(), content);
        request.thread_ts = message.thread_ts.clone().map(Into::into);
        // Slack knows the argument for replies alone.
        request.reply_broadcast = (message.broadcast && message.thread_ts.is_some()).then_some(true);
        request.unfurl_links = Some(false);
        request.unfurl_media = Some(false);
        let answer: MessageAnswer =
            self.call("chat.postMessage", &request, Repeat::Harmful, Some(&self.posts)).await?;
        let ts = answer.ts.ok_or_else(|| SendError::Ambiguous {
            reason: "Slack took the message and did not say where it stands (no ts)".to_owned(),
        })?;
        Ok(Posted { channel: answer.channel.unwrap_or_else(|| channel.to_owned()), ts })
    }

    /// `chat.update`: replaces text and blocks of our own message. Repeating it is harmless.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn update_message(&self, channel: &str, ts: &str, message: &Message) -> Result<(), SendError> {
        let mut content = content_of(message)?;
        // Without the argument Slack would keep the old blocks above the new text.
        content.blocks.get_or_insert_default();
        self.updates.admit("chat.update").map_err(|wait| SendError::Paced { wait })?;
        let mut request = SlackApiChatUpdateRequest::new(channel.into(), content, ts.into());
        // Unlike for a post, Slack's default here would turn bare words into links and mentions.
        request.parse = Some("none".to_owned());
        let request = UpdateRequest { request, unfurl_links: false };
        let _: MessageAnswer =
            self.call("chat.update", &request, Repeat::Harmless, Some(&self.updates)).await?;
        Ok(())
    }

    /// `chat.postEphemeral`: a message that only `user` sees, and that does not last. Repeating it is harmless.
    /// `text` is mrkdwn.
    ///
    /// # Errors
    /// As the table says; never ambiguous. Somebody who is not in the channel is `user_not_in_channel`.
    pub async fn post_ephemeral(&self, channel: &str, user: &str, text: &str) -> Result<(), SendError> {
        let request = BTreeMap::from([("channel", channel), ("user", user), ("text", text)]);
        // Slack's tier 4, which presses do not reach; a limit that is met all the same holds up no message.
        let _: MessageAnswer = self.call("chat.postEphemeral", &request, Repeat::Harmless, None).await?;
        Ok(())
    }

    /// `views.open`: shows a modal to whoever got the trigger, which is good for three seconds and once.
    ///
    /// # Errors
    /// As the table says; after an ambiguous end the modal may be there.
    pub async fn open_view(&self, trigger_id: &str, view: &Value) -> Result<(), SendError> {
        let request = json!({ "trigger_id": trigger_id, "view": view });
        let _: Ignored = self.call("views.open", &request, Repeat::Harmful, None).await?;
        Ok(())
    }

    /// `views.publish`: replaces what `user` sees on the app's home tab. Repeating it is harmless.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn publish_home(&self, user: &str, view: &Value) -> Result<(), SendError> {
        let request = json!({ "user_id": user, "view": view });
        let _: Ignored = self.call("views.publish", &request, Repeat::Harmless, None).await?;
        Ok(())
    }

    /// Posts to a `response_url`. It came with a request, and a request is not who decides where we connect to: it must
    /// be Slack's, or lie where the API does.
    ///
    /// # Errors
    /// What went wrong; it is not worth a second try, since an answer may come five times.
    pub async fn respond(&self, url: &SecretString, answer: &Value) -> Result<(), SendError> {
        let elsewhere =
            || SendError::permanent("response_url", "the response_url is not an address of Slack's");
        let url = Url::parse(url.expose_secret()).map_err(|_| elsewhere())?;
        let is_slacks = url.scheme() == "https" && url.host_str() == Some(RESPONSE_HOST);
        if !is_slacks && url.origin() != self.base.origin() {
            return Err(elsewhere());
        }
        let request = HttpRequest::new(Method::POST, url)
            .body("application/json; charset=utf-8", answer.to_string().into_bytes());
        // Not the error as it is: it names the path, which is the secret.
        let failed = |reason: String| SendError::permanent("response_url", reason);
        let sent = self.http.send(request).await.map_err(|error| failed(error.reason()))?;
        if sent.status != StatusCode::OK {
            return Err(failed(format!("HTTP {}", sent.status.as_u16())));
        }
        Ok(())
    }

    /// `auth.test`: whether the token is good, and whose it is.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn auth_test(&self) -> Result<Identity, SendError> {
        let no_arguments = BTreeMap::<String, String>::new();
        self.call("auth.test", &no_arguments, Repeat::Harmless, None).await
    }

    /// `apps.connections.open`, with an app-level token: the address of one connection of Socket Mode, good once and
    /// for a short time. Whoever has it receives what people press, so it is a secret.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn open_connection(&self) -> Result<SecretString, SendError> {
        let no_arguments = BTreeMap::<String, String>::new();
        let answer: ConnectionAnswer =
            self.call("apps.connections.open", &no_arguments, Repeat::Harmless, None).await?;
        answer.url.ok_or_else(|| SendError::Retry {
            after: None,
            reason: "apps.connections.open: Slack named no address".to_owned(),
        })
    }

    /// Forgets idle channels; called now and then by whoever keeps house.
    pub fn prune(&self) {
        self.posts.prune();
        self.updates.prune();
    }

    /// Calls a method that reads forms only, and that changes nothing people see.
    async fn ask<R>(&self, method: &str, fields: &[(&str, &str)]) -> Result<R, SendError>
    where
        R: for<'de> Deserialize<'de>,
    {
        let connector = Connector::new(self.http.clone(), self.base.clone());
        let answer = connector.form(method, fields, &self.bot_token).await;
        answer.map_err(|fault| table::classify(method, fault, Repeat::Harmless))
    }

    async fn call<A, R>(
        &self,
        method: &str,
        arguments: &A,
        repeat: Repeat,
        pacer: Option<&Pacer>,
    ) -> Result<R, SendError>
    where
        A: Serialize + Send + Sync,
        R: for<'de> Deserialize<'de> + Send,
    {
        let token = SlackApiToken::new(self.bot_token.expose_secret().into());
        let session = self.api.open_session(&token);
        let outcome = session.http_session_api.http_post(method, arguments, None).await;
        outcome.map_err(|error| {
            let error = table::classify(method, connector::fault_of(error), repeat);
            // A limit holds for the method in the whole workspace, so every channel waits.
            if let (SendError::Retry { after: Some(wait), .. }, Some(pacer)) = (&error, pacer) {
                pacer.hold_all(*wait);
            }
            error
        })
    }
}

fn content_of(message: &Message) -> Result<SlackMessageContent, SendError> {
    if message.text.trim().is_empty() {
        return Err(SendError::permanent("no_text", "a message needs a text besides its blocks"));
    }
    let mut content = SlackMessageContent::new();
    content.text = Some(message.text.clone());
    content.blocks = match &message.blocks {
        None => None,
        // The variant for unmodelled blocks carries any JSON unchanged.
        Some(Value::Array(blocks)) => Some(blocks.iter().cloned().map(SlackBlock::Unknown).collect()),
        Some(_) => return Err(SendError::permanent("invalid_blocks", "blocks are not a JSON array")),
    };
    content.metadata = message.metadata.as_ref().map(|metadata| {
        let mut own = SlackMessageMetadata::new(metadata.event_type.clone());
        own.event_payload = Some(metadata.payload.clone().into_iter().collect());
        own
    });
    Ok(content)
}
