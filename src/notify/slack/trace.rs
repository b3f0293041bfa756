//! What our messages are marked with, and how one is found again by its mark.
//!
//! Slack has no key that makes a post harmless to repeat. Where nobody knows the end of a try, since its answer was lost
//! or its process was killed while it waited, the message is looked for before another one is posted. Telling fails
//! open: where Slack goes on not to show what stands there, the message is posted, and there may be two.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::reply::Reply;
use super::{SlackNotifier, lock};
use crate::clients::answer::SendError;
use crate::clients::slack::{Message, Metadata, Posted};
use crate::domain::notification::MessageRef;
use crate::domain::timeline::digest_of_bytes;
use crate::engine::ports::{IncidentView, Sending};

/// What our messages are called in their metadata.
const EVENT_TYPE: &str = "smokejumper_incident";
/// How old a message may be that is taken for the one just sent: longer than a call takes, clocks included.
const LOOK_BACK: SignedDuration = SignedDuration::from_secs(60);
/// Looks that may fail before a message is posted all the same. A look that Slack refuses for good is not repeated.
const LOOKS_MAX: u32 = 3;
/// Longest look, of however many calls: below the time that a try has in all, so that looks in vain are counted.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Slack may ask to wait for another look: a call for people must not wait longer for its double to be ruled out.
const LOOK_WAIT_MAX: Duration = Duration::from_secs(5);
/// Wishes of which something is remembered: those whose last try failed. When there are more all are forgotten, and each is
/// looked for once.
const TRIES_MAX: usize = 10_000;

/// One try to deliver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Go<'a> {
    /// Names the wish, and so its message.
    pub(super) key: &'a str,
    attempt: u32,
    /// Since when there may be a message of an earlier try, whose end nobody knows.
    unclear_since: Option<Timestamp>,
    pub(super) now: Timestamp,
}

impl Go<'_> {
    /// The same once it was looked for what stands there.
    pub(super) fn seen(self) -> Self {
        Self { unclear_since: None, ..self }
    }

    /// Whether an earlier try may have come to its end unseen.
    pub(super) fn is_unclear(self) -> bool {
        self.unclear_since.is_some()
    }

    /// A message of this try cannot be older.
    fn just_before(self) -> Timestamp {
        back(self.now)
    }
}

/// What is known of the tries of this process. Of those of others nothing is.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<HashMap<String, Tried>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// The one with this number ended, and nothing was posted. Of a later one, which was another process's, nothing is known.
    InVain(u32),
    /// Nobody knows how it ended, and so many looks failed since.
    Unseen(u32),
}

impl Tries {
    /// A try begins. Until it has ended nobody knows how it does: it may be dropped anywhere.
    pub(super) fn begin<'a>(&self, sending: Sending<'a>, now: Timestamp) -> Go<'a> {
        let mut tries = lock(&self.0);
        let known = tries.get(sending.key).copied();
        if matches!(known, Some(Tried::InVain(_))) {
            tries.remove(sending.key);
        }
        let is_clear = known == Some(Tried::InVain(sending.attempt.saturating_sub(1)));
        let is_unclear = sending.attempt > 1 && !is_clear;
        Go {
            key: sending.key,
            attempt: sending.attempt,
            unclear_since: is_unclear.then_some(sending.wished_at),
            now,
        }
    }

    /// A try has ended as it was told.
    pub(super) fn ended<T>(&self, go: Go<'_>, outcome: &Result<T, SendError>) {
        let mut tries = lock(&self.0);
        match outcome {
            Err(SendError::Retry { .. } | SendError::Paced { .. }) => {
                if tries.len() >= TRIES_MAX {
                    tries.clear();
                }
                // A look that failed has left its own note.
                tries.entry(go.key.to_owned()).or_insert(Tried::InVain(go.attempt));
            }
            Err(SendError::Ambiguous { .. }) => {}
            Ok(_) | Err(SendError::Permanent { .. }) => drop(tries.remove(go.key)),
        }
    }

    /// A look failed. True where another one is worth waiting for.
    fn unseen(&self, key: &str) -> bool {
        let mut tries = lock(&self.0);
        let failed = match tries.get(key) {
            Some(Tried::Unseen(failed)) => failed + 1,
            _ => 1,
        };
        tries.insert(key.to_owned(), Tried::Unseen(failed));
        failed < LOOKS_MAX
    }

    fn seen(&self, key: &str) {
        lock(&self.0).remove(key);
    }
}

impl SlackNotifier {
    /// Our message that an earlier try may have posted, one of which nobody knows the end.
    ///
    /// # Errors
    /// Where Slack does not show it now and another look is worth waiting for.
    pub(super) async fn sent_before(
        &self,
        channel: &str,
        message: &Message,
        go: Go<'_>,
    ) -> Result<Option<MessageRef>, SendError> {
        let Some(since) = go.unclear_since else { return Ok(None) };
        let look = tokio::time::timeout(LOOK_TIMEOUT, self.look_for(channel, message, back(since)));
        let looked = look.await.unwrap_or_else(|_| {
            Err(SendError::Retry { after: None, reason: format!("no look was done within {LOOK_TIMEOUT:?}") })
        });
        match looked {
            Err(SendError::Retry { after, reason })
                if after.is_none_or(|wait| wait <= LOOK_WAIT_MAX) && self.tries.unseen(go.key) =>
            {
                Err(SendError::Retry { after, reason })
            }
            looked => {
                self.tries.seen(go.key);
                Ok(found_or_told(looked).map(|Posted { channel, ts }| MessageRef { channel, ts }))
            }
        }
    }

    /// Our message of this very try, whose answer was lost. `None` also where nobody can tell, such as without the scope for
    /// looking.
    pub(super) async fn find_again(&self, channel: &str, message: &Message, go: Go<'_>) -> Option<Posted> {
        found_or_told(self.look_for(channel, message, go.just_before()).await)
    }

    async fn look_for(
        &self,
        channel: &str,
        message: &Message,
        oldest: Timestamp,
    ) -> Result<Option<Posted>, SendError> {
        let Some(metadata) = &message.metadata else { return Ok(None) };
        let Some(id) = self.id_of(channel).await? else { return Ok(None) };
        let thread = message.thread_ts.as_deref();
        self.client()?.find_own(&id, thread, metadata, oldest.as_second()).await
    }

    /// The id of the conversation that a rule names: a channel by id or name, or whoever is on call by their member id.
    async fn id_of(&self, channel: &str) -> Result<Option<String>, SendError> {
        if let Some(known) = lock(&self.channels).get(channel) {
            return Ok(Some(known.clone()));
        }
        match id_kind(channel) {
            Some(IdKind::Conversation) => Ok(Some(channel.to_owned())),
            Some(IdKind::Member) => self.client()?.direct_with(channel).await.map(Some),
            None => self.client()?.channel_named(channel).await,
        }
    }
}

fn found_or_told(looked: Result<Option<Posted>, SendError>) -> Option<Posted> {
    looked.unwrap_or_else(|error| {
        tracing::info!(%error, "Slack does not show whether a message was posted; it is posted again");
        None
    })
}

fn back(from: Timestamp) -> Timestamp {
    from.checked_sub(LOOK_BACK).unwrap_or(from)
}

/// What an id of Slack's stands for.
#[derive(Debug, PartialEq, Eq)]
enum IdKind {
    Conversation,
    Member,
}

/// None for a name, which has no capitals in Slack. An id never changes; a name may.
fn id_kind(name: &str) -> Option<IdKind> {
    let is_id = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    match name.chars().next().filter(|_| is_id)? {
        'C' | 'G' | 'D' => Some(IdKind::Conversation),
        'U' | 'W' => Some(IdKind::Member),
        _ => None,
    }
}

/// A drawn reply as a message. There are many of one incident: its wish tells it from the others.
pub(super) fn message_of(
    drawn: Reply,
    view: &IncidentView,
    thread_ts: Option<String>,
    broadcast: bool,
    go: Go<'_>,
) -> Message {
    let wish = match go.key {
        "" => digest_of_bytes(json!([drawn.text, drawn.blocks]).to_string().as_bytes()),
        key => key.to_owned(),
    };
    let mut metadata = mark(view, "reply");
    metadata.payload.insert("wish".to_owned(), wish);
    Message { text: drawn.text, blocks: Some(drawn.blocks), thread_ts, broadcast, metadata: Some(metadata) }
}

/// The mark of an incident's card. It has one in each channel, whichever wish posted it.
pub(super) fn card_mark(view: &IncidentView) -> Metadata {
    mark(view, "card")
}

/// The mark of a report of a scheduled check, which belongs to no incident.
pub(super) fn report_mark(go: Go<'_>) -> Metadata {
    marked([("report", go.key), ("kind", "report")])
}

fn mark(view: &IncidentView, kind: &str) -> Metadata {
    marked([("incident", &view.incident.id.0), ("kind", kind)])
}

fn marked(payload: [(&str, &str); 2]) -> Metadata {
    let payload: BTreeMap<String, String> =
        payload.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Metadata { event_type: EVENT_TYPE.to_owned(), payload }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_sending(attempt: u32) -> Sending<'static> {
        Sending { key: "i1-e7", attempt, wished_at: Timestamp::UNIX_EPOCH }
    }

    fn begin(tries: &Tries, attempt: u32) -> Go<'static> {
        tries.begin(mk_sending(attempt), Timestamp::UNIX_EPOCH)
    }

    fn paced() -> Result<(), SendError> {
        Err(SendError::Paced { wait: Duration::from_secs(1) })
    }

    #[test]
    fn a_try_is_looked_for_where_nobody_knows_how_the_one_before_it_ended() {
        let tries = Tries::default();
        assert_eq!(begin(&tries, 1).unclear_since, None, "there was none before it");
        assert!(begin(&tries, 2).unclear_since.is_some(), "of another process, or dropped on the way");
        tries.ended(begin(&tries, 2), &paced());
        assert_eq!(begin(&tries, 3).unclear_since, None, "nothing was posted, as this process was told");
        assert!(begin(&tries, 4).unclear_since.is_some(), "the third has not ended as anybody was told");
        tries.ended(begin(&tries, 4), &Err::<(), _>(SendError::Ambiguous { reason: "no answer".to_owned() }));
        assert!(begin(&tries, 5).unclear_since.is_some());
    }

    #[test]
    fn what_this_process_knows_says_nothing_of_a_try_of_another_after_it() {
        let tries = Tries::default();
        tries.ended(begin(&tries, 1), &paced());
        // The second was another replica's, which may have posted before it was gone.
        assert!(begin(&tries, 3).unclear_since.is_some());
    }

    #[test]
    fn what_slack_does_not_show_is_posted_after_a_few_looks() {
        let tries = Tries::default();
        for attempt in 2..=4 {
            let go = begin(&tries, attempt);
            assert!(go.unclear_since.is_some(), "{attempt}");
            let waits = tries.unseen(go.key);
            assert_eq!(waits, attempt < 4, "{attempt}");
            tries.ended(go, &paced());
        }
    }

    #[test]
    fn ids_are_told_from_names() {
        assert_eq!(id_kind("C0INCIDENTS"), Some(IdKind::Conversation));
        assert_eq!(id_kind("D0123456789"), Some(IdKind::Conversation));
        assert_eq!(id_kind("U0123456789"), Some(IdKind::Member));
        for name in ["#incidents", "incidents", "C0incidents", "X0123456789", ""] {
            assert_eq!(id_kind(name), None, "{name}");
        }
    }
}
