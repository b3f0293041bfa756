//! Reads the JSON in two steps: the frame, with each alert as an unread slice of the body; then each alert.
//! How lenient the fields are, stands in [`super::values`].

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::Error as _;

use super::error::{Cursor, PayloadError, Position, Refused, reason_of};
use super::values::{Annotations, Labels, Loose, Slices};
use super::{DEPTH_MAX, Payload, WireAlert};
use crate::domain::alert::AlertStatus;
use crate::domain::fingerprint::Fingerprint;

/// Go's zero time: what "no time" looks like on the wire, in every alert that fires.
pub(super) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// The same in seconds, for other ways to write it.
const ZERO_TIME_SECOND: i64 = -62_135_596_800;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an Alertmanager webhook, which is a JSON object")]
struct Frame<'a> {
    #[serde(borrow, default)]
    receiver: Loose<'a>,
    #[serde(borrow, default)]
    group_key: Loose<'a>,
    #[serde(borrow, default, rename = "notification_reason")]
    notification_reason: Loose<'a>,
    #[serde(borrow, default, rename = "externalURL")]
    external_url: Loose<'a>,
    #[serde(borrow, default)]
    truncated_alerts: Loose<'a>,
    #[serde(borrow)]
    alerts: Slices<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an alert, which is a JSON object")]
struct Parts<'a> {
    #[serde(borrow, default)]
    status: Loose<'a>,
    #[serde(borrow)]
    labels: Labels<'a>,
    #[serde(borrow, default)]
    annotations: Annotations<'a>,
    #[serde(borrow, default)]
    starts_at: Loose<'a>,
    #[serde(borrow, default)]
    ends_at: Loose<'a>,
    #[serde(borrow, default, rename = "generatorURL")]
    generator_url: Loose<'a>,
    #[serde(borrow, default)]
    fingerprint: Loose<'a>,
}

pub(super) fn parse(body: &[u8]) -> Result<Payload<'_>, PayloadError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| PayloadError::NotUtf8(Cursor::new(body).at(error.valid_up_to())))?;
    check_depth(body)?;
    if let Some(offset) = list_at(text) {
        let reason = "a list, where an Alertmanager webhook is an object".to_owned();
        return Err(PayloadError::Json { position: Cursor::new(body).at(offset), reason });
    }
    let frame: Frame = serde_json::from_str(text)
        .map_err(|error| PayloadError::Json { position: Position::of(&error), reason: reason_of(&error) })?;
    let mut alerts = Vec::with_capacity(frame.alerts.0.len());
    let mut refused = Vec::new();
    let mut cursor = Cursor::new(body);
    for (index, raw) in frame.alerts.0.iter().enumerate() {
        match read_alert(index, raw.get()) {
            Ok(alert) => alerts.push(alert),
            Err(error) => {
                // The slice is part of the body, so the distance of their beginnings is its offset.
                let offset = (raw.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
                let position = cursor.at(offset).of_part(&error);
                refused.push(Refused { index, position, reason: reason_of(&error) });
            }
        }
    }
    Ok(Payload {
        receiver: unquoted(frame.receiver.or_empty()),
        group_key: frame.group_key.or_empty(),
        notification_reason: frame.notification_reason.or_empty(),
        external_url: frame.external_url.or_empty(),
        truncated_alerts: count_of(&frame.truncated_alerts),
        alerts,
        refused,
    })
}

/// Refuses bodies nested too deeply. Most have fewer brackets than levels are allowed and are not walked through.
fn check_depth(body: &[u8]) -> Result<(), PayloadError> {
    if body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= DEPTH_MAX {
        return Ok(());
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (offset, byte) in body.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(PayloadError::TooDeep(Cursor::new(body).at(offset)));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn read_alert(index: usize, raw: &str) -> serde_json::Result<WireAlert<'_>> {
    if list_at(raw).is_some() {
        return Err(serde_json::Error::custom("a list, where an alert is an object"));
    }
    let parts: Parts = serde_json::from_str(raw)?;
    Ok(parts.into_alert(index))
}

/// Where a list begins, if the text is one: serde would take its items for the fields of a struct.
fn list_at(text: &str) -> Option<usize> {
    let start = text.len() - text.trim_ascii_start().len();
    text[start..].starts_with('[').then_some(start)
}

impl<'a> Parts<'a> {
    fn into_alert(self, index: usize) -> WireAlert<'a> {
        let labels = self.labels.0;
        let sent = self.fingerprint.text().and_then(|text| text.parse().ok());
        let fingerprint = sent.unwrap_or_else(|| {
            Fingerprint::of_labels(labels.iter().map(|(name, value)| (&**name, &**value)))
        });
        let status = match self.status.text() {
            Some("firing") => Some(AlertStatus::Firing),
            Some("resolved") => Some(AlertStatus::Resolved),
            _ => None,
        };
        let generator_url = self.generator_url.into_text().filter(|url| !url.is_empty());
        WireAlert {
            index,
            fingerprint,
            status,
            labels,
            annotations: self.annotations.0,
            starts_at: time_of(&self.starts_at),
            ends_at: time_of(&self.ends_at),
            generator_url,
        }
    }
}

fn time_of(loose: &Loose<'_>) -> Option<Timestamp> {
    let time: Timestamp = loose.text().filter(|text| *text != ZERO_TIME)?.parse().ok()?;
    (time.as_second() > ZERO_TIME_SECOND).then_some(time)
}

fn count_of(loose: &Loose<'_>) -> u64 {
    match loose {
        Loose::Absent => 0,
        Loose::Text(_) | Loose::Scalar(_) => loose.text().and_then(|text| text.parse().ok()).unwrap_or(1),
        Loose::Nested => 1,
    }
}

/// Takes back Go's `regexp.QuoteMeta`, which Alertmanager applies to the receiver's name.
fn unquoted(name: Cow<'_, str>) -> Cow<'_, str> {
    if !name.contains('\\') {
        return name;
    }
    let mut plain = String::with_capacity(name.len());
    let mut chars = name.chars().peekable();
    while let Some(char) = chars.next() {
        match chars.peek() {
            Some(next) if char == '\\' && r"\.+*?()|[]{}^$".contains(*next) => plain.extend(chars.next()),
            _ => plain.push(char),
        }
    }
    Cow::Owned(plain)
}
