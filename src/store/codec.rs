//! Between the domain's values and columns.

use super::error::{Failure, corrupt};
use super::sql::Value;
use crate::domain::effect::EffectId;
use crate::domain::incident::{INCIDENT_FORMAT, Incident, IncidentId};
use crate::engine::ports::IncidentWrite;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// About what the usual incident takes as JSON.
const INCIDENT_BYTES: usize = 4_096;

/// End of an incident that is open, so that "not yet" sorts after every real time.
pub(super) const NOT_ENDED: i64 = i64::MAX;

/// Stands for the escape below; PostgreSQL's TEXT cannot hold NUL, which labels may contain.
const ESCAPE: char = '\u{1a}';

/// A text as it is stored in a plain column: NUL is escaped, reversibly, since keys must stay distinct.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => escaped.extend([ESCAPE, '0']),
            ESCAPE => escaped.extend([ESCAPE, '1']),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// The text that [`plain`] stored.
pub(super) fn unescaped(stored: String) -> String {
    if !stored.contains(ESCAPE) {
        return stored;
    }
    let mut text = String::with_capacity(stored.len());
    let mut characters = stored.chars();
    while let Some(character) = characters.next() {
        match character {
            ESCAPE => text.push(if characters.next() == Some('0') { '\0' } else { ESCAPE }),
            other => text.push(other),
        }
    }
    text
}

/// Milliseconds since 1970, which is all that the store keeps of a time.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// A stored time.
pub(super) fn timestamp(row: &str, millis: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_millisecond(millis).map_err(|error| corrupt(row, error))
}

/// A value as JSON. JSON escapes NUL, so bodies need no care.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    json_of_about(0, value)
}

/// The same for a value whose text has about so many bytes: a text that grows is copied each time.
pub(super) fn json_of_about(bytes: usize, value: &impl serde::Serialize) -> String {
    let mut text = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut text, value).expect("types of the domain serialize to JSON");
    String::from_utf8(text).expect("JSON is a text")
}

/// A stored JSON body.
pub(super) fn from_json<T: DeserializeOwned>(row: impl std::fmt::Display, body: &str) -> Result<T, Failure> {
    serde_json::from_str(body).map_err(|error| corrupt(row, error))
}

/// A stored incident, refused where a newer version wrote it: what this one does not know it would lose.
pub(super) fn incident(body: &str) -> Result<Incident, Failure> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
        id: String,
    }
    let newer = |format: u32, id: &str| {
        corrupt(
            format_args!("incident {id}"),
            format_args!(
                "has format {format} and this version knows up to {INCIDENT_FORMAT}: run the newer version"
            ),
        )
    };
    match serde_json::from_str::<Incident>(body) {
        Ok(incident) if incident.format <= INCIDENT_FORMAT => Ok(incident),
        Ok(incident) => Err(newer(incident.format, &incident.id.0)),
        Err(error) => match serde_json::from_str::<Head>(body) {
            Ok(head) if head.format > INCIDENT_FORMAT => Err(newer(head.format, &head.id)),
            Ok(head) => Err(corrupt(format_args!("incident {}", head.id), error)),
            Err(_) => Err(corrupt("an incident", error)),
        },
    }
}

/// A row of the table of incidents.
pub(super) fn incident_columns(write: &IncidentWrite) -> [Value; 14] {
    let Incident { id, version, key, status, severity, phase, rule, .. } = &write.incident;
    let incident = &write.incident;
    let ended_at = match (&incident.resolved, incident.is_open()) {
        (_, true) => NOT_ENDED,
        (Some(resolution), false) => millis(resolution.at),
        (None, false) => millis(incident.updated_at),
    };
    [
        Value::from(plain(&id.0).into_owned()),
        Value::from(version.cast_signed()),
        Value::from(write.loaded_version.cast_signed()),
        Value::from(plain(&key.0).into_owned()),
        Value::from(status.as_str()),
        Value::from(severity.as_str()),
        Value::from(phase.as_str()),
        Value::from(plain(rule).into_owned()),
        Value::from(millis(incident.started_at)),
        Value::from(millis(incident.updated_at)),
        Value::from(ended_at),
        Value::from(incident.next_escalation_at().map(millis)),
        Value::from(incident.bridge.as_deref().map(|bridge| plain(bridge).into_owned())),
        Value::from(json_of_about(INCIDENT_BYTES, incident)),
    ]
}

/// The incident and the number within it that an effect's identity is made of.
pub(super) fn effect_parts(id: &EffectId) -> Result<(IncidentId, i64), Failure> {
    id.0.rsplit_once("-e")
        .and_then(|(incident, number)| Some((IncidentId(incident.to_owned()), number.parse().ok()?)))
        .ok_or_else(|| {
            corrupt(format_args!("effect `{id}`"), "its identity does not end in `-e` and a number")
        })
}

/// A word that is none of those that the column may hold.
pub(super) fn corrupt_word(column: &str, word: &str) -> Failure {
    corrupt(format_args!("column {column}"), format_args!("unknown word `{word}`"))
}
