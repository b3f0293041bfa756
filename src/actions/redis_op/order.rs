//! One order to a Redis server with all its values, how it is carried out, and how its end is seen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keys::{self, Count};
use crate::actions::outcome::{failed, not_applied, unknown};
use crate::clients::redis::{RedisError, RedisHand};
use crate::domain::action::ActionOutcome;

/// Between two looks at a snapshot that is being written.
const SAVE_LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks at a snapshot before it is left to itself: twenty seconds of a large one.
const SAVE_LOOKS_MAX: usize = 40;

/// A plan with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Order {
    /// Empties a database of exactly this run of the server.
    Flush { connection: String, database: u16, run_id: String },
    /// Deletes the keys of a database that match, at most so many.
    Delete { connection: String, database: u16, pattern: String, keys_max: u32 },
    /// Writes a snapshot that is newer than this.
    Save { connection: String, last_save: i64 },
    /// Sets a parameter that has this value.
    Set {
        connection: String,
        parameter: String,
        from: String,
        to: String,
        /// Whether this takes back what was set before.
        #[serde(default)]
        restores: bool,
    },
}

impl Order {
    pub(super) fn connection(&self) -> &str {
        match self {
            Self::Flush { connection, .. }
            | Self::Delete { connection, .. }
            | Self::Save { connection, .. }
            | Self::Set { connection, .. } => connection,
        }
    }

    pub(super) fn database(&self) -> Option<u16> {
        match self {
            Self::Flush { database, .. } | Self::Delete { database, .. } => Some(*database),
            Self::Save { .. } | Self::Set { .. } => None,
        }
    }

    /// What takes it back.
    pub(super) fn inverse(&self) -> Option<Self> {
        match self.clone() {
            Self::Set { connection, parameter, from, to, .. } => {
                Some(Self::Set { connection, parameter, from: to, to: from, restores: true })
            }
            Self::Flush { .. } | Self::Delete { .. } | Self::Save { .. } => None,
        }
    }

    pub(super) fn summary(&self) -> String {
        match self {
            Self::Flush { connection, database, .. } => {
                format!("empty database {database} of Redis {connection}")
            }
            Self::Delete { connection, database, pattern, .. } => {
                format!("delete keys that match {pattern} in database {database} of Redis {connection}")
            }
            Self::Save { connection, .. } => format!("have Redis {connection} write its snapshot"),
            Self::Set { connection, parameter, to, .. } => {
                format!("set {parameter} back to {to} on Redis {connection}")
            }
        }
    }

    /// One attempt.
    pub(super) async fn carry_out(&self, hand: &mut RedisHand) -> Result<ActionOutcome, RedisError> {
        match self {
            Self::Flush { database, run_id, .. } => {
                let info = hand.reads().info().await?;
                if info.get("run_id") != Some(run_id) {
                    return Ok(not_applied("the server was started anew since this was planned"));
                }
                let keys = hand.reads().keys().await?;
                hand.empty().await?;
                Ok(applied(format!("database {database} was emptied: it held {keys} keys")))
            }
            Self::Delete { pattern, keys_max, .. } => keys::delete(hand, pattern, *keys_max).await,
            Self::Save { last_save, .. } => {
                hand.save().await?;
                await_snapshot(hand, *last_save).await
            }
            Self::Set { parameter, from, to, restores, .. } => {
                let now = hand.reads().parameter(parameter).await?;
                match now {
                    Some(now) if now == *to && *restores => {
                        return Ok(ActionOutcome::AlreadySo {
                            detail: format!("{parameter} is {to} already"),
                        });
                    }
                    Some(now) if now == *from => {}
                    now => {
                        let now = now.unwrap_or_else(|| "gone".to_owned());
                        return Ok(not_applied(format!(
                            "{parameter} is {now} and no longer {from}: somebody else has set it"
                        )));
                    }
                }
                hand.set_parameter(parameter, to).await?;
                Ok(match hand.reads().parameter(parameter).await? {
                    Some(now) if now == *to => applied(format!("{parameter} is {to}, and was {from}")),
                    now => {
                        failed(format!("{parameter} is {} after it was set to {to}", now.unwrap_or_default()))
                    }
                })
            }
        }
    }

    /// What the server shows of an attempt that was interrupted.
    pub(super) async fn look_back(&self, hand: &mut RedisHand) -> Result<ActionOutcome, RedisError> {
        match self {
            Self::Flush { .. } => Ok(unknown("nothing shows whether a database was emptied")),
            Self::Delete { pattern, .. } => Ok(match keys::count(hand, pattern).await? {
                Count { keys: 0, is_whole: true } => applied(format!("no key matches {pattern} any more")),
                Count { keys: 0, .. } => {
                    unknown(format!("it is not known whether keys still match {pattern}"))
                }
                // What is left is deleted by carrying out the same once more.
                Count { keys, .. } => not_applied(format!("{keys} keys still match {pattern}")),
            }),
            Self::Save { last_save, .. } => {
                let info = hand.reads().info().await?;
                let is_writing = info.get("rdb_bgsave_in_progress").is_some_and(|value| value == "1");
                if is_writing || hand.reads().last_save().await? > *last_save {
                    return await_snapshot(hand, *last_save).await;
                }
                Ok(not_applied("no snapshot was written since"))
            }
            Self::Set { parameter, from, to, .. } => {
                let now = hand.reads().parameter(parameter).await?.unwrap_or_default();
                Ok(match now {
                    now if now == *to => applied(format!("{parameter} is {to}: it was carried out")),
                    now if now == *from => not_applied(format!("{parameter} is still {from}")),
                    now => unknown(format!("{parameter} is {now}, which is neither {from} nor {to}")),
                })
            }
        }
    }

    /// Whether a parameter already has the value that this takes it back to.
    pub(super) async fn is_so(&self, hand: &mut RedisHand) -> Result<Option<String>, RedisError> {
        let Self::Set { parameter, to, restores: true, .. } = self else { return Ok(None) };
        let now = hand.reads().parameter(parameter).await?;
        Ok((now.as_ref() == Some(to)).then(|| format!("{parameter} is {to} already")))
    }
}

/// A snapshot that is written, or goes on without us.
async fn await_snapshot(hand: &mut RedisHand, before: i64) -> Result<ActionOutcome, RedisError> {
    for _ in 0..SAVE_LOOKS_MAX {
        let info = hand.reads().info().await?;
        let is = |name: &str, value: &str| info.get(name).is_some_and(|found| found == value);
        if is("rdb_bgsave_in_progress", "0") {
            if is("rdb_last_bgsave_status", "ok") {
                let at = hand.reads().last_save().await?;
                // Its time has no fractions: a second one within the same second bears the same.
                let newer = if at > before { "a new snapshot was written" } else { "a snapshot was written" };
                return Ok(applied(newer));
            }
            return Ok(failed("the snapshot could not be written: look at the server's log and its disk"));
        }
        tokio::time::sleep(SAVE_LOOK_EVERY).await;
    }
    Ok(applied("the snapshot is being written, and goes on by itself"))
}

fn applied(detail: impl Into<String>) -> ActionOutcome {
    ActionOutcome::Applied { detail: detail.into(), inverse: None, requests: Vec::new() }
}

/// A number of bytes as Redis reads it: `100mb` is `104857600`.
pub(super) fn bytes_of(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let factor = match &text[digits..] {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_redis_reads_them() {
        for (text, bytes) in [
            ("100", Some(100)),
            ("1k", Some(1_000)),
            ("1KB", Some(1_024)),
            ("2gb", Some(2 << 30)),
            ("3m", Some(3_000_000)),
            ("allkeys-lru", None),
            ("1tb", None),
            ("", None),
            ("99999999999gb", None),
        ] {
            assert_eq!(bytes_of(text), bytes, "{text}");
        }
    }
}
