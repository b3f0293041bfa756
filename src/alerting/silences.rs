//! Silences of ours: found by their mark, made where they are not there, extended and ended.
//!
//! Each is for one alert with exactly its labels, the narrowest that there is: it also meets alerts with more labels. All calls for one wish go
//! to one peer; the others hear of it from that one, and may not know yet of what it was told just now.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::Alertmanagers;
use crate::clients::alertmanager::api::{AlertmanagerClient, ApiError, Silence, SilenceMatcher};
use crate::domain::Labels;
use crate::domain::matcher::{MatchOp, Matcher};
use crate::engine::ports::{Kept, SilenceOrder, SilenceRefused};

/// How much earlier than now a silence begins: Alertmanager takes its own now for what lies in the past, and would wait
/// where our clock is ahead of its own.
const BEGINS_EARLIER: SignedDuration = SignedDuration::from_mins(5);

/// Ends that differ by less are the same. Alertmanager keeps more digits than we do.
const SAME_END: SignedDuration = SignedDuration::from_secs(1);

/// How much earlier than it was set to end a silence must have ended to have been lifted by somebody.
const LIFTED_EARLIER: SignedDuration = SignedDuration::from_secs(60);

/// Characters of a person's words in the comment.
const WORDS_CHARS_MAX: usize = 500;

/// A peer that answers, with those of our silences that it knows.
struct Found {
    peer: AlertmanagerClient,
    ours: Vec<Silence>,
}

impl Alertmanagers {
    pub(super) async fn keep(&self, order: &SilenceOrder) -> Result<Kept, SilenceRefused> {
        let Found { peer, ours } = self.find(order).await?;
        for labels in &order.alerts {
            let same = ours.iter().filter(|silence| is_for(silence, labels));
            let standing = same.clone().find(|silence| !silence.is_over());
            let change = match standing {
                Some(silence) if is_near(silence.ends_at, order.until) => None,
                Some(silence) => Some(Silence { ends_at: order.until, ..silence.clone() }),
                None if same.clone().any(|silence| was_lifted(silence, order)) => return Ok(Kept::Lifted),
                None => Some(mk_silence(labels, order)),
            };
            if let Some(silence) = change {
                peer.put_silence(&silence).await.map_err(|error| self.refused(&error))?;
            }
        }
        Ok(Kept::Stands)
    }

    pub(super) async fn end(&self, order: &SilenceOrder) -> Result<(), SilenceRefused> {
        let Found { peer, ours } = self.find(order).await?;
        for id in ours.iter().filter(|silence| !silence.is_over()).filter_map(|silence| silence.id.as_ref()) {
            match peer.expire_silence(id).await {
                Ok(()) | Err(ApiError::NotFound(_)) => {}
                Err(error) => return Err(self.refused(&error)),
            }
        }
        Ok(())
    }

    /// Our silences, as the first peer that answers knows them.
    async fn find(&self, order: &SilenceOrder) -> Result<Found, SilenceRefused> {
        let mut refused =
            SilenceRefused { reason: "there is no Alertmanager to ask".to_owned(), retryable: false };
        for peer in self.signed_in().collect::<Vec<_>>() {
            match ours(&peer, order).await {
                Ok(ours) => return Ok(Found { peer, ours }),
                Err(error) if error.retryable() => refused = self.refused(&error),
                Err(error) => return Err(self.refused(&error)),
            }
        }
        Err(refused)
    }

    fn refused(&self, error: &ApiError) -> SilenceRefused {
        SilenceRefused { reason: self.words(error), retryable: error.retryable() }
    }
}

/// One question for each name of an alert: Alertmanager keeps thousands of silences of others.
async fn ours(peer: &AlertmanagerClient, order: &SilenceOrder) -> Result<Vec<Silence>, ApiError> {
    let filters: BTreeSet<String> = order.alerts.iter().filter_map(filter).collect();
    let mark = mark(order);
    let mut ours: Vec<Silence> = Vec::new();
    for filter in filters {
        let found = peer.silences(filter).await?;
        ours.extend(found.into_iter().filter(|silence| silence.comment.contains(&mark)));
    }
    Ok(ours)
}

/// The alert's name as a condition that its silence has among others; without a name, its first label.
fn filter(labels: &Labels) -> Option<String> {
    let (name, value) = labels.get_key_value("alertname").or_else(|| labels.first_key_value())?;
    Some(Matcher::new(name, MatchOp::Equal, value).ok()?.to_string())
}

fn mark(order: &SilenceOrder) -> String {
    format!("[smokejumper {}]", order.key)
}

fn is_for(silence: &Silence, labels: &Labels) -> bool {
    let conditions = silence.matchers.iter().map(|matcher| {
        let is_plain = !matcher.is_regex && matcher.is_equal;
        is_plain.then_some((matcher.name.as_str(), matcher.value.as_str()))
    });
    let conditions: Option<BTreeSet<(&str, &str)>> = conditions.collect();
    conditions.is_some_and(|conditions| {
        conditions == labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    })
}

fn is_near(left: Timestamp, right: Timestamp) -> bool {
    left.duration_since(right).abs() < SAME_END
}

/// Somebody ended it: it is over, and would not be by what it was set to.
fn was_lifted(silence: &Silence, order: &SilenceOrder) -> bool {
    order.held_until.is_some_and(|until| until.duration_since(silence.ends_at) > LIFTED_EARLIER)
}

fn mk_silence(labels: &Labels, order: &SilenceOrder) -> Silence {
    let matcher = |(name, value): (&String, &String)| SilenceMatcher {
        name: name.clone(),
        value: value.clone(),
        is_regex: false,
        is_equal: true,
    };
    let why: String =
        order.why.as_deref().unwrap_or("silenced in its incident").chars().take(WORDS_CHARS_MAX).collect();
    Silence {
        id: None,
        matchers: labels.iter().map(matcher).collect(),
        starts_at: order.now.checked_sub(BEGINS_EARLIER).unwrap_or(order.now),
        ends_at: order.until,
        created_by: format!("{} by Smokejumper", order.by),
        comment: format!("{why} {}", mark(order)),
        status: None,
    }
}
