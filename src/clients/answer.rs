//! How one delivery ended: the vocabulary that every messenger's table maps its answers into.
//!
//! Done is the `Ok` side; [`SendError`] is the rest. The variants answer the only question a caller has: may
//! this be sent again, and when?

use std::time::Duration;

use thiserror::Error;

/// The longest wait that a server's `Retry-After` is believed for.
///
/// A mistaken or hostile value must not silence a page for a day; after an hour it is worth asking again.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Whether carrying out the same request twice does harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// A second time changes nothing: an update in place, or an event with a dedup key.
    Harmless,
    /// A second time is seen by people, such as a second message in a channel.
    Harmful,
}

/// Why a delivery is not done, in terms of what may happen next.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// Our own pacing held it back: nothing was sent, and it does not count as an attempt.
    #[error("held back for {} ms to keep the rate limit", wait.as_millis())]
    Paced {
        /// How long to wait before asking again.
        wait: Duration,
    },
    /// It was not carried out, or repeating it does no harm: send it again.
    #[error("try again{}: {reason}", after_words(after))]
    Retry {
        /// How long the server asked to wait; without it, the caller's own back-off.
        after: Option<Duration>,
        /// What happened, for the timeline.
        reason: String,
    },
    /// The same request will never be accepted: take another way.
    #[error("refused with {code}: {reason}")]
    Permanent {
        /// The vendor's error code, or `http_<status>`, or our own short word.
        code: String,
        /// What happened, for the timeline.
        reason: String,
    },
    /// It may have been carried out, and repeating it would show: look at the world before sending again.
    #[error("outcome unknown: {reason}")]
    Ambiguous {
        /// What happened, for the timeline.
        reason: String,
    },
}

impl SendError {
    /// A short stable word for a metric label or a log field.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Paced { .. } => "paced",
            Self::Retry { .. } => "retry",
            Self::Permanent { .. } => "permanent",
            Self::Ambiguous { .. } => "ambiguous",
        }
    }

    /// The error of an exchange whose end is unknown, as far as a repetition would matter.
    pub(crate) fn unknown(repeat: Repeat, reason: String) -> Self {
        match repeat {
            Repeat::Harmless => Self::Retry { after: None, reason },
            Repeat::Harmful => Self::Ambiguous { reason },
        }
    }

    pub(crate) fn permanent(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Permanent { code: code.into(), reason: reason.into() }
    }
}

fn after_words(after: &Option<Duration>) -> String {
    after.map(|wait| format!(" in {} s", wait.as_secs())).unwrap_or_default()
}

/// Cuts to at most `max_chars` characters, the last of them an ellipsis where something was cut away.
///
/// Counts characters and not bytes, because that is how the vendors state their limits.
pub(crate) fn cut_chars(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_end_is_ambiguous_only_where_a_repetition_shows() {
        assert_eq!(SendError::unknown(Repeat::Harmless, "x".into()).kind(), "retry");
        assert_eq!(SendError::unknown(Repeat::Harmful, "x".into()).kind(), "ambiguous");
    }

    #[test]
    fn each_variant_reads_as_a_sentence() {
        let retry = SendError::Retry { after: Some(Duration::from_secs(7)), reason: "HTTP 429".into() };
        assert_eq!(retry.to_string(), "try again in 7 s: HTTP 429");
        let soon = SendError::Retry { after: None, reason: "HTTP 503".into() };
        assert_eq!(soon.to_string(), "try again: HTTP 503");
        assert_eq!(
            SendError::permanent("is_archived", "archived").to_string(),
            "refused with is_archived: archived"
        );
        let paced = SendError::Paced { wait: Duration::from_millis(250) };
        assert_eq!(paced.to_string(), "held back for 250 ms to keep the rate limit");
    }

    #[test]
    fn cutting_counts_characters_and_keeps_the_limit() {
        assert_eq!(cut_chars("four", 4), "four");
        assert_eq!(cut_chars("fünf!", 4), "fün…");
        assert_eq!(cut_chars("日本語日本語", 3).chars().count(), 3);
        assert_eq!(cut_chars("", 3), "");
    }
}
