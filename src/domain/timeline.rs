//! The audit trail of an incident: one line per thing that happened, chained by hashes.
//!
//! Each line's hash covers the previous line's hash, so a line that is changed, dropped or inserted later shows.
//! [`verify_chain`] is what the export and the tests use to prove it.

use crate::people::Actor;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What kind of thing a line tells. A closed set: filters, metrics and pages use these words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// The incident was opened.
    Opened,
    /// The incident was opened again within its reopen window.
    Reopened,
    /// An alert joined, ended, or was told late.
    Alert,
    /// Evidence arrived, or could not be had.
    Diagnosis,
    /// A remedy was judged.
    Decision,
    /// People were asked for an approval, gave it, refused it, or let it expire.
    Approval,
    /// An action is about to touch the world. Always written before it does.
    Intent,
    /// How an attempt on the world ended.
    Outcome,
    /// What a verification saw.
    Verification,
    /// Somebody acknowledged.
    Acknowledged,
    /// A level of the escalation policy was reached, skipped or repeated.
    Escalation,
    /// A message reached a destination, or could not.
    Notification,
    /// A task for people was set or done.
    Task,
    /// Automation stopped here and people go on.
    HandedOver,
    /// The incident ended.
    Resolved,
}

/// One line of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineLine {
    /// Position within the incident, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What it tells.
    pub kind: LineKind,
    /// Who did it.
    pub actor: Actor,
    /// The stable word of the reason, where one was given; also a metric label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people. May quote labels: escape before showing.
    pub text: String,
    /// Hash of the line before, in hex; empty for the first.
    pub previous_hash: String,
    /// Hash over this line and the one before, in hex.
    pub hash: String,
}

/// Where the chain of an incident stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TimelineHead {
    /// Number of lines so far.
    pub seq: u64,
    /// Hash of the last line, in hex.
    pub hash: String,
}

/// Longest text of one line. Longer ones are cut: the trail is read by people and must stay bounded.
pub const LINE_TEXT_BYTES_MAX: usize = 2_000;

impl TimelineHead {
    /// Writes the next line.
    pub fn append(
        &mut self,
        at: Timestamp,
        kind: LineKind,
        actor: &Actor,
        reason: Option<&str>,
        text: impl Into<String>,
    ) -> TimelineLine {
        let mut line = TimelineLine {
            seq: self.seq + 1,
            at,
            kind,
            actor: actor.clone(),
            reason: reason.map(str::to_owned),
            text: cut(text.into(), LINE_TEXT_BYTES_MAX),
            previous_hash: std::mem::take(&mut self.hash),
            hash: String::new(),
        };
        line.hash = hash_of(&line);
        self.seq = line.seq;
        self.hash.clone_from(&line.hash);
        line
    }
}

/// Cuts a text at a character boundary and marks the cut.
pub fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push('…');
    text
}

/// A text from outside on one line, without control characters, cut to so many characters.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars_max) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

/// A break in a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainBroken {
    /// A line is missing or out of order.
    #[error("line {found} stands where line {expected} should be")]
    Sequence {
        /// The position that should follow.
        expected: u64,
        /// The position found.
        found: u64,
    },
    /// A line does not follow from the one before it, or was changed.
    #[error("line {0} was changed, or a line before it was")]
    Hash(u64),
}

/// Proves that `lines`, a whole chain in order, are as they were written.
pub fn verify_chain(lines: &[TimelineLine]) -> Result<(), ChainBroken> {
    let mut previous = "";
    for (line, expected) in lines.iter().zip(1_u64..) {
        if line.seq != expected {
            return Err(ChainBroken::Sequence { expected, found: line.seq });
        }
        if line.previous_hash != previous || line.hash != hash_of(line) {
            return Err(ChainBroken::Hash(line.seq));
        }
        previous = &line.hash;
    }
    Ok(())
}

fn hash_of(line: &TimelineLine) -> String {
    let mut hasher = Sha256::new();
    // Every field with its length before it, so that no two lines share their bytes.
    for part in [
        line.previous_hash.as_str(),
        &line.seq.to_string(),
        &line.at.as_millisecond().to_string(),
        &format!("{:?}", line.kind),
        &line.actor.name,
        line.actor.via.as_str(),
        line.actor.role.as_str(),
        line.reason.as_deref().unwrap_or(""),
        &line.text,
    ] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    in_hex(&hasher.finalize())
}

/// SHA-256 of bytes, in hex.
pub fn digest_of_bytes(bytes: &[u8]) -> String {
    in_hex(&Sha256::digest(bytes))
}

/// In one piece: `hex::encode` puts it together digit by digit, which takes longer than the digest.
fn in_hex(digest: &[u8]) -> String {
    let mut digits = vec![0; digest.len() * 2];
    hex::encode_to_slice(digest, &mut digits).expect("two digits for each byte");
    String::from_utf8(digits).expect("digits are a text")
}

/// SHA-256 over the canonical JSON (sorted keys, no white space) of a value, in hex.
pub fn digest_of(value: &impl Serialize) -> String {
    // `to_value` sorts object keys (serde_json without `preserve_order` keeps a BTreeMap), which is what makes the
    // text canonical. A value that cannot be JSON would be a defect in a type of this crate.
    let canonical = serde_json::to_value(value)
        .and_then(|value| serde_json::to_vec(&value))
        .expect("types of the domain serialize to JSON");
    digest_of_bytes(&canonical)
}

#[cfg(test)]
mod tests;
