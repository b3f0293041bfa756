//! Keys by a pattern: what may be named, how many there are, and how they are deleted.
//!
//! `KEYS` is never asked: it holds up every client. `SCAN` goes through the database in small steps, and `UNLINK` frees the
//! memory in the background. A pattern begins with letters that are meant as such: a lone `*` is a `FLUSHDB` by another name.

use std::time::Duration;

use tokio::time::Instant;

use crate::actions::access::DELETE_PREFIX_CHARS_MIN;
use crate::actions::outcome::{failed, unknown};
use crate::clients::redis::{RedisError, RedisHand};
use crate::domain::action::ActionOutcome;

/// Longest pattern.
pub(super) const PATTERN_BYTES_MAX: usize = 200;
/// Most keys of one order, where the rule names no number, and in any case.
pub(super) const KEYS_DEFAULT: u32 = 10_000;
pub(super) const KEYS_MAX: u32 = 1_000_000;
/// Keys that the server looks at in one step: a fraction of a millisecond of it.
const STEP: u32 = 500;
/// Steps of a survey, and how long it may take; beyond either the number is an estimate.
const SURVEY_STEPS_MAX: u64 = 400;
const SURVEY_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest time for deleting, below that of the whole attempt.
const DELETE_TIME_MAX: Duration = Duration::from_secs(40);

/// What stands before the first wildcard of a pattern.
pub(super) fn prefix_of(pattern: &str) -> &str {
    let end = pattern.find(['*', '?', '[', ']', '\\']).unwrap_or(pattern.len());
    &pattern[..end]
}

/// Whether a pattern can name nothing but keys below one of these prefixes.
pub(super) fn is_below(pattern: &str, prefixes: &[String]) -> bool {
    let prefix = prefix_of(pattern);
    let is_enough = |allowed: &String| allowed.chars().count() >= DELETE_PREFIX_CHARS_MIN;
    prefixes.iter().any(|allowed| is_enough(allowed) && prefix.starts_with(allowed.as_str()))
}

/// How many keys match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) keys: u64,
    /// Whether the whole database was looked through.
    pub(super) is_whole: bool,
}

/// Counts what matches, in part where the database is large. A key may be seen twice while the server rearranges itself.
pub(super) async fn count(hand: &mut RedisHand, pattern: &str) -> Result<Count, RedisError> {
    let began = Instant::now();
    let (mut cursor, mut steps, mut seen) = (0, 0, 0_u64);
    loop {
        let (next, keys) = hand.reads().scan(cursor, pattern, STEP).await?;
        (cursor, steps, seen) = (next, steps + 1, seen + keys.len() as u64);
        if cursor == 0 {
            return Ok(Count { keys: seen, is_whole: true });
        }
        if steps >= SURVEY_STEPS_MAX || began.elapsed() >= SURVEY_TIME_MAX {
            let all = hand.reads().keys().await?;
            let looked_at = (steps * u64::from(STEP)).min(all).max(1);
            let estimate = u128::from(seen) * u128::from(all) / u128::from(looked_at);
            return Ok(Count {
                keys: u64::try_from(estimate).unwrap_or(u64::MAX).max(seen),
                is_whole: false,
            });
        }
    }
}

/// Deletes what matches, up to so many keys. What was deleted before an error is said, since it is gone.
pub(super) async fn delete(
    hand: &mut RedisHand,
    pattern: &str,
    keys_max: u32,
) -> Result<ActionOutcome, RedisError> {
    let began = Instant::now();
    let (mut cursor, mut deleted) = (0, 0_u64);
    loop {
        let step = async {
            let (next, mut keys) = hand.reads().scan(cursor, pattern, STEP).await?;
            let room = u64::from(keys_max).saturating_sub(deleted);
            let has_more = keys.len() as u64 > room;
            keys.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            let gone = if keys.is_empty() { 0 } else { hand.unlink(&keys).await? };
            Ok::<_, RedisError>((next, gone, has_more))
        };
        let (next, gone, has_more) = match step.await {
            Ok(step) => step,
            Err(error) if deleted == 0 => return Err(error),
            Err(error) => return Ok(unknown(format!("{deleted} keys were deleted, and then: {error}"))),
        };
        (cursor, deleted) = (next, deleted + gone);
        if has_more {
            return Ok(failed(format!("{deleted} keys were deleted, which is the limit, and more match")));
        }
        if cursor == 0 {
            let detail = format!("{deleted} keys that match {pattern} were deleted");
            return Ok(ActionOutcome::Applied { detail, inverse: None, requests: Vec::new() });
        }
        if began.elapsed() >= DELETE_TIME_MAX {
            let limit = DELETE_TIME_MAX.as_secs();
            return Ok(failed(format!("{deleted} keys were deleted within {limit}s, and more match")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_as_letters_ends_at_the_first_wildcard() {
        for (pattern, prefix) in [
            ("cache:*", "cache:"),
            ("cache:user?:*", "cache:user"),
            ("ca[ab]che", "ca"),
            ("cache\\*x", "cache"),
            ("*", ""),
            ("exact", "exact"),
        ] {
            assert_eq!(prefix_of(pattern), prefix);
        }
    }

    #[test]
    fn a_pattern_is_allowed_below_a_prefix_of_the_settings_only() {
        let prefixes = ["cache:".to_owned(), "gemini:".to_owned(), "a".to_owned(), String::new()];
        for (pattern, is_allowed) in [
            ("cache:*", true),
            ("cache:user:*", true),
            ("gemini:response:?", true),
            ("cache*", false),
            ("c[a]che:*", false),
            ("sessions:*", false),
            ("a*", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(is_below(pattern, &prefixes), is_allowed, "{pattern}");
        }
    }
}
