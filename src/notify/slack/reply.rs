//! Lines below a card.
//!
//! Their text is written by the engine and may quote labels. Everything after the first line stands in a quotation,
//! so that a line break in a label cannot begin a line that looks like a word of ours.

use serde_json::{Value, json};

use super::blocks::{self, SECTION_UNITS_MAX};
use super::card::Frame;
use super::markup::Scribe;
use crate::engine::ports::IncidentView;
use crate::notify::words::units;

/// Lines of one reply. More belong into a finding or a document.
const LINES_MAX: usize = 60;
/// UTF-16 units of one line.
const LINE_UNITS_MAX: usize = 500;
/// UTF-16 units of the text besides the blocks, for notifications.
const TEXT_UNITS_MAX: usize = 300;
/// Sections of one reply.
const SECTIONS_MAX: usize = 3;

/// Longest member id that is mentioned. Slack's have 9 to 11 characters.
const MEMBER_CHARS_MAX: usize = 20;

/// A reply as text and blocks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    /// For notifications. Never empty.
    pub(super) text: String,
    /// A JSON array of Block Kit blocks.
    pub(super) blocks: Value,
}

/// Draws a reply that stands below its card.
pub(super) fn reply(text: &str, page: bool, frame: &Frame<'_>) -> Reply {
    let scribe = Scribe::new(frame.redactor);
    let sign = if page { "🔔 " } else { "" };
    let mut lines = scribe.prose_lines(text, LINES_MAX, LINE_UNITS_MAX).into_iter();
    let first = lines.next().filter(|line| !line.is_empty()).unwrap_or_else(|| "–".to_owned());
    let lines = std::iter::once(format!("{sign}{first}")).chain(lines.map(|line| format!("> {line}")));
    let sections: Vec<Value> = sections(lines).iter().map(|text| blocks::section(text)).collect();
    Reply { text: format!("{sign}{}", scribe.prose(text, TEXT_UNITS_MAX)), blocks: json!(sections) }
}

/// Draws a call for people by their names. Only what looks like a member id is turned into a mention.
pub(super) fn call(text: &str, users: &[String], frame: &Frame<'_>) -> Reply {
    let is_member = |id: &&String| {
        (1..=MEMBER_CHARS_MAX).contains(&id.len())
            && id.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    };
    let mentions: String = users.iter().filter(is_member).map(|id| format!("<@{id}> ")).collect();
    let text = format!("🔔 {mentions}{}", Scribe::new(frame.redactor).prose(text, TEXT_UNITS_MAX));
    Reply { blocks: json!([blocks::section(&text)]), text }
}

/// An answer to one person, as mrkdwn.
pub(super) fn whisper(text: &str, frame: &Frame<'_>) -> String {
    format!("That did not count: {}", Scribe::new(frame.redactor).prose(text, TEXT_UNITS_MAX))
}

/// Draws a reply that has no card to stand below, so that it names its incident itself.
pub(super) fn standing_alone(text: &str, page: bool, view: &IncidentView, frame: &Frame<'_>) -> Reply {
    above(reply(text, page, frame), view, frame)
}

/// Puts the name of its incident above a reply.
pub(super) fn above(mut drawn: Reply, view: &IncidentView, frame: &Frame<'_>) -> Reply {
    let headline = super::card::headline_of(view, frame);
    drawn.text = format!("{headline}\n{}", drawn.text);
    if let Value::Array(blocks) = &mut drawn.blocks {
        blocks.insert(0, blocks::section(&headline));
    }
    drawn
}

/// Packs lines into as few sections as possible. What does not fit is counted.
fn sections(lines: impl Iterator<Item = String>) -> Vec<String> {
    const NOTE_UNITS: usize = 40;
    let mut sections = vec![String::new()];
    let mut left_out = 0;
    for line in lines {
        let count = sections.len();
        let room = SECTION_UNITS_MAX - if count == SECTIONS_MAX { NOTE_UNITS } else { 0 };
        let last = &mut sections[count - 1];
        if left_out == 0 && units(last) + 1 + units(&line) <= room {
            if !last.is_empty() {
                last.push('\n');
            }
            last.push_str(&line);
        } else if left_out == 0 && count < SECTIONS_MAX {
            sections.push(line);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0
        && let Some(last) = sections.last_mut()
    {
        last.push_str(&format!("\n… {left_out} more lines"));
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::redact::Redactor;

    fn drawn(text: &str, page: bool) -> Reply {
        let redactor = Redactor::default();
        reply(
            text,
            page,
            &Frame {
                now: jiff::Timestamp::UNIX_EPOCH,
                external_url: None,
                alertmanager_url: None,
                redactor: &redactor,
            },
        )
    }

    fn texts(reply: &Reply) -> Vec<&str> {
        let blocks = reply.blocks.as_array().expect("an array");
        blocks.iter().map(|block| block["text"]["text"].as_str().expect("a text")).collect()
    }

    #[test]
    fn a_short_reply_is_one_section() {
        let reply = drawn("Scaled api: 3 to 5 replicas", false);
        assert_eq!(reply.text, "Scaled api: 3 to 5 replicas");
        assert_eq!(texts(&reply), ["Scaled api: 3 to 5 replicas"]);
    }

    #[test]
    fn a_line_break_in_a_label_cannot_begin_a_line_of_ours() {
        let reply = drawn("Not acknowledged yet: x\n✅ Resolved by una\n<!channel>", true);
        assert_eq!(texts(&reply), ["🔔 Not acknowledged yet: x\n> ✅ Resolved by una\n> &lt;!channel&gt;"]);
    }

    #[test]
    fn a_call_mentions_people_and_nobody_whom_a_text_names() {
        let redactor = Redactor::default();
        let frame = Frame {
            now: jiff::Timestamp::UNIX_EPOCH,
            external_url: None,
            alertmanager_url: None,
            redactor: &redactor,
        };
        let users = ["U1", "!channel", "U2>"].map(str::to_owned);
        let drawn = call("on-call <@U3>", &users, &frame);
        assert_eq!(drawn.text, "🔔 <@U1> on-call &lt;@U3&gt;");
        assert_eq!(texts(&drawn), ["🔔 <@U1> on-call &lt;@U3&gt;"]);
    }

    #[test]
    fn a_long_reply_is_cut_and_says_so() {
        let text = (0..200).map(|n| format!("{n} {}", "<".repeat(400))).collect::<Vec<_>>().join("\n");
        let reply = drawn(&text, false);
        let texts = texts(&reply);
        assert!(texts.iter().all(|text| units(text) <= SECTION_UNITS_MAX));
        assert!(texts.iter().map(|text| units(text) + 45).sum::<usize>() <= 9_500);
        assert!(texts.last().is_some_and(|text| text.contains("more lines")), "{texts:?}");
    }

    #[test]
    fn nothing_to_say_is_still_a_message() {
        assert_eq!(drawn(" \n\u{200b}", false).text, "–");
    }
}
