//! Conversations: channels and direct messages, who is written to, and what stands in them.
//!
//! A message to a member's id goes into the direct conversation of the app with them; reading there takes scopes of its
//! own (references of `chat.postMessage`, `conversations.open` and `conversations.history`). Stricter than Slack, because
//! nothing is published: a message to somebody who has left is `channel_not_found`, as to somebody who never was.

use std::cmp::Ordering as Order;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::Shared;
use super::api::{Args, Refusal, refuse};
use super::workspace::{Channel, Message, Workspace};

/// Messages in one answer of `conversations.history` and `.replies`, as the most and where none is asked for.
const MAX_PAGE: u64 = 999;
const DEFAULT_PAGE: u64 = 100;

impl Shared {
    /// Whom a message is for: a channel by id or name, or a member by their id.
    pub(super) fn addressed(&self, workspace: &mut Workspace, named: &str) -> Result<Channel, Refusal> {
        let found = workspace.channel_by_any_name(named).cloned();
        let member = match &found {
            Some(Channel { member: None, .. }) | None => named,
            Some(Channel { member: Some(member), .. }) => member.as_str(),
        };
        let member = self.options.users.iter().find(|user| user.id == member);
        match (found, member) {
            (Some(channel), None) => Ok(channel),
            (_, Some(member)) if member.deleted => refuse("channel_not_found"),
            (_, Some(_)) if !self.messages_tab.load(Ordering::Relaxed) => refuse("messages_tab_disabled"),
            (_, Some(member)) => Ok(workspace.open_direct(member)),
            (None, None) => refuse("channel_not_found"),
        }
    }

    /// `conversations.open`, for one member.
    pub(super) fn open_conversation(&self, args: Args<'_>) -> Result<Value, Refusal> {
        let Some(id) = args.string("users")? else { return refuse("users_list_not_supplied") };
        match self.options.users.iter().find(|user| user.id == id) {
            None => refuse("user_not_found"),
            Some(user) if user.deleted => refuse("user_disabled"),
            Some(user) => {
                let direct = self.workspace().open_direct(user);
                Ok(json!({ "ok": true, "channel": { "id": direct.id } }))
            }
        }
    }

    /// `conversations.list` and `users.conversations`.
    pub(super) fn channels(
        &self,
        args: Args<'_>,
        wanted: impl Fn(&Channel) -> bool,
    ) -> Result<Value, Refusal> {
        let types = args.string("types")?.unwrap_or("public_channel");
        let with_archived = !args.flag("exclude_archived");
        let workspace = self.workspace();
        let is_wanted = |channel: &&Channel| {
            let kind = if channel.member.is_some() { "im" } else { "public_channel" };
            types.split(',').any(|one| one.trim() == kind)
                && (with_archived || !channel.archived)
                && wanted(channel)
        };
        let channels: Vec<Value> = workspace.channels().filter(is_wanted).map(Channel::shown).collect();
        Ok(json!({"ok": true, "channels": channels, "response_metadata": {"next_cursor": ""}}))
    }

    pub(super) fn channel_info(&self, args: Args<'_>) -> Result<Value, Refusal> {
        let id = args.required("channel")?;
        let workspace = self.workspace();
        let Some(channel) = workspace.channel(id) else { return refuse("channel_not_found") };
        Ok(json!({"ok": true, "channel": channel.shown()}))
    }

    /// `conversations.history` and `.replies`, a page at a time. A cursor is the `ts` of the last message that was shown.
    pub(super) fn read_messages(&self, args: Args<'_>, thread: bool) -> Result<Value, Refusal> {
        let id = args.required("channel")?;
        self.needs(if id.starts_with('D') { "im:history" } else { "channels:history" })?;
        let root = if thread { Some(args.required("ts")?) } else { None };
        let with_metadata = args.flag("include_all_metadata");
        let (oldest, latest) = (args.string("oldest")?.unwrap_or("0"), args.string("latest")?);
        let cursor = args.string("cursor")?.filter(|cursor| !cursor.is_empty());
        let limit =
            usize::try_from(args.number("limit").unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)).unwrap_or(1);
        let workspace = self.workspace();
        let Some(channel) = workspace.channel(id) else { return refuse("channel_not_found") };
        if !channel.bot_is_member {
            return refuse("not_in_channel");
        }
        if root.is_some_and(|root| workspace.message(id, root).is_none()) {
            return refuse("thread_not_found");
        }
        if cursor.is_some_and(|cursor| workspace.message(id, cursor).is_none()) {
            return refuse("invalid_cursor");
        }
        // History reads backwards from now, a thread forwards from its root.
        let onwards = if thread { Order::Greater } else { Order::Less };
        let wanted = |message: &&Message| {
            let in_place = match root {
                Some(root) => message.ts == root || message.thread_ts.as_deref() == Some(root),
                None => message.thread_ts.is_none(),
            };
            // Timestamps of one length compare as text; the seconds have had ten digits since 2001.
            in_place
                && message.only_for.is_none()
                && message.ts.as_str() > oldest
                && latest.is_none_or(|latest| message.ts.as_str() < latest)
                && cursor.is_none_or(|cursor| message.ts.as_str().cmp(cursor) == onwards)
        };
        let mut messages: Vec<_> = workspace.messages(id).filter(wanted).collect();
        if !thread {
            messages.reverse();
        }
        let more = messages.len() > limit;
        messages.truncate(limit);
        let next = messages.last().filter(|_| more).map_or("", |last| last.ts.as_str());
        let page: Vec<_> =
            messages.iter().map(|message| message.as_api(&self.options.app_id, with_metadata)).collect();
        let next = json!({ "next_cursor": next });
        Ok(json!({"ok": true, "messages": page, "has_more": more, "response_metadata": next}))
    }
}
