//! What deliveries say, and the port that reads them.

use super::Delivery;
use crate::domain::alert::Alert;
use crate::domain::bridge::BridgeNews;
use crate::domain::incident::IncidentId;
use crate::domain::people::Actor;
use jiff::SignedDuration;

/// What a delivery says.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// Alerts, each for itself.
    Alerts(Vec<Alert>),
    /// Clicks on our buttons, already known to be genuine.
    Clicks(Vec<Click>),
    /// News of incidents from where they are shown as well, already known to be genuine.
    News(Vec<(Whose, BridgeNews)>),
}

/// Which incident news are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// This one.
    Incident(IncidentId),
    /// The one that is known under this identity where the news come from.
    Bridge(String),
}

/// One click on one of our buttons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// The incident or action that the button carries, opaque to the outside.
    pub subject: String,
    /// What the button does.
    pub verb: ClickVerb,
    /// Who clicked, as the settings know them.
    pub actor: Actor,
    /// Slack's id of the person.
    pub member: Option<String>,
    /// Identity of the press: the same however often it arrives.
    pub press: String,
    /// Digest of what the button was drawn for: of a plan, or of where the escalation stood. Of a silence, for how long.
    pub digest: Option<String>,
    /// Why, in their words, where a form asked for it.
    pub reason: Option<String>,
    /// Where they clicked, so that a refusal reaches them alone. `None` where that is not known.
    pub spot: Option<Spot>,
}

/// Where somebody clicked: the channel of the message, and their identity there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Slack's id of the channel.
    pub channel: String,
    /// Slack's id of the person.
    pub user: String,
}

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClickVerb {
    /// I have it.
    Acknowledge,
    /// Do it.
    Approve,
    /// Do not do it.
    Reject,
    /// I go on by hand: nothing more is tried.
    TakeOver,
    /// Call the next level now.
    Escalate,
    /// It is over.
    Resolve,
    /// Alertmanager is to keep its alerts quiet, for as long as was chosen.
    Silence,
    /// Alertmanager is to tell of them again.
    Unsilence,
}

impl ClickVerb {
    /// All verbs.
    pub const ALL: [Self; 8] = [
        Self::Acknowledge,
        Self::Approve,
        Self::Reject,
        Self::TakeOver,
        Self::Escalate,
        Self::Resolve,
        Self::Silence,
        Self::Unsilence,
    ];
}

/// For how long a silence may be chosen in a menu, by the word that stands for it; none means until it is over.
pub const SILENCE_CHOICES: [(&str, Option<SignedDuration>); 4] = [
    ("1h", Some(SignedDuration::from_hours(1))),
    ("4h", Some(SignedDuration::from_hours(4))),
    ("1d", Some(SignedDuration::from_hours(24))),
    ("resolved", None),
];

/// Reads deliveries. Must accept everything that the receivers accepted.
pub trait Decoder: Send + Sync {
    /// What a delivery says, or why it cannot be read.
    fn decode(&self, delivery: &Delivery) -> Result<Decoded, String>;
}
