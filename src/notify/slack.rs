//! Slack: one message an incident and channel, edited as the incident goes, with a thread below it.
//!
//! The message is found again by the channel id and timestamp that the engine keeps; where Slack no longer knows it, a
//! new one is posted. What a message says is drawn in `card` and `reply`, what a button carries is in [`button`],
//! and what a press means is read in [`click`]. What has to be answered at once is answered at the [`desk`]. What may have been
//! posted by a try whose end nobody knows is looked for in [`trace`].

mod blocks;
pub mod button;
pub mod card;
mod checkup;
pub mod click;
pub mod desk;
pub mod directory;
mod drawn;
mod files;
mod guests;
mod home;
mod markup;
mod modal;
mod order;
mod reason;
mod reply;
mod trace;

pub(super) use drawn::drawn;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::chart::Painter;
use crate::clients::answer::SendError;
use crate::clients::http::{HttpClient, HttpError};
use crate::clients::slack::people::Account;
use crate::clients::slack::{MESSAGE_FAULTS, Message, Posted, SlackClient};
use crate::domain::notification::{Destination, MessageRef, Notice};
use crate::domain::redact::Redactor;
use crate::domain::scheduled::CheckReport;
use crate::engine::ports::{Delivered, IncidentView, Sending};
use crate::secret::{Keyring, Secret};
use card::{Card, Frame};
use reply::Reply;
use trace::{Go, Tries, card_mark, message_of, report_mark};

/// How long a reply waits before it asks again for the card that it belongs below.
const CARD_WAIT: Duration = Duration::from_secs(2);
/// How long after the incident's last change a reply still waits for a card. A card that was not posted by then was
/// refused; what is said then stands alone rather than be lost, or hold back what waits behind it.
const CARD_WAIT_MAX: SignedDuration = SignedDuration::from_secs(60);
/// Channels whose ids are remembered. Real installations have dozens.
const CHANNELS_MAX: usize = 1_024;

/// Errors of `chat.update` after which the message is posted anew: it is gone, too old to be edited, or its channel is.
const POST_ANEW: [&str; 4] =
    ["message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"];

/// What the notifier needs to know.
#[derive(Debug, Clone)]
pub struct SlackOptions {
    /// Base address of the Web API.
    pub api_url: String,
    /// The bot token; a changed one is used from the next message on.
    pub bot_token: Secret,
    /// Where people reach our pages from outside.
    pub external_url: Option<String>,
    /// Where people reach Alertmanager's pages.
    pub alertmanager_url: Option<String>,
}

/// Tells Slack channels.
#[derive(Debug)]
pub struct SlackNotifier {
    options: SlackOptions,
    http: HttpClient,
    keyring: Keyring,
    live: Mutex<Live>,
    /// Ids of channels by the names that rules use, so that posts by name and by id share one pace.
    channels: Mutex<HashMap<String, String>>,
    painter: Painter,
    tries: Tries,
}

/// The client with the token that it was built for.
#[derive(Debug)]
struct Live {
    token: SecretString,
    client: Arc<SlackClient>,
}

impl SlackNotifier {
    /// A notifier for one workspace. Texts are redacted with what `keyring` knows.
    ///
    /// # Errors
    /// Where the API's address is not an http or https URL.
    pub fn new(options: SlackOptions, http: HttpClient, keyring: Keyring) -> Result<Self, HttpError> {
        let token = options.bot_token.current();
        let client = Arc::new(SlackClient::new(http.clone(), &options.api_url, token.clone())?);
        let live = Mutex::new(Live { token, client });
        Ok(Self {
            options,
            http,
            keyring,
            live,
            channels: Mutex::default(),
            painter: Painter::default(),
            tries: Tries::default(),
        })
    }

    /// Delivers one notice to a channel.
    pub(super) async fn notify(
        &self,
        channel: &str,
        destination: &Destination,
        notice: &Notice,
        view: &IncidentView,
        sending: Sending<'_>,
        now: Timestamp,
    ) -> Delivered {
        let redactor = self.keyring.redactor();
        let frame = self.frame(now, redactor.as_ref());
        let known = view.incident.destination(destination).and_then(|state| state.message.as_ref());
        if known.is_none() && notice.stands_below() && self.card_may_come(destination, view, now) {
            return wait_for_card();
        }
        let go = self.tries.begin(sending, now);
        let outcome = self.tell(channel, known, notice, view, &frame, go).await;
        self.tries.ended(go, &outcome);
        match outcome {
            Ok(message) => Delivered::Yes { message },
            Err(error) => super::after(error, redactor.as_ref()),
        }
    }

    async fn tell(
        &self,
        channel: &str,
        known: Option<&MessageRef>,
        notice: &Notice,
        view: &IncidentView,
        frame: &Frame<'_>,
        go: Go<'_>,
    ) -> Result<Option<MessageRef>, SendError> {
        match notice {
            Notice::Card => self.card(channel, known, view, frame, go).await,
            Notice::Reply { text, page } => match known {
                Some(card) => {
                    let drawn = reply::reply(text, *page, frame);
                    self.reply(card, view, *page, drawn, go).await.map(|_| None)
                }
                None => {
                    let drawn = reply::standing_alone(text, *page, view, frame);
                    self.post(channel, message_of(drawn, view, None, false, go), go).await.map(|_| None)
                }
            },
            Notice::Call { text, users } => match known {
                Some(card) => {
                    let drawn = reply::call(text, users, frame);
                    self.reply(card, view, true, drawn, go).await.map(|_| None)
                }
                None => {
                    let drawn = reply::above(reply::call(text, users, frame), view, frame);
                    self.post(channel, message_of(drawn, view, None, false, go), go).await.map(|_| None)
                }
            },
            Notice::Evidence | Notice::Charts => {
                // Without a card there is no thread, and in the channel it would only be in the way.
                let Some(card) = known else { return Ok(None) };
                self.evidence(card, *notice == Notice::Evidence, view, frame, go).await
            }
            Notice::Whisper { user, text } => self.whisper(known, user, text, frame).await,
            // These are PagerDuty's words; the card shows the same.
            Notice::Trigger { .. }
            | Notice::Acknowledge { .. }
            | Notice::Resolve { .. }
            | Notice::Confirm { .. }
            | Notice::Change { .. } => Ok(None),
        }
    }

    /// Posts the report of a scheduled check. Where Slack blames the blocks, its first line alone is posted.
    pub(super) async fn report(
        &self,
        channel: &str,
        sending: Sending<'_>,
        report: &CheckReport,
        now: Timestamp,
    ) -> Delivered {
        let redactor = self.keyring.redactor();
        let Card { text, blocks } = checkup::card(report, &self.frame(now, redactor.as_ref()));
        let go = self.tries.begin(sending, now);
        let metadata = Some(report_mark(go));
        let full = Message { text, blocks: Some(blocks), thread_ts: None, broadcast: false, metadata };
        let posted = match self.post(channel, full.clone(), go).await {
            Err(error) if is_message_fault(&error) => {
                tracing::warn!(check = report.check, %error, "Slack does not take the report; its first line is sent");
                let plain = Message { blocks: None, ..unmarked(full, &error) };
                self.post(channel, plain, go.seen()).await
            }
            other => other,
        };
        self.tries.ended(go, &posted);
        match posted {
            Ok(message) => Delivered::Yes { message: Some(message) },
            Err(error) => super::after(error, redactor.as_ref()),
        }
    }

    fn frame<'a>(&'a self, now: Timestamp, redactor: &'a Redactor) -> Frame<'a> {
        Frame {
            now,
            external_url: self.options.external_url.as_deref(),
            alertmanager_url: self.options.alertmanager_url.as_deref(),
            redactor,
        }
    }

    /// Answers somebody by the address that came with what they wrote.
    async fn respond(&self, url: &SecretString, answer: &Value) -> Result<(), SendError> {
        self.client()?.respond(url, answer).await
    }

    /// Replaces what somebody sees on the home tab.
    async fn publish_home(&self, user: &str, view: &Value) -> Result<(), SendError> {
        self.client()?.publish_home(user, view).await
    }

    /// The members of a user group.
    async fn members_of(&self, group: &str) -> Result<Vec<String>, SendError> {
        self.client()?.members_of(group).await
    }

    /// The user behind a mail address.
    async fn user_of(&self, email: &str) -> Result<Option<String>, SendError> {
        self.client()?.user_of(email).await
    }

    /// Somebody's account.
    async fn account(&self, user: &str) -> Result<Account, SendError> {
        self.client()?.account(user).await
    }

    /// Shows a modal to whoever got the trigger.
    async fn open_modal(&self, trigger_id: &str, view: &Value) -> Result<(), SendError> {
        self.client()?.open_view(trigger_id, view).await
    }

    /// Forgets what is idle; called now and then by whoever keeps house.
    pub fn prune(&self) {
        lock(&self.live).client.prune();
    }

    /// Posts the card or brings it up to date, and falls back to plain text where Slack blames the blocks.
    async fn card(
        &self,
        channel: &str,
        known: Option<&MessageRef>,
        view: &IncidentView,
        frame: &Frame<'_>,
        go: Go<'_>,
    ) -> Result<Option<MessageRef>, SendError> {
        let Card { text, blocks } = card::card(view, frame);
        let full = Message {
            text,
            blocks: Some(blocks),
            thread_ts: None,
            broadcast: false,
            metadata: Some(card_mark(view)),
        };
        match self.place(channel, known, &full, go).await {
            Err(error) if is_message_fault(&error) => {
                tracing::warn!(
                    incident.id = %view.incident.id, %error,
                    "Slack does not take the card; it is sent as plain text"
                );
                let text = card::plain(view, frame);
                let plain = Message { text, blocks: None, ..unmarked(full, &error) };
                self.place(channel, known, &plain, go.seen()).await
            }
            other => other,
        }
        .map(Some)
    }

    async fn place(
        &self,
        channel: &str,
        known: Option<&MessageRef>,
        message: &Message,
        go: Go<'_>,
    ) -> Result<MessageRef, SendError> {
        let found = match known {
            Some(_) => None,
            None => self.sent_before(channel, message, go).await?,
        };
        if let Some(known) = known.or(found.as_ref()) {
            match self.client()?.update_message(&known.channel, &known.ts, message).await {
                Ok(()) => return Ok(known.clone()),
                Err(SendError::Permanent { code, .. }) if POST_ANEW.contains(&code.as_str()) => {}
                Err(error) => return Err(error),
            }
        }
        self.post(channel, message.clone(), go.seen()).await
    }

    /// Posts below a card; false where an earlier try has. Where Slack blames the blocks, the text alone is posted.
    async fn reply(
        &self,
        card: &MessageRef,
        view: &IncidentView,
        page: bool,
        drawn: Reply,
        go: Go<'_>,
    ) -> Result<bool, SendError> {
        let message = message_of(drawn, view, Some(card.ts.clone()), page, go);
        if self.sent_before(&card.channel, &message, go).await?.is_some() {
            return Ok(false);
        }
        let client = self.client()?;
        match client.post_message(&card.channel, &message).await {
            Err(error) if is_message_fault(&error) => {
                let plain = Message { blocks: None, ..unmarked(message, &error) };
                client.post_message(&card.channel, &plain).await.map(|_| true)
            }
            Err(SendError::Ambiguous { reason }) => {
                let found = self.find_again(&card.channel, &message, go).await;
                found.map(|_| true).ok_or(SendError::Ambiguous { reason })
            }
            other => other.map(|_| true),
        }
    }

    /// Says something to one person, in the channel of the card. It is no more than an answer: where they cannot be reached
    /// there, such as for having left, nothing is lost.
    async fn whisper(
        &self,
        card: Option<&MessageRef>,
        user: &str,
        text: &str,
        frame: &Frame<'_>,
    ) -> Result<Option<MessageRef>, SendError> {
        let Some(card) = card else { return Ok(None) };
        let text = reply::whisper(text, frame);
        match self.client()?.post_ephemeral(&card.channel, user, &text).await {
            Err(error @ SendError::Permanent { .. }) => {
                tracing::info!(%error, "Slack does not show somebody why their press did not count");
                Ok(None)
            }
            other => other.map(|()| None),
        }
    }

    /// Posts into a channel that a rule names, and remembers its id.
    async fn post(&self, channel: &str, message: Message, go: Go<'_>) -> Result<MessageRef, SendError> {
        if let Some(found) = self.sent_before(channel, &message, go).await? {
            return Ok(found);
        }
        let id = lock(&self.channels).get(channel).cloned();
        let outcome = self.client()?.post_message(id.as_deref().unwrap_or(channel), &message).await;
        let outcome = match outcome {
            Err(SendError::Ambiguous { reason }) => {
                self.find_again(channel, &message, go).await.ok_or(SendError::Ambiguous { reason })
            }
            other => other,
        };
        let mut channels = lock(&self.channels);
        match &outcome {
            Ok(posted) => {
                if channels.len() >= CHANNELS_MAX {
                    channels.clear();
                }
                channels.insert(channel.to_owned(), posted.channel.clone());
            }
            // The name may stand for another channel by now.
            Err(SendError::Permanent { .. }) => drop(channels.remove(channel)),
            Err(_) => {}
        }
        outcome.map(|Posted { channel, ts }| MessageRef { channel, ts })
    }

    /// Whether a card is still on its way. Notices of one incident to one channel are carried out in order, so this is
    /// rare, and it must end: the card may be queued behind the very reply that waits for it.
    fn card_may_come(&self, destination: &Destination, view: &IncidentView, now: Timestamp) -> bool {
        let failed = view.incident.destination(destination).is_some_and(|state| state.failure.is_some());
        !failed && now.duration_since(view.incident.updated_at) < CARD_WAIT_MAX
    }

    /// The client for the token as it is now. A new token gets a new client; that the old one's pace is forgotten
    /// costs at most one answer "too many requests".
    fn client(&self) -> Result<Arc<SlackClient>, SendError> {
        let token = self.options.bot_token.current();
        let mut live = lock(&self.live);
        if live.token.expose_secret() != token.expose_secret() {
            let client = SlackClient::new(self.http.clone(), &self.options.api_url, token.clone())
                .map_err(|error| SendError::Retry { after: None, reason: error.to_string() })?;
            *live = Live { token, client: Arc::new(client) };
        }
        Ok(Arc::clone(&live.client))
    }
}

/// The message without its mark, where that is what Slack blames.
fn unmarked(message: Message, blamed: &SendError) -> Message {
    let is_mark = matches!(blamed, SendError::Permanent { code, .. } if code.starts_with("invalid_metadata"));
    Message { metadata: message.metadata.filter(|_| !is_mark), ..message }
}

fn is_message_fault(error: &SendError) -> bool {
    matches!(error, SendError::Permanent { code, .. } if MESSAGE_FAULTS.contains(&code.as_str()))
}

fn wait_for_card() -> Delivered {
    let reason = "its card is not posted yet".to_owned();
    Delivered::Later { wait: Some(CARD_WAIT), reason, failed: false }
}

/// What is behind these locks is whole after every line.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
