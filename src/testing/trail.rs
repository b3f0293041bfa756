//! What happened in a test, told in one line each, for whoever has to find out why it failed.

use crate::domain::incident::IncidentId;
use crate::domain::timeline::one_line;
use crate::engine::ports::IncidentView;
use crate::notify::paper::Written;
use jiff::{SignedDuration, Timestamp};

/// Characters of one line.
const LINE_CHARS_MAX: usize = 160;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// When.
    #[serde(skip)]
    pub at: SignedDuration,
    #[serde(skip)]
    when: Timestamp,
    /// Where it comes from: `test`, the kind of a line of the timeline, or the kind of a message.
    pub kind: String,
    /// What happened.
    pub text: String,
}

impl Entry {
    /// Something that the test itself says.
    pub fn of_test(when: Timestamp, text: String) -> Self {
        Self { at: SignedDuration::ZERO, when, kind: "test".to_owned(), text }
    }
}

/// Everything, in the order of time. Of messages only those that call people: others repeat what the timeline says.
pub fn trail(
    start: Timestamp,
    inputs: &[Entry],
    views: &[IncidentView],
    messages: &[(IncidentId, Written)],
) -> Vec<Entry> {
    let mut all: Vec<Entry> = inputs.to_vec();
    for view in views {
        let of = if views.len() > 1 { format!("{}: ", view.incident.rule) } else { String::new() };
        all.extend(view.timeline.iter().map(|line| Entry {
            at: SignedDuration::ZERO,
            when: line.at,
            kind: word(line.kind),
            text: one_line(&format!("{of}{}", line.text), LINE_CHARS_MAX),
        }));
    }
    all.extend(messages.iter().filter(|(_, written)| written.calls).map(|(_, written)| Entry {
        at: SignedDuration::ZERO,
        when: written.at,
        kind: written.kind.to_owned(),
        text: one_line(
            &format!("to {}: {}", written.destination, written.text.lines().next().unwrap_or_default()),
            LINE_CHARS_MAX,
        ),
    }));
    all.sort_by_key(|entry| entry.when);
    for entry in &mut all {
        entry.at = entry.when.duration_since(start);
    }
    all
}

/// The word of a kind of line.
pub fn word(kind: crate::domain::timeline::LineKind) -> String {
    let word = serde_json::to_value(kind).expect("a kind is a word");
    word.as_str().unwrap_or_default().to_owned()
}

/// A time of the test as people write it.
pub fn written(at: SignedDuration) -> String {
    use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
    if at.is_zero() {
        return "0m".to_owned();
    }
    let printer = SpanPrinter::new().spacing(Spacing::None).designator(Designator::Compact);
    printer.duration_to_string(&at)
}
