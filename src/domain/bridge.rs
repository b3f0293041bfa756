//! News of an incident from where it is shown as well, and can be taken and ended: PagerDuty.

use crate::people::Actor;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// News that happened longer ago are not taken any more. PagerDuty repeats what it cannot deliver for 48 hours.
pub const NEWS_AGE_MAX: SignedDuration = SignedDuration::from_hours(48);

/// Something that happened there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeNews {
    /// Identity of the news: the same in every repetition.
    pub id: String,
    /// When it happened there.
    pub at: Timestamp,
    /// Identity of the incident there.
    pub thing: String,
    /// Which episode of the incident it is about; none where only its identity there was named.
    pub episode: Option<u32>,
    /// The person who did it; none for automation, ours included.
    pub actor: Option<Actor>,
    /// What.
    pub what: BridgeWhat,
}

/// What happened there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BridgeWhat {
    /// It stands there under an identity of its own.
    Opened,
    /// Somebody has it.
    Acknowledged,
    /// Nobody has it any more.
    Unacknowledged,
    /// It is over.
    Resolved,
    /// Whoever had it has given it to somebody else, who has not taken it yet.
    PassedOn(String),
    /// Somebody has set its priority there; none where they have taken it away. How bad it is here stays what the alerts say.
    Prioritised {
        /// Its name there, such as `P2`.
        priority: Option<String>,
        /// What people read of it.
        text: String,
    },
    /// Something that people want to read and that changes nothing here, such as who has it now.
    Noted(String),
}

/// The last news that counted. Those of one incident come in order, so what is not newer is a repetition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeMark {
    /// When it happened there.
    pub at: Timestamp,
    /// Its identity.
    pub id: String,
}

impl BridgeMark {
    /// Whether news are newer than these.
    pub fn precedes(&self, news: &BridgeNews) -> bool {
        news.at > self.at || (news.at == self.at && news.id != self.id)
    }
}
