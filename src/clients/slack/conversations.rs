//! Which conversation is meant, and which message of ours stands in it.
//!
//! All methods read forms only, change nothing that people see, and need scopes that posting does not need. Posts take
//! names of channels and ids of members; what is looked at takes the id of a conversation alone.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Metadata, Posted, SlackClient};
use crate::clients::answer::SendError;

/// Messages of one page; Slack advises 200 at most.
const MESSAGES_PER_PAGE: &str = "200";
/// Pages among which our own message is looked for. A thousand messages are more than a channel takes in a quarter of an
/// hour at Slack's pace.
const MESSAGE_PAGES_MAX: usize = 5;
/// Channels of one page; Slack gives 999 at most.
const CHANNELS_PER_PAGE: &str = "999";
/// Pages among which a channel is looked for by its name. Only those count that the app was invited into.
const CHANNEL_PAGES_MAX: usize = 5;

/// What `conversations.history` and `.replies` answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct History {
    messages: Vec<PastMessage>,
    response_metadata: Option<More>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PastMessage {
    ts: Option<String>,
    metadata: Option<Value>,
}

/// What `users.conversations` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Channels {
    channels: Vec<Channel>,
    response_metadata: Option<More>,
}

/// What `conversations.open` answers.
#[derive(Debug, Deserialize)]
struct Opened {
    channel: Channel,
}

#[derive(Debug, Deserialize)]
struct Channel {
    id: String,
    #[serde(default)]
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct More {
    next_cursor: Option<String>,
}

impl SlackClient {
    /// `users.conversations`: the id of the channel of this name, with or without `#`, among those that the app is in.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn channel_named(&self, name: &str) -> Result<Option<String>, SendError> {
        let name = name.trim_start_matches('#');
        let mut cursor = String::new();
        for _ in 0..CHANNEL_PAGES_MAX {
            let fields = [
                ("types", "public_channel,private_channel"),
                ("exclude_archived", "true"),
                ("limit", CHANNELS_PER_PAGE),
                ("cursor", cursor.as_str()),
            ];
            let page: Channels = self.ask("users.conversations", &fields).await?;
            if let Some(found) = page.channels.into_iter().find(|channel| channel.name == name) {
                return Ok(Some(found.id));
            }
            match next(page.response_metadata) {
                Some(next) => cursor = next,
                None => break,
            }
        }
        Ok(None)
    }

    /// `conversations.open`: the id of the conversation in which this member gets direct messages of ours.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn direct_with(&self, member: &str) -> Result<String, SendError> {
        let opened: Opened = self.ask("conversations.open", &[("users", member)]).await?;
        Ok(opened.channel.id)
    }

    /// `conversations.history` and `.replies`: our own message whose metadata say all of this, among the newest of a channel
    /// (by id), or of the thread below `thread`, no older than `oldest`, which is in seconds.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn find_own(
        &self,
        channel: &str,
        thread: Option<&str>,
        metadata: &Metadata,
        oldest: i64,
    ) -> Result<Option<Posted>, SendError> {
        let method = if thread.is_some() { "conversations.replies" } else { "conversations.history" };
        let oldest = oldest.to_string();
        let mut cursor = String::new();
        for _ in 0..MESSAGE_PAGES_MAX {
            let mut fields = vec![
                ("channel", channel),
                ("oldest", &oldest),
                ("limit", MESSAGES_PER_PAGE),
                ("include_all_metadata", "true"),
            ];
            fields.extend(thread.map(|thread| ("ts", thread)));
            fields.extend(Some(("cursor", cursor.as_str())).filter(|(_, cursor)| !cursor.is_empty()));
            let page: History = self.ask(method, &fields).await?;
            let found = page.messages.into_iter().find(|message| message.says(metadata));
            if let Some(ts) = found.and_then(|message| message.ts) {
                return Ok(Some(Posted { channel: channel.to_owned(), ts }));
            }
            match next(page.response_metadata) {
                Some(next) => cursor = next,
                None => break,
            }
        }
        Ok(None)
    }
}

impl PastMessage {
    /// Whether its metadata say all that is wanted; they may say more.
    fn says(&self, wanted: &Metadata) -> bool {
        self.metadata.as_ref().is_some_and(|found| {
            found["event_type"] == wanted.event_type
                && wanted.payload.iter().all(|(key, value)| found["event_payload"][key] == json!(value))
        })
    }
}

fn next(more: Option<More>) -> Option<String> {
    more?.next_cursor.filter(|next| !next.is_empty())
}
