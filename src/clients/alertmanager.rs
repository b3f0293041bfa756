//! Alertmanager's webhook: what it posts, read leniently, and the same written for `send` and for tests.
//!
//! [`parse`] reads version 4 and whatever else looks like it (Grafana's version 1 does): unknown fields are
//! skipped, missing ones have a meaning, and each alert is read for itself, so that one bad alert among good
//! ones is reported and the good ones are kept. Group status and common labels are not read at all, because
//! Alertmanager computes them after it has cut the list to `max_alerts`. Text is borrowed from the body where it
//! stands there unescaped; this is the hot path of every webhook. Nothing here decides what an alert means.

pub mod api;
mod build;
mod error;
mod values;
mod wire;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::Timestamp;

pub use build::Webhook;
pub use error::{PayloadError, Position, Refused};

use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;

/// Levels of nesting in a body. A payload has four; the limit keeps every later reader from deep recursion.
pub const DEPTH_MAX: usize = 64;

/// Alerts in one body; Alertmanager's `max_alerts` keeps a group below it. The limit bounds the memory that a
/// body of tiny alerts takes once it is read.
pub const ALERTS_MAX: usize = 50_000;

/// Bytes of one annotation that are kept. Slack shows less than half of it.
const ANNOTATION_BYTES_MAX: usize = 8 * 1024;

/// Names and values in the byte order of the names, each name once.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A webhook body as read.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload<'a> {
    /// The receiver's name in Alertmanager's configuration, without the regexp quoting that it is sent with.
    pub receiver: Cow<'a, str>,
    /// Alertmanager's name for the group. Changes with edits of the routes: not an identity.
    pub group_key: Cow<'a, str>,
    /// Why Alertmanager sends it (since 0.32), such as `first notification`; empty otherwise.
    pub notification_reason: Cow<'a, str>,
    /// Where Alertmanager's own page is.
    pub external_url: Cow<'a, str>,
    /// How many alerts of the group were left out. Where it is not zero, the extent is unknown. A value that
    /// cannot be read counts as 1.
    pub truncated_alerts: u64,
    /// The alerts that could be read, in the order of the body.
    pub alerts: Vec<WireAlert<'a>>,
    /// The alerts that could not.
    pub refused: Vec<Refused>,
}

/// One alert as read; times and status are what the sender said, if it said anything usable.
#[derive(Debug, Clone, PartialEq)]
pub struct WireAlert<'a> {
    /// Its place in the body's list, from 0.
    pub index: usize,
    /// As sent; computed from the labels where it is missing or not one. A sent one that differs from the
    /// computed one is kept: Grafana hashes labels that it does not send.
    pub fingerprint: Fingerprint,
    /// Absent where it is neither `firing` nor `resolved`.
    pub status: Option<AlertStatus>,
    /// At least one; labels with an empty value are left out, as Alertmanager does before it hashes.
    pub labels: Pairs<'a>,
    /// Annotations; numbers and booleans have become text, anything nested is left out.
    pub annotations: Pairs<'a>,
    /// Absent where it is missing, not a time, or the zero time.
    pub starts_at: Option<Timestamp>,
    /// Absent likewise; `0001-01-01T00:00:00Z` stands for a firing alert.
    pub ends_at: Option<Timestamp>,
    /// Link to the expression; shown, never fetched.
    pub generator_url: Option<Cow<'a, str>>,
}

/// Reads a webhook body.
///
/// Two values under one key are refused rather than guessed at, because another reader of the same body may
/// take the other one: for the whole body at the top, for one alert within it. Only annotations, which nothing
/// decides by, take the last one.
///
/// # Errors
/// Where the body as a whole is not a payload: with line and column, and without quoting more than a few words.
pub fn parse(body: &[u8]) -> Result<Payload<'_>, PayloadError> {
    wire::parse(body)
}

impl Payload<'_> {
    /// Whether there were alerts and none of them could be read, so that the body is garbage as a whole.
    pub fn is_garbage(&self) -> bool {
        self.alerts.is_empty() && !self.refused.is_empty()
    }

    /// The alerts as the domain knows them; see [`WireAlert::to_alert`].
    pub fn to_alerts(&self, received_at: Timestamp) -> Vec<Alert> {
        self.alerts.iter().map(|alert| alert.to_alert(received_at)).collect()
    }
}

impl WireAlert<'_> {
    /// The alert as the domain knows it. `received_at` stands in for a start that was not told.
    ///
    /// Nothing that is told has happened later than now: a sender whose clock is ahead must not have its alerts end
    /// before they begin, or have a new firing taken for one from before the end.
    ///
    /// An alert without a usable status is resolved if it has an end that has passed, which is Alertmanager's own
    /// definition, and fires otherwise: a page too many rather than one too few.
    pub fn to_alert(&self, received_at: Timestamp) -> Alert {
        let ended = self.ends_at.is_some_and(|ends_at| ends_at <= received_at);
        let status = self.status.unwrap_or(if ended { AlertStatus::Resolved } else { AlertStatus::Firing });
        Alert {
            fingerprint: self.fingerprint,
            status,
            labels: owned(&self.labels),
            annotations: short(&self.annotations),
            starts_at: self.starts_at.map_or(received_at, |starts_at| starts_at.min(received_at)),
            ends_at: self
                .ends_at
                .filter(|_| status == AlertStatus::Resolved)
                .map(|ends_at| ends_at.min(received_at)),
            generator_url: self.generator_url.as_deref().map(str::to_owned),
        }
    }
}

/// Annotations describe, and nobody reads a megabyte of description: longer ones are cut, so that an incident, which
/// keeps them, stays small. Labels are identity and stay as they are.
fn short(pairs: &Pairs<'_>) -> crate::domain::Labels {
    let cut = |text: &str| match text.len() > ANNOTATION_BYTES_MAX {
        true => {
            format!("{}… ({} bytes)", &text[..text.floor_char_boundary(ANNOTATION_BYTES_MAX)], text.len())
        }
        false => text.to_owned(),
    };
    pairs.iter().map(|(name, value)| (name.to_string(), cut(value))).collect()
}

fn owned(pairs: &Pairs<'_>) -> crate::domain::Labels {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}
