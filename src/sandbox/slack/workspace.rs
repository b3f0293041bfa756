//! The workspace as a value: channels, people, messages, and the order in which they came.
//!
//! It knows nothing of HTTP. It must never give two messages of a channel the same `ts`: products use
//! channel and `ts` as the identity of a message, and so does Slack.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// Messages kept in a channel; older ones are forgotten.
const MAX_MESSAGES_PER_CHANNEL: usize = 5_000;

/// `chat.postMessage` cuts the text after so many characters (published in 2018, still so).
pub const TEXT_CUT_CHARS: usize = 40_000;

/// A channel of the simulated workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// The encoded id, such as `C0INCIDENTS`.
    pub id: String,
    /// The name without `#`.
    pub name: String,
    /// Whether the app was invited; without, posting gives `not_in_channel`.
    pub bot_is_member: bool,
    /// Archived channels answer `is_archived`.
    pub archived: bool,
    /// The member of a direct conversation with the app; none for a channel.
    pub member: Option<String>,
}

impl Channel {
    /// An ordinary channel that the app is a member of.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), bot_is_member: true, archived: false, member: None }
    }

    /// The direct conversation of the app with a member.
    #[must_use]
    pub fn direct(member: &User) -> Self {
        let id = format!("D{}", &member.id[1..]);
        Self { member: Some(member.id.clone()), ..Self::new(id, member.name.clone()) }
    }

    /// The channel as lists and single answers show it.
    pub(super) fn shown(&self) -> Value {
        if let Some(member) = &self.member {
            return json!({ "id": self.id, "is_im": true, "user": member, "is_archived": self.archived });
        }
        json!({
            "id": self.id, "name": self.name, "is_channel": true, "is_private": false,
            "is_archived": self.archived, "is_member": self.bot_is_member,
        })
    }
}

/// A person of the simulated workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// The encoded id, such as `U0UNA`.
    pub id: String,
    /// The handle.
    pub name: String,
    /// The full name.
    pub real_name: String,
    /// The mail address: the handle at `example.com`.
    pub email: String,
    /// What the person is in the story.
    pub title: String,
    /// Whether they have left.
    pub deleted: bool,
    /// Whether they are a guest of the workspace, of some channels or of one.
    pub is_guest: bool,
    /// The workspace that they belong to, where it is another one: they see shared channels only.
    pub other_team: Option<String>,
}

impl User {
    /// A person; `title` is what the person is in the story.
    #[must_use]
    pub fn new(id: &str, name: &str, real_name: &str, title: &str) -> Self {
        let email = format!("{name}@example.com");
        Self {
            id: id.into(),
            name: name.into(),
            real_name: real_name.into(),
            email,
            title: title.into(),
            deleted: false,
            is_guest: false,
            other_team: None,
        }
    }
}

/// A message as the channel shows it now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// The channel's id.
    pub channel: String,
    /// `seconds.microseconds`; with the channel, the identity of the message.
    pub ts: String,
    /// The `ts` of the message whose thread this belongs to.
    pub thread_ts: Option<String>,
    /// The bot user that posted it.
    pub user: String,
    /// The person who alone sees it, for an ephemeral message.
    pub only_for: Option<String>,
    /// The top-level text: what a notification shows.
    pub text: String,
    /// The blocks as sent.
    pub blocks: Vec<Value>,
    /// `{event_type, event_payload}` as sent.
    pub metadata: Option<Value>,
    /// How often it was edited.
    pub edits: u32,
    /// When it was posted.
    pub posted_at: Timestamp,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
}

impl Message {
    /// The message as Slack's API shows it. Metadata only where it was asked for.
    #[must_use]
    pub fn as_api(&self, app_id: &str, with_metadata: bool) -> Value {
        let mut message = json!({
            "type": "message", "user": self.user, "ts": self.ts, "text": self.text, "app_id": app_id,
            "bot_id": format!("B{}", &self.user[1..]), "blocks": self.blocks,
        });
        if let Some(thread_ts) = &self.thread_ts {
            message["thread_ts"] = json!(thread_ts);
        }
        if let (true, Some(metadata)) = (with_metadata, &self.metadata) {
            message["metadata"] = metadata.clone();
        }
        message
    }
}

/// What a new message is made of.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The top-level text, uncut.
    pub text: String,
    /// Checked blocks.
    pub blocks: Vec<Value>,
    /// The parent's `ts`.
    pub thread_ts: Option<String>,
    /// Metadata.
    pub metadata: Option<Value>,
    /// The person who alone sees it.
    pub only_for: Option<String>,
}

/// What an edit changes. `None` keeps what was there.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// The new text.
    pub text: Option<String>,
    /// The new blocks.
    pub blocks: Option<Vec<Value>>,
    /// The new metadata.
    pub metadata: Option<Value>,
}

/// All channels with their messages.
#[derive(Debug)]
pub struct Workspace {
    channels: Vec<(Channel, VecDeque<Message>)>,
    last_ts_us: i64,
    version: u64,
}

impl Workspace {
    /// A workspace with empty channels.
    #[must_use]
    pub fn new(channels: Vec<Channel>) -> Self {
        let channels = channels.into_iter().map(|channel| (channel, VecDeque::new())).collect();
        Self { channels, last_ts_us: 0, version: 0 }
    }

    /// Grows with every change; a page asks for news after the version it has.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Something beside the messages changed that the page shows.
    pub fn touch(&mut self) {
        self.version += 1;
    }

    /// Every channel, in the order given at the start.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter().map(|(channel, _)| channel)
    }

    /// The channel with this id.
    #[must_use]
    pub fn channel(&self, id: &str) -> Option<&Channel> {
        self.channels().find(|channel| channel.id == id)
    }

    /// The channel with this id or this name, with or without `#`, or the direct conversation with the member of this id:
    /// `chat.postMessage` takes all of these.
    #[must_use]
    pub fn channel_by_any_name(&self, name: &str) -> Option<&Channel> {
        let bare = name.strip_prefix('#').unwrap_or(name);
        self.channels().find(|channel| match &channel.member {
            Some(member) => channel.id == name || member == name,
            None => channel.id == name || channel.name == bare,
        })
    }

    /// Opens a direct conversation, where there is none with this member yet.
    pub fn open_direct(&mut self, member: &User) -> Channel {
        let direct = Channel::direct(member);
        if self.channel(&direct.id).is_none() {
            self.channels.push((direct.clone(), VecDeque::new()));
            self.version += 1;
        }
        direct
    }

    /// The channel's messages, replies included, oldest first.
    pub fn messages(&self, channel: &str) -> impl Iterator<Item = &Message> {
        self.channels.iter().filter(move |(known, _)| known.id == channel).flat_map(|(_, messages)| messages)
    }

    /// The message with this identity.
    #[must_use]
    pub fn message(&self, channel: &str, ts: &str) -> Option<&Message> {
        self.messages(channel).find(|message| message.ts == ts)
    }

    /// Adds a message, cutting its text, and returns it. Nothing where the channel does not exist.
    pub fn post(&mut self, channel: &str, user: &str, draft: Draft, now: Timestamp) -> Option<Message> {
        // Strictly growing even where the clock stands still or goes back.
        let ts_us = now.as_microsecond().max(self.last_ts_us + 1);
        let message = Message {
            channel: channel.to_owned(),
            ts: format!("{}.{:06}", ts_us / 1_000_000, ts_us % 1_000_000),
            thread_ts: draft.thread_ts,
            user: user.to_owned(),
            only_for: draft.only_for,
            text: cut(&draft.text),
            blocks: with_block_ids(draft.blocks, ts_us),
            metadata: draft.metadata,
            edits: 0,
            posted_at: now,
            edited_at: None,
        };
        let (_, messages) = self.channels.iter_mut().find(|(known, _)| known.id == channel)?;
        if messages.len() == MAX_MESSAGES_PER_CHANNEL {
            messages.pop_front();
        }
        messages.push_back(message.clone());
        self.last_ts_us = ts_us;
        self.version += 1;
        Some(message)
    }

    /// Edits a message and returns it. Nothing where it does not exist.
    ///
    /// New text without new blocks removes the old blocks; nothing new keeps them (reference of `chat.update`).
    pub fn update(&mut self, channel: &str, ts: &str, edit: Edit, now: Timestamp) -> Option<Message> {
        let (_, messages) = self.channels.iter_mut().find(|(known, _)| known.id == channel)?;
        let message = messages.iter_mut().find(|message| message.ts == ts && message.only_for.is_none())?;
        match (edit.blocks, &edit.text) {
            (Some(blocks), _) => message.blocks = with_block_ids(blocks, now.as_microsecond()),
            (None, Some(_)) => message.blocks.clear(),
            (None, None) => {}
        }
        if let Some(text) = edit.text {
            message.text = cut(&text);
        }
        match edit.metadata {
            Some(Value::Object(fields)) if fields.is_empty() => message.metadata = None,
            Some(metadata) => message.metadata = Some(metadata),
            None => {}
        }
        message.edits += 1;
        message.edited_at = Some(now);
        self.version += 1;
        Some(message.clone())
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CUT_CHARS).collect()
}

/// Slack gives every block without a `block_id` one of its own, a new one at each edit.
fn with_block_ids(mut blocks: Vec<Value>, salt: i64) -> Vec<Value> {
    for (index, block) in blocks.iter_mut().enumerate() {
        if let Some(fields) = block.as_object_mut() {
            fields.entry("block_id").or_insert_with(|| json!(format!("b{:x}{index}", salt % 0x0010_0000)));
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_workspace() -> Workspace {
        Workspace::new(vec![Channel::new("C1", "incidents"), Channel::new("C2", "leads")])
    }

    fn mk_draft(text: &str) -> Draft {
        Draft { text: text.into(), ..Draft::default() }
    }

    #[test]
    fn messages_of_one_instant_get_growing_timestamps() {
        let mut workspace = mk_workspace();
        let now = Timestamp::from_second(1_800_000_000).expect("in range");
        let ts: Vec<_> =
            (0..3).map(|_| workspace.post("C1", "U1", mk_draft("x"), now).expect("posted").ts).collect();
        assert_eq!(ts, ["1800000000.000000", "1800000000.000001", "1800000000.000002"]);
        let earlier = Timestamp::from_second(1_700_000_000).expect("in range");
        let late = workspace.post("C2", "U1", mk_draft("x"), earlier).expect("posted").ts;
        assert_eq!(late, "1800000000.000003");
    }

    #[test]
    fn an_edit_keeps_identity_and_place_and_counts() {
        let mut workspace = mk_workspace();
        let now = Timestamp::now();
        let blocks = vec![json!({"type": "divider"})];
        let draft = Draft { blocks, metadata: Some(json!({"event_type": "e"})), ..mk_draft("one") };
        let ts = workspace.post("C1", "U1", draft, now).expect("posted").ts;
        workspace.post("C1", "U1", mk_draft("two"), now);
        let kept = workspace.update("C1", &ts, Edit::default(), now).expect("edited");
        assert_eq!((kept.blocks.len(), kept.metadata.is_some(), kept.edits), (1, true, 1));
        let edit = Edit { text: Some("new".into()), metadata: Some(json!({})), ..Edit::default() };
        let removed = workspace.update("C1", &ts, edit, now).expect("edited");
        assert_eq!((removed.blocks.len(), removed.metadata, removed.edits), (0, None, 2));
        let texts: Vec<_> = workspace.messages("C1").map(|message| message.text.as_str()).collect();
        assert_eq!(texts, ["new", "two"]);
        assert!(workspace.update("C2", &ts, Edit::default(), now).is_none(), "other channel, other message");
    }

    #[test]
    fn long_text_is_cut_at_forty_thousand_characters_not_bytes() {
        let mut workspace = mk_workspace();
        let posted =
            workspace.post("C1", "U1", mk_draft(&"ü".repeat(50_000)), Timestamp::now()).expect("posted");
        assert_eq!(posted.text.chars().count(), TEXT_CUT_CHARS);
    }

    #[test]
    fn a_channel_is_found_by_id_and_by_name() {
        let workspace = mk_workspace();
        for name in ["C1", "incidents", "#incidents"] {
            assert_eq!(
                workspace.channel_by_any_name(name).map(|channel| channel.id.as_str()),
                Some("C1"),
                "{name}"
            );
        }
        assert!(workspace.channel("#incidents").is_none() && workspace.channel_by_any_name("#C1").is_none());
    }
}
