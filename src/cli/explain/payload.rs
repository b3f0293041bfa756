//! Reads the webhook that is to be explained, alert by alert.

use std::borrow::Cow;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::alert::{name_of, read_body};
use crate::cli::failure::Failure;
use crate::clients::alertmanager::{self, PayloadError};
use crate::domain::alert::Alert;

/// An alert that cannot be read: where, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread(pub(super) String);

/// What is to be explained.
#[derive(Debug)]
pub(super) struct Payload {
    /// All alerts in their order, those that cannot be read included.
    pub(super) alerts: Vec<Result<Alert, Unread>>,
    /// How many alerts Alertmanager left out.
    pub(super) truncated_alerts: u64,
}

/// Reads a payload.
pub(super) fn read(path: &Path, now: Timestamp) -> Result<Payload, Failure> {
    let body = read_body(path)?;
    let name = name_of(path);
    parse(&body, now).map_err(|why| {
        Failure::failed(format!("{name}: {why}"))
            .with_help("a payload is what Alertmanager posts; `smokejumper send … --dry-run` prints one")
    })
}

fn parse(body: &[u8], now: Timestamp) -> Result<Payload, String> {
    let body = without_envelope(body);
    let payload = alertmanager::parse(&body).map_err(|error: PayloadError| error.to_string())?;
    let mut alerts: Vec<(usize, Result<Alert, Unread>)> = Vec::new();
    alerts.extend(payload.alerts.iter().map(|alert| (alert.index, Ok(alert.to_alert(now)))));
    alerts.extend(payload.refused.iter().map(|refused| (refused.index, Err(Unread(refused.to_string())))));
    if alerts.is_empty() {
        return Err("there is no alert in it".to_owned());
    }
    alerts.sort_by_key(|(index, _)| *index);
    let alerts = alerts.into_iter().map(|(_, alert)| alert).collect();
    Ok(Payload { alerts, truncated_alerts: payload.truncated_alerts })
}

/// A request as recorders keep it, with the payload as its `body`.
#[derive(Deserialize)]
struct Recorded<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The payload within a recorded request. What stands before it is blanked, so that lines and columns stay true.
fn without_envelope(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Ok(Recorded { body }) = serde_json::from_slice(bytes) else { return Cow::Borrowed(bytes) };
    let begins = body.get().as_ptr() as usize - bytes.as_ptr() as usize;
    let blank = |byte: &u8| if *byte == b'\n' { b'\n' } else { b' ' };
    let mut payload: Vec<u8> = bytes[..begins].iter().map(blank).collect();
    payload.extend_from_slice(body.get().as_bytes());
    Cow::Owned(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Result<String, String>>, String> {
        let name = |alert: Result<Alert, Unread>| {
            alert.map(|alert| alert.name().to_owned()).map_err(|Unread(why)| why)
        };
        let payload = parse(text.as_bytes(), Timestamp::UNIX_EPOCH)?;
        Ok(payload.alerts.into_iter().map(name).collect())
    }

    #[test]
    fn alerts_keep_their_order_and_their_places() {
        let payload = "{\n \"alerts\": [\n  {\"labels\": {\"alertname\": \"A\"}},\n  {\"labels\": {}},\n  \
                       {\"labels\": {\"alertname\": \"C\"}}\n ]\n}";
        let found = read_text(payload).expect("a payload");
        assert_eq!((&found[0], &found[2]), (&Ok("A".to_owned()), &Ok("C".to_owned())));
        let why = found[1].as_ref().expect_err("no labels");
        assert!(why.starts_with("alert 1, line 4, column"), "{why}");
        let recorded = format!("{{\n \"method\": \"POST\",\n \"body\": {payload}\n}}");
        let found = read_text(&recorded).expect("a recorded payload");
        let why = found[1].as_ref().expect_err("no labels");
        assert!(why.starts_with("alert 1, line 6, column"), "{why}");
    }

    #[test]
    fn what_is_no_payload_says_where() {
        assert!(read_text("{\"alerts\": [").expect_err("cut off").starts_with("line 1, column "));
        assert!(read_text("{\n\"body\": {}\n}").expect_err("no alerts").contains("line 2, column"));
        assert_eq!(read_text("{\"alerts\": []}"), Err("there is no alert in it".to_owned()));
    }
}
