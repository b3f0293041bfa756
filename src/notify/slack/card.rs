//! The incident's one message: what is wrong, since when, what is known, what was done or is proposed, who is on it.
//!
//! Drawn anew from the whole incident each time, so it has no memory and cannot drift from what is stored. It must
//! read in ten seconds at three in the morning: state first, then what is wrong, then what is wanted of the reader.
//! Each part keeps to an allowance of its own, and together they stay within 10,000 UTF-16 units; nothing in a label
//! can make one part push out another. Everything from outside goes through the [`Scribe`].

mod evidence;
mod facts;
mod footer;
mod headline;
mod presses;
mod remedies;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::Value;

use super::blocks;
use super::markup::Scribe;
use crate::domain::counted::counted;
use crate::domain::incident::Incident;
use crate::domain::redact::Redactor;
use crate::engine::ports::IncidentView;
use crate::notify::words::units;

/// UTF-16 units of the notification's text, and of a message without blocks. `chat.update` refuses more than 4,000.
pub const TEXT_UNITS_MAX: usize = 1_500;

/// UTF-16 units of the summary, wherever it stands.
const SUMMARY_UNITS_MAX: usize = 400;

/// What a card needs to know besides the incident.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The time for which it is drawn.
    pub now: Timestamp,
    /// Where people reach our pages from outside, without a slash at the end.
    pub external_url: Option<&'a str>,
    /// Where people reach Alertmanager's pages.
    pub alertmanager_url: Option<&'a str>,
    /// Takes secrets out of everything that is quoted.
    pub redactor: &'a Redactor,
}

/// A card.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// One line in mrkdwn for notifications, screen readers and search. Never empty.
    pub text: String,
    /// A JSON array of Block Kit blocks.
    pub blocks: Value,
}

/// Draws the card of an incident as it is now.
pub fn card(view: &IncidentView, frame: &Frame<'_>) -> Card {
    let scribe = Scribe::new(frame.redactor);
    let mut drawn = vec![
        blocks::header(&headline::header(&view.incident)),
        blocks::section(&headline::summary(view, scribe)),
        blocks::fields(&facts::fields(view, scribe)),
    ];
    drawn.extend(evidence::blocks(view, scribe));
    drawn.extend(remedies::blocks(view, scribe));
    drawn.extend(presses::rows(view, frame.alertmanager_url.is_some(), scribe));
    drawn.push(blocks::context(&footer::links(view, frame, scribe)));
    Card { text: headline::notification(view, scribe), blocks: Value::Array(drawn) }
}

/// The same story as a few lines without blocks, for when Slack does not take the blocks.
pub fn plain(view: &IncidentView, frame: &Frame<'_>) -> String {
    let scribe = Scribe::new(frame.redactor);
    let mut lines = Lines::new(TEXT_UNITS_MAX);
    lines.push(headline::notification(view, scribe));
    lines.push(facts::line(view, scribe));
    if let Some(line) = remedies::line(view, scribe) {
        lines.push(line);
    }
    lines.push(footer::links(view, frame, scribe));
    lines.push(
        "Slack did not take the full card. Acknowledge and decide in the dashboard or on the command line.",
    );
    lines.finish("")
}

/// Evidence that the card has no room for. `None` where it shows everything.
pub(super) fn details(view: &IncidentView, frame: &Frame<'_>) -> Option<Card> {
    let (text, blocks) = evidence::details(view, Scribe::new(frame.redactor))?;
    Some(Card { text, blocks: Value::Array(blocks) })
}

/// The whole of the evidence that [`details`] has to cut, as plain text. `None` where nothing is missing there.
pub(super) fn document(view: &IncidentView, frame: &Frame<'_>) -> Option<String> {
    evidence::document(view, Scribe::new(frame.redactor))
}

/// An incident among others: state, what is wrong, since when, who is on it, and where to read on.
pub(super) fn in_a_line(incident: &Incident, frame: &Frame<'_>) -> String {
    let scribe = Scribe::new(frame.redactor);
    let head = headline::header(incident);
    let summary = scribe.prose(&incident.summary, SUMMARY_UNITS_MAX);
    let link = footer::page_of(incident, frame, scribe);
    let id = scribe.code(&incident.id.0, 80);
    let parts = [Some(facts::in_short(incident, scribe)), link, Some(id)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{head}: *{summary}*\n> {}", parts.join(" · "))
}

/// What was found out, a line for each finding.
pub(super) fn findings_in_lines(view: &IncidentView, frame: &Frame<'_>) -> Vec<String> {
    let scribe = Scribe::new(frame.redactor);
    view.findings.iter().map(|finding| evidence::line(finding, scribe)).collect()
}

/// State and summary on one line, for a message that stands alone.
pub(super) fn headline_of(view: &IncidentView, frame: &Frame<'_>) -> String {
    headline::notification(view, Scribe::new(frame.redactor))
}

/// Lines that together keep to an allowance. What does not fit is counted.
pub(super) struct Lines {
    text: String,
    room: usize,
    left_out: usize,
}

impl Lines {
    /// Room for the note about what is missing.
    const NOTE_UNITS: usize = 60;

    pub(super) fn new(units_max: usize) -> Self {
        Self { text: String::new(), room: units_max.saturating_sub(Self::NOTE_UNITS), left_out: 0 }
    }

    /// Adds a line if it still fits, and no later one once one did not: what is shown is a whole beginning.
    pub(super) fn push(&mut self, line: impl AsRef<str>) {
        let line = line.as_ref();
        let needed = units(line) + 1;
        if self.left_out > 0 || needed > self.room {
            self.left_out += 1;
            return;
        }
        self.room -= needed;
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    /// The lines, with a note where `what` was left out.
    pub(super) fn finish(mut self, what: &str) -> String {
        if self.left_out > 0 {
            let note = format!("… and {} more {what}", self.left_out);
            self.text.push('\n');
            self.text.push_str(note.trim_end());
        }
        self.text
    }
}
