//! What a notice comes to in Slack, as people read it and without sending it.

use super::card::{self, Card, Frame};
use super::reply;
use crate::domain::notification::Notice;
use crate::engine::ports::IncidentView;
use serde_json::Value;

/// The words of a notice, buttons included; none where it leads to no message. `has_card` says whether there is a card
/// to stand below.
pub(in crate::notify) fn drawn(
    notice: &Notice,
    has_card: bool,
    view: &IncidentView,
    frame: &Frame<'_>,
) -> Option<String> {
    let (text, blocks) = match notice {
        Notice::Card => {
            let Card { text, blocks } = card::card(view, frame);
            (text, blocks)
        }
        Notice::Evidence => {
            let Card { text, blocks } = card::details(view, frame)?;
            (text, blocks)
        }
        Notice::Reply { text, page } => {
            let drawn = match has_card {
                true => reply::reply(text, *page, frame),
                false => reply::standing_alone(text, *page, view, frame),
            };
            (drawn.text, drawn.blocks)
        }
        Notice::Call { text, users } => {
            let drawn = reply::call(text, users, frame);
            let drawn = if has_card { drawn } else { reply::above(drawn, view, frame) };
            (drawn.text, drawn.blocks)
        }
        Notice::Whisper { text, .. } => return Some(reply::whisper(text, frame)),
        Notice::Charts
        | Notice::Trigger { .. }
        | Notice::Acknowledge { .. }
        | Notice::Resolve { .. }
        | Notice::Confirm { .. }
        | Notice::Change { .. } => return None,
    };
    let mut words = vec![text];
    read(&blocks, &mut words);
    // What Slack's markup escapes people read as it was.
    let escaped = [("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(escaped.iter().fold(words.join("\n"), |text, (from, to)| text.replace(from, to)))
}

/// All texts within blocks, in their order.
fn read(blocks: &Value, words: &mut Vec<String>) {
    match blocks {
        Value::Array(all) => all.iter().for_each(|one| read(one, words)),
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(text) if key == "text" => words.push(text.clone()),
                    _ => read(field, words),
                }
            }
        }
        _ => {}
    }
}
