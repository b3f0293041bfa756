//! Notifications: whom we tell, and the few kinds of things that we tell.

use crate::Labels;
use serde::{Deserialize, Serialize};

/// Whom a message reaches.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Destination {
    /// A Slack channel, by name (`#incidents`) or id.
    Slack {
        /// The channel.
        channel: String,
    },
    /// A PagerDuty service of the settings.
    #[serde(rename = "pagerduty")]
    PagerDuty {
        /// Key of `pagerduty.services`.
        service: String,
    },
    /// A webhook of the settings.
    Webhook {
        /// Key of `webhooks`.
        name: String,
    },
    /// A mailbox.
    Email {
        /// Its address.
        to: String,
    },
    /// A channel of Microsoft Teams.
    Teams {
        /// Key of `teams.channels`.
        channel: String,
    },
}

impl Destination {
    /// Whether it shows one message an incident, which is edited. All others are told of each thing that happens.
    pub fn keeps_a_card(&self) -> bool {
        matches!(self, Self::Slack { .. })
    }

    /// The kind, for metrics and for choosing the notifier.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::PagerDuty { .. } => "pagerduty",
            Self::Webhook { .. } => "webhook",
            Self::Email { .. } => "email",
            Self::Teams { .. } => "teams",
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Slack { channel } => write!(f, "slack:{channel}"),
            Self::PagerDuty { service } => write!(f, "pagerduty:{service}"),
            Self::Webhook { name } => write!(f, "webhook:{name}"),
            Self::Email { to } => write!(f, "email:{to}"),
            Self::Teams { channel } => write!(f, "teams:{channel}"),
        }
    }
}

/// What is told. The content of a card is taken from the incident when it is sent, so that a card that waited
/// tells the newest state; everything else is fixed when it is wished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Post the incident's one message, or bring it up to date.
    Card,
    /// A line below the card: details, steps, calls for people.
    Reply {
        /// What to say. May quote labels: the notifier escapes it.
        text: String,
        /// Whether people must look now.
        page: bool,
    },
    /// Slack: a line below the card that calls people by their names.
    Call {
        /// What to say. May quote labels: the notifier escapes it.
        text: String,
        /// Slack's ids of the people.
        users: Vec<String>,
    },
    /// Evidence below the card that the card has no room for. Taken from the incident when it is sent.
    Evidence,
    /// Charts below the card once more, with what was done marked on them. Taken from the incident when it is sent.
    Charts,
    /// Slack: an answer that only one person sees, such as why their press did not count.
    Whisper {
        /// Slack's id of the person.
        user: String,
        /// What to say, as plain text.
        text: String,
    },
    /// Where messages are not edited: open or repeat the alert.
    Trigger {
        /// Why it is sent, such as the level's name.
        note: String,
        /// Of which episode it tells. Fixed when it is wished: one that waited must not speak of a later episode.
        episode: u32,
    },
    /// Where messages are not edited: somebody has taken it.
    Acknowledge {
        /// Which episode.
        episode: u32,
    },
    /// Where messages are not edited: it is over.
    Resolve {
        /// Which episode.
        episode: u32,
    },
    /// PagerDuty: see whether the page stands there that it took, and send it again where it does not. Wished for a while
    /// after the page.
    Confirm {
        /// Which episode.
        episode: u32,
    },
    /// PagerDuty: something was changed in the world.
    Change {
        /// What was done.
        summary: String,
        /// Details for people.
        details: Labels,
    },
}

impl Notice {
    /// Whether it says something that belongs below the card.
    pub fn stands_below(&self) -> bool {
        matches!(self, Self::Reply { .. } | Self::Call { .. })
    }

    /// Whether the trail says that it arrived. Cards and what hangs below them come by the dozen.
    pub fn is_told_in_the_trail(&self) -> bool {
        !matches!(
            self,
            Self::Card
                | Self::Reply { .. }
                | Self::Call { .. }
                | Self::Evidence
                | Self::Charts
                | Self::Whisper { .. }
                | Self::Confirm { .. }
        )
    }

    /// The kind, for metrics and timelines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Reply { .. } => "reply",
            Self::Call { .. } => "call",
            Self::Evidence => "evidence",
            Self::Charts => "charts",
            Self::Whisper { .. } => "whisper",
            Self::Trigger { .. } => "trigger",
            Self::Acknowledge { .. } => "acknowledge",
            Self::Resolve { .. } => "resolve",
            Self::Confirm { .. } => "confirm",
            Self::Change { .. } => "change",
        }
    }
}

/// Where a destination keeps our message, so that it can be edited and answered to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRef {
    /// Slack's channel id as it answered.
    pub channel: String,
    /// Slack's timestamp of the message, its identity.
    pub ts: String,
}

/// What one destination knows of the incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationState {
    /// Whom.
    pub destination: Destination,
    /// Our message there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageRef>,
    /// Whether a card is wished but not yet sent. At most one waits: it will show the newest state.
    #[serde(default)]
    pub card_waits: bool,
    /// The visible version that the last sent card showed.
    #[serde(default)]
    pub shown_version: u64,
    /// The last error, while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether another destination was told instead, since it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// The episode of the incident in which it was last told that people are needed.
    #[serde(default, skip_serializing_if = "is_first")]
    pub episode: u32,
    /// The episode for which it is looked, or was, whether its page stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirms: Option<u32>,
}

fn is_first(episode: &u32) -> bool {
    *episode == 0
}

impl DestinationState {
    /// A destination that knows nothing yet and is told in this episode.
    pub fn new(destination: Destination, episode: u32) -> Self {
        Self {
            destination,
            message: None,
            card_waits: false,
            shown_version: 0,
            failure: None,
            replaced: false,
            episode,
            confirms: None,
        }
    }
}
