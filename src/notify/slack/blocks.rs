//! The few kinds of Block Kit blocks that our messages are made of, and Slack's limits on them.
//!
//! Numbers: the limits written at each field of Slack's Node SDK types and on docs.slack.dev/reference/block-kit. The
//! total is not documented: Slack answers `msg_blocks_too_long` from about 13,200 characters over all blocks, so the
//! parts of a message together stay below 10,000.

use serde_json::{Value, json};

/// UTF-16 units of a section's text.
pub(super) const SECTION_UNITS_MAX: usize = 3_000;
/// UTF-16 units of a header.
pub(super) const HEADER_UNITS_MAX: usize = 150;
/// UTF-16 units of the text of a confirmation.
pub(super) const CONFIRM_UNITS_MAX: usize = 300;

/// A large line in our own words.
pub(super) fn header(text: &str) -> Value {
    json!({"type": "header", "text": {"type": "plain_text", "text": text, "emoji": true}})
}

/// A paragraph, always shown whole.
pub(super) fn section(text: &str) -> Value {
    json!({"type": "section", "expand": true, "text": mrkdwn(text)})
}

/// Up to ten short texts in two columns.
pub(super) fn fields(texts: &[String]) -> Value {
    let fields: Vec<Value> = texts.iter().map(|text| mrkdwn(text)).collect();
    json!({"type": "section", "fields": fields})
}

/// Small print.
pub(super) fn context(text: &str) -> Value {
    json!({"type": "context", "elements": [mrkdwn(text)]})
}

/// A row of buttons.
pub(super) fn buttons(buttons: Vec<Value>) -> Value {
    json!({"type": "actions", "elements": buttons})
}

/// A text in mrkdwn of which Slack turns nothing into links or mentions that we did not write as such.
pub(super) fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// A text in our own words without any markup.
pub(super) fn plain(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": true})
}
